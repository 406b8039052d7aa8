from __future__ import annotations

import csv
import json
import re
from collections import Counter
from datetime import UTC, datetime
from html import unescape
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from elicitation.images.services import import_images
from elicitation.mixes.models import MixedImage, Pair
from elicitation.mixes.services import pixels_of
from elicitation.participants.models import Participation
from elicitation.studies.models import Source, Study
from elicitation.trials.given import answers_given
from elicitation.trials.models import Response, Trial
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import create_token
from hilmix.core.errors import DataError, Refused
from hilmix.core.judgements import ClassMass, PerceivedLambda, PerceivedMidpoint
from hilmix.core.mixing import mix
from hilmix.errors import Conflict, Forbidden
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.importers.hmix_tables import (
    ACCUMULATED,
    ASKED_AGAIN,
    BOTH_UNTOUCHED,
    CATEGORICAL,
    CHOSEN_AND_EXCLUDED,
    CHOSEN_TWICE,
    CONFIDENCE_UNTOUCHED,
    CONSTRUCT,
    GRID_UNKNOWN,
    INFER,
    INSTRUCTION_CUT,
    MIXING_UNTOUCHED,
    NO_ALTERNATIVE_PERCENT,
    NOT_SHOWN,
    OVER_100,
    REPEAT_FAR,
    REVERSED,
    SELECT,
    TABLES,
)
from hilmix.hub.models import Import, SourceRow
from hilmix.jobs.progress import JobCancelled
from tests.hub.hmix_files import (
    ONE,
    TWO,
    categorical_row,
    construct_row,
    infer_row,
    published_rows,
    rows_of,
    said,
    select_row,
    write,
    write_table,
)
from tests.hub.importing import Stopping

SLUGS = {table: table.slug for table in TABLES}


def bring_in(directory, image_set, **options):
    return import_hmix(directory=directory, image_set=image_set, actor=OPERATOR, **options)


def flaws_in(report, table) -> set[tuple[int | None, str]]:
    """The flaws of single rows, and those of a whole table but how often its units were answered."""
    found = {(flaw["row"], flaw["flaw"]) for flaw in report.flaws if flaw["table"] == table.name}
    return {(row, flaw) for row, flaw in found if row is not None or "vary" not in flaw}


def judgements(slug: str) -> list[tuple[str, bool, object]]:
    study = Study.objects.get(slug=slug)
    names = dict(study.participations.values_list("pk", "public_id"))
    given = answers_given(study, study.participations.all())
    return [(names[one.participation_id], one.repeat, one.judgement) for one in given]


def assert_nothing_was_imported() -> None:
    for model in (Study, Participation, Trial, Response, Pair, MixedImage, Import, SourceRow):
        assert not model.objects.exists()


# --- what comes in


def test_each_published_table_becomes_a_closed_study_of_imported_answers(image_set, tmp_path):
    report = bring_in(write(tmp_path), image_set)
    assert [study.slug for study in report.studies] == list(SLUGS.values())
    counts = {
        name: (one.participants, one.responses, one.mixed_images, one.source_rows)
        for name, one in report.tables.items()
    }
    assert counts == {
        INFER.name: (3, 7, 4, 7),
        SELECT.name: (2, 5, 22, 5),
        CONSTRUCT.name: (2, 4, 22, 4),
        CATEGORICAL.name: (2, 3, 2, 5),
    }
    assert (report.participants, report.responses) == (9, 19)
    assert report.mixed_images == MixedImage.objects.count() == 24  # two pairs at eleven λ, and two more
    for study in Study.objects.all():
        assert (study.state, study.source, study.image_set) == (
            Study.State.CLOSED,
            Source.IMPORTED,
            image_set,
        )
        assert study.protocol.frozen_at is not None
        assert study.protocol.content["design"]["method"] == "hmix@1"
        assert set(study.participations.values_list("source", "state")) == {("imported", "completed")}
        assert AuditEvent.objects.filter(action="study.imported", object_id=str(study.pk)).exists()
        (condition,) = study.conditions.all()
        assert (condition.content["perspective"], condition.content["wording"]) == ("100 others", {})
    assert Import.objects.values("together").distinct().count() == 1


