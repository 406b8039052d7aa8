"""`manage.py score_labels STUDY [--repeats N] [--json]`: which labels say what somebody else will see?"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from elicitation.studies.commands import study_named
from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.core.label_scores import REPEATS
from hilmix.figures import markdown
from hilmix.hub.models import Analysis
from hilmix.hub.scoring import prepare_scores, run_scores
from hilmix.jobs.progress import TerminalProgress


class Command(OperatorCommand):
    help = "Score every label policy by how well it predicts answers of people, and about images, left out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its link")
        parser.add_argument(
            "--repeats", type=int, default=REPEATS, help="how often answers are dealt out anew (default: 20)"
        )
        parser.add_argument("--json", action="store_true", help="every number, also by λ and by class pair")

    def handle(self, *args: Any, **options: Any) -> None:
        study = study_named(options["study"])
        analysis = prepare_scores(study=study, actor=OPERATOR, repeats=options["repeats"])
        with TerminalProgress(f"Scoring labels of {study.slug}") as progress:
            run_scores(analysis=analysis, actor=OPERATOR, progress=progress)
        self.stdout.write(json.dumps(_as_json(analysis), indent=2) if options["json"] else _told(analysis))


def _as_json(analysis: Analysis) -> dict[str, Any]:
    return {
        "study": analysis.study.slug,
        "source": analysis.study.source,
        "code_version": analysis.code_version,
        **analysis.options,
        "conditions": analysis.content["conditions"],
        "notes": analysis.content["notes"],
    }


def _told(analysis: Analysis) -> str:
    watermark = analysis.study.watermark
    parts = [f"{analysis.study.slug}: {watermark}"] if watermark else []
    for table in analysis.content["tables"]:
        for one in (table, table["further"]):
            parts += [one["caption"], markdown(one["columns"], one["rows"]), ""]
    return "\n".join([*parts, *analysis.content["notes"]])
