from __future__ import annotations

import os

from django.apps import AppConfig

# Arrow's own allocator keeps twice what it was ever given. This is read when pyarrow is loaded, which is later.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


class HubConfig(AppConfig):
    name = "hilmix.hub"
    label = "hub"

    def ready(self) -> None:
        from hilmix.hub import job_links, lineage_kinds, panel, planner, tasks  # noqa: F401  (register what they offer)
