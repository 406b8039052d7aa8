"""What jobs of elicitation and of the hub work on, and where their result is."""

from __future__ import annotations

from django.urls import reverse

from elicitation.flow import reconciling
from elicitation.studies.models import Study
from elicitation.studies.opening import OPEN_KIND, PILOT_KIND
from hilmix.accounts.models import User
from hilmix.hub import analysing, exporting, releases, scoring, simulating, uploads
from hilmix.hub.models import Analysis, Export, Freeze, Simulation, Upload
from hilmix.jobs.links import Links, job_links


@job_links(OPEN_KIND, PILOT_KIND, reconciling.JOB_KIND)
def of_study(object_id: str, person: User) -> Links:
    """`object_id` begins with the study's; what came of it is seen on the study's page."""
    study = _study(int(object_id.partition(":")[0]), person)
    page = reverse("study", args=[study.slug])
    return Links(study.title, page, page)


@job_links(releases.JOB_KIND)
def of_freeze(object_id: str, person: User) -> Links:
    freeze = Freeze.objects.select_related("study", "release").get(pk=object_id)
    study = _study(freeze.study_id, person)
    release = releases.release_of(freeze)
    made = reverse("release", args=[release.pk]) if release else ""
    return Links(study.title, reverse("study", args=[study.slug]), made)


@job_links(simulating.JOB_KIND)
def of_simulation(object_id: str, person: User) -> Links:
    study = _study(Simulation.objects.get(pk=object_id).study_id, person)
    found = reverse("simulation", args=[study.slug, int(object_id)])
    return Links(study.title, reverse("study", args=[study.slug]), found)


@job_links(analysing.JOB_KIND, scoring.JOB_KIND)
def of_analysis(object_id: str, person: User) -> Links:
    analysis = Analysis.objects.get(pk=object_id)
    study = _study(analysis.study_id, person)
    shown = "study_analysis" if analysis.kind == Analysis.Kind.ANSWERS else "study_label_scores"
    return Links(study.title, reverse("study", args=[study.slug]), reverse(shown, args=[study.slug]))


@job_links(exporting.JOB_KIND)
def of_export(object_id: str, person: User) -> Links:
    study = _study(Export.objects.get(pk=object_id).study_id, person)
    return Links(
        study.title, reverse("study", args=[study.slug]), reverse("study_exports", args=[study.slug])
    )


@job_links(uploads.JOB_KIND)
def of_upload(object_id: str, person: User) -> Links:
    """Whoever sees the job sees the upload: it is theirs, or they are an admin."""
    upload = Upload.objects.get(pk=object_id)
    page = reverse("upload", args=[upload.pk])
    return Links(upload.filename, page, page)


def _study(study_id: int, person: User) -> Study:
    return Study.objects.visible_to(person).get(pk=study_id)
