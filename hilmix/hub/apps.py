from __future__ import annotations

from django.apps import AppConfig


class HubConfig(AppConfig):
    name = "hilmix.hub"
    label = "hub"

    def ready(self) -> None:
        from hilmix.hub import panel, planner, tasks  # noqa: F401  (register what they offer)
