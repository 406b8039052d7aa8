"""The two nets: ResNet-20 for small images and PreActResNet-18, both with normalisation inside.

A model takes pixels in [0, 1] and gives logits, so that a checkpoint needs nothing beside it and an attack
may work on pixels. ResNet-20 follows He et al. (CVPR 2016, section 4.2, with option A's parameter-free
shortcuts); PreActResNet-18 follows He et al. (ECCV 2016) in the 3×3-stem form used for CIFAR.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilmix.core.errors import DataError
from training.engine.config import NETS


class Normalised(nn.Module):
    """`net` behind (x − mean)/std per channel; both are buffers, so they travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits [B, K] of pixels float [B, C, H, W] in [0, 1]."""
        logits: Tensor = self.net((pixels - self.mean) / self.std)
        return logits


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut that has no parameters: every second pixel, missing channels
    zero.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels_in, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.extra_channels = channels - channels_in

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        shortcut = x[:, :, :: self.stride, :: self.stride] if self.stride > 1 else x
        if self.extra_channels:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.extra_channels))
        return F.relu(out + shortcut)


class PreActBlock(nn.Module):
    """Two 3×3 convolutions, each after its normalisation and ReLU; a 1×1 convolution where the shape
    changes.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = conv3x3(channels_in, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        changes = stride > 1 or channels_in != channels
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(out)
        out = self.conv1(out)
        out = self.conv2(F.relu(self.bn2(out)))
        return out + shortcut


def conv3x3(channels_in: int, channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution with padding 1 and no bias, for a normalisation follows or precedes it."""
    return nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)


def resnet20(in_channels: int, n_classes: int) -> nn.Module:
    """ResNet-20: three stages of three blocks, 16/32/64 channels; 0.27 million weights."""
    stages = _stages(BasicBlock, widths=(16, 32, 64), depth=3, channels_in=16)
    return nn.Sequential(
        conv3x3(in_channels, 16), nn.BatchNorm2d(16), nn.ReLU(), *stages, *_head(64, n_classes)
    )


def preact_resnet18(in_channels: int, n_classes: int) -> nn.Module:
    """PreActResNet-18: four stages of two blocks, 64 to 512 channels; 11.2 million weights."""
    stages = _stages(PreActBlock, widths=(64, 128, 256, 512), depth=2, channels_in=64)
    return nn.Sequential(
        conv3x3(in_channels, 64), *stages, nn.BatchNorm2d(512), nn.ReLU(), *_head(512, n_classes)
    )


BUILDERS: dict[str, Callable[[int, int], nn.Module]] = {
    "resnet20": resnet20,
    "preact_resnet18": preact_resnet18,
}


def build_net(name: str, *, image_shape: tuple[int, int, int], n_classes: int, seed: int) -> nn.Module:
    """A freshly initialised net for images of `image_shape` (H, W, C); the weights depend on `seed` alone.

    Raises `DataError` when the name is unknown or the images are smaller than the net can halve.
    """
    height, width, channels = image_shape
    if name not in BUILDERS:
        raise DataError(f"there is no net {name!r}; choose one of {', '.join(BUILDERS)}")
    if min(height, width) < NETS[name]:
        raise DataError(
            f"{name} needs images of at least {NETS[name]} pixels a side; these are {height}×{width}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = BUILDERS[name](channels, n_classes)
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def _stages(
    block: Callable[[int, int, int], nn.Module], *, widths: tuple[int, ...], depth: int, channels_in: int
) -> list[nn.Module]:
    """`depth` blocks at each width; every stage but the first halves the picture."""
    blocks: list[nn.Module] = []
    for stage, width in enumerate(widths):
        for number in range(depth):
            stride = 2 if stage and not number else 1
            blocks.append(block(channels_in, width, stride))
            channels_in = width
    return blocks


def _head(channels: int, n_classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes)]
