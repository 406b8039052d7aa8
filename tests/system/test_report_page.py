"""An admin signs in, reads the demonstration's report, and watches an experiment, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def demonstration(start_instance):
    """An instance that holds the demonstration."""
    return start_instance(lambda instance: instance.manage("demo"))


@pytest.fixture
def signed_in(demonstration, open_window: Callable[..., Page]) -> Callable[..., Page]:
    """`signed_in(size)`: an admin's window, opened with the demonstration's one-time link."""

    def enter(size: dict[str, int] = DESKTOP, **options: str) -> Page:
        link = re.search(r"admin +(\S+)", demonstration.manage("demo", "--links"))
        assert link
        page = open_window(size, **options)
        page.goto(link[1])
        page.get_by_role("main").get_by_role("button").click()
        page.wait_for_url(demonstration.url + "/")
        return page

    return enter


def open_report(page: Page) -> None:
    page.get_by_role("link", name="Experiments", exact=True).click()
    page.get_by_role("main").get_by_role("link", name="demo", exact=True).click()
    expect(page.locator(".figure-canvas[data-drawn]")).to_have_count(6)


def problems(page: Page) -> list[str]:
    """What axe finds that is serious or critical."""
    found = Axe().run(page).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")]


def is_painted(page: Page, figure: str) -> bool:
    """Whether the canvas of a figure holds pixels of more than a few colours."""
    colours = page.locator(f'[data-figure="{figure}"] canvas').first.evaluate(
        """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    return bool(colours > 10)


@pytest.mark.parametrize(
    ("size", "scheme"),
    [(DESKTOP, "light"), (PHONE, "light"), (DESKTOP, "dark")],
    ids=["desktop", "phone", "dark"],
)
def test_the_demonstrations_report_is_read(signed_in, size, scheme):
    page = signed_in(size, color_scheme=scheme)
    open_report(page)

    expect(page.locator(".watermark").first).to_be_visible()
    expect(page.locator("#notes")).to_contain_text("Too few seeds for a verdict: 2")
    expect(page.locator("#notes")).to_contain_text("gives no verdict")
    expect(page.locator("#scores tbody tr")).to_have_count(2)
    for arm in ("mixup", "human_lambda_shrunk"):
        row = page.locator("#scores tbody tr", has=page.get_by_role("rowheader", name=arm, exact=True))
        expect(row.locator("td").first).to_have_text(re.compile(r"^0\.\d{4} ± 0\.\d{4}$"))
    expect(page.locator("#checks")).to_contain_text("0 of 539 evaluation images are parents")
    expect(page.locator("#provenance")).to_contain_text("demo-simulated@1.0.0")
    for section in ("choice", "calibration", "robustness", "diagnosis", "not-assessed"):
        shown = page.locator(f"#{section}").count()
        assert shown == (section != "robustness"), section  # nobody asked for it: that is said below
    expect(page.locator("#not-assessed")).to_contain_text("corruptions (all arms)")
    expect(page.locator("#diagnosis")).to_contain_text("Found where")
    for figure in (
        "contrasts",
        "train_loss",
        "validation_loss",
        "validation_accuracy",
        "reliability",
        "confusion",
    ):
        assert is_painted(page, figure), figure

    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= size["width"], f"the page is {width} pixels wide"
    assert problems(page) == []


def test_every_figure_has_its_numbers_beside_it(signed_in):
    page = signed_in()
    open_report(page)
    figure = page.locator('[data-figure="train_loss"]')
    figure.get_by_text("As a table").click()
    expect(figure.get_by_role("row")).to_have_count(1 + 12)
    expect(figure.get_by_role("columnheader", name="mixup, floor")).to_be_visible()


def test_what_is_drawn_beside_a_line_goes_with_it_when_the_legend_takes_it_away(signed_in):
    page = signed_in()
    open_report(page)
    for figure in ("train_loss", "reliability", "contrasts"):
        legend, drawn = page.locator(f'[data-figure="{figure}"] .figure-canvas').evaluate(
            "(place) => { const made = window.echarts.getInstanceByDom(place).getOption();"
            " return [made.legend[0].data.map((one) => one.name), made.series.map((one) => one.name)]; }"
        )
        assert set(drawn) - {"diagonal", "reference"} == set(legend), figure
        assert len(drawn) > len(legend), figure


def test_a_gallery_is_images_with_words_and_loads_none_of_another_site(signed_in):
    page = signed_in()
    open_report(page)
    there = page.evaluate(
        """async () => {
          const loaded = performance.getEntriesByType("resource").map((one) => one.name);
          const { gallery } = await import(loaded.find((name) => /figures\\/panels[^/]*[.]js$/.test(name)));
          const place = document.createElement("div");
          document.querySelector("main").append(place);
          const near = { address: "/favicon.ico", words: "a cat" };
          const far = { address: "https://example.org/x.png", words: "a dog" };
          gallery({ items: [{ images: [near, far], caption: "a cat taken for a dog" }] }, place, "simulated");
          const images = [...place.querySelectorAll("img")];
          return [...images.map((one) => [one.alt, one.getAttribute("src")]), place.innerText];
        }"""
    )
    assert there[0] == ["a cat", "/favicon.ico"]
    assert there[1] == ["a dog", ""]
    assert "simulated" in there[2].lower()
    assert "a cat taken for a dog" in there[2]
    assert problems(page) == []


def test_an_experiment_launched_with_the_form_is_watched_to_its_report(signed_in):
    page = signed_in()
    page.get_by_role("link", name="Experiments", exact=True).click()
    page.get_by_role("link", name="New experiment").click()
    assert problems(page) == []
    page.get_by_label("Name", exact=True).fill("from the browser")
    page.get_by_label("Seeds", exact=True).fill("0, 0")
    page.get_by_label("Epochs", exact=True).fill("2")
    page.get_by_label("Precision", exact=True).select_option("fp32")
    page.get_by_role("button", name="Start the experiment").click()
    expect(page.get_by_text("0 stands there twice")).to_be_visible()

    page.get_by_label("Seeds", exact=True).fill("7")
    page.get_by_role("button", name="Start the experiment").click()
    expect(page.get_by_role("heading", name="from the browser")).to_be_visible()
    expect(page.locator("progress")).to_be_visible()
    assert problems(page) == []
    expect(page.locator("#scores tbody tr")).to_have_count(2, timeout=90_000)
    expect(page.locator("#notes")).to_contain_text("Too few seeds for a verdict: 1")


def test_an_experiment_that_is_cancelled_says_so_and_can_go_on(signed_in):
    page = signed_in()
    page.get_by_role("link", name="Experiments", exact=True).click()
    page.get_by_role("link", name="New experiment").click()
    page.get_by_label("Name", exact=True).fill("too long")
    page.get_by_label("Epochs", exact=True).fill("1000")
    page.get_by_role("button", name="Start the experiment").click()
    expect(page.locator(".job .badge")).to_have_text("running", timeout=30_000)
    expect(page.locator("[data-job-text]")).to_contain_text("epoch", timeout=60_000)
    address = page.url
    page.get_by_role("button", name="Cancel the training").click()
    page.goto(address)
    expect(page.locator(".job .badge")).to_have_text("cancelled", timeout=30_000)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
