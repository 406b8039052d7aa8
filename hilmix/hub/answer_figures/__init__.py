"""The sections of an analysis of a study's answers, as figures and tables (hilmix.figures); no page, no database.

`SECTIONS` is what an analysis holds, in the order in which it is read. Each section is of the answers that labels would
count, and says why where these do not allow one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from hilmix.figures import Figure
from hilmix.hub.answer_figures import classes, model, people, shares
from hilmix.hub.answer_figures.look import Look

SECTIONS: tuple[tuple[str, Callable[[Look], Figure | list[Figure] | str]], ...] = (
    ("Perceived against shown λ", shares.perceived),
    ("Perceived against shown λ by class pair", shares.by_class_pair),
    ("Confidence against λ", shares.confidence),
    ("Confidence against deviation", shares.confidence_by_deviation),
    ("Answers of one half, and reversed answers", shares.halves),
    ("Perceived midpoint by start side", shares.midpoints),
    ("Entropy of people's labels", classes.entropy),
    ("Mass outside the two classes", classes.outside_the_pair),
    ("Mixed model of perceived λ", partial(model.model_of, kind="share")),
    ("Mixed model of midpoints", partial(model.model_of, kind="midpoint")),
    ("First answer and repeat", people.retest),
    ("Agreement between people", people.agreement),
    ("Time per trial", people.times),
    ("Coverage", people.coverage),
)


def sections_of(look: Look) -> Iterator[tuple[str, list[Figure] | str]]:
    """Each section's title with its figures, or with why there are none."""
    for title, make in SECTIONS:
        made = make(look)
        yield title, [made] if isinstance(made, Figure) else made
