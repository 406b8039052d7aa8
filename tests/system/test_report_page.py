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


def open_report(page: Page, *parts: str) -> None:
    """The report of the demonstration with some of its parts unfolded."""
    page.get_by_role("link", name="Experiments", exact=True).click()
    page.get_by_role("main").get_by_role("link", name="demo", exact=True).click()
    expect(page.locator("#verdict")).to_be_visible()
    for part in parts:
        unfold(page, part)


def unfold(page: Page, part: str) -> None:
    if not page.locator(f"#{part} > details[open]").count():
        page.locator(f"#{part} > details > summary").click()
    expect(page.locator(f"#{part} > details[data-loaded]")).to_be_attached()


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
    expect(page.locator("#verdict")).to_contain_text("No verdict: the answers were simulated")
    expect(page.locator("#advice")).to_contain_text("simulated answers are no reason to take an arm")
    expect(page.locator("#notes")).to_contain_text("Too few seeds for a verdict: 2")
    expect(page.locator("#notes")).to_contain_text("gives no verdict")
    expect(page.locator("#runs tbody tr")).to_have_count(2)
    for part in ("metrics", "calibration", "curves", "classes", "choice"):
        unfold(page, part)
    expect(page.locator("#scores tbody tr")).to_have_count(2)
    for arm in ("mixup", "human_lambda_shrunk"):
        row = page.locator("#scores tbody tr", has=page.get_by_role("rowheader", name=arm, exact=True))
        expect(row.locator("td").first).to_have_text(re.compile(r"^0\.\d{4} ± 0\.\d{4}$"))
    for key in ("not-assessed", "checks"):
        page.locator("details:not([data-part])", has=page.locator(f"#{key}")).or_(
            page.locator(f"#{key} > details")
        ).locator("summary").first.click()
    expect(page.locator("#checks")).to_contain_text("0 of 539 evaluation images are parents")
    expect(page.locator("#provenance")).to_contain_text("demo-simulated@1.0.0")
    expect(page.locator("#not-assessed")).to_contain_text("corruptions (all arms)")
    for figure in (
        "differences",
        "train_loss",
        "validation_loss",
        "validation_accuracy",
        "reliability",
        "confusion",
    ):
        assert is_painted(page, figure), figure
        expect(page.locator(f'[data-figure="{figure}"] .reading')).to_be_visible()

    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= size["width"], f"the page is {width} pixels wide"
    assert problems(page) == []


def test_every_figure_has_its_numbers_beside_it(signed_in):
    page = signed_in()
    open_report(page, "curves")
    figure = page.locator('[data-figure="train_loss"]')
    figure.get_by_text("As a table").click()
    expect(figure.get_by_role("row")).to_have_count(1 + 12)
    expect(figure.get_by_role("columnheader", name="mixup, floor")).to_be_visible()


def test_what_is_drawn_beside_a_line_goes_with_it_when_the_legend_takes_it_away(signed_in):
    page = signed_in()
    open_report(page, "metrics", "calibration", "curves")
    for figure in ("train_loss", "reliability", "differences"):
        legend, drawn = page.locator(f'[data-figure="{figure}"] .figure-canvas').evaluate(
            "(place) => { const made = window.echarts.getInstanceByDom(place).getOption();"
            " return [made.legend[0].data.map((one) => one.name), made.series.map((one) => one.name)]; }"
        )
        assert set(drawn) - {"diagonal", "reference"} == set(legend), figure
        assert len(drawn) > len(legend), figure


def test_a_part_is_fetched_when_it_is_opened_is_a_page_of_its_own_and_is_tried_again_after_a_failure(
    signed_in,
):
    page = signed_in()
    open_report(page)
    page.route("**/parts/curves/", lambda route: route.abort())
    summary = page.locator("#curves > details > summary")
    summary.click()
    expect(page.locator("#curves").get_by_role("link", name="Show this part by itself")).to_be_visible()
    page.unroute("**/parts/curves/")
    summary.click()
    unfold(page, "curves")
    expect(page.locator("#curves canvas").first).to_be_visible()
    address = page.url
    page.goto(f"{address}#classes")
    page.reload()
    expect(page.locator("#classes")).to_contain_text("What is taken for what")
    page.goto(f"{address}parts/calibration/")
    expect(page.locator(".figure-canvas[data-drawn]")).to_have_count(1)
    assert problems(page) == []


def test_an_admin_has_the_report_written_anew(signed_in):
    page = signed_in()
    open_report(page)
    page.get_by_role("button", name="Write the report anew").click()
    expect(page.get_by_role("status")).to_contain_text("is being written anew")
    expect(page.locator("#verdict")).to_be_visible()


