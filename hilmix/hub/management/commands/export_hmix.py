"""`manage.py export_hmix --out DIR`: the imported H-Mix studies as they were published, four csv and two json files."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from hilmix.accounts.roles import OPERATOR
from hilmix.commands import OperatorCommand
from hilmix.hub.exporting_hmix import export_hmix


class Command(OperatorCommand):
    help = "Write the imported H-Mix studies as they were published. Published values stay as they were."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--out", type=Path, required=True, help="a folder that is not there yet, or is empty"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        files = export_hmix(directory=options["out"], actor=OPERATOR)
        self.stdout.write(f"Wrote {', '.join(files)} to {options['out']}.")
