"""Addresses of the job pages, under /jobs/."""

from __future__ import annotations

from django.urls import path

from hilmix.jobs import pages

urlpatterns = [
    path("", pages.job_list, name="jobs"),
    path("<uuid:job_id>/", pages.job_detail, name="job"),
    path("<uuid:job_id>/state.json", pages.job_state, name="job_state"),
    path("<uuid:job_id>/cancel/", pages.cancel, name="job_cancel"),
    path("<uuid:job_id>/retry/", pages.retry, name="job_retry"),
    path("<uuid:job_id>/reorder/", pages.reorder, name="job_reorder"),
    path("queues/<str:queue>/pause/", pages.pause, name="queue_pause"),
    path("queues/<str:queue>/resume/", pages.resume, name="queue_resume"),
]
