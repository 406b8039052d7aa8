"""The project as an app: its commands and system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.staticfiles.apps import StaticFilesConfig


class HilmixConfig(AppConfig):
    name = "hilmix"

    def ready(self) -> None:
        from hilmix import celery, checks  # noqa: F401  (the current Celery app; the checks)


class StaticFiles(StaticFilesConfig):
    """Collects what browsers load, not what the packages bring for bundlers, type checkers and tests."""

    ignore_patterns = [
        *StaticFilesConfig.ignore_patterns,
        "echarts*.map", "index*.map", "*.d.ts", "*.cjs", "package.json", "extension", "tests",
        "index.js", "index.browser.js", "compat.js", "redoc", "rest_framework",
        "echarts.js", "echarts.esm*", "echarts.common*", "echarts.simple*",
    ]  # fmt: skip
