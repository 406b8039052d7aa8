"""From a trained model to logits, and weights to and from disk as safetensors (never pickle)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.engine.data import to_pixels
from training.engine.device import autocast
from training.engine.nets import Normalised, build_net

_CHUNK = {"cuda": 1000, "cpu": 128}  # images at once: a processor is fastest while they fit its caches


def predict(
    model: nn.Module, images: NDArray[np.uint8], *, device: torch.device, precision: str = "fp32"
) -> NDArray[np.float64]:
    """Logits float64 [N, K] of uint8 images [N, H, W, C]: one view each, no augmentation."""
    model.eval()
    parts, size = [], _CHUNK.get(device.type, 1000)
    with torch.inference_mode(), autocast(precision, device):
        for start in range(0, len(images), size):
            chunk = torch.from_numpy(np.ascontiguousarray(images[start : start + size])).to(device)
            parts.append(model(to_pixels(chunk)).double().cpu())
    return np.asarray(torch.cat(parts).numpy())


def save_weights(state_dict: dict[str, Tensor], path: Path) -> None:
    """Write weights to `path`."""
    save_file(state_dict, path)


def load_model(path: Path, *, net: str, image_shape: tuple[int, int, int], n_classes: int) -> Normalised:
    """The model whose weights `save_weights` wrote, ready to predict; normalisation comes with the
    weights.
    """
    body = build_net(net, image_shape=image_shape, n_classes=n_classes, seed=0)
    channels = image_shape[2]
    model = Normalised(body, mean=torch.zeros(channels), std=torch.ones(channels))
    model.load_state_dict(load_file(path))
    return model.eval().to(memory_format=torch.channels_last)
