"""What the page of a run shows while it trains: curves as they are stored after each epoch, pace, log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from hilmix.accounts.models import User
from hilmix.figures import show
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.pages import line_time
from hilmix.jobs.services import workers_alive
from training.experiments.models import Arm
from training.reports.advice import is_base_only, is_plain_mixup
from training.reports.run.curves import figures_of
from training.reports.run.services import source_of
from training.runs.models import Run

LINES = 60  # of the log, the last
PACE = 3  # epochs, the last, by which it is told


def state_of(run: Run) -> str:
    """`left out` by a rule, `done`, the state of its job, or `waiting` for one."""
    if run.excluded:
        return "left out"
    if run.is_done:
        return "done"
    return "waiting" if run.job is None else run.job.state


def baseline_of(run: Run) -> Run | None:
    """The run of the same seed whose curves stand behind its own: of the baseline of "What to do", which is mixup with
    its own labels, else the reference (the arm without any mixed image, else the first); None where it is of that arm
    itself, or there is none."""
    arms = list(Arm.objects.filter(experiment=run.arm.experiment_id).order_by("ordinal"))
    first = min(
        arms,
        key=lambda arm: (
            not is_plain_mixup(arm.policy, arm.settings),
            not is_base_only(arm.policy, arm.settings, is_external=arm.is_external),
        ),
    )
    if first.pk == run.arm_id:
        return None
    return (
        Run.objects.filter(arm=first, seed=run.seed, fold=run.fold, candidate=0).select_related("arm").first()
    )


def version_of(run: Run, baseline: Run | None) -> str:
    """Changes with every epoch that is stored of either."""
    return f"{len(run.curves)}-{len(baseline.curves) if baseline else 0}"


def curves_of(run: Run, baseline: Run | None) -> list[dict[str, Any]]:
    """The figures of its learning curves, as they are sent."""
    watched = "validation" if run.arm.experiment.config.get("validation") else "evaluation"
    found = figures_of(
        run.curves,
        baseline.curves if baseline else (),
        behind=baseline.arm.name if baseline else "",
        watched=watched,
        source=source_of(run),
    )
    return [figure.as_dict() for figure in found]


def stats_of(run: Run) -> list[tuple[str, str, str]]:
    """Key, name and value of what stands above the curves: how far it is and its pace; its job says what is left."""
    epochs, last = run.train.get("epochs"), run.curves[-1] if run.curves else {}
    done = len(run.curves)
    told = [("epoch", _("Epoch"), f"{done} / {epochs}" if epochs else str(done))]
    told.append(("rate", _("Learning rate"), show(last.get("lr"))))
    told.append(("pace", _("Images a second, with validation"), _pace(run.curves)))
    if run.is_done:
        told.append(("seconds", _("Training time"), _duration(run.environment.get("seconds"))))
    # What a finished run did not keep is left out; of one that trains it may come yet.
    return [one for one in told if not run.is_done or one[2] != "–"]


def _pace(epochs: Sequence[Mapping[str, Any]]) -> str:
    some = [one for one in epochs[-PACE:] if one.get("images") and one.get("seconds")]
    seconds = sum(one["seconds"] for one in some)
    return f"{sum(one['images'] for one in some) / seconds:,.0f}" if seconds else "–"


def _duration(seconds: float | None) -> str:
    """ "40 s", "3 min", "2 h 5 min"."""
    if seconds is None:
        return "–"
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def job_of(run: Run, person: User) -> Job | None:
    """The job of a run, where this person may see and steer it."""
    if run.job is None:
        return None
    return run.job if Job.objects.visible_to(person).filter(pk=run.job.pk).exists() else None


def log_of(job: Job | None) -> str:
    """The end of its log, the oldest line first."""
    if job is None:
        return ""
    lines = list(job.lines.order_by("-pk")[:LINES])[::-1]
    return "".join(f"{line_time(line.at)}  {line.text}\n" for line in lines)


def news_of(run: Run, person: User, known: str) -> dict[str, Any]:
    """What static/js/run.js shows; the curves only where `known`, the version that the browser has, is another."""
    baseline, job = baseline_of(run), job_of(run, person)
    version = version_of(run, baseline)
    return {
        "state": state_of(run),
        "over": run.is_done or (run.job is not None and run.job.is_over),
        "stats": {key: value for key, _name, value in stats_of(run)},
        "done": job.progress_done if job else 0,
        "total": job.progress_total if job else 0,
        "text": text_of(job),
        "log": log_of(job),
        "no_worker": lacks_worker(run),
        "version": version,
        "figures": curves_of(run, baseline) if version != known else [],
    }


def text_of(job: Job | None) -> str:
    """What it is doing, in a few words."""
    if job is None or job.is_over:
        return ""
    return _("stopping …") if job.cancel_requested else job.progress_text


def lacks_worker(run: Run) -> bool:
    """Whether its job waits and nobody is there to take it."""
    return run.job is not None and run.job.state == JobState.QUEUED and not workers_alive(run.job.queue)
