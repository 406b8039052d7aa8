"""Settings of a measured instance: hilmix's own, and beside its pages the baselines that need its server."""

from __future__ import annotations

from hilmix.settings import *  # noqa: F403

ROOT_URLCONF = "bench.urls"
