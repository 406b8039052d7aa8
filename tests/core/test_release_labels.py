"""Labels that a release does not hold are made of its answers, and mixed images of its recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilmix.core.errors import DataError
from hilmix.core.imageset import ImageSet, open_image_set, write_image_set
from hilmix.core.release import Release, open_release, write_release
from hilmix.core.release_answers import units_of_release
from hilmix.core.softlabels import build_label_set
from tests.core.releases import (
    LAMBDAS,
    OTHERS,
    YOU,
    asked_in_two_ways,
    label_set,
    pictures,
    release_input,
    response,
    trial,
)


def answered(said: list[dict], people: dict[str, dict] | None = None) -> dict:
    """The input of a release with these answers, and labels by mixup only."""
    given = release_input()
    tables = given["tables"]
    tables["responses"] = said
    tables["trials"] = [trial(row, kind="repeat" if row["repeat"] else "main") for row in said]
    tables["checks"] = []
    blank = {**tables["participants"][0], "checks_shown": 0, "checks_failed": 0}
    names = dict.fromkeys(row["participant"] for row in said)
    tables["participants"] = [
        {**blank, "participant": name, "n_responses": sum(row["participant"] == name for row in said),
         **(people or {}).get(name, {})}
        for name in names
    ]  # fmt: skip
    tables["labels"] = [row for row in tables["labels"] if row["policy"] == "mixup"]
    given["manifest"]["label_sets"] = [label_set("mixup", None)]
    return given


def written(directory: Path, given: dict) -> Release:
    write_release(directory, **given)
    return open_release(directory)


SAID = [
    response("m0", "P1", 0, perceived_lambda=0.2, confidence=0.9),
    response("m1", "P1", 1, perceived_lambda=0.4, confidence=0.5),
    response("m0", "P1", 2, perceived_lambda=0.6, confidence=0.5, repeat=True, not_counted="repeat"),
    response("m0", "P2", 0, perceived_lambda=0.3, confidence=0.7),
    response("m1", "P2", 1, cannot_tell=True, not_counted="cannot tell"),
    response("m2", "P2", 2, perceived_lambda=0.8, confidence=0.7),
    response("m0", "P3", 0, perceived_lambda=0.9, confidence=0.1),
    response("m2", "P3", 1, perceived_lambda=1.0, confidence=1.0),
    response("m0", "P4", 0, perceived_lambda=0.0, confidence=1.0, not_counted="excluded: reversed"),
]


def test_labels_of_another_parameter_are_made_of_the_answers_that_count(tmp_path):
    given = answered(SAID, {"P4": {"excluded_by": '["reversed"]'}})
    release = written(tmp_path / "pets", given)
    assert release.policies == ("mixup",)
    mean, median = release.labels("human_lambda"), release.labels("human_lambda(statistic=median)")
    assert mean[:, 0] == pytest.approx([(0.2 + 0.3 + 0.9) / 3, 0.4, 0.9])
    assert median[:, 0] == pytest.approx([0.3, 0.4, 0.9])
    assert median.sum(axis=1) == pytest.approx(np.ones(3))
    # The published recipe takes repeats: 0.2·0.9, 0.6·0.5, 0.3·0.7, 0.9·0.1.
    assert release.labels("hmix_weighted")[0, 0] == pytest.approx((0.18 + 0.3 + 0.21 + 0.09) / 4)
    first, second = release.labels("random(seed=3)"), release.labels("random(seed=4)")
    assert not np.array_equal(first, second)
    assert np.array_equal(first, release.labels("random(seed=3)"))


def test_a_label_set_with_parameters_is_held_and_found_under_its_name(tmp_path):
    given = answered(SAID, {"P4": {"excluded_by": '["reversed"]'}})
    name = "human_lambda(statistic=median)"
    given["manifest"]["label_sets"].append(
        {**label_set("human_lambda", YOU), "name": name, "chosen": {"statistic": "median"}}
    )
    given["tables"]["labels"] += [
        {**row, "policy": name, "condition": YOU, "soft_label": [0.0, 1.0, 0.0]}
        for row in given["tables"]["labels"]
    ]
    release = written(tmp_path / "pets", given)
    assert release.labels(name).tolist() == [[0.0, 1.0, 0.0]] * 3  # those it holds, not made anew
    assert release.labels("human_lambda(statistic=mean)")[1, 0] == pytest.approx(0.4)
    assert release.label_set(name)["chosen"] == {"statistic": "median"}


def test_a_condition_must_be_named_where_people_were_asked_in_two_ways(tmp_path):
    release = written(tmp_path / "pets", asked_in_two_ways())
    with pytest.raises(DataError, match="under 2 conditions"):
        release.labels("human_lambda(statistic=median)")
    assert release.labels("human_lambda(statistic=median)", OTHERS)[2, 0] == 0.25
    with pytest.raises(DataError, match="has no condition 'x'"):
        release.labels("human_lambda(statistic=median)", "x")


def test_labels_that_cannot_be_made_say_why(tmp_path):
    release = written(tmp_path / "pets", answered(SAID, {"P4": {"excluded_by": '["reversed"]'}}))
    with pytest.raises(DataError, match="has no labels 'best', only mixup"):
        release.labels("best")
    with pytest.raises(DataError, match="takes no parameter 'mood'"):
        release.labels("human_lambda(mood=good)")
    with pytest.raises(DataError, match="no answers that the label policy 'distribution' takes"):
        release.labels("distribution")


def test_classes_are_named_by_their_position_and_in_the_order_in_which_they_were_named(tmp_path):
    said = [
        response("m0", "P1", 0, mass='{"2": 0.6, "0": 0.3}', excluded="[1]"),
        response("m0", "P2", 0, mass='{"0": 1.0}', excluded="[]"),
    ]
    given = answered(said)
    given["tables"]["conditions"][0]["interface"] = "categorical"
    release = written(tmp_path / "pets", given)
    labels = release.labels("t2_clamp")
    assert labels.shape == (3, 3)
    assert labels[0, 2] > labels[0, 1]
    assert labels.sum(axis=1) == pytest.approx(np.ones(3))


def test_every_answer_makes_a_label_of_its_own(tmp_path):
    release = written(tmp_path / "pets", answered(SAID, {"P4": {"excluded_by": '["reversed"]'}}))
    labels = release.individual_labels("human_lambda")
    assert [(one.key, one.participant, one.repeat) for one in labels[:2]] == [
        ("m0", "P1", False),
        ("m0", "P1", True),
    ]
    assert labels[0].probabilities.tolist() == [0.2, 0.0, 0.8]
    assert "P4" not in {one.participant for one in labels}


# --- recipes


def image_set(directory: Path, *, brightest: int = 200) -> ImageSet:
    """Parents of the small release: bright ones first, and black ones from position 10."""
    images = np.zeros((13, 4, 4, 1), np.uint8)
    images[:3] = brightest
    write_image_set(
        directory,
        images=images,
        labels=[0] * 3 + [1] * 7 + [2] * 3,
        classes=["cat", "dog", "fox"],
        splits={"train": range(13)},
        name="pets",
    )
    return open_image_set(directory)


def recipes_of(parents: ImageSet) -> dict:
    given = release_input()
    given["manifest"]["images"] = "recipe-only"
    given["manifest"]["image_set"]["sha256"] = parents.sha256
    given["images"] = []
    return given


def test_a_release_of_recipes_holds_no_pixel_and_is_mixed_again_from_the_users_copy(tmp_path):
    parents = image_set(tmp_path / "parents")
    release = written(tmp_path / "pets", recipes_of(parents))
    assert not list((tmp_path / "pets").rglob("*.png"))
    assert not (tmp_path / "pets" / "data" / "pictures.parquet").exists()
    assert np.array_equal(release.images(parents), np.stack(pictures()))
    assert release.images(parents).shape == (len(LAMBDAS), 4, 4, 1)
    assert "holds the recipes of the mixed images" in (tmp_path / "pets" / "README.md").read_text("utf-8")


def test_a_release_of_recipes_says_which_image_set_to_bring(tmp_path):
    parents, others = image_set(tmp_path / "parents"), image_set(tmp_path / "others", brightest=100)
    release = written(tmp_path / "pets", recipes_of(parents))
    with pytest.raises(
        DataError, match=f"recipes only. Bring the image set 'pets' with the sha256 {parents.sha256}"
    ):
        release.images()
    with pytest.raises(DataError, match=f"The one given has {others.sha256}"):
        release.images(others)
    with pytest.raises(DataError, match="has no table 'pictures'"):
        release.table("pictures")


def test_a_recipe_that_gives_other_pixels_than_it_says_is_refused(tmp_path):
    parents = image_set(tmp_path / "parents", brightest=100)
    release = written(tmp_path / "pets", recipes_of(parents))  # which names the pixels of brighter ones
    with pytest.raises(DataError, match="does not show the pixels that its name says"):
        release.images(parents)


def test_labels_of_units_and_of_a_release_agree(tmp_path):
    """The hub builds labels of units; an open release makes units of its rows."""
    release = written(tmp_path / "pets", answered(SAID, {"P4": {"excluded_by": '["reversed"]'}}))
    units = {unit.key: unit for unit in units_of_release(release, YOU)}
    ordered = [units[key] for key in release.table("mixed_images")["key"].to_pylist()]
    assert np.array_equal(
        build_label_set("human_lambda", ordered, 3).probabilities, release.labels("human_lambda")
    )
