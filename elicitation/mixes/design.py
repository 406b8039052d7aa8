"""Which parents are mixed with which λ: a seeded design, balanced over class pairs, λ and which class is first.

A design comes in batches, each answered by one person, so that nobody sees one parent in two mixed images.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilmix.errors import Invalid

ClassPair = tuple[int, int]


@dataclass(frozen=True)
class Recipe:
    """Two positions in an image set and the share of the first, in ten-thousandths."""

    first_index: int
    second_index: int
    lambda_e4: int

    @property
    def parents(self) -> tuple[int, int]:
        return self.first_index, self.second_index


def draw_design(
    *,
    labels: np.ndarray,
    indices: Iterable[int],
    lambdas_e4: Sequence[int],
    n: int,
    batch_size: int,
    seed: int,
    same_class: bool = False,
    class_pairs: Sequence[ClassPair] = (),
) -> list[list[Recipe]]:
    """Draw `n` recipes from the images at `indices` (one split) and deal them into batches of `batch_size`.

    Each class pair, each λ, and each order of the two classes occurs equally often, give or take one, and every batch
    holds as many class pairs as it can. Within a batch no parent occurs twice; over all, a parent is used again only
    when its class has no unused image left, and no pair of parents twice. A last batch that would not be full is
    filled with recipes of the first.

    Args:
        labels: int[N], the class of every image of the set.
        indices: positions of the parent images that may be used.
        lambdas_e4: the study's λ in ten-thousandths, 0 to 10,000.
        batch_size: how many recipes one person answers; at most `n`.
        same_class: also mix images of one class; otherwise never.
        class_pairs: mix these pairs of classes only; empty for all (and then `same_class` says which).

    Raises:
        Invalid: too few classes or images, a chosen pair without images, or λ out of range.
    """
    if not lambdas_e4 or any(not 0 <= value <= 10_000 for value in lambdas_e4):
        raise Invalid("The list of λ needs at least one value, each from 0 to 1.")
    rng = random.Random(seed)  # noqa: S311  (a design, not a secret)
    decks = _decks(labels, indices, rng)
    pairs = _class_pairs(decks, same_class, class_pairs, rng)
    used: set[frozenset[int]] = set()
    orders = _Orders()
    batches: list[list[Recipe]] = []
    for start in range(0, n, batch_size):
        own = range(start, min(start + batch_size, n))
        lacking = [pairs[i % len(pairs)] for i in range(own.stop, start + batch_size)]
        batch = _from_first(batches[0], lacking, labels) if lacking else []
        seen = {index for recipe in batch for index in recipe.parents}
        for i in own:
            place, share = i % len(pairs), _share_of_turn(i, len(pairs), len(lambdas_e4))
            first_class, second_class = pairs[place][:: -1 if orders.swapped(place, share) else 1]
            first, second = _unused_parents(decks[first_class], decks[second_class], seen, used)
            batch.append(Recipe(first, second, lambdas_e4[share]))
        rng.shuffle(batch)
        batches.append(batch)
    return batches


def deal_design(*, recipes: Sequence[Recipe], batch_size: int, seed: int) -> list[list[Recipe]]:
    """Deal recipes that were chosen into batches of `batch_size`, in which no parent occurs twice.

    Each is in one batch. Those that would not be full, the last and any that common parents leave open, are filled with
    recipes of other batches.

    Raises:
        Invalid: too few of them have parents of their own to fill a batch.
    """
    rng = random.Random(seed)  # noqa: S311  (a design, not a secret)
    batches: list[list[Recipe]] = [[] for _ in range(math.ceil(len(recipes) / batch_size))]
    shared = Counter(index for recipe in recipes for index in recipe.parents)
    order = rng.sample(recipes, len(recipes))
    for recipe in sorted(order, key=lambda one: -max(shared[index] for index in one.parents)):
        batch = next((one for one in batches if len(one) < batch_size and _has_room(one, recipe)), None)
        if batch is None:
            batches.append(batch := [])
        batch.append(recipe)
    for batch in batches:
        for recipe in rng.sample(recipes, len(recipes)) if len(batch) < batch_size else ():
            if len(batch) < batch_size and _has_room(batch, recipe):
                batch.append(recipe)
        if len(batch) < batch_size:
            raise Invalid(
                "Too many of these mixed images share a parent image, which nobody sees twice: choose fewer trials a "
                f"person; {len(batch)} would do."
            )
        rng.shuffle(batch)
    return batches


def _has_room(batch: Sequence[Recipe], recipe: Recipe) -> bool:
    """Whether none of the batch has a parent of the recipe."""
    return not any(set(one.parents) & set(recipe.parents) for one in batch)


def _share_of_turn(turn: int, n_pairs: int, n_lambdas: int) -> int:
    """The position of the λ of the recipe that is drawn as the `turn`-th: each pair meets all of them in turn."""
    round_of_all = (
        n_pairs * n_lambdas // math.gcd(n_pairs, n_lambdas)
    )  # after it, pairs would meet the same λ again
    return (turn + turn // round_of_all) % n_lambdas


class _Orders:
    """Which of two classes is first: what was less often so for this pair and λ, then over all, this pair, this λ."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[Any, ...]] = Counter()

    def swapped(self, place: int, share: int) -> bool:
        def kinds(swap: bool) -> list[tuple[Any, ...]]:
            return [("both", place, share, swap), (swap,), ("pair", place, swap), ("share", share, swap)]

        swap = min((True, False), key=lambda swap: [self.counts[kind] for kind in kinds(swap)])
        self.counts.update(kinds(swap))
        return swap


