"""The kinds of job that train: launching an experiment, one run, and the report when the last is finished."""

from __future__ import annotations

import os
from collections.abc import Iterable

from django.urls import reverse

from hilmix.accounts.models import User
from hilmix.jobs.links import Links, job_links
from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import job_kind
from training.experiments.models import Experiment
from training.explanations.services import EXPLAIN_KIND
from training.reports.paper.services import PAPER_KIND, write_paper
from training.reports.run.services import DESCRIBE_KIND
from training.reports.run.services import describe_run as describe
from training.reports.services import RENEW_KIND, report_if_finished
from training.runs.models import Run
from training.runs.services import LAUNCH_KIND, REPORT_KIND, RUN_KIND
from training.trends.services import COMPARE_KIND, write_over_time


def experiments_of(study_id: int) -> Iterable[int]:
    """The keys of the experiments on releases of a study."""
    return Experiment.objects.filter(release__study=study_id).values_list("pk", flat=True)


def runs_of(study_id: int) -> Iterable[int]:
    """The keys of the runs of those experiments."""
    return Run.objects.filter(arm__experiment__release__study=study_id).values_list("pk", flat=True)


@job_kind(LAUNCH_KIND, queue="train", of_study=experiments_of)
def launch_experiment(progress: Progress, object_id: str) -> None:
    """Forecast what the unfinished runs of the experiment `object_id` will take, and queue them."""
    _before_torch()
    from training.runs.work import launch

    launch(progress, int(object_id))


@job_kind(RUN_KIND, queue="train", of_study=runs_of)
def train_run(progress: Progress, object_id: str) -> None:
    """Train, judge and keep the run `object_id`, from its checkpoint if there is one."""
    _before_torch()
    from training.runs.work import train_run as work

    work(progress, int(object_id))


@job_kind(REPORT_KIND, queue="data", of_study=experiments_of)
def report_experiment(progress: Progress, object_id: str) -> None:
    """Write the report of the experiment `object_id`, if every run of it is finished."""
    said = report_if_finished(experiment=Experiment.objects.get(pk=object_id))
    progress.log("the report is written" if said else "not every run is finished; the last one asks again")
    if said:
        compare_releases(progress, object_id)


@job_kind(RENEW_KIND, queue="data", of_study=experiments_of)
def renew_report(progress: Progress, object_id: str) -> None:
    """Write the report of the finished experiment `object_id` anew."""
    report_if_finished(experiment=Experiment.objects.get(pk=object_id), anew=True)
    progress.log("the report is written anew")
    compare_releases(progress, object_id)


@job_kind(COMPARE_KIND, queue="data", of_study=experiments_of)
def compare_releases(progress: Progress, object_id: str) -> None:
    """Compare the configuration of the experiment `object_id` over the releases that have a report of it."""
    n = write_over_time(experiment=Experiment.objects.get(pk=object_id))
    if n:
        progress.log(f"compared over {n} releases")


@job_kind(DESCRIBE_KIND, queue="data", of_study=runs_of)
def describe_run(progress: Progress, object_id: str) -> None:
    """Compute what the page of the finished run `object_id` shows, where it has none."""
    related = ("arm__experiment__release", "arm__experiment__image_set")
    run = Run.objects.select_related(*related).get(pk=object_id)
    found = describe(run=run, images=run.arm.experiment.image_set.open())
    progress.log("its page is there" if found else "it left no predictions, so there is nothing to show")


@job_kind(PAPER_KIND, queue="data", of_study=experiments_of)
def print_report(progress: Progress, object_id: str) -> None:
    """Write the report of the experiment `object_id` as HTML and PDF."""
    related = ("release__study", "image_set", "report", "choice")
    write_paper(experiment=Experiment.objects.select_related(*related).get(pk=object_id), progress=progress)


@job_links(PAPER_KIND)
def of_paper(object_id: str, person: User) -> Links:
    """Its experiment, and the page that has the files."""
    experiment = Experiment.objects.visible_to(person).get(pk=object_id)
    page = reverse("experiment_paper", args=[experiment.pk])
    return Links(experiment.name, experiment.get_absolute_url(), page)


@job_links(LAUNCH_KIND, REPORT_KIND, RENEW_KIND)
def of_experiment(object_id: str, person: User) -> Links:
    """Its page shows how far it is, and the report once there is one."""
    experiment = Experiment.objects.visible_to(person).get(pk=object_id)
    page = experiment.get_absolute_url()
    return Links(experiment.name, page, page)


@job_links(COMPARE_KIND)
def of_comparison(object_id: str, person: User) -> Links:
    """The page of the configuration over releases."""
    experiment = Experiment.objects.visible_to(person).get(pk=object_id)
    page = reverse("experiment_over_time", args=[experiment.pk])
    return Links(experiment.name, experiment.get_absolute_url(), page)


@job_links(RUN_KIND, DESCRIBE_KIND)
def of_run(object_id: str, person: User) -> Links:
    """The page of the run."""
    mine = Run.objects.filter(arm__experiment__in=Experiment.objects.visible_to(person))
    run = mine.select_related("arm__experiment").get(pk=object_id)
    page = run.get_absolute_url()
    return Links(f"{run.arm.experiment.name}: {run.title}", page, page)


@job_kind(EXPLAIN_KIND, queue="train", of_study=runs_of)
def explain_run(progress: Progress, object_id: str) -> None:
    """Make the heat maps and the map of features of the finished run `object_id`."""
    _before_torch()
    from training.explanations.work import explain

    explain(progress, int(object_id))


@job_links(EXPLAIN_KIND)
def of_explanation(object_id: str, person: User) -> Links:
    """The page of the run's explanation."""
    mine = Run.objects.filter(arm__experiment__in=Experiment.objects.visible_to(person))
    run = mine.select_related("arm__experiment").get(pk=object_id)
    page = reverse("run_explanations", args=[run.pk])
    return Links(f"{run.arm.experiment.name}: {run.title}", page, page)


def _before_torch() -> None:
    """What torch reads when it is loaded; the jobs import it only then, as it takes seconds and memory that the web
    process, which loads this module, has no need of."""
    # Threads that wait must not spin: cores are shared with the web process, and threads that spin while another
    # waits for a core halve the speed and worse.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
