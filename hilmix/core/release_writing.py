"""Writing a release: tables and pictures first, each checked against the others as it is written, then the papers.

A release appears complete or not at all. What its manifest says is in `release_manifest`, its papers in `release_card`,
`release_papers` and `croissant`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pyarrow as pa

from hilmix.core import mixing
from hilmix.core.croissant import croissant
from hilmix.core.errors import DataError
from hilmix.core.files import MANIFEST, describe_file, list_files, new_directory, sha256_json, write_json
from hilmix.core.release_card import dataset_card
from hilmix.core.release_columns import GIVEN, PICTURES
from hilmix.core.release_manifest import FORMATS, INCLUDED, SETTLED, check_manifest, content_sha256
from hilmix.core.release_papers import CHECKSUMS, checksums, json_schemas, papers
from hilmix.core.release_rows import Written
from hilmix.core.release_tables import Row, Rows, dictionary, write_table

Settle = Callable[[Path, dict[str, Any]], Mapping[str, Any]]


def write_release(
    directory: Path | str,
    *,
    tables: Mapping[str, Rows],
    images: Iterable[tuple[str, bytes]],
    manifest: Mapping[str, Any],
    settle: Settle | None = None,
) -> str:
    """Write a release and return its content sha256; the directory appears complete or not at all.

    Args:
        tables: rows of every table of `release_columns.GIVEN`; consumed once, in the order of `COLUMNS`. Rows are
            mappings, or record batches in `release_tables.schema(table, n_classes, factors)`, which are faster. The
            labels' `policy` is the `name` of a label set.
        images: (pixel sha256, PNG bytes) of every mixed image, each once; not read where the release is recipe-only.
        manifest: the keys of `release_manifest.REQUIRED`:
            `name` the study's slug · `version` three numbers · `study` {slug, title} · `source` person, simulated or
            imported · `protocol_sha256` · `image_set` {name, sha256, classes} · `created_at` ISO time · `code_version`;
            `rules` {protocol_sha256, sha256, rules} · `factors` list of {name, varies, levels};
            `label_sets` list of {policy, name (`label_name`), condition (None: it uses no answer), version, params
            (what it estimated), chosen (what was chosen for it), meaning, number};
            `images` "included" or "recipe-only" · `licences` {answers, image_set, perhaps imported: names of
            `licences`, empty for unstated; origin: {answers, image_set …: whom to credit, a text}} · `creators` list of
            names, at least one · `description` a paragraph · `collected` {from, to: dates such as 2026-11-22, or None};
            `previous` {name, version, sha256} or None · `change` {level, reasons} of `release_changes`, or None for the
            first · `consent` list of sentences, what people agreed to and how many did · `agreement` list of
            {condition, measure, value, n, meaning}, how far people agree.
        settle: asked for `version`, `previous` and `change` once tables and pictures are written, so that they can be
            read from what was written: it is given the unfinished directory and its manifest, which
            `release.Release(directory, manifest)` opens. Without it, `manifest` says them.

    The same input gives the same bytes and the same hash with the same versions of the libraries that write the files,
    which `writers` in the manifest names; the hash does not cover name, version, `created_at`, `code_version`,
    `writers`, `previous`, `change`, and the papers that show them. Raises DataError for anything that does not fit
    together.
    """
    check_manifest(manifest, settled=settle is None)
    if set(tables) != set(GIVEN):
        raise DataError(
            f"A release needs the tables {', '.join(GIVEN)}; given: {', '.join(sorted(tables)) or 'none'}."
        )
    with new_directory(Path(directory)) as temporary:
        complete, conditions = _write_content(temporary, tables, images, manifest)
        if settle is not None:
            complete |= settle(temporary, complete)
            check_manifest({key: complete[key] for key in {*manifest, *SETTLED}}, settled=True)
        complete["files"] |= write_papers(temporary, complete, conditions)
        complete["manifest_sha256"] = sha256_json(complete)
        write_json(temporary / MANIFEST, complete)
    return str(complete["sha256"])


def _write_content(
    directory: Path,
    tables: Mapping[str, Rows],
    images: Iterable[tuple[str, bytes]],
    manifest: Mapping[str, Any],
) -> tuple[dict[str, Any], list[Row]]:
    """Write what the content hash covers; return the manifest with the facts found on the way, and the conditions."""
    for folder in ("data", "csv", "schema"):
        (directory / folder).mkdir()
    n_classes, factors = len(manifest["image_set"]["classes"]), manifest["factors"]
    written = Written(manifest)
    for table in GIVEN:
        paths = directory / "data" / f"{table}.parquet", directory / "csv" / f"{table}.csv"
        for batch in write_table(table, tables[table], n_classes, *paths, factors):
            written.take(table, batch)
    facts = written.facts()
    if manifest["images"] == INCLUDED:
        (directory / "images").mkdir()
        rows = _write_images(directory / "images", images, written.by_picture())
        for _batch in write_table(
            PICTURES, rows, n_classes, directory / "data" / f"{PICTURES}.parquet", None
        ):
            pass  # nothing else is asked of these rows
    (directory / "DICTIONARY.md").write_text(dictionary(factors), "utf-8")
    for table, json_schema in json_schemas(n_classes, factors).items():
        write_json(directory / "schema" / f"{table}.json", json_schema)
    complete = {
        **manifest,
        "format": FORMATS[-1],
        "writers": {"numpy": np.__version__, "Pillow": PIL.__version__, "pyarrow": pa.__version__},
        **facts,
        "files": _describe(directory, list_files(directory)),
    }
    complete["sha256"] = content_sha256(complete, complete["files"])
    return complete, written.conditions


def _write_images(
    directory: Path, images: Iterable[tuple[str, bytes]], rows_of: Mapping[str, Sequence[Row]]
) -> Iterator[Row]:
    """Write each picture under the hash of its pixels, yielding the rows of the table `pictures` that show it."""
    written = set()
    for sha256, png in images:
        if sha256 not in rows_of:
            raise DataError(f"The picture {sha256} belongs to no row of the table mixed_images.")
        if mixing.pixel_sha256(mixing.from_png(png)) != sha256:
            raise DataError(f"The picture {sha256} does not show the pixels that its name says.")
        name = f"{sha256}.png"
        (directory / name).write_bytes(png)
        written.add(sha256)
        for row in rows_of[sha256]:
            yield {**row, "image": {"bytes": png, "path": name}}
    for sha256 in rows_of.keys() - written:
        raise DataError(f"The picture {sha256} is in the table mixed_images but was not given.")


def write_papers(
    directory: Path, manifest: Mapping[str, Any], conditions: Sequence[Row]
) -> dict[str, dict[str, Any]]:
    """Write what says in words, to people and to machines, what the content is; return what the files are."""
    (directory / "README.md").write_text(dataset_card(manifest, conditions), "utf-8")
    write_json(directory / "croissant.json", croissant(manifest, conditions))
    texts = papers(manifest)
    for name, text in texts.items():
        (directory / name).write_text(text, "utf-8")
    described = _describe(directory, ["README.md", "croissant.json", *texts])
    (directory / CHECKSUMS).write_text(checksums({**manifest["files"], **described}), "utf-8")
    return described | _describe(directory, [CHECKSUMS])


def _describe(directory: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    return {name: describe_file(directory / name) for name in names}
