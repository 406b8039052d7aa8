"""`manage.py import_hmix DIR --images NAME [--json]`: the published H-Mix answers become a closed study
`hmix`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from elicitation.images.models import ImageSet
from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.hub.importers.hmix import ImportResult, import_hmix
from hilmix.jobs.progress import TerminalProgress


class Command(OperatorCommand):
    help = "Import the published H-Mix answers (interface infer). A refused import leaves nothing behind."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="the folder with the published csv tables")
        parser.add_argument("--images", required=True, help="name of the image set: the CIFAR-10 test split")
        parser.add_argument("--json", action="store_true", help="print counts and flaws as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        image_set = ImageSet.objects.filter(name=options["images"]).first()
        if image_set is None:
            known = ", ".join(ImageSet.objects.values_list("name", flat=True)) or "none yet"
            raise CommandError(f"There is no image set {options['images']!r}. Image sets here: {known}.")
        with TerminalProgress("Importing H-Mix") as progress:
            result = import_hmix(
                directory=options["directory"], image_set=image_set, actor=OPERATOR, progress=progress
            )
        self.stdout.write(_as_json(result) if options["json"] else _as_text(result))


def _as_json(result: ImportResult) -> str:
    return json.dumps(
        {
            "study": result.study.slug,
            "participants": result.participants,
            "responses": result.responses,
            "mixed_images": result.mixed_images,
            "flaws": result.flaws,
        }
    )


def _as_text(result: ImportResult) -> str:
    flaws = Counter(flaw["flaw"] for flaw in result.flaws)
    lines = [
        f"Study {result.study.slug!r}: {result.participants} participants, {result.responses} responses, "
        f"{result.mixed_images} mixed images.",
        "Flaws of the published rows, kept as they are (--json lists every row):",
        *(f"  {n:5} × {flaw}" for flaw, n in flaws.most_common()),
    ]
    return "\n".join(lines)
