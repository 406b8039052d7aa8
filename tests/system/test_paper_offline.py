"""The report as a file, opened from a disk by a browser without a network."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone

from tests.system.steps import DESKTOP, PHONE
from tests.training.reported import arm, report, run
from training.reports.paper.writing import as_html

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    arms = [arm(f"arm {n}", [run(seed, 2.0 + n, breaks=0.1) for seed in range(2)]) for n in range(3)]
    content = report(arms, source="simulated", classes=("cat", "dog", "car"))
    path = tmp_path_factory.mktemp("paper") / "report.html"
    path.write_text(as_html(content, written_at=timezone.now(), facts=[("Release", "a" * 64)]), "utf-8")
    return path


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_it_opens_offline_with_every_figure_and_asks_for_nothing(chromium, file, size):
    context = chromium.new_context(viewport=size, offline=True)
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert said == []
    assert page.evaluate("[...document.images].filter((one) => one.naturalWidth > 0).length") >= 5
    assert page.evaluate("[...document.images].every((one) => one.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for folded in page.locator("summary").all():
        folded.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    context.close()
