"""Retraining on human labels and judging what came of it, as an app."""

from __future__ import annotations

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        from training import lineage, tasks  # noqa: F401  (register what they offer)
