"""Baseline for training: the recipe that most small-image trainings follow, as it stands in tutorials.

A data set of PIL pictures, torchvision's random crop and mirroring picture by picture, a `DataLoader` that collates
32 of them, fp32 in torch's usual order of memory, SGD with Nesterov momentum and a cosine. Same net, optimiser and
schedule as ours. Tuned: no worker processes on a processor (handing pictures over costs more than making them), eight
and pinned memory on a GPU; the fused optimiser. It omits: soft labels, a plan that arms share, curves, checkpoints.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from training.engine.config import TrainConfig
from training.engine.nets import build_net

BATCH = 32


class Pictures(Dataset):
    def __init__(self, images: np.ndarray, labels: np.ndarray, crop: int) -> None:
        self.pictures = [Image.fromarray(image) for image in images]
        self.labels = labels.tolist()
        changes = [transforms.RandomCrop(images.shape[1], padding=crop), transforms.RandomHorizontalFlip()]
        normal = transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
        self.transform = transforms.Compose([*changes, transforms.ToTensor(), normal])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


def train(config: TrainConfig, data: Pictures, n_classes: int, device: torch.device) -> torch.nn.Module:
    """The net after `config.epochs` passes over `data`, on 32×32 colour pictures."""
    net = build_net(config.net, image_shape=(32, 32, 3), n_classes=n_classes, seed=0).to(device).train()
    on_gpu = device.type == "cuda"
    loader = DataLoader(data, BATCH, shuffle=True, num_workers=8 if on_gpu else 0, pin_memory=on_gpu)
    decay = {"weight_decay": config.weight_decay, "nesterov": True, "fused": True}
    optimiser = torch.optim.SGD(net.parameters(), config.lr, config.momentum, **decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs * len(loader))
    for _ in range(config.epochs):
        for pixels, labels in loader:
            loss = F.cross_entropy(net(pixels.to(device, non_blocking=True)), labels.to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    if on_gpu:
        torch.cuda.synchronize()
    return net
