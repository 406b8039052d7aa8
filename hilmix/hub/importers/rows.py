"""What the importers of tables share: rows with what they say, cells that are read strictly, and the images they name.

No database is known here. Whatever a cell says that it cannot say raises `Wrong`; the row is then refused by number.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hilmix.core.errors import DataError
from hilmix.core.imageset import ImageSet
from hilmix.core.mixing import lambda_e4_from_text, mix
from hilmix.hub.importers.report import Problems, Wrong

NAME = re.compile(r"[-A-Za-z0-9_]{1,15}")  # of a participant: it stands in the address of a page
MOST = 2**31 - 1  # what a whole number may be where it is stored
DEEPEST = 20  # lists and objects in each other that are kept as JSON
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # as JSON writes it; no database but SQLite keeps it


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as it will be stored.

    `subject` its participant's name · `batch` who shares one was shown the same · `parents` positions of both images ·
    `lambda_e4` of the mixed image it is about, None where it is about the pair · `payload`, `params` as the interface
    has them · `condition` a name of the way of asking, "" where there is one.
    """

    subject: str
    parents: tuple[int, int]
    lambda_e4: int | None
    payload: Mapping[str, Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    batch: str = ""
    repeat: bool = False
    condition: str = ""
    levels: Mapping[str, str] = field(default_factory=dict)
    position: int | None = None  # None: in the order of the rows
    rt_ms: int | None = None
    trial_index: int | None = None
    time_elapsed_ms: int | None = None
    attempt: int = 1

    @property
    def about(self) -> tuple[int, int, int | None]:
        """Both parents, and λ where it is about one mixed image."""
        return (*self.parents, self.lambda_e4)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was published.

    `row` counts from 0 · `values` its cells verbatim · `answer` what it says, None where it is no answer · `flaws` what
    is odd about it.
    """

    row: int
    values: Mapping[str, Any]
    answer: Answer | None = None
    flaws: tuple[str, ...] = ()


Read = Callable[[Mapping[str, str]], tuple[Answer | None, tuple[str, ...]]]


def read_csv(path: Path, columns: Sequence[str], read: Read, problems: Problems) -> list[Row]:
    """Every row of a csv file that `read` understands; `problems` takes the others.

    Raises DataError where it is no such table at all.
    """
    if not path.is_file():
        raise DataError(f"There is no {path.name} in {path.parent}; that is one of the published tables.")
    rows: list[Row] = []
    number = -1
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
                raise DataError(f"{path.name} has no column {missing[0]!r}; it is not the published table.")
            names = reader.fieldnames or ()
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise DataError(f"{path.name} has the column {twice!r} twice; it is not the published table.")
            if "\0" in "".join(names):
                raise DataError(
                    f"{path.name} has a NUL in the name of a column; it is not the published table."
                )
            for number, values in enumerate(reader):
                try:
                    if None in values or None in values.values():
                        raise Wrong("", "it has another number of cells than the header.")
                    for column, cell in values.items():
                        if "\0" in cell:
                            raise Wrong(column, f"{column} holds a NUL, which is no text.")
                    rows.append(Row(number, values, *read(values)))
                except Wrong as wrong:
                    problems.add(path.stem, number, wrong)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} is not a readable csv file ({error}).") from None
    if number < 0:
        raise DataError(f"{path.name} has no rows.")
    return rows


# --- cells


def read_json(text: str) -> Any:
    """JSON that can be kept in any database and written again.

    Raises ValueError for what cannot: no JSON, NaN or infinity, a name twice in one object, a NUL or half a character,
    more than `DEEPEST` lists and objects in each other.
    """
    try:
        value = json.loads(text, object_pairs_hook=_each_once)
    except RecursionError:
        raise ValueError("too much in each other") from None
    check_storable(value)
    return value


def check_storable(value: Any) -> None:
    """Raise ValueError unless a value of JSON can be kept in any database and written again."""
    level = [value]
    for _ in range(DEEPEST + 1):
        inside = [one for one in level if isinstance(one, list | dict)]
        level = [item for one in inside for item in (one.values() if isinstance(one, dict) else one)]
    if level:
        raise ValueError("too much in each other")
    written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    written.encode()
    if "\\u0000" in written and _NUL.search(written):
        raise ValueError("a text holds a NUL")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a name is there twice")
    return read


def object_in(column: str, text: str) -> dict[str, Any]:
    """The JSON object in a cell."""
    try:
        value = read_json(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Wrong(column, f"{column} is no JSON object: {text!r}.")
    return value


def name_in(column: str, text: str) -> str:
    """A participant's name."""
    if NAME.fullmatch(text) is None:
        raise Wrong(
            column, f"{column} is {text!r}, no name of 1 to 15 letters, digits, hyphens, underscores."
        )
    return text


def percent_in(column: str, name: str, value: Any) -> int:
    """A whole number from 0 to 100, called `name` in the cell."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        raise Wrong(column, f"{name} is {value!r}, not a whole number from 0 to 100.")
    return value


def number_in(column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST:
        raise Wrong(column, f"{column} is {text!r}, not a number of at least 0.")
    return value


def whole_in(column: str, text: str) -> int:
    value = number_in(column, text)  # published as 2205.0
    if not value.is_integer():
        raise Wrong(column, f"{column} is {text!r}, not a whole number.")
    return int(value)


def lambda_in(column: str, text: str) -> int:
    """λ in ten-thousandths."""
    try:
        return lambda_e4_from_text(text)
    except DataError as error:
        raise Wrong(column, f"{column}: {error}") from None


_DOT = np.zeros((1, 1, 1), np.uint8)


@cache
def check_mix(column: str, lambda_e4: int, method: str) -> None:
    """Raise Wrong unless `method` mixes at this λ."""
    try:
        mix(_DOT, _DOT, lambda_e4, method)
    except DataError as error:
        raise Wrong(column, str(error)) from None


# --- the images that rows name


class Images:
    """The image set that rows are about: whether it has the images and classes that they name.

    Class names are compared without regard to capitals: the tables write Dog, CIFAR-10 dog.
    """

    def __init__(self, image_set: ImageSet) -> None:
        self._name = image_set.name
        self._labels = image_set.labels.tolist()
        train = image_set.splits.get("train")
        self._train = frozenset(() if train is None else train.tolist())
        self.classes = image_set.classes
        self._indices = {name.casefold(): index for index, name in enumerate(image_set.classes)}
        self.check_parent = cache(self._check_parent)

    def class_index(self, column: str, name: str) -> int:
        """The position of a class that a cell names."""
        index = self._indices.get(name.casefold())
        if index is None:
            known = ", ".join(self.classes)
            raise Wrong(column, f"image set {self._name!r} has no class {name!r}, only {known}.")
        return index

    def _check_parent(self, column: str, index: int, name: str | None) -> None:
        """Raise Wrong unless image `index` is there, is of the class `name` if one is stated, and may be a parent."""
        label = None if name is None else self.class_index(column, name)
        if not 0 <= index < len(self._labels):
            raise Wrong(column, f"image set {self._name!r} has {len(self._labels)} images, none at {index}.")
        if label is not None and self._labels[index] != label:
            is_a = f"image {index} of image set {self._name!r} is a {self.classes[self._labels[index]]}"
            raise Wrong(column, f"{is_a}, not a {name}. The answers are about the CIFAR-10 test split.")
        if index not in self._train:
            raise Wrong(
                column,
                f"Image {index} of image set {self._name!r} is not in its training split, so it must not be a parent.",
            )
