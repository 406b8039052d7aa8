"""What single people said of images, and how labels that are the mean of it would differ with other people.

A label that is a mean of answers can be made again from other people's: participants are drawn with replacement, all
answers of one together, and each label is the mean over answers of as often as their person was drawn. Nothing here
knows a release or a policy; an answer comes as the label that it makes by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from training.evaluation.components import Components, Terms
from training.evaluation.inference import with_people
from training.evaluation.metrics import Floats

Ints = NDArray[np.int64]

DRAWS = 200  # of participants
FEWEST_PEOPLE = 5  # below which drawing them again says nothing
# Images that two people answered, and their share of those that anybody did: fewer stand badly for the others.
FEWEST_SHARED = 30
LEAST_SHARED = 0.2


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers to `n` images: `labels` float64 [A, K], what each makes by itself, of the image `images` int64 [A]
    (0 to n − 1) and the person `people` int64 [A] (0 to P − 1); one answer a person and image."""

    labels: Floats
    images: Ints
    people: Ints
    n: int

    def __post_init__(self) -> None:
        if not len(self.labels) == len(self.images) == len(self.people) > 0:
            raise DataError("Answers need a label, an image and a person for each of them, one at least.")
        if len(np.unique(np.stack([self.images, self.people]), axis=1).T) < len(self.images):
            raise DataError("A person has more than one answer to an image: keep the first.")

    @property
    def n_people(self) -> int:
        return int(self.people.max()) + 1

    @cached_property
    def sizes(self) -> Ints:
        """How many answered each image, int64 [n]."""
        return np.bincount(self.images, minlength=self.n)

    @cached_property
    def means(self) -> Floats:
        """The label of each image, float64 [n, K]: the mean of its answers, NaN where nobody answered."""
        return self.weighted(np.ones(len(self.labels)))

    def drawn(self, draws: int = DRAWS, seed: int = 0) -> Iterator[Floats]:
        """The labels [n, K] of each draw of as many participants, with replacement; a person drawn twice counts twice.
        An image that nobody drawn has answered keeps its label."""
        rng = np.random.default_rng(seed)
        for _ in range(draws):
            weights = rng.multinomial(self.n_people, np.full(self.n_people, 1 / self.n_people))
            again = self.weighted(weights[self.people].astype(np.float64))
            yield np.where(np.isnan(again), self.means, again)

    def weighted(self, weights: Floats) -> Floats:
        """The label of each image, float64 [n, K], with weights [A] of the answers; NaN where they come to 0."""
        totals = np.bincount(self.images, weights, self.n)
        sums = np.stack(
            [np.bincount(self.images, weights * column, self.n) for column in self.labels.T], axis=1
        )
        known = totals > 0
        return np.where(known[:, None], sums / np.where(known, totals, 1.0)[:, None], np.nan)

    def only(self, rows: NDArray[np.bool_]) -> Answers:
        """The answers to some of the images, bool [n], which are then counted from 0."""
        kept, places = rows[self.images], np.cumsum(rows) - 1
        return Answers(self.labels[kept], places[self.images[kept]], self.people[kept], int(rows.sum()))

    @cached_property
    def makes_up(self) -> Floats:
        """By how much the change of each image's term under `drawn` falls short of what other people would change,
        float64 [n]: a factor that makes up for it, 0 where one person answered and nothing changes.

        Answers are drawn around the mean of the same n answers, which takes (n − 1)/n of what a person would move it.
        Images with a single answer are represented by the others.
        """
        n = self.sizes.astype(np.float64)
        several = n > 1
        made_up = np.where(several, n / np.maximum(n - 1, 1), 0.0)
        return made_up * ((n > 0).sum() / max(several.sum(), 1))

    @property
    def why_not_drawn(self) -> str | None:
        """Why drawing participants again would say nothing; None where it says something."""
        people = len(np.unique(self.people))
        if people < FEWEST_PEOPLE:
            return f"{people} people answered, and {FEWEST_PEOPLE} are needed to draw them again"
        shared, answered = int((self.sizes > 1).sum()), int((self.sizes > 0).sum())
        needed = max(FEWEST_SHARED, math.ceil(LEAST_SHARED * answered))
        if shared < needed:
            return (
                f"{shared} of {answered} answered images have answers of two people, and {needed} are needed to tell "
                "what other people would say"
            )
        return None


def with_participants(components: Components, terms: Floats, again: Floats, makes_up: Floats) -> Components:
    """Add what drawing other participants changes to a mean over images and seeds.

    `terms` float64 [N], what each image adds, mean over seeds; `again` float64 [B, N], the same by the labels of each
    draw; `makes_up` float64 [N] of `Answers`. What is each image's own is in the variance between images already and is
    taken off (`inference.with_people`).
    """
    shape = components.n_seeds, components.n_images
    return with_people(
        components, (Terms(np.broadcast_to(terms + makes_up * (one - terms), shape)) for one in again)
    )
