"""The hub's kinds of long work."""

from __future__ import annotations

from elicitation.studies.models import Study
from hilmix.hub import simulating
from hilmix.hub.models import Simulation
from hilmix.hub.releases import JOB_KIND, freeze_release
from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import job_kind


@job_kind(JOB_KIND, queue="data")
def freeze(progress: Progress, object_id: str) -> None:
    """`object_id` is the study's."""
    freeze_release(study=Study.objects.get(pk=object_id), actor=progress.actor, progress=progress)


@job_kind(simulating.JOB_KIND, queue="data")
def simulate(progress: Progress, object_id: str) -> None:
    """`object_id` is the simulation's."""
    simulation = Simulation.objects.get(pk=object_id)
    simulating.run_simulation(simulation=simulation, actor=progress.actor, progress=progress)