def draw_checks(
    *, labels: np.ndarray, recognised: Sequence[int], indices: Iterable[int], seed: int
) -> list[Recipe]:
    """For each position in `recognised`, a recipe that shows nothing but that image.

    λ is 1 where it is the first of the two and 0 where it is the second, in turn. The other image is of another class
    and of `indices`; none is used twice.

    Raises:
        Invalid: there are too few other images.
    """
    rng = random.Random(seed)  # noqa: S311  (a design, not a secret)
    free = [index for index in indices if index not in set(recognised)]
    rng.shuffle(free)
    recipes = []
    for number, image in enumerate(recognised):
        other = next((index for index in free if labels[index] != labels[image]), None)
        if other is None:
            raise Invalid("There are too few images of other classes beside those of the attention checks.")
        free.remove(other)
        recipes.append(Recipe(image, other, 10_000) if number % 2 == 0 else Recipe(other, image, 0))
    return recipes


class _Deck:
    """Images of one class in random order, reshuffled when all were dealt."""

    def __init__(self, images: list[int], rng: random.Random) -> None:
        self.images, self.rng = images, rng
        self.left: list[int] = rng.sample(images, len(images))
        self.dealt: list[int] = []

    def candidates(self, seen: Collection[int]) -> Iterator[int]:
        """Images that are not in `seen`, those first that were dealt least often."""
        for image in itertools.chain(reversed(self.left), self.dealt):
            if image not in seen:
                yield image

    def deal(self, image: int) -> None:
        if self.left[-1] == image:
            self.left.pop()
        else:
            if image not in self.left:  # what is left is in the batch already, so a new round begins early
                self.left = self.rng.sample(self.dealt, len(self.dealt)) + self.left
                self.dealt = []
            self.left.remove(image)
        self.dealt.append(image)
        if not self.left:
            self.left, self.dealt = self.rng.sample(self.images, len(self.images)), []


def _decks(labels: np.ndarray, indices: Iterable[int], rng: random.Random) -> dict[int, _Deck]:
    by_class: dict[int, list[int]] = {}
    for index in indices:
        by_class.setdefault(int(labels[index]), []).append(int(index))
    return {name: _Deck(by_class[name], rng) for name in sorted(by_class)}


def _class_pairs(
    decks: dict[int, _Deck], same_class: bool, chosen: Sequence[ClassPair], rng: random.Random
) -> list[ClassPair]:
    """The pairs of classes that are mixed, those chosen or all that can be, in random order."""
    if missing := sorted({index for pair in chosen for index in pair} - set(decks)):
        raise Invalid(
            "The split has no images of these classes of the chosen pairs (counted from 0): "
            + ", ".join(map(str, missing))
            + ".",
            fields={"class_pairs": ["There are no images to mix of one of these classes."]},
        )
    combine = itertools.combinations_with_replacement if same_class else itertools.combinations
    possible = [tuple(sorted(pair)) for pair in chosen] or combine(decks, 2)
    pairs = [(first, second) for first, second in possible if first != second or len(decks[first].images) > 1]
    if not pairs:
        raise Invalid("Mixing needs images of at least two classes in the split; this one has fewer.")
    rng.shuffle(pairs)
    return pairs


def _unused_parents(
    first: _Deck, second: _Deck, seen: set[int], used: set[frozenset[int]]
) -> tuple[int, int]:
    """Deal two parents that are not in the batch yet (`seen`) and were never mixed before (`used`)."""
    for one in first.candidates(seen):
        for other in second.candidates(seen):
            if one != other and frozenset((one, other)) not in used:
                first.deal(one)
                second.deal(other)
                seen.update((one, other))
                used.add(frozenset((one, other)))
                return one, other
    raise Invalid(
        "The image set has too few images for this design: nobody sees a parent image twice, and no two parents are"
        " mixed twice. Choose fewer trials a person, fewer mixed images, or more images."
    )


def _from_first(batch: Sequence[Recipe], lacking: Sequence[ClassPair], labels: np.ndarray) -> list[Recipe]:
    """As many recipes of the first `batch` as are `lacking`, of those class pairs where it has them."""
    left = list(batch)
    taken: Counter[frozenset[int]] = Counter()
    chosen = []
    for pair in lacking:
        recipe = min(
            left, key=lambda r: (class_pair(r, labels) != frozenset(pair), taken[class_pair(r, labels)])
        )
        left.remove(recipe)
        taken[class_pair(recipe, labels)] += 1
        chosen.append(recipe)
    return chosen


def class_pair(recipe: Recipe, labels: np.ndarray) -> frozenset[int]:
    """The classes of a recipe's parents, in no order."""
    return frozenset(int(labels[index]) for index in recipe.parents)
