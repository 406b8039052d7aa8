"""The notebooks, and the R script beside one, run from top to bottom on a release whose truth is known."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from hilmix.core.features import FEATURES
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.mixing import mix, pixel_sha256, to_png
from hilmix.core.release import write_release
from hilmix.core.softlabels import build_label_set
from tests.core.releases import YOU, condition, label_set, release_input, response

NOTEBOOKS = Path(__file__).resolve().parents[2] / "docs" / "notebooks"

WARP = {"a1": 0.6, "a2": -1.5, "features": {name: {"b": 0.3, "scale": 1.0} for name in FEATURES}}
# What is true of the people below: how far the side, the answer before, and λ itself move what they see.
TRUE = {"side": 0.06, "previous": 0.2, "share": -0.3, "class_1": 0.05, "class_2": 0.0}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with the release `my-release`, and the images that its mixed images are made of as `my-images.npz`."""
    folder = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(5)
    mixed, pictures, parents = mixed_images(rng)
    np.savez(folder / "my-images.npz", images=parents, labels=np.arange(30) % 3)
    trials, responses = answers(mixed, rng)
    sets = label_sets(mixed, responses)
    tables = {
        "mixed_images": mixed,
        "conditions": [condition(YOU, "you")],
        "responses": responses,
        "trials": trials,
        "checks": [],
        "participants": [participant(name) for name in sorted({row["participant"] for row in trials})],
        "labels": [row for labels, asked in sets for row in rows_of(labels, asked, mixed)],
    }
    manifest = release_input()["manifest"] | {
        "source": "simulated",
        "factors": [],
        "label_sets": [label_set(labels.policy, asked) | {"params": labels.params} for labels, asked in sets],
    }
    write_release(folder / "my-release", tables=tables, images=pictures, manifest=manifest)
    return folder


def mixed_images(rng):
    """120 mixes of 30 grey images of three classes, each class with stripes of its own."""
    stripes = np.arange(8)[None, :, None, None] % 3 == np.arange(30)[:, None, None, None] % 3
    parents = (rng.integers(0, 80, (30, 8, 8, 1)) + 160 * stripes).astype(np.uint8)
    pairs = [(i, j) for i in range(30) for j in range(i) if (i - j) % 3]
    rows, pictures = [], []
    for number, place in enumerate(rng.permutation(len(pairs))[:120]):
        first, second = rng.permutation(pairs[place]).tolist()
        lambda_e4 = int(rng.choice([3000, 4000, 5000, 6000, 7000]))
        picture = mix(parents[first], parents[second], lambda_e4)
        sha256 = pixel_sha256(picture)
        row = {"key": f"m{number}", "first_index": first, "second_index": second, "first_class": first % 3,
               "second_class": second % 3, "lambda_e4": lambda_e4, "method": "mixup@1", "sha256": sha256}  # fmt: skip
        rows.append(row)
        pictures.append((sha256, to_png(picture)))
    return rows, pictures, parents


