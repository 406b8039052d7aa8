"""The kind of job that trains."""

from __future__ import annotations

import os
from collections.abc import Iterable

from hilmix.accounts.models import User
from hilmix.jobs.links import Links, job_links
from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import job_kind
from training.experiments.models import Experiment
from training.experiments.services import JOB_KIND


def experiments_of(study_id: int) -> Iterable[int]:
    """The keys of the experiments on releases of a study."""
    return Experiment.objects.filter(release__study=study_id).values_list("pk", flat=True)


@job_kind(JOB_KIND, queue="train", of_study=experiments_of)
def run_experiment(progress: Progress, object_id: str) -> None:
    """Train what is untrained of the experiment `object_id` and write its report."""
    # Threads that wait must not spin: cores are shared with the web process, and threads that spin while another
    # waits for a core halve the speed and worse. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Imported here: torch takes seconds and memory; the web process, which loads this module, needs none of it.
    from training.runs.work import run_experiment as work

    work(progress, int(object_id))


@job_links(JOB_KIND)
def of_experiment(object_id: str, person: User) -> Links:
    """Its page shows how far it is, and the report once there is one."""
    experiment = Experiment.objects.visible_to(person).get(pk=object_id)
    page = experiment.get_absolute_url()
    return Links(experiment.name, page, page)
