"""`manage.py import_hmix DIR --images NAME [--dry-run] [--json]`: the four published H-Mix tables become studies.

They are `hmix` (infer), `hmix-select`, `hmix-construct` and `hmix-categorical`, all closed.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from elicitation.images.models import ImageSet
from hilmix.accounts.roles import OPERATOR
from hilmix.hub.importers.command import ImportCommand
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.importers.report import ImportReport
from hilmix.jobs.progress import Progress


class Command(ImportCommand):
    help = "Import the published H-Mix answers, all four tables. A refused import leaves nothing behind."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="the folder with the four published csv tables")
        super().add_arguments(parser)

    def bring_in(self, image_set: ImageSet, options: dict[str, Any], progress: Progress) -> ImportReport:
        return import_hmix(
            directory=options["directory"],
            image_set=image_set,
            actor=OPERATOR,
            dry_run=options["dry_run"],
            licence=options["licence"],
            progress=progress,
        )
