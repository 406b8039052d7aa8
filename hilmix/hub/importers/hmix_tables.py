"""Reads the published H-Mix table of the interface "infer mixing factor" into checked rows; knows no
database.

The table is the one that Collins et al. published with Human-in-the-Loop Mixup (UAI 2023). Nothing is
repaired: a row that cannot be understood is refused by number, and a row with a known flaw is kept and the
flaw reported.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilmix.core.errors import DataError
from hilmix.core.imageset import ImageSet
from hilmix.core.mixing import lambda_e4_from_text

TABLE = "hmix_infer_mixing_factor"
COLUMNS = (
    "subject", "condition", "task", "rt", "responses",
    "filename", "label1", "label2", "mixtureCoeff", "id1", "id2",
)  # fmt: skip

UNTOUCHED = 50  # where both sliders started; they could be left there
MIXING_UNTOUCHED = "mixing slider at exactly 50, where it started: perhaps untouched"
CONFIDENCE_UNTOUCHED = "confidence slider at exactly 50, where it started: perhaps untouched"
BOTH_UNTOUCHED = "both sliders at exactly 50, where they started: perhaps untouched"
REVERSED = "answer on the other side of 50 than the mixed image: perhaps reversed"


@dataclass(frozen=True)
class InferRow:
    """One published answer.

    `row` counts from 0 after the header · `values` are the cells verbatim · `classes` and `indices` name the
    parents, first one first · percents are 0–100, 0 being all of the first class · `rt_ms` is milliseconds on
    the page.
    """

    row: int
    values: dict[str, str]
    subject: str
    condition: str
    repeat: bool
    indices: tuple[int, int]
    classes: tuple[str, str]
    lambda_e4: int
    mixing_percent: int
    confidence_percent: int
    rt_ms: int

    @property
    def recipe(self) -> tuple[int, int, int]:
        """First parent, second parent, λ in ten-thousandths."""
        return (*self.indices, self.lambda_e4)


def read_infer_table(directory: Path) -> list[InferRow]:
    """Read `hmix_infer_mixing_factor.csv` of the published folder.

    Raises DataError naming the file, row and column that cannot be understood.
    """
    path = directory / f"{TABLE}.csv"
    if not path.is_file():
        raise DataError(
            f"There is no {path.name} in {directory}; that is the published table of infer answers."
        )
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path.name} has no column {missing[0]!r}; it is not the published table.")
            rows = [_read_row(number, values) for number, values in enumerate(reader)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} is not a readable csv file ({error}).") from None
    if not rows:
        raise DataError(f"{path.name} has no rows.")
    _check_repeats(rows)
    return rows


def _read_row(number: int, values: dict[str, str]) -> InferRow:
    where = f"{TABLE}, row {number}"
    if None in values or None in values.values():
        raise DataError(f"{where}: it has another number of cells than the header.")
    answer = _json_object(where, values["responses"])
    row = InferRow(
        row=number,
        values=values,
        subject=values["subject"],
        condition=values["condition"],
        repeat=values["task"].startswith("rerun_"),
        indices=(_whole(where, "id1", values["id1"]), _whole(where, "id2", values["id2"])),
        classes=(values["label1"], values["label2"]),
        lambda_e4=_lambda(where, values["mixtureCoeff"]),
        mixing_percent=_percent(where, "mixingcoeff", answer),
        confidence_percent=_percent(where, "confidence", answer),
        rt_ms=round(_number(where, "rt", values["rt"])),
    )
    if not row.subject or not row.condition:
        raise DataError(f"{where}: subject or condition is empty.")
    first, second = (f"{name}_{index}" for name, index in zip(row.classes, row.indices, strict=True))
    name = f"mixed_{values['mixtureCoeff']}_{first}_{second}.png"
    if values["filename"] != name:
        raise DataError(f"{where}: filename is {values['filename']!r}, but the other columns say {name!r}.")
    return row


def _json_object(where: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise DataError(f"{where}: responses is {text!r}, not the two answers as JSON.")
    return value


def _percent(where: str, name: str, answer: dict[str, Any]) -> int:
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        raise DataError(f"{where}: {name} is {value!r}, not a whole number from 0 to 100.")
    return value


def _number(where: str, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 2**31:
        raise DataError(f"{where}: {name} is {text!r}, not a number of at least 0.")
    return value


def _whole(where: str, name: str, text: str) -> int:
    value = _number(where, name, text)  # published as 2205.0
    if not value.is_integer():
        raise DataError(f"{where}: {name} is {text!r}, not a whole number.")
    return int(value)


def _lambda(where: str, text: str) -> int:
    try:
        return lambda_e4_from_text(text)
    except DataError as error:
        raise DataError(f"{where}: mixtureCoeff: {error}") from None


def _check_repeats(rows: Sequence[InferRow]) -> None:
    """A person answers a mixed image once, and repeats it only after that."""
    answered: set[tuple[object, ...]] = set()
    for row in rows:
        first = (row.subject, row.recipe, False)
        this = (row.subject, row.recipe, row.repeat)
        if this in answered:
            raise DataError(f"{TABLE}, row {row.row}: {row.subject} answers {row.values['filename']} twice.")
        if row.repeat and first not in answered:
            raise DataError(
                f"{TABLE}, row {row.row}: a repeat of {row.values['filename']} without a first answer."
            )
        answered.add(this)


def check_image_set(rows: Sequence[InferRow], image_set: ImageSet) -> None:
    """Refuse an image set that the answers are not about, naming the first row that does not fit.

    Class names are compared without regard to capitals: the table writes Dog, CIFAR-10 dog.
    """
    known = {name.casefold(): index for index, name in enumerate(image_set.classes)}
    for row in rows:
        where = f"{TABLE}, row {row.row}"
        for index, name in zip(row.indices, row.classes, strict=True):
            if name.casefold() not in known:
                classes = ", ".join(image_set.classes)
                raise DataError(
                    f"{where}: image set {image_set.name!r} has no class {name!r}, only {classes}."
                )
            if index >= len(image_set):
                raise DataError(
                    f"{where}: image set {image_set.name!r} has {len(image_set)} images, none at {index}."
                )
            label = int(image_set.labels[index])
            if label != known[name.casefold()]:
                is_a = f"image {index} of image set {image_set.name!r} is a {image_set.classes[label]}"
                raise DataError(
                    f"{where}: {is_a}, not a {name}. The answers are about the CIFAR-10 test split."
                )


def flaws_of(row: InferRow) -> Iterator[str]:
    """The flaws of one row, in words; a row with both sliders at 50 has all three that say so."""
    mixing, confidence = row.mixing_percent == UNTOUCHED, row.confidence_percent == UNTOUCHED
    if mixing:
        yield MIXING_UNTOUCHED
    if confidence:
        yield CONFIDENCE_UNTOUCHED
    if mixing and confidence:
        yield BOTH_UNTOUCHED
    # The slider's left end, 0, is all of the first class, whose share λ is.
    if (row.lambda_e4 - 5000) * (50 - row.mixing_percent) < 0:
        yield REVERSED
