"""What is drawn before a training: the same for all arms of a seed, epoch by epoch, place by place."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest

from hilmix.core.errors import DataError
from tests.training.small import QUICK, digits
from training.engine.config import Augment, OnTheFly, TrainConfig
from training.engine.plan import DRAWS, Budget, Plan, make_plan

BUDGET = Budget(300, 30)
SHARED = dataclasses.replace(QUICK, mixed_share=0.25)


def plan(config: TrainConfig = QUICK, budget: Budget = BUDGET, seed: int = 1) -> Plan:
    return make_plan(config, budget=budget, seed=seed)


def test_an_epoch_uses_each_image_once_and_drops_less_than_a_batch():
    made = plan()
    for epoch in range(2):
        order = made.order(epoch)
        assert order.shape == (5, 64)
        assert len(np.unique(order)) == 320
        assert order.max() <= 329
    assert not np.array_equal(made.order(0), made.order(1))


def test_a_plan_depends_on_the_seed_alone():
    assert plan().sha256 == plan().sha256
    assert plan().sha256 != plan(seed=2).sha256


@pytest.mark.parametrize(
    "change",
    [
        {"augment": Augment(crop=3, flip=False, rotation=20, noise=0.2)},
        {"on_the_fly": OnTheFly(alpha=0.2)},
        {"ema": 0.99},
        {"precision": "bf16"},
    ],
)
def test_what_an_arm_may_change_leaves_the_budget_equal(change):
    changed = plan(dataclasses.replace(QUICK, **change))
    assert changed.sha256 == plan().sha256
    assert all(np.array_equal(changed.uniform(1, name), plan().uniform(1, name)) for name in DRAWS)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 3},
        {"batch_size": 32},
        {"schedule": "steps"},
        {"mixed_share": 0.25},
    ],
)
def test_other_steps_batches_or_forms_of_the_schedule_are_another_budget(change):
    assert plan(dataclasses.replace(QUICK, **change)).sha256 != plan().sha256


@pytest.mark.parametrize("schedule", ["cosine", "steps"])
@pytest.mark.parametrize("tuned", [{"lr": 0.05}, {"warmup_epochs": 0.5}, {"factor": 0.2}, {"momentum": 0.5}])
def test_arms_that_were_tuned_apart_have_an_equal_budget(tuned, schedule):
    config = dataclasses.replace(QUICK, schedule=schedule)
    assert plan(dataclasses.replace(config, **tuned)).sha256 == plan(config).sha256


def test_a_negative_seed_is_refused():
    with pytest.raises(DataError, match="the seed is -1; it must be"):
        plan(seed=-1)


def test_milestones_are_part_of_the_budget_only_where_they_are_used():
    moved = dataclasses.replace(QUICK, milestones=(0.6,))
    assert plan(moved).sha256 == plan().sha256
    steep, later = (dataclasses.replace(one, schedule="steps") for one in (QUICK, moved))
    assert plan(steep).sha256 != plan(later).sha256


@pytest.mark.parametrize("config", [QUICK, SHARED])
def test_an_epoch_is_drawn_without_those_before_it(config):
    long = dataclasses.replace(config, epochs=1000)
    late, again = plan(long), plan(long)
    for epoch in range(990):
        late.order(epoch)
    assert np.array_equal(late.order(990), again.order(990))
    assert np.array_equal(late.uniform(990, "flip"), again.uniform(990, "flip"))


def test_a_thousand_epochs_take_no_more_memory_than_one():
    made = plan(dataclasses.replace(QUICK, epochs=1000), Budget(50_000, 2070))
    tracemalloc.start()
    for epoch in (0, 500, 999):
        made.order(epoch)
        for name in DRAWS:
            made.uniform(epoch, name)
    assert len(made.sha256) == 64
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_draws_are_uniform_and_apart_from_each_other():
    made = plan(budget=Budget(20_000, 0))
    drawn = np.stack([made.uniform(0, name).ravel() for name in DRAWS])
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert drawn.mean(axis=1) == pytest.approx(0.5, abs=0.02)
    assert np.abs(np.corrcoef(drawn) - np.eye(len(DRAWS))).max() < 0.05


def test_a_fixed_share_of_mixed_images_is_in_every_batch_and_each_comes_as_often():
    made = plan(SHARED)
    orders = np.stack([made.order(epoch) for epoch in range(made.epochs)])
    assert orders.shape == (2, 6, 64)
    assert ((orders >= 300).sum(axis=2) == 16).all()
    counts = np.bincount(orders[orders >= 300] - 300, minlength=30)
    assert counts.max() - counts.min() <= 1
    for order in orders:
        assert len(np.unique(order[order < 300])) == 6 * 48


def test_a_share_that_cannot_be_filled_is_refused():
    with pytest.raises(DataError, match="cannot be filled"):
        plan(dataclasses.replace(QUICK, mixed_share=0.5), Budget(300, 0))
    with pytest.raises(DataError, match="too few"):
        plan(budget=Budget(1, 0))


def test_an_arm_with_all_images_has_them_where_the_plan_says():
    made = plan()
    assert np.array_equal(made.images(0, np.arange(330), 300), made.order(0))


@pytest.mark.parametrize("config", [QUICK, SHARED])
def test_an_arm_with_fewer_images_keeps_the_places_of_its_own_and_repeats_them_evenly_elsewhere(config):
    made = plan(config)
    slots = np.concatenate(
        [np.arange(0, 300, 2), np.arange(300, 320)]
    )  # half of the plain, two thirds of the mixed
    images, order = made.images(1, slots, 150), made.order(1)
    own = np.isin(order, slots)
    assert np.array_equal(slots[images[own]], order[own])
    assert np.array_equal(images >= 150, order >= 300)  # as many plain and mixed ones in every batch
    for kind in (True, False):
        stand_ins = images[~own & ((order >= 300) == kind)]
        counts = (
            np.bincount(stand_ins, minlength=170)[150:]
            if kind
            else np.bincount(stand_ins, minlength=150)[:150]
        )
        assert counts.max() - counts.min() <= 1
    assert not np.array_equal(images, made.images(0, slots, 150))


def test_an_arm_without_mixed_images_fills_their_places_with_plain_ones():
    made = plan(SHARED)
    images, order = made.images(0, np.arange(300), 300), made.order(0)
    assert images.max() < 300
    assert np.array_equal(images[order < 300], order[order < 300])


@pytest.mark.parametrize(
    ("slots", "budget"),
    [
        (None, Budget(100, 32)),  # fewer than the arm has
        (np.arange(159), Budget(128, 32)),  # not one each
        (np.r_[0, np.arange(159)], Budget(128, 32)),  # two in one
        (np.arange(160)[::-1].copy(), Budget(128, 32)),  # plain ones among the mixed
        (np.arange(160), Budget(120, 60)),
        (np.r_[-1, np.arange(1, 160)], Budget(128, 32)),
    ],
)
def test_images_that_do_not_fit_in_the_budget_are_refused(slots, budget):
    with pytest.raises(DataError, match="do not fit in a budget"):
        dataclasses.replace(digits(128), slots=slots).slots_in(budget)


def test_without_slots_an_arm_lacks_the_last_of_each_kind():
    slots = digits(128).slots_in(Budget(200, 40))
    assert slots.tolist() == [*range(128), *range(200, 232)]
