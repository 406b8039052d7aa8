"""CIFAR-10H as it is passed around, in probabilities: the counts of votes they came from are found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilmix.core.humanlabels import VoteRange, find_votes

pytestmark = pytest.mark.realdata


def test_every_image_of_cifar10h_fits_47_to_63_votes_and_all_together_what_was_published(realdata: Path):
    shares = np.load(realdata / "cifar10h-probs.npy")
    votes, how = find_votes(shares, VoteRange(47, 63))
    each = votes.sum(axis=1)
    assert (each.min(), each.max()) == (47, 60)  # no share needs more than 60
    assert np.abs(votes / each[:, None] - shares).max() < 1e-12
    # Published: 511,400 votes, 51 an image. Of a number and its half only the half is seen, so ours are fewer.
    assert each.mean() == pytest.approx(51.1, abs=0.1)
    assert each.sum() == pytest.approx(511_000, rel=0.002)
    one_class = shares.max(axis=1) == 1
    assert set(each[one_class]) == {51}
    assert f"51 for the {one_class.sum():,} images that all gave one class" in how
