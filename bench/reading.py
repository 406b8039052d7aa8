"""Reading the pages of training: what each costs the server, what it sends, how long a person waits for it, and whether
its figures move with the hand."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from bench.measure import Figure, at_least, at_most, say

MOST_QUERIES, MOST_KB = 9, 1000
PATIENCE_MS = 1000  # a person's, until something is there
ANSWER_MS = 100  # until what the hand does is answered
LOADS, FEW_LOADS = 30, 3
MAIN = (
    "experiment", "run, unfolded", "images of a cell, unfolded", "diagnosis, unfolded", "robustness, unfolded",
    "mixed images, unfolded", "explanations, unfolded", "choice", "over time, unfolded",
)  # fmt: skip
REPEATS, STEPS = 7, 60
NO_QUERIES = ("SAVEPOINT", "RELEASE SAVEPOINT", "BEGIN", "COMMIT")
PAINTED = """() => new Promise((done) => {
  const said = (entries) => entries.filter(({ name }) => name === "first-contentful-paint")
    .forEach(({ startTime }) => done(startTime));
  new PerformanceObserver((list) => said(list.getEntries())).observe({ type: "paint", buffered: true });
})"""
WATCH = """() => {
  const all = window.frames_seen = [];
  const look = (at) => { all.push(at); requestAnimationFrame(look); };
  requestAnimationFrame(look);
}"""
SEEN = "() => window.frames_seen.splice(0)"


@dataclass
class Cost:
    """What one page costs: queries of a first visit and of a later one, kB of the page, as it is and compressed, kB of
    all files that a first visit asks for, and milliseconds to the first paint of each load."""

    first: int
    again: int
    html_kb: float
    gzip_kb: float
    sent_kb: float = 0.0
    paint_ms: list[float] = field(default_factory=list)

    @property
    def misses(self) -> list[str]:
        slow = bool(self.paint_ms) and median(self.paint_ms) > PATIENCE_MS
        return [
            name
            for name, missed in (
                ("queries", max(self.first, self.again) > MOST_QUERIES),
                ("bytes", (self.sent_kb or self.html_kb) > MOST_KB),
                ("first paint", slow),
            )
            if missed
        ]


def served_to(pages: Mapping[str, str], somebody: Any) -> dict[str, Cost]:
    """Each page asked for twice by a person who has seen nothing before: `somebody()` is the browser of a new one."""
    found = {}
    for name, address in pages.items():
        client: Client = somebody()
        (first, _), (again, body) = _asked(client, address), _asked(client, address)
        found[name] = Cost(first, again, len(body) / 1000, len(gzip.compress(body, 6)) / 1000)
    return found


def _asked(client: Client, address: str) -> tuple[int, bytes]:
    with CaptureQueriesContext(connection) as queries:
        reply = client.get(address)
        body = b"".join(reply.streaming_content) if reply.streaming else reply.content  # type: ignore[attr-defined]
    assert reply.status_code == 200, (address, reply.status_code)
    return sum(not one["sql"].startswith(NO_QUERIES) for one in queries), body


@contextmanager
def browsing() -> Iterator[Browser | None]:
    """Chromium; None, and said so, where it is not installed."""
    executable = shutil.which("chromium")
    if executable is None:
        say("Chromium is not installed (apt install chromium): bytes and waiting are not measured.")
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def window(browser: Browser, site: str, key: str, value: str) -> BrowserContext:
    """A window of somebody who is signed in, with an empty cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_cookies([{"name": key, "value": value, "url": site}])
    return context


def painted(context: BrowserContext, address: str) -> tuple[float, float]:
    """kB sent for a page with all its files, and milliseconds until something is painted."""
    page = context.new_page()
    network, sent = context.new_cdp_session(page), []
    network.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    network.send("Network.enable")
    page.goto(address, wait_until="commit")
    waited = page.evaluate(PAINTED)
    page.wait_for_load_state("networkidle")
    page.close()
    return sum(sent) / 1000, waited


def read(
    browser: Browser,
    site: str,
    session: tuple[str, str],
    pages: Mapping[str, str],
    costs: dict[str, Cost],
    main: int,
) -> None:
    """Cold loads of each page, each in a window of its own; `main` of the main ones, few of the others. Of two
    addresses of one page, folded and unfolded, the unfolded one."""
    for name, address in pages.items():
        if f"{name}, unfolded" in pages:
            continue
        offline = address.startswith("file:")
        loads = []
        for _ in range((main if name in MAIN else FEW_LOADS) + 1):
            context = window(browser, site, *session)
            loads.append(painted(context, address if offline else site + address))
            context.close()
        sent, waits = zip(*loads[1:], strict=True)  # the first warms the server up
        cost = costs[name]
        # The file for offline reading is sent compressed, and read from the disk.
        cost.sent_kb = cost.gzip_kb if offline else max(cost.html_kb, median(sent))
        cost.paint_ms = list(waits)


