"""Images of two splits that are one photograph: mirrored, shifted a little, brighter, recompressed.

Such a pair is no leak by identity (`leakage`), yet a model that learnt one has seen the other. Candidates are found on
coarse grey pictures, and each is then compared pixel by pixel. What people would call the same *scene* taken twice may
be found too; turned, enlarged or cut-out copies are not, and pictures of one colour are not judged.

The two measures separate copies from look-alikes between CIFAR-10's splits (Barz & Denzler, "Do we train on test
data?", Journal of Imaging 6, 2020, found them by hand): pictures of sky and sea correlate highly as pixels, but only
copies correlate in their edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError

Floats = NDArray[np.float32]
Images = NDArray[np.uint8]
Shift = tuple[int, int]

COARSE = 0.85  # least correlation of the coarse pictures
PIXELS = 0.90  # least correlation of the pixels, each channel less its mean
EDGES = 0.70  # least correlation of the differences between neighbouring pixels
CANDIDATES = 20  # training images looked at closely for each evaluation image
LEAST_SIDE = 16  # smaller pictures are too coarse to tell a copy from a look-alike

_GRID = 8
_ROWS = 200  # evaluation images in a block: bounds the memory
_PAIRS = 2000


@dataclass(frozen=True)
class Pair:
    """Evaluation image `evaluation` and training image `training` (positions in what was given): correlation of
    `pixels` and of `edges`, −1 to 1, where the training image is mirrored if `mirrored` and then moved by `shift`
    pixels (down, right)."""

    training: int
    evaluation: int
    pixels: float
    edges: float
    mirrored: bool
    shift: Shift


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs, most alike first. Not `assessed` where images are smaller than `LEAST_SIDE` pixels."""

    pairs: tuple[Pair, ...]
    n_training: int
    n_evaluation: int
    assessed: bool = True

    @property
    def n_images(self) -> int:
        """How many evaluation images have a near-duplicate among the training images."""
        return len({pair.evaluation for pair in self.pairs})

    @property
    def sentence(self) -> str:
        """What was looked for and found, for the report."""
        if not self.assessed:
            return f"Near-duplicates were not assessed: images under {LEAST_SIDE} pixels a side are too coarse for it."
        return (
            f"{self.n_images} of {self.n_evaluation} evaluation images have a near-duplicate among the "
            f"{self.n_training} training images (correlation of pixels at least {PIXELS}, of edges at least {EDGES}, "
            "mirrored, shifted and brighter copies among them)."
        )


def near_duplicates(training: Images, evaluation: Images) -> NearDuplicates:
    """Find near-duplicates between two sets of images, uint8 [N, H, W, C] and [M, H, W, C].

    Looks for copies that are mirrored left to right, shifted by up to a tenth of a side, brighter, darker, of another
    contrast, noisy or recompressed. The memory needed grows with N + M, not with N · M.
    """
    if training.ndim != 4 or training.shape[1:] != evaluation.shape[1:]:
        raise DataError(
            f"near-duplicates are looked for among images of one size, not {training.shape[1:]} and "
            f"{evaluation.shape[1:]}"
        )
    sizes = len(training), len(evaluation)
    if min(training.shape[1:3]) < LEAST_SIDE:
        return NearDuplicates((), *sizes, assessed=False)
    if not all(sizes):
        return NearDuplicates((), *sizes)
    steps = _steps(training.shape[1:3])
    rows, columns, variants = _candidates(training, evaluation, steps)
    found: list[Pair] = []
    for start in range(0, len(rows), _PAIRS):
        part = slice(start, start + _PAIRS)
        found += _compared(training, evaluation, rows[part], columns[part], variants[part], steps)
    return NearDuplicates(tuple(sorted(found, key=lambda pair: (-pair.edges, pair.evaluation))), *sizes)


