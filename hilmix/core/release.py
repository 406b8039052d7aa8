"""Releases: frozen, hashed directories of answers, labels and mixed images, opened without a database.

`write_release` makes one completely or not at all; `open_release` refuses anything that changed since.
Gathering a study's rows is the hub's work. Columns are in `release_tables`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
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
from hilmix.core.release_tables import COLUMNS, Row, dictionary, read_table, write_table

FORMAT = "hilmix-release/1"
SOURCES = ("person", "simulated", "imported")

# What a caller gives; the writer adds format, counts, files and the two hashes.
REQUIRED = (
    "name", "version", "study", "source", "protocol_sha256", "image_set", "created_at", "code_version",
    "label_policies",
)  # fmt: skip

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
    def policies(self) -> tuple[str, ...]:
        """Names of the label policies, sorted."""
        return tuple(sorted(self.manifest["label_policies"]))

    @property
    def n(self) -> int:
        """Number of mixed images."""
        return int(self.manifest["counts"]["mixed_images"])

    def table(self, name: str) -> pa.Table:
        """Return a table of `COLUMNS`."""
        if name not in COLUMNS:
            raise DataError(f"A release has no table {name!r}, only {', '.join(COLUMNS)}.")
        return read_table(self.directory / "data" / f"{name}.parquet", name, len(self.classes))

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

    def labels(self, policy: str) -> npt.NDArray[np.float64]:
        """Return the soft labels of one policy, float64 [n, K], rows summing to 1."""
        if policy not in self.policies:
            raise DataError(
                f"The release {self.name} has no labels {policy!r}, only {', '.join(self.policies)}."
            )
        table = self.table("labels")
        rows = table.filter(pc.equal(table["policy"], policy))
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
        manifest: the keys of `REQUIRED`; `study` is {slug, title}, `image_set` {name, sha256, classes},
            `label_policies` name → {version, params, meaning}.

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
        counts, hashes = _write_tables(temporary, tables, manifest)
        _write_images(temporary / "images", images, hashes)
        (temporary / "DICTIONARY.md").write_text(dictionary(), "utf-8")
        content = {name: describe_file(temporary / name) for name in list_files(temporary)}
        complete = {**manifest, "format": FORMAT, "counts": counts}
        complete["sha256"] = _content_sha256(complete, content)
        (temporary / _CARD).write_text(dataset_card(complete), "utf-8")
        complete["files"] = {**content, _CARD: describe_file(temporary / _CARD)}
        complete["manifest_sha256"] = sha256_json(complete)
        write_json(temporary / MANIFEST, complete)
    return str(complete["sha256"])


def _check_manifest(manifest: Mapping[str, Any]) -> None:
    for key in REQUIRED:
        if manifest.get(key) in (None, "") or (key == "label_policies" and not manifest[key]):
            raise DataError(f"The manifest of a release needs {key!r}.")
    if unknown := manifest.keys() - set(REQUIRED):
        raise DataError(f"The manifest of a release has no entry {sorted(unknown)[0]!r}.")
    if manifest["source"] not in SOURCES:
        raise DataError(f"A release comes from one source, {', '.join(SOURCES)}; not {manifest['source']!r}.")
    if not re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"]):
        raise DataError(f"{manifest['version']!r} is no version; write three numbers such as 1.0.0.")


def _content_sha256(manifest: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> str:
    facts = {key: value for key, value in manifest.items() if key not in _NOT_CONTENT | {"files"}}
    return sha256_json({**facts, "files": {name: files[name] for name in files if name != _CARD}})


def _write_tables(
    directory: Path, tables: Mapping[str, Iterable[Row]], manifest: Mapping[str, Any]
) -> tuple[dict[str, int], set[str]]:
    """Write all tables; return how many participants, responses and mixed images, and the pictures'
    hashes."""
    n_classes = len(manifest["image_set"]["classes"])

    def rows(table: str) -> Iterator[Row]:
        paths = directory / "data" / f"{table}.parquet", directory / "csv" / f"{table}.csv"
        return write_table(table, tables[table], n_classes, *paths)

    mixed = [(row["key"], row["sha256"]) for row in rows("mixed_images")]
    keys = _unique("mixed_images", [key for key, _ in mixed])
    answered: dict[str, int] = {}
    for row in rows("responses"):
        _check_known("responses", row["key"], keys)
        answered[row["participant"]] = answered.get(row["participant"], 0) + 1
    people = []
    for row in rows("participants"):
        people.append(row["participant"])
        if row["source"] != manifest["source"]:
            raise DataError(f"The participant {row['participant']} is {row['source']}, unlike the release.")
        if row["n_responses"] != answered.get(row["participant"], 0):
            raise DataError(
                f"The participant {row['participant']} has not n_responses = {row['n_responses']}."
            )
    for person in answered.keys() - _unique("participants", people):
        raise DataError(f"Table responses: the participant {person!r} is not in the table participants.")
    labelled: dict[str, set[str]] = {policy: set() for policy in manifest["label_policies"]}
    for row in rows("labels"):
        _check_known("labels", row["key"], keys)
        done = labelled.get(row["policy"])
        if done is None or row["key"] in done:
            raise DataError(
                f"Table labels: {row['policy']!r} labels {row['key']!r} twice, or is not in the manifest."
            )
        done.add(row["key"])
    for policy, done in labelled.items():
        if done != keys:
            raise DataError(
                f"Table labels: the policy {policy!r} labels {len(done)} of {len(keys)} mixed images."
            )
    counts = {"participants": len(people), "responses": sum(answered.values()), "mixed_images": len(mixed)}
    return counts, {sha256 for _, sha256 in mixed}


def _unique(table: str, keys: list[str]) -> set[str]:
    unique = set(keys)
    if len(unique) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(f"Table {table}: {twice!r} is there twice.")
    return unique


def _check_known(table: str, key: str, keys: set[str]) -> None:
    if key not in keys:
        raise DataError(f"Table {table}: {key!r} is not in the table mixed_images.")


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
    manifest = read_manifest(directory, FORMAT, "a release")
    stated = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    if manifest.get("manifest_sha256") != sha256_json(stated):
        raise DataError(
            f"{directory}: the file {MANIFEST} was changed after it was written. Restore the original."
        )
    check_files(directory, manifest["files"])
    if manifest["sha256"] != _content_sha256(stated, manifest["files"]):
        raise DataError(f"{directory}: the file {MANIFEST} names another content than its files have.")
    return Release(directory, manifest)
