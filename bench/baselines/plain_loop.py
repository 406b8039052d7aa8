"""Baseline for training: the shortest fast loop, on tensors that are ready before it starts.

Same net, batch, precision, device, number of steps, schedule and augmentation (random crop from a reflected
border, mirroring, both drawn anew each epoch). An epoch's images are normalised once, cropped in one gather and
then sliced. It omits: a plan that all arms share, evaluation, curves, weight decay by kind of parameter,
deterministic kernels, progress and cancelling, and normalisation as a part of the model.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from training.engine.config import TrainConfig
from training.engine.nets import build_net


def train(
    config: TrainConfig, images: np.ndarray, targets: np.ndarray, device: torch.device
) -> torch.nn.Module:
    """The trained net; `images` uint8 [N, H, W, C], `targets` float [N, K]. fp32 only."""
    n, height, width, channels = images.shape
    shape, pad = (height, width, channels), config.augment.crop
    net = build_net(config.net, image_shape=shape, n_classes=targets.shape[1], seed=0)
    net = net.to(device, memory_format=torch.channels_last).train()
    pixels = torch.from_numpy(images).to(device).float().div_(255)
    pixels = (pixels - pixels.mean((0, 1, 2))) / pixels.std((0, 1, 2))
    padded = F.pad(pixels.permute(0, 3, 1, 2), [pad] * 4, mode="reflect").permute(0, 2, 3, 1).contiguous()
    soft = torch.from_numpy(targets).to(device, torch.float32)
    optimiser = torch.optim.SGD(
        net.parameters(),
        config.lr,
        config.momentum,
        weight_decay=config.weight_decay,
        nesterov=True,
        fused=True,
    )
    steps = n // config.batch_size
    down, right = torch.arange(height, device=device), torch.arange(width, device=device)
    for epoch in range(config.epochs):
        order = torch.randperm(n, device=device)
        shifts = torch.randint(0, 2 * pad + 1, (2, n, 1), device=device)
        mirrored = torch.rand(n, 1, device=device) < 0.5
        rows = shifts[0] + down
        columns = shifts[1] + torch.where(mirrored, right.flip(0), right)
        batches = padded[order[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        for step in range(steps):
            here = slice(step * config.batch_size, (step + 1) * config.batch_size)
            done = (epoch * steps + step) / (config.epochs * steps)
            optimiser.param_groups[0]["lr"] = config.lr * 0.5 * (1 + math.cos(math.pi * done))
            loss = F.cross_entropy(net(batches[here]), soft[order[here]])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return net
