"""The images behind a figure of a run: which they are, what they are, and what model and people said of each.

Slices of what the description of the run stored; nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from hilmix.errors import NotFound
from training.reports.run.services import BINS, CELLS, FACTS, MODEL, ORDERS, PEOPLE
from training.runs import keeping
from training.runs.models import Run

A_PAGE = 48
MOST = 3  # classes that model and people each name
N_BINS = 15
PLACES = {"cell": 0, "bin": 1, "mistakes": 2, "uncertain": 3, "people": 4}


@dataclass(frozen=True)
class Choice:
    """What was asked for: the words of it, the query that asks for it, and the rows in their order."""

    of: str
    title: str
    query: str
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Shown:
    """One image: its place in the image set, its class and the predicted one, and of each class that somebody gave
    much to the model's and people's share (None where people are not known)."""

    place: int
    label: str
    predicted: str
    shares: tuple[tuple[str, float, float | None], ...]

    @property
    def is_right(self) -> bool:
        return self.label == self.predicted


def choose(run: Run, content: Mapping[str, Any], asked: Mapping[str, str]) -> Choice:
    """The images that a query asks for. Raises `NotFound` for what there is not."""
    of = asked.get("of", "mistakes")
    orders = keeping.map_array(run, ORDERS)
    if of not in PLACES or orders is None or (of == "people" and not content["has_people"]):
        raise NotFound("There are no such images of this run.")
    order, classes = orders[PLACES[of]], content["classes"]
    if of == "cell":
        actual, predicted = (_number(asked.get(key), len(classes)) for key in ("actual", "predicted"))
        rows = _slice(run, CELLS, order, actual * len(classes) + predicted)
        title = taken(classes[actual], classes[predicted])
        return Choice(of, title, f"of=cell&actual={actual}&predicted={predicted}", rows)
    if of == "bin":
        number = _number(asked.get("bin"), N_BINS)
        title = _("Confidence %(ends)s") % {"ends": ends_of(number)}
        return Choice(of, title, f"of=bin&bin={number}", _slice(run, BINS, order, number))
    n = content["n_mistakes"] if of == "mistakes" else content["n"]
    return Choice(of, titles()[of], f"of={of}", order[:n])


def taken(actual: str, predicted: str) -> str:
    """What an image of one class was taken for, in words."""
    said = (
        _("%(actual)s, and taken for it") if actual == predicted else _("%(actual)s taken for %(predicted)s")
    )
    return said % {"actual": actual, "predicted": predicted}


def ends_of(number: int) -> str:
    """Where a bin of confidence begins and ends."""
    return f"{number / N_BINS:.2f}–{(number + 1) / N_BINS:.2f}"


def titles() -> dict[str, str]:
    """The lists that are there of every run."""
    return {
        "mistakes": _("Mistakes, the most confident first"),
        "uncertain": _("All images, the most uncertain first"),
        "people": _("All images, the largest disagreement with people first"),
    }


def shown(run: Run, classes: Sequence[str], rows: Sequence[int]) -> list[Shown]:
    """What is to be said of the images in these rows."""
    facts, model, people = (keeping.map_array(run, name) for name in (FACTS, MODEL, PEOPLE))
    if facts is None or model is None:
        raise NotFound("What is shown of this run is not on the disk any more; have its pages made anew.")
    return [
        _shown(
            classes, facts[row], np.asarray(model[row]), None if people is None else np.asarray(people[row])
        )
        for row in rows
    ]


def _shown(
    classes: Sequence[str], facts: NDArray[np.int64], model: NDArray[Any], people: NDArray[Any] | None
) -> Shown:
    place, label, predicted = (int(one) for one in facts)
    named = [int(k) for k in np.argsort(-model, kind="stable")[:MOST] if model[k] >= 0.005]
    if people is not None:
        named += [int(k) for k in np.argsort(-people, kind="stable")[:MOST] if people[k] >= 0.005]
    each = dict.fromkeys([predicted, *named, label])
    return Shown(
        place,
        classes[label],
        classes[predicted],
        tuple((classes[k], float(model[k]), None if people is None else float(people[k])) for k in each),
    )


def _slice(run: Run, starts: str, order: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    begins = keeping.map_array(run, starts)
    if begins is None:
        raise NotFound("What is shown of this run is not on the disk any more; have its pages made anew.")
    return order[int(begins[number]) : int(begins[number + 1])]


def _number(text: str | None, below: int) -> int:
    """A whole number from 0, as a query has it."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) < below):
        raise NotFound("There are no such images of this run.")
    return int(text)
