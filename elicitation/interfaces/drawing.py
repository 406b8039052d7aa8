"""What interfaces draw and declare alike: balanced factors over trials, sides, the order of classes, options."""

from __future__ import annotations

import itertools
import random
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from elicitation.interfaces.base import Asked, Params
from hilmix.errors import Invalid

SIDES = ("first", "second")  # which class of the pair is named on the left
STARTS = ("low", "high")  # near which end of a row a trial starts, the left or the right one
BALANCED = "balanced"  # the option of a drawn value that leaves it to chance, as often one as the other
DRAWN: Mapping[str, tuple[str, str]] = {
    "left": SIDES,
    "start": STARTS,
}  # what an option of the same name may fix
MOST_CLASSES = 1000


def balanced(rng: random.Random, n: int, **factors: tuple[str, str]) -> list[Params]:
    """`n` draws of one or more two-valued factors, in random order.

    Each value of each factor occurs equally often, give or take one, and so does each combination.
    """
    cells: list[Params] = []
    # A cell and its opposite stand side by side, so that any even number of cells from the start is level in all.
    for values in rng.sample(signs := list(itertools.product((0, 1), repeat=len(factors) - 1)), len(signs)):
        pair = [
            dict(zip(factors, side, strict=True)) for side in ((0, *values), (1, *(1 - v for v in values)))
        ]
        cells += rng.sample(pair, 2)
    drawn = [cells[i % len(cells)] for i in range(n)]
    rng.shuffle(drawn)
    return [{name: factors[name][place] for name, place in cell.items()} for cell in drawn]


def drawn(rng: random.Random, asked: Sequence[Asked], **factors: tuple[str, str]) -> list[Params]:
    """As `balanced`, one draw a trial; a factor that the option of its name fixes has that value in all of them."""
    options = asked[0].options if asked else {}
    fixed = {name: options[name] for name in factors if options.get(name, BALANCED) != BALANCED}
    free = {name: values for name, values in factors.items() if name not in fixed}
    draws = balanced(rng, len(asked), **free) if free else [{} for _ in asked]
    return [{**draw, **fixed} for draw in draws]


def named_sides(asked: Asked) -> dict[str, str]:
    """The names of the two classes by the side on which the trial shows them."""
    names = asked.classes[asked.first_class], asked.classes[asked.second_class]
    left, right = names if asked.params["left"] == "first" else names[::-1]
    return {"left_class": left, "right_class": right}


def draw_class_order(rng: random.Random, classes: Sequence[str]) -> Params:
    """All classes, by index, in the order in which one person sees them."""
    return {"class_order": rng.sample(range(len(classes)), len(classes))}


def classes_in_order(person: Params, classes: Sequence[str]) -> dict[str, Any]:
    """The classes as the browser is told them: index and name, in the person's order."""
    return {"classes": [{"id": index, "name": classes[index]} for index in person["class_order"]]}


def nothing_drawn(rng: random.Random, asked: Sequence[Asked]) -> list[Params]:
    """For an interface whose trials differ in nothing but their image."""
    return [{} for _ in asked]


def nothing_shown(asked: Asked) -> dict[str, Any]:
    """For an interface that tells the browser nothing of a trial but its image."""
    return {}


def one_image(asked: Asked) -> Sequence[int]:
    """For an interface that asks about a mixed image."""
    return (0,)


def filled_options(interface: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with `defaults` for what it does not say.

    Raises:
        Invalid: there is no such option.
    """
    if unknown := sorted(set(given) - set(defaults)):
        there_is = f"there is {', '.join(defaults)}" if defaults else "it has none"
        problem = f"The interface {interface} has no option {', '.join(unknown)}; {there_is}."
        raise Invalid(problem, fields={"options": [problem]})
    return {**defaults, **given}


def check_drawn(options: Mapping[str, Any]) -> None:
    """Raise Invalid unless what `options` say of drawn values is one of these, or that they are balanced."""
    for name, values in DRAWN.items():
        if name in options and options[name] not in (choices := (BALANCED, *values)):
            problem = f"{name} is one of {', '.join(choices)}, not {reprlib.repr(options[name])}."
            raise Invalid(problem, fields={"options": [problem]})


def need_classes(n_classes: int) -> None:
    """Raise Invalid unless an image set has 2 to 1,000 classes."""
    if not 2 <= n_classes <= MOST_CLASSES:
        problem = f"Needs an image set of 2 to {MOST_CLASSES:,} classes; this one has {n_classes}."
        raise Invalid(problem, fields={"image_set": [problem]})


def need_lambdas(n_lambdas: int) -> None:
    """Raise Invalid unless there are at least three λ to choose from: two leave nothing between the ends."""
    if n_lambdas < 3:
        problem = f"Needs at least three λ to choose from; there is {n_lambdas}."
        raise Invalid(problem, fields={"lambdas": [problem]})
