"""`manage.py study export STUDY [--to FILE]` and `manage.py study import FILE [--slug LINK]`: TOML files.

`manage.py study answer STUDY`: simulated participants take the places of a study that is for them.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from elicitation.flow.simulation import take_every_place
from elicitation.monitoring.study_files import export_study, import_study
from elicitation.studies.commands import study_named
from elicitation.studies.models import Study
from hilmix.accounts.commands import add_owner, owner_named
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import give_studies
from hilmix.commands import OperatorCommand
from hilmix.jobs.progress import TerminalProgress


class Command(OperatorCommand):
    help = "Write a study to a TOML file, make a draft of one, or let simulated participants answer one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        writing = actions.add_parser(
            "export", help="write what a study asks, without codes and without answers"
        )
        writing.add_argument("study", help="the link of the study")
        writing.add_argument("--to", type=Path, metavar="FILE", help="a new file; else it is printed")
        reading = actions.add_parser("import", help="make a draft of a file")
        reading.add_argument("file", type=Path)
        reading.add_argument("--slug", default="", help="the link to use instead of the file's")
        add_owner(reading)
        answering = actions.add_parser(
            "answer", help="simulated participants take all places of an open study that is for them"
        )
        answering.add_argument("study", help="the link of the study")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "export":
            self._export(study_named(options["study"]), options["to"])
        elif options["action"] == "answer":
            self._answer(study_named(options["study"]))
        else:
            self._import(options["file"], options["slug"], owner_named(options["owner"]))

    def _export(self, study: Study, to: Path | None) -> None:
        text = export_study(study=study, actor=OPERATOR)
        if to is None:
            self.stdout.write(text, ending="")
            return
        try:
            with to.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except FileExistsError:
            raise CommandError(f"{to} is there already; nothing was written.") from None
        except OSError as error:
            raise CommandError(f"{to} cannot be written: {error.strerror}.") from None
        self.stdout.write(f"Wrote {study.slug!r} to {to}; its protocol is {study.protocol.sha256}.")

    def _answer(self, study: Study) -> None:
        with TerminalProgress(f"Answering {study.slug}") as progress:
            n = take_every_place(study=study, on_place=progress.update)
        self.stdout.write(f"{n} simulated participants took part in {study.slug!r}.")

    def _import(self, path: Path, slug: str, owner: User | None) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise CommandError(f"There is no file {path}.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{path} cannot be read as UTF-8 text: {error}.") from None
        imported = import_study(text=text, actor=OPERATOR, slug=slug)
        for note in imported.notes:
            self.stderr.write(note)
        study = imported.study
        give_studies(owner=owner, studies=[study], actor=OPERATOR)
        self.stdout.write(f"{study.slug!r} is a draft; its protocol is {study.protocol.sha256}.")
