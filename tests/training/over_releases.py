"""A study that grows: its releases, and experiments on them with made-up predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from django.utils import timezone

from elicitation.flow.simulation import simulate_participant
from elicitation.images.models import ImageSet
from elicitation.studies.models import Source
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, create_study
from hilmix.accounts.roles import OPERATOR
from hilmix.hub.models import Release
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress
from tests.training.conftest import quick
from training.evaluation.scores import score
from training.experiments.config import parse_config
from training.experiments.material import material_of
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.models import Report, Run
from training.reports.services import build_report
from training.runs.keeping import PREDICTIONS, write_arrays

N_MIXED = 5
CURVE = {"train_loss": 1.0, "train_floor": 0.1, "validation_loss": 0.5, "validation_accuracy": 0.9}


def grown(images: ImageSet, *people: int) -> list[Release]:
    """The releases of the study `small`, one when so many people had answered."""
    design = Design(n_mixed_images=N_MIXED, trials_per_person=N_MIXED, repeats=0, answers_per_unit=people[-1])
    plan = StudyPlan(slug="small", title="small", image_set=images, design=design)
    study = create_study(plan=plan, source=Source.SIMULATED, actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    found, n = [], 0
    for until in people:
        for seed in range(n, until):
            simulate_participant(study=study, seed=seed)
        n = until
        found.append(freeze_release(study=study, actor=OPERATOR, progress=Progress()))
    return found


def made(release: Release, **change: Any) -> Experiment:
    """Two arms, two seeds."""
    config = parse_config(quick(**{"release": release.name, "seeds": [0, 1], **change}))
    return create_experiment(config=config, actor=OPERATOR)


def finish(experiment: Experiment, *, better: float = 0.0, whole: bool = False) -> Experiment:
    """With its runs as training would leave them and made-up predictions, those of arms with answers `better`, and a
    report: an empty one, unless the `whole` of it is wanted."""
    material = material_of(experiment)
    labels = material.images.labels[material.evaluation]
    for run in Run.objects.filter(arm__experiment=experiment):
        rng = np.random.default_rng([run.seed, 5])
        strength = 3 + (better if "human" in run.arm.policy else 0)
        logits = rng.normal(0, 1, (len(labels), 10)) + strength * np.eye(10)[labels]
        arrays = {"indices": material.evaluation, "labels": labels, "logits": logits}
        write_arrays(run, PREDICTIONS, arrays)
        run.metrics, run.curves = score(logits, labels), [CURVE]
        run.environment = {"device": "cpu", "precision": "fp32", "torch": "2", "code": "x", "seconds": 1.0}
        run.n_steps, run.plan_sha256, run.finished_at = 10, f"plan {run.seed}", timezone.now()
        run.save()
    if whole:
        build_report(experiment=experiment, leakage=material.leakage, material=material)
    else:
        Report.objects.create(experiment=experiment, content={"provenance": [], "notes": []})
    return Experiment.objects.get(pk=experiment.pk)
