"""`manage.py prepare`: bring the database and the static files up to date. Quick when nothing changed."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Migrate the database and collect the static files."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0, interactive=False)
        # Found by content, so an unchanged file is neither copied nor compressed again.
        call_command("collectstatic", verbosity=0, interactive=False)
        self.stdout.write(f"State is kept in {settings.VAR}.")
