"""Which parents are mixed with which λ: a seeded design, balanced over class pairs, λ and which class is first."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hilmix.errors import Invalid


@dataclass(frozen=True)
class Recipe:
    """Two positions in an image set and the share of the first, in ten-thousandths."""

    first_index: int
    second_index: int
    lambda_e4: int


def draw_design(
    *,
    labels: np.ndarray,
    indices: Iterable[int],
    lambdas_e4: Sequence[int],
    n: int,
    seed: int,
    same_class: bool = False,
) -> list[Recipe]:
    """Draw `n` recipes from the images at `indices` (one split).

    Each class pair, each λ, and each order of the two classes occurs equally often, give or take one. A parent is used
    again only when its class has no unused image left, and no pair of parents twice.

    Args:
        labels: int[N], the class of every image of the set.
        indices: positions of the parent images that may be used.
        lambdas_e4: the study's λ in ten-thousandths, 0 to 10,000.
        same_class: also mix images of one class; otherwise never.

    Raises:
        Invalid: too few classes or images, or λ out of range.
    """
    by_class: dict[int, list[int]] = {}
    for index in indices:
        by_class.setdefault(int(labels[index]), []).append(int(index))
    classes = sorted(by_class)
    combine = itertools.combinations_with_replacement if same_class else itertools.combinations
    pairs = [pair for pair in combine(classes, 2) if pair[0] != pair[1] or len(by_class[pair[0]]) > 1]
    if not pairs:
        raise Invalid("Mixing needs images of at least two classes in the split; this one has fewer.")
    if not lambdas_e4 or any(not 0 <= value <= 10_000 for value in lambdas_e4):
        raise Invalid("The list of λ needs at least one value, each from 0 to 1.")
    rng = random.Random(seed)  # noqa: S311  (a design, not a secret)
    rng.shuffle(pairs)
    parents = {name: _Deck(rng, images) for name, images in by_class.items()}
    recipes: list[Recipe] = []
    used: set[frozenset[int]] = set()
    for i in range(n):
        lap, place = divmod(i, len(pairs))
        first_class, second_class = pairs[place] if (i // len(lambdas_e4) + lap) % 2 else pairs[place][::-1]
        first, second = _unused_pair(parents[first_class], parents[second_class], used)
        recipes.append(Recipe(first, second, lambdas_e4[(i + lap) % len(lambdas_e4)]))
    rng.shuffle(recipes)
    return recipes


class _Deck:
    """Images of one class in random order, reshuffled when all were dealt."""

    def __init__(self, rng: random.Random, images: list[int]) -> None:
        self.rng, self.images, self.left = rng, images, list[int]()

    def deal(self) -> int:
        if not self.left:
            self.left = self.rng.sample(self.images, len(self.images))
        return self.left.pop()


def _unused_pair(first: _Deck, second: _Deck, used: set[frozenset[int]]) -> tuple[int, int]:
    for _ in range(len(first.images) * len(second.images) + 1):
        pair = first.deal(), second.deal()
        if pair[0] != pair[1] and frozenset(pair) not in used:
            used.add(frozenset(pair))
            return pair
    raise Invalid("There are too few images for so many mixed images: every pair of parents is used already.")
