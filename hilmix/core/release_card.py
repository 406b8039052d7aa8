"""The README of a release: a dataset card that says what the data is, who answered, and how to open it.

Written from the manifest and the conditions; the head is the YAML that the Hugging Face Hub reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hilmix.core.release_tables import COLUMNS, Row
from hilmix.core.softlabels import DEFAULT_POLICY

_SOURCES = {
    "person": "The answers were given by people.",
    "imported": "The answers were given by people elsewhere and imported; source rows are kept verbatim.",
    "simulated": "**SIMULATED: no person answered.** The answers come from simulated participants. They show "
    "how the product works and support no conclusion about human perception.",
}

_POLICY_PARAMS_SHOWN = 400  # characters; the manifest has them in full


def dataset_card(manifest: Mapping[str, Any], conditions: Iterable[Row]) -> str:
    """Return README.md for a release with this manifest and table `conditions`."""
    counts, image_set = manifest["counts"], manifest["image_set"]
    simulated = manifest["source"] == "simulated"
    title = f"{manifest['name']} {manifest['version']}"
    configs = [f"- config_name: {table}\n  data_files: data/{table}.parquet" for table in COLUMNS]
    policies = [
        f"| `{entry['policy']}` | {entry['condition'] or ''} | {entry['version']} | {entry['meaning']} | "
        f"{_params(entry['params'])} |"
        for entry in manifest["label_sets"]
    ]
    asked = [
        f"| {row['condition']} | {row['interface']} | {row['perspective']} | {row['language']} | "
        f"{'yes' if row['bonus'] else 'no'} |"
        for row in conditions
    ]
    parts = [
        "---",
        f"pretty_name: {json.dumps(title, ensure_ascii=False)}",
        "tags: [human-in-the-loop, mixup, soft-labels" + (", simulated]" if simulated else "]"),
        "configs:",
        *configs,
        "---",
        "",
        f"# {title}" + (" — SIMULATED ANSWERS" if simulated else ""),
        "",
        _SOURCES[manifest["source"]],
        "",
        "People looked at mixtures of two images, λ·first + (1 − λ)·second, and said what they saw.",
        "This release holds the mixed images, every answer that may be published, and the soft labels made of them.",
        "",
        "| | |",
        "| --- | --- |",
        f"| study | {manifest['study']['title']} (`{manifest['study']['slug']}`) |",
        f"| participants | {counts['participants']} |",
        f"| responses | {counts['responses']} |",
        f"| mixed images | {counts['mixed_images']} |",
        f"| image set | {image_set['name']} (sha256 `{image_set['sha256']}`) |",
        f"| classes | {', '.join(image_set['classes'])} |",
        f"| protocol | sha256 `{manifest['protocol_sha256']}` |",
        f"| made | {manifest['created_at']} by hilmix {manifest['code_version']} |",
        f"| content | sha256 `{manifest['sha256']}` |",
        "",
        "## Conditions",
        "",
        "How was asked; answers of different conditions are never pooled. Words and display are in `conditions`.",
        "",
        "| condition | interface | perspective | language | bonus |",
        "| --- | --- | --- | --- | --- |",
        *asked,
        "",
        *_varied(manifest["factors"]),
        "## Whose answers labels use",
        "",
        *_left_out(manifest),
        "",
        "## Labels",
        "",
        "| policy | condition | version | meaning | parameters |",
        "| --- | --- | --- | --- | --- |",
        *policies,
        "",
        "## Opening it",
        "",
        "```python",
        "from hilmix.core.release import open_release",
        "",
        'release = open_release("this folder")      # checks the sha256 of every file',
        "release.images()                           # uint8 [n, H, W, C]",
        f"release.{labels_call(manifest['label_sets'])}      # float64 [n, K]",
        "```",
        "",
        "Columns are described in `DICTIONARY.md`; `manifest.json` lists every file with its sha256.",
        "A release never changes: corrections and withdrawals make a new one.",
        "Participants appear under pseudonyms only.",
    ]
    return "\n".join(parts) + "\n"


def _varied(factors: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the study compared, if anything."""
    if not factors:
        return []
    return [
        "What was compared; the level is in the column `level_` and the factor's name.",
        "",
        "| factor | varies | levels |",
        "| --- | --- | --- |",
        *(f"| {one['name']} | {one['varies']} people | {', '.join(one['levels'])} |" for one in factors),
        "",
    ]


def _left_out(manifest: Mapping[str, Any]) -> list[str]:
    """Who was left out of the labels, and the rules that were applied."""
    left_out, rules = manifest["left_out"], manifest["rules"]
    lines = [
        f"Of {manifest['counts']['participants']} participants, {left_out['invalid']} were marked as invalid by a "
        f"researcher and {left_out['excluded']} were left out by a rule. Their answers are in this release and say so",
        "in `not_counted`; no label uses them. Nothing was deleted.",
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
            f"{'yes' if rule['excludes'] else 'no'} | {_cell(rule['reason'])} |"
            for rule in rules["rules"]
        ),
    ]


def _cell(text: str) -> str:
    """Text that a person wrote, in one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def labels_call(label_sets: Sequence[Mapping[str, Any]]) -> str:
    """Return how the labels most people want are had from an open release: `labels("human_lambda_shrunk")`."""
    usual = max(label_sets, key=lambda entry: (entry["policy"] == DEFAULT_POLICY, bool(entry["condition"])))
    several = sum(entry["policy"] == usual["policy"] for entry in label_sets) > 1
    return f'labels("{usual["policy"]}"' + (f', "{usual["condition"]}")' if several else ")")


def _params(params: Mapping[str, Any]) -> str:
    text = json.dumps(params, sort_keys=True)
    return f"`{text}`" if len(text) <= _POLICY_PARAMS_SHOWN else "see the manifest"
