"""Pixel features of plain images, of which the share that people see in a mixture of two can be predicted.

Four numbers an image, chosen in a recomputation of the published H-Mix answers: how busy, how varied, how bright and
how colourful a picture is. `softlabels.warp` fits on differences of them; nothing here knows of people.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hilmix.core.errors import DataError

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

FEATURES = ("log_edge_energy", "contrast", "mean", "saturation")

_LUMA = np.array([0.299, 0.587, 0.114])  # of red, green, blue: ITU-R BT.601
_FLOOR = 1e-4  # edge energy below which an image counts as flat: steps of 2.5 of 255 between neighbours
_BLOCK = 1024  # images at a time, so that memory does not grow with their number


def features_of(images: Pixels) -> Floats:
    """The pixel features of plain images, in the order of `FEATURES`.

    With luminance Y in 0–1 (ITU-R BT.601; the value itself in a grey image):
    `log_edge_energy` ln(mean(ΔY² downwards) + mean(ΔY² to the right) + 10⁻⁴) · `contrast` standard deviation of Y ·
    `mean` mean of Y · `saturation` mean over pixels of (max − min) / max of the three colours, 0 in grey and black.

    Args:
        images: uint8 [N, H, W, C], C = 1 or 3, at least 2 × 2 pixels.

    Returns float64 [N, 4]. Raises DataError for another shape or type.
    """
    height, width, channels = images.shape[1:] if images.ndim == 4 else (0, 0, 0)
    if images.dtype != np.uint8 or min(height, width) < 2 or channels not in (1, 3):
        raise DataError(
            f"The images are {images.dtype} {list(images.shape)}; they must be uint8 [N, H, W, C] of 2 × 2 pixels or "
            "more, with 1 or 3 channels."
        )
    blocks = [_features(images[start : start + _BLOCK]) for start in range(0, len(images), _BLOCK)]
    return np.concatenate([np.empty((0, len(FEATURES))), *blocks])


def _features(images: Pixels) -> Floats:
    luminance = (images @ _LUMA if images.shape[3] == 3 else images[..., 0]) / 255
    edges = sum(np.mean(np.diff(luminance, axis=axis) ** 2, axis=(1, 2)) for axis in (1, 2))
    brightest, darkest = images.max(axis=3), images.min(axis=3)
    colour = (brightest - darkest) / np.maximum(brightest, 1)
    columns = (
        np.log(edges + _FLOOR),
        luminance.std(axis=(1, 2)),
        luminance.mean(axis=(1, 2)),
        colour.mean(axis=(1, 2)),
    )
    return np.stack(columns, axis=1)
