"""The small papers of a release: licence, citation, Zenodo's record, what changed, checksums, JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hilmix.core.licences import UNSTATED, Licence, licence_named
from hilmix.core.release_columns import COLUMNS, PICTURES, VERSION, Factors, columns_of, tables_of
from hilmix.core.release_manifest import INCLUDED, RECIPE_ONLY

CHECKSUMS = "SHA256SUMS"
Manifest = Mapping[str, Any]

WHAT = {
    "answers": "answers and labels",
    "image_set": "images that were mixed",
    "imported": "imported answers",
}


def papers(manifest: Manifest) -> dict[str, str]:
    """Return the texts by file name."""
    return {
        "LICENSE": _licence(manifest),
        "CITATION.cff": _citation(manifest),
        ".zenodo.json": json.dumps(_zenodo(manifest), indent=2, sort_keys=True, ensure_ascii=False) + "\n",
        "CHANGELOG.md": _changelog(manifest),
    }


def title_of(manifest: Manifest) -> str:
    """The study's title, and that its answers are simulated, if they are."""
    title = f"{manifest['study']['title']} ({manifest['name']} {manifest['version']})"
    return f"SIMULATED: {title}" if manifest["source"] == "simulated" else title


def licence_of(manifest: Manifest) -> Licence:
    """The licence of the release as a whole: that of its answers and labels."""
    return licence_named(manifest["licences"]["answers"])


def parts_of(manifest: Manifest) -> list[tuple[str, Licence, str]]:
    """Each part that has a licence of its own: what it is, its licence, and whom to credit (which may be empty)."""
    licences = manifest["licences"]
    return [
        (words, licence_named(licences[what]), licences["origin"].get(what) or "")
        for what, words in WHAT.items()
        if what in licences
    ]


def pictures_have(manifest: Manifest) -> str:
    """Which licence the mixed images have: not the release's, which is of answers and labels."""
    if manifest["images"] == RECIPE_ONLY:
        return "This release holds recipes of mixed images, and no pixel of the images that were mixed."
    licence = licence_named(manifest["licences"]["image_set"])
    theirs = (
        "none was stated. Ask their makers before you pass pictures on."
        if licence.name == UNSTATED
        else f"{licence.title}."
    )
    return (
        "The licence of the release is that of its answers and labels. The mixed images are changed copies of the "
        f"images that were mixed and have the licence of these: {theirs}"
    )


def tables_in(manifest: Manifest) -> list[str]:
    """The tables of a release that is written now."""
    return tables_of(VERSION, pictures=manifest["images"] == INCLUDED)


def day_of(manifest: Manifest) -> str:
    """The date on which it was made, such as 2026-11-22."""
    return str(manifest["created_at"])[:10]


def _licence(manifest: Manifest) -> str:
    lines = [title_of(manifest), ""]
    for what, licence, origin in parts_of(manifest):
        under = licence.title + (f" ({licence.name})" if licence.name != UNSTATED else "")
        lines += [f"{what[0].upper()}{what[1:]}: {under}", *filter(None, [licence.url, origin]), ""]
    return "\n".join([*lines, pictures_have(manifest), ""])


def _citation(manifest: Manifest) -> str:
    """CITATION.cff 1.2.0: YAML, in which every JSON text is a text."""
    licence = licence_of(manifest)
    lines = [
        "cff-version: 1.2.0",
        'message: "If you use this data, please cite it."',
        "type: dataset",
        f"title: {as_yaml(title_of(manifest))}",
        f"abstract: {as_yaml(manifest['description'])}",
        f"version: {as_yaml(manifest['version'])}",
        f"date-released: {as_yaml(day_of(manifest))}",
        "authors:",
        *(f"  - name: {as_yaml(creator)}" for creator in manifest["creators"]),
        "identifiers:",
        "  - type: other",
        f"    value: {as_yaml('sha256:' + manifest['sha256'])}",
        "    description: content of this release",
    ]
    if licence.url and not licence.name.startswith("LicenseRef"):
        lines.append(f"license: {licence.name}")
    return "\n".join(lines) + "\n"


def _zenodo(manifest: Manifest) -> dict[str, Any]:
    licence = licence_of(manifest)
    record: dict[str, Any] = {
        "title": title_of(manifest),
        "upload_type": "dataset",
        "description": manifest["description"],
        "creators": [{"name": creator} for creator in manifest["creators"]],
        "version": manifest["version"],
        "publication_date": day_of(manifest),
        "access_right": "open" if licence.url else "restricted",
        "keywords": keywords(manifest),
    }
    if licence.url:
        record["license"] = licence.name.lower()
    else:
        record["access_conditions"] = licence.title + "."
    return record


def keywords(manifest: Manifest) -> list[str]:
    """What the release is found by."""
    return ["human-in-the-loop", "mixup", "soft labels", "perception"] + (
        ["simulated"] if manifest["source"] == "simulated" else []
    )


def _changelog(manifest: Manifest) -> str:
    lines = ["# Changes", "", f"## {manifest['version']} ({day_of(manifest)})", ""]
    previous, change = manifest["previous"], manifest["change"]
    if previous is None:
        lines.append("The first release of this study.")
    else:
        level = f"{change['level']} change" if change else "change"
        lines += [
            f"A {level} since {previous['name']} {previous['version']} (sha256 `{previous['sha256']}`):",
            "",
            *(f"- {reason}" for reason in (change or {"reasons": []})["reasons"]),
        ]
    return "\n".join(lines) + "\n"


def checksums(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The text that `sha256sum --check` reads."""
    return "".join(f"{files[name]['sha256']}  {name}\n" for name in sorted(files))


# --- JSON Schemas: of a row of each table as JSON has it, which is as the csv has it with its lists read

_JSON_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "json": {"type": "string", "contentMediaType": "application/json"},
    "integer": {"type": "integer"},
    "class": {"type": "integer", "minimum": 0},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "picture": {"type": "object"},
}


def json_schemas(n_classes: int, factors: Factors) -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of a row of each table, for K classes."""
    return {table: _json_schema(table, n_classes, factors) for table in COLUMNS if table != PICTURES}


def _json_schema(table: str, n_classes: int, factors: Factors) -> dict[str, Any]:
    properties = {}
    soft = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": n_classes,
            "maxItems": n_classes}  # fmt: skip
    for column in columns_of(table, factors):
        kind = dict(_JSON_TYPES.get(column.type, soft))
        if column.type == "class":
            kind["maximum"] = n_classes - 1
        if column.nullable:
            kind["type"] = [kind["type"], "null"]
        properties[column.name] = {**kind, "description": column.description}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": table,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def as_yaml(value: Any) -> str:
    """A value in YAML: its JSON text is one."""
    return json.dumps(value, ensure_ascii=False)
