"""`manage.py import_release DIR --slug SLUG --images NAME [--dry-run] [--json]`: a release's answers become a study."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from elicitation.images.models import ImageSet
from hilmix.accounts.roles import OPERATOR
from hilmix.hub.importers.command import ImportCommand
from hilmix.hub.importers.releases import import_release
from hilmix.hub.importers.report import ImportReport
from hilmix.jobs.progress import Progress


class Command(ImportCommand):
    help = "Import the answers of a release, of any format. A refused import leaves nothing behind."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="the folder of the release")
        parser.add_argument("--slug", required=True, help="short name of the study that it becomes")
        super().add_arguments(parser)

    def bring_in(self, image_set: ImageSet, options: dict[str, Any], progress: Progress) -> ImportReport:
        return import_release(
            directory=options["directory"],
            slug=options["slug"],
            image_set=image_set,
            actor=OPERATOR,
            dry_run=options["dry_run"],
            licence=options["licence"],
            progress=progress,
        )
