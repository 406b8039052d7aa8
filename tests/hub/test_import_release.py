"""A release comes in again as a study, and a release of that study has the same answers and labels."""

from __future__ import annotations

import json
import shutil
import tarfile
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from elicitation.images.services import import_images
from elicitation.participants.models import Consent, Participation
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Source, Study
from elicitation.studies.protocol import Design
from elicitation.studies.rules import Rule
from elicitation.trials.models import Response
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.core import release as core_release
from hilmix.core.errors import DataError, Refused
from hilmix.core.loaders import read_digits
from hilmix.core.release import open_release
from hilmix.errors import Conflict, Forbidden
from hilmix.hub.importers.cifar10s import import_cifar10s
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.importers.releases import import_release
from hilmix.hub.models import Import, SourceRow
from tests.hub.hmix_files import write
from tests.hub.test_import_cifar10s import content
from tests.hub.test_quality_in_releases import TRUE, TURNED, freeze, new_rules, rule, take_part

DESIGN = Design(
    n_mixed_images=12, lambdas_e4=(2500, 5000, 7500), trials_per_person=6, repeats=0, answers_per_unit=4
)
UPGRADE = Path(__file__).parents[1] / "upgrade"
# What is the same in a release of a release; the version of the protocol holds no texts now, so it has another name.
SAME = (
    "key", "unit", "condition", "position", "repeat", "counted", "not_counted", "flags", "cannot_tell",
    "perceived_lambda", "confidence", "perceived_midpoint", "mass", "excluded", "probabilities", "left", "drawn",
    "rt_ms", "trial_index", "time_elapsed_ms", "attempt", "payload",
)  # fmt: skip


def agreed(study: Study, how: str = TRUE) -> Participation:
    """Somebody who took part and agreed that the answers are published."""
    participation = take_part(study, how)
    Consent.objects.filter(participation=participation).update(publish=True)
    return participation


def bring_in(release: core_release.Release, image_set, slug: str = "again", **options):
    options = {"actor": OPERATOR, **options}
    return import_release(directory=release.directory, slug=slug, image_set=image_set, **options)


def answers(release: core_release.Release, *more: str) -> list[dict]:
    return release.table("responses").select([*SAME, *more]).to_pylist()


def labels(release: core_release.Release) -> dict[tuple[str, str, str | None], tuple]:
    return {
        (row["policy"], row["condition"], row["key"]): (row["n"], row["lambda"], row["soft_label"])
        for row in release.table("labels").to_pylist()
        if not row["policy"].startswith("hmix")  # published recipes are for imported answers
    }


def assert_the_same(before: core_release.Release, after: core_release.Release, *more: str) -> None:
    assert answers(before, *more) == answers(after, *more)
    was, became = labels(before), labels(after)
    assert was.keys() <= became.keys()
    for name, (n, share, label) in was.items():
        assert became[name][0] == n
        assert became[name][1] == pytest.approx(share, abs=1e-12)
        assert became[name][2] == pytest.approx(label, abs=1e-12)


def test_answers_of_people_come_back_whole(make_study, larger_image_set):
    study = make_study(source=Source.PERSON)
    people = [agreed(study), agreed(study, TURNED), agreed(study, "cannot tell")]
    Participation.objects.filter(pk=people[0].pk).update(invalid_at=timezone.now())
    new_rules(study, rule("reversed"))
    before = freeze(study)
    report = bring_in(before, larger_image_set)
    again = Study.objects.get(slug="again")
    assert (report.participants, report.responses, report.mixed_images) == (3, 18, 6)
    assert (again.state, again.source) == (Study.State.CLOSED, Source.IMPORTED)
    after = freeze(again)
    assert_the_same(before, after, "participant")
    whole = ("participant", "invalid", "excluded_by", "flags", "measures", "survey", "n_responses")
    assert before.table("participants").select(whole).equals(after.table("participants").select(whole))
    assert before.sha256 in Import.objects.get(study=again).origin


