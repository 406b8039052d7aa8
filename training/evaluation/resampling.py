"""The figures of several trained models as what `inference` compares: one number a seed and image where a metric is a
mean over images, else its value on the same draws of images for every seed and arm.

Calibration errors (ECE, RMS, MCE, human-ECE) are not among them. Chance raises each arm's error by as much as its own
noise, which is more where the true error is small, so the difference of two keeps a bias and its interval held the true
one in as few as 7 of 10 simulated experiments; of differences of debiased values in 8 of 10. Each error has its own
interval (`calibration`); arms are compared by log loss, Brier score or `confidence_gap`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hilmix.core.errors import DataError
from training.evaluation import metrics, people, ranking
from training.evaluation.assessment import TOP, Resampled
from training.evaluation.components import ENOUGH, LEAST_DRAWS, Drawn, Measured, Terms, on_draws
from training.evaluation.intervals import DRAWS
from training.evaluation.metrics import Floats
from training.evaluation.predictions import Predictions
from training.evaluation.values import BY_KEY


def terms(predictions: Predictions) -> dict[str, Floats]:
    """What each metric that is a mean over images takes from each: float64 [N] by key."""
    p, labels = predictions.p, predictions.labels
    rank = ranking.rank_of_label(p, labels, predictions.log_p)
    found = {
        "accuracy": (rank == 0).astype(np.float64),
        "log_loss": metrics.cross_entropies(predictions.log_p, labels),
        "brier": metrics.squared_distances(p, labels),
        "confidence_gap": p.max(axis=1) - (rank == 0),
    }
    found |= {f"top_{k}_accuracy": (rank < k).astype(np.float64) for k in TOP if k < p.shape[1]}
    if predictions.human is not None:
        found |= people.terms(predictions.log_p, p, predictions.human)
    return found


def measure(models: Sequence[Predictions], *, draws: int = DRAWS, seed: int = 0) -> dict[str, Measured]:
    """Every metric of models on the same images, one a seed. What is undefined for one of them is left out.

    The same `draws` and `seed` for all arms: their draws are then the same. Raises `DataError` where models were not
    judged by the same labels, or for fewer than `LEAST_DRAWS` draws.
    """
    for one in models[1:]:
        if not _same_labels(one, models[0]):
            raise DataError(
                "the models of an arm were not judged by the same labels, of people or of classes: bring predictions "
                "of the same images in the same order"
            )
    each = [terms(one) for one in models]
    found: dict[str, Measured] = {key: Terms(np.stack([one[key] for one in each])) for key in each[0]}
    figures = [_figures(one) for one in models]
    return {**found, **resampled(figures, len(models[0].labels), draws=draws, seed=seed)}


def resampled(
    figures: Sequence[Callable[[Floats], Mapping[str, Floats]]], n: int, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Measured]:
    """`components.measured` that leaves out what is undefined instead of refusing all of it, as a macro figure of a
    class that few draws hold."""
    if draws < LEAST_DRAWS:
        raise DataError(f"a metric that is no mean needs at least {LEAST_DRAWS} draws of images, not {draws}")
    found: dict[str, Measured] = {}
    for key, (values, drawn) in on_draws(figures, n, draws, seed).items():
        if np.isfinite(values).all() and np.isfinite(drawn).all(axis=1).mean() >= ENOUGH:
            found[key] = Drawn(values, drawn, n)
    return found


def _same_labels(one: Predictions, other: Predictions) -> bool:
    if not np.array_equal(one.labels, other.labels) or (one.human is None) != (other.human is None):
        return False
    return one.human is None or other.human is None or np.array_equal(one.human, other.human)


def _figures(predictions: Predictions) -> Callable[[Floats], dict[str, Floats]]:
    """Every metric that is no mean, of weights [D, N]: arrays [D] by key."""
    model = Resampled(predictions)
    model.thirds = []

    def figures(weights: Floats) -> dict[str, Floats]:
        every = model(weights)
        return {
            key: one for key, one in every.items() if key in BY_KEY and one.ndim == 1 and key not in means
        }

    means = terms(predictions)
    return figures
