"""What people said about the parent images is checked row by row before any of it is attached."""

from __future__ import annotations

import json
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from elicitation.images.models import ImageSet
from elicitation.images.services import import_human_labels
from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import Refused

LABELS = np.full((12, 3), 1 / 3)


def wrong_in(*rows: int) -> np.ndarray:
    labels = LABELS.copy()
    labels[list(rows)] = [0.5, np.nan, -0.5]
    return labels


def test_every_wrong_row_is_named_and_nothing_is_attached(image_set, tmp_path):
    before = sorted(path.name for path in image_set.directory.iterdir())
    np.save(tmp_path / "labels.npy", wrong_in(1, 4, 7, 8))
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError, match=r"and 1 more rows\) Nothing was stored"):
        call_command("import_human_labels", tmp_path / "labels.npy", images="pictures", json=True, stdout=out)
    assert [one["row"] for one in json.loads(out.getvalue())["errors"]] == [1, 4, 7, 8]
    with pytest.raises(CommandError):
        call_command(
            "import_human_labels", tmp_path / "labels.npy", images="pictures", dry_run=True, stderr=err
        )
    assert [line.partition(":")[0] for line in err.getvalue().splitlines()] == [
        "row 1",
        "row 4",
        "row 7",
        "row 8",
    ]
    assert sorted(path.name for path in image_set.directory.iterdir()) == before
    assert ImageSet.objects.get().human_labels_sha256 == ""


def test_a_refusal_names_a_thousand_rows_and_says_how_many_there_are():
    rows = [{"table": "t", "row": n, "column": "", "problem": "wrong."} for n in range(1500)]
    refused = Refused(rows)
    assert (len(refused.errors), refused.n) == (1000, 1500)
    assert str(refused) == "t, row 0: wrong. t, row 1: wrong. t, row 2: wrong. (and 1,497 more rows)"


def test_a_dry_run_checks_and_attaches_nothing(image_set, tmp_path):
    np.save(tmp_path / "labels.npy", LABELS)
    out = StringIO()
    call_command("import_human_labels", tmp_path / "labels.npy", images="pictures", dry_run=True, stdout=out)
    assert out.getvalue().strip() == "Nothing was stored: 12 human labels fit 'pictures'."
    assert image_set.open().human_labels is None
    call_command(
        "import_human_labels", tmp_path / "labels.npy", images="pictures", json=True, stdout=StringIO()
    )
    assert np.array_equal(image_set.open().human_labels, LABELS)


def test_the_licence_of_the_labels_is_kept_and_must_be_known(image_set):
    with pytest.raises(Exception, match="licence"):
        import_human_labels(
            image_set=image_set, labels=LABELS, meaning="share", licence="mine alone", actor=OPERATOR
        )
    assert ImageSet.objects.get().human_labels_sha256 == ""
    import_human_labels(
        image_set=image_set, labels=LABELS, meaning="share", licence="CC-BY-NC-SA-4.0", actor=OPERATOR
    )
    assert ImageSet.objects.get().human_labels_licence == "CC-BY-NC-SA-4.0"
