"""An experiment whose mixed images were held out, finished without training: folds leave made-up predictions."""

from __future__ import annotations

import numpy as np
from django.utils import timezone

from elicitation.flow.simulation import simulate_participant
from elicitation.images.services import import_images
from elicitation.studies.models import Source, Study
from elicitation.studies.opening import close_study, open_study
from elicitation.studies.plans import StudyPlan
from elicitation.studies.protocol import Design
from elicitation.studies.services import create_study
from hilmix.accounts.roles import OPERATOR
from hilmix.core.loaders import read_digits
from hilmix.hub.models import Release
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress
from tests.training.conftest import quick
from training.experiments.config import parse_config
from training.experiments.material import material_of, n_folds
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.reports.services import build_report
from training.runs.keeping import PREDICTIONS, write_arrays
from training.runs.models import Run


def finished(release: Release, *, seeds: tuple[int, ...] = (0,), holdout: float = 0.5) -> Experiment:
    """The experiment with its report; models of every arm give both parents nearly all, and the first twice its λ."""
    config = parse_config(quick(release=release.name, seeds=list(seeds), holdout_mixes=holdout))
    experiment = create_experiment(config=config, actor=OPERATOR)
    material = material_of(experiment)
    assert n_folds(config)
    first, second = material.images.labels[material.parents].T
    share = material.data.lambdas()
    for run in Run.objects.filter(arm__experiment=experiment):
        if run.fold:
            rows = material.folds[run.fold - 1].held_out
            p = np.full((len(rows), len(material.images.classes)), 0.001)
            seen = np.clip(2 * share[rows] - 0.5 + 0.01 * run.seed, 0.02, 0.98)
            p[np.arange(len(rows)), first[rows]] += seen
            p[np.arange(len(rows)), second[rows]] += 1 - seen
            logits = np.log(p / p.sum(axis=1, keepdims=True))
            write_arrays(run, PREDICTIONS, {"mixed_rows": rows, "mixed_logits": logits})
        run.finished_at = timezone.now()
        run.plan_sha256 = "p"
        run.save()
    build_report(experiment=experiment, leakage=material.leakage, material=material)
    return Experiment.objects.get(pk=experiment.pk)


def small_release() -> Release:
    """Digits, a study of 24 mixed images answered by simulated people, and its release `small@1.0.0`."""
    images, labels, classes, splits = read_digits()
    digits = import_images(
        name="digits",
        kind="digits",
        images=images,
        labels=labels,
        classes=classes,
        splits=splits,
        actor=OPERATOR,
    )
    design = Design(n_mixed_images=24, trials_per_person=12, repeats=0, answers_per_unit=2)
    plan = StudyPlan(slug="small", title="small", image_set=digits, design=design)
    study = create_study(plan=plan, source=Source.SIMULATED, actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    for seed in range(4):
        simulate_participant(study=study, seed=seed)
    close_study(study=study, actor=OPERATOR)
    return freeze_release(study=study, actor=OPERATOR, progress=Progress())


def answered_again(slug: str, people: int) -> None:
    """Open the study that was made, and let simulated people answer it."""
    study = Study.objects.get(slug=slug)
    open_study(study=study, actor=OPERATOR)
    for seed in range(people):
        simulate_participant(study=study, seed=100 + seed)
