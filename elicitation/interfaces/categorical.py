"""Say what it is: the most probable class, a second one if there is any, and the classes it is definitely not.

The person is not told which two classes were mixed, and sees all classes in an order of their own. Follows the H-Mix
interface "soft label" (Collins et al., UAI 2023); what contradicts itself there (sums over 100, a class both chosen
and excluded) is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Literal

import numpy as np
from django.utils.translation import gettext, gettext_noop

from elicitation.interfaces import common, drawing
from elicitation.interfaces.base import Asked, Column, Payload
from hilmix.core.judgements import ClassMass, Judgement
from hilmix.errors import Invalid

NAME = "categorical"
VERSION = 1
TITLE = gettext_noop("The most probable class and a second one, with percents, and classes ruled out")
UNIT: Literal["mixed_image", "pair"] = "mixed_image"
PLUGIN = "soft-label-form"
JUDGEMENT: type[Judgement] = ClassMass
CHECKS = True
COLUMNS: tuple[Column, ...] = (
    Column("most_probable", "index of the class chosen as most probable"),
    Column("percent", "how probable it is, 0 to 100"),
    Column("second", "index of the class chosen as second; empty for no alternative"),
    Column("second_percent", "how probable the second is, 0 to 100; empty without a second"),
    Column("excluded", "indices of the classes it is definitely not"),
    Column("edits", "how many changes were made to the form"),
    Column("warnings_shown", "how often the form said that something did not fit together"),
    *common.COLUMNS,
)
OPTIONS: Mapping[str, Any] = {}


def check_options(options: Mapping[str, Any], *, n_classes: int, n_lambdas: int) -> dict[str, Any]:
    drawing.need_classes(n_classes)
    return drawing.filled_options(NAME, options, OPTIONS)


def texts() -> dict[str, Any]:
    return {
        "wording": {
            "question": gettext("What is this most probably?"),
            "percent_question": gettext("How probable is that, from 0 to 100?"),
            "second_question": gettext("What else could it be?"),
            "second_percent_question": gettext("How probable is that, from 0 to 100?"),
            "excluded_question": gettext("What is it definitely not?"),
        },
        "instructions": [
            gettext(
                "### What is it?\n\nEach picture you will see can look like one thing or like several. Choose from"
                " a list what it is **most probably**, and say how probable that is: 0 is impossible, 100 is certain."
            ),
            gettext(
                "### What else, and what not?\n\nIf it could be something else, choose that as well and say how"
                " probable it is; or choose *No alternative*. Together the two can be 100 at most.\n\nThen mark"
                " whatever it is **definitely not**. You need not mark any."
            ),
        ],
        "short_instructions": gettext(
            "Choose what the picture is most probably and what else it could be, say how probable each is, and mark"
            " what it is definitely not."
        ),
        "comprehension": [
            {
                "prompt": gettext("What does 100 mean?"),
                "options": [gettext("Impossible"), gettext("As probable as not"), gettext("Certain")],
                "correct": 2,
                "explain": gettext("0 is impossible, 100 is certain."),
            },
            {
                "prompt": gettext("It can only be one thing, in your view. What do you do about the second?"),
                "options": [
                    gettext("Choose “No alternative”"),
                    gettext("Choose the same again"),
                    gettext("Choose anything"),
                ],
                "correct": 0,
                "explain": gettext("Choose “No alternative” where there is no second."),
            },
        ],
    }


draw_person = drawing.draw_class_order
draw_params = drawing.nothing_drawn
shown_order = drawing.one_image
shown_to_person = drawing.classes_in_order
shown = drawing.nothing_shown


def clean(payload: Mapping[str, Any], asked: Asked) -> Payload:
    common.refuse_unknown(payload, NAME, COLUMNS)
    last = len(asked.classes) - 1
    first = common.whole("most_probable", payload.get("most_probable"), 0, last)
    percent = common.whole("percent", payload.get("percent"), 0, 100)
    if "second" not in payload:
        raise Invalid("second is a class, or null for no alternative.")
    second, second_percent = payload["second"], payload.get("second_percent")
    if second is None:
        if second_percent is not None:
            raise Invalid("There is a second percent, but no second class.")
    else:
        second = common.whole("second", second, 0, last)
        second_percent = common.whole("second_percent", second_percent, 0, 100)
        if second == first:
            raise Invalid("The same class is chosen twice.")
        if percent + second_percent > 100:
            raise Invalid("The two percents come to more than 100.")
        if second_percent > percent:
            raise Invalid("The second class has more than the most probable one.")
    answer: Payload = {
        "most_probable": first,
        "percent": percent,
        "second": second,
        "second_percent": second_percent,
        "excluded": _excluded(payload.get("excluded"), {first, second}, last),
    }
    for name in ("edits", "warnings_shown"):
        if (value := payload.get(name)) is not None:
            answer[name] = common.whole(name, value, 0, common.MAX_COUNT)
    return answer | common.clean_common(payload)


def judgement(payload: Payload, asked: Asked) -> Judgement:
    mass = [(payload["most_probable"], payload["percent"] / 100)]
    if payload["second"] is not None:
        mass.append((payload["second"], payload["second_percent"] / 100))
    return ClassMass(tuple(mass), frozenset(payload["excluded"]))


def payload_for(judgement: Judgement, asked: Asked, rng: np.random.Generator) -> Payload:
    assert isinstance(judgement, ClassMass)
    (first, share), *others = sorted(judgement.mass, key=itemgetter(1), reverse=True)
    percent = round(100 * share)
    second, second_percent = None, None
    if others:
        second, second_share = others[0]
        second_percent = min(round(100 * second_share), 100 - percent)
    return {
        "most_probable": first,
        "percent": percent,
        "second": second,
        "second_percent": second_percent,
        "excluded": sorted(judgement.excluded),
        "edits": 2 + 2 * len(others) + len(judgement.excluded),
        "warnings_shown": 0,
        **common.simulated_common(rng),
    }


def _excluded(value: Any, chosen: set[int | None], last: int) -> list[int]:
    if not isinstance(value, list) or len(value) > last + 1:
        raise Invalid("excluded is a list of classes.")
    excluded = sorted(common.whole("A class in excluded", index, 0, last) for index in value)
    if len(set(excluded)) < len(excluded):
        raise Invalid("A class is excluded twice.")
    if chosen & set(excluded):
        raise Invalid("A class is both chosen and excluded.")
    return excluded
