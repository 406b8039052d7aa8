"""`manage.py run_experiment CONFIG.toml`: train, judge and report in this terminal, by the same jobs as the page's
form. Workers that are alive do runs of it at the same time. Of a file that reproduces an experiment it is said in the
end whether the same numbers came out."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.jobs.progress import JobCancelled, TerminalProgress
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.reports.paper.reproducing import check_content, compare, original_of, read_reproduction
from training.reports.text import as_markdown, summary
from training.runs.services import finish_experiment


class Command(OperatorCommand):
    help = "Train the arms of an experiment and print its report. Runs finished before are not repeated."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("config", type=Path, metavar="CONFIG.toml")
        parser.add_argument(
            "--release",
            metavar="NEW",
            help="another release than the file names; everything else is repeated",
        )
        parser.add_argument(
            "--out", type=Path, metavar="DIR", help="also write report.json and report.md there"
        )

    def handle(
        self, *args: Any, config: Path, release: str | None = None, out: Path | None, **options: Any
    ) -> None:
        wanted, record = read_reproduction(config)
        if release:
            wanted, record = replace(wanted, release=release), None
        if record:
            check_content(wanted, record)
        try:
            origin = original_of(record) if record else None
            experiment = create_experiment(config=wanted, actor=OPERATOR, origin=origin)
            with TerminalProgress(experiment.name) as progress, progress.gentle_on_ctrl_c():
                finish_experiment(experiment=experiment, actor=OPERATOR, progress=progress)
        except (JobCancelled, KeyboardInterrupt):
            raise CommandError(
                "Stopped. Finished runs are kept, and a run that was begun goes on from its last checkpoint: give the "
                "same command again.",
                returncode=130,
            ) from None
        content = Experiment.objects.get(pk=experiment.pk).report.content
        self.stdout.write(summary(content))
        if out:
            out.mkdir(parents=True, exist_ok=True)
            text = json.dumps(content, indent=2, ensure_ascii=False)
            (out / "report.json").write_text(text + "\n", encoding="utf-8")
            (out / "report.md").write_text(as_markdown(content), encoding="utf-8")
            self.stdout.write(f"\nWritten: {out / 'report.json'} and {out / 'report.md'}")
        if record:
            told = compare(experiment, record)
            self.stdout.write("\n" + "\n".join(told.lines))
            if not told.same:
                raise CommandError("The numbers of the file did not come out again.")
