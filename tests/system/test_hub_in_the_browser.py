"""What is done with answers, in a real browser: looked at, exported, analysed, scored, frozen, and traced both ways;
files are brought, and tokens made.

How each page looks to axe without figures in it is in test_access; here people go from one page to the next.
"""

from __future__ import annotations

import csv
import io
import json
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.system.steps import DESKTOP, PHONE, Keys, session_of
from tests.system.test_access import expect_accessible
from tests.system.test_planner_in_the_browser import keep

pytestmark = pytest.mark.browser

PEOPLE = 10
MADE = f"""
from elicitation.flow.simulation import simulate_participant
from elicitation.images.models import ImageSet
from elicitation.studies.models import Source
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, create_study
from hilmix.accounts.roles import OPERATOR
from hilmix.hub.analysing import prepare_analysis, run_analysis
from hilmix.hub.releases import freeze_release
from hilmix.hub.scoring import prepare_scores, run_scores
from hilmix.jobs.progress import Progress

design = Design(n_mixed_images=20, trials_per_person=20, repeats=2, answers_per_unit=12)
plan = StudyPlan("seen", "Seen", ImageSet.objects.get(name="digits"), design=design)
study = create_study(plan=plan, source=Source.SIMULATED, actor=OPERATOR)
open_study(study=study, actor=OPERATOR)
asked = {{"actor": OPERATOR, "progress": Progress()}}
for seed in range({PEOPLE}):
    simulate_participant(study=study, seed=seed)
freeze_release(study=study, **asked)
run_analysis(analysis=prepare_analysis(study=study, actor=OPERATOR), **asked)
run_scores(analysis=prepare_scores(study=study, actor=OPERATOR, repeats=1), **asked)
simulate_participant(study=study, seed={PEOPLE})
create_study(plan=StudyPlan("other", "Another", plan.image_set, design=design), actor=OPERATOR)
"""


@pytest.fixture(scope="module")
def site(start_instance: Callable[..., Any]) -> Any:
    """A study with its first release, analysis and label scores; somebody has answered since."""

    def prepare(instance: Any) -> None:
        licence = ("--licence", "CC-BY-4.0", "--origin", "UCI")
        instance.manage("import_images", "digits", "--name", "digits", *licence)
        instance.python(MADE)

    return start_instance(prepare)


@pytest.fixture(scope="module")
def session(site: Any, chromium: Any) -> list[Any]:
    return session_of(site, chromium, "rosa", "admin")


@pytest.fixture
def window(site: Any, session: list[Any], open_window: Callable[..., Page]) -> Callable[..., Page]:
    """`window(address, size)`: a page of somebody signed in."""

    def enter(address: str, size: dict[str, int] = DESKTOP) -> Page:
        page = open_window(size)
        page.context.add_cookies(session)
        page.goto(site.url + address)
        return page

    return enter


def downloaded(page: Page, link: Any) -> bytes:
    """The file that one gets by pressing `link`."""
    with page.expect_download() as found:
        link.click()
    return Path(found.value.path()).read_bytes()


def wait_for_the_job(page: Page) -> None:
    """Stay on the page of a job until it is done, then go where its result is."""
    page.get_by_role("link", name="See what came of it").click(timeout=60_000)


@pytest.mark.parametrize("name", ["analysis", "label-scores"])
def test_every_figure_is_drawn_and_is_had_as_data_picture_and_document(window, name):
    page = window(f"/studies/seen/{name}/")
    figures = page.locator(".figure")
    expect(page.locator(".figure-canvas[data-drawn=yes]")).to_have_count(figures.count())
    assert figures.count() >= 3
    first = figures.first
    rows = list(csv.reader(io.StringIO(downloaded(page, first.get_by_role("link", name="data")).decode())))
    assert "simulated participants" in str(rows)
    assert len(rows) > 3
    with Image.open(io.BytesIO(downloaded(page, first.get_by_role("link", name="PNG")))) as picture:
        assert min(picture.size) > 300
    assert downloaded(page, first.get_by_role("link", name="PDF")).startswith(b"%PDF-")
    first.get_by_text("As a table").click()
    expect(first.get_by_role("table")).to_be_visible()
    keep(page, name)
    expect_accessible(page, name, targets=False)


