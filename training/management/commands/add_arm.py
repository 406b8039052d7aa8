"""`manage.py add_arm EXPERIMENT --predictions FILE.npz --name NAME`: an outside model beside an experiment's arms."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.jobs.progress import TerminalProgress
from training.management.commands.runs import experiment_numbered
from training.runs.external import add_arm
from training.runs.services import finish_experiment


class Command(OperatorCommand):
    help = (
        "Judge predictions that were made elsewhere by the same figures as an experiment's arms, marked external. The "
        "file has labels, and probs or logits (docs/metrics.md), of the experiment's test images in their order."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "experiment", type=int, metavar="EXPERIMENT", help="its number, as on its page's address"
        )
        parser.add_argument("--predictions", type=Path, required=True, metavar="FILE.npz")
        parser.add_argument("--name", required=True, help="what to call the arm")
        parser.add_argument(
            "--seed", type=int, default=0, help="which of the arm's seeds it is (%(default)s)"
        )

    def handle(
        self, *args: Any, experiment: int, predictions: Path, name: str, seed: int, **options: Any
    ) -> None:
        found = experiment_numbered(experiment)
        run = add_arm(experiment=found, name=name, file=predictions, seed=seed, actor=OPERATOR)
        reached = "accuracy {:.4f} on {} images".format(*run.accuracy) if run.accuracy else "judged"
        self.stdout.write(f"{run.title}: {reached}.")
        unfinished = found.arms.filter(runs__finished_at=None).exists()
        if unfinished:
            self.stdout.write("It will be in the report, which is written when the last run is finished.")
            return
        with TerminalProgress(found.name) as progress:
            finish_experiment(experiment=found, actor=OPERATOR, progress=progress)
        self.stdout.write("The report is written anew with it.")
