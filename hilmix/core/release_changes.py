"""What differs between two releases of a study, and the version that follows from it.

The rule: MAJOR where a record (a mixed image, an answer, a trial, a participant, a way of asking) changed or is gone,
or where the same answers give another label by the same version of a policy; MINOR where records or label sets came;
PATCH where the same records come in another package (pictures or recipes, licences, words, format). Labels that moved
because people answered are no change of a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hilmix.core.release import Release
from hilmix.core.release_tables import tables_of

Level = Literal["major", "minor", "patch", ""]

SAME_LABEL = 1e-9  # labels this near are the same: another machine adds up in another order
FIRST_VERSION = "1.0.0"


@dataclass(frozen=True)
class Records:
    """How many records of a table stayed the same, came, were changed, are gone, and say now what was left open."""

    same: int
    added: int
    changed: int
    gone: int
    filled: int = 0


@dataclass(frozen=True)
class Moved:
    """How far the labels of one set moved, over the mixed images of both releases.

    `n` such images, `n_moved` with another label or other numbers of it (answers, share, spread, interval) · `mean`,
    `p95`, `most` of half the summed absolute difference of the two probability vectors, 0–1.
    """

    name: str
    condition: str | None
    n: int
    n_moved: int
    mean: float
    p95: float
    most: float


@dataclass(frozen=True)
class Change:
    """What differs, and what kind of change that makes it: `level` is empty where nothing does.

    `reasons` sentences, the weightiest first · `tables` by table · `labels` of the label sets in both · `left_out` why
    answers are not counted → how many then and now.
    """

    level: Level
    reasons: list[str]
    tables: dict[str, Records]
    labels: list[Moved] = field(default_factory=list)
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)

    def entry(self) -> dict[str, Any]:
        """What the manifest's `change` says: level and reasons."""
        return {"level": self.level, "reasons": self.reasons}


def next_version(version: str, level: Level) -> str:
    """The version after `version` (three numbers) for a change of this level."""
    major, minor, patch = map(int, version.split("."))
    match level:
        case "major":
            return f"{major + 1}.0.0"
        case "minor":
            return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def compare(old: Release, new: Release, same_person: Mapping[str, str]) -> Change:
    """Compare two releases of one study.

    Args:
        same_person: pseudonym in `old` → that of the same person in `new`, for everybody whose pseudonym differs;
            whoever is not named has the same one in both, or is in one of them only.

    Columns that only one of the two formats has are not compared. Nor are planned trials that nobody answered.
    """
    tables, reasons = {}, _Reasons()
    for table, kind in _KINDS.items():
        if table in tables_of(min(old.format, new.format)):
            tables[table], columns = _compare_records(table, kind, old, new, same_person)
            reasons.of_records(table, tables[table], columns)
    labels = _compare_labels(old, new)
    answers_differ = any(_differ(tables[table]) for table in ("responses", "mixed_images"))
    reasons.of_labels(labels, old, new, answers_differ=answers_differ)
    reasons.of_packaging(old, new)
    return Change(*reasons.weightiest(), tables, labels, _left_out(old, new))


@dataclass(frozen=True)
class _Kind:
    """What names a record of a table; the columns that follow from other records; and columns that may be filled in
    later, with what stands there before, which makes an addition."""

    names: tuple[str, ...]
    derived: tuple[str, ...] = ()
    blank: Mapping[str, str] = field(default_factory=dict)


_KINDS = {
    "mixed_images": _Kind(("key",)),
    "conditions": _Kind(("condition",)),
    "responses": _Kind(("participant", "position")),
    "trials": _Kind(("participant", "position")),
    "checks": _Kind(("participant", "position")),
    "participants": _Kind(
        ("participant",),
        ("measures", "flags", "n_responses", "checks_shown", "checks_failed"),
        {"survey": "{}"},
    ),
}
_IN_WORDS = {
    "mixed_images": "mixed images",
    "responses": "answers",
    "trials": "answered trials",
    "checks": "attention checks",
}