def test_factors_come_back_as_what_their_levels_set(make_study, larger_image_set):
    factors = (
        Factor("asked", "between", (Level("shares"), Level("middle", {"interface": "construct"}))),
        Factor("drawn", "within", (Level("plain"), Level("smooth", {"display": {"resampling": "bicubic"}}))),
    )
    study = make_study(source=Source.PERSON, factors=factors, design=DESIGN)
    for _somebody in range(4):
        agreed(study)
    before = freeze(study)
    assert len(before.conditions) == 4
    bring_in(before, larger_image_set)
    after = freeze(Study.objects.get(slug="again"))
    assert_the_same(before, after, "participant", "level_asked", "level_drawn")
    assert set(before.conditions) == set(after.conditions)
    assert before.factors == after.factors


def test_versions_of_the_protocol_stay_apart(make_study, larger_image_set):
    study = make_study(source=Source.PERSON)
    agreed(study)
    new_rules(study, Rule("reversed", {"share": 0.5}, excludes=True))
    agreed(study, TURNED)
    before = freeze(study)
    bring_in(before, larger_image_set)
    again = Study.objects.get(slug="again")
    assert again.protocols.count() == 2
    assert {one.protocol.version for one in again.participations.all()} == {1, 2}
    assert_the_same(before, freeze(again), "participant")


def test_an_imported_study_keeps_its_source_rows_through_a_release(image_set, tmp_path):
    study = import_hmix(directory=write(tmp_path), image_set=image_set, actor=OPERATOR).study
    before = freeze(study)
    with pytest.raises(Conflict, match="The participant ann is here already, in study 'hmix'"):
        bring_in(before, image_set)
    rows = list(
        SourceRow.objects.filter(imported_by__study=study).order_by("row").values_list("values", flat=True)
    )
    _forget(study)
    bring_in(before, image_set)
    after = freeze(Study.objects.get(slug="again"))
    assert_the_same(before, after, "participant", "source_row")
    assert [json.loads(row) for row in after.table("responses")["source_row"].to_pylist()] == rows


def test_answers_with_their_published_flaws_come_back_in_every_interface(image_set, tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps(content()), "utf-8")
    import_cifar10s(file=tmp_path / "labels.json", image_set=image_set, actor=OPERATOR)
    import_hmix(directory=write(tmp_path), image_set=image_set, actor=OPERATOR)
    studies = list(Study.objects.all())
    releases = [freeze(study) for study in studies]
    for study in studies:
        _forget(study)
    for release in releases:
        bring_in(release, image_set, f"{release.name}-again")
        after = freeze(Study.objects.get(slug=f"{release.name}-again"))
        assert_the_same(release, after, "participant", "source_row")


@pytest.mark.parametrize("version", ["v0.1", "v0.2", "v0.3"])
def test_a_release_of_an_older_format_comes_in_and_simulated_answers_stay_simulated(
    settings, db, tmp_path, version, client
):
    with tarfile.open(UPGRADE / version / "release.tar.gz") as archive:
        archive.extractall(tmp_path / "kept", filter="data")
    before = open_release(next((tmp_path / "kept").iterdir()))
    pixels, classes_of, classes, splits = read_digits()
    digits = import_images(
        name="digits",
        kind="digits",
        images=pixels,
        labels=classes_of,
        classes=classes,
        splits=splits,
        actor=OPERATOR,
    )
    bring_in(before, digits, licence="CC-BY-SA-4.0")
    again = Study.objects.get(slug="again")
    assert (again.source, again.watermark) == (Source.SIMULATED, "simulated participants")
    assert all(one.source == Source.SIMULATED for one in again.participations.all())
    after = freeze(again)
    assert after.source == "simulated"
    said, origin = after.manifest, Import.objects.get(study=again).origin
    assert (said["licences"]["answers"], said["licences"]["imported"]) == ("CC-BY-SA-4.0", "CC-BY-SA-4.0")
    assert (said["licences"]["origin"]["answers"], said["creators"]) == (origin, [origin])
    assert said["collected"] == {"from": None, "to": None}
    was, became = (one.table("responses").to_pylist() for one in (before, after))
    same = (
        "key",
        "position",
        "repeat",
        "counted",
        "cannot_tell",
        "perceived_lambda",
        "confidence",
        "left",
        "rt_ms",
    )
    was, became = (
        sorted(rows, key=lambda row: (row["rt_ms"], row["key"], row["position"])) for rows in (was, became)
    )
    assert [[row[name] for name in same] for row in was] == [[row[name] for name in same] for row in became]
    assert [json.loads(row["payload"]) for row in was] == [json.loads(row["payload"]) for row in became]
    assert np.allclose(before.labels("human_lambda_shrunk"), after.labels("human_lambda_shrunk"), atol=1e-12)
    if version == "v0.3":
        over_quota = [one.table("participants")["over_quota"].to_pylist() for one in (before, after)]
        assert sorted(over_quota[0]) == sorted(over_quota[1])
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    for page in ("", "monitor/", "participations/"):
        assert client.get(f"/studies/again/{page}").status_code == 200


