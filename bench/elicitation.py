"""Asking people: saving an answer and joining a study as participants' browsers do, and making mixed images.

A whole participation in a browser is measured in `participation.py`, in the same run.
"""

from __future__ import annotations

import io
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from PIL import Image

from bench import participation
from bench.baselines import plain_join
from bench.baselines.float_mix import FloatMixer
from bench.client import request, send_all
from bench.instance import served
from bench.material import CLASSES, PARAMS, image_set, open_a_study, pictures
from bench.measure import Figure, at_most, speed
from elicitation.flow.access import token_for
from elicitation.flow.services import join_study
from elicitation.interfaces import infer
from elicitation.interfaces.base import Asked
from elicitation.participants.models import Participation
from elicitation.studies.models import Source, Study
from elicitation.studies.protocol import Design
from hilmix.core import mixing
from hilmix.core.judgements import PerceivedLambda

# As long as a real study of the field: H-Mix asked 59 to 62 questions a person.
DESIGN = Design(n_mixed_images=540, trials_per_person=60, repeats=2, answers_per_unit=100)
RESPONSES = "/api/v1/participation/responses/"
BOXES = {"adult": True, "agree": True, "publish": True}
ASKED = Asked(classes=tuple(CLASSES), first_class=3, second_class=5, params=PARAMS)
WINDOW = {"input_method": "mouse", "viewport": [1280, 720, 2], "image_css_px": 320, "image_device_px": 640}
AT_ONCE = 4  # participants who answer at the same time
ANSWERS = 60  # of each of them in one repetition, long enough that a hiccup of the machine does not decide
SAVES = 11  # repetitions
JOINS = 15
PICTURES = 1000


def figures() -> Iterator[Figure]:
    images = image_set()
    study, plain = (open_a_study(images, slug, DESIGN) for slug in ("measured", "plain"))
    yield _queries(study)
    yield _saving(study)
    yield _joining(study, plain)
    yield from participation.figures(images)
    yield from _mixing()


def _join(study: Study) -> Participation:
    participation, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    return participation


def _body(position: int) -> bytes:
    payload = infer.payload_for(PerceivedLambda(0.62, 0.8), ASKED, np.random.default_rng(0)) | WINDOW
    answer = {"id": str(uuid.uuid4()), "position": position, "payload": payload, "rt_ms": 8460, "attempt": 1}
    answer |= {"trial_index": position, "time_elapsed_ms": 9_000 * position}
    return json.dumps({"epoch": 0, "responses": [answer]}).encode()


def _queries(study: Study) -> Figure:
    """Statements that one save sends to the database, apart from those that begin and end transactions.

    The very first answer of a study sends one more, which freezes the protocol.
    """
    headers = {"Authorization": f"Participation {token_for(_join(study))}"}
    for position in range(2):
        with CaptureQueriesContext(connection) as queries:
            reply = Client(SERVER_NAME="127.0.0.1").post(
                RESPONSES, _body(position), content_type="application/json", headers=headers
            )
        assert reply.json()["results"][0]["status"] == "created", reply.content
    n = sum(not query["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")) for query in queries)
    return at_most("elicitation.save_answer_queries", [n], 4, "queries a saved answer")


def _saving(study: Study) -> Figure:
    """Answers saved over HTTP, one a request, by several people at once, each answer of a fresh plan."""

    def post(path: str, port: int) -> Callable[[], None]:
        def queues() -> Iterator[list[list[bytes]]]:
            while True:
                yield [_requests(_join(study), path, port) for _ in range(AT_ONCE)]

        prepared = queues()
        ready = [next(prepared) for _ in range(SAVES + 1)]  # made before the time that is measured begins
        return lambda: send_all(port, ready.pop(), b"created")

    with served() as port:
        return speed(
            "elicitation.save_answer",
            post(RESPONSES, port),
            post("/bench/responses/", port),
            goal=0.5,
            unit="× speed of a bare REST view that inserts one row",
            work=AT_ONCE * ANSWERS,
            n=SAVES,
        )


def _requests(participation: Participation, path: str, port: int) -> list[bytes]:
    headers = {
        "Authorization": f"Participation {token_for(participation)}",
        "Content_Type": "application/json",
    }
    return [request("POST", path, port, _body(position), **headers) for position in range(ANSWERS)]


def _joining(study: Study, plain: Study) -> Figure:
    """Joins of a study with 9 batches and room for hundreds of people; the baseline has its twin to itself."""
    database = plain_join.connect(Path(os.environ["HILMIX_VAR"]))
    batch = plain.batches.order_by("-ordinal")[0]
    units = list(batch.units.values_list("pk", "mixed_image_id", "pair_id"))
    units += units[: DESIGN.repeats]
    protocol, condition = plain.protocol.pk, _join(plain).trials.all()[0].condition_id

    def ours() -> None:
        for _ in range(JOINS):
            _join(study)

    def baseline() -> None:
        for _ in range(JOINS):
            plain_join.join(database, plain.pk, protocol, condition, batch.pk, units)

    unit = "× speed of single-row inserts of the same rows"
    return speed("elicitation.join_study", ours, baseline, goal=0.3, unit=unit, work=JOINS, n=5)


def _mixing() -> Iterator[Figure]:
    """Mixed images of 32 × 32 × 3 one by one, bare and as hashed PNG."""
    images = pictures(2 * PICTURES)
    pairs = list(zip(images[:PICTURES], images[PICTURES:], strict=True))
    lambdas = [int(value) for value in np.random.default_rng(0).choice([1000, 2500, 5000, 7500], PICTURES)]
    shares = [np.float32(value / 10_000) for value in lambdas]
    float_mix = FloatMixer(images.shape[1:])

    def ours() -> None:
        for (first, second), lambda_e4 in zip(pairs, lambdas, strict=True):
            mixing.mix(first, second, lambda_e4)

    def baseline() -> None:
        for (first, second), share in zip(pairs, shares, strict=True):
            float_mix(first, second, share)

    def ours_png() -> None:
        for (first, second), lambda_e4 in zip(pairs, lambdas, strict=True):
            pixels = mixing.mix(first, second, lambda_e4)
            mixing.pixel_sha256(pixels)
            mixing.to_png(pixels)

    def baseline_png() -> None:
        for (first, second), share in zip(pairs, shares, strict=True):
            Image.fromarray(float_mix(first, second, share)).save(io.BytesIO(), format="PNG")

    unit = "× speed of float32 numpy"
    yield speed("elicitation.mix", ours, baseline, goal=0.8, unit=unit, work=PICTURES, n=15)
    unit = "× speed of float32 numpy and the same PNG encoding, without a hash"
    yield speed("elicitation.mixed_png", ours_png, baseline_png, goal=0.8, unit=unit, work=PICTURES)
