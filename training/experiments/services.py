"""Experiments are created here; launching them and doing their runs is `training/runs`."""

from __future__ import annotations

from django.db import transaction

from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from training.experiments.checking import Checker
from training.experiments.config import ExperimentConfig, train_as_dict
from training.experiments.fitting import check_limits
from training.experiments.material import Material, budget_of, resolve, run_plan
from training.experiments.models import Arm, Experiment
from training.runs.models import Run


def create_experiment(
    *, config: ExperimentConfig, actor: Actor, origin: Experiment | None = None
) -> Experiment:
    """The experiment of `config` on this instance: a new one, or the one that was made of exactly this
    before. `origin` is the experiment whose configuration it repeats or changes.

    Names are resolved to content now and never again. Raises `Forbidden`, or `Invalid` with the reasons.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    material = resolve(config, actor=actor)
    config, identity = material.config, material.identity()
    with transaction.atomic():
        if existing := Experiment.objects.filter(config_sha256=identity).first():
            return existing
        _check_limits(material)
        experiment = Experiment.objects.create(
            name=config.name,
            config=config.as_dict(),
            config_sha256=identity,
            recipe_sha256=config.recipe_sha256(),
            origin=origin,
            release=material.release,
            image_set=material.image_set,
            created_by=user_or_none(actor),
        )
        arms = {
            arm.name: Arm.objects.create(
                experiment=experiment,
                ordinal=ordinal,
                name=arm.name,
                policy=arm.policy or "",
                params=material.records.get(arm.name, {}),
                settings=arm.as_dict(),
            )
            for ordinal, arm in enumerate(config.arms)
        }
        Run.objects.bulk_create(
            Run(
                arm=arms[spec.arm],
                seed=spec.seed,
                fold=spec.fold,
                candidate=spec.candidate,
                train={**train_as_dict(spec.train), "arm": arms[spec.arm].settings},
            )
            for spec in run_plan(config)
        )
        audit.record(actor, "experiment.created", experiment, config_sha256=identity)
    return experiment


def _check_limits(material: Material) -> None:
    check = Checker()
    budgets = [budget_of(material, fold=fold) for fold in range(len(material.folds) + 1)]
    check_limits(check, material, budgets)
    check.raise_if_any()
