"""Which parents are mixed with which λ."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicitation.mixes.design import draw_design
from hilmix.errors import Invalid

LABELS = np.arange(400) % 10
LAMBDAS = (1000, 2500, 5000, 7500, 9000)


def counts(recipes, of):
    return Counter(of(recipe) for recipe in recipes).values()


def class_pair(recipe):
    return frozenset((int(LABELS[recipe.first_index]), int(LABELS[recipe.second_index])))


def first_is_lower(recipe):
    return bool(LABELS[recipe.first_index] < LABELS[recipe.second_index])


@pytest.mark.parametrize("n", [45, 60, 90, 137])
def test_class_pairs_lambdas_and_the_first_class_are_balanced(n):
    recipes = draw_design(labels=LABELS, indices=range(400), lambdas_e4=LAMBDAS, n=n, seed=3)
    assert len(recipes) == n
    assert max(counts(recipes, class_pair)) - min(counts(recipes, class_pair)) <= 1
    assert len(counts(recipes, class_pair)) == min(45, n)
    assert max(counts(recipes, lambda r: r.lambda_e4)) - min(counts(recipes, lambda r: r.lambda_e4)) <= 2
    sides = Counter(map(first_is_lower, recipes))
    assert abs(sides[True] - sides[False]) <= n // 4


def test_no_parent_is_used_twice_while_unused_ones_are_left():
    recipes = draw_design(labels=LABELS, indices=range(400), lambdas_e4=LAMBDAS, n=60, seed=3)
    parents = [index for recipe in recipes for index in (recipe.first_index, recipe.second_index)]
    assert len(set(parents)) == 120


@given(n=st.integers(1, 80), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_no_pair_twice_and_never_two_images_of_one_class(n, seed):
    recipes = draw_design(labels=LABELS[:60], indices=range(60), lambdas_e4=LAMBDAS, n=n, seed=seed)
    assert all(LABELS[r.first_index] != LABELS[r.second_index] for r in recipes)
    assert len({frozenset((r.first_index, r.second_index)) for r in recipes}) == n


def test_two_images_of_one_class_are_mixed_when_asked_for():
    recipes = draw_design(
        labels=LABELS, indices=range(400), lambdas_e4=LAMBDAS, n=55, seed=1, same_class=True
    )
    assert sum(LABELS[r.first_index] == LABELS[r.second_index] for r in recipes) == 10


def test_the_same_seed_draws_the_same_design_and_another_seed_another():
    def draw(seed):
        return draw_design(labels=LABELS, indices=range(400), lambdas_e4=LAMBDAS, n=30, seed=seed)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": range(0, 400, 10)}, "at least two classes"),
        ({"lambdas_e4": ()}, "at least one value"),
        ({"lambdas_e4": (10_001,)}, "from 0 to 1"),
        ({"indices": range(4), "n": 7}, "too few images"),
    ],
)
def test_a_design_that_cannot_be_drawn_is_refused(change, message):
    asked = {"labels": LABELS, "indices": range(400), "lambdas_e4": LAMBDAS, "n": 10, "seed": 1, **change}
    with pytest.raises(Invalid, match=message):
        draw_design(**asked)
