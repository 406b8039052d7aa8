"""The kind of job that trains."""

from __future__ import annotations

import os

from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import job_kind
from training.experiments.services import JOB_KIND


@job_kind(JOB_KIND, queue="train")
def run_experiment(progress: Progress, object_id: str) -> None:
    """Train what is untrained of the experiment `object_id` and write its report."""
    # Threads that wait must not spin: cores are shared with the web process, and threads that spin while another
    # waits for a core halve the speed and worse. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Imported here: torch takes seconds and memory; the web process, which loads this module, needs none of it.
    from training.runs.work import run_experiment as work

    work(progress, int(object_id))
