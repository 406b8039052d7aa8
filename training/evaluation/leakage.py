"""Whether a model is judged on pictures that it has, in part, been trained on.

A mixed image holds both of its parents, so no evaluation image may be a parent; nor should one have a twin
among the training images. What is almost a twin is looked for in `near_duplicates`. Mixed images themselves are held
out by `holdout_folds`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from hilmix.core.folds import connected

Ints = NDArray[np.int64]


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
    parents: Ints,
    training: Ints,
    evaluation: Ints,
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


def _digests(images: NDArray[np.uint8], indices: Ints) -> Iterable[bytes]:
    return (hashlib.blake2b(images[index].tobytes(), digest_size=16).digest() for index in indices)


@dataclass(frozen=True, eq=False)
class HoldoutFold:
    """One fold of mixed images: those `held_out` to be judged on, those to train on (positions among the mixed images),
    and the parents of the held-out ones (`withdrawn`, image indices), which leave base training too."""

    held_out: Ints
    training: Ints
    withdrawn: Ints


def holdout_folds(parents: Ints, *, share: float = 0.2, seed: int = 0) -> list[HoldoutFold]:
    """Split mixed images for cross-fitting: each is held out in exactly one fold, and no fold trains on a parent of
    what it holds out, mixed or plain.

    Mixed images that are connected by parents stay together; groups are dealt out, the large ones first and equal ones
    at random, to the fold that has the fewest mixed images. `parents` int64 [n, 2]; `share` 0–0.5 is what is held out
    at a time, made by round(1/share) folds: 0.2 is five folds of a fifth. The same arguments give the same folds.

    Raises `DataError` where there are fewer groups than folds, or one group is more than twice a fold.
    """
    if not 0 < share <= 0.5:
        raise DataError(f"holdout_mixes is a share above 0 and at most 0.5, not {share}")
    n, n_folds = len(parents), round(1 / share)
    group = connected(parents)
    sizes = np.bincount(group)
    if len(sizes) < n_folds or sizes.max() > 2 * n / n_folds:
        raise DataError(
            f"{share:g} of the mixed images cannot be held out: {n} mixed images make {len(sizes)} groups without a "
            f"parent in common, the largest of {int(sizes.max(initial=0))}, for {n_folds} folds; take a larger share, "
            "or a release with more parents"
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sizes))
    fold_of, filled = np.empty(len(sizes), np.int64), np.zeros(n_folds, np.int64)
    for one in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[one] = filled.argmin()
        filled[fold_of[one]] += sizes[one]
    fold = fold_of[group]
    return [
        HoldoutFold(np.flatnonzero(fold == k), np.flatnonzero(fold != k), np.unique(parents[fold == k]))
        for k in range(n_folds)
    ]
