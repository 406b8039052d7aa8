"""Temperature scaling: one number T by which logits are divided, found on validation images only.

With hard labels it is T_hard (Guo et al., ICML 2017), with the distributions of people's answers T_human. The loss is
convex in 1/T, so its minimum is the root of a monotone derivative, found exactly, not descended to: no step size,
and no negative T. T < 1 sharpens, and means that the model was under-confident, the usual case after mixup.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from hilmix.core.errors import DataError
from training.evaluation.metrics import Floats, Labels, as_distribution, cross_entropy, log_softmax

LOWEST, HIGHEST = 1e-3, 1e3  # times the mean distance of the largest and the least logit of an image
NO_LABELS = "not assessed: the validation images have no human labels"


@dataclass(frozen=True)
class Temperature:
    """T, or None where it was not fitted, and the validation loss before and after in nats an image.

    `undefined` says why there is none, or that the loss has no minimum between `LOWEST` and `HIGHEST` times the spread
    of the logits.
    """

    value: float | None
    loss_before: float | None = None
    loss_after: float | None = None
    undefined: tuple[str, ...] = ()


def fit_temperature(logits: NDArray[np.floating], targets: Labels | Floats | None) -> Temperature:
    """The T that minimises the cross-entropy of softmax(z/T) against `targets`, on validation images.

    Args:
        logits: [N, K].
        targets: class numbers int64 [N] for T_hard, distributions float64 [N, K] for T_human, None where the
            validation images have no human labels: then nothing is assessed.

    The derivative by b = 1/T, mean of Σ_k (p̂_k − q_k) z_k, rises with b, as its own is a variance.
    """
    if targets is None:
        return Temperature(None, undefined=(NO_LABELS,))
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or not len(z) or not np.isfinite(z).all():
        raise DataError("A temperature is fitted to finite logits, one row an image, of at least one image.")
    q = as_distribution(targets, z.shape)
    with np.errstate(over="ignore"):
        spread = float((z.max(axis=1) - z.min(axis=1)).mean()) or 1.0
    if not np.isfinite(spread):
        raise DataError("The logits are too large for float64: divide them all by the same number first.")
    unit = z / spread  # a temperature is found whatever the logits are measured in

    def slope(log_b: float) -> float:
        b = np.exp(log_b)
        return float(((np.exp(log_softmax(b * unit)) - q) * unit).sum(axis=1).mean())

    ends = -np.log(HIGHEST), -np.log(LOWEST)
    notes: tuple[str, ...] = ()
    if slope(ends[0]) >= 0:
        log_b = ends[0]
        notes = (
            f"the loss falls up to T = {HIGHEST * spread:.3g}: the logits say nothing about these targets",
        )
    elif slope(ends[1]) <= 0:
        log_b = ends[1]
        right = not q[z < z.max(axis=1, keepdims=True)].any()
        why = "every image is right, and sharper is better" if right else "it was not looked for below"
        notes = (f"the loss falls down to T = {LOWEST * spread:.3g}: {why}",)
    else:
        log_b = float(brentq(slope, *ends, xtol=1e-12))
    value = spread * float(np.exp(-log_b))
    before, after = cross_entropy(log_softmax(z), q), cross_entropy(log_softmax(z / value), q)
    if after > before:  # by rounding alone, where T = 1 was the minimum already
        value, after = 1.0, before
    return Temperature(value, before, after, notes)


def scaled(logits: NDArray[np.floating], temperature: float) -> Floats:
    """Logits divided by T in float64, [N, K]; the most probable class stays what it was."""
    if not temperature > 0 or not np.isfinite(temperature):
        raise DataError(f"A temperature is a number above 0, not {temperature}.")
    return np.asarray(logits, dtype=np.float64) / temperature
