"""Random changes of a batch, all images at once, on whatever device they are on.

Uniform draws of the plan become angles, widths and factors by an arm's strengths: an arm with twice the strength
turns the same pictures twice as far. The order is fixed: crop and mirror (`data.DeviceImages`), mix, and then, here,
rotation, blur, brightness, contrast, noise, and a clip to [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from training.engine.config import Augment
from training.engine.plan import Plan

_REACH = 3  # standard deviations at which a Gaussian is cut off


def geometry(plan: Plan, epoch: int, augment: Augment) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of every place of an epoch where its crop starts in the padded picture, int64 [steps, B, 2] within 0..2·crop,
    and whether it is mirrored, bool [steps, B]."""
    rows, columns = (plan.uniform(epoch, name) for name in ("row", "column"))
    shifts = np.floor(np.stack([rows, columns], axis=-1).astype(np.float64) * (2 * augment.crop + 1))
    flips = plan.uniform(epoch, "flip") < 0.5 if augment.flip else np.zeros(rows.shape, dtype=np.bool_)
    return shifts.astype(np.int64), flips


def amounts(plan: Plan, epoch: int, augment: Augment) -> dict[str, NDArray[np.float32]]:
    """How much of each change every place gets, float32 [steps, B]; changes that are left out are not there.

    `rotation` radians, `blur` standard deviation in pixels, `noise` standard deviation in [0, 1], `brightness` and
    `contrast` factors.
    """
    scaled: dict[str, NDArray[np.float32]] = {}
    for name in ("rotation", "blur", "brightness", "contrast", "noise"):
        if strength := getattr(augment, name):
            draw = plan.uniform(epoch, name)
            if name == "rotation":
                draw = (2 * draw - 1) * math.radians(strength)
            else:
                draw = draw * strength if name in ("blur", "noise") else 1 + (2 * draw - 1) * strength
            scaled[name] = draw.astype(np.float32)
    return scaled


def change(pixels: Tensor, by: Mapping[str, Tensor], augment: Augment) -> Tensor:
    """The changed batch, float32 [B, C, H, W] in [0, 1]; `by` holds one amount an image, float32 [B], of some of
    the changes of `amounts`. Noise is drawn from torch's generator of the device, and depends on the shape alone."""
    if "rotation" in by:
        pixels = rotated(pixels, by["rotation"])
    if "blur" in by:
        pixels = blurred(pixels, by["blur"], math.ceil(_REACH * augment.blur))
    if "brightness" in by:
        pixels = (pixels * _each(by["brightness"])).clamp_(0, 1)
    if "contrast" in by:
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        pixels = mean + (pixels - mean) * _each(by["contrast"])
    if "noise" in by:
        # In the order of the shape, never of the memory, which rotation changes: the same grains in every arm.
        grains = torch.randn(pixels.shape, device=pixels.device, dtype=pixels.dtype)
        pixels = pixels + grains * _each(by["noise"])
    return pixels.clamp(0, 1)


def rotated(pixels: Tensor, radians: Tensor) -> Tensor:
    """Each picture [B, C, H, W] turned anticlockwise about its middle by its angle [B], between pixels bilinearly;
    what comes in at the corners is the picture reflected at its edges."""
    height, width = pixels.shape[2:]
    cos, sin, none = radians.cos(), radians.sin(), torch.zeros_like(radians)
    # Coordinates run from −1 to 1 in both directions, so of a picture that is not square one of them is stretched.
    matrix = torch.stack([cos, -sin * height / width, none, sin * width / height, cos, none], dim=1)
    grid = F.affine_grid(matrix.view(-1, 2, 3), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def blurred(pixels: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Each picture [B, C, H, W] under a Gaussian of its own width [B], in pixels, cut off at `radius` pixels;
    reflected at its edges, as far as it goes. A width of 0 leaves the picture as it is."""
    for dimension in (2, 3):
        reach = min(radius, pixels.shape[dimension] - 1)
        steps = torch.arange(-reach, reach + 1, device=pixels.device, dtype=pixels.dtype)
        weights = torch.exp(-0.5 * (steps / sigma.clamp_min(1e-3)[:, None]) ** 2)
        weights = weights / weights.sum(dim=1, keepdim=True)
        border = (0, 0, reach, reach) if dimension == 2 else (reach, reach, 0, 0)
        padded, length = F.pad(pixels, border, mode="reflect"), pixels.shape[dimension]
        # Shifted and weighted pictures added up: each image has its own kernel, which no convolution takes at once.
        total = torch.zeros_like(pixels)
        for place in range(2 * reach + 1):
            total.addcmul_(padded.narrow(dimension, place, length), _each(weights[:, place]))
        pixels = total
    return pixels


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
