"""Share out 100: a whole soft label, with one bar a class, linked so that they always come to 100 together.

The person is not told which two classes were mixed. Where there are many classes they open bars for those they think
of; "anything else" holds what is left and is read as spread evenly over the classes without a bar. This interface is
hilmix's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from django.utils.translation import gettext, gettext_noop

from elicitation.interfaces import common, drawing
from elicitation.interfaces.base import Asked, Column, Payload
from hilmix.core.judgements import Distribution, Judgement
from hilmix.errors import Invalid

NAME = "distribution"
VERSION = 1
TITLE = gettext_noop("A percent for every class, together 100")
UNIT: Literal["mixed_image", "pair"] = "mixed_image"
PLUGIN = "distribution-bars"
JUDGEMENT: type[Judgement] = Distribution
CHECKS = True
COLUMNS: tuple[Column, ...] = (
    Column("percents", "class index → percent, of every class that has a bar"),
    Column("rest_percent", "percent of anything else: of all classes without a bar together"),
    Column("touched", "the bars were set; they are refused untouched"),
    Column("n_changes", "how often a bar was set"),
    Column("history", "[milliseconds, class index or 'rest', percent] of the first 200 settings", steps=True),
    *common.COLUMNS,
)
OPTIONS: Mapping[str, Any] = {}
REST = "rest"
ALL_BARS = 12  # up to so many classes, each has a bar from the start; the plugin does the same


def check_options(options: Mapping[str, Any], *, n_classes: int, n_lambdas: int) -> dict[str, Any]:
    drawing.need_classes(n_classes)
    return drawing.filled_options(NAME, options, OPTIONS)


def texts() -> dict[str, Any]:
    return {
        "wording": {
            "question": gettext("What could this be? Share out 100 by how probable each is."),
        },
        "instructions": [
            gettext(
                "### Sharing out 100\n\nEach picture you will see can look like one thing or like several. There is a"
                " bar for each thing that it could be. The longer a bar, the **more probable** you say that"
                " is.\n\nAll bars together are always 100: if you make one longer, others become shorter."
            ),
            gettext(
                "### Setting bars\n\nSet a bar with the mouse, a finger or the arrow keys, or type its number. Where"
                " there are many things to choose from, search for a name to get a bar for it; the bar *Anything"
                " else* stands for all the rest."
            ),
        ],
        "short_instructions": gettext(
            "Make each bar as long as that thing is probable. All bars together are always 100."
        ),
        "comprehension": [
            {
                "prompt": gettext("You make one bar longer. What happens to the others?"),
                "options": [
                    gettext("Nothing"),
                    gettext("They become longer, too"),
                    gettext("They become shorter, so that all are 100 together"),
                ],
                "correct": 2,
                "explain": gettext("All bars together are always 100."),
            },
            {
                "prompt": gettext("It cannot be a certain thing, in your view. How long is its bar?"),
                "options": [gettext("0"), gettext("50"), gettext("100")],
                "correct": 0,
                "explain": gettext(
                    "A bar of 0 says that it is not that; a bar of 100, that it is certainly that."
                ),
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
    n_classes = len(asked.classes)
    percents = _percents(payload.get("percents"), n_classes)
    rest = payload.get("rest_percent")
    rest = 0 if rest is None else common.whole("rest_percent", rest, 0, 100)
    if payload.get("touched") is not True:
        raise Invalid("The bars must be set before the answer counts.")
    if rest and len(percents) == n_classes:
        raise Invalid("Every class has a bar, so nothing is left for anything else.")
    if (total := sum(percents.values()) + rest) != 100:
        raise Invalid(f"The percents come to {total}, not to 100.")
    answer: Payload = {"percents": percents, "rest_percent": rest, "touched": True}
    if (n_changes := payload.get("n_changes")) is not None:
        answer["n_changes"] = common.whole("n_changes", n_changes, 0, common.MAX_COUNT)

    def setting(bar: Any, percent: Any) -> None:
        if bar != REST:
            common.whole("A class in history", bar, 0, n_classes - 1)
        common.whole("A percent in history", percent, 0, 100)

    if (history := payload.get("history")) is not None:
        answer["history"] = common.steps("history", history, width=3, most=common.MAX_HISTORY, check=setting)
    return answer | common.clean_common(payload)


def judgement(payload: Payload, asked: Asked) -> Judgement:
    """The percents as a probability vector; anything else is spread evenly over the classes without a bar."""
    n_classes, percents = len(asked.classes), payload["percents"]
    without_bar = n_classes - len(percents)
    rest = payload["rest_percent"] / 100 / without_bar if without_bar else 0.0
    return Distribution(
        tuple(percents[str(i)] / 100 if str(i) in percents else rest for i in range(n_classes))
    )


def payload_for(judgement: Judgement, asked: Asked, rng: np.random.Generator) -> Payload:
    assert isinstance(judgement, Distribution)
    n_classes = len(asked.classes)
    most_probable = max(range(n_classes), key=lambda i: judgement.p[i])
    bars = [i for i, p in enumerate(judgement.p) if n_classes <= ALL_BARS or p >= 0.01 or i == most_probable]
    shares = [judgement.p[i] for i in bars]
    if n_classes > ALL_BARS:
        shares.append(1 - sum(shares))
    percents = _rounded(shares)
    rest = percents.pop() if n_classes > ALL_BARS else 0
    return {
        "percents": {str(i): percent for i, percent in zip(bars, percents, strict=True)},
        "rest_percent": rest,
        "touched": True,
        "n_changes": len(bars),
        **common.simulated_common(rng),
    }


def _percents(value: Any, n_classes: int) -> dict[str, int]:
    if not isinstance(value, dict) or not value or len(value) > n_classes:
        raise Invalid("percents holds a percent for every class that has a bar, and there is at least one.")
    names = {str(index) for index in range(n_classes)}
    if unknown := set(value) - names:
        raise Invalid(f"There is no class {min(unknown)[:20]!r}; classes are 0 to {n_classes - 1}.")
    return {index: common.whole(f"The percent of class {index}", value[index], 0, 100) for index in value}


def _rounded(shares: Sequence[float]) -> list[int]:
    """Whole percents that sum to exactly 100, by largest remainder."""
    exact = [100 * max(share, 0.0) for share in shares]
    percents = [int(value) for value in exact]
    largest_first = sorted(range(len(exact)), key=lambda i: percents[i] - exact[i])
    for i in largest_first[: 100 - sum(percents)]:
        percents[i] += 1
    return percents
