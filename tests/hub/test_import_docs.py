"""The page of the documentation about imports says of every kind what the form asks for, and the limits that hold."""

from __future__ import annotations

from pathlib import Path

from hilmix.core import archives, loaders, parquet
from hilmix.hub.importers import rows
from hilmix.hub.importers.registry import IMPORTERS

PAGE = (Path(__file__).parents[2] / "docs" / "imports.md").read_text("utf-8")
WORDS = {
    "name": "name", "size": "size", "test_percent": "share of the test split", "licence": "licence",
    "origin": "origin", "image_set": "image set", "meaning": "meaning", "slug": "short name", "votes": "votes",
}  # fmt: skip


def test_every_kind_is_described_with_its_file_and_what_is_asked_for():
    rows_of = {line.split(" | ")[0].removeprefix("| "): line for line in PAGE.splitlines()}
    for importer in IMPORTERS.values():
        row = rows_of[str(importer.label)]
        assert f"`{importer.suffix}`" in row
        asked = row.split(" | ")[2].removesuffix(" |").split(" (")[0].split(", ")
        assert asked == [WORDS[name] for name in importer.asks]


def test_the_limits_are_those_that_hold():
    for limit in (
        f"{archives.LARGEST // 10**9} GB unpacked, {archives.MOST_FILES:,} files",
        f"{loaders.MAX_BYTES // 10**9} GB as arrays, {loaders.MAX_PIXELS // 10**6} million pixels",
        f"{loaders.MAX_CLASSES:,} classes",
        f"{loaders.MAX_ROWS // 10**6} million rows",
        f"{parquet.LARGEST // 10**9} GB of mixed images",
        f"{parquet.MOST_ROWS // 10**6} million rows a table",
        f"{rows.DEEPEST} lists and objects in each other",
    ):
        assert limit in PAGE
