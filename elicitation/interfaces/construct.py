"""Construct the middle: step through the mixed images of a pair until one shows as much of one as of the other.

The unit is the pair. The pictures stand in a row from what is named on the left to what is named on the right, and the
left key, button and slider end all lead to the left: side, key direction and slider direction cannot contradict each
other. Which class stands where and near which end a trial starts are balanced. Follows the H-Mix interface "construct"
(Collins et al., UAI 2023); a step is a place in the row, never a λ as text, by which the published one lost pictures.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from django.utils.translation import gettext, gettext_noop

from elicitation.interfaces import common, drawing
from elicitation.interfaces.base import Asked, Column, Params, Payload
from hilmix.core.judgements import Judgement, PerceivedMidpoint
from hilmix.errors import Invalid

NAME = "construct"
VERSION = 1
TITLE = gettext_noop(
    "Stepping through a pair's mixed images to the one that shows as much of one as of the other"
)
UNIT: Literal["mixed_image", "pair"] = "pair"
PLUGIN = "construct-stepper"
JUDGEMENT: type[Judgement] = PerceivedMidpoint
CHECKS = False
COLUMNS: tuple[Column, ...] = (
    Column("start_step", "place in the row where the trial started; 0 is the left end"),
    Column("final_step", "place in the row where it ended"),
    Column("path", "[milliseconds, place, key | button | slider] of the first 500 steps", steps=True),
    Column("n_steps", "how many steps were made"),
    Column("n_reversals", "how often the direction was changed"),
    Column("visited_min", "leftmost place seen"),
    Column("visited_max", "rightmost place seen"),
    Column("hit_bound", "the person tried to step beyond an end"),
    *common.COLUMNS,
)
OPTIONS: Mapping[str, Any] = {
    "controls": "all",
    "min_steps": 0,
    "left": drawing.BALANCED,
    "start": drawing.BALANCED,
}
SOURCES = {
    "keys": ("key",),
    "buttons": ("button",),
    "slider": ("slider",),
    "all": ("key", "button", "slider"),
}
KEYS = {"left": "g", "right": "h"}
MAX_PATH = 500


def check_options(options: Mapping[str, Any], *, n_classes: int, n_lambdas: int) -> dict[str, Any]:
    drawing.need_lambdas(n_lambdas)
    filled = drawing.filled_options(NAME, options, OPTIONS)
    drawing.check_drawn(filled)
    try:
        common.one_of("controls", filled["controls"], tuple(SOURCES))
        common.whole("min_steps", filled["min_steps"], 0, 100)
    except Invalid as error:
        raise Invalid(error.message, fields={"options": [error.message]}) from None
    return filled


def texts() -> dict[str, Any]:
    return {
        "wording": {
            "question": gettext("Find the picture that shows as much of {left} as of {right}."),
        },
        "instructions": [
            gettext(
                "### A row of blends\n\nYou will see one picture at a time out of a row. At the left end of the row"
                " is what is named on the left, at its right end what is named on the right; between them are blends"
                " of the two.\n\nYour task is to find the one that shows **as much of one as of the other**."
            ),
            gettext(
                "### Stepping\n\nGo to the left or to the right with what is below the picture, or with the keys"
                " named there. You can go back and forth as often as you like. Press *Continue* when the picture on"
                " the screen is the one."
            ),
        ],
        "short_instructions": gettext(
            "Step to the left or to the right until the picture shows as much of one as of the other, then press"
            " *Continue*."
        ),
        "comprehension": [
            {
                "prompt": gettext("You want to see more of what is named on the left. Where do you go?"),
                "options": [gettext("To the left"), gettext("To the right"), gettext("Nowhere")],
                "correct": 0,
                "explain": gettext("Each step to a side shows more of what is named on that side."),
            },
            {
                "prompt": gettext("When do you press “Continue”?"),
                "options": [
                    gettext("When I have reached the right end"),
                    gettext("When the picture on the screen shows as much of one as of the other"),
                    gettext("After the first step"),
                ],
                "correct": 1,
                "explain": gettext("Your answer is the picture that is on the screen when you continue."),
            },
        ],
    }


def draw_person(rng: random.Random, *, classes: Sequence[str]) -> Params:
    return {"keys": dict(KEYS)}


def draw_params(rng: random.Random, asked: Sequence[Asked]) -> list[Params]:
    """Which class is on the left, and near which end a trial starts: balanced, and crossed with each other, unless the
    study's options fix them."""
    return drawing.drawn(rng, asked, left=drawing.SIDES, start=drawing.STARTS)


def shown_order(asked: Asked) -> Sequence[int]:
    """From left to right: λ is the share of the first class, so with that on the left it falls."""
    ascending = range(len(asked.lambdas_e4))
    return ascending[::-1] if asked.params["left"] == "first" else ascending