def _steps(side: tuple[int, int]) -> list[Shift]:
    """The shifts tried on coarse pictures: none, and a sixteenth of the side (2 pixels of 32) each way."""
    down, right = (max(1, pixels // 16) for pixels in side)
    return [(y, x) for y in (-down, 0, down) for x in (-right, 0, right)]


def _candidates(
    training: Images, evaluation: Images, steps: list[Shift]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Evaluation image, training image and variant (step, or steps + step where mirrored) of each pair whose coarse
    pictures correlate; at most `CANDIDATES` for each evaluation image, the most alike."""
    coarse = np.concatenate(
        [_coarse(training[start : start + 1000]) for start in range(0, len(training), 1000)]
    )
    keep = min(CANDIDATES, len(training))
    rows, columns, variants = [], [], []
    for start in range(0, len(evaluation), _ROWS):
        block = evaluation[start : start + _ROWS]
        # The evaluation image is moved (and mirrored) here, which is the training image moved the other way.
        moved = np.stack([_coarse(_moved(one, step)) for one in (block, block[:, :, ::-1]) for step in steps])
        best = moved[0] @ coarse.T
        for one in moved[1:]:
            np.maximum(best, one @ coarse.T, out=best)
        nearest = np.argpartition(best, -keep, axis=1)[:, -keep:]
        row, k = np.nonzero(np.take_along_axis(best, nearest, axis=1) >= COARSE)
        column = nearest[row, k]
        rows.append(row + start)
        columns.append(column)
        variants.append(np.einsum("vrd,rd->vr", moved[:, row], coarse[column]).argmax(axis=0))
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(variants)


def _coarse(images: Images) -> Floats:
    """Grey block means [n, 64], less their mean, of length 1 (0 where a picture is of one grey)."""
    n, height, width, _ = images.shape
    grey = images.mean(axis=3, dtype=np.float32)
    down, right = (np.arange(_GRID) * side // _GRID for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(grey, down, axis=1), right, axis=2)
    counts = np.outer(np.diff([*down, height]), np.diff([*right, width]))
    return _unit((sums / counts).reshape(n, -1))


def _moved(images: Images, step: Shift) -> Images:
    """Shift by (down, right), repeating the border."""
    height, width = images.shape[1:3]
    y = np.clip(np.arange(height) - step[0], 0, height - 1)
    x = np.clip(np.arange(width) - step[1], 0, width - 1)
    return images[:, y[:, None], x]


def _unit(vectors: NDArray[np.floating]) -> Floats:
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.where(length > 1e-3, centred / np.maximum(length, 1e-3), 0).astype(np.float32)


def _compared(
    training: Images,
    evaluation: Images,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    variants: NDArray[np.int64],
    steps: list[Shift],
) -> list[Pair]:
    """Compare candidates at full size, at the shifts around the coarse one; return those that are near-duplicates."""
    mirrored = variants >= len(steps)
    sign = np.where(mirrored, -1, 1)  # a mirrored picture moves the other way
    around = np.array(steps)[variants % len(steps)] * np.stack([-np.ones_like(sign), -sign], axis=1)
    margin = np.abs(np.array(steps)).max(axis=0) + 1
    height, width = training.shape[1:3]
    y, x = np.arange(margin[0], height - margin[0]), np.arange(margin[1], width - margin[1])
    theirs = training[columns]
    theirs[mirrored] = theirs[mirrored][:, :, ::-1]
    ours = evaluation[rows][:, y[:, None], x].astype(np.float32)
    each = np.arange(len(rows))[:, None, None]

    def window(shift: NDArray[np.int64]) -> Floats:
        down, right = (shift[:, k, None, None] for k in (0, 1))
        return theirs[each, y[:, None] - down, x - right].astype(np.float32)

    best, at = np.full(len(rows), -1.0, np.float32), around.copy()
    reference = _by_channel(ours)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            shift = around + np.array([down, right])
            alike = np.einsum("nd,nd->n", reference, _by_channel(window(shift)))
            better = alike > best
            best[better], at[better] = alike[better], shift[better]
    edges = np.einsum("nd,nd->n", _edges(ours), _edges(window(at)))
    return [
        Pair(
            int(columns[k]),
            int(rows[k]),
            float(best[k]),
            float(edges[k]),
            bool(mirrored[k]),
            (int(at[k, 0]), int(at[k, 1])),
        )
        for k in np.flatnonzero((best >= PIXELS) & (edges >= EDGES))
    ]


def _by_channel(images: Floats) -> Floats:
    """Pixels [n, H·W·C], each channel less its mean, of length 1."""
    return _unit((images - images.mean(axis=(1, 2), keepdims=True)).reshape(len(images), -1))


def _edges(images: Floats) -> Floats:
    """Differences to the pixel on the right and to the one below, each less its mean (an even slope has no edges),
    [n, …], of length 1."""
    right = np.diff(images, axis=2)[:, 1:]
    below = np.diff(images, axis=1)[:, :, 1:]
    return _by_channel(np.concatenate([right, below], axis=3))
