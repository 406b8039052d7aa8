"""The kind of job that estimates the labels of a follow-up."""

from __future__ import annotations

from collections.abc import Iterable

from django.urls import reverse

from elicitation.studies.models import Study
from hilmix.accounts.models import User
from hilmix.jobs.links import Links, job_links
from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import job_kind
from training.followups.models import FollowUp
from training.followups.services import JOB_KIND


def follow_ups_of(study_id: int) -> Iterable[int]:
    """The keys of the follow-up that a study is, if it is one."""
    return FollowUp.objects.filter(study=study_id).values_list("pk", flat=True)


@job_kind(JOB_KIND, queue="data", of_study=follow_ups_of)
def estimate_follow_up(progress: Progress, object_id: str) -> None:
    """Estimate the labels of the follow-up `object_id` from what people have said by now."""
    from training.followups.work import estimate_labels

    told = estimate_labels(FollowUp.objects.select_related("study__image_set", "release").get(pk=object_id))
    progress.log(f"labels of {told['n_answered']} images from {told['n_answers']} new answers")


@job_links(JOB_KIND)
def of_follow_up(object_id: str, person: User) -> Links:
    """Its page, which shows its labels once there are some."""
    mine = FollowUp.objects.filter(study__in=Study.objects.visible_to(person)).select_related("study")
    follow_up = mine.get(pk=object_id)
    page = reverse("follow_up", args=[follow_up.pk])
    return Links(follow_up.study.title, page, page)
