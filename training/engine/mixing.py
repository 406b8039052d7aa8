"""Mixtures made while a model trains: a batch of two images each, with labels of what people are predicted to see.

In a training the partners are plain images of the same batch, so an arm that mixes sees no image that the others do
not. Both are cropped and mirrored alike and mixed as `mixup@1` mixes stored images: what the net sees is the augmented
picture of a mixture, as with stored ones. `mixed_batch` is for training loops of other people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv
from torch import Tensor

from hilmix.core.errors import DataError
from hilmix.core.mixing import UNIT_E4, mix
from hilmix.core.softlabels import PerceptualMixup
from hilmix.core.softlabels.curves import on_curve
from training.engine.config import OnTheFly
from training.engine.data import Perceived, TrainData, to_pixels
from training.engine.plan import Plan


@dataclass(frozen=True)
class Mixtures:
    """What is mixed with what in one epoch; a place that is not mixed is its own partner.

    `partners` int64 [steps, B], places in the batch; `shares` float32 [steps, B], the share of the label that is the
    first image's; `lambdas_e4` int32 [steps, B], of its pixels, for mixup; `boxes` int64 [steps, B, 4], for cutmix:
    top, bottom, left, right of what the partner covers (bottom and right exclusive).
    """

    partners: NDArray[np.int64]
    shares: NDArray[np.float32]
    lambdas_e4: NDArray[np.int32] | None
    boxes: NDArray[np.int64] | None


def mixtures(plan: Plan, epoch: int, how: OnTheFly, images: NDArray[np.int64], data: TrainData) -> Mixtures:
    """The mixtures of an epoch whose places hold the training images `images` int64 [steps, B].

    λ is drawn for each place from Beta(α, α), by the inverse of its distribution function, and rounded to
    ten-thousandths. cutmix follows Yun et al. (ICCV 2019): a box of √(1 − λ) of the sides about a uniform middle,
    clipped to the picture, and λ then what is left uncovered.
    """
    plain = images < data.n_parents
    chosen = _chosen(plan, epoch, how, plain)
    places = np.broadcast_to(np.arange(plan.batch), images.shape)
    partners = np.where(chosen, _next_plain(plan.uniform(epoch, "partner"), plain), places)
    draws = plan.uniform(epoch, "share").astype(np.float64)
    lambdas_e4 = np.rint(betaincinv(how.alpha, how.alpha, draws) * UNIT_E4).astype(np.int32)
    lambdas_e4 = np.where(partners != places, lambdas_e4, UNIT_E4).astype(np.int32)
    if how.method == "cutmix":
        height, width = data.images.shape[1:3]
        rows, columns = (plan.uniform(epoch, name).astype(np.float64) for name in ("box_row", "box_column"))
        boxes = _boxes(lambdas_e4 / UNIT_E4, rows, columns, height, width)
        area = (boxes[..., 1] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 2])
        return Mixtures(partners, (1 - area / (height * width)).astype(np.float32), None, boxes)
    shares, mixed = np.ones(images.shape), partners != places
    second = np.take_along_axis(images, partners, axis=1)
    shares[mixed] = _shares(how.labels, lambdas_e4[mixed], images[mixed], second[mixed], data)
    return Mixtures(partners, shares.astype(np.float32), lambdas_e4, None)


def mixup_pixels(first: Tensor, second: Tensor, lambdas_e4: Tensor) -> Tensor:
    """`mixup@1` of two batches uint8 [B, H, W, C] by shares of the first in ten-thousandths, int32 [B]."""
    shares = lambdas_e4.view(-1, 1, 1, 1)
    mixed = first.to(torch.int32) * shares
    mixed += second.to(torch.int32) * (UNIT_E4 - shares)
    mixed += UNIT_E4 // 2
    return mixed.div_(UNIT_E4, rounding_mode="floor").to(torch.uint8)


def cutmix_pixels(first: Tensor, second: Tensor, boxes: Tensor) -> Tensor:
    """The first batch uint8 [B, H, W, C] with the second in its boxes int64 [B, 4] (top, bottom, left, right)."""
    top, bottom, left, right = boxes.view(-1, 4, 1).unbind(dim=1)
    rows = torch.arange(first.shape[1], device=first.device)
    columns = torch.arange(first.shape[2], device=first.device)
    inside = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]
    return torch.where(inside[..., None], second, first)


def mixed_batch(
    warp: PerceptualMixup,
    lambdas_e4: NDArray[np.int64],
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    first_classes: NDArray[np.int64],
    second_classes: NDArray[np.int64],
    n_classes: int,
) -> tuple[Tensor, Tensor]:
    """Mix a batch on the fly and label it by the warp of a release (`PerceptualMixup.from_release`).

    Args:
        lambdas_e4: int64 [B], the share of each first image in ten-thousandths, 0–10000.
        first, second: uint8 [B, H, W, C], the images to mix, before they are cropped.
        first_classes, second_classes: int64 [B], their classes.

    Returns pixels float32 [B, C, H, W] in [0, 1], mixed as `mixup@1` mixes stored images, and labels float32 [B, K].
    Raises DataError for other shapes, types and λ.
    """
    if (
        first.dtype != np.uint8
        or first.ndim != 4
        or (first.shape, first.dtype) != (second.shape, second.dtype)
    ):
        raise DataError(
            "both batches must be uint8 [B, H, W, C]; "
            f"got {first.dtype} {first.shape} and {second.dtype} {second.shape}"
        )
    mixed = [mix(one, other, share) for one, other, share in zip(first, second, lambdas_e4, strict=True)]
    labels = warp.label(lambdas_e4 / UNIT_E4, first, second, first_classes, second_classes, n_classes)
    return to_pixels(torch.from_numpy(np.stack(mixed))), torch.from_numpy(labels).to(torch.float32)


def _chosen(plan: Plan, epoch: int, how: OnTheFly, plain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which places are mixed, bool [steps, B]: the same number of any number of plain ones in a batch."""
    if how.share is None:
        if not plan.budget.n_mixed:
            raise DataError("there are no places of mixed images to mix at; give share a number, such as 1")
        return np.asarray(plain & (plan.order(epoch) >= plan.budget.n_parents))
    draws = np.where(plain, plan.uniform(epoch, "mixed"), np.inf)
    rank = draws.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return np.asarray(rank < np.rint(how.share * plain.sum(axis=1, keepdims=True)))


