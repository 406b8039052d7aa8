"""System checks, run by every management command: what an operator should mend before people arrive."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def state_folder_is_writable(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if os.access(settings.VAR, os.W_OK):
        return []
    return [
        Error(
            f"{settings.VAR} cannot be written to.",
            hint="Set HILMIX_VAR to a folder you own.",
            id="hilmix.E001",
        )
    ]
