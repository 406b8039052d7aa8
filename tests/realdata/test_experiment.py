"""A short experiment on the published H-Mix answers, by the commands that the README names."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from training.models import Run

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
        assert arm["summary"]["ce_human"]["mean"] > 0
