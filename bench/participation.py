"""A whole participation in a real browser: what is sent for 60 pictures of *infer*, and how soon the next one is seen.

The way is a person's own, from the entry page to thanks, in a context with an empty cache. Bytes are those of responses
as they came over the wire, headers and bodies (what Chromium reports as `encodedDataLength`). Scripts and style sheets
come compressed, as whitenoise has them beside the originals; pages, JSON and PNG are sent as they are.

The wait for the next picture begins with the event of the click on Continue and ends in the second animation frame that
finds the next trial's canvas in the page: the first of the two paints it, and before the second it is on the screen.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from bench.instance import ROOT, served
from bench.material import open_a_study
from bench.measure import Figure, at_most, say
from elicitation.images.models import ImageSet
from elicitation.studies.protocol import Design, Flow
from hilmix.core.mixing import mix, to_png

DESIGN = Design(n_mixed_images=580, trials_per_person=58, repeats=2, answers_per_unit=2)
TRIALS = 60
SLOW_TRIALS, SLOW_MS = 31, 2000  # of the second person, whose calls all take so long
READING_MS = 1000  # of the second person before each answer: who answers faster than calls return is held up on purpose
AT_ONCE_MS = 100  # what a person takes for at once
PICTURE = "/participation/images/"
CIFAR = Path(os.environ.get("HILMIX_REALDATA", ROOT.parent / "shared" / "data")) / "cifar10_test.npz"
CIFAR_PAIRS = 1000
# From now on, notes each wait; NaN where the new canvas shows what the one before it did.
WATCH = """() => {
  const canvas = () => document.querySelector('.trial .picture-canvas');
  let shown = canvas().toDataURL();
  window.waits = [];
  document.addEventListener('click', ({ target, timeStamp }) => {
    if (target.id !== 'trial-continue') return;
    const before = canvas();
    const look = () => {
      if (!canvas() || canvas() === before) return requestAnimationFrame(look);
      requestAnimationFrame(() => {
        const waited = performance.now() - timeStamp;
        const last = shown;
        shown = canvas().toDataURL();
        window.waits.push(shown === last ? NaN : waited);
      });
    };
    requestAnimationFrame(look);
  }, { capture: true });
}"""


def figures(images: ImageSet) -> Iterator[Figure]:
    executable = shutil.which("chromium")
    if executable is None:
        say("Chromium is not installed (apt install chromium): a participation is not measured.")
        return
    slug = open_a_study(images, "whole", DESIGN, flow=Flow(break_every=0)).slug
    with served() as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        entry = f"http://127.0.0.1:{port}/s/{slug}/"
        responses, waits = _take_part(browser, entry)
        slow_waits = _answer_slowly(browser, entry)
        browser.close()
    yield from _bytes(responses)
    yield from _waits(waits, slow_waits)


@dataclass
class Response:
    """One response to a page: its address, what kind of file it is, and what came over the wire."""

    address: str
    kind: str
    sent: float  # seconds
    ended: float = 0.0
    header_bytes: int = 0
    bytes: int = 0


class Traffic:
    """The responses to a page from now on, redirects among them; those out of the browser's cache have no bytes."""

    def __init__(self, page: Page) -> None:
        self.responses: list[Response] = []
        self._latest: dict[str, Response] = {}
        self.network = page.context.new_cdp_session(page)
        self.network.on("Network.requestWillBeSent", self._on_sent)
        self.network.on("Network.responseReceived", self._on_headers)
        self.network.on("Network.loadingFinished", self._on_end)
        self.network.send("Network.enable")

    def _on_sent(self, event: dict[str, Any]) -> None:
        identity = event["requestId"]
        if "redirectResponse" in event:  # what it led to is the same request
            self._latest[identity].bytes = event["redirectResponse"]["encodedDataLength"]
        self._latest[identity] = Response(event["request"]["url"], event["type"], event["timestamp"])
        self.responses.append(self._latest[identity])

    def _on_headers(self, event: dict[str, Any]) -> None:
        if (response := self._latest.get(event["requestId"])) is not None:
            response.header_bytes = event["response"]["encodedDataLength"]

    def _on_end(self, event: dict[str, Any]) -> None:
        # What was sent before we listened, as a window's icon may be, is nobody's.
        if (response := self._latest.get(event["requestId"])) is not None:
            response.bytes, response.ended = event["encodedDataLength"], event["timestamp"]


