"""Baseline for the corruption suite: the net's forward passes alone, on corrupted pixels that are ready in memory.

Same net, precision and device; batch and order of memory as is fastest there. It omits: reading the cache, turning
uint8 into pixels, normalising them, and keeping what was predicted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def forward(net: nn.Module, suite: list[list[Tensor]]) -> None:
    """Run the chunks of every corrupted test set, normalised float32 [B, C, H, W], through `net`."""
    net.eval()
    with torch.inference_mode():
        for chunks in suite:
            for chunk in chunks:
                net(chunk)
    if suite[0][0].is_cuda:
        torch.cuda.synchronize()
