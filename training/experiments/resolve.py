"""From the names in a configuration to the release and image set of this instance, with everything that could
fail later checked now: labels for each arm, sizes, splits, and that no evaluation image is a parent of a
mixed image.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elicitation.images.models import ImageSet
from hilmix.core import imageset
from hilmix.core import release as core_release
from hilmix.core.errors import DataError
from hilmix.errors import Invalid, NotFound
from hilmix.hub.models import Release
from training.engine.config import NETS
from training.evaluation.leakage import Leakage, check_leakage
from training.experiments.config import ExperimentConfig, did_you_mean, problem_lines


@dataclass(frozen=True)
class Material:
    """What an experiment works on: the two rows, their open directories, and the check for leakage."""

    release: Release
    image_set: ImageSet
    data: core_release.Release
    images: imageset.ImageSet
    training: NDArray[np.int64]
    evaluation: NDArray[np.int64]
    leakage: Leakage

    def identity(self, config: ExperimentConfig) -> str:
        """sha256 of the configuration and the content it works on: equal for equal experiments only."""
        content = {
            "config": config.as_dict(),
            "release": self.release.sha256,
            "image_set": self.image_set.sha256,
            "human_labels": self.image_set.human_labels_sha256,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def resolve(config: ExperimentConfig) -> Material:
    """What the names in `config` stand for here.

    Raises `Invalid`, with the key of the configuration in `fields`, when a name means nothing here or does
    not fit.
    """
    release = _release(config)
    data = core_release.open_release(release.directory)
    image_set = _image_set(config, data)
    images = image_set.open()
    problems: dict[str, list[str]] = {}
    for arm in config.arms:
        if arm.policy not in data.policies:
            hint = did_you_mean(arm.policy, data.policies)
            problem = f"{release.name} has no labels of policy {arm.policy!r}{hint}"
            problems.setdefault("arms", []).append(problem)
            continue
        try:
            data.label_set(arm.policy, arm.condition)
        except DataError as error:
            problems.setdefault("arms", []).append(f"{arm.name}: {error}")
    for key, split in (("train_on", config.train_on), ("evaluate_on", config.evaluate_on)):
        if split not in images.splits:
            problem = f"image set {image_set.name} has no split {split!r}{did_you_mean(split, images.splits)}"
            problems.setdefault(key, []).append(problem)
    problems |= _size_problems(config, image_set)
    _raise(problems)
    training, evaluation = images.splits[config.train_on], images.splits[config.evaluate_on]
    leakage = check_leakage(images.images, parents=data.parents(), training=training, evaluation=evaluation)
    if not leakage.clean:
        _raise({"evaluate_on": [f"would be judged on training material: {' '.join(leakage.sentences[:2])}"]})
    return Material(release, image_set, data, images, training, evaluation, leakage)


def _release(config: ExperimentConfig) -> Release:
    try:
        return Release.objects.all().resolve(config.release)
    except NotFound as error:
        raise Invalid(f"release: {error.message}", fields={"release": [error.message]}) from None


def _image_set(config: ExperimentConfig, data: core_release.Release) -> ImageSet:
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
        _raise({"image_set": [problem]})
        raise AssertionError  # _raise has raised
    return found


def _size_problems(config: ExperimentConfig, image_set: ImageSet) -> dict[str, list[str]]:
    side = min(image_set.height, image_set.width)
    problems = {}
    if side < NETS[config.train.net]:
        least = NETS[config.train.net]
        problems["train.net"] = [
            f"{config.train.net} needs images of {least} pixels a side; these have {side}"
        ]
    if config.train.crop >= side:
        problems["train.augment.crop"] = [
            f"is {config.train.crop}, too much for images of {side} pixels a side"
        ]
    return problems


def _raise(problems: dict[str, list[str]]) -> None:
    if problems:
        raise Invalid(problem_lines(problems), fields=problems)
