"""The published H-Mix tables in small: rows that fit the image set of conftest, and a folder of all four files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from hilmix.hub.importers.hmix_tables import CATEGORICAL, CONSTRUCT, INFER, SELECT, TABLES, Table

Row = dict[str, str]
Parents = tuple[str, int, str, int]

ONE, TWO, THREE = ("Airplane", 0, "Bird", 1), ("Airplane", 3, "Cat", 2), ("Bird", 4, "Cat", 5)


def _row(table: Table, subject: str, condition: str, **cells: str) -> Row:
    return {
        **dict.fromkeys(table.header, ""),
        "subject": subject,
        "condition": condition,
        "rt": "35999.5",
        **cells,
    }


def _of_mixed_image(parents: Parents, share: str) -> dict[str, str]:
    first, id1, second, id2 = parents
    return {
        "filename": f"mixed_{share}_{first}_{id1}_{second}_{id2}.png",
        "label1": first, "label2": second, "mixtureCoeff": share, "id1": f"{id1}.0", "id2": f"{id2}.0",
    }  # fmt: skip


def infer_row(
    subject: str,
    parents: Parents,
    share: str,
    mixing: object,
    confidence: object,
    *,
    repeat: bool = False,
    condition: str = "7",
) -> Row:
    first, id1, second, id2 = parents
    return _row(
        INFER, subject, condition,
        trial_type="multiple-slider",
        question_order="[0,1]",
        responses=json.dumps({"mixingcoeff": mixing, "confidence": confidence}, separators=(",", ":")),
        task="rerun_rate_mixture" if repeat else "rate_mixture",
        class_pair=f"{first}_{id1}_{second}_{id2}.png",
        **_of_mixed_image(parents, share),
    )  # fmt: skip


def pair_of(parents: Parents) -> str:
    return "_".join(map(str, parents))


def select_row(subject: str, parents: Parents, selected: str, *, repeat: bool = False) -> Row:
    task = "rerun_select_shuffled" if repeat else "select_shuffled"
    response = json.dumps({"select": f"select{selected}"}, separators=(",", ":"))
    return _row(SELECT, subject, "1", response=response, task=task, class_pair=pair_of(parents))


def construct_row(subject: str, parents: Parents, start: str, final: str, *, repeat: bool = False) -> Row:
    task = "rerun_select_create" if repeat else "select_create"
    values = {"start_value": start, "starting_value": start, "final_value": final}
    return _row(CONSTRUCT, subject, "2", task=task, class_pair=pair_of(parents), **values)


def categorical_row(
    subject: str, parents: Parents, share: str, said: Mapping[str, str], *excluded: str, repeat: bool = False
) -> Row:
    response = {**said, **{f"improbClassSelect{name}": "1" for name in excluded}}
    return _row(
        CATEGORICAL, subject, "0",
        response=json.dumps(response, separators=(",", ":")),
        task="rerun_spec_conf" if repeat else "spec_conf",
        **_of_mixed_image(parents, share),
    )  # fmt: skip


def said(most: str, percent: object, second: str = "No", second_percent: object = "") -> dict[str, str]:
    return {"classSelect": f"mostProb{most}", "prob": str(percent),
            "classSelect2": f"secondProb{second}", "prob2": str(second_percent)}  # fmt: skip


def other_screen(subject: str, trial_type: str) -> Row:
    return _row(CATEGORICAL, subject, "0", trial_type=trial_type, rt="")


def published_rows() -> list[Row]:
    """Two people in one condition, one in another; the second repeats an image; some sliders stand at 50."""
    return [
        infer_row("ann", ONE, "0.25", 80, 90),
        infer_row("ann", TWO, "0.5", 50, 50),
        infer_row("ben", TWO, "0.5", 50, 70),
        infer_row("ben", ONE, "0.25", 20, 50),
        infer_row("ben", ONE, "0.25", 70, 60, repeat=True),
        infer_row("cid", THREE, "0.9", 0, 100, condition="10"),
        infer_row("cid", ONE, "0.1", 100, 100, condition="10"),
    ]


def select_rows() -> list[Row]:
    return [
        select_row("dan", ONE, "0.5"),
        select_row("dan", TWO, "0.3"),
        select_row("dan", ONE, "0.4", repeat=True),
        select_row("eve", ONE, "0.6"),
        select_row("eve", ONE, "1.0"),
    ]


def construct_rows() -> list[Row]:
    return [
        construct_row("fay", ONE, "0.1", "0.5000000000000001"),
        construct_row("fay", TWO, "0.9", "1.0"),
        construct_row("fay", ONE, "0.1", "0.8", repeat=True),
        construct_row("gus", ONE, "0.9", "0.0"),
    ]


def categorical_rows() -> list[Row]:
    return [
        other_screen("hal", "external-html"),
        categorical_row("hal", ONE, "0.25", said("Airplane", 60, "Bird", 20), "Cat"),
        categorical_row("hal", TWO, "0.5", said("Cat", 100, "No", 70), "Bird"),
        other_screen("hal", "survey-text"),
        categorical_row("ida", ONE, "0.25", said("Bird", 90, "Cat", 40), "Cat"),
    ]


def rows_of(table: Table) -> list[Row]:
    made = {
        INFER: published_rows,
        SELECT: select_rows,
        CONSTRUCT: construct_rows,
        CATEGORICAL: categorical_rows,
    }
    return made[table]()


def write(directory: Path, rows: list[Row] | None = None, table: Table = INFER) -> Path:
    """Write all four tables, `rows` (or those above) in `table`; return the folder."""
    for one in TABLES:
        write_table(directory, one, rows if one is table and rows is not None else rows_of(one))
    return directory


def write_table(directory: Path, table: Table, rows: list[Row], columns: list[str] | None = None) -> Path:
    path = directory / f"{table.name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns or table.header, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path
