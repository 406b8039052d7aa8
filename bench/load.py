"""`python -m bench.load`: many people at once against a real server, over HTTP as their browsers do it.

First `AT_ONCE` people open the consent page and agree in the same moment, for as many places. Then as many take part as
a recruiter sends in half an hour, from consent to the completion code, without the time that people take: every
picture, answer, event and form. Prints one JSON object a line for each figure, and fails if any request fails.
"""

from __future__ import annotations

import html
import json
import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from threading import Barrier
from typing import Any
from urllib.parse import urlencode

import numpy as np

from bench.instance import served, temporary_state
from bench.measure import Figure, at_most, say

AT_ONCE = 50
IN_HALF_AN_HOUR = 100  # people; H-Mix had 81 in all
WINDOWS = 20  # of them that are open at the same time
PATIENCE_S = 10.0  # of somebody who waits until the study begins, with 49 others in the same second
ANSWER_S = 1.0  # an answer is sent while the next picture is looked at
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Browser:
    """One person's: a kept connection, and the seconds that each kind of request took."""

    def __init__(self, port: int, took: dict[str, list[float]]) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._took = took

    def send(
        self, kind: str, method: str, path: str, body: str | None = None, headers: Mapping[str, str] = {}
    ) -> tuple[str, bytes]:
        """Where a redirect leads (empty where it is none), and the body. RuntimeError for what is not 200 or 302."""
        start = time.perf_counter()
        self._connection.request(method, path, body, dict(headers))
        reply = self._connection.getresponse()
        content = reply.read()
        self._took.setdefault(kind, []).append(time.perf_counter() - start)
        if reply.status not in (200, 302):
            raise RuntimeError(f"{method} {path}: {reply.status} {content[:300]!r}")
        return reply.headers.get("Location", ""), content

    def submit(self, kind: str, path: str, fields: Mapping[str, str]) -> str:
        """Open a page with a form, fill it in and send it: where it leads."""
        _location, page = self.send(f"{kind} page", "GET", path)
        token = re.search(r'name="token" value="([^"]+)"', page.decode())
        assert token, page[:300]
        body = urlencode({**fields, "token": html.unescape(token[1])})
        location, page = self.send(kind, "POST", path, body, FORM)
        if not location:
            raise RuntimeError(f"POST {path} leads nowhere: {page[:3000]!r}")
        return location


def join(browser: Browser, slug: str) -> str:
    """Consent; the private address."""
    boxes = dict.fromkeys(("adult", "agree", "publish"), "on")
    return browser.submit("join", f"/s/{slug}/", {**boxes, "decision": "consent"})


def take_part(browser: Browser, slug: str, survey: Mapping[str, str], answer: dict[str, Any]) -> None:
    """The whole way, up to the page with the completion code."""
    address = join(browser, slug)
    _location, page = browser.send("trials page", "GET", address)
    found = re.search(r'<script id="config" type="application/json">(.*?)</script>', page.decode(), re.DOTALL)
    assert found, page[:300]
    config = json.loads(found[1])
    api, signed = config["api"], {"Authorization": f"Participation {config['token']}"}
    sent = signed | {"Content-Type": "application/json"}

    def post(kind: str, path: str, content: Any) -> Any:
        return json.loads(browser.send(kind, "POST", api + path, json.dumps(content), sent)[1])

    plan = json.loads(browser.send("plan", "GET", f"{api}plan/", headers=signed)[1])
    for trial in plan["trials"]:
        for image in trial["images"]:
            browser.send("picture", "GET", image["url"] if isinstance(image, dict) else image, headers=signed)
    passed = {"id": str(uuid.uuid4()), "kind": "comprehension", "t_ms": 60_000, "data": {"passed": True}}
    post("event", "events/", {"events": [passed]})
    for index, trial in enumerate(plan["trials"]):
        said = {"id": str(uuid.uuid4()), "position": trial["position"], "payload": answer, "rt_ms": 4000}
        said |= {"trial_index": index, "time_elapsed_ms": 5000 * index, "attempt": 1}
        (receipt,) = post("answer", "responses/", {"epoch": plan["epoch"], "responses": [said]})["results"]
        if receipt["status"] != "created":
            raise RuntimeError(f"answer {index}: {receipt}")
    closing = post("complete", "complete/", {"count": len(plan["trials"])})["next_url"]
    thanks = browser.submit("survey", closing, survey)
    browser.send("thanks", "GET", thanks)