def test_batches_are_those_of_the_published_conditions(image_set, tmp_path):
    study = bring_in(write(tmp_path), image_set).study
    batches = [
        set(batch.units.values_list("mixed_image__lambda_e4", flat=True)) for batch in study.batches.all()
    ]
    assert sorted(batches, key=min) == [{1000, 9000}, {2500, 5000}]
    positions = Trial.objects.filter(participation__public_id="ben").values_list(
        "position", "kind", "response__rt_ms"
    )
    assert list(positions) == [(0, "main", 36000), (1, "main", 36000), (2, "repeat", 36000)]


def test_answers_say_what_they_said_when_they_were_published(image_set, tmp_path):
    bring_in(write(tmp_path), image_set)
    assert judgements("hmix")[:2] == [
        ("ann", False, PerceivedLambda(1 - 80 / 100, 0.9)),
        ("ann", False, PerceivedLambda(1 - 50 / 100, 0.5)),
    ]
    assert judgements("hmix-select") == [
        ("dan", False, PerceivedMidpoint(0.5)),
        ("dan", False, PerceivedMidpoint(0.3)),
        ("dan", True, PerceivedMidpoint(0.4)),
        ("eve", False, PerceivedMidpoint(0.6)),
        ("eve", False, PerceivedMidpoint(1.0)),
    ]
    assert judgements("hmix-construct") == [  # with the side from which the person came to it
        ("fay", False, PerceivedMidpoint(0.5, "low")),
        ("fay", False, PerceivedMidpoint(1.0, "high")),
        ("fay", True, PerceivedMidpoint(0.8, "low")),
        ("gus", False, PerceivedMidpoint(0.0, "high")),
    ]
    assert judgements("hmix-categorical") == [
        ("hal", False, ClassMass(((0, 0.6), (1, 0.2)), frozenset({2}))),
        ("hal", False, ClassMass(((2, 1.0),), frozenset({1}))),
        ("ida", False, ClassMass(((1, 0.9), (2, 0.4)), frozenset({2}))),
    ]


def test_people_were_shown_the_published_pixels_of_a_pair_at_every_step(image_set, tmp_path):
    bring_in(write(tmp_path), image_set)
    opened = image_set.open()
    for mixed_image in MixedImage.objects.select_related("pair"):
        pair = mixed_image.pair
        parents = opened.images[pair.first_index], opened.images[pair.second_index]
        assert mixed_image.method == "hmix@1"
        assert np.array_equal(pixels_of(mixed_image, opened), mix(*parents, mixed_image.lambda_e4, "hmix@1"))
    trial = Trial.objects.filter(participation__public_id="gus").get()
    shown = trial.images.values_list("mixed_image__lambda_e4", flat=True)
    assert (list(shown), trial.params) == (list(range(0, 10_001, 1000)), {"left": None, "start": "high"})


def test_source_rows_are_kept_verbatim_also_those_of_other_screens(image_set, tmp_path):
    bring_in(write(tmp_path), image_set)
    for table in TABLES:
        kept = SourceRow.objects.filter(table=table.name).order_by("row")
        assert [row.values for row in kept] == rows_of(table)
        told = [row.values["task"] != "" for row in kept]
        assert [row.response is not None for row in kept] == told
    with_answer = SourceRow.objects.filter(response__isnull=False).select_related(
        "response__trial__participation"
    )
    assert all(row.response.trial.participation.public_id == row.values["subject"] for row in with_answer)


def test_pages_of_every_imported_study_open_and_there_are_no_words_to_change(image_set, tmp_path, client):
    bring_in(write(tmp_path), image_set)
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    for table in TABLES:
        somebody = next(row["subject"] for row in rows_of(table))
        for page in ("", "monitor/", "participations/", f"participations/{somebody}/"):
            assert client.get(f"/studies/{table.slug}/{page}").status_code == 200, (table.slug, page)
        assert "published answers" in client.get(f"/studies/{table.slug}/").text
        assert client.get(f"/studies/{table.slug}/texts/").status_code == 404


