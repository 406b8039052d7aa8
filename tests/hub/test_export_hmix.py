"""H-Mix as it was published, written from what was imported."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from elicitation.studies.models import Study
from elicitation.trials.models import Response
from hilmix.accounts import audit
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import NotFound
from hilmix.hub.exporting_hmix import INFERENCES, SOFT_LABELS, export_hmix
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.importers.hmix_tables import CATEGORICAL, INFER, SELECT, TABLES
from hilmix.hub.models import Import, SourceRow
from tests.hub.hmix_files import ONE, categorical_row, published_rows, said, write, write_table


def test_the_tables_come_out_byte_for_byte_and_come_in_again_as_the_same_data(image_set, tmp_path):
    brought = tmp_path / "brought"
    brought.mkdir()
    rows = [{**row, "view_history": '=1+1, "quoted"\nin two lines'} for row in published_rows()]
    write(brought, rows)
    before = import_hmix(directory=brought, image_set=image_set, actor=OPERATOR)
    out = StringIO()
    call_command("export_hmix", out=tmp_path / "out", stdout=out)
    for table in TABLES:
        name = f"{table.name}.csv"
        assert (tmp_path / "out" / name).read_bytes() == (brought / name).read_bytes()
        assert name in out.getvalue()
    _forget_everything()
    again = import_hmix(directory=tmp_path / "out", image_set=image_set, actor=OPERATOR)
    assert again.as_json() == before.as_json()


def test_a_column_that_was_never_published_is_written_behind_the_others(image_set, tmp_path):
    write(tmp_path)
    rows = [{**row, "note": "mine"} for row in published_rows()]
    path = write_table(tmp_path, INFER, rows, [*INFER.header, "note"])
    import_hmix(directory=tmp_path, image_set=image_set, actor=OPERATOR)
    export_hmix(directory=tmp_path / "out", actor=OPERATOR)
    assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()


def test_the_inferences_are_those_of_the_published_recipe_repeats_included(image_set, tmp_path):
    import_hmix(directory=write(tmp_path), image_set=image_set, actor=OPERATOR)
    export_hmix(directory=tmp_path / "out", actor=OPERATOR)
    records = json.loads((tmp_path / "out" / INFERENCES).read_text())
    assert list(records) == list(dict.fromkeys(row["filename"] for row in published_rows()))
    inferred, confidence = [1 - 0.8, 1 - 0.2, 1 - 0.7], [0.9, 0.5, 0.6]
    mean = sum(inferred) / 3
    weighted = sum(value * sure for value, sure in zip(inferred, confidence, strict=True)) / 3
    assert records["mixed_0.25_Airplane_0_Bird_1.png"] == {
        "Std Dev": pytest.approx((sum((value - mean) ** 2 for value in inferred) / 3) ** 0.5),
        "Re-Label Diff": pytest.approx(0.25 - mean),
        "True Mixing Factor": 0.25,
        "Predicted Mixing Factor": pytest.approx(inferred),
        "Weighted Re-Label": pytest.approx(weighted),
        "Weighted Re-Label Diff": pytest.approx(0.25 - weighted),
        "Predicted Confidence": confidence,
        "Endpoints": ["Airplane", "Bird"],
        "Class Pair": "Airplane_0_Bird_1.png",
    }
    assert records["mixed_0.9_Bird_4_Cat_5.png"]["Std Dev"] == 0.0  # of a single answer


def test_a_soft_label_is_written_for_every_answer_also_a_repeated_one(image_set, tmp_path):
    rows = [
        categorical_row("hal", ONE, "0.25", said("Airplane", 60, "Bird", 20)),
        categorical_row("hal", ONE, "0.5", said("Airplane", 60, "Bird", 20), "Cat"),
        categorical_row("hal", ONE, "0.25", said("Bird", 100), repeat=True),
    ]
    import_hmix(directory=write(tmp_path, rows, CATEGORICAL), image_set=image_set, actor=OPERATOR)
    export_hmix(directory=tmp_path / "out", actor=OPERATOR)
    labels = json.loads((tmp_path / "out" / SOFT_LABELS).read_text())
    assert labels == {
        "mixed_0.25_Airplane_0_Bird_1.png": [
            pytest.approx([0.6, 0.2, 0.2]),  # what is missing to 100 goes to the class that is left
            pytest.approx([0.05 / 1.1, 1 / 1.1, 0.05 / 1.1]),  # 100 already: 0.1 beside it
        ],
        "mixed_0.5_Airplane_0_Bird_1.png": [pytest.approx([0.75, 0.25, 0.0])],
    }


def test_nothing_is_written_over_and_nothing_without_an_import(image_set, tmp_path):
    with pytest.raises(CommandError, match="There is no imported study 'hmix'"):
        call_command("export_hmix", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    import_hmix(directory=write(tmp_path), image_set=image_set, actor=OPERATOR)
    with pytest.raises(CommandError, match="already exists"):
        call_command("export_hmix", out=tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 0


def test_who_may_not_see_the_studies_may_not_write_them_out(image_set, tmp_path):
    import_hmix(directory=write(tmp_path), image_set=image_set, actor=OPERATOR)
    researcher = User.objects.create_user("researcher", kind=User.Kind.RESEARCHER)
    with pytest.raises(NotFound, match="you may not see it"):
        export_hmix(directory=tmp_path / "out", actor=researcher)
    assert not (tmp_path / "out").exists()
    assert SourceRow.objects.filter(table=SELECT.name).count() == 5


def test_files_that_nobody_recorded_are_in_nobodys_hands(image_set, tmp_path, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the log is full")

    import_hmix(directory=write(tmp_path), image_set=image_set, actor=OPERATOR)
    monkeypatch.setattr(audit, "record", fail)
    with pytest.raises(RuntimeError):
        export_hmix(directory=tmp_path / "out", actor=OPERATOR)
    assert not (tmp_path / "out").exists()


def _forget_everything() -> None:
    """As a fresh instance."""
    SourceRow.objects.all().delete()
    Import.objects.all().delete()
    Response.objects.all().delete()
    for study in Study.objects.all():
        study.participations.all().delete()
        study.delete()