def start_step(asked: Asked) -> int:
    """The place in the row where the trial starts: beside an end, or at it where the row is shorter than four."""
    n = len(asked.lambdas_e4)
    low = 1 if n >= 4 else 0
    return low if asked.params["start"] == "low" else n - 1 - low


def shown_to_person(person: Params, classes: Sequence[str]) -> dict[str, Any]:
    return {"keys": person["keys"]}


def shown(asked: Asked) -> dict[str, Any]:
    return {**drawing.named_sides(asked), "n": len(asked.lambdas_e4), "start": start_step(asked)}


def clean(payload: Mapping[str, Any], asked: Asked) -> Payload:
    common.refuse_unknown(payload, NAME, COLUMNS)
    last = len(asked.lambdas_e4) - 1
    options = {**OPTIONS, **asked.options}
    answer: Payload = {
        name: common.whole(name, payload.get(name), 0, most)
        for name, most in (
            *((name, last) for name in ("start_step", "final_step", "visited_min", "visited_max")),
            *((name, common.MAX_COUNT) for name in ("n_steps", "n_reversals")),
        )
    }
    answer["hit_bound"] = common.boolean("hit_bound", payload.get("hit_bound"))
    sources = SOURCES[options["controls"]]

    def step(place: Any, source: Any) -> None:
        common.whole("A place in path", place, 0, last)
        common.one_of("A source in path", source, sources)

    answer["path"] = common.steps("path", payload.get("path"), width=3, most=MAX_PATH, check=step)
    if answer["start_step"] != start_step(asked):
        raise Invalid(f"This trial starts at step {start_step(asked)}, not at {answer['start_step']}.")
    _check_walk(answer, last)
    if answer["n_steps"] < options["min_steps"]:
        raise Invalid(f"At least {options['min_steps']} steps are needed before the answer counts.")
    return answer | common.clean_common(payload)


def judgement(payload: Payload, asked: Asked) -> Judgement:
    order = shown_order(asked)
    start, final = (asked.lambdas_e4[order[step]] for step in (start_step(asked), payload["final_step"]))
    return PerceivedMidpoint(final / 10_000, "low" if start < 5000 else "high")


def payload_for(judgement: Judgement, asked: Asked, rng: np.random.Generator) -> Payload:
    assert isinstance(judgement, PerceivedMidpoint)
    order, start = shown_order(asked), start_step(asked)
    shares = [asked.lambdas_e4[position] / 10_000 for position in order]
    final = min(range(len(shares)), key=lambda place: abs(shares[place] - judgement.value))
    shared = common.simulated_common(rng)
    controls = {**OPTIONS, **asked.options}
    walk = _walk_of(start, final, len(order) - 1, controls["min_steps"])
    source = SOURCES[controls["controls"]][0]
    began = shared["first_interaction_ms"]
    return {
        "start_step": start,
        "final_step": final,
        "path": [[began + 150 * i, place, source] for i, place in enumerate(walk)],
        **_counts([start, *walk]),
        "hit_bound": False,
        **shared,
    }


def _check_walk(answer: Payload, last: int) -> None:
    """Raise Invalid unless path, counts and final step tell of one and the same walk."""
    places = [answer["start_step"], *(place for _time, place, _source in answer["path"])]
    if answer["n_steps"] > MAX_PATH:  # too long to be kept whole: what is kept lies within what was visited
        seen = range(answer["visited_min"], answer["visited_max"] + 1)
        agrees = all(place in seen for place in (*places, answer["final_step"]))
    else:
        counted = {"final_step": places[-1], **_counts(places)}
        agrees = all(answer[name] == value for name, value in counted.items())
        _check_steps(places, [source for _time, _place, source in answer["path"]])
    if not agrees:
        raise Invalid("path, final_step and the counts of steps do not agree.")
    if answer["hit_bound"] and answer["visited_min"] > 0 and answer["visited_max"] < last:
        raise Invalid("hit_bound tells of an end of the row, and none was visited.")


def _check_steps(places: Sequence[int], sources: Sequence[str]) -> None:
    for (before, after), source in zip(pairwise(places), sources, strict=True):
        if before == after or (source != "slider" and abs(after - before) != 1):
            raise Invalid(f"path goes from step {before} to step {after}, which a {source} cannot do.")


def _counts(places: Sequence[int]) -> dict[str, int]:
    moves = [after - before for before, after in pairwise(places)]
    return {
        "n_steps": len(moves),
        "n_reversals": sum(before * after < 0 for before, after in pairwise(moves)),
        "visited_min": min(places),
        "visited_max": max(places),
    }


def _walk_of(start: int, final: int, last: int, at_least: int) -> list[int]:
    """The straight walk, or one that goes to and fro at its end until it has `at_least` steps."""
    towards = 1 if final >= start else -1
    walk = list(range(start + towards, final + towards, towards)) if final != start else []
    beside = final - 1 if final == last else final + 1
    while len(walk) < at_least:
        walk += [beside, final]
    return walk
