"""Baseline for memory: what one training step cannot do without, counted in bytes, not measured.

The training images as uint8, their targets as float32, the weights three times (themselves, gradient, momentum), the
buffers, and all tensors that autograd keeps for the backward pass of one batch. It omits: the border that images are
padded by, what a kernel needs while it works, and the interpreter with its libraries.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def bytes_of(model: nn.Module, pixels: Tensor, targets: Tensor, n_images: int) -> int:
    """Bytes that training `model` on `n_images` takes, by one batch: float32 [B, C, H, W] and [B, K]."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = list(model.parameters())
    own = {weight.untyped_storage().data_ptr() for weight in weights}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = F.cross_entropy(model.train()(pixels), targets)
        activations = sum(size for pointer, size in kept.items() if pointer not in own)
        loss.backward()
    images = n_images * pixels[0].numel() + 4 * n_images * targets.shape[1]
    parameters = 3 * 4 * sum(weight.numel() for weight in weights)
    return images + parameters + 4 * sum(buffer.numel() for buffer in model.buffers()) + activations
