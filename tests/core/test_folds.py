from __future__ import annotations

import numpy as np

from hilmix.core.folds import connected, dealt


def test_mixed_images_are_connected_through_others():
    parents = np.array([[1, 2], [7, 8], [3, 2], [9, 9], [4, 3], [8, 5]])
    assert connected(parents).tolist() == [0, 1, 0, 2, 0, 1]


def test_a_long_chain_is_one_group_whatever_its_order():
    chain = np.random.default_rng(0).permutation(np.stack([np.arange(500), np.arange(1, 501)], axis=1))
    assert not connected(chain).any()


def test_nothing_is_no_group():
    assert connected(np.empty((0, 2), dtype=np.int64)).tolist() == []


def test_a_group_is_dealt_to_one_fold_and_folds_get_as_many_groups():
    groups = np.repeat(np.arange(10), 3)
    folds = dealt(groups, np.random.default_rng(0))
    assert all(len(set(folds[groups == group])) == 1 for group in range(10))
    assert np.bincount(folds).tolist() == [6] * 5