def test_pages_of_an_imported_study_state_nothing_that_was_not_published(image_set, tmp_path, client):
    bring_in(write(tmp_path), image_set)
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    page = client.get("/studies/hmix/").text
    said = dict(re.findall("<dt>([^<]*)</dt><dd>([^<]*)</dd>", page))
    unknown = ("Left", "Language", "Display", "Times", "Class pairs", "Comprehension check", "Breaks")
    assert {said[name] for name in unknown} == {"not known"}
    assert (said["Perspective"], said["Left out of labels"]) == ("100 others", "nobody by a rule")
    of_the_import = datetime(2001, 2, 3, tzinfo=UTC)
    Participation.objects.update(started_at=of_the_import)
    Response.objects.update(received_at=of_the_import)
    response = Response.objects.filter(trial__participation__public_id="ann").first()
    lineage = reverse("lineage", args=["response", response.pk])
    pages = ["participations/", "participations.csv", "participations/ann/", "responses/", "monitor/"]
    for address in (*(f"/studies/hmix/{page}" for page in pages), lineage):
        reply = client.get(address)
        assert reply.status_code == 200
        assert "2001" not in reply.text
    monitor = client.get("/studies/hmix/monitor/").text
    for words in ("Update every 30 seconds", "Last answer", "have the code"):
        assert words not in monitor


def test_the_page_and_the_api_of_an_imported_study_say_where_it_came_from(image_set, tmp_path, client):
    bring_in(write(tmp_path), image_set, licence="CC-BY-4.0")
    admin = User.objects.create_user("admin", kind=User.Kind.ADMIN)
    client.force_login(admin)
    page = client.get("/studies/hmix/").text.partition("Where it came from")[2].partition("</section>")[0]
    assert "CC-BY-4.0" in page
    (imported,) = Import.objects.filter(study__slug="hmix")
    assert imported.origin in page
    assert all(flaw["flaw"] in unescape(page) for flaw in imported.flaws)
    address = reverse("source_rows", args=["hmix"])
    assert address in page
    head, *rows = csv.reader(StringIO(client.get(address).text))
    stored = SourceRow.objects.filter(imported_by=imported).order_by("table", "row")
    assert head == ["table", "row", *stored[0].values]
    assert [row[2:] for row in rows] == [list(one.values.values()) for one in stored]
    token = {"Authorization": f"Token {create_token(person=admin, name='t', scope='read')}"}
    (told,) = client.get("/api/v1/studies/hmix/imports/", headers=token).json()["results"]
    assert (told["licence"], told["origin"], told["n_rows"]) == ("CC-BY-4.0", imported.origin, len(rows))
    assert told["together"] == [slug for slug in SLUGS.values() if slug != "hmix"]
    assert {odd["flaw"] for odd in told["odd"]} == {flaw["flaw"] for flaw in imported.flaws} != set()


def test_an_imported_participation_is_shown_and_what_perhaps_cannot_tell_is_named(
    image_set, tmp_path, client
):
    bring_in(write(tmp_path), image_set)
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    ann = client.get("/studies/hmix/participations/ann/")
    says = [(one.says, [str(flag) for flag in one.flags]) for one in ann.context["passage"].trials]
    doubtful = "perhaps could not tell: half and half, and not sure of it"
    assert says == [
        ("20% airplane, 80% bird; 90% sure", []),
        ("50% airplane, 50% cat; 50% sure", ["answered without touching the controls", doubtful]),
    ]
    assert doubtful not in client.get("/studies/hmix/participations/ben/").text
    assert "1 answer perhaps could not tell" in client.get("/studies/hmix/monitor/").text


# --- flaws


def test_flaws_are_reported_by_row_and_nothing_is_repaired(image_set, tmp_path):
    report = bring_in(write(tmp_path), image_set)
    assert flaws_in(report, INFER) == {
        (1, MIXING_UNTOUCHED), (1, CONFIDENCE_UNTOUCHED), (1, BOTH_UNTOUCHED), (2, MIXING_UNTOUCHED),
        (3, CONFIDENCE_UNTOUCHED), (3, REVERSED), (4, REPEAT_FAR.format("20 points")),
    }  # fmt: skip
    assert flaws_in(report, SELECT) == {(4, ASKED_AGAIN), (None, GRID_UNKNOWN), (None, INSTRUCTION_CUT)}
    assert flaws_in(report, CONSTRUCT) == {
        (0, ACCUMULATED), (1, NOT_SHOWN[10_000]), (2, REPEAT_FAR.format("0.1")), (3, NOT_SHOWN[0]),
    }  # fmt: skip
    assert flaws_in(report, CATEGORICAL) == {
        (2, OVER_100), (2, NO_ALTERNATIVE_PERCENT), (4, OVER_100), (4, CHOSEN_AND_EXCLUDED),
    }  # fmt: skip
    kept = [flaw for one in Import.objects.order_by("pk") for flaw in one.flaws]
    assert kept == report.flaws
    assert Response.objects.count() == 19


