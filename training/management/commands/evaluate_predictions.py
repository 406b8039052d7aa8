"""`manage.py evaluate_predictions FILE.npz`: judge predictions that any program made, by hilmix's own metrics."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hilmix.core.errors import DataError
from training.evaluation.assessment import assess
from training.evaluation.intervals import DRAWS
from training.evaluation.predictions import read_predictions
from training.evaluation.values import BY_KEY, GROUPS, Value


class Command(BaseCommand):
    help = "Measure the predictions of an .npz file: probs or logits, labels, optional human. It needs no database."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.npz")
        parser.add_argument("--json", action="store_true", help="print one JSON object (docs/metrics.md)")
        parser.add_argument(
            "--draws", type=int, default=DRAWS, help="bootstrap draws of images (%(default)s)"
        )
        parser.add_argument("--seed", type=int, default=0, help="of the draws (%(default)s)")

    def handle(self, *args: Any, file: Path, draws: int, seed: int, **options: Any) -> None:
        if draws < 1 or seed < 0:
            raise CommandError("Draws are at least 1, and a seed is not below 0.")
        try:
            predictions = read_predictions(file)
            assessment = assess(predictions, draws=draws, seed=seed)
        except DataError as error:
            raise CommandError(str(error)) from None
        n, classes = predictions.p.shape
        if options["json"]:
            content = {
                "file": file.name,
                "n": n,
                "classes": classes,
                "n_clipped": predictions.n_clipped,
                "draws": draws,
                "seed": seed,
                **assessment.as_json(),
            }
            self.stdout.write(json.dumps(content, ensure_ascii=False, allow_nan=False))
        else:
            self.stdout.write(f"{file.name}: {n:,} images, {classes} classes. In brackets: 95 % intervals.")
            self.stdout.write("\n".join(_table(assessment.values)))


def _table(values: dict[str, Value]) -> list[str]:
    """Figures in groups, one a line, with what has to be said of them below each."""
    lines = []
    group = ""
    width = max(len(BY_KEY[key].name) for key in values)
    for key, value in values.items():
        metric = BY_KEY[key]
        if metric.group != group:
            group = metric.group
            lines += ["", GROUPS[group]]
        arrow = {True: "↑", False: "↓", None: " "}[metric.higher_is_better]
        lines.append(f"  {metric.name:<{width}} {arrow} {_text(value)}".rstrip())
        lines += [f"      {sentence}" for sentence in value.undefined]
    return lines


def _text(value: Value) -> str:
    if value.value is None:
        return "–"
    parts = [f"{value.value:.4f}"]
    if value.interval:
        parts.append(f"[{value.interval[0]:.4f}, {value.interval[1]:.4f}]")
    for name in ("debiased", "floor", "ceiling"):
        if (number := getattr(value, name)) is not None:
            parts.append(f"{name} {number:.4f}")
    return "  ".join(parts)
