"""The part of a configuration that says how models are trained: `[train]`, its augmentation, mixing on the fly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilmix.core.errors import DataError
from training.engine.config import (
    MIXING_LABELS,
    MIXING_METHODS,
    NETS,
    PRECISIONS,
    SCHEDULES,
    Augment,
    OnTheFly,
    TrainConfig,
)
from training.experiments.checking import Checker, Rule, is_a

MIXED_PLACES = "mixed"  # the share of mixing on the fly that stands for the places of stored mixed images

_TRAIN_RULES = {
    "net": Rule(str, NETS.__contains__, f"must be one of {', '.join(NETS)}"),
    "epochs": Rule(int, lambda v: 1 <= v <= 1000, "must be a whole number from 1 to 1000"),
    "batch_size": Rule(int, lambda v: 2 <= v <= 8192, "must be a whole number from 2 to 8192"),
    "lr": Rule(float, lambda v: 0 < v <= 10, "must be a number above 0, at most 10"),
    "momentum": Rule(float, lambda v: 0 <= v < 1, "must be a number from 0 to below 1"),
    "weight_decay": Rule(float, lambda v: 0 <= v <= 1, "must be a number from 0 to 1"),
    "schedule": Rule(str, SCHEDULES.__contains__, f"must be one of {', '.join(SCHEDULES)}"),
    "milestones": Rule(
        list,
        lambda v: all(is_a(one, float) for one in v),
        "must be a list of fractions of the training, such as [0.5, 0.75]",
    ),
    "factor": Rule(float, lambda v: 0 < v <= 1, "must be a number above 0, at most 1"),
    "ema": Rule(float, lambda v: 0 < v < 1, "must be between 0 and 1; leave it out for no moving average"),
    "clip_norm": Rule(float, lambda v: v > 0, "must be a number above 0; leave it out for no clipping"),
    "deterministic": Rule(bool, lambda v: True, "must be true or false"),
    "warmup_epochs": Rule(float, lambda v: 0 <= v <= 1000, "must be a number of epochs, 0 or more"),
    "mixed_share": Rule(
        float, lambda v: 0 < v < 1, "must be between 0 and 1; leave it out for the natural share"
    ),
    "precision": Rule(str, PRECISIONS.__contains__, f"must be one of {', '.join(PRECISIONS)}"),
    "threads": Rule(int, lambda v: 1 <= v <= 1024, "must be a whole number of at least 1"),
}
AUGMENT_RULES = {
    "crop": Rule(int, lambda v: 0 <= v <= 64, "must be a whole number of pixels from 0 to 64"),
    "flip": Rule(bool, lambda v: True, "must be true or false"),
    "rotation": Rule(float, lambda v: 0 <= v <= 180, "must be a number of degrees from 0 to 180"),
    "blur": Rule(float, lambda v: 0 <= v <= 8, "must be a number of pixels from 0 to 8"),
    "noise": Rule(float, lambda v: 0 <= v <= 1, "must be a number from 0 to 1"),
    "brightness": Rule(float, lambda v: 0 <= v <= 1, "must be a number from 0 to 1"),
    "contrast": Rule(float, lambda v: 0 <= v <= 1, "must be a number from 0 to 1"),
}
# What may be tuned: nothing that decides how much is trained, or on what.
TUNE_RULES = {
    key: _TRAIN_RULES[key]
    for key in ("lr", "momentum", "weight_decay", "warmup_epochs", "factor", "ema", "clip_norm")
}
_ON_THE_FLY_RULES = {
    "method": Rule(str, MIXING_METHODS.__contains__, f"must be one of {', '.join(MIXING_METHODS)}"),
    "alpha": Rule(float, lambda v: 0 < v <= 100, "must be a number above 0, at most 100"),
    "labels": Rule(str, MIXING_LABELS.__contains__, f"must be one of {', '.join(MIXING_LABELS)}"),
    "share": Rule(float, lambda v: 0 < v <= 1, f"must be above 0, at most 1, or {MIXED_PLACES!r}"),
}


def read_train(check: Checker, value: Any) -> TrainConfig:
    """The recipe in the table `train`."""
    if not isinstance(value, Mapping):
        check.refuse("train", "must be a table ([train] in TOML)")
        return TrainConfig()
    augment = check.table(value, "augment", "must be a table such as crop = 4, flip = true", where="train")
    check.keys(value, "train", [*_TRAIN_RULES, "augment"])
    check.keys(augment, "train.augment", AUGMENT_RULES)
    settings = check.values(value, "train", _TRAIN_RULES)
    if "milestones" in settings:
        settings["milestones"] = tuple(settings["milestones"])
    strengths = Augment(**check.values(augment, "train.augment", AUGMENT_RULES))
    try:
        return TrainConfig(**settings, augment=strengths)
    except DataError as error:
        check.refuse("train", str(error))
        return TrainConfig()


def read_on_the_fly(check: Checker, value: Any) -> OnTheFly | None:
    """How an arm mixes while it trains, from its table `on_the_fly`; None where it has none."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        check.refuse("arms.on_the_fly", 'must be a table such as {method = "mixup"}')
        return None
    check.keys(value, "arms.on_the_fly", _ON_THE_FLY_RULES)
    at_mixed_places = value.get("share") == MIXED_PLACES
    table = {key: given for key, given in value.items() if not (at_mixed_places and key == "share")}
    settings = check.values(table, "arms.on_the_fly", _ON_THE_FLY_RULES)
    try:
        return OnTheFly(**{**settings, "share": None} if at_mixed_places else settings)
    except DataError as error:
        check.refuse("arms.on_the_fly", str(error))
        return None
