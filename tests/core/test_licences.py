from __future__ import annotations

import pytest

from hilmix.core.errors import DataError
from hilmix.core.licences import LICENCES, conflicts, licence_named


def test_every_licence_says_what_it_is_and_where():
    for name, licence in LICENCES.items():
        assert licence.name == name
        assert licence.title
        assert licence.hub
        assert licence.url.startswith("https://") or name in ("unstated", "LicenseRef-no-redistribution")


def test_a_licence_that_is_not_known_is_refused_and_an_empty_one_is_unstated():
    assert licence_named("").name == licence_named("unstated").name == "unstated"
    with pytest.raises(DataError, match=r"no licence 'CC-BY'.*CC-BY-4\.0"):
        licence_named("CC-BY")
    with pytest.raises(DataError, match="no licence 'mine'"):
        conflicts("CC-BY-4.0", image_set="mine", images_included=True)


@pytest.mark.parametrize(
    ("release", "image_set"),
    [
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("CC-BY-4.0", "CC0-1.0"),
        ("CC-BY-4.0", "MIT"),
        ("CC-BY-NC-4.0", "CC-BY-NC-4.0"),
        ("CC-BY-NC-SA-4.0", "CC-BY-NC-SA-4.0"),
        ("CC-BY-NC-SA-4.0", "CC-BY-NC-4.0"),
        ("CC-BY-4.0", ""),
        ("", "CC-BY-4.0"),
        ("", ""),
        ("CC0-1.0", "PDDL-1.0"),
    ],
)
def test_licences_that_go_together_stand_in_nobodys_way(release, image_set):
    assert conflicts(release, image_set=image_set, images_included=True) == []


@pytest.mark.parametrize(
    ("release", "image_set", "message"),
    [
        ("CC-BY-4.0", "CC-BY-NC-4.0", "forbids commercial use, which CC-BY-4.0 would allow"),
        ("CC-BY-4.0", "CC-BY-SA-4.0", "has the same licence, not CC-BY-4.0"),
        ("CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "has the same licence, not CC-BY-SA-4.0"),
        ("CC-BY-4.0", "CC-BY-ND-4.0", "does not let changed copies be passed on. Freeze the recipes only."),
        ("", "LicenseRef-no-redistribution", "does not let changed copies be passed on"),
        ("unstated", "CC-BY-SA-4.0", "has the same licence, not unstated"),
        (
            "unstated",
            "CC-BY-NC-4.0",
            "forbids commercial use, which a release without a licence would not forbid",
        ),
        ("CC0-1.0", "CC-BY-4.0", "asks that their makers are named, which CC0-1.0 would not"),
    ],
)
def test_mixed_images_go_under_no_licence_that_those_of_their_parents_forbid(release, image_set, message):
    (found,) = conflicts(release, image_set=image_set, images_included=True)
    assert found.startswith(f"The licence of the images, {image_set},")
    assert message in found
    assert conflicts(release, image_set=image_set, images_included=False) == []  # a recipe copies no pixel


@pytest.mark.parametrize("included", [True, False])
@pytest.mark.parametrize("release", ["CC-BY-4.0", "unstated"])
def test_answers_of_others_keep_their_licence_whatever_becomes_of_the_images(release, included):
    (found,) = conflicts(release, image_set="", imported="CC-BY-NC-4.0", images_included=included)
    assert found.startswith("The licence of the imported answers, CC-BY-NC-4.0, forbids commercial use")


@pytest.mark.parametrize("release", ["CC0-1.0", "CC-BY-4.0", "CC-BY-NC-SA-4.0"])
def test_nobody_gives_a_licence_to_answers_of_others_that_have_none(release):
    (found,) = conflicts(release, image_set="CC0-1.0", imported="", images_included=False)
    assert found.endswith(f"so {release} is not yours to give: choose unstated.")
    assert conflicts("unstated", image_set="CC0-1.0", imported="", images_included=False) == []


def test_every_licence_that_is_not_repeated_stands_in_the_way_of_an_unstated_release():
    found = conflicts("unstated", image_set="CC-BY-NC-SA-4.0", imported="CC-BY-NC-4.0", images_included=True)
    assert len(found) == 2
