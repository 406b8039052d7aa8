"""Doing the work of an experiment: what its runs will take, one run's training, and what it is judged on.

Only jobs and commands import this module and `judging`, as they import torch. Any of it may be stopped at any moment
and done again: a run goes on from its checkpoint, and counts once its row says so; its files are there before that.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone
from safetensors.torch import load_file

from hilmix.errors import Invalid
from hilmix.jobs.models import Queue, Worker
from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.version import code_version
from training.engine.checkpoints import UnusableCheckpoint
from training.engine.config import TrainConfig
from training.engine.device import describe, pick_device, resolved, settled
from training.engine.loop import EpochCurve, Step, TrainingDiverged, TrainingStopped, TrainResult, train
from training.engine.predict import load_model, save_weights
from training.engine.probe import forecast, probe
from training.experiments.config import train_as_dict, train_from_dict
from training.experiments.material import Material, budget_of, data_of, material_of, tuned_recipe
from training.experiments.models import Experiment
from training.reports.run.services import describe_run
from training.runs import keeping
from training.runs.amounts import seconds_of_figures, to_judge, to_show, to_store
from training.runs.judging import judge
from training.runs.models import Run
from training.runs.services import finish_run, parent_of, queue_due, raise_if_cancelled, runs_of

PROBE_STEPS = 20
CURVES_EVERY = 1.0  # seconds, at least, between two writings of the curves while it trains


def launch(progress: Progress, experiment_id: int) -> None:
    """Decide precision and threads, forecast what the runs will take, and queue those that may begin.

    Raises `Invalid` where they cannot fit in memory or on disk.
    """
    experiment = Experiment.objects.select_related("release", "image_set", "job").get(pk=experiment_id)
    left = [run for run in runs_of(experiment) if not run.is_done]
    if left:
        material = material_of(experiment)
        _forecast(experiment, material, left, progress)
    progress.check()
    with transaction.atomic():
        raise_if_cancelled(experiment, experiment.job)
        queue_due(experiment=experiment, actor=progress.actor)
    progress.log(f"{len(left)} runs are to be trained" if left else "every run is finished")


def train_run(progress: Progress, run_id: int) -> None:
    """Train, judge and keep one run, from its checkpoint if there is one. Raises `JobCancelled` when asked to stop."""
    run = Run.objects.select_related("arm__experiment__release", "arm__experiment__image_set").get(pk=run_id)
    if run.is_done:
        progress.log("trained before, kept")
        with transaction.atomic():
            queue_due(experiment=run.arm.experiment, actor=progress.actor)
        return
    experiment = run.arm.experiment
    material, device = material_of(experiment), pick_device()
    try:
        parent = _parent(run)
        config = settle(experiment, material, chosen(run), device)
        run.train = {**run.train, **train_as_dict(config)}
        run.started_at = run.started_at or timezone.now()
        run.save(update_fields=["train", "started_at"])
        result = _train(run, config, parent, material, device, progress)
    except TrainingDiverged as error:
        # A point of the grid that diverges is no good point; a run that is compared needs a rule to be left out.
        if not run.candidate and "diverged" not in experiment.config.get("exclude", []):
            raise
        run.evaluations = {"excluded": {"rule": "diverged", "why": str(error)}}
        progress.log(f"{error}; it is left out by the rule “diverged”")
    else:
        _judge_and_keep(run, config, result, material, device, progress)
        _describe(run, config, result, parent, device)
        describe_run(run=run, images=material.images)
        reached = "accuracy {:.3f} on {} images, ".format(*run.accuracy) if run.accuracy else "trained in "
        progress.log(reached + duration(result.seconds))
    finish_run(run=run, actor=progress.actor)
    shutil.rmtree(keeping.checkpoints(run), ignore_errors=True)


def settle(
    experiment: Experiment, material: Material, config: TrainConfig, device: torch.device
) -> TrainConfig:
    """The configuration with precision and number of threads decided: once for all runs, by the first that asks."""
    if not experiment.precision:
        shape, n_classes = material.image_shape, len(material.images.classes)
        found = resolved(config, image_shape=shape, n_classes=n_classes, device=device)
        undecided = Experiment.objects.filter(pk=experiment.pk, precision="")
        undecided.update(precision=found.precision, threads=found.threads)
        experiment.refresh_from_db(fields=["precision", "threads"])
    return replace(config, precision=experiment.precision, threads=experiment.threads or config.threads)


def chosen(run: Run) -> TrainConfig:
    """How a run is trained: as its row says, or, where its arm was tuned, as the best of the finished candidates."""
    experiment = run.arm.experiment
    tried = {} if run.candidate else {one.candidate: one for one in run.arm.runs.all() if one.candidate}
    if tried and all(one.is_done for one in tried.values()):
        if all(one.excluded for one in tried.values()):
            raise TrainingDiverged(
                f"every point of the grid diverged for the arm {run.arm.name}; tune over lower rates"
            )
        config = experiment.parsed
        figures = {
            number: one.evaluations.get("validation", {}).get(config.primary, {}).get("value")
            for number, one in tried.items()
        }
        return tuned_recipe(config, run.arm.name, figures)
    return train_from_dict(run.train) if run.train else experiment.parsed.train


def _forecast(experiment: Experiment, material: Material, runs: list[Run], progress: Progress) -> None:
    """Measure a few steps of each recipe, and keep with the experiment what all of it will take at the dearest."""
    device = pick_device()
    probes = []
    for run in _unlike(runs):
        progress.update(0, 0, f"measuring {PROBE_STEPS} steps of {run.arm.name}")
        progress.check()
        config = settle(experiment, material, chosen(run), device)
        data = data_of(material, run.arm.name, seed=run.seed, fold=run.fold)
        budget = budget_of(material, fold=run.fold)
        probes.append(probe(config, data, budget=budget, device=device, steps=PROBE_STEPS))
    one = max(probes, key=lambda found: found.seconds)
    # Workers each have a device of their own; of a processor there is one, and runs side by side share it.
    workers = Worker.objects.alive().filter(queue=Queue.TRAIN).count()
    at_once = max(1, workers) if device.type == "cuda" else 1
    # Memory, weights and checkpoint are those of the largest, which need not be the slowest.
    largest = {key: max(getattr(each, key) for each in probes) for key in ("memory", "kept", "checkpoint")}
    one = replace(one, **largest)
    amounts = [to_judge(run, material) for run in runs]
    shown = sum(to_show(run, material) for run in runs)
    judged = sum(amount.kept for amount in amounts) + shown + to_store(material)
    found = forecast(one, n_runs=len(runs), directory=settings.VAR / "runs", judged=judged, device=device)
    seconds = found.seconds / min(at_once, len(runs))
    # Judging is forecast at the dearest too, for what each of the runs is judged on.
    dearest = max(probes, key=lambda found: found.seconds_forward)
    a_figure = seconds_of_figures(material)
    judging = sum(amount.seconds(dearest, a_figure) for amount in amounts) / min(at_once, len(runs))
    experiment.forecast = {
        **asdict(found),
        "refusals": list(found.refusals),
        "seconds": seconds,
        "seconds_judging": judging,
        "seconds_a_run": one.seconds,
        "seconds_a_step": one.seconds_a_step,
        "n_runs": len(runs),
        "at_once": at_once,
        "device": device.type,
    }
    experiment.save(update_fields=["forecast"])
    if found.refusals:
        raise Invalid(" ".join(found.refusals))
    progress.log(
        f"{len(runs)} runs will take about {duration(seconds)} of training and {duration(judging)} of judging, "
        f"{found.memory / 1e9:.1f} GB of memory and {found.disk / 1e9:.2f} GB of disk"
    )


def _unlike(runs: list[Run]) -> list[Run]:
    """One run of each recipe that takes time or memory of its own."""
    found: dict[str, Run] = {}
    for run in runs:
        config = chosen(run)
        recipe = (config.net, config.epochs, config.batch_size, config.mixed_share, config.ema)
        found.setdefault(repr((recipe, config.augment, config.on_the_fly)), run)
    return list(found.values())


def _parent(run: Run) -> Run | None:
    """The finished run whose weights this one starts from: of the same experiment, or one named by its number."""
    wanted = run.arm.settings.get("start_from")
    if wanted is None:
        return None
    found = parent_of(run, runs_of(run.arm.experiment))
    if isinstance(wanted, int):
        found = Run.objects.filter(pk=wanted).first()
    elif found is not None and found.excluded:
        raise TrainingDiverged(f"{found.title}, which it starts from, is left out: {found.excluded}")
    if found is None or not (found.directory / keeping.WEIGHTS).exists():
        raise Invalid(f"The weights of {wanted}, which {run.title} starts from, are not there.")
    return found


def _train(
    run: Run,
    config: TrainConfig,
    parent: Run | None,
    material: Material,
    device: torch.device,
    progress: Progress,
) -> TrainResult:
    start = None if parent is None else load_file(parent.directory / keeping.WEIGHTS)

    def on_step(step: Step) -> None:
        progress.update(
            step.done, step.total, f"epoch {step.epoch}, about {duration(step.seconds_left)} left"
        )

    full = keeping.make_room(progress)
    written = 0.0

    def on_epoch(curve: EpochCurve) -> None:
        nonlocal full, written
        full = keeping.make_room(progress, said=full)
        run.curves = [*(one for one in run.curves if one["epoch"] < curve.epoch), asdict(curve)]
        if time.monotonic() - written >= CURVES_EVERY:
            _show_curves(run)
            written = time.monotonic()

    begin = partial(
        train,
        config,
        data_of(material, run.arm.name, seed=run.seed, fold=run.fold),
        seed=run.seed,
        budget=budget_of(material, fold=run.fold),
        start=start,
        checkpoints=keeping.checkpoints(run),
        device=device,
        on_step=on_step,
        on_epoch=on_epoch,
        should_stop=lambda: progress.cancelled,
    )
    try:
        try:
            return begin()
        except UnusableCheckpoint as error:  # of another version, or damaged: the run is whole without it
            progress.log(f"{error} It is removed, and the run starts anew.")
            shutil.rmtree(keeping.checkpoints(run))
            return begin()
    except TrainingStopped:
        raise JobCancelled from None
    finally:
        _show_curves(run)


def _show_curves(run: Run) -> None:
    """Keep the curves so far, for whoever looks while it trains: no training ends because that cannot be written."""
    with contextlib.suppress(OperationalError):
        run.save(update_fields=["curves"])


def _judge_and_keep(
    run: Run,
    config: TrainConfig,
    result: TrainResult,
    material: Material,
    device: torch.device,
    progress: Progress,
) -> None:
    """Judge the weights as they are written, and keep all files; the run's row is not saved here."""
    weights = keeping.write(run, keeping.WEIGHTS, lambda path: save_weights(dict(result.state_dict), path))
    keeping.hash_weights(run)
    n_classes = len(material.images.classes)
    model = load_model(weights, net=config.net, image_shape=material.image_shape, n_classes=n_classes).to(
        device
    )
    with settled(config.threads):
        found = judge(model, run, material, device=device, progress=progress, steps=result.n_steps)
    keeping.write_arrays(run, keeping.PREDICTIONS, found.predictions)
    if found.corrupted:
        keeping.write_arrays(run, keeping.CORRUPTED, found.corrupted)
    run.metrics, run.evaluations = found.metrics, found.evaluations


def _describe(
    run: Run, config: TrainConfig, result: TrainResult, parent: Run | None, device: torch.device
) -> None:
    """Curves, steps and environment; a run that starts from another's weights has its parent's steps too."""
    with settled(config.threads):
        record: dict[str, Any] = dict(describe(device))
    record |= {"precision": result.precision, "numpy": np.__version__, "code": code_version()}
    record |= {"seconds": round(result.seconds, 2)}
    if parent is not None:
        record["started_from"] = f"{parent.title} (run {parent.pk}), {parent.n_steps} steps"
    run.environment, run.curves = record, result.curves
    run.n_steps = result.n_steps + (parent.n_steps if parent else 0)
    run.plan_sha256 = result.plan_sha256


def duration(seconds: float) -> str:
    """ "40 s", "3 min", "2 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
