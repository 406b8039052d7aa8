"""Mixtures made while a model trains: a batch of two images each, with labels of what people are predicted to see."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilmix.core.errors import DataError
from hilmix.core.mixing import UNIT_E4, mix
from hilmix.core.softlabels import PerceptualMixup
from training.engine.data import to_pixels


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
