"""What the operator's commands share: an up-to-date database, and refusals as one line instead of a traceback."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from hilmix.core.errors import DataError
from hilmix.errors import DomainError


class OperatorCommand(BaseCommand):
    """A command that works on an instance's data, with all rights, from its machine."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        refuse_unmigrated()
        try:
            return super().execute(*args, **options)
        except DomainError as error:
            texts = [text for texts in error.fields.values() for text in texts]
            reasons = [text for text in texts if text not in error.message]
            raise CommandError(" ".join([error.message, *reasons])) from None
        except DataError as error:
            raise CommandError(str(error)) from None


def refuse_unmigrated() -> None:
    """Raise CommandError where the database is missing or of another version."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database is not up to date: run `python manage.py prepare` first.")
