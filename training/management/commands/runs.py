"""`manage.py runs [EXPERIMENT]`: how far trainings are, in a terminal, and what an admin may do to them."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.jobs.models import RETRYABLE, Job, JobState, Pause, Queue
from hilmix.jobs.services import pause_queue, resume_queue, workers_alive
from training.experiments.models import Experiment
from training.reports.words import forecast_words
from training.runs import keeping, services
from training.runs.models import Run

EVERY = 2.0  # seconds between two looks with --watch


class Command(OperatorCommand):
    help = "Show experiments, or the runs of one; with an option, steer them first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", type=int, nargs="?", metavar="EXPERIMENT", help="its number")
        parser.add_argument("--watch", action="store_true", help="keep it fresh until Ctrl-C, or all is over")
        parser.add_argument(
            "--retry", action="store_true", help="try again what failed, was cancelled or lost"
        )
        parser.add_argument("--cancel", action="store_true", help="cancel all that waits or runs of it")
        parser.add_argument("--add-seeds", metavar="5,6", help="train further seeds of it, as it was frozen")
        parser.add_argument(
            "--priority", type=int, metavar="N", help="of its waiting jobs; the highest goes first"
        )
        parser.add_argument("--not-before", metavar="TIME", help="of its waiting jobs, as 2026-12-01T22:00")
        parser.add_argument(
            "--pause", action="store_true", help="let nothing more begin in the queue of trainings"
        )
        parser.add_argument("--resume", action="store_true", help="let it begin again")

    def handle(self, *args: Any, experiment: int | None, **options: Any) -> None:
        found = None if experiment is None else experiment_numbered(experiment)
        self._steer(found, options)
        while True:
            lines = table_of_runs(found) if found else table_of_experiments()
            if options["watch"] and self.stdout.isatty():
                self.stdout.write("\x1b[2J\x1b[H", ending="")
            self.stdout.write("\n".join([*lines, *_around()]))
            if not options["watch"] or (found is not None and _is_over(found)):
                return
            try:
                time.sleep(EVERY)
            except KeyboardInterrupt:
                return

    def _steer(self, experiment: Experiment | None, options: dict[str, Any]) -> None:
        if options["pause"]:
            pause_queue(queue=Queue.TRAIN, actor=OPERATOR)
        if options["resume"]:
            resume_queue(queue=Queue.TRAIN, actor=OPERATOR)
        ordered = options["priority"] is not None or options["not_before"]
        if experiment is None:
            if options["retry"] or options["cancel"] or options["add_seeds"] or ordered:
                raise CommandError("Say which experiment: manage.py runs EXPERIMENT …")
            return
        if options["cancel"]:
            services.cancel_experiment(experiment=experiment, actor=OPERATOR)
        if options["add_seeds"]:
            seeds = _seeds(options["add_seeds"])
            services.add_seeds(experiment=experiment, seeds=seeds, actor=OPERATOR)
        if options["retry"]:
            services.launch_experiment(experiment=experiment, actor=OPERATOR)
        if ordered:
            services.reorder_experiment(
                experiment=experiment,
                actor=OPERATOR,
                priority=options["priority"],
                not_before=_time(options["not_before"]),
            )


def experiment_numbered(number: int) -> Experiment:
    """The experiment of this number; CommandError naming those there are."""
    found = Experiment.objects.filter(pk=number).first()
    if found is None:
        known = (
            ", ".join(f"{one.pk} ({one.name})" for one in Experiment.objects.order_by("pk")[:20]) or "none"
        )
        raise CommandError(f"There is no experiment {number}. Experiments here: {known}.")
    return found


def table_of_experiments() -> list[str]:
    """One line an experiment, the newest first."""
    rows: list[tuple[str, ...]] = [("EXPERIMENT", "NAME", "STATE", "RUNS", "FORECAST")]
    for one in Experiment.objects.with_state():
        runs = [run for arm in one.arms.all() for run in arm.runs.all()]
        done = sum(run.is_done for run in runs)
        rows.append((str(one.pk), one.name, one.state, f"{done}/{len(runs)}", _forecast(one)))
    return (
        _lines(rows)
        if len(rows) > 1
        else ["There is no experiment yet: manage.py run_experiment CONFIG.toml"]
    )


def table_of_runs(experiment: Experiment) -> list[str]:
    """One line a run, in the order in which they are done; then why some are not."""
    experiment = Experiment.objects.with_state().get(pk=experiment.pk)
    runs = services.runs_of(experiment)
    rows: list[tuple[str, ...]] = [("RUN", "WHAT", "STATE", "PROGRESS", "NOTE"), *(_row(run) for run in runs)]
    head = f"Experiment {experiment.pk}, {experiment.name}: {experiment.state}"
    said = f". Forecast: {_forecast(experiment)}" if experiment.forecast else ""
    why = [f"{run.title}: {run.job.error}" for run in runs if not run.is_done and run.job and run.job.error]
    own = services.current_job(experiment)
    if own and own.error and own.kind != services.RUN_KIND and not experiment.is_reported:
        why.append(own.error)
    if hasattr(experiment, "report") and not experiment.is_reported:
        at, n = (
            f"{timezone.localtime(experiment.report.created_at):%d %b %H:%M}",
            len(experiment.report.without(runs)),
        )
        now = "is being renewed" if services.is_worked_on(experiment) else "is not being renewed now"
        of = f"{n} run{'s' if n > 1 else ''} added since"
        why.append(f"The report of {at} is without {of}. It {now}, and stays until a new one is written.")
    if experiment.state in RETRYABLE:
        why.append(
            f"manage.py runs {experiment.pk} --retry tries again what is not done; a training goes on from its last "
            "checkpoint."
        )
    return [head + said, "", *_lines(rows), *why]


def _row(run: Run) -> tuple[str, ...]:
    number = str(run.pk)
    note = ["added later"] if services.added_later(run) else []
    if run.is_done:
        accuracy = "accuracy {:.4f} on {} images".format(*run.accuracy) if run.accuracy else ""
        note += ["external"] if run.arm.is_external else []
        if run.excluded:
            return number, run.title, "excluded", "", ", ".join([*note, run.excluded])
        return number, run.title, "done", accuracy, ", ".join(note)
    job = run.job
    if job is None:
        return number, run.title, "not queued", "", ", ".join(note)
    if job.state == JobState.QUEUED:
        note += [f"priority {job.priority}"] if job.priority else []
        note += [f"not before {timezone.localtime(job.not_before):%d %b %H:%M}"] if job.not_before else []
    far = f"{job.progress_done}/{job.progress_total} {job.progress_text}" if job.progress_total else ""
    return number, run.title, job.state, far, ", ".join(note)


def _around() -> list[str]:
    """What holds for all trainings: a pause, a missing worker, disk."""
    said = [""]
    if Pause.objects.filter(queue=Queue.TRAIN).exists():
        said.append("The queue of trainings is paused: nothing more begins (--resume).")
    waiting = Job.objects.filter(queue=Queue.TRAIN, state=JobState.QUEUED).exists()
    if waiting and not workers_alive(Queue.TRAIN):
        said.append("No worker is running for trainings: start one with python manage.py serve.")
    limit = f" of {settings.HILMIX_RUNS_GB:g}" if settings.HILMIX_RUNS_GB else ""
    said.append(f"Files of runs take {keeping.used() / 1e9:.2f}{limit} GB.")
    return said


def _forecast(experiment: Experiment) -> str:
    return forecast_words(experiment.forecast)


def _is_over(experiment: Experiment) -> bool:
    job = services.current_job(experiment)
    return Experiment.objects.get(pk=experiment.pk).state == "done" or job is None or job.is_over


def _seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise CommandError(f"--add-seeds is {text!r}; give whole numbers, such as 5,6.") from None


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise CommandError(f"--not-before is {text!r}; give a time such as 2026-12-01T22:00.")
    return timezone.make_aware(found) if timezone.is_naive(found) else found


def _lines(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns as wide as they must be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
