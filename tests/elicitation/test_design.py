"""Which parents are mixed with which λ, and who sees which of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicitation.mixes.design import draw_checks, draw_design
from hilmix.errors import Invalid

LABELS = np.arange(400) % 10
LAMBDAS = (1000, 2500, 5000, 7500, 9000)


def draw(n=60, batch_size=30, **changes):
    asked = {"labels": LABELS, "indices": range(400), "lambdas_e4": LAMBDAS, "seed": 3, **changes}
    return draw_design(n=n, batch_size=batch_size, **asked)


def in_one(n, **changes):
    """All recipes, in one batch."""
    (batch,) = draw(n, n, **changes)
    return batch


def parents_of(batch):
    return [index for recipe in batch for index in recipe.parents]


def counts(recipes, of):
    return Counter(of(recipe) for recipe in recipes).values()


def class_pair(recipe):
    return frozenset((int(LABELS[recipe.first_index]), int(LABELS[recipe.second_index])))


def first_is_lower(recipe):
    return bool(LABELS[recipe.first_index] < LABELS[recipe.second_index])


@pytest.mark.parametrize("n", [45, 60, 90, 137])
def test_class_pairs_lambdas_and_the_first_class_are_balanced(n):
    recipes = in_one(n)
    assert len(recipes) == n
    assert max(counts(recipes, class_pair)) - min(counts(recipes, class_pair)) <= 1
    assert len(counts(recipes, class_pair)) == min(45, n)
    assert max(counts(recipes, lambda r: r.lambda_e4)) - min(counts(recipes, lambda r: r.lambda_e4)) <= 1
    sides = Counter(map(first_is_lower, recipes))
    assert abs(sides[True] - sides[False]) <= 2


@pytest.mark.parametrize("lambdas", [1, 2, 3, 4, 5, 6, 7, 11])
def test_every_class_pair_meets_every_lambda_in_both_orders_before_any_comes_again(lambdas):
    # 45 class pairs: with 2, 4 and 11 λ nothing divides anything, with 3, 5 and 9 a pair could meet one λ only.
    n, shown = 45 * lambdas * 2, tuple(range(500, 500 + 100 * lambdas, 100))
    recipes = [recipe for batch in draw(n, 9, lambdas_e4=shown) for recipe in batch]
    assert set(counts(recipes, lambda r: (class_pair(r), r.lambda_e4, first_is_lower(r)))) == {1}
    assert len(recipes) == n
    half = recipes[: n // 2]
    for pair in set(map(class_pair, half)):
        orders = Counter(first_is_lower(recipe) for recipe in half if class_pair(recipe) == pair)
        assert abs(orders[True] - orders[False]) <= 3


def test_no_parent_is_used_twice_while_unused_ones_are_left():
    recipes = [recipe for batch in draw(120, 30) for recipe in batch]
    assert len(set(parents_of(recipes))) == 240


@given(
    n=st.integers(1, 60),
    size=st.integers(1, 20),
    n_classes=st.integers(2, 6),
    seed=st.integers(0, 2**32),
    same_class=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_nobody_sees_a_parent_twice_and_no_pair_is_mixed_twice(n, size, n_classes, seed, same_class):
    size = min(n, size)
    labels = np.arange(40 * n_classes) % n_classes
    batches = draw_design(
        labels=labels, indices=range(len(labels)), lambdas_e4=LAMBDAS, n=n, batch_size=size, seed=seed,
        same_class=same_class,
    )  # fmt: skip
    assert [len(batch) for batch in batches] == [size] * -(-n // size)
    assert all(len(set(parents_of(batch))) == 2 * size for batch in batches)
    distinct = {recipe for batch in batches for recipe in batch}
    assert len(distinct) == len({frozenset(recipe.parents) for recipe in distinct}) == n
    assert same_class or all(labels[r.first_index] != labels[r.second_index] for r in distinct)


@pytest.mark.parametrize(("n", "size"), [(300, 30), (301, 30), (90, 45), (50, 20)])
def test_class_pairs_and_lambdas_are_spread_over_batches(n, size):
    for batch in draw(n, size):
        assert max(counts(batch, class_pair)) <= 2
        assert len(counts(batch, class_pair)) >= size - 5
        assert max(counts(batch, lambda recipe: recipe.lambda_e4)) <= size // len(LAMBDAS) + 3


def test_a_last_batch_is_filled_with_recipes_of_the_first():
    batches = draw(50, 20)
    assert [len(batch) for batch in batches] == [20, 20, 20]
    assert len(set(batches[2]) & set(batches[0])) == 10
    assert not set(batches[2]) & set(batches[1])


def test_parents_are_used_again_where_nobody_sees_them_twice():
    """60 images are 6 a class: too few for 45 mixed images at once, and enough for batches of 15."""
    batches = draw(45, 15, labels=LABELS[:60], indices=range(60))
    assert all(len(set(parents_of(batch))) == 30 for batch in batches)
    assert set(Counter(index for batch in batches for index in parents_of(batch)).values()) <= {1, 2}


def test_two_images_of_one_class_are_mixed_when_asked_for():
    recipes = in_one(55, same_class=True)
    assert sum(LABELS[r.first_index] == LABELS[r.second_index] for r in recipes) == 10


@pytest.mark.parametrize(
    "chosen", [((3, 5),), ((5, 3), (0, 1)), ((0, 1), (2, 3), (4, 5), (6, 7)), ((3, 3), (3, 5))]
)
def test_chosen_class_pairs_are_mixed_alone_and_each_with_every_lambda_in_both_orders(chosen):
    batches = draw(20 * len(chosen), 10, class_pairs=chosen)
    recipes = [recipe for batch in batches for recipe in batch]
    assert set(map(class_pair, recipes)) == set(map(frozenset, chosen))
    cells = Counter(
        (class_pair(r), r.lambda_e4, first_is_lower(r)) for r in recipes if len(class_pair(r)) == 2
    )
    assert set(cells.values()) == {2}
    assert len(cells) == 10 * sum(first != second for first, second in chosen)
    assert set(counts(recipes, class_pair)) == {20}


def test_every_batch_holds_chosen_class_pairs_alike():
    for batch in draw(60, 12, class_pairs=((0, 1), (2, 3), (4, 5))):
        assert list(counts(batch, class_pair)) == [4, 4, 4]


def test_a_chosen_class_without_images_is_refused_at_its_field():
    with pytest.raises(Invalid) as refused:
        draw(10, 10, class_pairs=((3, 11),))
    assert list(refused.value.fields) == ["class_pairs"]


def test_the_same_seed_draws_the_same_design_and_another_seed_another():
    assert draw(seed=1) == draw(seed=1)
    assert draw(seed=1) != draw(seed=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": range(0, 400, 10)}, "at least two classes"),
        ({"lambdas_e4": ()}, "at least one value"),
        ({"lambdas_e4": (10_001,)}, "from 0 to 1"),
        ({"indices": range(4), "n": 7, "batch_size": 1}, "no two parents are mixed twice"),
        ({"indices": range(40), "n": 21, "batch_size": 21}, "nobody sees a parent image twice"),
    ],
)
def test_a_design_that_cannot_be_drawn_is_refused(change, message):
    with pytest.raises(Invalid, match=message):
        draw(**{"n": 10, "batch_size": 10, **change})


def test_a_check_shows_one_image_and_nothing_of_the_other():
    checks = draw_checks(labels=LABELS, recognised=[3, 14, 25, 36], indices=range(200), seed=1)
    assert [recipe.lambda_e4 for recipe in checks] == [10_000, 0, 10_000, 0]
    shown = [r.first_index if r.lambda_e4 else r.second_index for r in checks]
    assert shown == [3, 14, 25, 36]
    assert len(set(parents_of(checks))) == 8
    assert all(LABELS[recipe.first_index] != LABELS[recipe.second_index] for recipe in checks)


def test_checks_without_other_images_are_refused():
    with pytest.raises(Invalid, match="too few images of other classes"):
        draw_checks(labels=LABELS, recognised=[0, 10], indices=[20, 30], seed=1)
