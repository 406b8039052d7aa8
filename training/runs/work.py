"""Doing an experiment: train every untrained run, score it, keep its files, and in the end write the report.

This is the one module outside the engine that imports torch; only jobs and commands import it. It may be
stopped at any moment and started again: a run counts once its row says so, and its files are there before
that.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from django.utils import timezone
from numpy.typing import NDArray

from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.version import code_version
from training.engine.config import TrainConfig
from training.engine.data import TrainData
from training.engine.device import describe, pick_device, resolve_precision, settled
from training.engine.loop import Step, TrainingStopped, TrainResult, train
from training.engine.predict import load_model, predict, save_weights
from training.evaluation.scores import score
from training.experiments.models import Arm, Experiment
from training.experiments.resolve import Material, resolve
from training.reports.services import build_report
from training.runs.models import Run


def run_experiment(progress: Progress, experiment_id: int) -> None:
    """Train what is untrained of an experiment, then write its report. Raises `JobCancelled` when asked to
    stop."""
    experiment = Experiment.objects.get(pk=experiment_id)
    material = _same_material(experiment)
    device = pick_device()
    config = _settle_precision(experiment, material, device)
    runs = (
        Run.objects.filter(arm__experiment=experiment).select_related("arm").order_by("seed", "arm__ordinal")
    )
    clock = _Clock(progress, len(runs))
    images = np.concatenate(
        [material.images.images[material.training], material.data.images(material.images)]
    )
    for number, run in enumerate(runs):
        clock.begin(number, run)
        if not run.is_done:
            _train_run(run, config, _data_of(run, material, images), material, device, clock)
    build_report(experiment=experiment, leakage=material.leakage)
    progress.log("the report is written")


def _same_material(experiment: Experiment) -> Material:
    """What the experiment was created on, opened and checked again; never a newer release of the same
    name."""
    config = replace(experiment.parsed, release=experiment.release.name, image_set=experiment.image_set.name)
    return resolve(config)


def _settle_precision(experiment: Experiment, material: Material, device: torch.device) -> TrainConfig:
    """The training configuration with its precision decided, once for all runs of the experiment."""
    config = experiment.parsed.train
    if not experiment.precision:
        experiment.precision = resolve_precision(
            config, image_shape=_shape(material), n_classes=len(material.images.classes), device=device
        )
        experiment.save(update_fields=["precision"])
    return replace(config, precision=experiment.precision)


def _data_of(run: Run, material: Material, images: NDArray[np.uint8]) -> TrainData:
    """The training data of a run's arm: only the labels of the mixed images depend on the arm."""
    hard = np.eye(len(material.images.classes))[material.images.labels[material.training]]
    soft = labels_of(run.arm, material)
    return TrainData(
        images=images,
        targets=np.concatenate([hard, soft]),
        n_parents=len(material.training),
        validation_images=np.asarray(material.images.images[material.evaluation]),
        validation_labels=material.images.labels[material.evaluation],
    )


def labels_of(arm: Arm, material: Material) -> NDArray[np.float64]:
    """The labels of the mixed images that an arm learns from, float64 [n, K]. Arms of hilmix 0.1 know no condition."""
    return material.data.labels(arm.policy, arm.params.get("condition"))


def _train_run(
    run: Run, config: TrainConfig, data: TrainData, material: Material, device: torch.device, clock: _Clock
) -> None:
    started_at = timezone.now()
    try:
        result = train(
            config,
            data,
            seed=run.seed,
            device=device,
            on_step=clock.step,
            should_stop=lambda: clock.progress.cancelled,
        )
    except TrainingStopped:
        raise JobCancelled from None
    logits = _keep(run, config, result, data, material, device)
    human = material.images.human_labels
    run.metrics = score(logits, data.validation_labels, None if human is None else human[material.evaluation])
    run.curves = result.curves
    run.environment = _environment(config, result, device)
    run.n_steps, run.plan_sha256 = result.n_steps, result.plan_sha256
    run.started_at, run.finished_at = started_at, timezone.now()
    run.save()
    clock.progress.log(f"{clock.title}: accuracy {run.metrics['accuracy']:.3f}, {duration(result.seconds)}")


def _keep(
    run: Run,
    config: TrainConfig,
    result: TrainResult,
    data: TrainData,
    material: Material,
    device: torch.device,
) -> NDArray[np.float64]:
    """Write weights and predictions, complete or not at all; predict in fp32 from the weights as they were
    written."""
    unfinished = run.directory.with_name(f"{run.directory.name}.unfinished")
    for leftover in (unfinished, run.directory):
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished.mkdir(parents=True)
    weights = unfinished / "weights.safetensors"
    save_weights(result.state_dict, weights)
    logits = _predict(weights, config, data, material, device)
    np.savez(
        unfinished / "predictions.npz",
        indices=material.evaluation,
        labels=data.validation_labels,
        logits=logits,
    )
    unfinished.rename(run.directory)
    return logits


def _predict(
    weights: Path, config: TrainConfig, data: TrainData, material: Material, device: torch.device
) -> NDArray[np.float64]:
    n_classes = len(material.images.classes)
    model = load_model(weights, net=config.net, image_shape=_shape(material), n_classes=n_classes).to(device)
    with settled(config.threads):
        return predict(model, data.validation_images, device=device)


def _environment(
    config: TrainConfig, result: TrainResult, device: torch.device
) -> dict[str, str | int | float]:
    with settled(config.threads):
        record = describe(device)
    return {
        **record,
        "precision": result.precision,
        "numpy": np.__version__,
        "code": code_version(),
        "seconds": round(result.seconds, 2),
    }


def _shape(material: Material) -> tuple[int, int, int]:
    height, width, channels = material.images.images.shape[1:]
    return height, width, channels


@dataclass
class _Clock:
    """Says how far the whole experiment is, and how long it will take at the speed so far."""

    progress: Progress
    n_runs: int
    number: int = 0
    title: str = ""
    steps_done: int = 0
    began: float = 0.0

    def begin(self, number: int, run: Run) -> None:
        self.number, self.title = number, f"{run.arm.name}, seed {run.seed}"
        self.began = self.began or time.monotonic()
        if run.is_done:
            self.progress.log(f"{self.title}: trained before, kept")

    def step(self, step: Step) -> None:
        self.steps_done += 1
        total = self.n_runs * step.total
        done = self.number * step.total + step.done
        left = (time.monotonic() - self.began) / self.steps_done * (total - done)
        self.progress.update(done, total, f"{self.title}: epoch {step.epoch}, about {duration(left)} left")


def duration(seconds: float) -> str:
    """ "40 s", "3 min", "2 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
