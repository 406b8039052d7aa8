"""`manage.py import_human_labels FILE.npy --images NAME [--votes 47-63] [--dry-run]`: what people said about the parent
images."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from elicitation.images.models import ImageSet
from elicitation.images.services import import_human_labels
from elicitation.management.commands.import_images import read_array
from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.core.errors import Refused
from hilmix.core.humanlabels import VoteRange


class Command(OperatorCommand):
    help = (
        "Attach human labels, such as CIFAR-10H: for each image, in their order, a probability vector or counts of "
        "votes. Counts may be attached later to the labels that are their shares."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help=".npy, [images, classes]")
        parser.add_argument("--images", required=True, help="name of the image set")
        parser.add_argument(
            "--votes",
            help="how many votes an image has, such as 47-63: find the counts that shares came from, or say that whole "
            "numbers which sum to 100 are counts",
        )
        parser.add_argument(
            "--meaning", default="share of people who chose the class", help="what a number means"
        )
        parser.add_argument(
            "--licence", default="", help="of these labels, such as CC-BY-NC-SA-4.0, where one is stated"
        )
        parser.add_argument("--dry-run", action="store_true", help="check every row and attach nothing")
        parser.add_argument(
            "--json", action="store_true", help="print the outcome, or every wrong row, as JSON"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        image_set = ImageSet.objects.filter(name=options["images"]).first()
        if image_set is None:
            known = ", ".join(ImageSet.objects.values_list("name", flat=True)) or "none yet"
            raise CommandError(f"There is no image set {options['images']!r}. Image sets here: {known}.")
        labels = read_array(options["file"])
        try:
            report = import_human_labels(
                image_set=image_set,
                labels=labels,
                meaning=options["meaning"],
                licence=options["licence"],
                votes=VoteRange.parse(options["votes"]) if options["votes"] else None,
                dry_run=options["dry_run"],
                actor=OPERATOR,
            )
        except Refused as refused:
            if options["json"]:
                self.stdout.write(json.dumps({"errors": refused.errors, "n_errors": refused.n}))
            else:
                for one in refused.errors:
                    self.stderr.write(f"row {one['row']}: {one['problem']}")
            raise CommandError(f"{refused} Nothing was stored.") from None
        self.stdout.write(json.dumps(report.as_json()) if options["json"] else report.as_text())
