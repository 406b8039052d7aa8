"""`manage.py sync_submissions STUDY`: ask the study's recruiter how its submissions stand."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from elicitation.flow.findings import Todo
from elicitation.flow.reconciling import sync_submissions
from elicitation.studies.commands import study_named
from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.jobs.progress import Progress


class Command(OperatorCommand):
    help = "Fetch the submissions of a study from Prolific, with the token in HILMIX_PROLIFIC_TOKEN. Names nobody."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its link")

    def handle(self, *args: Any, **options: Any) -> None:
        study = study_named(options["study"])
        result = sync_submissions(study=study, actor=OPERATOR, progress=Progress())
        counts = Counter(finding.todo for finding in result.findings)
        for todo in Todo:
            if counts[todo]:
                self.stdout.write(f"{todo.label}: {counts[todo]}")
        self.stdout.write(
            f"Places freed: {result.freed}. Who it is about: the study's page, Payment, “What to do by these”."
        )
