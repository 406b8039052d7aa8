"""The lines of docs/explanations.md do what they say, on a run that is finished."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.utils import timezone

from hilmix.accounts.roles import OPERATOR
from training.engine.nets import Normalised, build_net
from training.engine.predict import save_weights
from training.experiments.services import create_experiment
from training.models import Run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "explanations.md").read_text("utf-8")


@pytest.fixture
def run(config):
    """A run whose weights are there; what it learnt is no matter here."""
    import torch

    create_experiment(config=config, actor=OPERATOR)
    Run.objects.update(finished_at=timezone.now())
    run = Run.objects.first()
    run.directory.mkdir(parents=True)
    net = build_net(config.train.net, image_shape=(8, 8, 1), n_classes=10, seed=0)
    model = Normalised(net, torch.tensor([0.5]), torch.tensor([0.25]))
    save_weights(model.state_dict(), run.directory / "weights.safetensors")
    return run


@pytest.mark.usefixtures("one_thread")
def test_the_lines_of_the_page_load_a_run_and_make_maps(run, tmp_path, monkeypatch, capsys):
    (lines,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    assert lines.count("pk=1)") == 1
    monkeypatch.chdir(tmp_path)
    made: dict = {}
    exec(lines.replace("pk=1)", f"pk={run.pk})"), made)
    assert made["maps"].values.shape == (8, 1, 8, 8)
    assert made["pair"].maps.values.shape == (8, 2, 8, 8)
    assert {path.name for path in tmp_path.glob("*.png")} == {"picture.png", "map.png"}
    assert capsys.readouterr().out.startswith("(8, 1, 8, 8)")