class _Reasons:
    """Sentences by level, as they are found."""

    def __init__(self) -> None:
        self.major: list[str] = []
        self.minor: list[str] = []
        self.patch: list[str] = []

    def weightiest(self) -> tuple[Level, list[str]]:
        """The level, and every reason, the weightiest first."""
        by_level: dict[Level, list[str]] = {"major": self.major, "minor": self.minor, "patch": self.patch}
        level: Level = next((level for level, reasons in by_level.items() if reasons), "")
        return level, [*self.major, *self.minor, *self.patch]

    def of_records(self, table: str, records: Records, columns: Sequence[str]) -> None:
        what = _IN_WORDS.get(table, table)
        if records.gone:
            self.major.append(f"{_counted(records.gone, what)} {'is' if records.gone == 1 else 'are'} gone.")
        if records.changed:
            self.major.append(f"{_counted(records.changed, what)} changed: {', '.join(columns)}.")
        if records.added:
            self.minor.append(f"{_counted(records.added, what)} came.")
        if records.filled:
            say = "says" if records.filled == 1 else "say"
            self.minor.append(f"{_counted(records.filled, what)} {say} what they left open.")

    def of_labels(self, moved: Sequence[Moved], old: Release, new: Release, *, answers_differ: bool) -> None:
        before, now = _versions(old), _versions(new)
        for name, condition in sorted(before.keys() - now.keys(), key=str):
            self.major.append(f"The labels {_say(name, condition)} are gone.")
        for name, condition in sorted(now.keys() - before.keys(), key=str):
            self.minor.append(f"The labels {_say(name, condition)} came.")
        for one in moved:
            key = one.name, one.condition
            if before[key] != now[key]:
                self.major.append(f"The labels {_say(*key)} are made by version {now[key]} of their policy.")
            elif one.n_moved and not answers_differ:
                self.major.append(f"{one.n_moved} labels {_say(*key)} differ, made of the same answers.")

    def of_packaging(self, old: Release, new: Release) -> None:
        if old.format != new.format:
            self.patch.append(f"It is of format {new.format}, not {old.format}.")
            return  # which says its packaging in another way
        facts = _PACKAGING if self.major or self.minor else _PACKAGING | _FOLLOWING
        for key, words in facts.items():
            if old.manifest.get(key) != new.manifest.get(key):
                self.patch.append(f"{words} differ.")
        if _descriptions(old) != _descriptions(new):
            self.patch.append("The descriptions of columns differ.")


def _counted(n: int, what: str) -> str:
    """`1 answer`, `2 answers`; `what` in the plural."""
    return f"{n} {what.removesuffix('s') if n == 1 else what}"


def _descriptions(release: Release) -> dict[str, str]:
    """The hashes of the files that say what the columns are."""
    return {
        name: entry["sha256"] for name, entry in release.manifest["files"].items()
        if name == "DICTIONARY.md" or name.startswith("schema/")
    }  # fmt: skip


_PACKAGING = {
    "images": "The ways in which mixed images are held",
    "licences": "The licences",
    "creators": "The creators",
    "description": "The descriptions",
    "study": "The titles of the study",
    "image_set": "The names of the image set",
    "rules": "The rules of quality",
    "consent": "The words on consent",
    "agreement": "The measures of agreement",
}
_FOLLOWING = {  # what other records commonly change, so it is worth a word only where they are the same
    "protocol_sha256": "The protocols",
    "collected": "The days on which answers were collected",
    "factors": "The factors",
    "label_sets": "The parameters or meanings of label sets",
}


def _differ(records: Records) -> bool:
    return bool(records.added or records.changed or records.gone)


# --- records: a number stands for each name and each value, so that nothing as large as the answers is held


def _compare_records(
    table: str, kind: _Kind, old: Release, new: Release, same_person: Mapping[str, str]
) -> tuple[Records, list[str]]:
    """How many records stayed, came, changed and went; and the columns that changed."""
    before, now = _Records(old, table, same_person), _Records(new, table, {})
    shared, there, here = np.intersect1d(
        before.names(kind), now.names(kind), assume_unique=True, return_indices=True
    )
    changed = np.zeros(len(shared), dtype=bool)
    filled = np.zeros(len(shared), dtype=bool)
    columns = []
    for column in before.columns & now.columns - {*kind.names, *kind.derived}:
        was, is_ = before.values(column)[there], now.values(column)[here]
        differs = was != is_
        if column in kind.blank:
            late = differs & (was == hash(kind.blank[column]))
            filled |= late
            differs &= ~late
        if differs.any():
            columns.append(column)
            changed |= differs
    filled &= ~changed
    records = Records(
        same=int((~changed & ~filled).sum()),
        added=len(now) - len(shared),
        changed=int(changed.sum()),
        gone=len(before) - len(shared),
        filled=int(filled.sum()),
    )
    return records, sorted(columns)


