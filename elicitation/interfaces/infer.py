"""Infer the mixing coefficient: a slider between the two classes, and how sure the person is; or "I cannot tell".

The slider's left end is 100% of the class shown on the left. Which of the pair's classes that is, is drawn for each
trial and balanced, so that side and class can be separated (in H-Mix they could not). Follows the H-Mix interface
"infer mixing factor" (Collins et al., UAI 2023) with untouched sliders refused. Answers of version 1 are read as they
are: what this version adds is optional.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from django.utils.translation import gettext, gettext_noop

from elicitation.interfaces import common, drawing
from elicitation.interfaces.base import Asked, Column, Params, Payload
from hilmix.core.judgements import CannotTell, Judgement, PerceivedLambda
from hilmix.errors import Invalid

NAME = "infer"
VERSION = 2
TITLE = gettext_noop("How much of each of two classes is seen, and how sure the person is")
UNIT: Literal["mixed_image", "pair"] = "mixed_image"
PLUGIN = "mixture-sliders"
JUDGEMENT: type[Judgement] = PerceivedLambda
CHECKS = True
COLUMNS: tuple[Column, ...] = (
    Column("cannot_tell", "the person chose 'I cannot tell'; both percents are then empty"),
    Column("mixing_percent", "slider position, 0 = all of the left class, 100 = all of the right class"),
    Column("confidence_percent", "how sure the person is, 0 to 100"),
    Column("touched", "which sliders were moved or set"),
    Column("n_moves", "how often each slider was set"),
    Column("slider_start", "where a slider stands before it is set: nowhere, so always empty"),
    Column("history", "[milliseconds, slider, position] of the first 200 settings", steps=True),
    *common.COLUMNS,
)
OPTIONS: Mapping[str, Any] = {"randomize_question_order": False, "left": drawing.BALANCED}
SLIDERS = ("mixing", "confidence")


def check_options(options: Mapping[str, Any], *, n_classes: int, n_lambdas: int) -> dict[str, Any]:
    filled = drawing.filled_options(NAME, options, OPTIONS)
    drawing.check_drawn(filled)
    if not isinstance(filled["randomize_question_order"], bool):
        problem = "randomize_question_order is true or false."
        raise Invalid(problem, fields={"options": [problem]})
    return filled


def texts() -> dict[str, Any]:
    return {
        "wording": {
            "question": gettext("How much of each can be seen?"),
            "confidence_question": gettext("How sure are you?"),
        },
        "instructions": [
            gettext(
                "### Two pictures in one\n\nEach picture you will see is a blend of two others: a bit of one, a bit"
                " of the other. We tell you which two things were blended.\n\nYour task is to say **how much of each"
                " can be seen**."
            ),
            gettext(
                "### The slider between two names\n\nIts left end means that only what is named on the left can be"
                " seen; its right end, only what is named on the right. Anywhere between is a mixture of the"
                " two.\n\nIt has no position until you touch it. You can use the mouse, a finger or the arrow keys."
            ),
            gettext(
                "### The slider of how sure you are\n\nIts left end means a pure guess, its right end that you are"
                " certain.\n\nIf you really cannot tell, choose *I cannot tell*. That is an answer, too."
            ),
        ],
        "short_instructions": gettext(
            "Set one slider between the two names to say how much of each can be seen, and the other to say how sure"
            " you are; or choose *I cannot tell*."
        ),
        "comprehension": [
            {
                "prompt": gettext(
                    "You see only what is named on the right. Where do you put the slider between the names?"
                ),
                "options": [
                    gettext("At the left end"),
                    gettext("In the middle"),
                    gettext("At the right end"),
                ],
                "correct": 2,
                "explain": gettext(
                    "Each end of the slider means that only what is named there can be seen: here, the right end."
                ),
            },
            {
                "prompt": gettext("You have no idea what the picture shows. What do you do?"),
                "options": [
                    gettext("Choose “I cannot tell”"),
                    gettext("Put the slider between the names in the middle"),
                    gettext("Close the window"),
                ],
                "correct": 0,
                "explain": gettext(
                    "The middle of the slider means that you see as much of one as of the other. If you cannot tell,"
                    " choose “I cannot tell”."
                ),
            },
        ],
    }


shown_order = drawing.one_image


def draw_person(rng: random.Random, *, classes: Sequence[str]) -> Params:
    return {}


def draw_params(rng: random.Random, asked: Sequence[Asked]) -> list[Params]:
    """Sides, and the order of the questions where the study asks for it."""
    if not asked:
        return []
    if not asked[0].options.get("randomize_question_order"):
        sides = drawing.drawn(rng, asked, left=drawing.SIDES)
        return [{**side, "order": list(SLIDERS)} for side in sides]
    drawn = drawing.drawn(rng, asked, left=drawing.SIDES, upper=SLIDERS)
    return [{"left": one["left"], "order": _from_upper(one["upper"])} for one in drawn]


def shown_to_person(person: Params, classes: Sequence[str]) -> dict[str, Any]:
    return {}


def shown(asked: Asked) -> dict[str, Any]:
    return {**drawing.named_sides(asked), "order": list(asked.params.get("order", SLIDERS))}


def clean(payload: Mapping[str, Any], asked: Asked) -> Payload:
    common.refuse_unknown(payload, NAME, COLUMNS)
    cannot_tell = common.boolean("cannot_tell", payload.get("cannot_tell", False))
    answer: Payload = {"cannot_tell": cannot_tell}
    for slider in SLIDERS:
        name = f"{slider}_percent"
        answer[name] = None if cannot_tell else common.whole(name, payload.get(name), 0, 100)
        if cannot_tell and payload.get(name) is not None:
            raise Invalid(f"'I cannot tell' goes without {name}.")
    answer["touched"] = _of_both("touched", payload.get("touched"), common.boolean)
    if not cannot_tell and not all(answer["touched"].values()):
        raise Invalid("Both sliders must be set before the answer counts, or choose 'I cannot tell'.")
    if payload.get("slider_start") is not None:
        raise Invalid("slider_start is empty: a slider has no position before it is set.")
    answer["slider_start"] = None
    if (moves := payload.get("n_moves")) is not None:
        answer["n_moves"] = _of_both("n_moves", moves, _count)
    if (history := payload.get("history")) is not None:
        answer["history"] = common.steps("history", history, width=3, most=common.MAX_HISTORY, check=_setting)
    return answer | common.clean_common(payload)


def judgement(payload: Payload, asked: Asked) -> Judgement:
    if payload["cannot_tell"]:
        return CannotTell()
    return _seen(asked.params["left"] == "first", payload["mixing_percent"], payload["confidence_percent"])


@lru_cache(maxsize=2**15)  # of a million answers in whole percents, at most 20,402 differ
def _seen(first_is_left: bool, mixing_percent: int, confidence_percent: int) -> PerceivedLambda:
    right_share = mixing_percent / 100
    return PerceivedLambda(1 - right_share if first_is_left else right_share, confidence_percent / 100)


def payload_for(judgement: Judgement, asked: Asked, rng: np.random.Generator) -> Payload:
    answered = isinstance(judgement, PerceivedLambda)
    payload: Payload = {
        "cannot_tell": not answered,
        "mixing_percent": None,
        "confidence_percent": None,
        "touched": {"mixing": answered, "confidence": answered},
        "n_moves": {slider: int(rng.integers(1, 6)) if answered else 0 for slider in SLIDERS},
        **common.simulated_common(rng),
    }
    if isinstance(judgement, PerceivedLambda):
        right_share = 1 - judgement.value if asked.params["left"] == "first" else judgement.value
        payload["mixing_percent"] = round(100 * right_share)
        payload["confidence_percent"] = round(100 * (judgement.confidence or 0.0))
    return payload


def _from_upper(upper: str) -> list[str]:
    return list(SLIDERS) if upper == SLIDERS[0] else list(reversed(SLIDERS))


def _of_both(name: str, value: Any, read: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(SLIDERS):
        raise Invalid(f"{name} says something of both sliders, mixing and confidence.")
    return {slider: read(f"{name} of {slider}", value[slider]) for slider in SLIDERS}


def _count(name: str, value: Any) -> int:
    return common.whole(name, value, 0, common.MAX_COUNT)


def _setting(slider: Any, position: Any) -> None:
    common.one_of("A slider in history", slider, SLIDERS)
    common.whole("A position in history", position, 0, 100)
