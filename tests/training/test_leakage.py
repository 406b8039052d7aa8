"""The check that nothing is judged on what it was trained on."""

from __future__ import annotations

import numpy as np

from training.evaluation.leakage import check_leakage


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
