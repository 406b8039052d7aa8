"""The one table of what test images are put through: name, group, constants of each severity, function.

15 + 4 corruptions with the constants of CIFAR-10-C (Hendrycks & Dietterich, ICLR 2019; the values are those of
`make_cifar_c.py`, for 32 × 32 pixels and not ImageNet-C's, which are far too strong there), and a geometric group of
ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from training.evaluation.corruptions import blur, digital, geometric, noise, weather
from training.evaluation.corruptions.draws import Floats

GROUPS = ("noise", "blur", "weather", "digital", "geometric")
EXTRA = "extra"  # four that are kept out of every mean, as Hendrycks & Dietterich do


@dataclass(frozen=True)
class Transform:
    """One thing done to test images. `severities` holds the constants of each severity, the mildest first.

    `function(x, generators, *constants)` takes float32 [N, H, W, C] in [0, 1]; its result is clipped and rounded by
    `corrupted`. `note` says what a reader must know before comparing.
    """

    key: str
    name: str
    group: str
    function: Callable[..., Floats]
    severities: tuple[tuple[float, ...], ...]
    note: str = ""


def _each(*constants: float) -> tuple[tuple[float, ...], ...]:
    return tuple((constant,) for constant in constants)


_FROST = "its texture is generated, so it compares with no published figure"
_DIGITS = "of digits or letters it changes what they show"

_TABLE = (
    Transform(
        "gaussian_noise", "Gaussian noise", "noise", noise.gaussian_noise, _each(0.04, 0.06, 0.08, 0.09, 0.10)
    ),
    Transform("shot_noise", "Shot noise", "noise", noise.shot_noise, _each(500, 250, 100, 75, 50)),
    Transform(
        "impulse_noise", "Impulse noise", "noise", noise.impulse_noise, _each(0.01, 0.02, 0.03, 0.05, 0.07)
    ),
    Transform(
        "defocus_blur",
        "Defocus blur",
        "blur",
        blur.defocus_blur,
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    ),
    Transform(
        "glass_blur",
        "Glass blur",
        "blur",
        blur.glass_blur,
        ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    ),
    Transform(
        "motion_blur",
        "Motion blur",
        "blur",
        blur.motion_blur,
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    ),
    Transform("zoom_blur", "Zoom blur", "blur", blur.zoom_blur, _each(7, 12, 16, 21, 26)),
    Transform(
        "snow",
        "Snow",
        "weather",
        weather.snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    Transform(
        "frost",
        "Frost",
        "weather",
        weather.frost,
        ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        _FROST,
    ),
    Transform("fog", "Fog", "weather", weather.fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    Transform("brightness", "Brightness", "weather", weather.brightness, _each(0.05, 0.1, 0.15, 0.2, 0.3)),
    Transform("contrast", "Contrast", "digital", digital.contrast, _each(0.75, 0.5, 0.4, 0.3, 0.15)),
    Transform(
        "elastic",
        "Elastic",
        "digital",
        digital.elastic,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    Transform("pixelate", "Pixelate", "digital", digital.pixelate, _each(0.95, 0.9, 0.85, 0.75, 0.65)),
    Transform("jpeg", "JPEG", "digital", digital.jpeg, _each(80, 65, 58, 50, 40)),
    Transform(
        "speckle_noise", "Speckle noise", EXTRA, noise.speckle_noise, _each(0.06, 0.1, 0.12, 0.16, 0.2)
    ),
    Transform("gaussian_blur", "Gaussian blur", EXTRA, blur.gaussian_blur, _each(0.4, 0.6, 0.7, 0.8, 1)),
    Transform(
        "spatter",
        "Spatter",
        EXTRA,
        weather.spatter,
        (
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
        "a drop's outline is its border, not Canny's edge",
    ),
    Transform(
        "saturate",
        "Saturate",
        EXTRA,
        digital.saturate,
        ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        "grey images stay as they are",
    ),
    Transform("flip_horizontal", "Flip, left–right", "geometric", geometric.flip_horizontal, ((),), _DIGITS),
    Transform("flip_vertical", "Flip, top–bottom", "geometric", geometric.flip_vertical, ((),), _DIGITS),
    Transform("rotate", "Rotation", "geometric", geometric.rotate, _each(5, 10, 15, 20, 30)),
    Transform(
        "translate",
        "Translation",
        "geometric",
        geometric.translate,
        _each(1 / 32, 2 / 32, 3 / 32, 4 / 32, 6 / 32),
    ),
    Transform("scale", "Scale", "geometric", geometric.scale, _each(1.05, 1.1, 1.2, 1.3, 1.5)),
)

TRANSFORMS = {transform.key: transform for transform in _TABLE}
CORRUPTIONS = tuple(
    one.key for one in _TABLE if one.group in GROUPS and one.group != "geometric"
)  # the 15 of mCE
EXTRAS = tuple(one.key for one in _TABLE if one.group == EXTRA)


def suite(groups: tuple[str, ...] = GROUPS) -> tuple[tuple[str, int], ...]:
    """Every (transform, severity) of these groups, severities from 1: what a model is put through."""
    return tuple(
        (one.key, severity)
        for one in _TABLE
        if one.group in groups
        for severity in range(1, len(one.severities) + 1)
    )
