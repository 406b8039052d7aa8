"""`manage.py freeze_release STUDY --out DIR`: freeze a release of a study and put a copy of it at DIR."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from elicitation.studies.models import Study
from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.hub.models import Release
from hilmix.hub.releases import Unchanged, copy_release, freeze_release
from hilmix.jobs.progress import TerminalProgress


class Command(OperatorCommand):
    help = "Freeze what was answered so far as a release, which never changes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its link")
        parser.add_argument("--out", type=Path, help="a new or empty folder for a copy of the release")

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.filter(slug=options["study"]).first()
        if study is None:
            known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no study {options['study']!r}. Studies here: {known}.")
        release = self._freeze(study, copy_wanted=options["out"] is not None)
        if options["out"] is not None:
            copy_release(release, options["out"])
        self.stdout.write(
            f"Release {release.name}: {options['out'] or release.directory} (sha256 {release.sha256})."
        )

    def _freeze(self, study: Study, *, copy_wanted: bool) -> Release:
        """Freeze; where nothing has changed, somebody who wants a copy gets the release that stands for
        it."""
        try:
            with TerminalProgress(f"Freezing {study.slug}") as progress:
                return freeze_release(study=study, actor=OPERATOR, progress=progress)
        except Unchanged as unchanged:
            if not copy_wanted:
                raise
            self.stderr.write(str(unchanged))
            return unchanged.release
