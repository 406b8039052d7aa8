"""Releases: frozen, hashed directories of answers, labels and mixed images, opened without a database.

`write_release` makes one completely or not at all; `open_release` refuses anything that changed since, and opens
releases of every format so far. Gathering a study's rows is the hub's work. Columns are in `release_tables`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hilmix.core import mixing
from hilmix.core.errors import DataError
from hilmix.core.files import (
    MANIFEST,
    check_files,
    describe_file,
    list_files,
    new_directory,
    read_manifest,
    sha256_json,
    write_json,
)
from hilmix.core.release_card import dataset_card
from hilmix.core.release_tables import (
    COLUMNS,
    VERSION,
    Row,
    dictionary,
    read_table,
    tables_of,
    write_table,
)

FORMATS = tuple(f"hilmix-release/{version}" for version in range(1, VERSION + 1))
SOURCES = ("person", "simulated", "imported")

# What a caller gives; the writer adds format, counts, files and the two hashes.
REQUIRED = (
    "name", "version", "study", "source", "protocol_sha256", "image_set", "created_at", "code_version",
    "rules", "factors", "label_sets",
)  # fmt: skip
_OF_A_LABEL_SET = {"policy", "condition", "version", "params", "meaning"}
_OF_A_FACTOR = {"name", "varies", "levels"}
_OF_RULES = {"protocol_sha256", "sha256", "rules"}

# Facts about the making, not the content: two releases that differ in these alone hold the same data.
_NOT_CONTENT = {"name", "version", "created_at", "code_version", "sha256", "manifest_sha256"}
_CARD = "README.md"


@dataclass(frozen=True)
class Release:
    """An open, verified release. Arrays are in the order of the table `mixed_images`."""

    directory: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The study's short name, as in its link."""
        return str(self.manifest["name"])

    @property
    def version(self) -> str:
        """Three numbers, such as 1.0.0."""
        return str(self.manifest["version"])

    @property
    def source(self) -> str:
        """person, simulated or imported."""
        return str(self.manifest["source"])

    @property
    def sha256(self) -> str:
        """Names the content: equal for two releases that differ in name, version and date of making alone."""
        return str(self.manifest["sha256"])

    @property
    def image_set_sha256(self) -> str:
        """Content hash of the image set that the parents are positions in."""
        return str(self.manifest["image_set"]["sha256"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the soft labels' columns."""
        return tuple(self.manifest["image_set"]["classes"])

    @property
    def format(self) -> int:
        """Version of the release's format: 1 for releases of hilmix 0.1."""
        return FORMATS.index(self.manifest["format"]) + 1

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the ways in which was asked; none in format 1."""
        return tuple(self.table("conditions")["condition"].to_pylist()) if self.format > 1 else ()

    @property
    def label_sets(self) -> list[dict[str, Any]]:
        """What labels there are: `policy`, its `version` and `meaning`, the `params` it estimated, and the
        `condition` whose answers it used (None: no answer was used, or format 1)."""
        if self.format > 1:
            return list(self.manifest["label_sets"])
        policies = self.manifest["label_policies"]
        return [{"policy": name, "condition": None, **entry} for name, entry in sorted(policies.items())]

    @property
    def rules(self) -> list[dict[str, Any]]:
        """The rules of quality that were applied when the labels were made: `flag`, `params`, `excludes` and
        `reason`; none before format 3."""
        return list(self.manifest["rules"]["rules"]) if self.format > 2 else []

    @property
    def factors(self) -> list[dict[str, Any]]:
        """What the study varied to compare ways of asking: `name`, `varies` (between or within people) and `levels`;
        the column `level_NAME` of a table says which. None before format 3."""
        return list(self.manifest["factors"]) if self.format > 2 else []

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the label policies, sorted."""
        return tuple(sorted({entry["policy"] for entry in self.label_sets}))

    @property
    def n(self) -> int:
        """Number of mixed images."""
        return int(self.manifest["counts"]["mixed_images"])

    def table(self, name: str) -> pa.Table:
        """Return a table of `COLUMNS`, as it is in the release's format."""
        if name not in (known := tables_of(self.format)):
            raise DataError(f"The release {self.name} has no table {name!r}, only {', '.join(known)}.")
        path = self.directory / "data" / f"{name}.parquet"
        return read_table(path, name, len(self.classes), self.factors, self.format)

    def _column(self, name: str) -> list[Any]:
        return list(self.table("mixed_images").column(name).to_pylist())

    def images(self) -> npt.NDArray[np.uint8]:
        """Return the mixed images, uint8 [n, H, W, C]. Raises DataError if a picture is not the one it is
        named by."""
        hashes = self._column("sha256")
        pictures = {sha256: _decode(self.directory / "images" / f"{sha256}.png") for sha256 in set(hashes)}
        if len({picture.shape for picture in pictures.values()}) > 1:
            raise DataError(f"{self.directory}: the mixed images differ in size, so they make no array.")
        return np.stack([pictures[sha256] for sha256 in hashes])

    def label_set(self, policy: str, condition: str | None = None) -> dict[str, Any]:
        """Return the one entry of `label_sets` for a policy, and for the answers of one condition.

        The condition may be left out where there is only one. Raises DataError naming those there are.
        """
        if condition is not None and condition not in self.conditions:
            known = ", ".join(self.conditions) or "none"
            raise DataError(
                f"The release {self.name} has no condition {condition!r}; its conditions: {known}."
            )
        found = [entry for entry in self.label_sets if entry["policy"] == policy]
        if not found:
            raise DataError(
                f"The release {self.name} has no labels {policy!r}, only {', '.join(self.policies)}."
            )
        fitting = [entry for entry in found if condition in (None, entry["condition"])] or [
            entry for entry in found if entry["condition"] is None
        ]
        conditions = ", ".join(entry["condition"] for entry in found if entry["condition"])
        if not fitting:
            raise DataError(
                f"The release {self.name} has no labels {policy!r} under the condition {condition!r}, only under "
                f"{conditions}."
            )
        if len(fitting) > 1:
            raise DataError(
                f"The release {self.name} has labels {policy!r} under {len(fitting)} conditions, {conditions}: people "
                "were not all asked in the same way (table `conditions`). Name one."
            )
        return fitting[0]

    def labels(self, policy: str, condition: str | None = None) -> npt.NDArray[np.float64]:
        """Return the soft labels of one policy, float64 [n, K], rows summing to 1.

        They are made of the answers that are `counted` in the table `responses`; whom a rule or a researcher left out
        is in that table and in no label (`hmix_weighted` takes the repeats of who counts as well).

        `condition` is needed where a study asked in several ways. Raises DataError as `label_set`.
        """
        entry = self.label_set(policy, condition)
        table = self.table("labels")
        wanted = pc.equal(table["policy"], policy)
        if entry["condition"] is not None:
            wanted = pc.and_(wanted, pc.equal(table["condition"], entry["condition"]))
        rows = table.filter(wanted)
        place = {key: position for position, key in enumerate(rows["key"].to_pylist())}
        values = rows["soft_label"].combine_chunks().flatten().to_numpy().reshape(-1, len(self.classes))
        order = [place[key] for key in self._column("key")]
        return np.ascontiguousarray(values[order])

    def lambdas(self) -> npt.NDArray[np.float64]:
        """Return λ, the share of the first image, float64 [n], 0–1."""
        return np.array(self._column("lambda_e4"), dtype=np.float64) / mixing.UNIT_E4

    def parents(self) -> npt.NDArray[np.int64]:
        """Return the positions of first and second parent in the image set, int64 [n, 2]."""
        columns = [self._column("first_index"), self._column("second_index")]
        return np.array(columns, dtype=np.int64).T


def _decode(path: Path) -> npt.NDArray[np.uint8]:
    pixels = mixing.from_png(path.read_bytes())
    if mixing.pixel_sha256(pixels) != path.stem:
        raise DataError(f"images/{path.name} does not show the pixels that its name says.")
    return pixels


def write_release(
    directory: Path | str,
    *,
    tables: Mapping[str, Iterable[Row]],
    images: Iterable[tuple[str, bytes]],
    manifest: Mapping[str, Any],
) -> str:
    """Write a release and return its content sha256; the directory appears complete or not at all.

    Args:
        tables: rows of every table of `COLUMNS`; consumed once, in the order of `COLUMNS`.
        images: (pixel sha256, PNG bytes) of every mixed image, each once.
        manifest: the keys of `REQUIRED`; `study` is {slug, title}, `image_set` {name, sha256, classes}, `rules`
            {protocol_sha256, sha256, rules}, `factors` a list of {name, varies, levels}, `label_sets` a list of
            {policy, condition, version, params, meaning}, condition None for a policy that uses no answer.

    The same input gives the same bytes and the same hash; the hash does not cover name, version,
    `created_at`, `code_version` and the card that shows them. Raises DataError for anything that does not fit
    together.
    """
    directory = Path(directory)
    _check_manifest(manifest)
    if set(tables) != set(COLUMNS):
        raise DataError(
            f"A release needs the tables {', '.join(COLUMNS)}; given: {', '.join(sorted(tables)) or 'none'}."
        )
    with new_directory(directory) as temporary:
        for folder in ("data", "csv", "images"):
            (temporary / folder).mkdir()
        facts, hashes, conditions = _write_tables(temporary, tables, manifest)
        _write_images(temporary / "images", images, hashes)
        (temporary / "DICTIONARY.md").write_text(dictionary(manifest["factors"]), "utf-8")
        content = {name: describe_file(temporary / name) for name in list_files(temporary)}
        complete = {**manifest, "format": FORMATS[-1], **facts}
        complete["sha256"] = _content_sha256(complete, content)
        (temporary / _CARD).write_text(dataset_card(complete, conditions), "utf-8")
        complete["files"] = {**content, _CARD: describe_file(temporary / _CARD)}
        complete["manifest_sha256"] = sha256_json(complete)
        write_json(temporary / MANIFEST, complete)
    return str(complete["sha256"])


def _check_manifest(manifest: Mapping[str, Any]) -> None:
    for key in REQUIRED:
        if manifest.get(key) in (None, "") or (key == "label_sets" and not manifest[key]):
            raise DataError(f"The manifest of a release needs {key!r}.")
    if unknown := manifest.keys() - set(REQUIRED):
        raise DataError(f"The manifest of a release has no entry {sorted(unknown)[0]!r}.")
    if manifest["source"] not in SOURCES:
        raise DataError(f"A release comes from one source, {', '.join(SOURCES)}; not {manifest['source']!r}.")
    if not re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"]):
        raise DataError(f"{manifest['version']!r} is no version; write three numbers such as 1.0.0.")
    if manifest["rules"].keys() != _OF_RULES:
        raise DataError(
            f"The rules are described by {', '.join(sorted(_OF_RULES))}, not {sorted(manifest['rules'])}."
        )
    for factor in manifest["factors"]:
        if factor.keys() != _OF_A_FACTOR:
            raise DataError(f"A factor is described by {', '.join(sorted(_OF_A_FACTOR))}, not {factor!r}.")
    for entry in manifest["label_sets"]:
        if entry.keys() != _OF_A_LABEL_SET:
            raise DataError(
                f"A label set is described by {', '.join(sorted(_OF_A_LABEL_SET))}, not {entry!r}."
            )


def _content_sha256(manifest: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> str:
    facts = {key: value for key, value in manifest.items() if key not in _NOT_CONTENT | {"files"}}
    return sha256_json({**facts, "files": {name: files[name] for name in files if name != _CARD}})


def _write_tables(
    directory: Path, tables: Mapping[str, Iterable[Row]], manifest: Mapping[str, Any]
) -> tuple[dict[str, dict[str, int]], set[str], list[Row]]:
    """Write all tables; return the manifest's `counts` (participants, responses, mixed images) and `left_out` (of
    these participants, how many no label uses), the pictures' hashes, and the conditions."""
    n_classes = len(manifest["image_set"]["classes"])

    def rows(table: str) -> Iterator[Row]:
        paths = directory / "data" / f"{table}.parquet", directory / "csv" / f"{table}.csv"
        return write_table(table, tables[table], n_classes, *paths, manifest["factors"])

    mixed = [
        (row["key"], pair_key(row["first_index"], row["second_index"]), row["sha256"])
        for row in rows("mixed_images")
    ]
    units = {
        "mixed_image": _unique("mixed_images", [key for key, _, _ in mixed]),
        "pair": {pair for _, pair, _ in mixed},
    }
    conditions = list(rows("conditions"))
    named = _unique("conditions", [row["condition"] for row in conditions])
    answered = _check_responses(rows("responses"), units, named)
    checked = Counter((row["participant"], row["passed"]) for row in rows("checks"))
    people, left_out = _check_people(rows("participants"), manifest["source"], answered, checked)
    _check_labels(rows("labels"), manifest["label_sets"], units["mixed_image"], named)
    counts = {"participants": len(people), "responses": answered.total(), "mixed_images": len(mixed)}
    facts = {"counts": counts, "left_out": left_out}
    return facts, {sha256 for _, _, sha256 in mixed}, conditions


def pair_key(first_index: int, second_index: int) -> str:
    """How a release names a pair of images, from their positions in the image set."""
    return f"{first_index}-{second_index}"


def _check_responses(
    rows: Iterable[Row], units: Mapping[str, set[str]], conditions: set[str]
) -> Counter[str]:
    """How many answers each participant gave."""
    answered: Counter[str] = Counter()
    for row in rows:
        if row["unit"] not in units:
            raise DataError(f"Table responses: a unit is one of {', '.join(units)}, not {row['unit']!r}.")
        _check_known("responses", row["key"], units[row["unit"]], "mixed_images")
        _check_known("responses", row["condition"], conditions, "conditions")
        if row["counted"] != (row.get("not_counted") is None):
            raise DataError("Table responses: an answer is counted, or not_counted says why it is not.")
        answered[row["participant"]] += 1
    return answered


def _check_people(
    rows: Iterable[Row], source: str, answered: Counter[str], checked: Counter[tuple[str, bool]]
) -> tuple[set[str], dict[str, int]]:
    """Who took part, and how many of them no label uses: `invalid`, and `excluded` by a rule (who may be both)."""
    people = []
    left_out = {"invalid": 0, "excluded": 0}
    for row in rows:
        left_out["invalid"] += row["invalid"]
        left_out["excluded"] += row["excluded_by"] != "[]"
        person, failed = row["participant"], checked[row["participant"], False]
        if row["source"] != source:
            raise DataError(f"The participant {person} is {row['source']}, unlike the release.")
        counts = {
            "n_responses": answered[person],
            "checks_shown": failed + checked[person, True],
            "checks_failed": failed,
        }
        for name, n in counts.items():
            if row[name] != n:
                raise DataError(f"The participant {person} has not {name} = {row[name]}.")
        people.append(person)
    known = _unique("participants", people)
    for table, named in (("responses", answered.keys()), ("checks", {person for person, _ in checked})):
        for person in sorted(named):
            _check_known(table, person, known, "participants")
    return known, left_out


def _check_labels(
    rows: Iterable[Row], label_sets: Sequence[Mapping[str, Any]], keys: set[str], conditions: set[str]
) -> None:
    """Every label set of the manifest labels every mixed image, once."""
    labelled: dict[tuple[str, str | None], set[str]] = {}
    for entry in label_sets:
        name = entry["policy"], entry["condition"]
        if entry["condition"] is not None:
            _check_known("label_sets", entry["condition"], conditions, "conditions")
        if name in labelled:
            raise DataError(f"The manifest of a release names the label set {_say(*name)} twice.")
        labelled[name] = set()
    for row in rows:
        _check_known("labels", row["key"], keys, "mixed_images")
        name = row["policy"], row.get("condition")
        done = labelled.get(name)
        if done is None or row["key"] in done:
            raise DataError(
                f"Table labels: {_say(*name)} labels {row['key']!r} twice, or is not in the manifest."
            )
        done.add(row["key"])
    for name, done in labelled.items():
        if done != keys:
            raise DataError(
                f"Table labels: the policy {_say(*name)} labels {len(done)} of {len(keys)} mixed images."
            )


def _say(policy: str, condition: str | None) -> str:
    return f"{policy!r}" if condition is None else f"{policy!r} under {condition!r}"


def _unique(table: str, keys: list[str]) -> set[str]:
    unique = set(keys)
    if len(unique) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(f"Table {table}: {twice!r} is there twice.")
    return unique


def _check_known(table: str, key: str, keys: Collection[str], known_from: str) -> None:
    if key not in keys:
        raise DataError(f"Table {table}: {key!r} is not in the table {known_from}.")


def _write_images(directory: Path, images: Iterable[tuple[str, bytes]], hashes: set[str]) -> None:
    written = set()
    for sha256, png in images:
        if sha256 not in hashes:
            raise DataError(f"The picture {sha256} belongs to no row of the table mixed_images.")
        if mixing.pixel_sha256(mixing.from_png(png)) != sha256:
            raise DataError(f"The picture {sha256} does not show the pixels that its name says.")
        (directory / f"{sha256}.png").write_bytes(png)
        written.add(sha256)
    for sha256 in hashes - written:
        raise DataError(f"The picture {sha256} is in the table mixed_images but was not given.")


def open_release(directory: Path | str) -> Release:
    """Open a release after checking its manifest and the sha256 of every file.

    Raises DataError naming the file that was changed, is missing or does not belong there.
    """
    directory = Path(directory)
    manifest = read_manifest(directory, FORMATS, "a release")
    stated = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    if manifest.get("manifest_sha256") != sha256_json(stated):
        raise DataError(
            f"{directory}: the file {MANIFEST} was changed after it was written. Restore the original."
        )
    check_files(directory, manifest["files"])
    if manifest["sha256"] != _content_sha256(stated, manifest["files"]):
        raise DataError(f"{directory}: the file {MANIFEST} names another content than its files have.")
    return Release(directory, manifest)
