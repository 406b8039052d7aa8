"""The batches of one epoch, made on the device as the plan says: gathered, cropped, mirrored, mixed, changed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.engine.augment import amounts, change, geometry
from training.engine.config import TrainConfig
from training.engine.data import DeviceImages, TrainData, to_pixels
from training.engine.mixing import cutmix_pixels, mixtures, mixup_pixels
from training.engine.plan import Plan


class Material:
    """An arm's training images and targets on the device, as long as its training lasts."""

    def __init__(self, config: TrainConfig, plan: Plan, data: TrainData, device: torch.device) -> None:
        self.config, self.plan, self.data, self.device = config, plan, data, device
        self.slots = data.slots_in(plan.budget)
        self.images = DeviceImages(data.images, crop=config.augment.crop, device=device)
        self.targets = torch.from_numpy(data.targets).to(device, torch.float32)


class Batches:
    """The batches of epoch `epoch` (from 0): `batches.make(step)` gives what the net sees and should say."""

    def __init__(self, material: Material, epoch: int) -> None:
        self.material = material
        config, plan, data = material.config, material.plan, material.data
        images = plan.images(epoch, material.slots, data.n_parents, data.plain_for_mixed)
        self.images = self._on_device(images)
        self.shifts, self.flips = map(self._on_device, geometry(plan, epoch, config.augment))
        self.amounts = {
            name: self._on_device(amount) for name, amount in amounts(plan, epoch, config.augment).items()
        }
        self.mixtures = None
        if config.on_the_fly:
            mixed = mixtures(plan, epoch, config.on_the_fly, images, data)
            what = mixed.lambdas_e4 if mixed.boxes is None else mixed.boxes
            assert what is not None
            blend = mixup_pixels if mixed.boxes is None else cutmix_pixels
            self.mixtures = self._on_device(mixed.partners), self._on_device(mixed.shares), blend
            self.blending = self._on_device(what)

    def make(self, step: int) -> tuple[Tensor, Tensor]:
        """Pixels float32 [B, C, H, W] in [0, 1], channels_last, and targets float32 [B, K]."""
        resident, indices = self.material.images, self.images[step]
        shifts, flips = self.shifts[step], self.flips[step]
        pictures, targets = resident.batch(indices, shifts, flips), self.material.targets[indices]
        if self.mixtures:
            partners, shares, blend = self.mixtures
            seconds = indices[partners[step]]
            pictures = blend(pictures, resident.batch(seconds, shifts, flips), self.blending[step])
            share = shares[step][:, None]
            targets = share * targets + (1 - share) * self.material.targets[seconds]
        pixels = to_pixels(pictures)
        if self.amounts:
            here = {name: amount[step] for name, amount in self.amounts.items()}
            pixels = change(pixels, here, self.material.config.augment)
        return pixels.contiguous(memory_format=torch.channels_last), targets

    def _on_device(self, values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self.material.device)
