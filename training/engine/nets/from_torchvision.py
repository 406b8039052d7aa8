"""torchvision's nets in the form for small images: the two halvings that each starts with are left out.

Everything else, first weights included, is torchvision's, but that nothing is dropped at random. A new first
convolution is drawn as torchvision draws the one that it replaces. torchvision is imported when a net is built:
that takes a second, which a process without these nets need not wait.
"""

from __future__ import annotations

from torch import nn

from training.engine.net_table import ImageShape
from training.engine.nets.plain import conv3x3


def resnet18(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """ResNet-18 of basic blocks."""
    return _resnet("resnet18", image_shape, n_classes)


def resnet34(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """ResNet-34 of basic blocks."""
    return _resnet("resnet34", image_shape, n_classes)


def resnet50(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """ResNet-50 of bottlenecks."""
    return _resnet("resnet50", image_shape, n_classes)


def densenet121(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """DenseNet-121: no halving before the first dense block."""
    from torchvision import models

    net = models.densenet121(num_classes=n_classes)
    net.features.conv0 = conv3x3(image_shape[2], 64)
    nn.init.kaiming_normal_(net.features.conv0.weight)
    net.features.pool0 = nn.Identity()
    return net


def mobilenet_v3_small(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """MobileNetV3 small: neither the stem nor the first bottleneck halves, and that gets its shortcut."""
    from torchvision import models

    net = models.mobilenet_v3_small(num_classes=n_classes, dropout=0.0)
    net.features[0][0] = conv3x3(image_shape[2], 16)
    nn.init.kaiming_normal_(net.features[0][0].weight, mode="fan_out")
    bottleneck = net.features[1]
    bottleneck.block[0][0].stride = (1, 1)
    bottleneck.use_res_connect = True  # as torchvision does where the shape stays
    return net


def convnext_tiny(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """ConvNeXt tiny: a 3×3 convolution in place of patches of 4×4; no stochastic depth."""
    from torchvision import models

    net = models.convnext_tiny(num_classes=n_classes, stochastic_depth_prob=0.0)
    stem = nn.Conv2d(image_shape[2], 96, 3, padding=1)
    nn.init.trunc_normal_(stem.weight, std=0.02)
    nn.init.zeros_(stem.bias)  # type: ignore[arg-type]
    net.features[0][0] = stem
    return net


def vit_small_p4(image_shape: ImageShape, n_classes: int) -> nn.Module:
    """ViT-S on patches of 4×4. The head starts at zero, as torchvision has it."""
    from torchvision import models

    side, _, channels = image_shape
    net = models.VisionTransformer(
        image_size=side,
        patch_size=4,
        num_layers=12,
        num_heads=6,
        hidden_dim=384,
        mlp_dim=1536,
        num_classes=n_classes,
    )
    if channels != 3:
        net.conv_proj = nn.Conv2d(channels, 384, 4, stride=4)
        nn.init.trunc_normal_(net.conv_proj.weight, std=(1 / (channels * 16)) ** 0.5)
        nn.init.zeros_(net.conv_proj.bias)
    return net


def _resnet(name: str, image_shape: ImageShape, n_classes: int) -> nn.Module:
    from torchvision import models

    net = models.get_model(name, num_classes=n_classes)
    net.conv1 = conv3x3(image_shape[2], 64)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.maxpool = nn.Identity()
    return net
