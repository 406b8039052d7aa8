"""Writes the imported H-Mix studies in the published shapes: four csv tables and both json files.

The tables are the source rows, value for value. The json files are computed anew from the stored answers by the
published recipes, which take repeats as well (Collins et al., Human-in-the-Loop Mixup, UAI 2023).
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elicitation.trials.given import answers_given
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.core.files import new_directory
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.softlabels import build_label_set, individual_labels
from hilmix.errors import NotFound
from hilmix.hub.importers.hmix import KIND
from hilmix.hub.importers.hmix_tables import CATEGORICAL, INFER, TABLES, Table
from hilmix.hub.models import Import

INFERENCES = "processed_hmix_inferences.json"
SOFT_LABELS = "hmix_individ_soft_labels.json"


def export_hmix(*, directory: Path, actor: Actor) -> list[str]:
    """Write all files to a new folder, which appears complete or not at all; return their names.

    Raises:
        NotFound: H-Mix was not imported.
        DataError: there is something at `directory` already.
    """
    imports = {table: _import_of(table) for table in TABLES}
    for imported in imports.values():
        require(actor, Action.FREEZE_RELEASE, imported.study_id)
    with new_directory(directory) as temporary:
        for table, imported in imports.items():
            _write_table(temporary / f"{table.name}.csv", table, imported)
        _write_json(temporary / INFERENCES, _inferences(_pictures(imports[INFER])))
        _write_json(temporary / SOFT_LABELS, _soft_labels(imports[CATEGORICAL]))
        audit.record(
            actor, "study.exported", imports[INFER].study, kind=KIND
        )  # before anybody can have the files
    return sorted(path.name for path in directory.iterdir())


def _import_of(table: Table) -> Import:
    imported = Import.objects.filter(kind=KIND, study__slug=table.slug).select_related("study").first()
    if imported is None:
        raise NotFound(f"There is no imported study {table.slug!r}: import H-Mix with import_hmix first.")
    return imported


def _write_table(path: Path, table: Table, imported: Import) -> None:
    """The source rows in the order of the file; published columns first, others behind."""
    rows = imported.rows.filter(table=table.name).order_by("row").values_list("values", flat=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer: Any = None
        for values in rows.iterator(chunk_size=2000):
            if writer is None:  # all rows of a table have the same columns; a database may have sorted them
                columns = [name for name in table.header if name in values]
                columns += sorted(values.keys() - set(columns))
                writer = csv.DictWriter(file, columns, lineterminator="\n")
                writer.writeheader()
            writer.writerow(values)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


@dataclass(frozen=True)
class _Picture:
    """A mixed image with its answers, all of them, in the order of the file; `named` a row that names it."""

    unit: Unit
    named: Mapping[str, str]


def _pictures(imported: Import) -> list[_Picture]:
    """The mixed images by published name, in the order in which the file names them."""
    given = {
        (one.participation_id, one.position): one
        for one in answers_given(imported.study, imported.study.participations.all())
    }
    rows = imported.rows.filter(response__isnull=False).order_by("row")
    by_name: defaultdict[str, list[Any]] = defaultdict(list)
    where = ("response__trial__participation", "response__trial__position")
    for values, *place in rows.values_list("values", *where).iterator(chunk_size=2000):
        by_name[values["filename"]].append((values, given[place[0], place[1]]))
    pictures = []
    for name, answered in by_name.items():
        named, first = answered[0]
        answers = tuple(
            Answer(str(one.participation_id), one.judgement, repeat=one.repeat) for _row, one in answered
        )
        unit = Unit(name, first.lambda_e4, first.pair.first_class, first.pair.second_class, answers)
        pictures.append(_Picture(unit, named))
    return pictures


def _inferences(pictures: list[_Picture]) -> dict[str, Any]:
    """The published record of each mixed image: what was inferred, and how far that is from what was mixed."""
    units = [picture.unit for picture in pictures]
    n_classes = 1 + max(max(unit.first_class, unit.second_class) for unit in units)
    weighted = build_label_set("hmix_weighted", units, n_classes).rows
    records = {}
    for picture, row in zip(pictures, weighted, strict=True):
        said = [one.judgement for one in picture.unit.answers if isinstance(one.judgement, PerceivedLambda)]
        inferred = [judgement.value for judgement in said]
        lambda_, relabel = picture.unit.lambda_, row.lambda_
        assert relabel is not None
        records[picture.unit.key] = {
            "Std Dev": float(np.std(inferred)),
            "Re-Label Diff": lambda_ - float(np.mean(inferred)),
            "True Mixing Factor": lambda_,
            "Predicted Mixing Factor": inferred,
            "Weighted Re-Label": relabel,
            "Weighted Re-Label Diff": lambda_ - relabel,
            "Predicted Confidence": [judgement.confidence for judgement in said],
            "Endpoints": [picture.named["label1"], picture.named["label2"]],
            "Class Pair": picture.named["class_pair"],
        }
    return records


def _soft_labels(imported: Import) -> dict[str, list[list[float]]]:
    """The published soft labels of each mixed image, one an answer, in the order of the table: that in which the
    published file lists people is not known."""
    units = [picture.unit for picture in _pictures(imported)]
    labels: dict[str, list[list[float]]] = {unit.key: [] for unit in units}
    for label in individual_labels("hmix", units, len(imported.study.image_set.classes)):
        labels[label.key].append(label.probabilities.tolist())
    return labels
