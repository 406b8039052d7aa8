"""Folds that keep together what belongs together: the answers of a person, and mixed images that share a parent.

Whoever judges a label by answers must not have seen answers of the same person, or of the same pictures, while making
it. Grouping and dealing out only; what is fitted and judged is elsewhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

FOLDS = 5


def connected(parents: Ints) -> Ints:
    """Group mixed images that are connected by parents: same group if one leads to the other by shared images.

    Args:
        parents: int64 [n, 2], the two images that each was mixed from.

    Returns int64 [n], groups from 0 on, numbered by their smallest parent whatever the order of the mixed images.
    """
    _, first_second = np.unique(parents, return_inverse=True)
    first, second = first_second.reshape(-1, 2).T
    group = np.arange(first_second.max(initial=-1) + 1)
    while np.any(group[first] != group[second]):
        least = np.minimum(group[first], group[second])
        np.minimum.at(group, group[first], least)
        np.minimum.at(group, group[second], least)
        group = group[group]
    return np.unique(group[first], return_inverse=True)[1]


def dealt(groups: Ints, rng: np.random.Generator, folds: int = FOLDS) -> Ints:
    """The fold (0 … `folds` − 1) of each member int64 [n], its groups dealt out at random, as many to each fold as can
    be."""
    n_groups = int(groups.max(initial=-1)) + 1
    return (rng.permutation(n_groups) % folds)[groups]
