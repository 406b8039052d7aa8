"""Whether a model is judged on pictures that it has, in part, been trained on.

A mixed image holds both of its parents, so no evaluation image may be a parent; nor should one have a twin
among the training images. Near-duplicates are not looked for here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Leakage:
    """`n_leaked` of `n_evaluation` images are parents of the `n_mixed` mixed images (which have `n_parents`
    parents in all); `n_trained` are trained on themselves; `n_identical` have the same pixels as a training
    image."""

    n_evaluation: int
    n_mixed: int
    n_parents: int
    n_leaked: int
    n_trained: int
    n_identical: int

    @property
    def clean(self) -> bool:
        """Whether no evaluation image is used in training, as a parent or as it is."""
        return not self.n_leaked and not self.n_trained

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was checked and found, for the report."""
        return (
            f"{self.n_leaked} of {self.n_evaluation} evaluation images are parents of one of the "
            f"{self.n_mixed} mixed images.",
            f"{self.n_trained} of {self.n_evaluation} evaluation images are themselves trained on.",
            f"{self.n_identical} of {self.n_evaluation} evaluation images have exactly the "
            "pixels of a training image.",
        )


def check_leakage(
    images: NDArray[np.uint8],
    *,
    parents: NDArray[np.int64],
    training: NDArray[np.int64],
    evaluation: NDArray[np.int64],
) -> Leakage:
    """Compare evaluation images with what is trained on.

    `images` uint8 [N, H, W, C]; `parents` int64 [n, 2], `training` and `evaluation` int64 are positions in
    `images`.
    """
    used = np.union1d(parents, training)
    seen = set(_digests(images, used))
    return Leakage(
        n_evaluation=len(evaluation),
        n_mixed=len(parents),
        n_parents=len(np.unique(parents)),
        n_leaked=int(np.isin(evaluation, parents).sum()),
        n_trained=int(np.isin(evaluation, training).sum()),
        n_identical=sum(digest in seen for digest in _digests(images, np.setdiff1d(evaluation, used))),
    )


def _digests(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> Iterable[bytes]:
    return (hashlib.blake2b(images[index].tobytes(), digest_size=16).digest() for index in indices)
