"""Plain nets for small images: residual ones with 3×3 stems, and VGG-11.

They are chains (`nn.Sequential`), so that a layer is named by its number; the numbers are in stored weights and
in `net_table`. ResNet-20 follows He et al. (CVPR 2016, section 4.2, with option A's parameter-free shortcuts);
PreActResNet-18 He et al. (ECCV 2016) in the form used for CIFAR; the wide net Zagoruyko & Komodakis (BMVC 2016),
without dropout; VGG-11 Simonyan & Zisserman (ICLR 2015, configuration A) with batch normalisation and one linear
layer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from training.engine.net_table import ImageShape

_VGG11 = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)  # channels of a convolution; 0 is a pooling


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


def resnet20(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """ResNet-20: three stages of three blocks, 16/32/64 channels; 0.27 million weights."""
    stages = _stages(BasicBlock, widths=(16, 32, 64), depth=3, channels_in=16)
    return _chain(conv3x3(image_shape[2], 16), nn.BatchNorm2d(16), nn.ReLU(), *stages, *_head(64, n_classes))


def preact_resnet18(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """PreActResNet-18: four stages of two blocks, 64 to 512 channels; 11.2 million weights."""
    stages = _stages(PreActBlock, widths=(64, 128, 256, 512), depth=2, channels_in=64)
    return _chain(
        conv3x3(image_shape[2], 64), *stages, nn.BatchNorm2d(512), nn.ReLU(), *_head(512, n_classes)
    )


def wide_resnet16_4(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """WRN-16-4: (16 − 4) / 6 = 2 blocks in each of three stages, 4 · (16, 32, 64) channels; 2.7 million weights."""
    stages = _stages(PreActBlock, widths=(64, 128, 256), depth=2, channels_in=16)
    return _chain(
        conv3x3(image_shape[2], 16), *stages, nn.BatchNorm2d(256), nn.ReLU(), *_head(256, n_classes)
    )


def vgg11(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """VGG-11: eight convolutions and five poolings; 9.2 million weights."""
    layers: list[nn.Module] = []
    channels_in = image_shape[2]
    for channels in _VGG11:
        if channels:
            layers += [conv3x3(channels_in, channels), nn.BatchNorm2d(channels), nn.ReLU()]
            channels_in = channels
        else:
            layers.append(nn.MaxPool2d(2))
    return _chain(*layers, *_head(channels_in, n_classes))


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


def _chain(*layers: nn.Module) -> nn.Sequential:
    """The layers in their order, filters drawn as He et al. (ICCV 2015) do, by what goes out."""
    net = nn.Sequential(*layers)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net
