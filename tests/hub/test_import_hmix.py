from __future__ import annotations

import csv
import json
from collections import Counter
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from elicitation.images.services import import_images
from elicitation.mixes.models import MixedImage, Pair
from elicitation.mixes.services import pixels_of
from elicitation.participants.models import Participation
from elicitation.studies.models import Source, Study
from elicitation.trials.models import Response, Trial
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import DataError
from hilmix.core.mixing import mix
from hilmix.errors import Conflict, Forbidden
from hilmix.hub.answers import Answers
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.importers.hmix_tables import BOTH_UNTOUCHED, CONFIDENCE_UNTOUCHED, MIXING_UNTOUCHED, REVERSED
from hilmix.hub.labels import label_sets_of, units_of
from hilmix.hub.models import Import, SourceRow

# The header of the published table, its nameless first column included.
HEADER = [
    "", "index", "trial_type", "trial_index", "time_elapsed", "subject", "study_id", "condition", "rt", "url",
    "view_history", "response", "question_order", "success", "timeout", "failed_images", "failed_audio",
    "failed_video", "responses", "filename", "task", "subj_id", "label1", "label2", "mixtureCoeff",
    "id1", "id2",
    "class_pair",
]  # fmt: skip
TABLE = "hmix_infer_mixing_factor"


def published_row(
    subject: str,
    parents: tuple[str, int, str, int],
    share: str,
    mixing: object,
    confidence: object,
    *,
    repeat: bool = False,
    condition: str = "7",
) -> dict[str, str]:
    first, id1, second, id2 = parents
    row = dict.fromkeys(HEADER, "")
    row.update(
        subject=subject,
        condition=condition,
        rt="35999.5",
        trial_type="multiple-slider",
        question_order="[0,1]",
        responses=json.dumps({"mixingcoeff": mixing, "confidence": confidence}, separators=(",", ":")),
        filename=f"mixed_{share}_{first}_{id1}_{second}_{id2}.png",
        task="rerun_rate_mixture" if repeat else "rate_mixture",
        label1=first,
        label2=second,
        mixtureCoeff=share,
        id1=f"{id1}.0",
        id2=f"{id2}.0",
        class_pair=f"{first}_{id1}_{second}_{id2}.png",
    )
    return row


ONE, TWO, THREE = ("Airplane", 0, "Bird", 1), ("Airplane", 3, "Cat", 2), ("Bird", 4, "Cat", 5)


def published_rows() -> list[dict[str, str]]:
    """Two people in one condition, one in another; the second repeats an image; some sliders stand at 50."""
    return [
        published_row("ann", ONE, "0.25", 80, 90),
        published_row("ann", TWO, "0.5", 50, 50),
        published_row("ben", TWO, "0.5", 50, 70),
        published_row("ben", ONE, "0.25", 20, 50),
        published_row("ben", ONE, "0.25", 70, 60, repeat=True),
        published_row("cid", THREE, "0.9", 0, 100, condition="10"),
        published_row("cid", ONE, "0.1", 100, 100, condition="10"),
    ]


def changed(parents: tuple[str, int, str, int], share: str = "0.5") -> dict[str, str]:
    return published_row("ann", parents, share, 10, 10)


