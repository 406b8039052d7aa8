"""Whether a configuration fits what its names stand for: labels, people, sizes, folds, and nothing judged on what was
trained on. What does not fit is refused beside its key.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilmix.core import imageset
from hilmix.core.errors import DataError
from training.engine.net_table import check_images
from training.engine.plan import make_plan
from training.evaluation.leakage import HoldoutFold, holdout_folds
from training.evaluation.values import BY_KEY
from training.experiments import labels
from training.experiments.checking import Checker
from training.experiments.config import ArmConfig, ExperimentConfig
from training.experiments.naming import seen_by

if TYPE_CHECKING:
    from training.engine.plan import Budget
    from training.experiments.material import Material

Ints = NDArray[np.int64]

# Labels that are the plain mean of what people said, the first that a release has: what answers are.
ANSWERS = "human_lambda", "distribution", "uniform_redistribution"
MAX_SEEDS, MAX_RUNS = 1_000, 10_000  # of one experiment
_PART = 0.03  # how far from 1/k a share may be written: 0.33 is a third
USUAL_PRIMARY = "human_cross_entropy", "log_loss"  # where there are human labels, and where there are none


def find_primary(check: Checker, config: ExperimentConfig, images: imageset.ImageSet) -> str:
    """The primary metric: the one named, or cross-entropy against people where they can be had."""
    human = images.human_labels is not None
    chosen = config.primary or USUAL_PRIMARY[0 if human else 1]
    if BY_KEY[chosen].needs == "human" and not human:
        check.refuse(
            "primary", f"is {chosen}, but image set {images.name} has no human labels; import some first"
        )
    return chosen


def check_human_labels(check: Checker, config: ExperimentConfig, images: imageset.ImageSet) -> None:
    for number, arm in config.numbered:
        if arm.base_labels == "human" and images.human_labels is None:
            check.refuse(
                "arms.base_labels",
                f"is human, but image set {images.name} has no human labels",
                of=arm.name,
                number=number,
            )


def check_sizes(check: Checker, config: ExperimentConfig, images: imageset.ImageSet) -> None:
    shape = images.info.shape
    try:
        check_images(config.train.net, shape)
    except DataError as error:
        check.refuse("train.net", str(error))
    side = min(shape[:2])
    if (crop := config.train.augment.crop) >= side:
        check.refuse("train.augment.crop", f"is {crop}, too much for images of {side} pixels a side")
    for number, arm in config.numbered:
        if (crop := arm.augment.get("crop", 0)) >= side:
            problem = f"is {crop}, too much for images of {side} pixels a side"
            check.refuse("arms.augment.crop", problem, of=arm.name, number=number)


def find_folds(check: Checker, config: ExperimentConfig, parents: Ints) -> tuple[HoldoutFold, ...]:
    if not config.holdout_mixes:
        return ()
    try:
        return tuple(holdout_folds(parents, share=config.holdout_mixes))
    except DataError as error:
        check.refuse("holdout_mixes", str(error))
        return ()


def check_nothing_leaks(check: Checker, material: Material) -> None:
    if not material.leakage.clean:
        sentences = " ".join(material.leakage.sentences[:2])
        check.refuse("evaluate_on", f"would be judged on training material: {sentences}")
    for number, arm in material.config.numbered:
        if (run := material.starts.get(arm.name)) is None:
            continue
        seen = seen_by(run, material.images)
        for what, judged in (("evaluation", material.evaluation), ("validation", material.validation)):
            if n := int(np.isin(judged, seen).sum()):
                check.refuse(
                    "arms.start_from",
                    f"run {run.pk} was trained on {n} of the {len(judged)} {what} images",
                    of=arm.name,
                    number=number,
                )


def find_records(check: Checker, material: Material) -> dict[str, dict[str, Any]]:
    """What the labels of each arm with a policy are; refused where there can be none."""
    records = {}
    for number, arm in material.config.numbered:
        try:
            if arm.policy:
                records[arm.name] = labels.label_record(material.data, arm, lambda: material.features)
            if arm.is_sampled:
                condition = labels.condition_of(replace(material, records=records), arm)
                if problem := labels.sampling_problem(material.data, arm, condition):
                    raise DataError(problem)
                if arm.policy:
                    seed = material.config.seeds_of(arm)[0]
                    sampled = replace(material, records=records)
                    labels.mixed_labels(sampled, arm, seed=seed, fold=0)
            if policy := labels.made_by(arm):
                labels.fitted(material, arm, policy, seed=material.config.seeds_of(arm)[0], fold=0)
        except DataError as error:
            check.refuse("arms", f"{arm.name}: {error}", number=number)
    return records


def find_answers(check: Checker, material: Material) -> tuple[str, str | None] | None:
    """The policy and condition whose labels are the answers that every arm is judged by on held-out mixed images; None
    where nothing is held out, or the release has no such labels. Refused where it cannot be told whose answers."""
    data, config = material.data, material.config
    policy = next((name for name in ANSWERS if name in data.policies), None)
    if not config.holdout_mixes or policy is None:
        return None
    try:
        return policy, data.label_set(policy)["condition"]
    except DataError as error:
        known = {arm.condition or material.records.get(arm.name, {}).get("condition") for arm in config.arms}
        held = {entry["condition"] for entry in data.label_sets if entry["name"] == policy}
        if len(fitting := known & held) == 1:
            return policy, fitting.pop()
        check.refuse(
            "holdout_mixes",
            f"needs one condition whose answers judge all arms; arms name {len(fitting)} of those there are: {error}",
        )
        return None


def check_budget(check: Checker, material: Material, budgets: Sequence[Budget]) -> None:
    """Refuse what fills no batch; `budgets` are those of the folds, that without held-out mixed images first."""
    config, budget = material.config, budgets[0]
    try:
        for one in budgets:
            make_plan(config.train, budget=one, seed=0)
    except DataError as error:
        check.refuse("train", str(error))
    for number, arm in config.numbered:
        own = Checker()
        if arm.on_the_fly and arm.on_the_fly.share is None and not budget.n_mixed:
            own.refuse("arms.on_the_fly", "no arm has mixed images at whose places to mix")
        if arm.mixed_share is not None and budget.n_mixed:
            _check_mixed_share(own, arm, arm.mixed_share, material, budget)
        check.take(own, of=arm.name, number=number)


def _check_mixed_share(
    check: Checker, arm: ArmConfig, own: float, material: Material, budget: Budget
) -> None:
    share = material.share_of_mixed(0)
    if own > share:
        check.refuse(
            "arms.mixed_share", f"is more than the {share:.3f} that all arms have; raise train.mixed_share"
        )
    elif not len(material.kept(arm, seed=0, fold=0)):
        check.refuse("arms.mixed_share", f"is less than one of {budget.n_mixed} mixed images")


def check_limits(check: Checker, material: Material, budgets: Sequence[Budget]) -> None:
    """Refuse what would be too much, or would silently become something else. Only of a new experiment: one that there
    is goes on as it was created. `budgets` are those of the folds, that without held-out mixed images first."""
    config, cores = material.config, os.cpu_count() or 1
    if (threads := config.train.threads or 1) > cores:
        check.refuse(
            "train.threads",
            f"is {threads}; this machine has {cores} processor cores, and more threads only wait for each other",
        )
    n_images = min(budget.n for budget in budgets)
    if config.train.mixed_share is None and config.train.batch_size > n_images:
        where = "in the fold that has the fewest" if material.folds else "here"
        check.refuse(
            "train.batch_size",
            f"is {config.train.batch_size:,}, but only {n_images:,} images are trained on {where}; take at most that",
        )
    _check_share(check, config.holdout_mixes)
    for key, split in (("evaluate_on", config.evaluate_on), ("validation", config.validation)):
        if isinstance(split, str) and (n := len(material.images.splits[split])) == 1:
            check.refuse(key, f"is {split!r}, which holds {n} image; figures with intervals take 2 or more")
    n_arms, n_seeds, n_folds = len(config.arms), len(config.seeds), len(material.folds)
    n_runs = sum(
        len(config.seeds_of(arm)) * (n_folds + 1) + len(config.candidates(arm)) for arm in config.arms
    )
    if problem := too_many(n_arms=n_arms, n_seeds=n_seeds, n_folds=n_folds, n_runs=n_runs):
        check.refuse("seeds", problem)


def too_many(*, n_arms: int, n_seeds: int, n_folds: int, n_runs: int) -> str:
    """What is said where there are more seeds, or runs of all arms, seeds, folds and candidates, than an experiment may
    have; else nothing."""
    made = f"{n_arms} arms, {n_seeds:,} seeds and {n_folds} folds make {n_runs:,} runs"
    if n_seeds > MAX_SEEDS:
        return f"{made}; an experiment has at most {MAX_SEEDS:,} seeds"
    return f"{made}, tuning included; an experiment has at most {MAX_RUNS:,}" if n_runs > MAX_RUNS else ""


def _check_share(check: Checker, share: float) -> None:
    """Refuse a share of held-out mixed images that is no part of the whole: its folds would hold out another."""
    n_folds = round(1 / share) if share else 0
    if n_folds and abs(share * n_folds - 1) > _PART:
        check.refuse(
            "holdout_mixes",
            f"is {share:g}, which does not divide the mixed images evenly; {n_folds} folds would hold out "
            f"{1 / n_folds:.3f} each: write that, or another part such as 0.5, 0.333, 0.25 or 0.2",
        )
