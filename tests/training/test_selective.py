"""Selective risk against hand cases and a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.selective import aurc, risk_coverage


def ones(n: int) -> np.ndarray:
    return np.ones((1, n))


def test_a_hand_made_curve():
    curve = risk_coverage(np.array([0.9, 0.6, 0.8, 0.7]), np.array([0.0, 1.0, 1.0, 0.0]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert curve.at(0.5) == 0.5
    assert curve.at(0.6) == pytest.approx(1 / 3)  # the strictest threshold that answers 60 %
    assert curve.at(1) == 0.5


def test_the_area_is_the_mean_risk_and_the_excess_is_over_the_best_order():
    confidence, wrong = np.array([0.9, 0.6, 0.8, 0.7]), np.array([0.0, 1.0, 1.0, 0.0])
    area, excess = aurc(confidence, wrong, ones(4))
    assert area[0] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert excess[0] == pytest.approx(area[0] - (0 + 0 + 1 / 3 + 2 / 4) / 4)


def test_the_best_order_has_no_excess_and_the_closed_form_is_near():
    wrong = np.repeat([0.0, 1.0], [900, 100])
    area, excess = aurc(np.linspace(1, 0, 1000), wrong, ones(1000))
    assert excess[0] == pytest.approx(0, abs=1e-12)
    assert area[0] == pytest.approx(0.1 + 0.9 * np.log(0.9), abs=2e-4)


def test_equal_confidences_are_answered_together_whatever_their_order():
    confidence, wrong = np.array([0.5, 0.5, 0.9]), np.array([1.0, 0.0, 0.0])
    assert risk_coverage(confidence, wrong).coverage.tolist() == pytest.approx([1 / 3, 1])
    for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
        assert aurc(confidence[order], wrong[order], ones(3))[0][0] == pytest.approx((0 + 1 / 3 + 1 / 3) / 3)


def test_weights_are_the_same_as_copies():
    rng = np.random.default_rng(0)
    confidence, wrong = rng.random(200).round(1), rng.integers(0, 2, 200) * 1.0
    drawn = rng.integers(0, 200, 200)
    weighted = aurc(confidence, wrong, np.bincount(drawn, minlength=200)[None] * 1.0)
    copied = aurc(confidence[drawn], wrong[drawn], ones(200))
    assert np.array(weighted) == pytest.approx(np.array(copied))
