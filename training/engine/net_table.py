"""What nets there are, without torch: the web process checks forms with it, and pages and tests read it.

The nets themselves are in `nets`; a test builds each and compares it with its row. A picture gets to a net as
pixels in [0, 1]. The nets that torchvision made for ImageNet start with two halvings (a convolution of stride 2
and a pooling, say), which would leave 1×1 of a 32×32 picture: here both are left out ("stride-1 stem"), as is
usual for CIFAR. No net has dropout or drops paths: what is drawn while training is in the plan, for all arms
alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from hilmix.core.errors import DataError

ImageShape = tuple[int, int, int]  # height, width, channels

_HE_2016 = "He et al., Deep residual learning, CVPR 2016"
# Measured on digits of 8×8, three epochs: at 0.1 the training loss rises to 10 and more, at 0.01 it begins to fall.
_STEEP = (
    "nothing is learnt at the usual lr of 0.1 on tiny images: the loss rises, or diverges; begin with 0.01"
)
_LEAST_CELLS = 4  # of a class activation map, each way: fewer show no place


@dataclass(frozen=True)
class CamLayer:
    """A layer that class activation maps can be made of.

    `module` is its name in the net; `reduction` how many pixels of a side one cell of its map stands for;
    `rectified` whether its activations are never negative, as Grad-CAM++ assumes.
    """

    module: str
    reduction: int
    rectified: bool = True


@dataclass(frozen=True)
class Net:
    """One net of the table.

    `parameters` is the number of weights at ten classes and 32×32×3. `least_side` is the smallest side in
    pixels: the last map is then one cell. `patch` is set where a picture is cut into patches: it must then be
    square, its side a multiple of `patch`. `cam_layers` are for Grad-CAM, the deepest first; none where
    attention is rolled out instead (`rollout`). `caution` is what to mind in training, "" for nothing.
    """

    name: str
    parameters: int
    least_side: int
    about: str
    source: str
    cam_layers: tuple[CamLayer, ...] = ()
    rollout: bool = False
    patch: int | None = None
    caution: str = ""


def _torchvision_resnet(name: str, parameters: int, about: str, caution: str = "") -> Net:
    layers = tuple(CamLayer(f"layer{stage}", 2 ** (stage - 1)) for stage in (4, 3, 2, 1))
    about = f"{about}; stem of one 3×3 convolution, no pooling"
    return Net(name, parameters, 8, about, _HE_2016, layers, caution=caution)


_NETS = (
    Net(
        "resnet20",
        269_722,
        8,
        "three stages of three blocks, 16 to 64 channels, shortcuts without weights",
        f"{_HE_2016}, section 4.2, option A",
        (CamLayer("11", 4), CamLayer("8", 2), CamLayer("5", 1)),
    ),
    Net(
        "preact_resnet18",
        11_172_170,
        8,
        "four stages of two pre-activation blocks, 64 to 512 channels; stem of one 3×3 convolution",
        "He et al., Identity mappings in deep residual networks, ECCV 2016",
        (CamLayer("10", 8), CamLayer("6", 4, False), CamLayer("4", 2, False), CamLayer("2", 1, False)),
    ),
    Net(
        "vgg11",
        9_228_362,
        32,
        "eight 3×3 convolutions with batch normalisation, five poolings, one linear layer",
        "Simonyan & Zisserman, ICLR 2015, configuration A; one linear layer, as is usual for CIFAR",
        (CamLayer("27", 16), CamLayer("20", 8), CamLayer("13", 4), CamLayer("6", 2), CamLayer("2", 1)),
    ),
    Net(
        "wide_resnet16_4",
        2_748_890,
        8,
        "three stages of two pre-activation blocks, four times as wide: 64 to 256 channels; no dropout",
        "Zagoruyko & Komodakis, Wide residual networks, BMVC 2016",
        (CamLayer("8", 4), CamLayer("4", 2, False), CamLayer("2", 1, False)),
    ),
    Net(
        "vit_small_p4",
        21_342_346,
        8,
        "vision transformer on patches of 4×4: twelve layers, six heads, width 384; torchvision's class",
        "Dosovitskiy et al., ICLR 2021; the size named small by Touvron et al. (DeiT), ICML 2021",
        rollout=True,
        patch=4,
        caution=_STEEP,
    ),
    _torchvision_resnet("resnet18", 11_173_962, "torchvision's, four stages of two blocks"),
    _torchvision_resnet("resnet34", 21_282_122, "torchvision's, four stages of 3, 4, 6 and 3 blocks", _STEEP),
    _torchvision_resnet(
        "resnet50", 23_520_842, "torchvision's, four stages of 3, 4, 6 and 3 bottlenecks", _STEEP
    ),
    Net(
        "densenet121",
        6_956_426,
        8,
        "torchvision's, four dense blocks of growth 32; stem of one 3×3 convolution, no pooling",
        "Huang et al., Densely connected convolutional networks, CVPR 2017",
        (
            CamLayer("features", 8),  # what comes out of it is rectified in place
            CamLayer("features.denseblock3", 4, False),
            CamLayer("features.denseblock2", 2, False),
            CamLayer("features.denseblock1", 1, False),
        ),
    ),
    Net(
        "mobilenet_v3_small",
        1_528_106,
        8,
        "torchvision's, inverted bottlenecks; stem and first bottleneck of stride 1, no dropout",
        "Howard et al., Searching for MobileNetV3, ICCV 2019",
        (
            CamLayer("features.12", 8, False),
            CamLayer("features.8", 4, False),
            CamLayer("features.3", 2, False),
            CamLayer("features.1", 1, False),
        ),
    ),
    Net(
        "convnext_tiny",
        27_825_802,
        8,
        "torchvision's, four stages of 3, 3, 9 and 3 blocks; stem of one 3×3 convolution, no dropped paths",
        "Liu et al., A ConvNet for the 2020s, CVPR 2022",
        (
            CamLayer("features.7", 8, False),
            CamLayer("features.5", 4, False),
            CamLayer("features.3", 2, False),
            CamLayer("features.1", 1, False),
        ),
    ),
)

NET_TABLE = {net.name: net for net in _NETS}
NETS = {net.name: net.least_side for net in _NETS}  # the smallest side each takes, in pixels


def check_images(name: str, image_shape: ImageShape) -> Net:
    """The row of net `name`, if it takes images of `image_shape` (height, width, channels).

    Raises `DataError` naming what it would take instead.
    """
    if name not in NET_TABLE:
        raise DataError(f"there is no net {name!r}; choose one of {', '.join(NET_TABLE)}")
    net = NET_TABLE[name]
    height, width, _ = image_shape
    if min(height, width) < net.least_side:
        raise DataError(
            f"{name} needs images of at least {net.least_side} pixels a side; these are {height}×{width}"
        )
    if net.patch and (height != width or height % net.patch):
        raise DataError(
            f"{name} cuts images into patches of {net.patch}×{net.patch} and needs square ones whose side is a "
            f"multiple of {net.patch}; these are {height}×{width}"
        )
    return net


def cam_layer(net: Net, *, height: int, width: int) -> CamLayer:
    """The layer that maps of `height` × `width` images are made of: the deepest whose map is at least 4 × 4.

    The last stage of many nets is 1×1 to 2×2 on small images, and a map of it says nothing of where; where no
    layer has so fine a map, the finest is taken. Raises `DataError` for a net without such layers.
    """
    if not net.cam_layers:
        raise DataError(f"{net.name} has no convolutional maps for Grad-CAM; its attention can be rolled out")
    side = min(height, width)
    fine = [layer for layer in net.cam_layers if side // layer.reduction >= _LEAST_CELLS]
    return fine[0] if fine else net.cam_layers[-1]
