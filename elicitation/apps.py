from __future__ import annotations

from django.apps import AppConfig


class ElicitationConfig(AppConfig):
    name = "elicitation"
