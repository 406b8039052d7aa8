"""Retraining on human labels and judging what came of it, as an app."""

from __future__ import annotations

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        from training import lineage, tasks  # noqa: F401  (register what they offer)
        from training.choices import jobs  # noqa: F401
        from training.followups import jobs as follow_ups  # noqa: F401
        from training.followups import panel  # noqa: F401
        from training.trends import release_part  # noqa: F401
