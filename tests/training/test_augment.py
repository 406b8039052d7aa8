"""Random changes of a batch against plain ones of single pictures: scipy's, and by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from tests.training.small import CPU, QUICK, digits
from training.engine.augment import amounts, blurred, change, geometry, rotated
from training.engine.batches import Batches, Material
from training.engine.config import Augment, OnTheFly
from training.engine.data import TrainData
from training.engine.plan import Budget, make_plan

PLAN = make_plan(QUICK, budget=Budget(2000, 0), seed=5)
RNG = np.random.default_rng(0)


def pictures(n: int = 4, channels: int = 3, height: int = 16, width: int = 16) -> torch.Tensor:
    made = RNG.random((n, channels, height, width)).astype(np.float32)
    return torch.from_numpy(made).contiguous(memory_format=torch.channels_last)


def test_draws_are_scaled_by_the_strengths():
    weak, strong = (
        Augment(rotation=10 * k, blur=k, noise=0.1 * k, brightness=0.2 * k, contrast=0.3 * k) for k in (1, 2)
    )
    one, two = (amounts(PLAN, 0, augment) for augment in (weak, strong))
    for name in ("rotation", "blur", "noise"):
        assert two[name] == pytest.approx(2 * one[name], rel=1e-5)
    for name in ("brightness", "contrast"):
        assert two[name] - 1 == pytest.approx(2 * (one[name] - 1), rel=1e-4, abs=1e-6)
    assert np.abs(one["rotation"]).max() == pytest.approx(math.radians(10), rel=0.01)
    assert (one["blur"].min(), one["blur"].max()) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.01))
    assert (one["contrast"].min(), one["contrast"].max()) == (
        pytest.approx(0.7, abs=0.01),
        pytest.approx(1.3, abs=0.01),
    )


def test_what_is_left_out_is_not_done():
    assert amounts(PLAN, 0, Augment()) == {}
    shifts, flips = geometry(PLAN, 0, Augment(crop=0, flip=False))
    assert not shifts.any()
    assert not flips.any()


def test_crops_and_mirrors_take_every_place_about_as_often():
    shifts, flips = geometry(PLAN, 0, Augment(crop=2))
    counts = np.bincount((5 * shifts[..., 0] + shifts[..., 1]).ravel(), minlength=25)
    assert len(counts) == 25
    assert counts.min() > 0.5 * shifts[..., 0].size / 25
    assert flips.mean() == pytest.approx(0.5, abs=0.05)


def test_each_picture_is_blurred_by_its_own_width():
    batch, widths = pictures(), torch.tensor([0.0, 0.4, 1.0, 1.7])
    found = blurred(batch, widths, 6).numpy()
    assert np.array_equal(found[0], batch[0].numpy())
    for place in (1, 2, 3):
        # "mirror" of scipy is torch's "reflect": the edge pixel is not repeated.
        expected = ndimage.gaussian_filter(
            batch[place].numpy().astype(np.float64),
            (0, *[float(widths[place])] * 2),
            mode="mirror",
            radius=(0, 6, 6),
        )
        assert found[place] == pytest.approx(expected, abs=1e-5)


def test_a_blur_wider_than_the_picture_is_cut_off_at_it():
    found = blurred(pictures(2, 1, 4, 5), torch.tensor([3.0, 3.0]), 9)
    assert found.shape == (2, 1, 4, 5)
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 17)])
def test_a_quarter_turn_is_an_exact_quarter_turn_anticlockwise(height, width):
    batch = pictures(3, 1, height, width)
    angles = torch.tensor([0.0, math.pi / 2, math.pi])
    found = rotated(batch, angles)
    expected = torch.stack([batch[0], batch[1].rot90(1, (1, 2)), batch[2].rot90(2, (1, 2))])
    assert torch.allclose(found, expected, atol=1e-4)


def test_pictures_that_are_not_square_are_turned_without_stretching():
    # A bar of nine pixels across, turned by a quarter, is a bar of nine pixels down.
    bar = torch.zeros(1, 1, 15, 31)
    bar[0, 0, 7, 11:20] = 1
    found = rotated(bar, torch.tensor([math.pi / 2]))
    expected = torch.zeros(15, 9)
    expected[3:12, 4] = 1
    assert torch.allclose(found[0, 0, :, 11:20], expected, atol=1e-4)


def test_brightness_multiplies_and_contrast_spreads_about_the_mean():
    batch, factors = 0.25 + 0.5 * pictures(2), torch.tensor([0.8, 1.2])
    each = factors.view(-1, 1, 1, 1)
    brighter = change(batch, {"brightness": factors}, Augment(brightness=0.3))
    assert torch.allclose(brighter, batch * each)
    spread = change(batch, {"contrast": factors}, Augment(contrast=0.3))
    mean = batch.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(spread, mean + (batch - mean) * each, atol=1e-6)
    assert torch.allclose(spread.mean(dim=(1, 2, 3)), mean.flatten(), atol=1e-6)


def test_noise_has_the_standard_deviation_of_each_picture_and_nothing_leaves_its_range():
    batch = torch.full((2, 3, 64, 64), 0.5)
    torch.manual_seed(0)
    found = change(batch, {"noise": torch.tensor([0.02, 0.1])}, Augment(noise=0.1))
    assert found.std(dim=(1, 2, 3)).tolist() == pytest.approx([0.02, 0.1], rel=0.03)
    wild = change(
        pictures(), {"noise": torch.full((4,), 1.0), "brightness": torch.full((4,), 2.0)}, Augment()
    )
    assert (float(wild.min()), float(wild.max())) == (0, 1)


def test_the_grains_of_noise_do_not_depend_on_how_a_picture_lies_in_memory():
    batch, amount = pictures(), {"noise": torch.full((4,), 0.1)}
    found = []
    for layout in (torch.channels_last, torch.contiguous_format):
        torch.manual_seed(3)
        found.append(change(batch.contiguous(memory_format=layout), amount, Augment(noise=0.1)))
    assert torch.equal(found[0], found[1])


def coloured(n: int = 96) -> TrainData:
    images = RNG.integers(100, 156, (n, 8, 8, 3), dtype=np.uint8)
    return TrainData(images, np.eye(2)[np.arange(n) % 2], n, images[:2], np.arange(2))


@pytest.mark.parametrize(
    "other", [{"rotation": 1e-9}, {"blur": 1e-9}, {"contrast": 1e-9, "brightness": 1e-9}]
)
def test_arms_with_other_changes_get_the_same_grains_of_noise(other):
    data = coloured()
    made = []
    for augment in (Augment(0, noise=0.1), Augment(0, noise=0.1, **other)):
        config = dataclasses.replace(QUICK, augment=augment)
        plan = make_plan(config, budget=Budget(96, 0), seed=0)
        torch.manual_seed(3)
        made.append(Batches(Material(config, plan, data, CPU), 0).make(0)[0])
    assert torch.allclose(made[0], made[1], atol=1e-5)


@pytest.mark.parametrize(
    ("augment", "mixing"),
    [
        (Augment(1), None),
        (Augment(1, rotation=9), None),
        (Augment(1, blur=1), None),
        (Augment(1, True, 15, 1, 0.1, 0.2, 0.2), OnTheFly()),
        (Augment(1), OnTheFly("cutmix")),
    ],
)
def test_pictures_in_colour_come_in_channels_last_order(augment, mixing):
    config = dataclasses.replace(QUICK, augment=augment, on_the_fly=mixing)
    plan = make_plan(config, budget=Budget(96, 0), seed=0)
    pixels, _ = Batches(Material(config, plan, coloured(), CPU), 0).make(0)
    assert pixels.shape == (64, 3, 8, 8)
    assert pixels.stride() == (192, 1, 24, 3)


def test_every_change_at_once_gives_channels_last_pixels_and_the_same_ones_again():
    augment = Augment(1, True, 15, 1, 0.1, 0.2, 0.2)
    config = dataclasses.replace(QUICK, augment=augment)
    data = digits(128)
    plan = make_plan(config, budget=Budget(128, 32), seed=0)
    made = []
    for _ in range(2):
        torch.manual_seed(3)
        made.append(Batches(Material(config, plan, data, CPU), 1).make(1))
    (pixels, targets), (again, _) = made
    assert torch.equal(pixels, again)
    assert pixels.shape == (64, 1, 8, 8)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert targets.sum(dim=1).tolist() == pytest.approx([1] * 64)
    plain = Batches(Material(QUICK, plan, data, CPU), 1).make(1)
    assert torch.equal(plain[1], targets)
    assert not torch.equal(plain[0], pixels)
