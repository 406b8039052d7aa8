"""Temperature scaling: exact, on validation only, and never harmful there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from hilmix.core.errors import DataError
from training.evaluation.metrics import cross_entropy, log_softmax
from training.evaluation.temperature import HIGHEST, LOWEST, NO_LABELS, fit_temperature, scaled


def case(seed: int = 0, n: int = 2000, t: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `t` times too sharp."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, (n, 5))
    p = np.exp(log_softmax(z))
    return z * t, (rng.random((n, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)


def test_it_finds_the_temperature_by_which_logits_were_sharpened():
    assert fit_temperature(*case()).value == pytest.approx(2.5, rel=0.08)
    assert fit_temperature(*case(t=0.5)).value == pytest.approx(0.5, rel=0.08)  # under-confident: below 1


def test_it_agrees_with_a_numerical_search():
    z, labels = case(n=300)
    found = minimize_scalar(
        lambda t: cross_entropy(log_softmax(z / t), labels),
        bounds=(0.1, 20),
        method="bounded",
        options={"xatol": 1e-9},
    )
    fitted = fit_temperature(z, labels)
    assert fitted.value == pytest.approx(found.x, rel=1e-6)
    assert fitted.loss_after <= found.fun + 1e-12


def test_t_human_is_fitted_to_the_answers_of_people():
    z, labels = case()
    q = np.exp(log_softmax(z / 4))
    assert fit_temperature(z, q).value == pytest.approx(4)
    assert fit_temperature(z, labels).value < 3


def test_without_human_labels_on_validation_images_t_human_is_not_assessed():
    z, _ = case()
    found = fit_temperature(z, None)
    assert found.value is None
    assert found.undefined == (NO_LABELS,)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.floats(0.01, 100))
def test_it_never_raises_the_validation_loss_and_keeps_every_argmax(seed, n, sharp):
    rng = np.random.default_rng(seed)
    z, labels = rng.normal(0, sharp, (n, 4)), rng.integers(0, 4, n)
    found = fit_temperature(z, labels)
    spread = np.ptp(z, axis=1).mean()
    assert LOWEST * spread * 0.999 <= found.value <= HIGHEST * spread * 1.001 or found.value == 1
    assert found.loss_after <= found.loss_before
    assert found.loss_after == cross_entropy(log_softmax(scaled(z, found.value)), labels)
    assert (scaled(z, found.value).argmax(axis=1) == z.argmax(axis=1)).all()


def test_a_loss_without_a_minimum_is_said():
    right = fit_temperature(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
    assert right.value == pytest.approx(LOWEST * 1.5)
    assert "every image is right" in right.undefined[0]
    backwards = fit_temperature(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([1, 0]))
    assert backwards.value == pytest.approx(HIGHEST * 1.5)
    assert "say nothing" in backwards.undefined[0]


@pytest.mark.parametrize("unit", [1e-200, 1e-5, 1e5, 1e300])
def test_a_temperature_is_found_whatever_the_logits_are_measured_in(unit):
    z, labels = case(n=300)
    assert fit_temperature(z * unit, labels).value == pytest.approx(fit_temperature(z, labels).value * unit)
    assert fit_temperature(z * unit, labels).undefined == ()


def test_that_every_image_is_right_is_said_only_where_it_is():
    z = np.array([[2.0, 0.0]] * 100 + [[0.004, 0.0]] * 50 + [[0.0, 1e-9]])
    assert "every image is right" in fit_temperature(z, np.array([0] * 150 + [1])).undefined[0]
    one_wrong = fit_temperature(z, np.zeros(151, int))
    assert one_wrong.undefined
    assert "right" not in one_wrong.undefined[0]


def test_logits_whose_distance_is_no_number_are_refused():
    with pytest.raises(DataError, match="too large"):
        fit_temperature(np.array([[1e308, -1e308]]), np.array([0]))


def test_what_is_no_temperature_or_no_logits_is_refused():
    with pytest.raises(DataError, match="above 0"):
        scaled(np.zeros((1, 2)), -1.0)
    with pytest.raises(DataError, match="finite logits"):
        fit_temperature(np.array([[np.inf, 0.0]]), np.array([0]))
