"""Predictions that anybody made, read from an .npz file: nothing in it is taken at its word.

Keys: `probs` [N, K], or `logits` [N, K]; `labels` [N], class numbers; optional `human` [N, K], counts of votes (whole
numbers) or probabilities. Probabilities and logits are never told apart by their range, as a guess goes wrong.
"""

from __future__ import annotations

import tokenize
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilmix.core.archives import BROKEN
from hilmix.core.errors import DataError
from hilmix.core.humanlabels import MOST_VOTES
from hilmix.core.loaders import check_announced
from training.evaluation.metrics import Floats, Labels, log_clipped, log_softmax

LARGEST = 1_000_000_000  # bytes of all arrays, unpacked
# Rows may be off a sum of 1 by what rounding to their type leaves, and are then divided by their sum.
_OFF = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-6}


@dataclass(frozen=True)
class Predictions:
    """One model's predictions: `log_p` and `p` float64 [N, K], `labels` int64 [N].

    `human` float64 [N, K] are the shares of people, `counts` int64 [N, K] their votes, None where not known.
    `n_clipped` probabilities of what the labels or people say were too near 0 for a logarithm.
    """

    log_p: Floats
    p: Floats
    labels: Labels
    human: Floats | None = None
    counts: NDArray[np.int64] | None = None
    n_clipped: int = 0


def predictions(
    *,
    labels: NDArray[Any],
    probs: NDArray[Any] | None = None,
    logits: NDArray[Any] | None = None,
    human: NDArray[Any] | None = None,
) -> Predictions:
    """Check arrays as the head of this module has them. Raises DataError that names the key, the row and the remedy."""
    if (probs is None) == (logits is None):
        raise DataError(
            "Give either probs or logits: " + ("there is neither." if probs is None else "there are both.")
        )
    if probs is not None:
        p = _shares(_matrix(probs, "probs"), "probs", "If these are logits, name them logits.")
        log_p = log_clipped(p)
    else:
        assert logits is not None
        log_p = log_softmax(_matrix(logits, "logits"))
        p = np.exp(log_p)
    n, classes = p.shape
    checked = _labels(labels, n, classes)
    shares, counts = (None, None) if human is None else _human(human, (n, classes))
    n_clipped = 0
    if probs is not None:
        asked = np.eye(classes, dtype=bool)[checked] if shares is None else shares > 0
        asked[np.arange(n), checked] = True
        n_clipped = int((asked & (p < np.finfo(np.float64).eps)).sum())
    return Predictions(log_p, p, checked, shares, counts, n_clipped)


def read_predictions(path: Path | str) -> Predictions:
    """Read an .npz file. Raises DataError for a file that is none, too large, holds objects, or does not fit."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        check_announced(path)
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise DataError(f"{path.name} holds more than {LARGEST / 1e9:g} GB of arrays.")
        with np.load(path, allow_pickle=False) as archive:
            known = ("labels", "probs", "logits", "human")
            arrays = {key: archive[key] for key in known if key in archive}
    except DataError:
        raise
    except (*BROKEN, TypeError, KeyError, SyntaxError, tokenize.TokenError, MemoryError):
        # numpy's own words are left out: they advise loading the file unsafely.
        raise DataError(f"{path.name} is not a readable .npz file of plain arrays.") from None
    if "labels" not in arrays:
        raise DataError(f"{path.name} has no array 'labels'; it needs labels, and probs or logits.")
    try:
        return predictions(**arrays)
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from None


def _matrix(values: NDArray[Any], key: str) -> NDArray[Any]:
    """Finite numbers, one row an image, at least one image and two classes."""
    if values.ndim != 2 or not len(values) or values.shape[1] < 2:
        raise DataError(
            f"{key} has the shape {values.shape}; it must have one row an image and one column a class, two at least."
        )
    if values.dtype.kind not in "fiu":
        raise DataError(f"{key} holds {values.dtype}, not numbers.")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise DataError(
            f"{key} is not finite in row {bad[0]} ({len(bad)} such rows). Mend or leave out these images."
        )
    return values


def _shares(values: NDArray[Any], key: str, remedy: str) -> Floats:
    """Rows that sum to 1, in float64."""
    wide = values.astype(np.float64)
    off = np.abs(wide.sum(axis=1) - 1)
    bad = np.flatnonzero((wide.min(axis=1) < 0) | (off > _OFF.get(values.dtype.name, 1e-6)))
    if len(bad):
        row = bad[0]
        what = f"sums to {wide[row].sum():.6g}" if wide[row].min() >= 0 else f"holds {wide[row].min():.6g}"
        raise DataError(
            f"{key}: row {row} {what}; rows must be non-negative and sum to 1 ({len(bad)} do not). {remedy}"
        )
    return wide if values.dtype == np.float64 else wide / wide.sum(axis=1, keepdims=True)


def _labels(labels: NDArray[Any], n: int, classes: int) -> Labels:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"labels holds {labels.dtype} of shape {labels.shape}; it must hold one whole class number an image."
        )
    if len(labels) != n:
        raise DataError(f"There are {len(labels)} labels for {n} predictions.")
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(bad):
        raise DataError(
            f"labels: row {bad[0]} is {labels[bad[0]]}, but the {classes} classes are numbered 0 to {classes - 1}."
        )
    return labels.astype(np.int64)


def _human(human: NDArray[Any], shape: tuple[int, int]) -> tuple[Floats, NDArray[np.int64] | None]:
    """Shares of people, and counts where whole numbers were given and somebody's image has more than one vote."""
    values = _matrix(human, "human")
    if values.shape != shape:
        raise DataError(f"human has the shape {values.shape}, the predictions {shape}.")
    sums = values.astype(np.float64).sum(axis=1)
    if (values != np.rint(values)).any() or (sums == 1).all():
        return _shares(values, "human", "Give counts of votes as whole numbers, or probabilities."), None
    if values.min() < 0 or sums.min() == 0 or sums.max() >= MOST_VOTES:
        row = int(np.flatnonzero((values.min(axis=1) < 0) | (sums == 0) | (sums >= MOST_VOTES))[0])
        raise DataError(
            f"human: row {row} has no votes, or less than none, or too many. Leave such images out."
        )
    counts = values.astype(np.int64)
    return counts / counts.sum(axis=1, keepdims=True), counts