def test_the_rows_of_a_figure_have_room_in_a_narrow_window(window):
    """Half of it is for what is drawn, however long the names are."""
    page = window("/studies/seen/analysis/", PHONE)
    drawn = page.locator("figure", has_text="Mixed model").locator(".figure-canvas")
    drawn.scroll_into_view_if_needed()
    left, width = drawn.evaluate(
        "(place) => { const chart = window.echarts.getInstanceByDom(place);"
        " return [chart.getOption().grid[0].left, chart.getWidth()]; }"
    )
    assert left < width / 2


def test_names_of_labels_stay_apart_in_a_narrow_window_and_the_watermark_is_behind_the_plot(window):
    page = window("/studies/seen/label-scores/", PHONE)
    drawn = page.locator("[data-figure=overall] .figure-canvas")
    expect(page.locator("[data-figure=overall] [data-drawn=yes]")).to_have_count(1)
    names, shown, mark, left = drawn.evaluate(
        "(place) => { const made = window.echarts.getInstanceByDom(place).getOption(), axis = made.yAxis[0];"
        " return [axis.data, axis.data.map(axis.axisLabel.formatter), made.graphic[0].elements[0],"
        " made.grid[0].left]; }"
    )
    assert any("…" in name for name in shown)
    assert len(set(shown)) == len(names)
    assert mark["z"] < 0
    assert mark["x"] - mark["style"]["width"] / 2 >= left


def test_the_table_of_label_scores_is_not_wider_than_its_window(window):
    for size in (PHONE, DESKTOP):
        page = window("/studies/seen/label-scores/", size)
        for table in page.locator(".card > .table-wrap").all():
            assert table.evaluate("(one) => one.scrollWidth <= one.clientWidth")


def test_a_mixed_image_is_found_checked_and_traced_both_ways(site, window):
    page = window("/studies/seen/mixed-images/", PHONE)
    page.get_by_label("λ", exact=True).select_option(label="0.5")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/mixed-images/?*")
    keep(page, "mixed-images")
    assert {shown.inner_text() for shown in page.locator("td[data-name=λ]").all()} == {"0.5"}
    page.locator("main td a").first.click()
    expect(page.get_by_text("checked now: the recipe gives these pixels")).to_be_visible()
    expect(page.get_by_role("row", name="perceptual_warp predicted")).to_be_visible()
    expect(page.locator(".figure-canvas[data-drawn=yes]")).to_have_count(page.locator(".figure").count())
    keep(page, "mixed-image")
    expect_accessible(page, "mixed image", targets=False)
    page.get_by_role("link", name="Lineage").click()
    made_from, made = (
        page.get_by_role("link", name="digits", exact=True),
        page.get_by_role("link", name="seen@1.0.0", exact=True),
    )
    expect(made_from).to_be_visible()
    made.click()
    expect(page.get_by_role("heading", name="Lineage of seen@1.0.0")).to_be_visible()
    (release,) = site.rows("select sha256 from hub_release where number = 1")
    expect(page.locator("[aria-current]").get_by_text(release["sha256"])).to_be_visible()
    page.get_by_role("link", name="Its page: seen@1.0.0").click()
    page.get_by_role("link", name="Lineage").click()
    page.get_by_role("link", name="digits", exact=True).click()
    expect(page.get_by_role("heading", name="Lineage of digits")).to_be_visible()
    keep(page, "lineage")
    expect_accessible(page, "lineage", targets=False)


def test_responses_are_filtered_and_exported_as_they_are_now(site, window):
    page = window("/studies/seen/responses/")
    page.get_by_label("Trial", exact=True).select_option(label="repeat")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("region", name="Responses").get_by_role("row")).to_have_count(
        1 + 2 * (PEOPLE + 1)
    )
    keep(page, "responses")
    page.get_by_role("link", name="Download all answers").click()
    page.get_by_role("button", name="Export as csv").click()
    wait_for_the_job(page)
    content = downloaded(page, page.get_by_role("link", name="Download").first)
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert len(rows) == site.rows("select count(*) n from elicitation_response")[0]["n"]
    people = {row["public_id"] for row in site.rows("select public_id from elicitation_participation")}
    assert not people & {row["participant"] for row in rows}, "an export has names of its own"
    keep(page, "exports")
    expect_accessible(page, "exports", targets=False)