def answers(mixed, rng):
    """Six batches of 20 mixed images, each seen by four people who count and one who saw everything turned."""
    pull = [0.0, TRUE["class_1"], TRUE["class_2"]]
    of_image = dict(zip((row["key"] for row in mixed), rng.normal(0, 0.05, len(mixed)), strict=True))
    trials, responses = [], []
    for person in range(30):
        name, wrong = f"{person:02}e{person:09}", person % 5 == 4  # a name that must not be read as a number
        own, slope, before = rng.normal(0, 0.04), rng.normal(0, 0.1), None
        batch = mixed[20 * (person // 5) : 20 * (person // 5) + 20]
        for position, place in enumerate(rng.permutation(20)):
            image, left = batch[place], str(rng.choice(["first", "second"]))
            share = image["lambda_e4"] / 10_000
            seen = share + (TRUE["share"] + slope) * (share - 0.5) + own + of_image[image["key"]]
            seen += TRUE["side"] * (0.5 if left == "first" else -0.5) + rng.normal(0, 0.05)
            seen += pull[image["first_class"]] - pull[image["second_class"]]
            seen += 0 if before is None else TRUE["previous"] * (before - 0.5)
            seen = float(np.clip(1 - seen if wrong else seen, 0, 1))
            why = {"not_counted": "excluded: reversed"} if wrong else {}
            responses.append(
                response(
                    image["key"], name, position, perceived_lambda=seen, left=left, confidence=0.5, **why
                )
            )
            trials.append(trial(image, responses[-1], before))
            before = seen
    return trials, responses


def trial(image, said, before):
    about = {name: image[name] for name in image if name not in ("method", "sha256")}
    kept = ("participant", "position", "unit", "condition", "protocol_sha256", "left", "counted", "perceived_lambda",
            "flags", "cannot_tell")  # fmt: skip
    return {**about, **{name: said[name] for name in kept}, "not_counted": said.get("not_counted"), "kind": "main",
            "answered": True, "previous_lambda": before}  # fmt: skip


def participant(name):
    return {"participant": name, "source": "simulated", "protocol_sha256": "ab" * 32, "n_responses": 20,
            "checks_shown": 0, "checks_failed": 0, "drawn": "{}", "survey": "{}", "over_quota": False,
            "invalid": False, "measures": "{}", "flags": "[]", "excluded_by": "[]"}  # fmt: skip


def label_sets(mixed, responses):
    """Each with the condition whose answers it uses. The warp is made up: none can be fitted where all images are
    connected."""
    said = {row["key"]: [] for row in mixed}
    for row in responses:
        if row["counted"]:
            judgement = PerceivedLambda(row["perceived_lambda"], 0.5)
            said[row["key"]].append(Answer(row["participant"], judgement, False, YOU))
    units = [
        Unit(
            row["key"],
            row["lambda_e4"],
            row["first_class"],
            row["second_class"],
            tuple(said[row["key"]]),
            parents=(row["first_index"], row["second_index"]),
        )
        for row in mixed
    ]
    by_mixing, by_people = (build_label_set(policy, units, 3) for policy in ("mixup", "human_lambda_shrunk"))
    warped = replace(by_mixing, policy="perceptual_warp", params=WARP)
    return [(by_mixing, None), (by_people, YOU), (warped, YOU)]


def rows_of(labels, asked, mixed):
    for image, row in zip(mixed, labels.rows, strict=True):
        yield {"key": image["key"], "policy": labels.policy, "condition": asked, "n": row.n, "lambda": row.lambda_,
               "soft_label": row.probabilities.tolist(), "predicted": row.predicted}  # fmt: skip


def run(name, work, monkeypatch, told):
    """What the Python expression `told` is, after every cell of the notebook has run in `work`."""
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(work / "jupyter"))
    book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    book.cells.append(nbformat.v4.new_code_cell(f"import json; print(json.dumps({told}))"))
    NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    ).execute()
    return json.loads(book.cells[-1].outputs[0].text)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_printed(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_notebook_that_trains_learns_what_people_see(work, monkeypatch):
    scores = run("train_on_a_release", work, monkeypatch, "scores")
    assert list(scores) == ["human_lambda_shrunk", "mixup", "random(seed=0)"]
    assert scores["human_lambda_shrunk"] < 0.8 < scores["random(seed=0)"]


def test_the_notebook_labels_mixes_of_images_that_nobody_was_shown(work, monkeypatch):
    labels, shares, classes = run(
        "train_on_a_release",
        work,
        monkeypatch,
        "[predicted.tolist(), (shares_e4 / 10_000).tolist(), [one.tolist() for one in batch[2:]]]",
    )
    for label, first, second in zip(labels, *classes, strict=True):
        assert sum(label) == pytest.approx(1)
        assert first == second or label[first] + label[second] == pytest.approx(1)
    of_two = [(share, label[first]) for share, label, first, second in zip(shares, labels, *classes, strict=True)
              if first != second]  # fmt: skip
    assert np.corrcoef(of_two, rowvar=False)[0, 1] > 0.8


def test_the_mixed_model_finds_what_is_true_and_r_finds_the_same(work, monkeypatch):
    found = run(
        "mixed_model",
        work,
        monkeypatch,
        "dict(zip(model.fe_params.index, zip(model.fe_params, model.bse_fe)))",
    )
    assert found.keys() == {"Intercept", "place", *TRUE}
    for term, (estimate, error) in found.items():
        assert abs(estimate - TRUE.get(term, 0)) < 3 * error < 0.15, term
    for term, numbers in r_estimates(work).items():
        assert numbers == pytest.approx(found[term.strip("()")], abs=0.0005), term


def r_estimates(work):
    """Estimate and standard error of each fixed effect by lme4; the test is skipped where R has none."""
    script = shutil.which("Rscript")
    if not script or subprocess.run([script, "-e", "library(lme4)"], capture_output=True).returncode:
        pytest.skip("untested: R with lme4 is absent")
    command = [script, str(NOTEBOOKS / "mixed_model.R"), "my-release"]
    printed = subprocess.run(command, cwd=work, check=True, capture_output=True, text=True).stdout
    table = printed[printed.index(",Estimate,") :].splitlines()
    return {row[""]: (float(row["Estimate"]), float(row["Std. Error"])) for row in csv.DictReader(table)}
