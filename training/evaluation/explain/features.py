"""Penultimate features: what a model makes of an image just before it weighs the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.engine.nets import Normalised, head_of
from training.evaluation.explain.drawing import chunks, evaluating


def penultimate(model: Normalised, images: NDArray[np.uint8], *, device: torch.device) -> NDArray[np.float32]:
    """What goes into the last linear layer, float32 [N, D], for uint8 images [N, H, W, C]; no augmentation.

    `model` is on `device`, and in the mode it was in afterwards.
    """
    seen: list[Tensor] = []

    def keep(_module: nn.Module, args: tuple[Any, ...]) -> None:
        seen.append(args[0].flatten(1).float().cpu())

    hook = head_of(model.net)[1].register_forward_pre_hook(keep)
    try:
        with evaluating(model), torch.inference_mode():
            for _, pixels in chunks(images, device):
                model(pixels)
    finally:
        hook.remove()
    return np.asarray(torch.cat(seen).numpy())
