"""Reads what a release says of its images, its ways of asking and its people, as it will be stored. Knows no database.

Anybody can make a release whose tables have the right columns. What a cell says is believed only once it was checked
against the image set, the other tables and what this version knows; every row that says something else is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from elicitation.studies.factors import Factor, Level, factor_problems
from elicitation.studies.models import Source
from elicitation.studies.rules import Rule, read_rules, rule_problems
from elicitation.trials.flags import PROCESS
from hilmix.core.errors import DataError
from hilmix.core.files import MANIFEST
from hilmix.core.imageset import ImageSet
from hilmix.core.licences import licence_named
from hilmix.core.mixing import METHODS
from hilmix.core.parquet import check_expanded
from hilmix.core.release import Release, open_release
from hilmix.core.release_tables import level_column
from hilmix.hub.importers.report import Problems, Wrong
from hilmix.hub.importers.rows import Images, check_mix, name_in, object_in
from hilmix.jobs.progress import Progress

Cells = Mapping[str, Any]
T = TypeVar("T")

READ = ("mixed_images", "conditions", "participants", "responses")
BATCH_ROWS = 1000  # between two looks at whether to stop


@dataclass(frozen=True)
class Facts:
    """What the manifest says that is stored: `factors` without what their levels set, `licence` "" where unstated,
    `protocol_sha256` the newest version."""

    title: str
    source: str
    origin: str
    licence: str
    protocol_sha256: str
    factors: tuple[Factor, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Person:
    """A row of the table `participants`; `over_quota` says that somebody else had got the place."""

    name: str
    protocol_sha256: str
    levels: Mapping[str, str]
    drawn: Mapping[str, Any]
    survey: Mapping[str, int]
    measures: Mapping[str, float | None]
    invalid: bool
    over_quota: bool


def opened(directory: Path) -> tuple[Release, Facts]:
    """The release and what its manifest says.

    Raises DataError where it is no whole release, where its manifest lacks something, or where its tables would be
    larger in memory than may be.
    """
    try:
        release = open_release(directory)
        facts = _facts(release)
    except (KeyError, TypeError, AttributeError, IndexError, UnicodeEncodeError) as error:
        problem = f"{MANIFEST} lacks something that a release says, or has it of another kind ({error!r})."
        raise DataError(problem) from None
    tables = (directory / "data" / f"{table}.parquet" for table in READ)
    check_expanded([path for path in tables if path.exists()])
    return release, facts


def _facts(release: Release) -> Facts:
    manifest = release.manifest
    creators = ", ".join(_name(one) for one in manifest.get("creators") or ())
    named = f"release {release.name}@{release.version}, sha256 {release.sha256}"
    facts = Facts(
        title=_text(manifest["study"]["title"])[:120],
        source=_source(release.source),
        origin=_text(f"{creators}: {named}" if creators else named[0].upper() + named[1:]),
        licence=_text((manifest.get("licences") or {}).get("answers") or ""),
        protocol_sha256=_text(manifest["protocol_sha256"]),
        factors=tuple(
            Factor(_text(one["name"]), one["varies"], tuple(Level(_text(name)) for name in one["levels"]))
            for one in release.factors
        ),
        rules=read_rules(release.rules),
    )
    licence_named(facts.licence)  # refuses one that is not known
    for said in (factor_problems(facts.factors) | rule_problems(facts.rules)).values():
        raise DataError(f"{MANIFEST}: {' '.join(map(str, said))}")
    for name in release.classes:
        _text(name)
    return facts


def _source(value: str) -> str:
    if value not in Source.values:
        raise DataError(
            f"{MANIFEST}: a release comes from one source, {', '.join(Source.values)}; not {value!r}."
        )
    return value


def _name(creator: Any) -> str:
    return str(creator.get("name", "")) if isinstance(creator, Mapping) else str(creator)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value.replace("\0", "")


# --- rows


def each(
    release: Release, table: str, read: Callable[[Cells], T], problems: Problems, progress: Progress
) -> Iterator[tuple[int, T]]:
    """Every row of a table that `read` understands, with its place; `problems` takes the others."""
    start = 0
    for batch in release.table(table).to_batches(max_chunksize=BATCH_ROWS):
        progress.check()
        try:
            rows = batch.to_pylist()
        except UnicodeDecodeError:
            raise DataError(f"The table {table} holds text that is no UTF-8.") from None
        for number, cells in enumerate(rows, start):
            try:
                yield number, read(cells)
            except Wrong as wrong:
                problems.add(table, number, wrong)
        start += len(rows)


def once(column: str, value: T, seen: set[T]) -> T:
    """`value`, which no row before said."""
    if value in seen:
        raise Wrong(column, f"{column} is {value!r}, as in a row before.")
    seen.add(value)
    return value


def whole_number(column: str, value: int, most: int) -> int:
    """`value`, a whole number from 0 to `most`."""
    if not 0 <= value <= most:
        raise Wrong(column, f"{column} is {value}, not a whole number from 0 to {most}.")
    return value


def levels_in(cells: Cells, factors: tuple[Factor, ...]) -> dict[str, str]:
    """Factor → level, of what the row has a level of."""
    levels = {}
    for factor in factors:
        column = level_column(factor.name)
        if (level := cells.get(column)) is None:
            continue
        if level not in (known := [one.name for one in factor.levels]):
            raise Wrong(column, f"{column} is {level!r}, none of the levels {', '.join(known)}.")
        levels[factor.name] = level
    return levels


class Pictures:
    """Reads the rows of the table `mixed_images` against the image set that they mix."""

    def __init__(self, opened: ImageSet) -> None:
        self._images = Images(opened)
        self._keys: set[str] = set()
        self._recipes: set[tuple[int, int, int]] = set()

    def read(self, cells: Cells) -> Cells:
        once("key", cells["key"], self._keys)
        classes = self._images.classes
        for place in ("first", "second"):
            index = whole_number(f"{place}_class", cells[f"{place}_class"], len(classes) - 1)
            self._images.check_parent(f"{place}_index", cells[f"{place}_index"], classes[index])
        if cells["method"] not in METHODS:
            raise Wrong(
                "method", f"There is no mixing method {cells['method']!r}, only {', '.join(METHODS)}."
            )
        check_mix("lambda_e4", cells["lambda_e4"], cells["method"])
        recipe = cells["first_index"], cells["second_index"], cells["lambda_e4"]
        once("lambda_e4", recipe, self._recipes)
        return cells


class People:
    """Reads the rows of the table `participants`."""

    def __init__(self, facts: Facts, n_classes: int) -> None:
        self._facts = facts
        self._n_classes = n_classes
        self._names: set[str] = set()

    def read(self, cells: Cells) -> Person:
        between = tuple(factor for factor in self._facts.factors if factor.varies == "between")
        return Person(
            name=once("participant", name_in("participant", cells["participant"]), self._names),
            protocol_sha256=cells.get("protocol_sha256") or self._facts.protocol_sha256,
            levels=levels_in(cells, between),
            drawn=self._drawn(object_in("drawn", cells.get("drawn") or "{}")),
            survey=_survey(object_in("survey", cells.get("survey") or "{}")),
            measures=_process(object_in("measures", cells.get("measures") or "{}")),
            invalid=bool(cells.get("invalid")),
            over_quota=bool(cells.get("over_quota")),
        )

    def _drawn(self, drawn: dict[str, Any]) -> dict[str, Any]:
        order = drawn.get("class_order", list(range(self._n_classes)))
        if not isinstance(order, list) or sorted(map(repr, order)) != sorted(
            map(repr, range(self._n_classes))
        ):
            raise Wrong("drawn", f"class_order is {order!r}, no order of the classes.")
        return drawn


def _survey(survey: dict[str, Any]) -> dict[str, int]:
    """The answers on scales; free text is in no release."""
    for name, answer in survey.items():
        if not isinstance(answer, int):
            raise Wrong("survey", f"The answer to {name!r} is {answer!r}, no point on a scale.")
    return survey


def _process(measures: dict[str, Any]) -> dict[str, float | None]:
    """How somebody answered, as it was measured; what was answered is measured anew, beside the others here."""
    process = {name: measures[name] for name in PROCESS if name in measures}
    for name, value in process.items():
        if value is not None and not (isinstance(value, int | float) and 0 <= value < math.inf):
            raise Wrong("measures", f"The measure {name} is {value!r}, no number of at least 0.")
    return process
