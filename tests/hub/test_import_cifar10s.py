"""Soft labels of plain images come in as a study in which every answer is another person's."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from elicitation.mixes.models import MixedImage
from elicitation.participants.models import Participation
from elicitation.studies.models import Source, Study
from elicitation.trials.given import answers_given
from elicitation.trials.models import Response
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import DataError, Refused
from hilmix.core.judgements import ClassMass
from hilmix.errors import Conflict, Forbidden
from hilmix.hub.importers.cifar10s import (
    LABELS,
    PUBLISHED,
    SECOND_MORE,
    TABLE,
    UNKNOWN_PEOPLE,
    import_cifar10s,
)
from hilmix.hub.importers.hmix_tables import CHOSEN_AND_EXCLUDED, OVER_100
from hilmix.hub.models import SourceRow
from hilmix.jobs.progress import JobCancelled
from tests.hub.importing import Stopping


def said(
    most: str, percent: float, second: str = "No", second_percent: float | None = None, *impossible: str
):
    return {
        "Most Probable Class": most,
        "Most Probable Class Prob": percent,
        "Second Most Probable Class": second,
        "Second Most Probable Class Prob": second_percent,
        "Impossible Class(es)": list(impossible),
    }


def content() -> dict[str, Any]:
    """Two images of three classes; the published labels of the first are in another order than its answers."""
    return {
        "0": {
            "elicited": [said("Airplane", 60.0, "Bird", 20.0), said("Cat", 100.0, "No", None, "Bird")],
            LABELS: [[0.1, 0.0, 0.9], [0.6, 0.2, 0.2]],
        },
        "4": {"elicited": [said("bird", 100.0, "Cat", 20.0, "Cat"), said("Cat", 30.0, "Bird", 70.0)]},
    }


def write(directory: Path, value: Any) -> Path:
    path = directory / "labels.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def bring_in(directory: Path, image_set, value: Any = None, **options: Any):
    file = write(directory, content() if value is None else value)
    return import_cifar10s(file=file, image_set=image_set, actor=OPERATOR, **options)


def assert_nothing_was_imported() -> None:
    for model in (Study, Participation, Response, MixedImage, SourceRow):
        assert not model.objects.exists()


def test_every_answer_is_about_a_plain_image_and_counts_as_another_person(image_set, tmp_path):
    report = bring_in(tmp_path, image_set)
    study = Study.objects.get(slug="cifar10s")
    assert (study.state, study.source) == (Study.State.CLOSED, Source.IMPORTED)
    assert (report.participants, report.responses, report.mixed_images) == (4, 4, 2)
    assert UNKNOWN_PEOPLE in report.notes
    given = list(answers_given(study, study.participations.all()))
    assert len({one.participation_id for one in given}) == 4
    assert {(one.pair.first_index, one.pair.second_index, one.lambda_e4) for one in given} == {
        (0, 0, 10_000), (4, 4, 10_000),
    }  # fmt: skip
    assert [one.judgement for one in given] == [
        ClassMass(((0, 0.6), (1, 0.2)), frozenset()),
        ClassMass(((2, 1.0),), frozenset({1})),
        ClassMass(((1, 1.0), (2, 0.2)), frozenset({2})),
        ClassMass(((2, 0.3), (1, 0.7)), frozenset()),
    ]


def test_flaws_are_reported_and_kept(image_set, tmp_path):
    flaws = {(one["table"], one["row"], one["flaw"]) for one in bring_in(tmp_path, image_set).flaws}
    assert flaws == {(TABLE, 2, OVER_100), (TABLE, 2, CHOSEN_AND_EXCLUDED), (TABLE, 3, SECOND_MORE)}


@pytest.mark.parametrize(
    "published",
    [
        [[0.6, 0.2, 0.2]],
        [[0.6, 0.2, 0.2], [0.6, 0.2, 0.2]],
        [[0.1, 0.0, 0.9], [0.6, 0.2, 0.3]],
        "none",
        [[0.1, 0.9], [0.6, 0.4]],
    ],
)
def test_published_labels_that_the_recipe_does_not_make_are_a_flaw_of_their_image(
    image_set, tmp_path, published
):
    value = content()
    value["0"][LABELS] = published
    (flaw,) = [one for one in bring_in(tmp_path, image_set, value).flaws if one["table"] == PUBLISHED]
    assert (flaw["row"], "image 0" in flaw["flaw"]) == (0, True)


def test_answers_and_published_labels_are_kept_verbatim(image_set, tmp_path):
    bring_in(tmp_path, image_set)
    answers = SourceRow.objects.filter(table=TABLE).order_by("row")
    assert [row.values for row in answers] == [
        {"image": image, "elicited": one}
        for image, said_of in content().items()
        for one in said_of["elicited"]
    ]
    (labels,) = SourceRow.objects.filter(table=PUBLISHED)
    assert (labels.values, labels.response) == ({"image": "0", LABELS: content()["0"][LABELS]}, None)


def test_the_page_of_the_study_opens(image_set, tmp_path, client):
    bring_in(tmp_path, image_set, slug="plain")
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    somebody = Participation.objects.order_by("pk")[0].public_id
    for page in ("", "monitor/", f"participations/{somebody}/"):
        assert client.get(f"/studies/plain/{page}").status_code == 200
    assert "60% airplane, 20% bird" in client.get(f"/studies/plain/participations/{somebody}/").text


def test_the_command_tries_and_then_imports(image_set, tmp_path):
    path, dry, real = write(tmp_path, content()), StringIO(), StringIO()
    call_command("import_cifar10s", path, images="pictures", json=True, dry_run=True, stdout=dry)
    assert_nothing_was_imported()
    call_command("import_cifar10s", path, images="pictures", json=True, stdout=real)
    assert json.loads(dry.getvalue()) == json.loads(real.getvalue()) | {"dry_run": True}
    assert json.loads(real.getvalue())["responses"] == 4
    with pytest.raises(CommandError, match="There is a study 'cifar10s' already"):
        call_command("import_cifar10s", path, images="pictures")


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        ({"Most Probable Class": "Dog"}, "Most Probable Class", "has no class 'Dog'"),
        ({"Most Probable Class": None}, "Most Probable Class", "has no class 'None'"),
        ({"Most Probable Class Prob": 101}, "Most Probable Class Prob", "not a number from 0 to 100"),
        ({"Most Probable Class Prob": "60"}, "Most Probable Class Prob", "not a number from 0 to 100"),
        ({"Second Most Probable Class Prob": None}, "Second Most Probable Class Prob", "is None, not a number"),
        ({"Impossible Class(es)": "Cat"}, "Impossible Class(es)", "not a list of classes"),
        ({"Impossible Class(es)": ["Cow"]}, "Impossible Class(es)", "has no class 'Cow'"),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_understood_is_named_and_nothing_is_imported(
    image_set, tmp_path, change, column, message
):
    value = content()
    value["0"]["elicited"][0] |= change
    with pytest.raises(Refused) as refused:
        bring_in(tmp_path, image_set, value)
    (error,) = refused.value.errors
    assert (error["row"], error["column"]) == (0, column)
    assert message in error["problem"]
    assert "answer 0 to image 0" in error["problem"]
    assert_nothing_was_imported()


def test_an_answer_may_say_anything_more_also_under_our_own_names(image_set, tmp_path):
    value = content()
    value["0"]["elicited"][0]["image"] = "mine"
    assert bring_in(tmp_path, image_set, value).responses == 4
    row = SourceRow.objects.get(table=TABLE, row=0)
    assert (row.values["image"], row.values["elicited"]["image"]) == ("0", "mine")


@pytest.mark.parametrize("more", ["NaN", "Infinity", "1e999", '"\\u0000"', '"\\ud800"', "[" * 30 + "]" * 30])
def test_what_no_database_keeps_is_refused_where_it_stands(image_set, tmp_path, more):
    text = json.dumps(content()).replace('"elicited":', f'"more": {more}, "elicited":', 1)
    path = tmp_path / "labels.json"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match="not readable as JSON"):
        import_cifar10s(file=path, image_set=image_set, actor=OPERATOR)
    assert_nothing_was_imported()


def test_an_image_that_is_named_twice_is_refused(image_set, tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content()).replace('"4":', '"0":'), "utf-8")
    with pytest.raises(DataError, match="a name is there twice"):
        import_cifar10s(file=path, image_set=image_set, actor=OPERATOR)
    for twice in ("00", "٠", "9" * 5000):
        with pytest.raises(Refused, match="is no position of an image"):
            bring_in(tmp_path, image_set, {**content(), twice: content()["0"]})
    assert_nothing_was_imported()


def test_an_import_that_should_stop_stops_and_leaves_nothing(image_set, tmp_path):
    with pytest.raises(JobCancelled):
        bring_in(tmp_path, image_set, progress=Stopping())
    assert_nothing_was_imported()


def test_every_wrong_answer_is_named_at_once(image_set, tmp_path):
    value = {
        "9": content()["0"],
        "99": content()["4"],
        "0": {"elicited": [{}]},
        "x": {"elicited": [said("Cat", 1)]},
    }
    with pytest.raises(Refused) as refused:
        bring_in(tmp_path, image_set, value)
    problems = [one["problem"] for one in refused.value.errors]
    assert [one["row"] for one in refused.value.errors] == [0, 1, 2, 3, 4, 5]
    for problem, said_so in zip(
        problems, ["training split"] * 2 + ["none at 99"] * 2 + ["missing", "no pos"], strict=True
    ):
        assert said_so in problem
    assert_nothing_was_imported()


@pytest.mark.parametrize("value", [[], {}, {"0": []}, {"0": {"elicited": []}}, {"0": {"elicited": {}}}, 7])
def test_a_file_of_another_shape_is_refused(image_set, tmp_path, value):
    with pytest.raises(DataError, match="does not say of each image what was “elicited”"):
        import_cifar10s(file=write(tmp_path, value), image_set=image_set, actor=OPERATOR)


def test_what_is_no_json_or_brought_by_somebody_else_is_refused(image_set, tmp_path):
    path = tmp_path / "labels.json"
    with pytest.raises(DataError, match="There is no file"):
        import_cifar10s(file=path, image_set=image_set, actor=OPERATOR)
    path.write_bytes(b"\xff{")
    with pytest.raises(DataError, match="not readable as JSON"):
        import_cifar10s(file=path, image_set=image_set, actor=OPERATOR)
    researcher = User.objects.create_user("researcher", kind=User.Kind.RESEARCHER)
    write(tmp_path, content())
    with pytest.raises(Forbidden):
        import_cifar10s(file=path, image_set=image_set, actor=researcher)
    assert_nothing_was_imported()


def test_the_same_answers_do_not_come_in_twice_under_one_name(image_set, tmp_path):
    bring_in(tmp_path, image_set)
    with pytest.raises(Conflict, match="There is a study 'cifar10s' already"):
        bring_in(tmp_path, image_set)


def test_the_same_answers_do_not_come_in_twice_under_another_name_either(image_set, tmp_path):
    bring_in(tmp_path, image_set)
    with pytest.raises(Conflict, match="is here already, in study 'cifar10s'"):
        bring_in(tmp_path, image_set, dict(reversed(content().items())), slug="another")
    others = {image: {"elicited": said_of["elicited"][:1]} for image, said_of in content().items()}
    assert bring_in(tmp_path, image_set, others, slug="another").responses == 2
