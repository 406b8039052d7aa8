"""What the names in a configuration stand for on this instance: release, image set, splits, runs to start from."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from elicitation.images.models import ImageSet
from hilmix.accounts.roles import Actor
from hilmix.core import imageset
from hilmix.core import release as core_release
from hilmix.errors import Invalid, NotFound
from hilmix.hub.models import Release
from training.experiments.checking import Checker, problem_lines
from training.experiments.config import ArmConfig, ExperimentConfig, did_you_mean
from training.experiments.models import Experiment
from training.runs.models import Run

Ints = NDArray[np.int64]
VALIDATION_SEED = 20_190  # one draw for every experiment, so that all judge on the same images


def find_release(config: ExperimentConfig) -> Release:
    """The release that is named. Raises `Invalid` listing those there are."""
    try:
        return Release.objects.all().resolve(config.release)
    except NotFound as error:
        refuse({"release": [error.message]})


def find_image_set(config: ExperimentConfig, data: core_release.Release) -> ImageSet:
    """The image set the release was made from, under the name the configuration gives, if it gives one."""
    recorded = data.manifest["image_set"]
    fitting = ImageSet.objects.filter(sha256=data.image_set_sha256)
    wanted = config.image_set or recorded["name"]
    found = fitting.filter(name=wanted).first()
    if found is None and config.image_set is None:
        found = fitting.first()
    if found is None:
        problem = f"{data.name} was made from image set {recorded['name']!r} ({data.image_set_sha256[:12]})"
        if config.image_set and ImageSet.objects.filter(name=config.image_set).exists():
            problem += f"; {config.image_set!r} holds other images"
        else:
            names = ", ".join(ImageSet.objects.values_list("name", flat=True)) or "none"
            problem += f", which is not here. Image sets here: {names}"
        refuse({"image_set": [problem]})
    return found


def find_splits(
    check: Checker, config: ExperimentConfig, images: imageset.ImageSet, parents: Ints
) -> tuple[Ints, Ints, Ints]:
    """Which images are trained on, watched and tuned with, and judged on: positions, ascending.

    A number of validation images is drawn from those of `train_on` that are parents of no mixed image, the same ones
    in every experiment; they leave training.
    """
    none = np.empty(0, np.int64)
    named = {"train_on": config.train_on, "evaluate_on": config.evaluate_on}
    if isinstance(config.validation, str):
        named["validation"] = config.validation
    for key, split in named.items():
        if split not in images.splits:
            check.refuse(
                key, f"image set {images.name} has no split {split!r}{did_you_mean(split, images.splits)}"
            )
    training, evaluation = (images.splits.get(named[key], none) for key in ("train_on", "evaluate_on"))
    if isinstance(config.validation, str):
        validation = images.splits.get(config.validation, none)
        if used := int(np.isin(validation, parents).sum()):
            check.refuse("validation", f"{used} of its {len(validation)} images are parents of mixed images")
        return training, validation, evaluation
    free = np.setdiff1d(training, parents)
    if config.validation > len(free) or (len(training) and config.validation >= len(training)):
        check.refuse(
            "validation",
            f"is {config.validation}; of the {len(training)} images of {config.train_on!r} only {len(free)} are "
            "parents of no mixed image, and some must be left to train on",
        )
        return training, none, evaluation
    drawn = np.random.default_rng(VALIDATION_SEED).permutation(free)[: config.validation]
    return np.setdiff1d(training, drawn), np.sort(drawn), evaluation


def find_start(
    check: Checker, arm: ArmConfig, config: ExperimentConfig, images: imageset.ImageSet, actor: Actor
) -> Run | None:
    """The run whose weights an arm starts from, if it names one: finished, visible to `actor`, of the same net."""
    if not isinstance(arm.start_from, int):
        return None
    seen = Run.objects.filter(arm__experiment__in=Experiment.objects.visible_to(actor))
    run = (
        seen.select_related("arm__experiment__image_set", "arm__experiment__release")
        .filter(pk=arm.start_from)
        .first()
    )
    key = "arms.start_from"
    if run is None or not run.is_done or run.arm.is_external:
        check.refuse(key, f"there is no finished run {arm.start_from} to start from")
        return None
    if run.excluded:
        check.refuse(key, f"run {run.pk} was left out: {run.excluded}; it has no weights")
        return None
    experiment = run.arm.experiment
    net = experiment.parsed.train.net
    if net != config.train.net:
        check.refuse(key, f"run {run.pk} is of the net {net}, this experiment of {config.train.net}")
    if experiment.image_set.sha256 != images.sha256:
        check.refuse(
            key,
            f"run {run.pk} was trained on another image set, {experiment.image_set.name!r}; whether it has seen "
            f"what is judged on here cannot be told",
        )
    own = find_release(config)
    if experiment.release.source != own.source:
        check.refuse(
            key,
            f"run {run.pk} learnt from a release of another source ({experiment.release.get_source_display()}; "
            f"{own.name}: {own.get_source_display()}), which the report would not show",
        )
    if config.holdout_mixes:
        check.refuse(key, f"run {run.pk} may have been trained on what holdout_mixes holds out")
    return run


def seen_by(run: Run, images: imageset.ImageSet) -> Ints:
    """The images that went into a run's weights, and into those that it started from: positions, ascending."""
    config, release = run.arm.experiment.parsed, run.arm.experiment.release
    parents = release.opened.parents()
    training, _, _ = find_splits(Checker(), config, images, parents)
    seen = np.union1d(training, parents)
    for before in config.trained_before(config.arm(run.arm.name)):
        if isinstance(before, int):
            seen = np.union1d(seen, seen_by(Run.objects.get(pk=before), images))
    return seen


def refuse(problems: dict[str, list[str]]) -> NoReturn:
    raise Invalid(problem_lines(problems), fields=problems)
