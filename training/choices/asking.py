"""Asking a trained model about images: files to pixels, pixels to probabilities. No Django; torch only to ask.

The five lines of a model card are made of this, so what it does is all that lies between a file and an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilmix.core.loaders import read_picture

if TYPE_CHECKING:
    from torch import nn

ImageShape = tuple[int, int, int]  # height, width, channels


def read_images(
    files: Sequence[Any], image_shape: ImageShape, *, names: Sequence[str] = ()
) -> NDArray[np.uint8]:
    """Image files, by path or open, as uint8 [N, H, W, C]: upright, scaled and cropped to the middle where they are of
    another size, grey or RGB as the model was trained on.

    Raises `DataError` that names the file, by `names` where they are given, which is no picture or too large.
    """
    height, width, channels = image_shape
    named = names or [str(file) for file in files]
    pictures = [
        read_picture(name, Path(file) if isinstance(file, str) else file, (width, height)).convert(
            "L" if channels == 1 else "RGB"
        )
        for name, file in zip(named, files, strict=True)
    ]
    pixels = np.empty((len(pictures), *image_shape), np.uint8)
    for row, picture in enumerate(pictures):
        pixels[row] = np.asarray(picture).reshape(image_shape)
    return pixels


def probabilities(model: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the model says of uint8 [N, H, W, C], float64 [N, K] by class, each row summing to 1, on the device that it
    is on; as trained, without a temperature."""
    from training.engine.predict import predict
    from training.evaluation.metrics import log_softmax

    logits = predict(model, images, device=next(model.parameters()).device)
    return np.exp(log_softmax(logits))
