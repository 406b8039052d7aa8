"""The pictures of reports in README.md. `make screenshots` takes them: it trains a small experiment on what simulated
participants of the demonstration said, which takes minutes; else only that they are there, and small, is tested."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.system.steps import picture, session_of

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
WINDOW = {"width": 1280, "height": 860}
MOST_BYTES = 150_000
CONFIG = """
name = "digits, again"
release = "demo-simulated"
seeds = [0, 1, 2, 3, 4]
validation = 200
holdout_mixes = 0.5
robustness = ["corruptions", "geometric"]
primary = "log_loss"
arms = [{name = "mixup", policy = "mixup"}, {name = "human_lambda_shrunk", policy = "human_lambda_shrunk"}]
contrasts = [{arm = "human_lambda_shrunk", against = "mixup", about = "what people see"}]
[train]
net = "resnet20"
epochs = 12
batch_size = 64
lr = 0.1
precision = "fp32"
threads = 1
augment = {crop = 1, flip = false}
"""
CHOOSE = """
from hilmix.accounts.roles import OPERATOR
from training.choices.services import choose_arm
from training.experiments.models import Experiment
made = Experiment.objects.get(name="digits, again")
choose_arm(experiment=made, arm="human_lambda_shrunk", reason="To show all figures.", actor=OPERATOR)
print(made.get_absolute_url(), made.arms.first().runs.filter(fold=0).first().get_absolute_url())
"""


def take(page: Page, url: str, experiment: str, run: str, folder: Path) -> list[str]:
    """Each picture from the heading on that it is about; the names of their files."""
    told = {
        "experiment": (experiment, "h1"),
        "run": (run, "[data-figure=confusion]"),
        "robustness": (f"{experiment}robustness/", "h1"),
        "mixed": (f"{experiment}mixed/", "#disagreements"),
    }
    for name, (address, at) in told.items():
        page.goto(f"{url}{address}")
        page.wait_for_load_state("networkidle")
        page.locator(at).first.evaluate(
            "(one) => window.scrollTo(0, one.getBoundingClientRect().top + window.scrollY - 16)"
        )
        page.wait_for_timeout(1500)  # until figures have drawn themselves
        picture(page, folder / f"report-{name}.png")
    return [f"report-{name}.png" for name in told]


@pytest.mark.browser
@pytest.mark.skipif("HILMIX_SCREENSHOTS" not in os.environ, reason="`make screenshots` takes the pictures")
def test_the_pictures_of_reports_are_taken_anew(
    start_instance: Any, chromium: Any, open_window: Any, tmp_path: Path
):
    def prepare(instance: Any) -> None:
        instance.manage("demo")
        (tmp_path / "again.toml").write_text(CONFIG)
        instance.manage("run_experiment", str(tmp_path / "again.toml"), "--out", str(tmp_path / "report"))

    site = start_instance(prepare)
    experiment, run = site.python(CHOOSE).split()
    page = open_window(WINDOW)
    page.context.add_cookies(session_of(site, chromium, "photographer", "admin"))
    assert take(page, site.url, experiment, run, IMAGES) == shown()


def test_the_readme_shows_every_picture_of_reports_and_each_is_small():
    assert sorted(shown()) == sorted(path.name for path in IMAGES.glob("report*.png"))
    for file in shown():
        assert (IMAGES / file).stat().st_size <= MOST_BYTES, file
        with Image.open(IMAGES / file) as found:
            assert found.width == WINDOW["width"], file


def shown() -> list[str]:
    return re.findall(r"\]\(docs/images/(report[a-z-]*\.png)\)", (ROOT / "README.md").read_text("utf-8"))
