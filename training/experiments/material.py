"""What an experiment works on: from its configuration to images, labels, and the list of runs.

The names in a configuration become the release and image set of this instance, with everything that could fail later
checked now: labels for each arm, sizes, splits, and that nothing is judged on what was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from elicitation.images.models import ImageSet
from hilmix.accounts.roles import OPERATOR, Actor
from hilmix.core import imageset
from hilmix.core import release as core_release
from hilmix.core.errors import DataError
from hilmix.core.files import sha256_json
from hilmix.hub.models import Release
from training.engine.config import TrainConfig
from training.engine.plan import Budget
from training.evaluation.leakage import HoldoutFold, Leakage, check_leakage
from training.evaluation.values import BY_KEY
from training.experiments import labels
from training.experiments.checking import Checker
from training.experiments.config import ArmConfig, ExperimentConfig
from training.experiments.fitting import (
    check_budget,
    check_human_labels,
    check_nothing_leaks,
    check_sizes,
    find_answers,
    find_folds,
    find_primary,
    find_records,
)
from training.experiments.models import Experiment
from training.experiments.naming import find_image_set, find_release, find_splits, find_start
from training.runs.models import Run

if TYPE_CHECKING:
    from training.engine.data import Perceived, TrainData
    from training.evaluation.held_out import MixedImages
    from training.evaluation.near_duplicates import NearDuplicates
    from training.evaluation.people import Reach

Ints = NDArray[np.int64]

_SUBSET = 7  # of the generators of a seed; 1 to 6 are the plan's


@dataclass(frozen=True, eq=False)
class Material:
    """The rows, their open directories, and which images are for what.

    `config` has its primary metric settled. `training`, `validation` and `evaluation` int64 are positions in `images`,
    validation empty where there is none; `folds` of mixed images are empty where none are held out. `records` says what
    the labels of each arm with a policy are; `starts` holds the runs of other experiments that arms start from;
    `judged_by` names the policy and condition of the answers that held-out mixed images are judged by.
    """

    config: ExperimentConfig
    release: Release
    image_set: ImageSet
    data: core_release.Release
    images: imageset.ImageSet
    training: Ints
    validation: Ints
    evaluation: Ints
    folds: tuple[HoldoutFold, ...]
    leakage: Leakage
    records: Mapping[str, dict[str, Any]]
    starts: Mapping[str, Run]
    judged_by: tuple[str, str | None] | None = None

    def identity(self) -> str:
        """sha256 of the configuration, with contrasts, primary metric and exclusions, and of the content it works on:
        equal for equal experiments only, in whatever way release and image set were named."""
        content = {
            "config": replace(self.config, release=self.release.name, image_set=None).as_dict(),
            "release": self.release.sha256,
            "image_set": self.image_set.sha256,
            "human_labels": self.image_set.human_labels_sha256,
        }
        if self.starts:
            content["starts"] = {
                name: [run.arm.experiment.config_sha256, run.arm.name, run.seed, run.fold, run.candidate]
                for name, run in self.starts.items()
            }
        return sha256_json(content)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        height, width, channels = self.images.images.shape[1:]
        return height, width, channels

    @property
    def watched(self) -> str:
        """Which images the learning curves are of: validation, or evaluation where there are none."""
        return "validation" if len(self.validation) else "evaluation"

    @property
    def tuned_by(self) -> str:
        """The metric by which a point of the grid is chosen on the validation images: the primary one."""
        assert self.config.primary is not None
        return self.config.primary

    @cached_property
    def parents(self) -> Ints:
        """Positions of both parents of each mixed image, int64 [n, 2]."""
        return self.data.parents()

    @cached_property
    def mixed_images(self) -> NDArray[np.uint8]:
        """The pixels of all mixed images, uint8 [n, H, W, C]."""
        return self.data.images(self.images)

    @cached_property
    def features(self) -> NDArray[np.float64]:
        """Pixel features of both parents of each mixed image, float64 [n, 2, F]."""
        return labels.features_of_parents(self)

    @cached_property
    def answers(self) -> NDArray[np.float64] | None:
        """What held-out mixed images are judged by, float64 [n, K], NaN where nobody answered; None without answers."""
        return labels.answers_to(self.data, *self.judged_by) if self.judged_by else None

    @cached_property
    def held_out(self) -> MixedImages | None:
        """The mixed images that folds hold out, with what they are judged by; None where none are held out."""
        return labels.held_out(self) if self.folds else None

    @cached_property
    def reach(self) -> Reach:
        """What people reach on the evaluation images, from the counts of their votes."""
        from training.evaluation import people

        votes = self.images.human_votes
        return people.reach(None if votes is None else votes[self.evaluation])

    @cached_property
    def learnt(self) -> Ints:
        """The images that are trained on, by themselves or as a parent."""
        return np.union1d(self.training, np.unique(self.parents))

    @cached_property
    def near_duplicates(self) -> NearDuplicates:
        """Evaluation images that are nearly an image trained on, found when asked for: it takes seconds."""
        from training.evaluation.near_duplicates import near_duplicates

        return near_duplicates(self.images.images[self.learnt], self.images.images[self.evaluation])

    def base_of(self, fold: int) -> Ints:
        """The base images trained on in a fold: those of 0, less the parents of what is held out."""
        return np.setdiff1d(self.training, self.folds[fold - 1].withdrawn) if fold else self.training

    def mixed_of(self, fold: int) -> Ints:
        """The mixed images trained on in a fold (positions among all of them)."""
        return self.folds[fold - 1].training if fold else np.arange(self.data.n)

    def share_of_mixed(self, fold: int) -> float:
        """The share of mixed images in what all arms see."""
        budget = budget_of(self, fold=fold)
        return self.config.train.mixed_share or budget.n_mixed / budget.n

    def kept(self, arm: ArmConfig, *, seed: int, fold: int) -> Ints:
        """Which of a fold's mixed images an arm has: all, or as many of the seed's order as make its share."""
        n = len(self.mixed_of(fold))
        if arm.mixed_share is None:
            return np.arange(n)
        kept = round(n * arm.mixed_share / self.share_of_mixed(fold))
        return np.sort(np.random.default_rng([seed, _SUBSET]).permutation(n)[:kept])


@dataclass(frozen=True)
class RunSpec:
    """One training: an arm, a seed, a fold (0: on all mixed images), a candidate (0: what is compared; 1, 2, …: a point
    of the grid) and how it is trained."""

    arm: str
    seed: int
    fold: int
    candidate: int
    train: TrainConfig


def resolve(config: ExperimentConfig, *, actor: Actor = OPERATOR) -> Material:
    """What the names in `config` stand for here, and the runs of others that `actor` may see.

    Raises `Invalid`, with the key of the configuration in `fields`, when a name means nothing here or does
    not fit.
    """
    check = Checker()
    release = find_release(config)
    data = core_release.open_release(release.directory)
    image_set = find_image_set(config, data)
    images = image_set.open()
    parents = data.parents()
    training, validation, evaluation = find_splits(check, config, images, parents)
    starts: dict[str, Run | None] = {}
    for number, arm in config.numbered:
        own = Checker()
        starts[arm.name] = find_start(own, arm, config, images, actor)
        check.take(own, of=arm.name, number=number)
    primary = find_primary(check, config, images)
    check_sizes(check, config, images)
    check_human_labels(check, config, images)
    check.raise_if_any()
    material = Material(
        config=replace(config, primary=primary),
        release=release,
        image_set=image_set,
        data=data,
        images=images,
        training=training,
        validation=validation,
        evaluation=evaluation,
        folds=find_folds(check, config, parents),
        leakage=check_leakage(images.images, parents=parents, training=training, evaluation=evaluation),
        records={},
        starts={name: run for name, run in starts.items() if run},
    )
    check_nothing_leaks(check, material)
    material = replace(material, records=find_records(check, material))
    material = replace(material, judged_by=find_answers(check, material))
    check_budget(check, material, [budget_of(material, fold=fold) for fold in range(len(material.folds) + 1)])
    check.raise_if_any()
    return material


def material_of(experiment: Experiment) -> Material:
    """What an experiment was created on, opened and checked again; never a newer release of the same name."""
    config = replace(experiment.parsed, release=experiment.release.name, image_set=experiment.image_set.name)
    return resolve(config)


def run_plan(config: ExperimentConfig) -> list[RunSpec]:
    """All trainings of an experiment: seed by seed, so that an unfinished one has all arms of some seeds; none before
    what it starts from, and none that is compared before the candidates of its arm.

    Candidates are trained with the arm's first seed. What is compared is given the recipe as written: where it is
    tuned, `tuned_recipe` says how it is trained once its candidates are judged.
    """
    plan = []
    for seed in config.seeds:
        for fold in range(n_folds(config) + 1):
            for arm in config.arms_in_order:
                seeds = config.seeds_of(arm)
                if seed not in seeds:
                    continue
                if not fold and seed == seeds[0]:
                    for number, train in enumerate(config.candidates(arm), 1):
                        plan.append(RunSpec(arm.name, seed, 0, number, train))
                plan.append(RunSpec(arm.name, seed, fold, 0, config.recipe(arm)))
    return plan


def n_folds(config: ExperimentConfig) -> int:
    """How many folds of mixed images are held out in turn."""
    return round(1 / config.holdout_mixes) if config.holdout_mixes else 0


def tuned_recipe(config: ExperimentConfig, arm: str, figures: Mapping[int, float | None]) -> TrainConfig:
    """How an arm is trained after tuning: as the best of its candidates, the first of equal ones.

    `figures` is the primary metric on the validation images by candidate, None where it diverged. Raises `DataError`
    where none has it.
    """
    assert config.primary is not None
    metric = BY_KEY[config.primary]
    judged = {number: value for number, value in sorted(figures.items()) if value is not None}
    if not judged:
        raise DataError(
            f"no point of the grid has the metric {config.primary} on the validation images for the arm {arm}: each "
            "diverged, or it is not defined there; tune over lower rates, or name another primary metric"
        )
    sign = -1 if metric.higher_is_better else 1
    best = min(judged, key=lambda number: (sign * judged[number], number))
    return config.candidates(config.arm(arm))[best - 1]


def budget_of(material: Material, *, fold: int = 0) -> Budget:
    """How many base and mixed images the arms have between them in a fold."""
    any_mixed = any(arm.policy for arm in material.config.arms)
    return Budget(len(material.base_of(fold)), len(material.mixed_of(fold)) if any_mixed else 0)


def data_of(material: Material, arm: str, *, seed: int, fold: int = 0) -> TrainData:
    """What an arm is trained on with a seed in a fold. Train it with `budget_of` of that fold: then all arms
    see the same places filled, augmented by the same draws."""
    from training.engine.data import TrainData

    own = material.config.arm(arm)
    base, images = material.base_of(fold), material.images
    plain = np.asarray(images.images[base])
    soft = images.human_labels if own.base_labels == "human" else np.eye(len(images.classes))[images.labels]
    assert soft is not None
    pictures, targets, slots = [plain], [soft[base]], np.arange(len(base))
    if own.policy:
        mixed = material.mixed_of(fold)
        kept = material.kept(own, seed=seed, fold=fold)
        pictures.append(material.mixed_images[mixed[kept]])
        targets.append(labels.mixed_labels(material, own, seed=seed, fold=fold)[kept])
        slots = np.concatenate([slots, len(base) + kept])
    watched = material.validation if len(material.validation) else material.evaluation
    return TrainData(
        images=np.concatenate(pictures),
        targets=np.concatenate(targets),
        n_parents=len(base),
        validation_images=np.asarray(images.images[watched]),
        validation_labels=images.labels[watched],
        slots=slots,
        perceived=_perceived(own, material, seed, fold),
        plain_for_mixed=own.mixed_share is not None,
    )


def _perceived(arm: ArmConfig, material: Material, seed: int, fold: int) -> Perceived | None:
    """What an arm labels its mixtures by that it makes while it trains."""
    from training.engine.data import Perceived

    if arm.on_the_fly is None or arm.on_the_fly.labels == "mixup":
        return None
    if arm.on_the_fly.labels == "population_curve":
        params = labels.fitted(material, arm, "population_curve", seed=seed, fold=fold)
        return Perceived.of(curve=params["curve"])
    return Perceived.of(warp=labels.fitted(material, arm, "perceptual_warp", seed=seed, fold=fold))
