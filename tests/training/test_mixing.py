from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hilmix.core.errors import DataError
from hilmix.core.features import FEATURES
from hilmix.core.mixing import mix
from hilmix.core.softlabels import PerceptualMixup
from tests.training.small import QUICK
from training.engine import data as engine_data
from training.engine.augment import geometry
from training.engine.batches import Batches, Material
from training.engine.config import MIXING_LABELS, Augment, OnTheFly, TrainConfig
from training.engine.data import Perceived, TrainData
from training.engine.mixing import _boxes, cutmix_pixels, mixed_batch, mixtures, mixup_pixels
from training.engine.plan import Budget, make_plan

WARP = PerceptualMixup.of(
    {"a1": 0.6, "a2": -1.5, "features": {name: {"b": 0.3, "scale": 1.0} for name in FEATURES}}
)
LAMBDAS_E4 = np.array([0, 2500, 5000, 10_000])
CLASSES = np.array([0, 1, 2, 3]), np.array([4, 3, 2, 0])


def images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, 6, 6, 3)).astype(np.uint8)


def test_a_batch_is_mixed_as_stored_images_are_and_labelled_by_the_warp():
    first, second = images(1), images(2)
    pixels, labels = mixed_batch(WARP, LAMBDAS_E4, first, second, *CLASSES, 5)
    assert (pixels.dtype, pixels.shape) == (torch.float32, (4, 3, 6, 6))
    for place, lambda_e4 in enumerate(LAMBDAS_E4.tolist()):
        stored = mix(first[place], second[place], lambda_e4)
        assert torch.equal(
            (pixels[place] * 255).round().to(torch.uint8), torch.from_numpy(stored).permute(2, 0, 1)
        )
    expected = WARP.label(LAMBDAS_E4 / 10_000, first, second, *CLASSES, 5)
    assert labels.numpy() == pytest.approx(expected, abs=1e-7)
    share = WARP.share(LAMBDAS_E4 / 10_000, first, second)
    assert labels[[0, 1, 3], CLASSES[0][[0, 1, 3]]].numpy() == pytest.approx(share[[0, 1, 3]], abs=1e-7)
    assert labels[2, 2] == pytest.approx(1)  # both are of class 2
    assert labels[0].tolist() == [0, 0, 0, 0, 1]


def test_batches_of_other_shapes_and_shares_that_are_none_are_refused():
    with pytest.raises(DataError, match=r"must be uint8 \[B, H, W, C\]"):
        mixed_batch(WARP, LAMBDAS_E4, images(1), images(2)[:, :4], *CLASSES, 5)
    with pytest.raises(DataError, match="whole ten-thousandths"):
        mixed_batch(WARP, np.array([0, 1, 2, 10_001]), images(1), images(2), *CLASSES, 5)


# -- mixtures within a training

BUDGET = Budget(128, 32)
CURVE = {"2500": 0.1, "5000": 0.5, "7500": 0.95}


def made(how: OnTheFly, data: TrainData | None = None, config: TrainConfig = QUICK, epoch: int = 0):
    """Plan, training images of its places, and mixtures of an epoch."""
    data = data or PEOPLE
    plan = make_plan(config, budget=BUDGET, seed=2)
    placed = plan.images(epoch, data.slots_in(BUDGET), data.n_parents)
    return plan, placed, mixtures(plan, epoch, how, placed, data)


def coloured() -> TrainData:
    """128 colour images of random contrast, 32 mixed ones after them, with what people see in mixtures of them."""
    rng = np.random.default_rng(3)
    contrast = rng.random((160, 1, 1, 1))
    pixels = (127 + contrast * rng.integers(-127, 128, (160, 8, 8, 3))).astype(np.uint8)
    targets = np.eye(5)[rng.integers(0, 5, 160)]
    seen = dataclasses.replace(Perceived.of(curve=CURVE), warp=WARP)
    return TrainData(pixels, targets, 128, pixels[:1], np.zeros(1, np.int64), perceived=seen)


