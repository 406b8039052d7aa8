"""`manage.py import_cifar10s FILE --images NAME [--slug S] [--dry-run] [--json]`: CIFAR-10S becomes a study."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from elicitation.images.models import ImageSet
from hilmix.accounts.roles import OPERATOR
from hilmix.hub.importers.cifar10s import import_cifar10s
from hilmix.hub.importers.command import ImportCommand
from hilmix.hub.importers.report import ImportReport
from hilmix.jobs.progress import Progress


class Command(ImportCommand):
    help = "Import soft labels that people gave to plain images (CIFAR-10S). A refused import leaves nothing behind."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="JSON: image → what was elicited about it")
        parser.add_argument("--slug", default="cifar10s", help="short name of the study")
        super().add_arguments(parser)

    def bring_in(self, image_set: ImageSet, options: dict[str, Any], progress: Progress) -> ImportReport:
        return import_cifar10s(
            file=options["file"],
            image_set=image_set,
            actor=OPERATOR,
            slug=options["slug"],
            dry_run=options["dry_run"],
            licence=options["licence"],
            progress=progress,
        )
