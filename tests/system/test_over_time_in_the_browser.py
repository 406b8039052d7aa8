"""An admin trains a configuration on the new release, sees what more answers changed, and trains it with changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.system.steps import told_by

pytestmark = pytest.mark.browser

WIDTHS = (1280, 390)
WORLD = """
import json
from django.test import Client
from elicitation.images.services import import_images
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.loaders import read_digits
from tests.training.over_releases import finish, grown, made
from training.trends.services import retrain, write_over_time
images, labels, classes, splits = read_digits()
digits = import_images(
    name="digits", kind="digits", images=images, labels=labels, classes=classes, splits=splits, actor=OPERATOR
)
releases = grown(digits, 2, 4, 6)
first = finish(made(releases[0]), whole=True)
second = finish(retrain(experiment=first, release=releases[1], actor=OPERATOR), better=0.5, whole=True)
assert write_over_time(experiment=second) == 2
client = Client()
client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
print(json.dumps({"first": first.pk, "session": client.session.session_key}))
"""


@pytest.fixture(scope="module")
def made(start_instance):
    """An instance, the first experiment and the session of an admin."""
    return told_by(start_instance, WORLD)


@pytest.fixture
def opened(made, open_window: Callable[..., Page]) -> Callable[..., Page]:
    def enter(path: str = "", width: int = 1280) -> Page:
        instance, told = made
        page = open_window({"width": width, "height": 860})
        cookie = {"name": f"hilmix_session_{instance.port}", "value": told["session"], "url": instance.url}
        page.context.add_cookies([cookie])
        page.goto(f"{instance.url}/experiments/{told['first']}/{path}")
        return page

    return enter


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_read_at_both_sizes(opened, width):
    page = opened("over-time/", width)
    expect(page.locator(".figure-canvas[data-drawn]")).to_have_count(3)
    expect(page.locator('[data-figure="over_time"] .reading')).to_contain_text(
        "From small@1.0.0 (10 answers)"
    )
    expect(page.locator(".step")).to_contain_text("mixup: none of the labels of the 5 mixed images")
    expect(page.locator(".watermark").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_a_figure_is_taken_away(opened, tmp_path):
    page = opened("over-time/")
    with page.expect_download() as download:
        page.locator('[data-figure="release_steps"]').get_by_role("link", name="data").click()
    download.value.save_as(tmp_path / "steps.csv")
    assert "human_lambda_shrunk,small@1.1.0,small@1.0.0" in (tmp_path / "steps.csv").read_text()


def test_a_copy_with_changes_is_filled_and_keeps_where_it_comes_from(opened):
    page = opened()
    page.get_by_role("link", name="Train again with changes").click()
    expect(page.locator("#copied")).to_contain_text("Filled with the configuration of quick")
    expect(page.get_by_label("Seeds", exact=True)).to_have_value("0, 1")
    page.get_by_label("Name", exact=True).fill("changed")
    page.get_by_label("Seeds", exact=True).fill("3")
    page.get_by_role("button", name="Start the experiment").click()
    expect(page.get_by_role("heading", name="changed", exact=True)).to_be_visible()


def test_the_configuration_is_trained_on_the_new_release(opened):
    page = opened()
    page.get_by_role("button", name="Retrain on the new release small@1.2.0").click()
    expect(page.get_by_role("status").first).to_contain_text("is queued on small@1.2.0")
    page.get_by_role("link", name="Over time").first.click()
    expect(page.locator("#releases tbody tr")).to_have_count(3)
    expect(page.locator("#releases")).to_contain_text("no report yet")