def test_a_class_chosen_twice_is_a_flaw_too(image_set, tmp_path):
    rows = [categorical_row("hal", ONE, "0.25", said("Bird", 60, "Bird", 30))]
    report = bring_in(write(tmp_path, rows, CATEGORICAL), image_set)
    assert flaws_in(report, CATEGORICAL) == {(0, CHOSEN_TWICE)}


def test_a_step_of_one_place_between_answer_and_repeat_is_no_flaw(image_set, tmp_path):
    rows = [
        construct_row("fay", ONE, "0.1", "0.5"),
        construct_row("fay", TWO, "0.1", "0.5"),
        construct_row("fay", ONE, "0.1", "0.6", repeat=True),
    ]
    assert flaws_in(bring_in(write(tmp_path, rows, CONSTRUCT), image_set), CONSTRUCT) == set()


# --- the command


def test_the_command_prints_totals_and_the_same_of_each_table_as_json(image_set, tmp_path):
    out = StringIO()
    call_command("import_hmix", write(tmp_path), images="pictures", json=True, stdout=out)
    printed = json.loads(out.getvalue())
    assert [printed[key] for key in ("study", "participants", "responses", "mixed_images")] == [
        "hmix",
        9,
        19,
        24,
    ]
    assert Counter(flaw["flaw"] for flaw in printed["flaws"])[MIXING_UNTOUCHED] == 2
    assert set(printed["tables"]) == {table.name for table in TABLES}
    for table in TABLES:
        of_table = printed["tables"][table.name]
        keys = {"study", "participants", "responses", "mixed_images", "flaws"}
        assert keys <= of_table.keys() & printed.keys()
        assert of_table["study"] == table.slug
    assert sum(one["responses"] for one in printed["tables"].values()) == printed["responses"]
    assert [flaw for one in printed["tables"].values() for flaw in one["flaws"]] == printed["flaws"]


def test_the_command_gives_the_studies_to_who_is_named(image_set, tmp_path):
    owner = User.objects.create_user("rosa")
    directory = write(tmp_path)
    with pytest.raises(CommandError, match=r"There is no person 'nobody'\. People here: rosa"):
        call_command("import_hmix", directory, images="pictures", owner="nobody")
    call_command("import_hmix", directory, images="pictures", owner="rosa", dry_run=True)
    assert_nothing_was_imported()
    call_command("import_hmix", directory, images="pictures", owner="rosa")
    assert set(Study.objects.visible_to(owner).values_list("slug", flat=True)) == set(SLUGS.values())


def test_the_command_says_in_words_what_came_in(image_set, tmp_path):
    out = StringIO()
    call_command("import_hmix", write(tmp_path), images="pictures", stdout=out)
    assert "Study 'hmix': 3 participants, 7 responses, 4 mixed images" in out.getvalue()
    assert "Together 9 participants, 19 responses" in out.getvalue()
    with pytest.raises(CommandError, match="There is a study 'hmix' already"):
        call_command("import_hmix", tmp_path, images="pictures", stdout=out)
    with pytest.raises(CommandError, match=r"no image set 'cifar'\. Image sets here: pictures"):
        call_command("import_hmix", tmp_path, images="cifar")


def test_a_dry_run_says_the_same_and_stores_nothing(image_set, tmp_path):
    dry, real = StringIO(), StringIO()
    call_command("import_hmix", write(tmp_path), images="pictures", json=True, dry_run=True, stdout=dry)
    assert_nothing_was_imported()
    assert not AuditEvent.objects.filter(action__startswith="study.").exists()
    call_command("import_hmix", tmp_path, images="pictures", json=True, stdout=real)
    assert json.loads(dry.getvalue()) == json.loads(real.getvalue()) | {"dry_run": True}


# --- what is refused


def test_importing_twice_is_refused_and_changes_nothing(image_set, tmp_path):
    bring_in(write(tmp_path), image_set)
    with pytest.raises(Conflict, match="Nothing was changed"):
        bring_in(tmp_path, image_set)
    assert (Study.objects.count(), Response.objects.count(), SourceRow.objects.count()) == (4, 19, 21)


