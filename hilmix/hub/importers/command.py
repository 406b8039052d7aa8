"""What the commands of imports share: dry run, JSON, the image set by name, and a refusal that names every row."""

from __future__ import annotations

import json
from abc import abstractmethod
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from elicitation.images.models import ImageSet
from hilmix.accounts.commands import add_owner, owner_named
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import give_studies
from hilmix.commands import OperatorCommand
from hilmix.hub.importers.report import ImportReport, Refused
from hilmix.jobs.progress import Progress, TerminalProgress


class ImportCommand(OperatorCommand):
    """A command that imports all of something or nothing."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--images", required=True, help="name of the image set that the answers are about"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would come in, and store nothing"
        )
        parser.add_argument("--json", action="store_true", help="print counts and flaws as one JSON object")
        parser.add_argument(
            "--licence", default="", help="of the answers, such as CC-BY-4.0, where one is stated"
        )
        add_owner(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        owner = owner_named(options["owner"])
        try:
            with TerminalProgress("Importing") as progress:
                report = self.bring_in(image_set_named(options["images"]), options, progress)
        except Refused as refused:
            if options["json"]:
                self.stdout.write(json.dumps({"errors": refused.errors, "n_errors": refused.n}))
            else:
                for one in refused.errors:
                    self.stderr.write(f"{one['table']}, row {one['row']}: {one['problem']}")
            raise CommandError(f"{refused} Nothing was stored.") from None
        if not report.dry_run:
            give_studies(owner=owner, studies=report.studies, actor=OPERATOR)
        self.stdout.write(json.dumps(report.as_json()) if options["json"] else report.as_text())

    @abstractmethod
    def bring_in(self, image_set: ImageSet, options: dict[str, Any], progress: Progress) -> ImportReport:
        """Import what the options name."""


def image_set_named(name: str) -> ImageSet:
    """The image set of that name; CommandError listing those there are."""
    image_set = ImageSet.objects.filter(name=name).first()
    if image_set is None:
        known = ", ".join(ImageSet.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no image set {name!r}. Image sets here: {known}.")
    return image_set