class _Records:
    """The records of a table as numbers, int64 [n]; of planned trials, those that were answered."""

    def __init__(self, release: Release, table: str, renamed: Mapping[str, str]) -> None:
        self.file = pq.ParquetFile(release.directory / "data" / f"{table}.parquet")
        self.renamed = renamed
        self.columns = set(self.file.schema_arrow.names)
        self.kept = self._read("answered") == 1 if table == "trials" else slice(None)

    def __len__(self) -> int:
        return self.file.metadata.num_rows if isinstance(self.kept, slice) else int(self.kept.sum())

    def names(self, kind: _Kind) -> npt.NDArray[np.int64]:
        """What names each record."""
        named = self.values(kind.names[0])
        for column in kind.names[1:]:
            named = named * 1_000_003 + self.values(column)  # wraps around, as a hash does
        return named

    def values(self, column: str) -> npt.NDArray[np.int64]:
        """The values of a column."""
        return self._read(column)[self.kept]

    def _read(self, column: str) -> npt.NDArray[np.int64]:
        batches = self.file.iter_batches(columns=[column])
        numbers = [_as_numbers(batch.column(0), self.renamed) for batch in batches]
        return np.concatenate(numbers) if numbers else np.zeros(0, np.int64)


def _as_numbers(values: pa.Array, renamed: Mapping[str, str]) -> npt.NDArray[np.int64]:
    """A number for each value, equal for equal values: a text's is its hash."""
    kind = values.type
    if pa.types.is_floating(kind):
        return values.to_numpy(zero_copy_only=False).astype(np.float64).view(np.int64)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy(zero_copy_only=False)
    if pa.types.is_string(kind):
        encoded = values.dictionary_encode(null_encoding="encode")
        hashes = [hash(renamed.get(text, text)) for text in encoded.dictionary.to_pylist()]
        return np.array(hashes, np.int64)[encoded.indices.to_numpy()]
    return np.array([hash(None if one is None else tuple(one)) for one in values.to_pylist()], np.int64)


# --- labels


def _versions(release: Release) -> dict[tuple[str, str | None], int]:
    return {(entry["name"], entry["condition"]): entry["version"] for entry in release.label_sets}


def _compare_labels(old: Release, new: Release) -> list[Moved]:
    both = _versions(old).keys() & _versions(new).keys()
    return [_moved(*name, old, new) for name in sorted(both, key=str)]


def _moved(name: str, condition: str | None, old: Release, new: Release) -> Moved:
    before, now = _soft_labels(old, name, condition), _soft_labels(new, name, condition)
    places = pc.index_in(before["key"].combine_chunks(), now["key"].combine_chunks())
    there = places.is_valid()
    before, now = before.filter(there), now.take(places.drop_null())
    moved = np.abs(_vectors(before) - _vectors(now)).sum(axis=1) / 2
    same = np.isclose(_numbers(before), _numbers(now), rtol=0, atol=SAME_LABEL, equal_nan=True).all(axis=0)
    some = moved if len(moved) else np.zeros(1)
    return Moved(
        name, condition, len(moved), int(np.count_nonzero(~same | (moved > SAME_LABEL))),
        float(some.mean()), float(np.quantile(some, 0.95)), float(some.max()),
    )  # fmt: skip


def _soft_labels(release: Release, name: str, condition: str | None) -> pa.Table:
    wanted = pc.field("policy") == name
    if release.format > 1:
        asked = pc.field("condition")
        wanted &= asked.is_null() if condition is None else asked == condition
    path = release.directory / "data" / "labels.parquet"
    return pq.read_table(path, columns=["key", "soft_label", *_NUMBERS], filters=wanted)


def _vectors(labels: pa.Table) -> npt.NDArray[np.float64]:
    vectors = labels["soft_label"].combine_chunks()
    return np.asarray(vectors.flatten()).reshape(len(vectors), vectors.type.list_size)


def _numbers(labels: pa.Table) -> npt.NDArray[np.float64]:
    columns = [labels[name].cast(pa.float64()).combine_chunks() for name in _NUMBERS]
    return np.array([column.to_numpy(zero_copy_only=False) for column in columns])


_NUMBERS = ("n", "lambda", "spread", "low", "high")


def _say(name: str, condition: str | None) -> str:
    return name if condition is None else f"{name} under {condition}"


def _left_out(old: Release, new: Release) -> dict[str, tuple[int, int]]:
    """Why answers are not counted → how many then and now."""
    then, now = _reasons_of(old), _reasons_of(new)
    return {why: (then.get(why, 0), now.get(why, 0)) for why in sorted(then.keys() | now.keys())}


def _reasons_of(release: Release) -> dict[str, int]:
    if release.format < 3:
        return {}
    path = release.directory / "data" / "responses.parquet"
    found = pc.value_counts(
        pq.read_table(path, columns=["not_counted"])["not_counted"].combine_chunks().drop_null()
    )
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))
