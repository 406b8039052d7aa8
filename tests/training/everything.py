"""Experiments with all that the pages of training can show, finished without training: everything that they leave is
drawn from a seed. The tests of all pages walk over it, and `make bench ONLY=reports` measures a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.urls import reverse
from django.utils import timezone
from numpy.typing import NDArray

from elicitation.flow.simulation import simulate_participant
from elicitation.studies.opening import open_study
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.hub.models import Release
from hilmix.jobs.progress import Progress
from tests.training.explained import MIXED, PLAIN, explained
from training.evaluation.assessment import assess
from training.evaluation.corruptions import suite
from training.evaluation.predictions import predictions
from training.evaluation.scores import score
from training.experiments.config import parse_config
from training.experiments.material import Material, material_of
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.followups.models import FollowUp
from training.followups.services import Asked, create_follow_up
from training.followups.work import estimate_labels
from training.reports.paper.services import write_paper
from training.reports.parts import parts_of
from training.reports.run.services import describe_run
from training.reports.services import build_report
from training.runs.keeping import CORRUPTED, PREDICTIONS, write_arrays
from training.runs.models import Run
from training.trends.services import retrain, write_over_time

Arrays = dict[str, NDArray[Any]]


def everything(
    releases: Sequence[Release],
    admin: User,
    *,
    policies: Sequence[str] = ("mixup", "human_lambda_shrunk"),
    seeds: Sequence[int] = (0, 1),
    epochs: int = 2,
    validation: int = 60,
    draws: int = 50,
    points: tuple[int, int] = (PLAIN, MIXED),
) -> Experiment:
    """One configuration on two releases of a study, of the first with an explanation, whose map has so many `points` of
    plain and mixed images, a follow-up and files."""
    config = parse_config({
        "name": "everything", "release": releases[0].name, "arms": [{"policy": one} for one in policies],
        "seeds": list(seeds), "validation": validation, "holdout_mixes": 0.5, "primary": "log_loss",
        "contrasts": [{"arm": policies[-1], "against": policies[0]}],
    })  # fmt: skip
    first = create_experiment(config=config, actor=OPERATOR)
    for one in (first, retrain(experiment=first, release=releases[1], actor=OPERATOR)):
        finish(one, epochs=epochs, draws=draws)
    write_over_time(experiment=first)
    first = Experiment.objects.get(pk=first.pk)
    explained(run_of(first), list(first.image_set.classes), *points)
    _follow_up(first, policies[-1], admin)
    write_paper(experiment=first, progress=Progress())
    return first


def finish(experiment: Experiment, *, epochs: int, draws: int) -> None:
    """Runs as training and judging would leave them, the later arms a little better; their pages, and the report."""
    material = material_of(experiment)
    images = material.images
    for run in Run.objects.filter(arm__experiment=experiment).select_related("arm__experiment__image_set"):
        rng = np.random.default_rng([run.seed, run.fold, run.arm.ordinal])
        if run.fold:
            rows = material.folds[run.fold - 1].held_out
            write_arrays(run, PREDICTIONS, {"mixed_rows": rows, "mixed_logits": _mixed(material, rows, rng)})
        else:
            arrays = _tested(material, 2.5 + run.arm.ordinal / 4, rng)
            write_arrays(run, PREDICTIONS, arrays)
            write_arrays(run, CORRUPTED, _corrupted(arrays, rng))
            found = predictions(labels=arrays["labels"], logits=arrays["logits"])
            run.evaluations = {"test": assess(found, draws=draws).as_json()}
            run.metrics = score(arrays["logits"], arrays["labels"])
        run.curves = [_epoch(number, rng) for number in range(epochs)]
        run.environment, run.n_steps = {"device": "none (drawn from a seed)", "seconds": 60.0}, 1
        run.plan_sha256, run.finished_at = f"plan {run.seed}", timezone.now()
        run.save()
        if not run.fold:
            describe_run(run=run, images=images)
    build_report(
        experiment=experiment,
        leakage=material.leakage,
        near_duplicates=material.near_duplicates,
        material=material,
    )


def run_of(experiment: Experiment) -> Run:
    return (
        Run.objects.filter(arm__experiment=experiment, fold=0)
        .select_related("arm__experiment")
        .earliest("pk")
    )


def addresses(experiment: Experiment) -> dict[str, str]:
    """Every page of training that this experiment has, and the file that opens offline, by a name for it."""
    at, run = [experiment.pk], run_of(experiment)
    parts = {
        f"part {part.key}": reverse("report_part", args=[*at, part.key])
        for part in parts_of(experiment.report.content)
    }
    behind = reverse("run_images", args=[run.pk])
    of_test = {
        "diagnosis": reverse("diagnosis", args=at),
        "run": reverse("run", args=[run.pk]),
        "images of a cell": f"{behind}?of=cell&actual=0&predicted=0",
        "images of a bin": f"{behind}?of=bin&bin=14",
        "mistakes": f"{behind}?of=mistakes",
        "uncertain": f"{behind}?of=uncertain",
        "robustness": reverse("robustness", args=at),
        "explanations": reverse("run_explanations", args=[run.pk]),
        "mixed images": reverse("mixing", args=at),
        "over time": reverse("experiment_over_time", args=at),
    }
    unfolded = {
        f"{name}, unfolded": f"{address}{'&' if '?' in address else '?'}test=shown"
        for name, address in of_test.items()
    }
    follow_ups = {
        f"follow-up of {one.study.slug}": reverse("follow_up", args=[one.pk])
        for one in FollowUp.objects.filter(experiment=experiment).select_related("study")
    }
    return {
        "experiments": reverse("experiments"),
        "new": reverse("new_experiment"),
        "new, of a copy": f"{reverse('new_experiment')}?copy={experiment.pk}",
        "experiment": reverse("experiment", args=at),
        **parts,
        **of_test,
        **unfolded,
        **follow_ups,
        "choice": reverse("experiment_choice", args=at),
        "model card": reverse("model_card", args=[*at, run.arm.ordinal]),
        "on paper": reverse("experiment_paper", args=at),
        "report.html": reverse("experiment_report_html", args=at),
    }


def _tested(material: Material, strength: float, rng: np.random.Generator) -> Arrays:
    found: Arrays = {}
    for name, rows in (("", material.evaluation), ("validation_", material.validation)):
        labels = material.images.labels[rows]
        n_classes = len(material.images.classes)
        noise = rng.normal(0, 1, (len(rows), n_classes))
        found |= {f"{name}indices": rows, f"{name}logits": noise + strength * np.eye(n_classes)[labels]}
    return found | {"labels": material.images.labels[material.evaluation]}


def _mixed(material: Material, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    first, second = material.images.labels[material.parents[rows]].T
    share = np.clip(material.data.lambdas()[rows] + rng.normal(0, 0.1, len(rows)), 0.02, 0.98)
    p = np.full((len(rows), len(material.images.classes)), 0.001)
    p[np.arange(len(rows)), first] += share
    p[np.arange(len(rows)), second] += 1 - share
    return np.asarray(np.log(p / p.sum(axis=1, keepdims=True)))


def _corrupted(arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """Every change makes a quarter of the images another class."""
    clean, n_classes = arrays["logits"].argmax(axis=1), arrays["logits"].shape[1]
    hit = rng.random((len(suite()), len(clean))) < 0.25
    return {
        "names": np.array([name for name, _severity in suite()]),
        "severities": np.array([severity for _name, severity in suite()]),
        "predicted": np.where(hit, (clean + 1) % n_classes, clean).astype(np.uint8),
        "p_label": np.where(hit, 0.1, 0.9).astype(np.float16),
    }


def _epoch(number: int, rng: np.random.Generator) -> dict[str, Any]:
    left = 2 * 0.8**number
    return {
        "epoch": number + 1, "train_loss": left + 0.3 + rng.random() / 20, "train_floor": 0.3, "lr": 0.1,
        "validation_loss": left + 0.4 + rng.random() / 10, "validation_accuracy": 0.9 - left / 3, "seconds": 1.0,
    }  # fmt: skip


def _follow_up(experiment: Experiment, arm: str, admin: User) -> None:
    """Asked about again by two simulated people, and its labels estimated."""
    asked = Asked(arm, "all", 2, 2, f"again-{experiment.pk}", "Again")
    made = create_follow_up(experiment=experiment, asked=asked, actor=admin)
    open_study(study=made.study, actor=OPERATOR)
    for seed in range(2):
        simulate_participant(study=made.study, seed=100 + seed)
    estimate_labels(made)
