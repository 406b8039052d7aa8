"""Baseline for evaluation: one image at a time, as a loop over a data set of batch 1 does.

Same net and device, fp32, pixels ready and normalised in memory, inference mode. It omits: turning uint8 into pixels,
and gathering the logits as float64. Tuned: the order of memory that is fastest for one image, by trying.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def forward(net: nn.Module, pixels: Tensor) -> None:
    """Run float32 [N, C, H, W] through `net`, image by image."""
    net.eval()
    with torch.inference_mode():
        for image in pixels.split(1):
            net(image)
    if pixels.is_cuda:
        torch.cuda.synchronize()
