"""The part of a configuration that says how models are trained: `[train]`, its augmentation, mixing on the fly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilmix.core.errors import DataError
from training.engine.config import (
    MIXING_LABELS,
    MIXING_METHODS,
    MIXING_RANGES,
    NETS,
    PRECISIONS,
    RANGES,
    SCHEDULES,
    STRENGTHS,
    Augment,
    OnTheFly,
    Range,
    TrainConfig,
)
from training.experiments.checking import Checker, Rule, is_a

MIXED_PLACES = "mixed"  # the share of mixing on the fly that stands for the places of stored mixed images


def _number(range_: Range, words: str = "") -> Rule:
    """The rule of a number; `words` where the range alone does not say what to do."""
    return Rule(int if range_.whole else float, range_.holds, f"must be {words or range_.words}")


_LEFT_OUT = {  # what leaving out a setting means that may be left out
    "ema": "between 0 and 1; leave it out for no moving average",
    "clip_norm": "a number above 0; leave it out for no clipping",
    "mixed_share": "between 0 and 1; leave it out for the natural share",
}
_TRAIN_RULES = {
    **{name: _number(range_, _LEFT_OUT.get(name, "")) for name, range_ in RANGES.items()},
    "net": Rule(str, NETS.__contains__, f"must be one of {', '.join(NETS)}"),
    "schedule": Rule(str, SCHEDULES.__contains__, f"must be one of {', '.join(SCHEDULES)}"),
    "milestones": Rule(
        list,
        lambda v: all(is_a(one, float) for one in v),
        "must be a list of fractions of the training, such as [0.5, 0.75]",
    ),
    "deterministic": Rule(bool, lambda v: True, "must be true or false"),
    "precision": Rule(str, PRECISIONS.__contains__, f"must be one of {', '.join(PRECISIONS)}"),
}
AUGMENT_RULES = {
    name: _number(STRENGTHS[name])
    if name in STRENGTHS
    else Rule(bool, lambda v: True, "must be true or false")
    for name in Augment.__dataclass_fields__
}
# What may be tuned: nothing that decides how much is trained, or on what.
TUNE_RULES = {
    key: _TRAIN_RULES[key]
    for key in ("lr", "momentum", "weight_decay", "warmup_epochs", "factor", "ema", "clip_norm")
}
_ON_THE_FLY_RULES = {
    "method": Rule(str, MIXING_METHODS.__contains__, f"must be one of {', '.join(MIXING_METHODS)}"),
    "alpha": _number(MIXING_RANGES["alpha"]),
    "labels": Rule(str, MIXING_LABELS.__contains__, f"must be one of {', '.join(MIXING_LABELS)}"),
    "share": _number(MIXING_RANGES["share"], f"above 0, at most 1, or {MIXED_PLACES!r}"),
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
