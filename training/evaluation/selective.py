"""Selective risk: how often a model errs if it answers only where it is confident (Geifman & El-Yaniv, NeurIPS 2017).

A threshold on the confidence answers all images at or above it, so images of one confidence are answered together,
and the order of the file does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.evaluation.metrics import Floats, Labels

COVERAGES = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class RiskCoverage:
    """Error `risk` [P] among the `coverage` [P] of images (0–1) that each threshold answers, the strictest first."""

    coverage: Floats
    risk: Floats

    def at(self, coverage: float) -> float:
        """Error of the strictest threshold that answers at least this share of the images."""
        place = int(np.searchsorted(self.coverage, coverage - 1e-12))
        return float(self.risk[min(place, len(self.risk) - 1)])


def risk_coverage(confidence: Floats, wrong: Floats) -> RiskCoverage:
    """The curve over all thresholds; `confidence` and `wrong` (0 or 1) float64 [N]."""
    order, last = _thresholds(confidence)
    answered = last + 1.0
    return RiskCoverage(answered / len(wrong), np.cumsum(wrong[order])[last] / answered)


def aurc(confidence: Floats, wrong: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Area under the risk–coverage curve and its excess over the best order, in each draw: [D], [D].

    The area is the mean over images of the risk at their threshold; `weights` [D, N] are whole numbers, rows summing
    to N. The best order with E errors of N has (1/N) Σ_{i>N−E} (i − N + E)/i (Geifman et al., ICLR 2019, whose
    logarithm is its limit).
    """
    order, last = _thresholds(confidence)
    moved = weights[:, order]
    answered = np.cumsum(moved, axis=1)[:, last]
    errors = np.cumsum(moved * wrong[order], axis=1)[:, last]
    size = np.diff(answered, axis=1, prepend=0)
    n = round(float(answered[0, -1]))
    area = (size * errors / np.maximum(answered, 1)).sum(axis=1) / n
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])
    right = np.rint(n - errors[:, -1]).astype(int)
    best = ((n - right) - right * (harmonic[n] - harmonic[right])) / n
    return area, area - best


def _thresholds(confidence: Floats) -> tuple[Labels, Labels]:
    """Images by falling confidence, and the place of the last of each confidence."""
    order = np.argsort(-confidence, kind="stable")
    last = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1)
    return order, last