def test_only_an_admin_may_import(image_set, tmp_path):
    researcher = User.objects.create_user("researcher", kind=User.Kind.RESEARCHER)
    with pytest.raises(Forbidden):
        import_hmix(directory=write(tmp_path), image_set=image_set, actor=researcher)
    assert_nothing_was_imported()


def changed(parents, share="0.5"):
    return infer_row("ann", parents, share, 10, 10)


def of_pair(**cells):
    return {**construct_row("fay", ONE, "0.1", "0.5"), **cells}


def categorical(response):
    return {**categorical_row("ida", ONE, "0.25", {}), "response": json.dumps(response)}


@pytest.mark.parametrize(
    ("table", "change", "column", "message"),
    [
        (INFER, {"responses": '{"mixingcoeff":120,"confidence":50}'}, "responses", "mixingcoeff is 120, not a whole"),
        (INFER, {"responses": '{"mixingcoeff":12}'}, "responses", "confidence is None"),
        (INFER, {"responses": '{"mixingcoeff":true,"confidence":50}'}, "responses", "mixingcoeff is True"),
        (INFER, {"responses": "{"}, "responses", "responses is no JSON object: '{'"),
        (INFER, {"mixtureCoeff": "0.123456"}, "mixtureCoeff", "mixtureCoeff: '0.123456' is no λ"),
        (INFER, {"id1": "3.5"}, "id1", "id1 is '3.5', not a whole number"),
        (INFER, {"id1": "one"}, "id1", "id1 is 'one', not a number"),
        (INFER, {"rt": "nan"}, "rt", "rt is 'nan'"),
        (INFER, {"subject": ""}, "subject", "subject is empty"),
        (INFER, {"subject": "a/b c"}, "subject", "no name of 1 to 15 letters"),
        (INFER, {"subject": "a" * 16}, "subject", "no name of 1 to 15 letters"),
        (INFER, {"responses": "[" * 100_000}, "responses", "no JSON object"),
        (INFER, {"rt": "2147483648"}, "rt", "not a number of at least 0"),
        (INFER, {"view_history": "a\0b"}, "view_history", "view_history holds a NUL"),
        (SELECT, {"class_pair": f"Airplane_{'9' * 5000}_Bird_1"}, "class_pair", "not CLASS_NUMBER"),
        (INFER, {"id1": "6.0"}, "filename", "filename is 'mixed_0.5_Airplane_3_Cat_2.png', but the other"),
        (INFER, {"task": "rerun_rate_mixture"}, "task", "a repeat of mixed_0.5_Airplane_3_Cat_2.png without"),
        (INFER, changed(ONE, "0.25"), "filename", "ann answers mixed_0.25_Airplane_0_Bird_1.png twice"),
        (INFER, changed(("Airplane", 12, "Cat", 2)), "id1", "has 12 images, none at 12"),
        (INFER, changed(("Dog", 3, "Cat", 2)), "id1", "no class 'Dog', only airplane, bird, cat"),
        (INFER, changed(("Airplane", 4, "Cat", 2)), "id1", "image 4 of image set 'pictures' is a bird, not a Airplane"),
        (INFER, changed(("Airplane", 9, "Cat", 2)), "id1", "Image 9 of image set 'pictures' is not in its training"),
        (INFER, changed(TWO, "0.33"), "mixtureCoeff", "hmix@1 is defined for λ = 0.0"),
        (SELECT, select_row("eve", TWO, "0.25"), "response", "names a picture that was not in the grid"),
        (SELECT, {"response": '{"select": 5}'}, "response", "'5' is no λ"),
        (SELECT, {"class_pair": "Airplane_0_Bird"}, "class_pair", "class_pair is 'Airplane_0_Bird', not CLASS_NUMBER"),
        (CONSTRUCT, of_pair(final_value="0.55"), "final_value", "no step of 0.1 from 0 to 1"),
        (CONSTRUCT, of_pair(final_value="1.1"), "final_value", "no step of 0.1 from 0 to 1"),
        (CONSTRUCT, of_pair(start_value="0.5"), "start_value", "neither 0.1 nor 0.9"),
        (CATEGORICAL, categorical(said("Dog", 50)), "response", "no class 'Dog'"),
        (CATEGORICAL, categorical(said("Bird", "")), "response", "prob is '', not a whole number"),
        (CATEGORICAL, categorical(said("Bird", 50, "Cat")), "response", "prob2 is '', not a whole number"),
        (CATEGORICAL, categorical({"prob": "50"}), "response", "response says None, not mostProb and a class"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_understood_is_named_and_nothing_is_imported(
    image_set, tmp_path, table, change, column, message
):
    rows = rows_of(table)
    rows[1] = {**rows[1], **change}
    with pytest.raises(Refused) as refused:
        bring_in(write(tmp_path, rows, table), image_set)
    (error,) = refused.value.errors
    assert (error["table"], error["row"], error["column"]) == (table.name, 1, column)
    assert message in error["problem"]
    assert f"{table.name}, row 1: {error['problem']}" in str(refused.value)
    assert_nothing_was_imported()


def test_every_wrong_row_of_every_table_is_named_at_once(image_set, tmp_path):
    for table, cell in ((INFER, "id1"), (CONSTRUCT, "final_value")):
        rows = [row | {cell: "much"} if number % 2 else row for number, row in enumerate(rows_of(table))]
        write_table(write(tmp_path) if table is INFER else tmp_path, table, rows)
    out, said_wrong = StringIO(), StringIO()
    with pytest.raises(CommandError, match=r"and 2 more rows\) Nothing was stored"):
        call_command("import_hmix", tmp_path, images="pictures", json=True, stdout=out)
    errors = json.loads(out.getvalue())["errors"]
    assert [(one["table"], one["row"], one["column"]) for one in errors] == [
        *((INFER.name, row, "id1") for row in (1, 3, 5)),
        *((CONSTRUCT.name, row, "final_value") for row in (1, 3)),
    ]
    with pytest.raises(CommandError):
        call_command("import_hmix", tmp_path, images="pictures", dry_run=True, stderr=said_wrong)
    assert len(said_wrong.getvalue().splitlines()) == 5
    assert_nothing_was_imported()


def test_a_file_that_is_not_the_published_table_is_refused(image_set, tmp_path):
    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            bring_in(tmp_path, image_set)

    refused("There is no hmix_infer_mixing_factor.csv")
    write(tmp_path)
    (tmp_path / f"{SELECT.name}.csv").unlink()
    refused("There is no hmix_select_shuffled_midpoint.csv")
    write_table(
        write(tmp_path), INFER, published_rows(), [name for name in INFER.header if name != "responses"]
    )
    refused("has no column 'responses'")
    write_table(write(tmp_path), INFER, published_rows(), [*INFER.header, "rt"])
    refused("has the column 'rt' twice")
    write(tmp_path, [])
    refused("has no rows")
    path = write(tmp_path) / f"{INFER.name}.csv"
    path.write_text(path.read_text("utf-8") + "too,few\n", "utf-8")
    refused("row 7: it has another number of cells")
    path.write_bytes(b"\xff\xfe\x00")
    refused("not a readable csv file|has no column")
    assert_nothing_was_imported()


def test_an_image_set_of_other_classes_is_refused(db, tmp_path):
    digits = import_images(
        name="digits", kind="npz", images=np.zeros((4, 2, 2, 1), np.uint8), labels=np.array([0, 1, 0, 1]),
        classes=["0", "1"], splits={"train": np.arange(4)}, actor=OPERATOR,
    )  # fmt: skip
    with pytest.raises(DataError, match="row 0: image set 'digits' has no class 'Airplane', only 0, 1"):
        bring_in(write(tmp_path), digits)
    assert_nothing_was_imported()


def test_people_who_are_here_already_are_not_imported_again(image_set, tmp_path):
    bring_in(write(tmp_path), image_set)
    for study in Study.objects.all():
        Study.objects.filter(pk=study.pk).update(slug=f"my-{study.slug}")
    with pytest.raises(Conflict, match="The participant ann is here already, in study 'my-hmix'"):
        bring_in(tmp_path, image_set)
    assert Study.objects.count() == 4


def test_an_import_that_should_stop_stops_in_the_middle_of_it_and_leaves_nothing(image_set, tmp_path):
    progress = Stopping()
    with pytest.raises(JobCancelled):
        bring_in(write(tmp_path), image_set, progress=progress)
    assert progress.said[-1] == (0, 7, f"{INFER.name}: answers")
    assert_nothing_was_imported()


def test_a_failure_in_the_middle_leaves_nothing(image_set, tmp_path, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(SourceRow.objects, "bulk_create", fail)
    with pytest.raises(RuntimeError):
        bring_in(write(tmp_path), image_set)
    assert_nothing_was_imported()
