"""A small release to write: three mixed images, and two people who were asked about them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hilmix.core.files import describe_file, sha256_json, write_json
from hilmix.core.mixing import mix, pixel_sha256, to_png
from hilmix.core.release_manifest import content_sha256

LAMBDAS = (2500, 5000, 9000)
YOU, OTHERS = "0a1b2c3d4e5f", "f5e4d3c2b1a0"  # two conditions


RULES = {
    "protocol_sha256": "ab" * 32,
    "sha256": "ef" * 32,
    "rules": [
        {"flag": "reversed", "params": {"share": 0.5}, "excludes": True, "reason": "The key was | turned."}
    ],
}


FACTORS = [
    {"name": "view", "varies": "between", "levels": ["you", "others"]},
    {"name": "side", "varies": "within", "levels": ["first", "second"]},
]


def pictures() -> list[np.ndarray]:
    first, second = np.full((4, 4, 1), 200, np.uint8), np.zeros((4, 4, 1), np.uint8)
    return [mix(first, second, lambda_e4) for lambda_e4 in LAMBDAS]


def condition(name: str, perspective: str) -> dict:
    return {"condition": name, "interface": "infer", "interface_version": 2, "options": "{}", "language": "en-gb",
            "perspective": perspective, "wording": "{}", "bonus": "", "display": "{}"}  # fmt: skip


def response(key: str, person: str, position: int, **said: object) -> dict:
    return {"key": key, "unit": "mixed_image", "condition": YOU, "participant": person, "position": position,
            "protocol_sha256": "ab" * 32, "flags": "[]", "repeat": False,
            "counted": "not_counted" not in said, "cannot_tell": False, "drawn": "{}", "attempt": 1, "rt_ms": 1500.0,
            "payload": '{"mixing_percent": 75}', **said}  # fmt: skip


def trial(row: dict, **said: object) -> dict:
    """The trial that a response answers."""
    place = int((said.get("key") or row["key"])[1:])
    kept = {
        name: row[name] for name in ("participant", "position", "unit", "key", "condition", "protocol_sha256")
    }
    given = {"flags": "[]", "left": row.get("left"), "not_counted": row.get("not_counted"), "answered": True}
    shown = {"first_index": place, "second_index": place + 10, "first_class": 0, "second_class": 2,
             "lambda_e4": LAMBDAS[place]}  # fmt: skip
    complete = {**kept, **given, **shown, **said}
    return {**complete, "counted": complete["not_counted"] is None}


def release_input() -> dict:
    """Three mixed images, two people (one with a repeat and two checks), two policies whose rows come in another
    order."""
    hashes = [pixel_sha256(picture) for picture in pictures()]
    mixed = [
        {"key": f"m{i}", "first_index": i, "second_index": i + 10, "first_class": 0, "second_class": 2,
         "lambda_e4": lambda_e4, "method": "mixup@1", "sha256": hashes[i], "split": "train"}
        for i, lambda_e4 in enumerate(LAMBDAS)
    ]  # fmt: skip
    responses = [
        response("m0", "P1", 0, perceived_lambda=0.25, left="first"),
        response("m1", "P1", 1, perceived_lambda=0.25, confidence=0.5, left="second", trial_index=1),
        response("m0", "P1", 2, perceived_lambda=0.25, left="first", repeat=True, not_counted="repeat"),
        response("m2", "P2", 0, perceived_lambda=0.25, left="first", rt_ms=None, time_elapsed_ms=900),
    ]
    trials = [trial(row, kind="repeat" if row["repeat"] else "main") for row in responses]
    trials += [
        trial(responses[0], kind="check", key=None, position=3, not_counted="check"),
        trial(responses[0], kind="check", key=None, position=4, not_counted="check"),
        trial(responses[3], kind="main", key="m0", position=1, not_counted="unanswered", answered=False),
    ]
    checks = [
        {"participant": "P1", "position": 3, "class_index": 2, "share": 1.0, "passed": True},
        {"participant": "P1", "position": 4, "class_index": 0, "share": None, "passed": False},
    ]
    people = [
        {"participant": person, "source": "person", "protocol_sha256": "ab" * 32, "n_responses": n,
         "checks_shown": shown, "checks_failed": failed, "drawn": "{}", "survey": "{}",
         "over_quota": False, "invalid": False, "measures": "{}", "flags": "[]", "excluded_by": "[]"}
        for person, n, shown, failed in (("P1", 3, 2, 1), ("P2", 1, 0, 0))
    ]  # fmt: skip
    labels = [
        {"key": f"m{i}", "policy": policy, "condition": asked, "n": 1, "lambda": share, "spread": None, "low": 0.1,
         "high": 0.9, "soft_label": [share, 0.0, 1 - share], "predicted": False}
        for policy, asked, offset in (("mixup", None, 0.0), ("human_lambda", YOU, 0.05))
        for i, share in [(2, 0.9 + offset), (0, 0.25 + offset), (1, 0.5 + offset)]
    ]  # fmt: skip
    manifest = {
        "name": "pets", "version": "1.0.0", "study": {"slug": "pets", "title": "Pets"}, "source": "person",
        "protocol_sha256": "ab" * 32,
        "image_set": {"name": "pets", "sha256": "cd" * 32, "classes": ["cat", "dog", "fox"]},
        "created_at": "2026-01-01T00:00:00Z", "code_version": "0.1.0", "rules": RULES, "factors": FACTORS,
        "label_sets": [label_set("mixup", None), label_set("human_lambda", YOU)], "images": "included",
        "licences": {"answers": "CC-BY-4.0", "image_set": "", "origin": {"answers": "", "image_set": "A. Vet"}},
        "creators": ["Ada Lovelace", "Grace Hopper"], "description": "What people see in mixed pets.",
        "collected": {"from": "2026-01-01", "to": "2026-01-02"}, "previous": None, "change": None,
        "consent": ["2 of 3 people agreed."],
        "agreement": [{"condition": YOU, "measure": "Krippendorff's α", "value": 0.61, "n": 4, "meaning": "1 is all."}],
    }  # fmt: skip
    tables = {"mixed_images": mixed, "conditions": [condition(YOU, "you")], "responses": responses, "trials": trials,
              "checks": checks, "participants": people, "labels": labels}  # fmt: skip
    images = [(sha256, to_png(picture)) for sha256, picture in zip(hashes, pictures(), strict=True)]
    return {"tables": tables, "images": images, "manifest": manifest}


def label_set(policy: str, asked: str | None) -> dict:
    return {"policy": policy, "name": policy, "condition": asked, "version": 1, "params": {}, "chosen": {},
            "meaning": "What it says.", "number": "share judged"}  # fmt: skip


def asked_in_two_ways() -> dict:
    """The same with a second condition, under which P2 answered; its labels are 0.02 higher."""
    given = release_input()
    tables = given["tables"]
    tables["conditions"].append(condition(OTHERS, "100 others"))
    tables["responses"][3]["condition"] = OTHERS
    tables["trials"][3]["condition"] = OTHERS
    given["manifest"]["label_sets"].append(label_set("human_lambda", OTHERS))
    for row in [row for row in tables["labels"] if row["policy"] == "human_lambda"]:
        share = row["lambda"] + 0.02
        soft = [share, 0.0, 1 - share]
        tables["labels"].append({**row, "condition": OTHERS, "lambda": share, "soft_label": soft})
    return given


def reseal(directory: Path) -> None:
    """Let the manifest list the files as they are now, as somebody would who meant no harm."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest.pop("manifest_sha256")
    names = sorted(
        str(file.relative_to(directory)) for file in directory.rglob("*") if file.is_file() and file != path
    )
    manifest["files"] = {name: describe_file(directory / name) for name in names}
    manifest["sha256"] = content_sha256(manifest, manifest["files"])
    write_json(path, {**manifest, "manifest_sha256": sha256_json(manifest)})
