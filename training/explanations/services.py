"""Asking for the explanation of a run, and keeping what its job found. No torch here."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.errors import Conflict
from hilmix.jobs.models import Job
from hilmix.jobs.services import queue_job
from training.explanations.models import Explanation
from training.runs.keeping import WEIGHTS
from training.runs.models import Run

EXPLAIN_KIND = "explain_run"


def why_not(run: Run) -> str:
    """Why a run cannot be explained, for people; empty where it can be."""
    if run.arm.is_external:
        return "Its predictions were brought from elsewhere: there is no model here to look into."
    if not run.is_done:
        return "The run is not finished; what its model looks at can be shown when it is."
    if run.excluded:
        return f"The run is left out, and has no weights: {run.excluded}."
    if run.candidate:
        return "It is a point of the grid that its arm was tuned over; look at the run that is compared."
    if not (run.directory / WEIGHTS).is_file():
        return "The weights of the run are no longer in its folder; train it again to look into its model."
    return ""


def explain_run(*, run: Run, actor: Actor) -> Job:
    """Queue the job that makes the explanation of a run anew; what there is stays until it is done.

    Raises `Conflict` where the run cannot be explained, or is being explained.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    with transaction.atomic():
        run = Run.objects.select_for_update(of=("self",)).select_related("arm__experiment").get(pk=run.pk)
        if said := why_not(run):
            raise Conflict(said)
        explanation, _ = Explanation.objects.select_related("job").get_or_create(run=run)
        if explanation.job is not None and not explanation.job.is_over:
            raise Conflict("This run is being explained already.")
        experiment = run.arm.experiment
        explanation.job = queue_job(
            kind=EXPLAIN_KIND,
            object_id=str(run.pk),
            label=f"Explanations of {experiment.name}: {run.title}"[:200],
            actor=actor,
        )
        explanation.save(update_fields=["job"])
        audit.record(actor, "run.explained", experiment, run=run.title)
    return explanation.job


def keep_explanation(*, run: Run, content: dict[str, Any]) -> Explanation:
    """Store what the page shows, once its files are there; in place of what there was."""
    explanation, _ = Explanation.objects.update_or_create(run=run, defaults={"content": content})
    return explanation
