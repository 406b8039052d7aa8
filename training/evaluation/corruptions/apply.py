"""`corrupted`: one corruption of a stack of images, the same whatever else is in the stack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from training.evaluation.corruptions.draws import generators
from training.evaluation.corruptions.table import TRANSFORMS

_CHUNK = 1 << 20  # values worked on at once: they stay near the processor


def corrupted(images: NDArray[np.uint8], name: str, severity: int, seed: int = 0) -> NDArray[np.uint8]:
    """`images` uint8 [N, H, W, C] put through the transform `name` at `severity` (1 is mildest): uint8, same shape.

    Random numbers depend on (seed, name, severity, the image's pixels), so on no batch and no order. The result is
    rounded to the nearest level (CIFAR-10-C cuts off, and so is half a level darker). Raises `DataError` for an
    unknown name or severity and for anything but images of one or three channels, at least 2 pixels a side.
    """
    _check(images, name, severity)
    transform, chunks = TRANSFORMS[name], []
    size = max(1, _CHUNK // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), size):
        some = images[start : start + size]
        rngs = generators(some, name, severity, seed)
        x = some.astype(np.float32) / np.float32(255)
        changed = transform.function(x, rngs, *transform.severities[severity - 1])
        chunks.append(np.rint(np.clip(changed, 0, 1) * np.float32(255)).astype(np.uint8))
    return np.concatenate(chunks) if chunks else images.copy()


def _check(images: NDArray[np.uint8], name: str, severity: int) -> None:
    if name not in TRANSFORMS:
        raise DataError(f"there is no corruption {name!r}; choose one of {', '.join(TRANSFORMS)}")
    most = len(TRANSFORMS[name].severities)
    if severity not in range(1, most + 1):
        raise DataError(f"{name} has no severity {severity}; choose one from 1 to {most}")
    if (
        images.ndim != 4
        or images.dtype != np.uint8
        or images.shape[3] not in (1, 3)
        or min(images.shape[1:3]) < 2
    ):
        raise DataError(
            "corruptions need uint8 images [N, H, W, C] of one or three channels and at least 2 pixels a side; got "
            f"{images.dtype} {list(images.shape)}"
        )
