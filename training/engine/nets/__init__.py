"""The nets that can be trained, each with normalisation inside.

A model takes pixels in [0, 1] and gives logits, so that a checkpoint needs nothing beside it and an attack
may work on pixels. What there is to know of a net without building it is in `training.engine.net_table`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.engine.net_table import ImageShape, check_images
from training.engine.nets import from_torchvision, plain


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


BUILDERS: dict[str, Callable[[ImageShape, int], nn.Module]] = {
    "resnet20": plain.resnet20,
    "preact_resnet18": plain.preact_resnet18,
    "vgg11": plain.vgg11,
    "wide_resnet16_4": plain.wide_resnet16_4,
    "vit_small_p4": from_torchvision.vit_small_p4,
    "resnet18": from_torchvision.resnet18,
    "resnet34": from_torchvision.resnet34,
    "resnet50": from_torchvision.resnet50,
    "densenet121": from_torchvision.densenet121,
    "mobilenet_v3_small": from_torchvision.mobilenet_v3_small,
    "convnext_tiny": from_torchvision.convnext_tiny,
}


def build_net(name: str, *, image_shape: ImageShape, n_classes: int, seed: int) -> nn.Module:
    """A freshly initialised net for images of `image_shape` (H, W, C); the weights depend on `seed` alone.

    Raises `DataError` when the name is unknown or the images do not suit the net.
    """
    check_images(name, image_shape)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the processor's alone: a GPU's draws are not touched
        return BUILDERS[name](image_shape, n_classes)


def head_of(net: nn.Module) -> tuple[str, nn.Linear]:
    """The last linear layer, which gives the logits, and its name; what goes into it are the penultimate features."""
    linear = [(name, module) for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    return linear[-1]