def test_a_dry_run_says_the_same_and_stores_nothing(make_study, larger_image_set):
    study = make_study(source=Source.PERSON)
    agreed(study)
    directory, dry, real = freeze(study).directory, StringIO(), StringIO()
    call_command(
        "import_release", directory, slug="again", images="pictures", json=True, dry_run=True, stdout=dry
    )
    assert (Study.objects.count(), Response.objects.count(), Import.objects.count()) == (1, 6, 0)
    call_command("import_release", directory, slug="again", images="pictures", json=True, stdout=real)
    assert json.loads(dry.getvalue()) == json.loads(real.getvalue()) | {"dry_run": True}
    (copied,) = (note for note in json.loads(dry.getvalue())["notes"] if "copy" in note)
    assert (
        copied
        == f"{study.slug}@1.0.0 was made here: it comes in as a copy of '{study.slug}', “{study.title}”."
    )
    with pytest.raises(CommandError, match="There is a study 'again' already"):
        call_command("import_release", directory, slug="again", images="pictures")


def test_a_release_is_refused_where_the_image_set_or_its_files_are_others(
    make_study, larger_image_set, tmp_path
):
    study = make_study(source=Source.PERSON)
    agreed(study)
    release = freeze(study)
    opened = larger_image_set.open()
    labels_of, pixels = np.array(opened.labels), np.array(opened.images)

    def other(name: str, **changed):
        said = {"images": pixels, "labels": labels_of, "classes": opened.classes, "splits": opened.splits}
        return import_images(name=name, kind="npz", actor=OPERATOR, **{**said, **changed})

    with pytest.raises(
        DataError, match="The release is about the classes airplane, bird, cat; image set 'beasts'"
    ):
        bring_in(release, other("beasts", classes=["ant", "bee", "cat"]))
    with pytest.raises(
        Refused, match=r"mixed_images, row 0: image set 'dark' mixes to other pixels"
    ) as refused:
        bring_in(release, other("dark", images=pixels // 2))
    assert refused.value.n == release.n
    with pytest.raises(Refused, match=r"is a (airplane|bird|cat), not a"):
        bring_in(release, other("turned", labels=(labels_of + 1) % 3))
    with pytest.raises(Refused, match="not in its training split"):
        bring_in(release, other("few", splits={"train": np.arange(3), "test": np.arange(3, 60)}))
    broken = tmp_path / "broken"
    shutil.copytree(release.directory, broken)
    (broken / "csv" / "responses.csv").write_text("nothing")
    with pytest.raises(DataError, match=r"csv/responses\.csv was changed"):
        bring_in(core_release.Release(broken, release.manifest), larger_image_set)
    researcher = User.objects.create_user("researcher", kind=User.Kind.RESEARCHER)
    with pytest.raises(Forbidden):
        bring_in(release, larger_image_set, actor=researcher)
    assert Study.objects.count() == 1


def _forget(study: Study) -> None:
    """As if these people had never been here."""
    for number, person in enumerate(study.participations.all()):
        Participation.objects.filter(pk=person.pk).update(public_id=f"gone{study.pk}-{number}")
