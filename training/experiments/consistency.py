"""What of a configuration goes together: splits, arms that start from arms, contrasts. Each key is good by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hilmix.core.errors import DataError
from training.engine.config import tune_grid
from training.experiments.checking import Checker, did_you_mean, joined

if TYPE_CHECKING:
    from training.experiments.config import ArmConfig, ExperimentConfig


def check_splits(check: Checker, config: ExperimentConfig) -> None:
    if config.train_on and config.train_on == config.evaluate_on:
        check.refuse("evaluate_on", f"is {config.evaluate_on!r}, which is trained on; choose another")
    if config.validation in (config.train_on, config.evaluate_on):
        check.refuse(
            "validation",
            f"is {config.validation!r}, which is trained on or judged on; choose another split, or a number of images "
            f"to take from {config.train_on!r}",
        )
    if config.tune and not config.validation:
        check.refuse("tune", "is judged on validation images; say how many under validation")
    try:
        tune_grid(config.train, config.tune)  # no arm changes what can be tuned
    except DataError as error:
        check.refuse("tune", str(error))
    if not any(arm.policy for arm in config.arms):
        for key, value in (
            ("holdout_mixes", config.holdout_mixes),
            ("train.mixed_share", config.train.mixed_share),
        ):
            if value:
                check.refuse(key, "needs an arm with a policy: no arm here learns from mixed images")


def check_arms(check: Checker, config: ExperimentConfig) -> None:
    names = [arm.name for arm in config.arms]
    circular = _circular(config)
    for number, arm in config.numbered:
        for key, problem in _arm_problems(arm, config, names):
            check.refuse(joined("arms", key), problem, of=arm.name, number=number)
        if arm.name in circular:
            check.refuse("arms.start_from", "goes round in a circle", of=arm.name, number=number)


def _arm_problems(arm: ArmConfig, config: ExperimentConfig, names: list[str]) -> Iterable[tuple[str, str]]:
    if arm.answers_per_image and arm.people:
        yield "people", "stands beside answers_per_image; choose one of the two"
    asks = arm.policy or (arm.on_the_fly and arm.on_the_fly.labels != "mixup")
    if (arm.is_sampled or arm.condition) and not asks:
        yield "policy", "is missing: without one no answers are used, so none can be chosen"
    if arm.mixed_share is not None and not arm.policy:
        yield "mixed_share", "needs a policy: without one the arm has no mixed images"
    if arm.mixed_share and config.train.mixed_share and arm.mixed_share > config.train.mixed_share:
        yield "mixed_share", f"is more than the {config.train.mixed_share:g} of train.mixed_share"
    if other := sorted(set(arm.seeds or ()) - set(config.seeds)):
        yield "seeds", f"{other[0]} is not among the experiment's seeds"
    if isinstance(arm.start_from, str) and arm.start_from:
        if arm.start_from not in names:
            yield (
                "start_from",
                f"is {arm.start_from!r}, no arm of this experiment{did_you_mean(arm.start_from, names)}",
            )
        elif lacking := sorted(set(config.seeds_of(arm)) - set(config.seeds_of(config.arm(arm.start_from)))):
            yield "start_from", f"{arm.start_from!r} is not trained with seed {lacking[0]}"


def _circular(config: ExperimentConfig) -> list[str]:
    """The arms whose chain of arms to start from never ends."""
    start = {arm.name: arm.start_from for arm in config.arms}
    found = []
    for name in start:
        seen, at = set(), start.get(name)
        while isinstance(at, str) and at in start and at not in seen:
            seen.add(at)
            at = start[at]
        if name in seen:
            found.append(name)
    return found


def check_contrasts(check: Checker, config: ExperimentConfig) -> None:
    arms = {arm.name: arm for arm in config.arms}
    pairs: set[frozenset[str]] = set()
    for number, contrast in enumerate(config.contrasts, 1):
        own = Checker()
        for key in ("arm", "against"):
            name = getattr(contrast, key)
            if name and name not in arms:
                said = f"is {name!r}, no arm of this experiment{did_you_mean(name, arms)}"
                own.refuse(f"contrasts.{key}", said)
        pair = frozenset((contrast.arm, contrast.against))
        if contrast.arm and contrast.arm == contrast.against:
            own.refuse("contrasts.against", f"{contrast.arm!r} is compared with itself")
        elif pair <= arms.keys():
            one, other = (set(config.seeds_of(arms[name])) for name in pair)
            if not one & other:
                own.refuse("contrasts", f"{' and '.join(sorted(pair))} have no seed in common")
            if pair in pairs:
                own.refuse("contrasts", f"{' and '.join(sorted(pair))} are compared twice")
        pairs.add(pair)
        check.take(own, of=f"contrast {number}" if len(config.contrasts) > 1 else "", number=number)
