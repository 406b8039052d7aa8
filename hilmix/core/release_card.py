"""The README of a release: a dataset card that says what the data is, who answered, and how to open it.

Written from the manifest and the conditions; the head is the YAML that the Hugging Face Hub reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from hilmix.core.licences import UNSTATED
from hilmix.core.markdown import plain
from hilmix.core.release_columns import PICTURES, Row, columns_of
from hilmix.core.release_manifest import INCLUDED
from hilmix.core.release_papers import as_yaml, keywords, licence_of, parts_of, pictures_have, tables_in
from hilmix.core.softlabels import DEFAULT_POLICY

_SOURCES = {
    "person": "The answers were given by people.",
    "imported": "The answers were given by people elsewhere and imported; source rows are kept verbatim.",
    "simulated": "**SIMULATED: no person answered.** The answers come from simulated participants. They show "
    "how the product works and support no conclusion about human perception.",
}

_POLICY_PARAMS_SHOWN = 400  # characters; the manifest has them in full


def dataset_card(manifest: Mapping[str, Any], conditions: Sequence[Row]) -> str:
    """Return README.md for a release with this manifest and table `conditions`."""
    title = f"{manifest['name']} {manifest['version']}"
    simulated = manifest["source"] == "simulated"
    parts = [
        "---",
        *_head(manifest, title, conditions),
        "---",
        "",
        f"# {plain(title)}" + (" — SIMULATED ANSWERS" if simulated else ""),
        "",
        _SOURCES[manifest["source"]],
        "",
        manifest["description"],
        "",
        "People looked at mixtures of two images, λ·first + (1 − λ)·second, and said what they saw.",
        f"This release holds {_held(manifest)}, every answer that may be published, and the soft labels made of them.",
        "",
        *_facts(manifest),
        "",
        "## Licences",
        "",
        *_licences(manifest),
        "",
        "## Conditions",
        "",
        "How was asked; answers of different conditions are never pooled. Words and display are in `conditions`.",
        "",
        "| condition | interface | perspective | language | bonus |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {row['condition']} | {row['interface']} | {row['perspective']} | {row['language']} | "
            f"{'yes' if row['bonus'] else 'no'} |"
            for row in conditions
        ),
        "",
        *_varied(manifest["factors"]),
        "## Who answered, and what they agreed to",
        "",
        *(
            [f"- {plain(sentence)}" for sentence in manifest["consent"]]
            or ["Nothing is known of what people agreed to."]
        ),
        f"- {names_of_people(manifest)}",
        "",
        "## Whose answers labels use",
        "",
        *_left_out(manifest),
        "",
        "## Labels",
        "",
        "| policy | condition | version | its number is | meaning | parameters |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| `{entry['name']}` | {entry['condition'] or ''} | {entry['version']} | {entry['number']} | "
            f"{plain(entry['meaning'])} | {_params(entry['params'])} |"
            for entry in manifest["label_sets"]
        ),
        "",
        "## How far people agree",
        "",
        *_agreement(manifest["agreement"]),
        "",
        "## What to keep in mind",
        "",
        plain(limitations(manifest)),
        "",
        "## Opening it",
        "",
        *_opening(manifest),
        "",
        "Columns are described in `DICTIONARY.md`, and for programs in `schema/` and `croissant.json`; `manifest.json`",
        "lists every file with its sha256. How to cite it is in `CITATION.cff`, what changed in `CHANGELOG.md`.",
        "A release never changes: corrections and withdrawals make a new one.",
    ]
    return "\n".join(parts) + "\n"


# --- what is said here and in croissant.json


def protocol_in_words(manifest: Mapping[str, Any]) -> str:
    """How the answers came about."""
    how = {
        "person": "People answered in a browser",
        "imported": "Answers that were published elsewhere were imported, their rows kept verbatim,",
        "simulated": "No person answered: simulated participants did",
    }[manifest["source"]]
    return (
        f"{how}, in the study “{manifest['study']['title']}” (protocol sha256 {manifest['protocol_sha256']})."
    )


def who_is_left_out(manifest: Mapping[str, Any]) -> str:
    """How many participants no label uses, and why."""
    left_out = manifest["left_out"]
    return (
        f"Of {manifest['counts']['participants']} participants, {left_out['invalid']} were marked as invalid by a "
        f"researcher, and of the others {left_out['excluded']} were left out by a rule. Their answers are in this "
        "release and say so in `not_counted`; no label uses them."
    )


def names_of_people(manifest: Mapping[str, Any]) -> str:
    """By what names participants go."""
    if manifest["source"] == "imported":
        return "Participants have the ids under which their answers were published before."
    return (
        "Participants appear under pseudonyms that differ from release to release, though whoever holds two releases "
        "can match the answers themselves; free text is never released."
    )


def answers_a_unit(manifest: Mapping[str, Any]) -> str:
    """How many counted answers there are of a mixed image, and of a pair; empty without any."""
    return " and ".join(
        f"{n['median']:g} counted answers a {unit.replace('_', ' ')} (median; from {n['fewest']} to {n['most']})"
        for unit, n in manifest["answers_per_unit"].items()
    )


def limitations(manifest: Mapping[str, Any]) -> str:
    """What not to conclude from it."""
    counts = manifest["counts"]
    said = (
        f"{counts['participants']} participants gave {answers_a_unit(manifest) or 'no answers that count'}, to images "
        f"of one set, {manifest['image_set']['name']}. "
        "What they saw depends on the images, on how they were asked and shown, and on who they are; a label is an "
        "estimate with an interval, and a predicted label is what nobody said."
    )
    return f"{_SOURCES['simulated'].replace('**', '')} {said}" if manifest["source"] == "simulated" else said


# --- the head, in the YAML that the Hugging Face Hub reads: every JSON text is one of YAML


def _head(manifest: Mapping[str, Any], title: str, conditions: Sequence[Row]) -> list[str]:
    simulated = manifest["source"] == "simulated"
    n = manifest["counts"]["responses"]
    # The library `datasets` refuses a table without a row.
    tables = [table for table in tables_in(manifest) if manifest["rows"].get(table, 1)]
    return [
        f"pretty_name: {as_yaml(title)}",
        f"license: {licence_of(manifest).hub}",
        f"tags: {as_yaml([word.replace(' ', '-') for word in keywords(manifest)])}",
        f"annotations_creators: [{'machine-generated' if simulated else 'crowdsourced'}]",
        f"language: {as_yaml(sorted({row['language'] for row in conditions}))}",
        f"source_datasets: {as_yaml(['extended|other-' + manifest['image_set']['name']])}",
        "task_categories: [image-classification]",
        f"size_categories: [{next(size for limit, size in _SIZES if n < limit)}]",
        "configs:",
        *(
            f"- config_name: {table}\n  data_files: data/{table}.parquet"
            + ("\n  default: true" if table == "labels" else "")
            for table in tables
        ),
        "dataset_info:",
        *chain.from_iterable(_features(manifest, table) for table in tables),
    ]


_SIZES = (
    (1e3, "n<1K"),
    (1e4, "1K<n<10K"),
    (1e5, "10K<n<100K"),
    (1e6, "100K<n<1M"),
    (1e7, "1M<n<10M"),
    (1e99, "n>10M"),
)
_DTYPES = {
    "text": "string",
    "json": "string",
    "integer": "int64",
    "number": "float64",
    "boolean": "bool",
    "picture": "image",
}


def _features(manifest: Mapping[str, Any], table: str) -> list[str]:
    classes = manifest["image_set"]["classes"]
    names = [f"        '{position}': {as_yaml(name)}" for position, name in enumerate(classes)]
    lines = [f"- config_name: {table}", "  features:"]
    for column in columns_of(table, manifest["factors"]):
        lines.append(f"  - name: {as_yaml(column.name)}")
        match column.type:
            case "class":
                lines += ["    dtype:", "      class_label:", "       names:", *names]
            case "probabilities":
                lines += ["    list: float64", f"    length: {len(classes)}"]
            case _:
                lines.append(f"    dtype: {_DTYPES[column.type]}")
    return lines


# --- the parts of the body


def _held(manifest: Mapping[str, Any]) -> str:
    included = manifest["images"] == INCLUDED
    return "the mixed images" if included else "the recipes of the mixed images (not their pixels)"


def _facts(manifest: Mapping[str, Any]) -> list[str]:
    counts, image_set, collected = manifest["counts"], manifest["image_set"], manifest["collected"]
    previous = manifest["previous"]
    facts = {
        "study": f"{plain(manifest['study']['title'])} (`{manifest['study']['slug']}`)",
        "by": plain(", ".join(manifest["creators"])),
        "participants": counts["participants"],
        "responses": counts["responses"],
        "collected": f"{collected['from']} to {collected['to']}" if collected["from"] else "not known",
        "mixed images": counts["mixed_images"],
        "image set": f"{plain(image_set['name'])} (sha256 `{image_set['sha256']}`)",
        "classes": plain(", ".join(image_set["classes"])),
        "protocol": f"sha256 `{manifest['protocol_sha256']}`",
        "made": f"{manifest['created_at']} by hilmix {manifest['code_version']}",
        "content": f"sha256 `{manifest['sha256']}`",
        "before it": plain(f"{previous['name']} {previous['version']}")
        if previous
        else "none: the first of this study",
    }
    return ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in facts.items())]


def _licences(manifest: Mapping[str, Any]) -> list[str]:
    lines = ["| of the | licence | whom to credit |", "| --- | --- | --- |"]
    for what, licence, origin in parts_of(manifest):
        shown = f"[{licence.name}]({licence.url})" if licence.url else f"**{licence.title}**"
        lines.append(f"| {what} | {shown} | {plain(origin) or 'not stated'} |")
    lines += ["", pictures_have(manifest)]
    if any(licence.name == UNSTATED for _what, licence, _origin in parts_of(manifest)):
        lines += ["", "Where no licence was stated, nobody gave you leave: ask before you pass it on."]
    return lines


def _agreement(measures: Sequence[Mapping[str, Any]]) -> list[str]:
    if not measures:
        return ["Not assessed."]
    return [
        "| condition | measure | value | n | meaning |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {one['condition']} | {one['measure']} | {one['value']:.3f} | {one['n']} | {plain(one['meaning'])} |"
            for one in measures
        ),
    ]


def _opening(manifest: Mapping[str, Any]) -> list[str]:
    included = manifest["images"] == INCLUDED
    images = "release.images()                           # uint8 [n, H, W, C]"
    return [
        "```python",
        *([] if included else ["from hilmix.core.imageset import open_image_set"]),
        "from hilmix.core.release import open_release",
        "",
        'release = open_release("this folder")      # checks the sha256 of every file',
        images
        if included
        else 'release.images(open_image_set("FOLDER"))    # your copy of the image set, mixed again',
        f"release.{labels_call(manifest['label_sets'])}      # float64 [n, K]",
        "```",
        "",
        "Or with the library `datasets`, by the name of a table:",
        "",
        "```python",
        f'datasets.load_dataset("this folder", "{PICTURES if included else "labels"}", split="train")',
        "```",
    ]


def _varied(factors: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the study compared, if anything."""
    if not factors:
        return []
    return [
        "What was compared; the level is in the column `level_` and the factor's name.",
        "",
        "| factor | varies | levels |",
        "| --- | --- | --- |",
        *(
            f"| {plain(one['name'])} | {one['varies']} people | {plain(', '.join(one['levels']))} |"
            for one in factors
        ),
        "",
    ]