PEOPLE = coloured()


def test_every_plain_image_is_mixed_with_another_plain_one_of_its_batch_and_each_is_a_partner_once():
    _, placed, found = made(OnTheFly())
    plain = placed < 128
    places = np.arange(placed.shape[1])
    for row, partners in zip(plain, found.partners, strict=True):
        assert sorted(partners[row]) == sorted(places[row])
        assert (partners[row] != places[row]).all()
        assert np.array_equal(partners[~row], places[~row])
    assert (found.lambdas_e4[~plain] == 10_000).all()
    assert (found.shares[~plain] == 1).all()


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_share_is_the_same_number_of_any_number_of_plain_images(share):
    _, placed, found = made(OnTheFly(share=share))
    mixed = found.partners != np.arange(placed.shape[1])
    plain = (placed < 128).sum(axis=1)
    assert np.array_equal(mixed.sum(axis=1), np.rint(share * plain))


def test_mixtures_in_the_places_of_stored_ones_leave_the_plain_places_alone():
    base = dataclasses.replace(PEOPLE, images=PEOPLE.images[:128], targets=PEOPLE.targets[:128])
    plan, placed, found = made(OnTheFly(share=None), base)
    assert np.array_equal(found.partners != np.arange(placed.shape[1]), plan.order(0) >= 128)
    alone = make_plan(QUICK, budget=Budget(128, 0), seed=0)
    with pytest.raises(DataError, match="no places of mixed images"):
        mixtures(alone, 0, OnTheFly(share=None), alone.order(0), base)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_lambda_follows_the_beta_distribution_and_is_stored_in_ten_thousandths(alpha):
    config = dataclasses.replace(QUICK, mixed_share=None)
    drawn = []
    for epoch in range(20):
        _, placed, found = made(OnTheFly(alpha=alpha), config=config, epoch=epoch)
        drawn.append(found.lambdas_e4[placed < 128])
    lambdas = np.sort(np.concatenate(drawn)) / 10_000
    # Not at the very ends, where a small α has much of its mass within one ten-thousandth.
    at = np.linspace(0.01, 0.99, 50)
    below = np.searchsorted(lambdas, at, side="right") / len(lambdas)
    assert np.abs(below - stats.beta(alpha, alpha).cdf(at)).max() < 0.04


def test_weaker_and_stronger_mixing_order_the_same_draws_alike():
    _, _, one = made(OnTheFly(alpha=0.2))
    _, _, two = made(OnTheFly(alpha=2.0))
    assert np.array_equal(one.partners, two.partners)
    inside = (one.lambdas_e4 > 100) & (one.lambdas_e4 < 9900)  # beyond, rounding makes many equal
    order = np.argsort(one.lambdas_e4[inside])
    assert (np.diff(two.lambdas_e4[inside][order]) >= 0).all()


def test_labels_are_those_of_mixup_of_the_curve_of_the_warp_and_of_the_warp_with_features_exchanged():
    found = {}
    for labels in MIXING_LABELS:
        _, placed, found[labels] = made(OnTheFly(labels=labels))
    mixed = found["mixup"].partners != np.arange(placed.shape[1])
    first, second = placed[mixed], np.take_along_axis(placed, found["mixup"].partners, axis=1)[mixed]
    lambdas = found["mixup"].lambdas_e4[mixed] / 10_000
    assert found["mixup"].shares[mixed] == pytest.approx(lambdas, abs=1e-6)
    curve = np.interp(lambdas, [0, 0.25, 0.5, 0.75, 1], [0, 0.1, 0.5, 0.95, 1])
    assert found["population_curve"].shares[mixed] == pytest.approx(curve, abs=1e-6)
    seen, swapped = found["perceptual_warp"].shares[mixed], found["warp_swapped"].shares[mixed]
    images = PEOPLE.images
    assert seen == pytest.approx(WARP.share(lambdas, images[first], images[second]), abs=1e-6)
    assert swapped == pytest.approx(WARP.share(lambdas, images[second], images[first]), abs=1e-6)
    assert np.abs(seen - swapped).max() > 0.05
    assert all((one.shares[~mixed] == 1).all() for one in found.values())