def test_a_gallery_is_images_with_words_and_loads_none_of_another_site(signed_in):
    page = signed_in()
    open_report(page, "curves")
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
    expect(page.locator("#verdict")).to_be_visible(timeout=90_000)
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

    # The page of its run in two tabs: what is resumed in one goes on in the other.
    page.locator('main a[href*="/experiments/runs/"]').first.click()
    expect(page.locator("[data-run]")).to_have_attribute("data-state", "cancelled")
    other = page.context.new_page()
    other.clock.install()
    other.goto(page.url)
    expect(other.get_by_role("button", name="Resume from the last checkpoint")).to_be_visible()
    page.get_by_role("button", name="Resume from the last checkpoint").click()
    expect(page.get_by_role("button", name="Cancel this run")).to_be_visible()
    other.clock.fast_forward(13_000)
    expect(other.get_by_role("button", name="Cancel this run")).to_be_visible()
    page.get_by_role("button", name="Cancel this run").click()
    expect(page.locator("[data-run]")).to_have_attribute("data-state", "cancelled", timeout=30_000)


# -- the page of a run


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_run_is_read_and_the_images_behind_its_figures_are_looked_at(signed_in, demonstration, size):
    page = signed_in(size)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{demonstration.url}/experiments/runs/1/")
    assert page.evaluate("document.body.scrollHeight") <= 6000, "the first is there, the rest is folded"
    assert is_painted(page, "loss")
    assert is_painted(page, "confusion")
    for fold in reversed(page.locator(".fold > details:not([open]) > summary").all()):
        fold.click()
    expect(page.locator(".figure-canvas[data-drawn]")).to_have_count(7)

    # What a metric is, by pointing at it and by the keyboard; Escape takes it away.
    definition = page.locator("#metrics .term-about", has_text="Matthews correlation")
    expect(definition).to_be_hidden()
    page.get_by_role("button", name=re.compile("^MCC")).focus()
    expect(definition).to_be_visible()
    assert problems(page) == []
    page.keyboard.press("Escape")
    expect(definition).to_be_hidden()

    card = page.locator('[data-figure="confusion"]')
    card.get_by_role("button", name="Shares of the row").click()
    expect(card.get_by_role("button", name="Shares of the row")).to_have_attribute("aria-pressed", "true")

    # A click on a cell of the canvas, and the same cell by its link.
    link = page.locator("#cells a:not(.is-right)").first
    cell, n = link.get_attribute("href"), int(link.inner_text())
    actual, predicted = (int(number) for number in re.findall(r"=(\d+)", cell))
    place = card.locator(".figure-canvas")
    place.scroll_into_view_if_needed()
    x, y = place.evaluate(
        "(place, at) => window.echarts.getInstanceByDom(place).convertToPixel({ gridIndex: 0 }, at)",
        [predicted, actual],
    )
    place.click(position={"x": x, "y": y})
    page.wait_for_url(f"**{cell}")
    expect(page.locator(".shown-images > li")).to_have_count(n)
    expect(page.locator(".shown-images img").first).to_have_js_property("naturalWidth", 8)
    assert problems(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]

    # The same cell by the keyboard, which begins at the first.
    page.go_back()
    expect(place).to_have_attribute("data-drawn", "yes")
    place.focus()
    for _ in range(predicted):
        page.keyboard.press("ArrowRight")
    for _ in range(actual):
        page.keyboard.press("ArrowDown")
    expect(card.get_by_role("status")).to_have_text(
        re.compile(rf"^{actual} taken for {predicted}: {n} image")
    )
    frame = card.locator(".figure-frame").bounding_box()
    box = place.bounding_box()
    assert abs(frame["x"] + frame["width"] / 2 - box["x"] - x) < 2
    assert abs(frame["y"] + frame["height"] / 2 - box["y"] - y) < 2
    assert problems(page) == []
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{cell}")

    page.go_back()
    page.locator("#cells > details > summary").click()
    link.press("Enter")
    page.wait_for_url(f"**{cell}")
    page.get_by_role("link", name="All images, the most uncertain first").click()
    expect(page.locator(".shown-images > li")).to_have_count(48)
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".pages")).to_contain_text("Page 2 of")

    # A point of the reliability diagram.
    page.goto(f"{demonstration.url}/experiments/runs/1/")
    place = page.locator('[data-figure="reliability"] .figure-canvas')
    expect(place).to_have_attribute("data-drawn", "yes")
    place.scroll_into_view_if_needed()
    x, y = place.evaluate(
        "(place) => { const chart = window.echarts.getInstanceByDom(place);"
        " return chart.convertToPixel({ gridIndex: 0 }, chart.getOption().series[1].data.at(-1).value.slice(0, 2)); }"
    )
    place.click(position={"x": x, "y": y})
    page.wait_for_url("**/images/?of=bin&bin=14")
    page.go_back()
    place.focus()
    for _ in range(15):  # past the last
        page.keyboard.press("ArrowRight")
    expect(page.locator('[data-figure="reliability"] .figure-point')).to_contain_text("predictions")
    page.keyboard.press("Enter")
    page.wait_for_url("**/images/?of=bin&bin=14")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert said == []
