"""Training a configuration anew on a later release, and having it compared over releases."""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction
from django.utils.translation import gettext as _

from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require
from hilmix.errors import Conflict, Invalid
from hilmix.hub.models import Release
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.services import queue_job
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.reports.models import Report
from training.trends.series import series_of

COMPARE_KIND = "compare_releases"


def retrain(*, experiment: Experiment, release: Release, actor: Actor) -> Experiment:
    """The experiment of the same configuration on a later `release` of the study: a new one, or the one there is.

    Raises `Invalid` where the release is no later one of this study, or the configuration does not fit it.
    """
    require(actor, Action.LAUNCH_EXPERIMENT)
    own = experiment.release
    if release.study_id != own.study_id or release.number <= own.number:
        raise Invalid(
            _("%(release)s is no later release of the study of %(own)s.")
            % {"release": release.name, "own": own.name}
        )
    config = replace(experiment.parsed, release=release.name)
    return create_experiment(config=config, actor=actor, origin=experiment)


def compare_releases(*, experiment: Experiment, actor: Actor) -> Job:
    """Have the configuration of an experiment compared over the releases that have a report of it."""
    require(actor, Action.LAUNCH_EXPERIMENT)
    with transaction.atomic():
        Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
        if len(reported(experiment)) < 2:
            raise Conflict(_("Fewer than two releases have a report of this configuration."))
        waiting = Job.objects.filter(kind=COMPARE_KIND, object_id=str(experiment.pk))
        if waiting.filter(state__in=(JobState.QUEUED, JobState.RUNNING)).exists():
            raise Conflict(_("This is being worked out already."))
        label = f"“{experiment.name}” over releases"[:200]
        job = queue_job(kind=COMPARE_KIND, object_id=str(experiment.pk), label=label, actor=actor)
        audit.record(actor, "experiment.compared_over_time", experiment, job=str(job.pk))
    return job


def reported(experiment: Experiment) -> list[Experiment]:
    """The series as it is seen from the newest release that has a report of the configuration: those with one."""
    found = [one for one in series_of(experiment) if hasattr(one, "report")]
    return [one for one in series_of(found[-1]) if hasattr(one, "report")] if found else []


def write_over_time(*, experiment: Experiment) -> int:
    """Compare the configuration over releases, and keep what was found with the report on the newest of them; of how
    many releases it tells. Only the job calls this; nothing is done where fewer than two have a report."""
    series = reported(experiment)
    if len(series) < 2:
        return 0
    # Imported here: the web process loads this module, and has no need of what is computed with.
    from training.trends.comparing import over_time
    from training.trends.gathering import on_releases

    found, left_out = on_releases(series)
    newest = series[-1]
    content = over_time(
        found,
        primary=newest.config["primary"],
        source=f"Recipe {newest.recipe_sha256[:12]}; releases "
        + ", ".join(f"{one.release.name} ({one.release.sha256[:12]})" for one in series),
        watermark=newest.release.study.watermark,
        notes=left_out,
    )
    with transaction.atomic():
        report = Report.objects.select_for_update().get(experiment=newest)
        report.content = {**report.content, "over_time": content}
        report.save(update_fields=["content"])
    return len(found)
