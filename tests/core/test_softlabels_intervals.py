"""Intervals of labels: how often they hold the share that made the answers, and where there is none."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hilmix.core.judgements import Answer, PerceivedLambda, PerceivedMidpoint, Unit
from hilmix.core.observers import H_MIX, Observer, draw_image_effect
from hilmix.core.softlabels import build_label_set

LAMBDAS_E4 = (1000, 2500, 5000, 7500, 9000)
INTERVALS = "human_lambda", "human_lambda_shrunk", "population_curve", "class_pair_curve"


def observed(seed: int, n: int, people: int) -> tuple[list[Unit], np.ndarray]:
    """Mixed images that two to four observers like the people of H-Mix judged, and the share each is seen as."""
    rng = np.random.default_rng(seed)
    observers = [Observer.draw(rng) for _ in range(people)]
    units, shares = [], []
    for i in range(n):
        share, effect = LAMBDAS_E4[i % 5] / 10_000, draw_image_effect(rng)
        first, second = rng.choice(10, 2, replace=False).tolist()
        answers = tuple(
            Answer(f"p{person}", observers[person].answer(share, rng, effect))
            for person in rng.choice(people, rng.integers(2, 5), replace=False)
        )
        units.append(Unit(f"u{i}", LAMBDAS_E4[i % 5], first, second, answers, (2 * i, 2 * i + 1)))
        shares.append(H_MIX.expected_share(share, effect))
    return units, np.array(shares)


@pytest.mark.parametrize(("n", "people", "studies", "least"), [(600, 60, 3, 0.9), (60, 12, 30, 0.82)])
def test_intervals_hold_the_share_that_made_the_answers_at_every_lambda(n, people, studies, least):
    """95% nominally; with few people less, since what a person does alike in all images is in the curve too."""
    held: Counter[tuple[str, int]] = Counter()
    known: Counter[tuple[str, int]] = Counter()
    for seed in range(studies):
        units, shares = observed(seed, n, people)
        for name in INTERVALS:
            rows = build_label_set(name, units, 10).rows
            for unit, row, share in zip(units, rows, shares, strict=True):
                if row.interval is not None:
                    known[name, unit.lambda_e4] += 1
                    held[name, unit.lambda_e4] += row.interval[0] <= share <= row.interval[1]
    for name in INTERVALS:
        for lambda_e4 in LAMBDAS_E4:
            at = name, lambda_e4
            assert known[at] > 0.7 * studies * n / 5
            assert least < held[at] / known[at] < 0.985, at


def unit(key: str, *values: float, lambda_e4: int = 5000) -> Unit:
    answers = tuple(Answer(f"p{i}", PerceivedLambda(value, 0.5)) for i, value in enumerate(values))
    return Unit(key, lambda_e4, 1, 3, answers)


@pytest.mark.parametrize("name", INTERVALS)
@pytest.mark.parametrize(
    "units",
    [
        [unit("a", 0.3)],
        [unit("a", 0.3), unit("b", 0.6)],
        [unit("a", 0.4, 0.4), unit("b", 0.4, 0.4)],
    ],
    ids=["one answer", "nobody shares an image", "all say the same"],
)
def test_what_is_not_known_to_vary_has_no_interval(name, units):
    assert [row.interval for row in build_label_set(name, units, 4).rows] == [None] * len(units)


@pytest.mark.parametrize("name", INTERVALS[1:])
def test_images_that_are_not_known_to_differ_have_no_interval(name):
    units = [unit("a", 0.1, 0.9), unit("b", 0.2, 0.8)]
    assert [row.interval for row in build_label_set(name, units, 4).rows] == [None, None]


def test_a_curve_has_no_interval_where_nobody_answered():
    units = [unit("a", 0.2, 0.3), unit("b", 0.6, 0.8), unit("c", lambda_e4=7000)]
    for name in ("population_curve", "human_lambda_shrunk"):
        rows = build_label_set(name, units, 4).rows
        assert [row.interval is None for row in rows] == [False, False, True]


def test_a_midpoint_has_no_interval_where_no_pair_was_asked_about_twice():
    def pair(key: str, *values: float) -> Unit:
        said = tuple(Answer(f"p{i}", PerceivedMidpoint(value)) for i, value in enumerate(values))
        return Unit(key, 5000, 1, 3, said)

    alone = [pair("a", 0.3), pair("b", 0.6)]
    assert [row.interval for row in build_label_set("perceived_midpoint", alone, 4, pairs=alone).rows] == [
        None
    ] * 2
