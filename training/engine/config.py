"""How a model is trained, as data: the recipe of an experiment, and what an arm may change in it.

No torch here, so that the web process can check a form with it; the nets themselves are in `nets`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hilmix.core.errors import DataError
from training.engine.net_table import NETS as NETS

PRECISIONS = ("auto", "fp32", "bf16")
SCHEDULES = ("cosine", "steps")
MIXING_METHODS = ("mixup", "cutmix")
MIXING_LABELS = ("mixup", "population_curve", "perceptual_warp", "warp_swapped")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Range:
    """What a number may be: from `low` to `high`, in `unit`, `whole` or not; `ends` is "[]", with "(" or ")" for an end
    that is itself left out."""

    low: float
    high: float
    ends: str = "[]"
    whole: bool = False
    unit: str = ""

    def holds(self, value: Any) -> bool:
        if not _is_number(value) or (self.whole and not isinstance(value, int)):
            return False
        above = value >= self.low if self.ends[0] == "[" else value > self.low
        return bool(above and (value <= self.high if self.ends[1] == "]" else value < self.high))

    @property
    def words(self) -> str:
        """ "a whole number of pixels from 0 to 64"."""
        what = ("a whole number" if self.whole else "a number") + (f" of {self.unit}" if self.unit else "")
        start = f"from {self.low:g}" if self.ends[0] == "[" else f"above {self.low:g}"
        if self.high == math.inf:
            return f"{what} {start}"
        return f"{what} {start} {'to' if self.ends[1] == ']' else 'to below'} {self.high:g}"


# What the numbers of a training, of its augmentation and of mixing on the fly may be.
RANGES = {
    "epochs": Range(1, 1000, whole=True),
    "batch_size": Range(2, 8192, whole=True),
    "lr": Range(0, 10, "(]"),
    "momentum": Range(0, 1, "[)"),
    "weight_decay": Range(0, 1),
    "factor": Range(0, 1, "(]"),
    "warmup_epochs": Range(0, 1000),
    "ema": Range(0, 1, "()"),
    "clip_norm": Range(0, math.inf, "()"),
    "mixed_share": Range(0, 1, "()"),
    "threads": Range(1, 1024, whole=True),
}
STRENGTHS = {
    "crop": Range(0, 64, whole=True, unit="pixels"),
    "rotation": Range(0, 180, unit="degrees"),
    "blur": Range(0, 8, unit="pixels"),
    **{name: Range(0, 1) for name in ("noise", "brightness", "contrast")},
}
MIXING_RANGES = {"alpha": Range(0, 100, "(]"), "share": Range(0, 1, "(]")}


@dataclass(frozen=True)
class Augment:
    """How strongly each picture is changed at random; 0 or False leaves that change out.

    `crop` pixels of reflected border to cut from; `flip` left and right, half of the pictures; `rotation` up to
    so many degrees either way; `blur` by a Gaussian of up to so many pixels; `brightness` and `contrast` times
    1 ± so much at most; `noise` Gaussian, of a standard deviation up to so much, 1 being white.
    """

    crop: int = 4
    flip: bool = True
    rotation: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        _true_or_false("flip", self.flip)
        for name, range_ in STRENGTHS.items():
            value = getattr(self, name)
            if not replace(range_, whole=False).holds(value):
                said = f"from {range_.low:g} to {range_.high:g} {range_.unit}".rstrip()
                raise DataError(f"{name} is {value!r}; it must be {said}")
            if not range_.holds(value):
                raise DataError(f"{name} is {value!r}; it must be a whole number of {range_.unit}")


@dataclass(frozen=True)
class OnTheFly:
    """Mixtures made while a model trains, of two plain images of one batch.

    λ is drawn for each image from Beta(`alpha`, `alpha`). `labels` says which share of the label the first image
    gets: `mixup` λ itself; `population_curve` g(λ); `perceptual_warp` f(λ, x₁, x₂); `warp_swapped` f(λ, x₂, x₁),
    its control. `share` of the plain images of each batch are mixed; None mixes only at places of the budget that
    stored mixed images have in other arms, so that the plain places stay plain in every arm.
    """

    method: str = "mixup"
    alpha: float = 1.0
    labels: str = "mixup"
    share: float | None = 1.0

    def __post_init__(self) -> None:
        _one_of("method", self.method, MIXING_METHODS)
        _one_of("labels", self.labels, MIXING_LABELS)
        if not MIXING_RANGES["alpha"].holds(self.alpha):
            raise DataError(f"alpha is {self.alpha!r}; it must be above 0 and at most 100")
        if self.share is not None and not MIXING_RANGES["share"].holds(self.share):
            raise DataError(f"share is {self.share!r}; it must be above 0 and at most 1, or left out")
        if self.method == "cutmix" and self.labels != "mixup":
            raise DataError(
                f"cutmix cannot be labelled by {self.labels}: people judged pictures that lie over each other, "
                "never ones that lie side by side; use labels = 'mixup', or method = 'mixup'"
            )


@dataclass(frozen=True)
class TrainConfig:
    """One training recipe: SGD with Nesterov momentum, linear warm-up, then a cosine to zero or steps down.

    `epochs` counts passes over the training images; `warmup_epochs` may be a fraction. With `schedule` steps the
    rate is multiplied by `factor` at each of `milestones`, fractions of the whole training. `mixed_share` is the
    share of mixed images in every batch (0–1, exclusive), None for their natural share. `ema` is the decay a step
    of a moving average of the weights, which is then what is evaluated and kept; `clip_norm` the largest norm of a
    step's gradient. `deterministic` computes in fp32 with kernels that give the same bits again, at some cost on a
    GPU. `threads` None keeps what torch chose. The default warm-up of one epoch takes the first half of a training
    that has only one. Raises DataError for what no training can use.
    """

    net: str = "resnet20"
    epochs: int = 15
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    milestones: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1
    warmup_epochs: float = 1.0
    ema: float | None = None
    clip_norm: float | None = None
    mixed_share: float | None = None
    precision: str = "auto"
    threads: int | None = None
    deterministic: bool = False
    augment: Augment = field(default_factory=Augment)
    on_the_fly: OnTheFly | None = None

    def __post_init__(self) -> None:
        for name in RANGES:
            _number(name, getattr(self, name))
        _one_of("net", self.net, NETS)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("precision", self.precision, PRECISIONS)
        _true_or_false("deterministic", self.deterministic)
        self._check_schedule()
        if self.deterministic and self.precision == "bf16":
            raise DataError("a deterministic training computes in fp32; leave out precision or deterministic")

    def _check_schedule(self) -> None:
        milestones: Any = self.milestones
        if not isinstance(milestones, tuple) or not all(_is_number(one) for one in milestones):
            raise DataError(f"milestones are {milestones!r}; they must be a tuple of numbers")
        ascending = list(self.milestones) == sorted(set(self.milestones))
        if not ascending or not all(0 < milestone < 1 for milestone in self.milestones):
            raise DataError(
                f"milestones are {list(self.milestones)}; they must be fractions of the training between 0 and 1, "
                "each larger than the one before"
            )
        # With the default of one epoch a training of one must be possible: `schedule` cuts its warm-up to half.
        if self.warmup_epochs >= self.epochs and (self.warmup_epochs, self.epochs) != (1, 1):
            raise DataError(
                f"warmup_epochs is {self.warmup_epochs:g} of {self.epochs} epochs, so the rate would never fall; take "
                "a shorter warm-up or more epochs"
            )


_OPTIONAL = ("ema", "clip_norm", "mixed_share", "threads")  # None leaves them out


def tune_grid(config: TrainConfig, grid: Mapping[str, Sequence[Any]]) -> list[TrainConfig]:
    """Every combination of the values in `grid` (`{"lr": [0.05, 0.1]}`), in the order written, last key fastest.

    A key may be one of `augment` (`augment.blur`). Raises DataError for a key or value that cannot be used.
    """
    values: Any
    for key, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not len(values):
            raise DataError(f"tune.{key} must be a list of at least one value")
    return [
        _changed(config, dict(zip(grid, values, strict=True))) for values in itertools.product(*grid.values())
    ]


def _changed(config: TrainConfig, change: Mapping[str, Any]) -> TrainConfig:
    own = {key: value for key, value in change.items() if "." not in key}
    augment = {key.removeprefix("augment."): value for key, value in change.items() if "." in key}
    fields = {f"augment.{name}" for name in Augment.__dataclass_fields__}
    unknown = [key for key in change if key not in {*TrainConfig.__dataclass_fields__, *fields}]
    if unknown:
        raise DataError(f"tune.{unknown[0]} is not known; it must be a setting of [train]")
    whole = own.pop("augment", config.augment)
    if not isinstance(whole, Augment):
        raise DataError(f"tune.augment has {whole!r}; tune one of its strengths, such as augment.blur")
    return replace(config, **own, augment=replace(whole, **augment))


def _number(name: str, value: Any) -> None:
    if not (value is None and name in _OPTIONAL) and not RANGES[name].holds(value):
        raise DataError(f"{name} is {value!r}; it must be {RANGES[name].words}")


def _true_or_false(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise DataError(f"{name} is {value!r}; it must be true or false")


def _one_of(name: str, value: Any, known: Iterable[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise DataError(f"{name} is {value!r}; it must be one of {', '.join(known)}")
