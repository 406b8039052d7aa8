"""Baseline for evaluation: the net's forward passes alone, on pixels that are ready in memory.

Same net, precision and device; batch and order of memory as is fastest there. It omits: turning uint8 into
pixels, normalising them, and gathering the logits as float64.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def forward(net: nn.Module, chunks: list[Tensor]) -> None:
    """Run every chunk of normalised float32 [B, C, H, W] through `net`."""
    net.eval()
    with torch.inference_mode():
        for chunk in chunks:
            net(chunk)
    if chunks[0].is_cuda:
        torch.cuda.synchronize()