def test_features_are_computed_once_and_of_plain_images_alone(monkeypatch):
    calls = []
    original = engine_data.features_of
    monkeypatch.setattr(
        engine_data, "features_of", lambda images: calls.append(len(images)) or original(images)
    )
    data = dataclasses.replace(PEOPLE)
    for epoch in range(3):
        made(OnTheFly(labels="perceptual_warp"), data, epoch=epoch)
    assert calls == [128]


def test_the_net_sees_the_stored_mixture_cropped_and_mirrored_and_its_label_is_of_both_parents():
    config = dataclasses.replace(QUICK, augment=Augment(crop=2), on_the_fly=OnTheFly())
    plan, placed, found = made(config.on_the_fly, config=config)
    batches = Batches(Material(config, plan, PEOPLE, torch.device("cpu")), 0)
    pixels, targets = batches.make(1)
    shifts, flips = geometry(plan, 0, config.augment)
    for place in range(8):
        one, other = placed[1, place], placed[1, found.partners[1, place]]
        lambda_e4 = int(found.lambdas_e4[1, place])
        stored = mix(PEOPLE.images[one], PEOPLE.images[other], lambda_e4)
        row, column = shifts[1, place]
        cropped = np.pad(stored, ((2, 2), (2, 2), (0, 0)), mode="reflect")[row : row + 8, column : column + 8]
        expected = cropped[:, ::-1] if flips[1, place] else cropped
        assert np.array_equal((pixels[place] * 255).round().permute(1, 2, 0).numpy(), expected)
        share = lambda_e4 / 10_000
        label = share * PEOPLE.targets[one] + (1 - share) * PEOPLE.targets[other]
        assert targets[place].numpy() == pytest.approx(label, abs=1e-6)
    assert targets.sum(dim=1).tolist() == pytest.approx([1] * len(targets))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_mixup_on_a_device_is_the_stored_mixup_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 256, (2, 3, 2, 2, 3), dtype=np.uint8)
    lambdas_e4 = rng.integers(0, 10_001, 3).astype(np.int32)
    found = mixup_pixels(*map(torch.from_numpy, (first, second, lambdas_e4)))
    expected = np.stack([mix(*three) for three in zip(first, second, lambdas_e4.tolist(), strict=True)])
    assert np.array_equal(found.numpy(), expected)


def test_the_label_of_a_cutmix_is_the_area_left_after_its_box_was_clipped():
    _, placed, found = made(OnTheFly("cutmix"))
    first = torch.zeros((placed.shape[1], 8, 8, 3), dtype=torch.uint8)
    for boxes, shares in zip(found.boxes, found.shares, strict=True):
        cut = cutmix_pixels(first, first + 1, torch.from_numpy(boxes))
        kept = (cut == 0).to(torch.float64).mean(dim=(1, 2, 3))
        assert kept.numpy() == pytest.approx(shares, abs=1e-6)
    mixed = found.partners != np.arange(placed.shape[1])
    assert (found.shares[~mixed] == 1).all()


def test_a_cutmix_box_is_that_of_the_paper_clipped_to_the_picture():
    # λ = 0.75: sides of half the picture. In the middle whole; in a corner a quarter of it is left.
    rows, columns = np.array([0.5, 0.0]), np.array([0.5, 0.0])
    found = _boxes(np.array([0.75, 0.75]), rows, columns, 32, 16)
    assert found.tolist() == [[8, 24, 4, 12], [0, 8, 0, 4]]
    assert _boxes(np.array([1.0]), rows[:1], columns[:1], 32, 16).tolist() == [[16, 16, 8, 8]]
