"""Reading reports: what every page of training costs the server, how much is sent, and how long a person waits for it.

On the demonstration, as its jobs leave it, and on an experiment that is larger and has everything that a page can show,
drawn from a seed in the shape of real runs: three arms, five seeds, twenty epochs, 3,000 test images, a map of 3,000
points. Reports are built and shown by the real services and pages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from playwright.sync_api import Browser

from bench import reading
from bench.client import request, send_all
from bench.instance import served
from bench.material import answered_study, image_set, pictures, signed_in
from bench.measure import Figure, at_most, say, speed
from elicitation.studies.protocol import Design
from elicitation.trials.models import Response
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person
from hilmix.demo import build_demo
from hilmix.hub.models import Release
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress
from tests.training.everything import addresses, everything, run_of
from training.choices.services import choose_arm
from training.experiments.models import Experiment
from training.explanations.work import explain
from training.reports.paper.services import write_paper

DESIGN = Design(n_mixed_images=1000, trials_per_person=50, repeats=0, answers_per_unit=2)
ARMS = ("mixup", "human_lambda", "human_lambda_shrunk")
EPOCHS, N_EVALUATION = 20, 3000
POINTS = (2000, 1000)
PAGES = 20
# The canvases are painted in the frame after they are marked as drawn.
DRAWN = """() => new Promise((done) => {
  const look = () => document.querySelectorAll('.figure-canvas:not([data-drawn])').length
      || !document.querySelector('.figure-canvas')
    ? requestAnimationFrame(look)
    : requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
  look();
})"""
_number = count()


def figures() -> Iterator[Figure]:
    person = signed_in()
    demonstration, large = _demonstration(), _large()
    address = large.get_absolute_url()
    yield _page_queries(address, person)
    worlds = {
        "demonstration": (demonstration, addresses(demonstration), reading.LOADS),
        "large": (large, addresses(large), reading.FEW_LOADS),
    }
    costs = {name: reading.served_to(pages, _somebody) for name, (_, pages, _) in worlds.items()}
    opened = {name: _openable(pages, person, name) for name, (_, pages, _) in worlds.items()}
    # From here on all of it is open, and more of it is read at once.
    choose_arm(experiment=large, arm=ARMS[-1], reason="It is to be measured.", actor=OPERATOR)
    with served() as port, reading.browsing() as browser:
        yield _server(address, port, person)
        if browser is not None:
            cookie = person.cookies[settings.SESSION_COOKIE_NAME]
            site, session = f"http://127.0.0.1:{port}", (cookie.key, cookie.value)
            yield from _drawn(browser, site, session, address)
            for name, (_, pages, loads) in worlds.items():
                say(f"reading {len(pages)} pages, {name}: {loads} loads of the main ones …")
                reading.read(browser, site, session, opened[name], costs[name], loads)
            yield from reading.moved(
                browser, site, session, opened["large"]["explanations, unfolded"], sum(POINTS)
            )
    for name, found in costs.items():
        yield from reading.summed(f"reports.{name}", found)
        say(reading.table(name, found))


def _demonstration() -> Experiment:
    """The demonstration with what an admin may ask for on its pages: heat maps, and the report as a file."""
    experiment = build_demo()
    explain(Progress(), run_of(experiment).pk)
    experiment = Experiment.objects.get(pk=experiment.pk)
    write_paper(experiment=experiment, progress=Progress())
    return experiment


def _large() -> Experiment:
    study = answered_study(image_set(5 * N_EVALUATION), "answered", DESIGN)
    freeze_release(study=study, actor=OPERATOR, progress=Progress())
    given = Response.objects.filter(trial__participation__study=study).earliest("pk")
    given.payload["mixing_percent"] = (given.payload["mixing_percent"] + 1) % 101
    given.save(update_fields=["payload"])
    freeze_release(study=study, actor=OPERATOR, progress=Progress())
    admin = add_person(username="maker", kind=User.Kind.ADMIN, actor=OPERATOR)
    releases = list(Release.objects.filter(study=study).order_by("number"))
    made = everything(
        releases,
        admin,
        policies=ARMS,
        seeds=range(5),
        epochs=EPOCHS,
        validation=600,
        draws=100,
        points=POINTS,
    )
    # Pictures as large as CIFAR-10's.
    np.save(run_of(made).directory / "explain" / "map.npy", pictures(sum(POINTS)))
    return made


def _somebody() -> Client:
    """The browser of an admin who has not seen anything yet."""
    client = Client(SERVER_NAME="127.0.0.1")
    person = add_person(username=f"new-{next(_number)}", kind=User.Kind.ADMIN, actor=OPERATOR)
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def _openable(pages: dict[str, str], person: Client, name: str) -> dict[str, str]:
    """The pages, and in place of the file that is downloaded its address on the disk."""
    folder = Path(os.environ["HILMIX_VAR"]) / f"downloads-{name}"
    folder.mkdir()
    reply = person.get(pages["report.html"])
    body = b"".join(reply.streaming_content)  # type: ignore[attr-defined]
    return {**pages, "report.html": reading.offline(body, folder)}


def _page_queries(address: str, person: Client) -> Figure:
    with CaptureQueriesContext(connection) as queries:
        reply = person.get(address)
    assert b"figure-canvas" in reply.content, reply.content
    return at_most("reports.page_queries", [len(queries)], reading.MOST_QUERIES, "queries the report's page")


def _server(address: str, port: int, person: Client) -> Figure:
    """Pages one after another over one connection."""
    cookie = person.cookies[settings.SESSION_COOKIE_NAME].OutputString(attrs=[])

    def get(path: str) -> Callable[[], None]:
        prepared = [request("GET", path, port, Cookie=cookie)] * PAGES
        return lambda: send_all(port, [prepared], b"figure-canvas")

    unit = "× speed of a view that joins the same tables as strings"
    return speed("reports.page", get(address), get(f"/bench{address}"), goal=0.3, unit=unit, work=PAGES)


def _drawn(browser: Browser, site: str, session: tuple[str, str], address: str) -> Iterator[Figure]:
    """Cold loads of the report until its figures are painted, each in a window of its own."""
    loads = []
    for _ in range(reading.LOADS + 1):
        context = reading.window(browser, site, *session)
        page = context.new_page()
        network, sent = context.new_cdp_session(page), []
        network.on(
            "Network.loadingFinished", lambda event, sent=sent: sent.append(event["encodedDataLength"])
        )
        network.send("Network.enable")
        page.goto(site + address, wait_until="commit")
        waited = page.evaluate(DRAWN)
        page.wait_for_load_state("networkidle")
        context.close()
        loads.append((sum(sent) / 1000, waited))
    sent_kb, waits = zip(*loads[1:], strict=True)
    yield at_most(
        "reports.page_bytes", list(sent_kb), reading.MOST_KB, "kB sent for a first visit, all files"
    )
    unit = "ms from opening to painted figures, first visit"
    yield at_most("reports.page_wait", list(waits), reading.PATIENCE_MS, unit)