def test_the_next_release_is_frozen_by_keyboard_and_says_what_changed(window):
    page = window("/releases/freeze/seen/")
    keep(page, "freeze")
    keys = Keys(page, 60)
    keys.tab_to("[name=images]")
    keys.write("recipes")
    assert page.locator("[name=images]").input_value() == "recipe-only"
    keys.go_on("main .button-primary")
    wait_for_the_job(page)
    expect(page.get_by_role("heading", name="seen@1.1.0")).to_be_visible()
    expect(page.get_by_text("The mixed images are not included")).to_be_visible()
    keep(page, "release")
    expect_accessible(page, "release", targets=False)
    page.get_by_role("link", name="minor, since seen@1.0.0").click()
    expect(page.get_by_role("heading", name="A minor change, so version 1.1.0")).to_be_visible()
    people = page.get_by_role("row", name="participants").get_by_role("cell")
    expect(people).to_have_text([str(PEOPLE), "1", "0", "0"])
    keep(page, "changes")
    expect_accessible(page, "changes", targets=False)
    page.goto(page.url.split("/releases/")[0] + "/releases/freeze/seen/")
    page.get_by_role("button", name="Freeze").click()
    wait_for_the_job(page)  # nothing has changed since
    expect(page.get_by_role("heading", name="seen@1.1.0")).to_be_visible()


def pets(folder: Path, name: str, *, spoilt: bool) -> Path:
    """A zip archive of pictures of two animals; one of them may be none."""
    path, file = folder / name, io.BytesIO()
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for animal in ("cat", "dog"):
            for i in range(6):
                file = io.BytesIO()
                Image.fromarray(rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)).save(file, "PNG")
                archive.writestr(f"pets/{animal}/{i}.png", file.getvalue())
        if spoilt:
            archive.writestr("pets/dog/7.png", b"<svg onload='alert(1)'/>")
    return path


def test_files_are_tried_then_refused_or_imported(site, window, tmp_path):
    page = window("/imports/", PHONE)
    for spoilt in (True, False):
        page.get_by_role("link", name="Images in a zip archive").click()
        page.get_by_label("File").set_input_files(pets(tmp_path, f"pets-{spoilt}.zip", spoilt=spoilt))
        page.get_by_label("Name of the image set").fill("pets")
        page.get_by_label("Licence").select_option("CC0-1.0")
        page.get_by_role("button", name="Try it").click()
        if spoilt:
            expect(page.get_by_role("alert")).to_contain_text("nothing was stored", timeout=60_000)
            expect(page.get_by_role("cell", name="dog/7.png")).to_be_visible()
            keep(page, "upload-refused")
            expect_accessible(page, "upload refused", targets=False)
            expect(page.get_by_role("button", name="Import it")).to_have_count(0)
            page.get_by_role("link", name="All imports").click()
    expect(page.get_by_text("12 images of 12 × 12 pixels, 3 channels, 2 classes.")).to_be_visible(
        timeout=60_000
    )
    assert site.rows("select * from elicitation_imageset where name = 'pets'") == []
    page.get_by_role("button", name="Import it").click(timeout=60_000)
    page.get_by_role("link", name="pets", exact=True).click(timeout=60_000)
    expect(page.get_by_text("CC0-1.0")).to_be_visible()
    keep(page, "imported")


def test_a_token_is_shown_once_and_sees_its_study_only(site, window):
    page = window("/account/", PHONE)
    page.get_by_label("What will use it").fill("a notebook")
    page.get_by_label("Of which study").select_option(label="Seen")
    page.get_by_label("For how many days").fill("7")
    page.get_by_role("button", name="Make a token").click()
    token = page.locator("#new-token").inner_text()
    keep(page, "token")
    expect_accessible(page, "token", targets=False)

    def ask(path: str) -> dict[str, Any]:
        request = urllib.request.Request(site.url + path, headers={"Authorization": f"Token {token}"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return dict(json.load(reply))

    assert [study["slug"] for study in ask("/api/v1/studies/")["results"]] == ["seen"]
    page.get_by_role("link", name="rosa").click()
    expect(page.get_by_role("row", name="a notebook")).to_contain_text("Seen")
    expect(page.get_by_text(token)).to_have_count(0)
