"""Reading a report: what its page costs the server, how much is sent, and how long a person waits for it.

The experiment's numbers are drawn from a seed in the shape of real runs, larger than the demonstration's:
three arms, five seeds, twenty epochs. Its report is built and shown by the real services and pages.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from playwright.sync_api import Browser, sync_playwright

from bench.client import request, send_all
from bench.instance import served
from bench.material import CLASSES, answered_study, image_set, signed_in
from bench.measure import Figure, at_most, say, speed
from elicitation.studies.protocol import Design
from hilmix.accounts.roles import OPERATOR
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress
from training.evaluation.assessment import assess
from training.evaluation.predictions import predictions
from training.evaluation.scores import score
from training.experiments.config import parse_config
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.reports.services import report_if_finished
from training.runs import keeping
from training.runs.models import Run

DESIGN = Design(n_mixed_images=20, trials_per_person=20, repeats=0, answers_per_unit=2)
EPOCHS, N_EVALUATION = 20, 3000
PAGES, LOADS = 20, 30
PATIENCE_MS = 1000  # a person's, until what they came for is there
# The canvases are painted in the frame after they are marked as drawn.
DRAWN = """() => new Promise((done) => {
  const look = () => document.querySelectorAll('.figure-canvas:not([data-drawn])').length
      || !document.querySelector('.figure-canvas')
    ? requestAnimationFrame(look)
    : requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
  look();
})"""


def figures() -> Iterator[Figure]:
    address, person = _experiment().get_absolute_url(), signed_in()
    yield _page_queries(address, person)
    with served() as port:
        yield _server(address, port, person)
        yield from _browser(port, address, person)


def _experiment() -> Experiment:
    """A finished experiment with its report, though nothing was trained."""
    study = answered_study(image_set(4 * N_EVALUATION), "answered", DESIGN)
    freeze_release(study=study, actor=OPERATOR, progress=Progress())
    arms = [{"policy": policy} for policy in ("mixup", "human_lambda", "human_lambda_shrunk")]
    config = parse_config({"name": "bench", "release": study.slug, "arms": arms, "seeds": [0, 1, 2, 3, 4]})
    experiment = create_experiment(config=config, actor=OPERATOR)
    images = experiment.image_set.open()
    indices = images.splits["test"]
    labels = images.labels[indices]
    for run in Run.objects.filter(arm__experiment=experiment):
        rng = np.random.default_rng(run.pk)
        logits = rng.normal(0, 1, (len(labels), len(CLASSES))) + 3 * np.eye(len(CLASSES))[labels]
        found = assess(predictions(labels=labels, logits=logits), draws=100)
        run.evaluations = {"test": found.as_json()}
        keeping.write_arrays(
            run, keeping.PREDICTIONS, {"indices": indices, "labels": labels, "logits": logits}
        )
        run.metrics, run.curves = score(logits, labels), [_epoch(number, rng) for number in range(EPOCHS)]
        run.environment, run.n_steps = {"device": "none (drawn from a seed)", "seconds": 0.0}, 1
        run.finished_at = timezone.now()
        run.save()
    report_if_finished(experiment=experiment)
    return experiment


def _epoch(number: int, rng: np.random.Generator) -> dict[str, Any]:
    left = 2 * 0.8**number
    return {
        "epoch": number + 1, "train_loss": left + 0.3 + rng.random() / 20, "train_floor": 0.3, "lr": 0.1,
        "validation_loss": left + 0.4 + rng.random() / 10, "validation_accuracy": 0.9 - left / 3, "seconds": 1.0,
    }  # fmt: skip


def _page_queries(address: str, person: Client) -> Figure:
    with CaptureQueriesContext(connection) as queries:
        reply = person.get(address)
    assert b"figure-canvas" in reply.content, reply.content
    return at_most("reports.page_queries", [len(queries)], 9, "queries the report's page")


def _server(address: str, port: int, person: Client) -> Figure:
    """Pages one after another over one connection."""
    cookie = person.cookies[settings.SESSION_COOKIE_NAME].OutputString(attrs=[])

    def get(path: str) -> Callable[[], None]:
        prepared = [request("GET", path, port, Cookie=cookie)] * PAGES
        return lambda: send_all(port, [prepared], b"figure-canvas")

    unit = "× speed of a view that joins the same tables as strings"
    return speed("reports.page", get(address), get(f"/bench{address}"), goal=0.3, unit=unit, work=PAGES)


def _browser(port: int, address: str, person: Client) -> Iterator[Figure]:
    """Cold loads in Chromium: each in a context of its own, with an empty cache."""
    executable = shutil.which("chromium")
    if executable is None:
        say("Chromium is not installed (apt install chromium): bytes and waiting are not measured.")
        return
    site = f"http://127.0.0.1:{port}"
    session = person.cookies[settings.SESSION_COOKIE_NAME]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        loads = [_load(browser, site, address, session.key, session.value) for _ in range(LOADS + 1)][1:]
        browser.close()
    sent, waited = zip(*loads, strict=True)
    yield at_most("reports.page_bytes", list(sent), 1000, "kB sent for a first visit, all files")
    yield at_most(
        "reports.page_wait", list(waited), PATIENCE_MS, "ms from opening to painted figures, first visit"
    )


def _load(browser: Browser, site: str, address: str, key: str, value: str) -> tuple[float, float]:
    """kB sent and milliseconds until the figures are painted."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_cookies([{"name": key, "value": value, "url": site}])
    page = context.new_page()
    network, sent = context.new_cdp_session(page), []
    network.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    network.send("Network.enable")
    page.goto(site + address, wait_until="commit")
    waited = page.evaluate(DRAWN)
    page.wait_for_load_state("networkidle")
    context.close()
    return sum(sent) / 1000, waited
