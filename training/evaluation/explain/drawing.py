"""What heat maps and features need of a model: its pixels in chunks, evaluation mode lent, cells drawn larger."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hilmix.core.errors import DataError
from training.engine.data import to_pixels

_CHUNK = 100  # images at once: gradients and attention of all layers are held


def chunks(images: NDArray[np.uint8], device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Pixels float32 [B, C, H, W] in [0, 1] on `device`, a hundred images at a time, and which those are.

    Raises `DataError` unless the images are uint8 [N, H, W, C], at least one.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise DataError(f"images to explain must be uint8 [N, H, W, C]; got {images.dtype} {images.shape}")
    for start in range(0, len(images), _CHUNK):
        part = slice(start, min(start + _CHUNK, len(images)))
        yield part, to_pixels(torch.from_numpy(np.ascontiguousarray(images[part])).to(device))


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every module is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def drawn_larger(cells: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    """Maps [N, M, h, w] at `height` × `width`, interpolated bilinearly between the middles of the cells."""
    larger = F.interpolate(torch.from_numpy(cells), (height, width), mode="bilinear", align_corners=False)
    return np.asarray(larger.numpy(), dtype=np.float32)
