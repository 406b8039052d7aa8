"""`manage.py predict RUN IMAGE…`: what a finished run says of image files, in this terminal."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from hilmix.commands import OperatorCommand
from training.choices.asking import read_images
from training.choices.predicting import asked, check_askable, shape_of
from training.runs.models import Run

_SHOWN = 3  # classes of each image


class Command(OperatorCommand):
    help = "Ask the model of a finished run about image files; they are scaled to the size that it was trained on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "run", type=int, metavar="RUN", help="its number, as manage.py runs EXPERIMENT shows it"
        )
        parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
        parser.add_argument("--json", action="store_true", help="all probabilities, as JSON")

    def handle(self, *args: Any, run: int, images: list[Path], **options: Any) -> None:
        related = "arm__experiment__image_set", "arm__experiment__release__study"
        found = Run.objects.select_related(*related).filter(pk=run).first()
        if found is None:
            raise CommandError(
                f"There is no run {run}. manage.py runs lists the experiments, manage.py runs EXPERIMENT their runs."
            )
        check_askable(found)
        result = asked(found, read_images(images, shape_of(found)), [str(path) for path in images])
        if options["json"]:
            self.stdout.write(json.dumps(result, indent=2, ensure_ascii=False))
            return
        said = f" ({result['watermark']})" if result["watermark"] else ""
        self.stdout.write(f"{result['model']}{said}")
        for one in result["images"]:
            ranked = sorted(zip(one["probabilities"], result["classes"], strict=True), reverse=True)[:_SHOWN]
            shares = ", ".join(f"{name} {share:.3f}" for share, name in ranked)
            self.stdout.write(f"{one['name']}: {shares}")
