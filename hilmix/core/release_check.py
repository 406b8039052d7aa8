"""A strict check of a release directory: what `mlcroissant` and `datasets` let pass is found here.

`python -m hilmix.core.release_check DIRECTORY` prints every problem, and ends with 1 where there is one.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hilmix.core.croissant import CLASSES, CONFORMS_TO, file_of
from hilmix.core.errors import DataError
from hilmix.core.files import describe_file, read_manifest
from hilmix.core.licences import LICENCES, conflicts
from hilmix.core.release import open_release
from hilmix.core.release_columns import GIVEN
from hilmix.core.release_manifest import FORMATS, INCLUDED, REQUIRED, VERSION_TEXT, check_manifest
from hilmix.core.release_papers import CHECKSUMS, checksums, json_schemas, tables_in
from hilmix.core.release_rows import Written
from hilmix.core.release_tables import BATCH_ROWS, write_table
from hilmix.core.release_writing import write_papers

# What Croissant 1.1 asks of a dataset, and what it recommends (version, keywords, citeAs) and ours always have.
_REQUIRED = ("@context", "@type", "conformsTo", "name", "description", "license", "url", "creator", "datePublished",
             "version", "keywords", "citeAs", "distribution", "recordSet")  # fmt: skip
_PARQUET_TYPES = {
    "sc:Text": pa.types.is_string,
    "sc:Integer": pa.types.is_integer,
    "sc:Boolean": pa.types.is_boolean,
    "cr:Float64": lambda kind: pa.types.is_float64(kind) or pa.types.is_fixed_size_list(kind),
    "sc:ImageObject": pa.types.is_struct,
}

Manifest = Mapping[str, Any]
Files = dict[str, pa.Schema]  # path of a Parquet file → its schema


def check(directory: Path | str) -> list[str]:
    """Return what is wrong with a release, a sentence each; empty for a sound one.

    A release of an earlier format is only opened, which compares every file with the manifest.
    """
    directory = Path(directory)
    problems = []
    try:
        open_release(directory)
    except DataError as error:
        problems.append(str(error))
    try:
        manifest = read_manifest(directory, FORMATS, "a release")
        if manifest["format"] == FORMATS[-1]:
            problems += _problems(directory, manifest)
    except DataError as error:
        problems.append(str(error))
    except (KeyError, TypeError, AttributeError, OSError, ValueError, pa.ArrowException) as error:
        problems.append(f"{directory}: something is missing or is of another kind ({error!r}).")
    return list(dict.fromkeys(problems))


def _problems(directory: Path, manifest: Manifest) -> Iterator[str]:
    yield from _of_manifest(manifest)
    files = {
        path: pq.read_schema(directory / path) for path in manifest["files"] if path.endswith(".parquet")
    }
    yield from _of_tables(directory, manifest, files)
    dataset = json.loads((directory / "croissant.json").read_text("utf-8"))
    yield from _of_dataset(dataset, manifest)
    yield from _of_distribution(dataset, manifest)
    yield from _of_record_sets(dataset, files)
    filled = {path: schema for path, schema in files.items() if manifest["rows"].get(Path(path).stem, 1)}
    yield from _of_card((directory / "README.md").read_text("utf-8"), filled)
    yield from _of_papers(directory, manifest)


def _of_manifest(manifest: Manifest) -> Iterator[str]:
    try:
        check_manifest({key: value for key, value in manifest.items() if key in REQUIRED}, settled=True)
        licences = manifest["licences"]
        yield from conflicts(
            licences["answers"],
            image_set=licences["image_set"],
            imported=licences.get("imported"),
            images_included=manifest["images"] == INCLUDED,
        )
    except DataError as error:
        yield str(error)


def _of_tables(directory: Path, manifest: Manifest, files: Files) -> Iterator[str]:
    """Each table is there as Parquet, csv and JSON Schema, says the same in each, and fits to the others as a writer
    must have found, who writes them here once more."""
    for table in tables_in(manifest):
        if file_of(table) not in files:
            yield f"{file_of(table)} is missing."
    for path, schema in files.items():
        for field in schema:
            if not (field.metadata or {}).get(b"description"):
                yield f"{path}: the column {field.name} is not described."
    written = Written(manifest)
    try:
        for table in GIVEN:
            yield from _of_table(directory, table, manifest, written)
        facts = written.facts()
    except (DataError, pa.ArrowException, OSError) as error:
        yield str(error)
        return  # what comes after it is checked against it
    for name, fact in facts.items():
        if manifest[name] != fact:
            yield f"The manifest says of {name} what the tables do not."


def _of_table(directory: Path, table: str, manifest: Manifest, written: Written) -> Iterator[str]:
    """Write a table again from its Parquet file."""
    n_classes, factors = len(manifest["image_set"]["classes"]), manifest["factors"]
    described = json.loads((directory / "schema" / f"{table}.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder, pq.ParquetFile(directory / file_of(table)) as file:
        again = Path(folder) / "again.csv"
        for batch in write_table(table, file.iter_batches(BATCH_ROWS), n_classes, None, again, factors):
            written.take(table, batch)
        if describe_file(again) != describe_file(directory / "csv" / f"{table}.csv"):
            yield f"csv/{table}.csv does not say what {file_of(table)} says."
    if described != json_schemas(n_classes, factors)[table]:
        yield f"schema/{table}.json does not describe the columns of {file_of(table)}."


# --- Croissant


def _of_dataset(dataset: Manifest, manifest: Manifest) -> Iterator[str]:
    for name in _REQUIRED:
        if not dataset.get(name):
            yield f"croissant.json has no {name}."
    if dataset.get("@type") != "sc:Dataset":
        yield "croissant.json describes no sc:Dataset."
    if dataset.get("conformsTo") != CONFORMS_TO:
        yield f"croissant.json does not say that it conforms to {' and '.join(CONFORMS_TO)}."
    if re.search(r"\s", str(dataset.get("name", ""))):
        yield f"croissant.json: the name {dataset['name']!r} has spaces."
    version = dataset.get("version")
    if not isinstance(version, str) or not VERSION_TEXT.fullmatch(version):
        yield f"croissant.json: {version!r} is no version of three numbers."
    elif version != manifest["version"]:
        yield f"croissant.json is of version {version}, the manifest of {manifest['version']}."
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(dataset.get("datePublished", ""))):
        yield f"croissant.json: {dataset.get('datePublished')!r} is no date."
    known = {licence.url or licence.title for licence in LICENCES.values()}
    if dataset.get("license") not in known:
        yield f"croissant.json: the licence {dataset.get('license')!r} is not known."
    for name, n in Counter(_ids(dataset)).items():
        if n > 1:
            yield f"croissant.json: the @id {name} is there {n} times."


def _ids(dataset: Manifest) -> Iterator[str]:
    """The ids of what is declared: files, record sets and their fields."""
    for file in dataset.get("distribution") or []:
        yield file.get("@id", "")
    for record_set in dataset.get("recordSet") or []:
        yield record_set.get("@id", "")
        for field in record_set.get("field") or []:
            yield field.get("@id", "")


def _of_distribution(dataset: Manifest, manifest: Manifest) -> Iterator[str]:
    described = {file.get("contentUrl"): file for file in dataset.get("distribution") or []}
    for path in manifest["files"]:
        if path.startswith(("data/", "csv/")) and path not in described:
            yield f"croissant.json does not describe the file {path}."
    for path, file in described.items():
        stated = manifest["files"].get(path)
        if stated is None:
            yield f"croissant.json describes {path}, which is no file of the release."
        elif file.get("sha256") != stated["sha256"]:
            yield f"croissant.json states another sha256 of {path} than the manifest."
        elif file.get("contentSize") != f"{stated['bytes']} B":
            yield f"croissant.json states another size of {path} than the manifest."


def _of_record_sets(dataset: Manifest, files: Files) -> Iterator[str]:
    paths = {file.get("@id"): file.get("contentUrl") for file in dataset.get("distribution") or []}
    ids = set(_ids(dataset))
    described: dict[str, set[str]] = {path: set() for path in files}
    for record_set in dataset.get("recordSet") or []:
        for key in _as_list(record_set.get("key")):
            if key.get("@id") not in ids:
                yield f"croissant.json: the key of {record_set['@id']} is {key.get('@id')}, which is no field."
        if record_set.get("@id") == CLASSES:
            continue
        for field in record_set.get("field") or []:
            path = paths.get(field["source"]["fileObject"]["@id"])
            column = field["source"]["extract"]["column"]
            if path not in files or column not in files[path].names:
                yield f"croissant.json: the field {field['@id']} is the column {column} of {path}; there is none."
                continue
            described[path].add(column)
            kind = _as_list(field.get("dataType"))[0]
            if kind not in _PARQUET_TYPES or not _PARQUET_TYPES[kind](files[path].field(column).type):
                yield f"croissant.json: the field {field['@id']} is no {kind}."
            if not field.get("description"):
                yield f"croissant.json: the field {field['@id']} is not described."
    for path, columns in described.items():
        for column in files[path].names:
            if column not in columns:
                yield f"croissant.json does not describe the column {column} of {path}."


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


# --- the other papers


def _of_card(text: str, files: Files) -> Iterator[str]:
    """The features in the head of the card are the columns, which `datasets` insists on."""
    head = text.partition("\ndataset_info:\n")[2].partition("\n---\n")[0]
    features = {
        part.partition("\n")[0]: [json.loads(name) for name in re.findall(r'^  - name: (".*")$', part, re.M)]
        for part in head.split("- config_name: ")[1:]
    }
    for path, schema in files.items():
        if features.get(Path(path).stem) != schema.names:
            yield f"README.md describes other features than the columns of {path}."
    if not re.search(r"^license: \S", text, re.M):
        yield "README.md names no licence."


def _of_papers(directory: Path, manifest: Manifest) -> Iterator[str]:
    """The papers follow from the manifest and the conditions, so they are written again and compared."""
    listed = manifest["files"]
    if (directory / CHECKSUMS).read_text("utf-8") != checksums(
        {name: entry for name, entry in listed.items() if name != CHECKSUMS}
    ):
        yield f"{CHECKSUMS} does not list what the manifest lists."
    conditions = pq.read_table(directory / file_of("conditions")).to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        again = write_papers(Path(folder), manifest, conditions)
    for name in again.keys() - {CHECKSUMS}:
        if listed.get(name) != again[name]:
            yield f"{name} does not say what this version of hilmix makes of the manifest and the conditions."


def main(arguments: list[str]) -> int:
    """Check the directory that is named; print every problem."""
    if len(arguments) != 1:
        sys.stderr.write("Usage: python -m hilmix.core.release_check DIRECTORY\n")
        return 2
    problems = check(arguments[0])
    sys.stdout.write("".join(f"{problem}\n" for problem in problems) or "Nothing is wrong.\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
