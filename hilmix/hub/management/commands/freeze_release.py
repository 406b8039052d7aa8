"""`manage.py freeze_release STUDY --out DIR`: freeze a release of a study and put a copy of it at DIR.

What is not chosen (`--images`, `--licence`, `--creator`, `--description`) is as in the release before, or as is common.
"""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from elicitation.studies.commands import study_named
from elicitation.studies.models import Study
from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.hub.models import Release
from hilmix.hub.release_options import FreezeOptions, proposed_options
from hilmix.hub.releases import Unchanged, copy_release, freeze_release
from hilmix.jobs.progress import TerminalProgress

CHOSEN = tuple(field.name for field in fields(FreezeOptions))


class Command(OperatorCommand):
    help = "Freeze what was answered so far as a release, which never changes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its link")
        parser.add_argument("--out", type=Path, help="a new or empty folder for a copy of the release")
        parser.add_argument("--images", choices=Release.Images.values, help="with pictures, or recipes only")
        parser.add_argument("--licence", help="an SPDX name such as CC-BY-4.0, or unstated")
        parser.add_argument(
            "--creator", dest="creators", action="append", help="whom to cite; once for each name, in order"
        )
        parser.add_argument("--description", help="a paragraph for whoever finds the release")

    def handle(self, *args: Any, **options: Any) -> None:
        study = study_named(options["study"])
        given = {name: options[name] for name in CHOSEN if options[name] is not None}
        chosen = replace(proposed_options(study), **given)
        release = self._freeze(study, chosen, copy_wanted=options["out"] is not None)
        if options["out"] is not None:
            copy_release(release, options["out"])
        self.stdout.write(
            f"Release {release.name}: {options['out'] or release.directory} (sha256 {release.sha256})."
        )

    def _freeze(self, study: Study, chosen: FreezeOptions, *, copy_wanted: bool) -> Release:
        """Freeze; where nothing has changed, somebody who wants a copy gets the release that stands for
        it."""
        try:
            with TerminalProgress(f"Freezing {study.slug}") as progress:
                return freeze_release(study=study, actor=OPERATOR, progress=progress, options=chosen)
        except Unchanged as unchanged:
            if not copy_wanted:
                raise
            self.stderr.write(str(unchanged))
            return unchanged.release
