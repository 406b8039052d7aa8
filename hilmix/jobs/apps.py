"""The app of long work: its models, its Celery task and its pages."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings


class JobsConfig(AppConfig):
    name = "hilmix.jobs"
    label = "jobs"

    def ready(self) -> None:
        from hilmix.jobs import tasks  # noqa: F401 - registers the task and the worker's heartbeat

        if settings.HILMIX_TEST_JOBS:
            from hilmix.jobs import rehearsal  # noqa: F401 - registers the kind "wait"
