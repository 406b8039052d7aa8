"""`manage.py import_human_labels FILE.npy --images NAME`: what people said about the parent images, e.g. CIFAR-10H."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from elicitation.images.models import ImageSet
from elicitation.images.services import import_human_labels
from elicitation.management.commands.import_images import read_array
from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand


class Command(OperatorCommand):
    help = "Attach human labels to an image set: one probability vector an image, in the order of the images."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help=".npy, float [images, classes]")
        parser.add_argument("--images", required=True, help="name of the image set")
        parser.add_argument(
            "--meaning", default="share of people who chose the class", help="what a number means"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        image_set = ImageSet.objects.filter(name=options["images"]).first()
        if image_set is None:
            known = ", ".join(ImageSet.objects.values_list("name", flat=True)) or "none yet"
            raise CommandError(f"There is no image set {options['images']!r}. Image sets here: {known}.")
        labels = read_array(options["file"])
        import_human_labels(image_set=image_set, labels=labels, meaning=options["meaning"], actor=OPERATOR)
        self.stdout.write(f"{len(labels)} human labels attached to {image_set.name!r}.")
