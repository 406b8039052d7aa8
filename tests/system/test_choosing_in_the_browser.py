"""An owner chooses an arm and takes its model away, in a real browser; a worker asks the model about an image."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.system.steps import enter_as, told_by

pytestmark = pytest.mark.browser

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

# Made-up runs, whose report ranks the arms by validation images; the first has weights, of a net that learnt nothing.
MADE = """
import json
from contextlib import ExitStack
from django.conf import settings
from tests.security.world import made_world
from training.choices.predicting import shape_of
from training.models import Run
world = ExitStack().enter_context(made_world(settings.VAR))
report = world.experiment.report
names = [arm.name for arm in world.experiment.arms.all()]
report.content["choice"] = {
    "arm": names[0], "order": names, "values": {name: 0.5 for name in names}, "metric": "log_loss",
    "first_share": {names[0]: 0.9, names[1]: 0.1}, "draws": 1000, "n_seeds": 1, "unequal_budget": False,
    "sentence": "The first is to be taken.",
}
report.content["config"]["validation"] = 20
report.save()
import torch
from training.engine.nets import Normalised, build_net
from training.engine.predict import save_weights
run = Run.objects.filter(arm__experiment=world.experiment).first()
run.directory.mkdir(parents=True, exist_ok=True)
net = build_net("resnet20", image_shape=shape_of(run), n_classes=3, seed=0)
model = Normalised(net, torch.zeros(3), torch.ones(3))
save_weights(dict(model.state_dict()), run.directory / "weights.safetensors")
print(json.dumps({"session": world["owner"].session, "experiment": world.experiment.pk, "run": run.pk}))
"""
ASK = """
import io
from PIL import Image
from hilmix.accounts.roles import OPERATOR
from training.choices.predicting import ask
from training.models import Run
file = io.BytesIO()
Image.new("RGB", (30, 20)).save(file, "PNG")
ask(run=Run.objects.get(pk={run}), files=[("black.png", file.getvalue())], actor=OPERATOR)
"""


@pytest.fixture(scope="module")
def made(start_instance):
    """An instance with such an experiment, and what a test needs of it."""
    return told_by(start_instance, MADE)


@pytest.fixture
def signed_in(made, open_window: Callable[..., Page]) -> Callable[..., Page]:
    """`signed_in(size)`: the owner's window on the page of the choice."""

    def enter(size: dict[str, int]) -> Page:
        instance, found = made
        page = open_window(size)
        enter_as(page, found["session"], instance.url)
        page.goto(f"{instance.url}/experiments/{found['experiment']}/choice/")
        return page

    return enter


def check(page: Page, size: dict[str, int]) -> None:
    """Nothing scrolls sideways, and axe finds nothing that is serious or critical."""
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    found = Axe().run(page).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_choice_and_card_are_read_at_both_sizes(signed_in, size):
    page = signed_in(size)
    check(page, size)
    page.locator("#ranked a").first.click()
    expect(page.locator("#load")).to_contain_text("load_model")
    check(page, size)


def test_an_arm_is_chosen_and_its_model_taken_away_and_asked(signed_in, made):
    instance, found = made
    page = signed_in(DESKTOP)
    expect(page.locator("#rule")).to_contain_text("figures of the test images are folded")
    page.get_by_role("radio").first.check()
    page.get_by_label("Reason").fill("It needs no answers.")
    page.get_by_role("button", name="Record the choice").click()
    expect(page.locator("#chosen")).to_contain_text("had not been opened before")
    expect(page.locator("#rule")).to_contain_text("An arm was chosen on")
    check(page, DESKTOP)

    page.get_by_role("link", name="Model card and weights").click()
    expect(page.get_by_role("main")).to_contain_text("It needs no answers.")
    with page.expect_download() as download:
        page.get_by_role("link", name="Card as JSON").click()
    card = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert card["choice"]["is_this"]
    assert card["test"]
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile(r"\.safetensors$")).click()
    assert Path(download.value.path()).stat().st_size == card["weights"][0]["bytes"]

    instance.python(ASK.format(run=found["run"]))
    end, result = time.monotonic() + 90, {}
    while not result and time.monotonic() < end:
        rows = instance.rows("SELECT names, result FROM training_prediction ORDER BY created_at DESC LIMIT 1")
        assert json.loads(rows[0]["names"]) == ["black.png"]
        result = json.loads(rows[0]["result"])
        time.sleep(0.5)
    assert len(result["images"][0]["probabilities"]) == 3
    assert not list((instance.var / "predictions").glob("*"))