def _next_plain(draws: NDArray[np.float32], plain: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Each place's partner: the next plain one when all plain places of the batch stand in a circle by their draw."""
    order = np.where(plain, draws, np.inf).argsort(axis=1, kind="stable")
    n = np.maximum(plain.sum(axis=1, keepdims=True), 1)
    following = np.take_along_axis(order, (np.arange(plain.shape[1]) + 1) % n, axis=1)
    partners = np.empty_like(order)
    np.put_along_axis(partners, order, following, axis=1)
    return partners


def _boxes(
    lambdas: NDArray[np.float64],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    height: int,
    width: int,
) -> NDArray[np.int64]:
    ratio = np.sqrt(1 - lambdas)
    ends = []
    for side, middle in ((height, rows), (width, columns)):
        half, centre = (side * ratio).astype(np.int64) // 2, np.floor(middle * side).astype(np.int64)
        ends += [np.clip(centre - half, 0, side), np.clip(centre + half, 0, side)]
    return np.stack(ends, axis=-1)


def _shares(
    labels: str,
    lambdas_e4: NDArray[np.int32],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    data: TrainData,
) -> NDArray[np.float64]:
    """The share of each label that is the first image's, float64 [n]."""
    lambdas = lambdas_e4 / UNIT_E4
    if labels == "mixup":
        return lambdas
    perceived = data.perceived or Perceived()
    if labels == "population_curve":
        if perceived.curve is None:
            raise DataError("on_the_fly.labels population_curve needs the curve of a release; none was given")
        return on_curve(lambdas_e4.astype(np.int64), *perceived.curve)
    if perceived.warp is None:
        raise DataError(f"on_the_fly.labels {labels} needs the perceptual warp of a release; none was given")
    features = data.features
    pair = (second, first) if labels == "warp_swapped" else (first, second)
    return perceived.warp.share_of(lambdas, np.stack([features[one] for one in pair], axis=1))
