"""Select the middle: all mixed images of a pair in a shuffled grid; the person picks the one that is half of each.

The unit is the pair. The grid's order is drawn for each trial and stored (in H-Mix it was shuffled in the browser and
lost), and so is which class is named first. Follows the H-Mix interface "select shuffled" (Collins et al., UAI 2023).
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

NAME = "select_shuffled"
VERSION = 1
TITLE = gettext_noop(
    "Which of a pair's mixed images, in a shuffled grid, shows as much of one as of the other"
)
UNIT: Literal["mixed_image", "pair"] = "pair"
PLUGIN = "select-shuffled-grid"
JUDGEMENT: type[Judgement] = PerceivedMidpoint
CHECKS = False
COLUMNS: tuple[Column, ...] = (
    Column("selected", "place in the grid of the picture chosen, from 0"),
    Column("selection_history", "[milliseconds, place] of the first 200 choices", steps=True),
    Column("n_changes", "how often the choice was changed"),
    *common.COLUMNS,
)
OPTIONS: Mapping[str, Any] = {"left": drawing.BALANCED}


def check_options(options: Mapping[str, Any], *, n_classes: int, n_lambdas: int) -> dict[str, Any]:
    drawing.need_lambdas(n_lambdas)
    filled = drawing.filled_options(NAME, options, OPTIONS)
    drawing.check_drawn(filled)
    return filled


def texts() -> dict[str, Any]:
    return {
        "wording": {
            "question": gettext("Which of these pictures shows as much of {left} as of {right}?"),
        },
        "instructions": [
            gettext(
                "### One pair, many blends\n\nYou will see several pictures at once. Each is a blend of the same two"
                " pictures, in another mixture. They stand in no order.\n\nYour task is to find the one that shows"
                " **as much of one as of the other**."
            ),
            gettext(
                "### Choosing\n\nChoose a picture with the mouse or a finger; or go to it with the arrow keys and"
                " press the space bar. The chosen picture has a mark.\n\nYou can change your choice until you press"
                " *Continue*."
            ),
        ],
        "short_instructions": gettext(
            "Choose the picture that shows as much of one as of the other, then press *Continue*."
        ),
        "comprehension": [
            {
                "prompt": gettext("Which picture do you look for?"),
                "options": [
                    gettext("The one that shows most of what is named first"),
                    gettext("The one that shows as much of one as of the other"),
                    gettext("The prettiest one"),
                ],
                "correct": 1,
                "explain": gettext("Look for the picture that shows as much of one as of the other."),
            },
            {
                "prompt": gettext("You chose a picture and then find one that fits better. What do you do?"),
                "options": [
                    gettext("Choose the other one, then press “Continue”"),
                    gettext("Nothing: a choice cannot be changed"),
                    gettext("Choose both"),
                ],
                "correct": 0,
                "explain": gettext(
                    "One picture is chosen at a time, and you can change it until you continue."
                ),
            },
        ],
    }


def draw_person(rng: random.Random, *, classes: Sequence[str]) -> Params:
    return {}


def draw_params(rng: random.Random, asked: Sequence[Asked]) -> list[Params]:
    """For each trial its own order of the grid, and which class is named first, balanced."""
    sides = drawing.drawn(rng, asked, left=drawing.SIDES)
    sizes = [len(one.lambdas_e4) for one in asked]
    return [{**side, "order": rng.sample(range(n), n)} for side, n in zip(sides, sizes, strict=True)]


def shown_order(asked: Asked) -> Sequence[int]:
    """As drawn; of published answers nobody knows it, and a place is then the picture's from the lowest λ upwards."""
    return list(asked.params.get("order", range(len(asked.lambdas_e4))))


def shown_to_person(person: Params, classes: Sequence[str]) -> dict[str, Any]:
    return {}


def shown(asked: Asked) -> dict[str, Any]:
    return {**drawing.named_sides(asked), "n": len(asked.lambdas_e4)}


def clean(payload: Mapping[str, Any], asked: Asked) -> Payload:
    common.refuse_unknown(payload, NAME, COLUMNS)
    last = len(asked.lambdas_e4) - 1

    def choice(place: Any) -> None:
        common.whole("A place in selection_history", place, 0, last)

    selected = common.whole("selected", payload.get("selected"), 0, last)
    n_changes = common.whole("n_changes", payload.get("n_changes"), 0, common.MAX_COUNT)
    history = common.steps(
        "selection_history", payload.get("selection_history"), width=2, most=common.MAX_HISTORY, check=choice
    )
    places = [place for _time, place in history]
    changes = sum(before != after for before, after in pairwise(places))
    is_whole = n_changes < common.MAX_HISTORY  # a longer one says only how many changes there were at least
    if is_whole and places[-1:] != [selected]:
        raise Invalid("The last step of selection_history is the picture selected.")
    if n_changes != changes if is_whole else n_changes < changes:
        raise Invalid("n_changes is not what selection_history says.")
    answer = {"selected": selected, "selection_history": history, "n_changes": n_changes}
    return answer | common.clean_common(payload)


def judgement(payload: Payload, asked: Asked) -> Judgement:
    return PerceivedMidpoint(asked.lambdas_e4[shown_order(asked)[payload["selected"]]] / 10_000)


def payload_for(judgement: Judgement, asked: Asked, rng: np.random.Generator) -> Payload:
    assert isinstance(judgement, PerceivedMidpoint)
    order = shown_order(asked)
    nearest = min(
        range(len(order)), key=lambda place: abs(asked.lambdas_e4[order[place]] / 10_000 - judgement.value)
    )
    shared = common.simulated_common(rng)
    first_choice = [shared["first_interaction_ms"], nearest]
    return {"selected": nearest, "selection_history": [first_choice], "n_changes": 0, **shared}
