"""Weather: snow, frost, fog, light, splashes. Hendrycks & Dietterich (ICLR 2019), appendix A.

Each takes pictures float32 [N, H, W, C] in [0, 1], one generator an image, and a severity's constants; C is 1 or 3.
Two things are ours and not CIFAR-10-C's: the texture of frost is generated, for its photographs are not ours to
ship, and the outline of water drops is the border of the drop and not Canny's edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from training.evaluation.corruptions.draws import Floats, Generators, angles, normal
from training.evaluation.corruptions.sampling import filtered, gaussian, plasma, streaked, zoomed

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_ICE = np.array([0.84, 0.93, 1.0], dtype=np.float32)
_WATER = np.array([175, 238, 238], dtype=np.float32) / 255  # pale turquoise
_MUD = np.array([63, 42, 20], dtype=np.float32) / 255
_FAR = 20  # pixels: no distance inside a drop counts as more
_EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
_BOX = np.full((3, 3), 1 / 9)


def brightness(x: Floats, rngs: Generators, more: float) -> Floats:
    """HSV value + `more`, hue and saturation kept: rgb·V′/V with V = max rgb; black becomes grey."""
    value = x.max(axis=3, keepdims=True)
    raised = np.minimum(value + np.float32(more), 1)
    return np.where(value > 0, x * (raised / np.where(value > 0, value, 1)), raised)


def fog(x: Floats, rngs: Generators, strength: float, decay: float) -> Floats:
    """(x + strength·cloud)·m/(m + strength), m the picture's maximum, the cloud a plasma fractal."""
    most = x.max(axis=(1, 2, 3), keepdims=True)
    cloud = plasma(rngs, x.shape[1], x.shape[2], decay)[..., None]
    return (x + np.float32(strength) * cloud) * most / (most + np.float32(strength))


def frost(x: Floats, rngs: Generators, share: float, ice: float) -> Floats:
    """share·x + ice·texture; the texture is ridges (1 − |2m − 1|)² over clouds, tinted pale blue, ours."""
    coarse, fine = (plasma(rngs, x.shape[1], x.shape[2], decay) for decay in (1.6, 1.2))
    texture = 0.4 * coarse + 0.6 * (1 - np.abs(2 * fine - 1)) ** 2
    return np.float32(share) * x + np.float32(ice) * texture[..., None] * _tint(_ICE, x.shape[3])


def snow(
    x: Floats,
    rngs: Generators,
    mean: float,
    sd: float,
    zoom: float,
    least: float,
    radius: int,
    sigma: float,
    keep: float,
) -> Floats:
    """Flakes drawn, magnified, cut off below `least` and streaked, over a picture that is paler by 1 − `keep`.

    Flakes fall at −135° to −45°, and once more turned by 180°.
    """
    height, width = x.shape[1:3]
    flakes = zoomed(np.float32(mean) + np.float32(sd) * normal(rngs, (height, width, 1)), zoom)
    flakes = np.clip(np.where(flakes < least, 0, flakes), 0, 1).astype(np.float32)
    flakes = streaked(flakes, radius, sigma, angles(rngs, -135, -45))
    pale = np.maximum(x, 1.5 * grey(x) + 0.5)
    return np.float32(keep) * x + np.float32(1 - keep) * pale + flakes + flakes[:, ::-1, ::-1]


def spatter(
    x: Floats, rngs: Generators, mean: float, sd: float, sigma: float, least: float, strength: float, mud: int
) -> Floats:
    """Drops where smoothed noise exceeds `least`: pale water that catches light at one side, or mud (`mud` = 1)."""
    liquid = gaussian(np.float32(mean) + np.float32(sd) * normal(rngs, x.shape[1:3]), sigma)
    drops = liquid > least
    if mud:
        cover = gaussian(drops.astype(np.float32), strength)
        cover = np.where(cover < 0.8, 0, cover)[..., None]
        return x * (1 - cover) + cover * _tint(_MUD, x.shape[3])
    light = np.where(drops, liquid, 0) * _relief(drops)
    most = light.max(axis=(1, 2), keepdims=True)
    light = np.float32(strength) * light / np.where(most > 0, most, 1)
    return x + light[..., None] * _tint(_WATER, x.shape[3])


def grey(x: Floats) -> Floats:
    """Luma of RGB, or the one channel itself: [N, H, W, 1]."""
    return x if x.shape[3] == 1 else (x @ LUMA)[..., None]


def _tint(colour: Floats, channels: int) -> Floats:
    """A colour for three channels, or its luma for one."""
    return colour if channels == 3 else (colour @ LUMA)[None]


def _relief(drops: NDArray[np.bool_]) -> Floats:
    """How much light each pixel of the drops [N, H, W] throws back, 0–255: depth below the outline, embossed."""
    outline = drops & ~binary_erosion(drops, np.ones((1, 3, 3)), border_value=1)
    depth = np.stack(
        [distance_transform_edt(~one) if one.any() else np.full(one.shape, _FAR) for one in outline]
    )
    depth = np.floor(filtered(np.minimum(depth, _FAR).astype(np.float32), _BOX) + np.float32(1e-4))
    embossed = np.clip(filtered(_equalised(depth.astype(np.int64)), _EMBOSS), 0, 255)
    return filtered(embossed, _BOX)


def _equalised(levels: NDArray[np.int64]) -> Floats:
    """Each picture's whole-numbered levels [N, H, W] spread over 0–255 by their cumulative count."""
    n, size = len(levels), _FAR + 1
    which = (np.arange(n) * size)[:, None, None] + levels
    total = np.bincount(which.ravel(), minlength=n * size).reshape(n, size).cumsum(axis=1)
    lowest = np.take_along_axis(total, levels.min(axis=(1, 2))[:, None], axis=1)
    spread = 255 * (total - lowest) / np.maximum(total[:, -1:] - lowest, 1)
    return np.rint(spread).astype(np.float32).ravel()[which]
