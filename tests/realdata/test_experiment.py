"""A short experiment on the published H-Mix answers, by the commands that the README names."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command

from hilmix.core.softlabels import PerceptualMixup
from training.experiments.config import parse_config, read_config
from training.experiments.material import data_of, resolve, run_plan
from training.models import Run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# The job's heartbeat has a database connection of its own.
pytestmark = [pytest.mark.realdata, pytest.mark.django_db(transaction=True)]

SHORT = """
name = "short"
release = "hmix"
seeds = [0]
arms = [{policy = "mixup"}, {policy = "human_lambda_shrunk"}]
[train]
epochs = 1
warmup_epochs = 0.2
precision = "auto"
threads = 1
"""


@pytest.fixture
def hmix(settings, tmp_path: Path, realdata: Path) -> None:
    """The image set with its published split and human labels, the answers, and their release."""
    settings.VAR = tmp_path / "var"
    split = ",".join(f"{name}={realdata / f'cifar10h_split_{name}.npy'}" for name in ("train", "test"))
    call_command("import_images", "npz", str(realdata / "cifar10_test.npz"), name="cifar10", split=split)
    call_command("import_human_labels", str(realdata / "cifar10h-probs.npy"), images="cifar10")
    call_command("import_hmix", str(realdata / "hmix"), images="cifar10")
    call_command("freeze_release", "hmix", out=tmp_path / "release")


def test_the_ten_arms_of_the_example_fit_the_published_answers(hmix):
    config = read_config(EXAMPLES / "hmix_arms.toml")
    assert len(run_plan(config)) == 38
    material = resolve(config)
    assert material.config.primary == "human_cross_entropy"
    assert (len(material.training), len(material.validation), len(material.evaluation)) == (6000, 1000, 3000)
    assert not np.isin(material.validation, material.parents).any()
    n = material.data.n
    targets = {arm.name: data_of(material, arm.name, seed=0).targets for arm in config.arms}
    mixed = {name: rows[6000:] for name, rows in targets.items()}
    assert {name: len(rows) for name, rows in mixed.items()} == {**dict.fromkeys(mixed, n), "base only": 0}

    # Shuffling gives as many images of a λ each share, to others.
    first = material.images.labels[material.parents[:, 0]]
    lambdas = material.data.lambdas()
    for lam in np.unique(lambdas):
        here = np.flatnonzero(lambdas == lam)
        shuffled, shrunk = (np.sort(mixed[name][here, first[here]]) for name in ("shuffled", "shrunk"))
        assert np.allclose(shuffled, shrunk)
    assert not np.allclose(mixed["shuffled"], mixed["shrunk"])

    # Confidence and constant take as much off the same labels on average; 1 − .723, the published mean confidence.
    taken = material.records["constant"]["params"]["c"]
    assert taken == pytest.approx(0.277, abs=0.01)
    off = [
        1 - ((mixed[name] - mixed[name].min(axis=1, keepdims=True)).sum(axis=1))
        for name in ("confidence", "constant")
    ]
    assert off[0].mean() == pytest.approx(off[1].mean())
    assert off[0].std() > 0.1
    assert np.allclose(mixed["mixup, smoothed"], (1 - taken) * mixed["mixup"] + taken / 10)
    assert np.array_equal(targets["ceiling"][:6000], material.images.human_labels[material.training])


def test_a_warp_fitted_on_some_people_or_without_a_fold_is_another_than_the_release_s(hmix):
    arms = [
        {"name": "all", "on_the_fly": {"labels": "perceptual_warp"}},
        {"name": "half", "on_the_fly": {"labels": "warp_swapped"}, "people": 40},
        {"policy": "mixup"},
    ]
    data = {"name": "warp", "release": "hmix", "seeds": [0], "arms": arms, "holdout_mixes": 0.2}
    material = resolve(parse_config(data))
    whole, half, fold = (
        data_of(material, name, seed=0, fold=number).perceived.warp
        for name, number in (("all", 0), ("half", 0), ("all", 1))
    )
    stated = PerceptualMixup.from_release(material.data)
    assert np.array_equal(whole.by_feature, stated.by_feature)
    for other in (half, fold):
        assert not np.array_equal(other.by_feature, stated.by_feature)
        assert np.allclose(other.curve, stated.curve, atol=1)
    assert len(material.folds) == 5


def test_h_mix_is_trained_on_and_judged_on_3000_images_that_are_no_parents(hmix, tmp_path: Path):
    config = tmp_path / "short.toml"
    config.write_text(SHORT, encoding="utf-8")
    said = StringIO()
    call_command("run_experiment", config, out=tmp_path, stdout=said)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["leakage"]["n_evaluation"] == report["n_evaluation"] == 3000
    assert report["leakage"]["n_leaked"] == report["leakage"]["n_trained"] == 0
    assert (report["leakage"]["n_mixed"], report["leakage"]["n_parents"]) == (2070, 2781)
    assert report["source"] == "imported"
    assert report["watermark"] == ""
    assert report["budget"]["equal"]
    assert "CE, human labels" in said.getvalue()
    assert {run.n_steps for run in Run.objects.all()} == {(7000 + 2070) // 128}
    for arm in report["arms"]:
        assert arm["summary"]["accuracy"]["mean"] > 0.2  # twice chance
        assert arm["summary"]["human_cross_entropy"]["mean"] > 0