def summed(name: str, costs: Mapping[str, Cost]) -> Iterator[Figure]:
    """The worst page in each respect; the first paint of the main pages each."""
    for key, goal, unit, of in (
        ("queries", MOST_QUERIES, "queries, a first visit", lambda cost: float(max(cost.first, cost.again))),
        ("bytes", MOST_KB, "kB, the page and all its files", lambda cost: cost.sent_kb or cost.html_kb),
    ):
        worst = max(costs, key=lambda one: of(costs[one]))
        yield at_most(
            f"{name}.{key}", [of(costs[worst])], goal, f"{unit}: the most of {len(costs)} pages, “{worst}”"
        )
    waited = {one: cost.paint_ms for one, cost in costs.items() if cost.paint_ms}
    for one in (one for one in MAIN if len(waited.get(one, ())) >= LOADS):
        key = one.removesuffix(", unfolded").replace(" ", "_")
        yield at_most(
            f"{name}.first_paint_{key}", waited[one], PATIENCE_MS, f"ms to the first paint of “{one}”"
        )
    if waited:
        worst = max(waited, key=lambda one: median(waited[one]))
        unit = f"ms to the first paint of the slowest of {len(waited)} pages, “{worst}”"
        yield at_most(f"{name}.slowest_paint", waited[worst], PATIENCE_MS, unit)


def table(title: str, costs: Mapping[str, Cost]) -> str:
    """What each page costs, with what misses the goal."""
    lines = [
        f"{title}: fewer than {MOST_QUERIES + 1} queries, {MOST_KB} kB, first paint (median) under {PATIENCE_MS} ms",
        f"{'page':28}{'queries':>9}{'page kB':>9}{'gzip kB':>9}{'all kB':>8}{'paint ms':>10}{'loads':>6}  misses",
    ]
    for name, cost in costs.items():
        paint = f"{median(cost.paint_ms):.0f}" if cost.paint_ms else "-"
        sent = f"{cost.sent_kb:.0f}" if cost.paint_ms else "-"
        lines.append(
            f"{name:28}{f'{cost.first}, {cost.again}':>9}{cost.html_kb:>9.1f}{cost.gzip_kb:>9.1f}{sent:>8}{paint:>10}"
            f"{len(cost.paint_ms):>6}  {', '.join(cost.misses)}"
        )
    return "\n".join(lines)


def moved(browser: Browser, site: str, session: tuple[str, str], address: str, n: int) -> Iterator[Figure]:
    """The map of features with `n` points while it is brushed, and the page with the images chosen while it is
    scrolled; beside it a mouse that moves over an empty page."""
    context = window(browser, site, *session)
    page, empty = context.new_page(), context.new_page()
    empty.set_content("<p>nothing</p>")
    page.goto(site + address)
    page.locator(".map-canvas[data-drawn]").wait_for()
    for one in (page, empty):
        one.evaluate(WATCH)
    rates: dict[str, list[float]] = {"brush": [], "scroll": []}
    longest: dict[str, list[float]] = {"brush": [], "scroll": [], "colour": [], "empty": []}
    for _ in range(REPEATS + 1):
        empty.bring_to_front()
        still = _frames(empty, lambda: _drag(empty, (100, 100), (900, 600)))
        page.bring_to_front()
        page.locator("#unbrush").evaluate("(button) => button.click()")
        page.locator(".map-canvas").scroll_into_view_if_needed()
        box = page.locator(".map-canvas").bounding_box()
        assert box
        corners = (
            (box["x"] + 10, box["y"] + 60),
            (box["x"] + box["width"] - 10, box["y"] + box["height"] - 40),
        )
        brushed = _frames(page, lambda ends=corners: _drag(page, *ends))
        assert page.locator("#unbrush").is_enabled(), "nothing was brushed"
        recoloured = _frames(page, lambda: page.locator("#colour").select_option("entropy"))
        page.locator("#colour").select_option("class")
        for _ in range(5):
            page.locator("#more").click()
        scrolled = _frames(page, lambda: _scroll(page))
        for name, frames in (("brush", brushed), ("scroll", scrolled)):
            rates[name].append(_rate(frames) / _rate(still))
        for name, frames in (
            ("brush", brushed),
            ("scroll", scrolled),
            ("colour", recoloured),
            ("empty", still),
        ):
            longest[name].append(max(frames))
    context.close()
    said = ", ".join(f"{name} {median(values[1:]):.0f}" for name, values in longest.items())
    say(
        f"longest frames in ms, {n:,} points: {said}; frames a second over the empty page: {_rate(still):.0f}"
    )
    for name, doing in (
        ("brush", "while a box is drawn on the map"),
        ("scroll", "while its images are scrolled"),
    ):
        unit = f"{doing}, {n:,} points"
        yield at_least(
            f"reports.map_{name}_rate", rates[name][1:], 0.5, f"× frames a second of an empty page, {unit}"
        )
        yield at_most(
            f"reports.map_{name}_frame", longest[name][1:], ANSWER_MS, f"ms, the longest frame {unit}"
        )
    unit = f"ms, the longest frame while the map is coloured anew, {n:,} points"
    yield at_most("reports.map_colour_frame", longest["colour"][1:], 2 * ANSWER_MS, unit)


def _frames(page: Page, act: Any) -> list[float]:
    """Milliseconds between the frames while something is done, and a little after."""
    page.evaluate(SEEN)
    act()
    page.wait_for_timeout(200)
    times = page.evaluate(SEEN)
    return [later - earlier for earlier, later in pairwise(times)]


def _rate(frames: list[float]) -> float:
    return 1000 * len(frames) / sum(frames)


def _drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=STEPS)
    page.mouse.up()


def _scroll(page: Page) -> None:
    for direction in (1, -1):
        for _ in range(STEPS // 2):
            page.mouse.wheel(0, direction * 60)


def offline(body: bytes, folder: Path) -> str:
    """The address of a file that is opened from the disk."""
    path = folder / "report.html"
    path.write_bytes(body)
    return path.as_uri()
