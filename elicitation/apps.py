from __future__ import annotations

from django.apps import AppConfig


class ElicitationConfig(AppConfig):
    name = "elicitation"

    def ready(self) -> None:
        from elicitation import tasks  # noqa: F401  (registers the job kinds)
        from elicitation.flow import panel  # noqa: F401  (registers the panel)