def write(directory: Path, rows: list[dict[str, str]], columns: list[str] = HEADER) -> Path:
    with (directory / f"{TABLE}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return directory


def assert_nothing_was_imported() -> None:
    for model in (Study, Participation, Trial, Response, Pair, MixedImage, Import, SourceRow):
        assert not model.objects.exists()


def test_published_answers_become_a_closed_study_of_imported_answers(image_set, tmp_path):
    result = import_hmix(directory=write(tmp_path, published_rows()), image_set=image_set, actor=OPERATOR)
    assert (result.participants, result.responses, result.mixed_images) == (3, 7, 4)
    study = Study.objects.get(slug="hmix")
    assert (study.state, study.source, study.image_set) == (Study.State.CLOSED, Source.IMPORTED, image_set)
    assert study.protocol.frozen_at is not None
    assert set(study.participations.values_list("source", "state")) == {("imported", "completed")}
    assert sorted(study.participations.values_list("public_id", flat=True)) == ["ann", "ben", "cid"]
    assert AuditEvent.objects.filter(action="study.imported", object_id=str(study.pk)).exists()
    batches = [
        set(batch.units.values_list("mixed_image__lambda_e4", flat=True)) for batch in study.batches.all()
    ]
    assert sorted(batches, key=min) == [{1000, 9000}, {2500, 5000}]


def test_everybody_was_asked_in_one_way_whose_words_are_not_published(image_set, tmp_path):
    study = import_hmix(
        directory=write(tmp_path, published_rows()), image_set=image_set, actor=OPERATOR
    ).study
    (condition,) = study.conditions.all()
    assert (condition.content["perspective"], condition.content["wording"]) == ("100 others", {})
    trials = Trial.objects.filter(participation__study=study)
    assert {trial.condition for trial in trials} == {condition}
    assert all(trial.pair == trial.images.get().mixed_image.pair for trial in trials)


def test_the_page_of_the_imported_study_opens_and_has_no_words_to_change(image_set, tmp_path, client):
    import_hmix(directory=write(tmp_path, published_rows()), image_set=image_set, actor=OPERATOR)
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    page = client.get("/studies/hmix/").text
    assert "published answers" in page
    assert "/texts/" not in page
    assert client.get("/studies/hmix/texts/").status_code == 404


def test_an_imported_participation_is_shown_and_what_perhaps_cannot_tell_is_named(
    image_set, tmp_path, client
):
    import_hmix(directory=write(tmp_path, published_rows()), image_set=image_set, actor=OPERATOR)
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    ann = client.get("/studies/hmix/participations/ann/")
    says = [(one.says, [str(flag) for flag in one.flags]) for one in ann.context["passage"].trials]
    doubtful = "perhaps could not tell: half and half, and not sure of it"
    assert says == [
        ("20% airplane, 80% bird; 90% sure", []),
        ("50% airplane, 50% cat; 50% sure", ["answered without touching the controls", doubtful]),
    ]
    assert doubtful in ann.text
    assert doubtful not in client.get("/studies/hmix/participations/ben/").text
    assert "1 answer perhaps could not tell" in client.get("/studies/hmix/monitor/").text


def test_an_answer_says_what_it_said_when_it_was_published(image_set, tmp_path):
    study = import_hmix(
        directory=write(tmp_path, published_rows()), image_set=image_set, actor=OPERATOR
    ).study
    (one,) = [unit for unit in units_of(Answers(study)) if unit.lambda_e4 == 2500]
    assert (one.first_class, one.second_class) == (0, 1)
    said = [(a.participant, a.judgement.value, a.judgement.confidence, a.repeat) for a in one.answers]
    assert said == [
        ("ann", 1 - 80 / 100, 0.9, False),
        ("ben", 1 - 20 / 100, 0.5, False),
        ("ben", 1 - 70 / 100, 0.6, True),
    ]
    labels = {labels.policy: labels for labels in label_sets_of(study, [one])}
    assert labels["human_lambda"].rows[0].lambda_ == pytest.approx((0.2 + 0.8) / 2)
    assert labels["hmix_weighted"].rows[0].lambda_ == pytest.approx((0.2 * 0.9 + 0.8 * 0.5 + 0.3 * 0.6) / 3)
    positions = Trial.objects.filter(participation__public_id="ben").values_list(
        "position", "kind", "response__rt_ms"
    )
    assert list(positions) == [(0, "main", 36000), (1, "main", 36000), (2, "repeat", 36000)]


def test_mixed_images_are_made_as_published(image_set, tmp_path):
    import_hmix(directory=write(tmp_path, published_rows()), image_set=image_set, actor=OPERATOR)
    opened = image_set.open()
    for mixed_image in MixedImage.objects.select_related("pair"):
        pair = mixed_image.pair
        expected = mix(
            opened.images[pair.first_index], opened.images[pair.second_index], mixed_image.lambda_e4, "hmix@1"
        )
        assert mixed_image.method == "hmix@1"
        assert np.array_equal(pixels_of(mixed_image, opened), expected)


def test_source_rows_are_kept_verbatim_beside_their_answers(image_set, tmp_path):
    rows = published_rows()
    import_hmix(directory=write(tmp_path, rows), image_set=image_set, actor=OPERATOR)
    kept = SourceRow.objects.select_related("response__trial__participation").order_by("row")
    assert [row.values for row in kept] == rows
    assert [row.response.trial.participation.public_id for row in kept] == [row["subject"] for row in rows]


def test_flaws_are_reported_by_row_and_nothing_is_repaired(image_set, tmp_path):
    result = import_hmix(directory=write(tmp_path, published_rows()), image_set=image_set, actor=OPERATOR)
    flaws = {(flaw["row"], flaw["flaw"]) for flaw in result.flaws}
    assert flaws == {
        (1, MIXING_UNTOUCHED), (1, CONFIDENCE_UNTOUCHED), (1, BOTH_UNTOUCHED), (2, MIXING_UNTOUCHED),
        (3, CONFIDENCE_UNTOUCHED), (3, REVERSED),
    }  # fmt: skip
    assert {flaw["table"] for flaw in result.flaws} == {TABLE}
    assert Import.objects.get().flaws == result.flaws
    assert Response.objects.count() == 7


def test_the_command_prints_counts_and_flaws_as_json(image_set, tmp_path):
    out = StringIO()
    call_command("import_hmix", write(tmp_path, published_rows()), images="pictures", json=True, stdout=out)
    printed = json.loads(out.getvalue())
    assert (printed["participants"], printed["responses"], printed["mixed_images"]) == (3, 7, 4)
    assert Counter(flaw["flaw"] for flaw in printed["flaws"])[MIXING_UNTOUCHED] == 2


def test_the_command_says_in_words_what_came_in(image_set, tmp_path):
    out = StringIO()
    call_command("import_hmix", write(tmp_path, published_rows()), images="pictures", stdout=out)
    assert "3 participants, 7 responses, 4 mixed images" in out.getvalue()
    with pytest.raises(CommandError, match="H-Mix is here already, as study 'hmix'"):
        call_command("import_hmix", tmp_path, images="pictures", stdout=out)
    with pytest.raises(CommandError, match=r"no image set 'cifar'\. Image sets here: pictures"):
        call_command("import_hmix", tmp_path, images="cifar")


def test_importing_twice_is_refused_and_changes_nothing(image_set, tmp_path):
    write(tmp_path, published_rows())
    import_hmix(directory=tmp_path, image_set=image_set, actor=OPERATOR)
    with pytest.raises(Conflict, match="Nothing was changed"):
        import_hmix(directory=tmp_path, image_set=image_set, actor=OPERATOR)
    assert (Study.objects.count(), Response.objects.count(), SourceRow.objects.count()) == (1, 7, 7)


def test_only_an_admin_may_import(image_set, tmp_path):
    researcher = User.objects.create_user("researcher", kind=User.Kind.RESEARCHER)
    with pytest.raises(Forbidden):
        import_hmix(directory=write(tmp_path, published_rows()), image_set=image_set, actor=researcher)
    assert_nothing_was_imported()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"responses": '{"mixingcoeff":120,"confidence":50}'},
            "row 1: mixingcoeff is 120, not a whole number",
        ),
        ({"responses": '{"mixingcoeff":12}'}, "row 1: confidence is None"),
        ({"responses": '{"mixingcoeff":true,"confidence":50}'}, "row 1: mixingcoeff is True"),
        ({"responses": "{"}, "row 1: responses is '{', not the two answers as JSON"),
        ({"mixtureCoeff": "0.123456"}, "row 1: mixtureCoeff: '0.123456' is no λ"),
        ({"id1": "3.5"}, "row 1: id1 is '3.5', not a whole number"),
        ({"id1": "one"}, "row 1: id1 is 'one', not a number"),
        ({"rt": "nan"}, "row 1: rt is 'nan'"),
        ({"subject": ""}, "row 1: subject or condition is empty"),
        ({"id1": "6.0"}, r"row 1: filename is 'mixed_0\.5_Airplane_3_Cat_2\.png', but .*Airplane_6_Cat_2"),
        ({"task": "rerun_rate_mixture"}, r"row 1: a repeat of mixed_0\.5_Airplane_3_Cat_2\.png without"),
        (changed(ONE, "0.25"), r"row 1: ann answers mixed_0\.25_Airplane_0_Bird_1\.png twice"),
        (changed(("Airplane", 12, "Cat", 2)), "row 1: .*has 12 images, none at 12"),
        (changed(("Dog", 3, "Cat", 2)), "row 1: .*no class 'Dog', only airplane, bird, cat"),
        (changed(("Airplane", 4, "Cat", 2)), r"row 1: image 4 .* is a bird, not a Airplane"),
        (changed(("Airplane", 9, "Cat", 2)), r"Image 9 .* is not in its training split"),
        (changed(TWO, "0.33"), r"hmix@1 is defined for λ = 0\.0.*not for 0\.33"),
    ],
)
def test_a_row_that_cannot_be_understood_is_named_and_nothing_is_imported(
    image_set, tmp_path, change, message
):
    rows = published_rows()
    rows[1] = {**rows[1], **change}
    with pytest.raises(DataError, match=message):
        import_hmix(directory=write(tmp_path, rows), image_set=image_set, actor=OPERATOR)
    assert_nothing_was_imported()


def test_a_file_that_is_not_the_published_table_is_refused(image_set, tmp_path):
    def refused(message: str) -> None:
        with pytest.raises(DataError, match=message):
            import_hmix(directory=tmp_path, image_set=image_set, actor=OPERATOR)

    refused("There is no hmix_infer_mixing_factor.csv")
    write(tmp_path, published_rows(), [name for name in HEADER if name != "responses"])
    refused("has no column 'responses'")
    write(tmp_path, [])
    refused("has no rows")
    path = write(tmp_path, published_rows()) / f"{TABLE}.csv"
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
        import_hmix(directory=write(tmp_path, published_rows()), image_set=digits, actor=OPERATOR)
    assert_nothing_was_imported()


def test_a_failure_in_the_middle_leaves_nothing(image_set, tmp_path, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(SourceRow.objects, "bulk_create", fail)
    with pytest.raises(RuntimeError):
        import_hmix(directory=write(tmp_path, published_rows()), image_set=image_set, actor=OPERATOR)
    assert_nothing_was_imported()