def _left_out(manifest: Mapping[str, Any]) -> list[str]:
    """Who was left out of the labels, and the rules that were applied."""
    rules = manifest["rules"]
    lines = [
        who_is_left_out(manifest),
        "",
        f"Rules of the protocol `{rules['protocol_sha256']}` (sha256 of the rules `{rules['sha256']}`):",
        "",
    ]
    if not rules["rules"]:
        return [*lines[:-2], "The protocol has no rules of quality."]
    return [
        *lines,
        "| flag | limits | leaves out | why |",
        "| --- | --- | --- | --- |",
        *(
            f"| {rule['flag']} | `{json.dumps(rule['params'], sort_keys=True)}` | "
            f"{'yes' if rule['excludes'] else 'no'} | {plain(rule['reason'])} |"
            for rule in rules["rules"]
        ),
    ]


def labels_call(label_sets: Sequence[Mapping[str, Any]]) -> str:
    """Return how the labels most people want are had from an open release: `labels("human_lambda_shrunk")`."""
    usual = max(label_sets, key=lambda entry: (entry["name"] == DEFAULT_POLICY, bool(entry["condition"])))
    several = sum(entry["name"] == usual["name"] for entry in label_sets) > 1
    return f'labels("{usual["name"]}"' + (f', "{usual["condition"]}")' if several else ")")


def _params(params: Mapping[str, Any]) -> str:
    text = json.dumps(params, sort_keys=True)
    return f"`{text}`" if len(text) <= _POLICY_PARAMS_SHOWN else "see the manifest"