def _take_part(browser: Browser, entry: str) -> tuple[list[Response], list[float]]:
    """From the entry page to thanks, whose code says that every answer is held: all responses, all waits."""
    page = browser.new_context().new_page()
    traffic = Traffic(page)
    _learn(page, entry)
    waits = _answer(page, TRIALS - 1)
    _answer_one(page)
    page.get_by_role("button", name="Finish").click()
    page.locator("#completion-code").wait_for()
    page.wait_for_load_state("networkidle")
    page.context.close()
    return traffic.responses, waits


def _answer_slowly(browser: Browser, entry: str) -> list[float]:
    """The waits of a second person, all of whose calls are held up in the browser once the pictures are there."""
    page = browser.new_context().new_page()
    _learn(page, entry)
    traffic = Traffic(page)
    late = {"offline": False, "latency": SLOW_MS, "downloadThroughput": -1, "uploadThroughput": -1}
    traffic.network.send("Network.emulateNetworkConditions", late)
    waits = _answer(page, SLOW_TRIALS, reading=READING_MS)
    page.context.close()
    took = [1000 * (one.ended - one.sent) for one in traffic.responses if one.ended]
    assert min(took) >= SLOW_MS, f"calls were not held up: {took}"
    return waits


def _learn(page: Page, entry: str) -> None:
    """Through consent, instructions, practice and questions, until the first trial is on the screen."""
    page.goto(entry)
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="I want to take part").click()
    following = page.locator("#jspsych-instructions-next")
    following.wait_for()
    while following.count():
        following.click()
    page.get_by_role("button", name="Continue").click()  # below the worked example
    _answer_one(page)
    for group, right in zip(page.get_by_role("radiogroup").all(), (2, 0), strict=True):
        group.get_by_role("radio").nth(right).check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Start").click()
    page.get_by_role("heading", name="Picture 1 of").wait_for()


def _answer(page: Page, trials: int, reading: int = 0) -> list[float]:
    page.evaluate(WATCH)
    for number in range(1, trials + 1):
        page.wait_for_timeout(reading)
        _answer_one(page)
        page.wait_for_function("number => window.waits.length === number", arg=number)
    waits: list[float] = page.evaluate("window.waits")
    assert not np.isnan(waits).any(), "a new canvas showed the picture before it"
    return waits


def _answer_one(page: Page) -> None:
    for slider in ("mixing", "confidence"):
        page.locator(f"#ms-{slider}").press("ArrowRight")
    page.locator("#trial-continue").click()


def _bytes(responses: list[Response]) -> Iterator[Figure]:
    kinds: Counter[str] = Counter()
    for response in responses:
        kinds["Picture" if PICTURE in response.address else response.kind] += response.bytes
    say(f"a participation: {', '.join(f'{kind} {size:,} B' for kind, size in kinds.most_common() if size)}")
    unit = f"kB sent to a fresh browser for {TRIALS} trials of infer, all files from entry to thanks"
    yield at_most("elicitation.participation_bytes", [kinds.total() / 1000], 600, unit)
    shown = [response for response in responses if PICTURE in response.address]
    assert len(shown) == TRIALS, f"{len(shown)} pictures came"
    mean = float(np.mean([response.bytes for response in shown]))
    unit = "bytes a mixed image of 32 × 32 × 3 with its headers, mean; smooth drawn pictures under mild noise"
    yield at_most("elicitation.picture_bytes", [mean], 3000, unit)
    if CIFAR.exists():
        unit = "bytes a mixed image of CIFAR-10 test images with the same headers, mean"
        headers = shown[0].header_bytes
        yield at_most("elicitation.picture_bytes_cifar10", [headers + _mean_png()], 3000, unit)


def _mean_png() -> float:
    """Bytes of a PNG of two CIFAR-10 images mixed as in the study."""
    images = np.load(CIFAR)["images"][: 2 * CIFAR_PAIRS]
    lambdas = np.resize(DESIGN.lambdas_e4, CIFAR_PAIRS)
    parents = zip(images[::2], images[1::2], lambdas, strict=True)
    return float(
        np.mean([len(to_png(mix(first, second, lambda_e4))) for first, second, lambda_e4 in parents])
    )


def _waits(waits: list[float], slow_waits: list[float]) -> Iterator[Figure]:
    unit = "ms from Continue to the next picture on the screen"
    yield at_most("elicitation.next_picture", waits, 50, f"{unit}, median")
    slow = f"{unit}, median, while every call takes {SLOW_MS / 1000:g} s"
    yield at_most("elicitation.next_picture_slow_calls", slow_waits, 50, slow)
    most = float(np.percentile(waits, 95))
    yield at_most("elicitation.next_picture_p95", [most], AT_ONCE_MS, f"{unit}, 95th percentile")
    yield at_most(
        "elicitation.next_picture_worst", [max(waits)], AT_ONCE_MS, f"{unit}, worst of {len(waits)}"
    )
