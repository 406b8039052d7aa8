"""`manage.py demo`: make what is missing of the demonstration. `--links` prints where to go instead."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from hilmix.commands import OperatorCommand
from hilmix.demo import build_demo, links
from hilmix.jobs.progress import JobCancelled


class Command(OperatorCommand):
    help = "Build the demonstration (once), or print its links."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--links", action="store_true", help="print the three links and do nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["links"]:
                where = links()
                self.stdout.write(f"take part          {where.take_part}")
                self.stdout.write(f"researcher's view  {where.researcher}  (signs in once)")
                self.stdout.write(f"admin              {where.admin}  (signs in once)")
            else:
                build_demo()
                self.stdout.write("The demonstration is ready.")
        except (JobCancelled, KeyboardInterrupt):
            raise CommandError(
                "Stopped. What is finished is kept; the same command goes on.", returncode=130
            ) from None
