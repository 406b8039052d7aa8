"""A toy interface, to show what adding one takes: which of the two classes is more to be seen?"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from elicitation.interfaces import common, drawing
from elicitation.interfaces.base import Asked, Column, Params, Payload
from hilmix.core.judgements import Judgement, PerceivedLambda

NAME = "more_of"
VERSION = 1
TITLE = "Which of two classes is more to be seen"
UNIT: Literal["mixed_image", "pair"] = "mixed_image"
PLUGIN = "more-of"
JUDGEMENT: type[Judgement] = PerceivedLambda
CHECKS = True
COLUMNS: tuple[Column, ...] = (Column("side", "the side chosen, left or right"), *common.COLUMNS)
OPTIONS: Mapping[str, Any] = {}
PRESS = "Press the button on the side of which there is more."


def check_options(options: Mapping[str, Any], *, n_classes: int, n_lambdas: int) -> dict[str, Any]:
    return drawing.filled_options(NAME, options, OPTIONS)


def texts() -> dict[str, Any]:
    question = {"prompt": "More of the left?", "options": ["Left", "Right"], "correct": 0, "explain": PRESS}
    return {
        "wording": {"question": "Is there more of {left} or of {right}?"},
        "instructions": [PRESS],
        "short_instructions": PRESS,
        "comprehension": [question],
    }


def draw_person(rng: random.Random, *, classes: Sequence[str]) -> Params:
    return {"upper": rng.choice(["left", "right"])}


def draw_params(rng: random.Random, asked: Sequence[Asked]) -> list[Params]:
    return drawing.balanced(rng, len(asked), left=drawing.SIDES)


def shown_order(asked: Asked) -> Sequence[int]:
    return (0,)


def shown_to_person(person: Params, classes: Sequence[str]) -> dict[str, Any]:
    return person


def shown(asked: Asked) -> dict[str, Any]:
    return drawing.named_sides(asked)


def clean(payload: Mapping[str, Any], asked: Asked) -> Payload:
    common.refuse_unknown(payload, NAME, COLUMNS)
    side = common.one_of("side", payload.get("side"), ("left", "right"))
    return {"side": side, **common.clean_common(payload)}


def judgement(payload: Payload, asked: Asked) -> Judgement:
    return PerceivedLambda(float((payload["side"] == "left") == (asked.params["left"] == "first")))


def payload_for(judgement: Judgement, asked: Asked, rng: np.random.Generator) -> Payload:
    first = isinstance(judgement, PerceivedLambda) and judgement.value > 0.5
    return {"side": "left" if first == (asked.params["left"] == "first") else "right"}