def all_at_once(n: int, windows: int, one: Callable[[int], None]) -> list[str]:
    """Do it for `n` people, `windows` of them at the same time; what went wrong."""
    gate = Barrier(windows) if n == windows else None

    def attempt(number: int) -> str:
        try:
            if gate:
                gate.wait()
            one(number)
        except Exception as error:  # whatever it is, it is counted and told
            return f"{type(error).__name__}: {error}"
        return ""

    with ThreadPoolExecutor(windows) as pool:
        return [problem for problem in pool.map(attempt, range(n)) if problem]


def figures() -> list[Figure]:
    """Measure in a state folder of its own, which is set up."""
    from bench.elicitation import ASKED, DESIGN, WINDOW
    from bench.material import image_set, open_a_study
    from elicitation.interfaces import infer
    from elicitation.participants.models import Participation
    from elicitation.studies.protocol import Design
    from elicitation.studies.texts import texts_of
    from elicitation.trials.models import Response
    from hilmix.core.judgements import PerceivedLambda

    images = image_set()
    rush = open_a_study(images, "rush", Design(n_mixed_images=60, repeats=0, answers_per_unit=AT_ONCE))
    steady = open_a_study(images, "steady", DESIGN)
    survey = {
        item.name: "3" if item.kind == "likert" else "Nothing."
        for item in texts_of(steady.protocol.content).survey
    }
    answer = infer.payload_for(PerceivedLambda(0.62, 0.8), ASKED, np.random.default_rng(0)) | WINDOW
    took: dict[str, list[float]] = {}
    rushed: dict[str, list[float]] = {}
    with served() as port:
        problems = all_at_once(AT_ONCE, AT_ONCE, lambda _n: _begin(Browser(port, rushed)))
        say(f"{AT_ONCE} people at once: {_told(rushed)}")
        start = time.perf_counter()
        problems += all_at_once(
            IN_HALF_AN_HOUR, WINDOWS, lambda _n: take_part(Browser(port, took), "steady", survey, answer)
        )
        say(f"half an hour's {IN_HALF_AN_HOUR} people in {time.perf_counter() - start:.0f} s: {_told(took)}")
    for problem in problems[:10]:
        say(problem)
    joined = Participation.objects.filter(study=rush).exclude(slot=None).count()
    done = Participation.objects.filter(study=steady, state=Participation.State.COMPLETED).count()
    answers = Response.objects.filter(trial__participation__study=steady).count()
    wanted = IN_HALF_AN_HOUR * (DESIGN.trials_per_person + DESIGN.repeats)
    missing = AT_ONCE - joined + IN_HALF_AN_HOUR - done + wanted - answers
    return [
        at_most(
            "load.failures",
            [len(problems)],
            0,
            f"people of {AT_ONCE + IN_HALF_AN_HOUR} for whom a request failed",
        ),
        at_most("load.missing", [missing], 0, "places, completions and answers that are not in the database"),
        at_most(
            "load.join",
            [_late(rushed["join page"]) + _late(rushed["join"])],
            PATIENCE_S,
            f"s to open the consent page and to join, {AT_ONCE} at once, 95th percentiles",
        ),
        at_most(
            "load.answer",
            [_late(took["answer"])],
            ANSWER_S,
            f"s to save an answer, {WINDOWS} windows open, 95th percentile",
        ),
    ]


def _begin(browser: Browser) -> None:
    browser.send("trials page", "GET", join(browser, "rush"))


def _late(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 95))


def _told(took: Mapping[str, list[float]]) -> str:
    return ", ".join(
        f"{kind} {len(seconds)} × {1000 * np.median(seconds):.0f} ms (95%: {1000 * _late(seconds):.0f})"
        for kind, seconds in took.items()
    )


def main() -> int:
    with temporary_state():
        found = figures()
    for figure in found:
        print(figure.as_json(), flush=True)
    return 0 if all(figure.met for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
