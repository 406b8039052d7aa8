"""`manage.py export_responses STUDY --format csv|parquet --out FILE`: the answers of a study as one file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from elicitation.studies.commands import study_named
from hilmix.commands import OperatorCommand
from hilmix.hub.exporting import write_responses
from hilmix.hub.models import Export
from hilmix.jobs.progress import TerminalProgress


class Command(OperatorCommand):
    help = "Write the answers of a study that may be published to one file, in the columns of a release."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its link")
        parser.add_argument("--format", choices=Export.Format.values, default=Export.Format.CSV.value)
        parser.add_argument(
            "--out", type=Path, required=True, help="the file to write; it must not be there yet"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        study, path = study_named(options["study"]), options["out"]
        if path.exists() or not path.parent.is_dir():
            raise CommandError(f"{path} is there already, or its folder is not.")
        with TerminalProgress(f"Exporting {study.slug}") as progress:
            n_rows = write_responses(study, options["format"], path, progress)
        self.stdout.write(f"{n_rows} answers in {path} ({study.source}).")
