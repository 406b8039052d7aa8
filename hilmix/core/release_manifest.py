"""The manifest of a release: what a caller states in it, what the writer adds, and the hash that names the content."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from hilmix.core.errors import DataError
from hilmix.core.files import sha256_json
from hilmix.core.licences import licence_named
from hilmix.core.release_columns import VERSION

FORMATS = tuple(f"hilmix-release/{version}" for version in range(1, VERSION + 1))
SOURCES = ("person", "simulated", "imported")
INCLUDED, RECIPE_ONLY = "included", "recipe-only"
VERSION_TEXT = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")

# What a caller gives; the writer adds format, writers, rows, counts, left_out, answers_per_unit, files and the two
# hashes.
REQUIRED = (
    "name", "version", "study", "source", "protocol_sha256", "image_set", "created_at", "code_version",
    "rules", "factors", "label_sets", "images", "licences", "creators", "description", "collected", "previous",
    "change", "consent", "agreement",
)  # fmt: skip
SETTLED = ("version", "previous", "change")  # what a caller may say once the records are written
MAY_BE_NONE = {"previous", "change"}

_OF: dict[str, Collection[str]] = {
    "study": {"slug", "title"},
    "image_set": {"name", "sha256", "classes"},
    "rules": {"protocol_sha256", "sha256", "rules"},
    "collected": {"from", "to"},
    "previous": {"name", "version", "sha256"},
    "change": {"level", "reasons"},
}
_OF_EACH: dict[str, tuple[str, Collection[str]]] = {
    "factors": ("A factor", {"name", "varies", "levels"}),
    "label_sets": (
        "A label set",
        {"policy", "name", "condition", "version", "params", "chosen", "meaning", "number"},
    ),
    "agreement": ("A measure of agreement", {"condition", "measure", "value", "n", "meaning"}),
}

# Facts about the making, not the content: two releases that differ in these alone hold the same data.
NOT_CONTENT = {
    "name",
    "version",
    "created_at",
    "code_version",
    "writers",
    "previous",
    "change",
    "sha256",
    "manifest_sha256",
}
CONTENT_FOLDERS = ("data/", "csv/", "images/", "schema/")
CONTENT_FILES = ("DICTIONARY.md",)


def check_manifest(manifest: Mapping[str, Any], *, settled: bool) -> None:
    """Raise DataError unless every entry of `REQUIRED` is there and nothing else; those of `SETTLED` may come later,
    unless they are `settled`."""
    later = set() if settled else set(SETTLED)
    for key in REQUIRED:
        if key not in later and _is_missing(manifest, key):
            raise DataError(f"The manifest of a release needs {key!r}.")
    if unknown := manifest.keys() - set(REQUIRED):
        raise DataError(f"The manifest of a release has no entry {sorted(unknown)[0]!r}.")
    if manifest["source"] not in SOURCES:
        raise DataError(f"A release comes from one source, {', '.join(SOURCES)}; not {manifest['source']!r}.")
    if manifest["images"] not in (INCLUDED, RECIPE_ONLY):
        raise DataError(
            f"The images of a release are {INCLUDED} or {RECIPE_ONLY}, not {manifest['images']!r}."
        )
    if "version" in manifest and not VERSION_TEXT.fullmatch(manifest["version"]):
        raise DataError(f"{manifest['version']!r} is no version; write three numbers such as 1.0.0.")
    _check_shapes(manifest)
    _check_licences(manifest["licences"])


def _is_missing(manifest: Mapping[str, Any], key: str) -> bool:
    value = manifest.get(key)
    if value is None:
        return key not in manifest or key not in MAY_BE_NONE
    return value == "" or (key in ("label_sets", "creators") and not value)


def _check_shapes(manifest: Mapping[str, Any]) -> None:
    for key, names in _OF.items():
        entry = manifest.get(key)
        if entry is not None and entry.keys() != names:
            raise DataError(
                f"The entry {key!r} is described by {', '.join(sorted(names))}, not {sorted(entry)}."
            )
    for key, (what, names) in _OF_EACH.items():
        for entry in manifest[key]:
            if entry.keys() != names:
                raise DataError(f"{what} is described by {', '.join(sorted(names))}, not {entry!r}.")


def _check_licences(licences: Mapping[str, Any]) -> None:
    if (
        not {"answers", "image_set", "origin"}
        <= licences.keys()
        <= {"answers", "image_set", "origin", "imported"}
    ):
        raise DataError(
            f"The licences are those of answers, image_set and perhaps imported answers, with the origin of each; not "
            f"{sorted(licences)}."
        )
    for what in licences.keys() - {"origin"}:
        licence_named(licences[what])


def content_sha256(manifest: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> str:
    """The hash that names the content: all facts but those of the making, and every file but the papers that show
    them (card, Croissant, citation …)."""
    facts = {key: value for key, value in manifest.items() if key not in NOT_CONTENT | {"files"}}
    return sha256_json(
        {**facts, "files": {name: files[name] for name in files if _is_content(manifest, name)}}
    )


def _is_content(manifest: Mapping[str, Any], name: str) -> bool:
    if manifest["format"] in FORMATS[:3]:  # whose one paper was the card
        return name != "README.md"
    return name.startswith(CONTENT_FOLDERS) or name in CONTENT_FILES
