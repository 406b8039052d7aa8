"""The check that nothing is judged on what it was trained on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from hilmix.core.errors import DataError
from training.evaluation.leakage import check_leakage, holdout_folds


def images(n: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 1), dtype=np.uint8)


def test_apart_is_clean():
    found = check_leakage(
        images(), parents=np.array([[0, 1], [2, 0]]), training=np.arange(5), evaluation=np.arange(5, 10)
    )
    assert found.clean
    assert (found.n_evaluation, found.n_mixed, found.n_parents, found.n_identical) == (5, 2, 3, 0)
    assert found.sentences[0] == "0 of 5 evaluation images are parents of one of the 2 mixed images."


def test_an_evaluation_image_that_is_a_parent_is_found():
    found = check_leakage(
        images(), parents=np.array([[0, 7]]), training=np.arange(5), evaluation=np.arange(5, 10)
    )
    assert not found.clean
    assert (found.n_leaked, found.n_trained) == (1, 0)


def test_an_evaluation_image_that_is_trained_on_is_found():
    found = check_leakage(
        images(), parents=np.array([[0, 1]]), training=np.arange(6), evaluation=np.arange(5, 10)
    )
    assert not found.clean
    assert (found.n_leaked, found.n_trained) == (0, 1)


def test_a_twin_among_the_training_images_is_counted():
    pictures = images()
    pictures[9] = pictures[3]
    found = check_leakage(
        pictures, parents=np.array([[0, 1]]), training=np.arange(5), evaluation=np.arange(5, 10)
    )
    assert found.clean
    assert found.n_identical == 1


# -- mixed images held out


def parents_of(rng: np.random.Generator, n: int = 300, images: int = 500) -> np.ndarray:
    """Pairs of which some share a parent."""
    return np.stack([rng.permutation(images)[:n], rng.permutation(np.arange(images, 2 * images))[:n]], axis=1)


def test_each_mixed_image_is_held_out_once_and_no_fold_trains_on_a_parent_of_it():
    rng = np.random.default_rng(0)
    parents = parents_of(rng)
    parents[100:150, 0] = parents[:50, 0]  # fifty share a parent with another
    folds = holdout_folds(parents)
    assert sorted(np.concatenate([fold.held_out for fold in folds])) == list(range(300))
    for fold in folds:
        assert sorted([*fold.held_out, *fold.training]) == list(range(300))
        assert set(fold.withdrawn) == set(parents[fold.held_out].ravel())
        assert not np.isin(parents[fold.training], fold.withdrawn).any()


def test_a_fifth_is_held_out_at_a_time_even_where_groups_differ_in_size():
    parents = parents_of(np.random.default_rng(0))
    parents[:40, 0] = parents[0, 0]  # one group of forty
    assert {len(fold.held_out) for fold in holdout_folds(parents)} == {60}
    assert len(holdout_folds(parents, share=0.34)) == 3


def test_folds_are_drawn_from_the_seed_alone():
    parents = parents_of(np.random.default_rng(0))
    one, same, other = (holdout_folds(parents, seed=seed)[0].held_out for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_mixed_images_that_all_hang_together_cannot_be_held_out():
    chain = np.stack([np.arange(50), np.arange(1, 51)], axis=1)
    with pytest.raises(DataError, match="50 mixed images make 1 groups without a parent in common"):
        holdout_folds(chain)


@pytest.mark.parametrize("share", [0, -0.1, 0.6])
def test_a_share_that_makes_no_folds_is_refused(share):
    with pytest.raises(DataError, match="above 0 and at most"):
        holdout_folds(parents_of(np.random.default_rng(0)), share=share)


@pytest.mark.realdata
def test_the_published_mixed_images_can_be_held_out_in_fifths(realdata: Path):
    with (realdata / "hmix" / "hmix_infer_mixing_factor.csv").open(newline="") as table:
        rows = {(row["id1"], row["id2"], row["mixtureCoeff"]) for row in csv.DictReader(table) if row["id1"]}
    parents = np.array([[int(float(first)), int(float(second))] for first, second, _ in sorted(rows)])
    folds = holdout_folds(parents)
    assert [len(fold.held_out) for fold in folds] == [414] * 5
    assert sum(len(fold.withdrawn) for fold in folds) == len(np.unique(parents)) == 2781
