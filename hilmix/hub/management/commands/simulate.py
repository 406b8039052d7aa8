"""`manage.py simulate STUDY --release NAME [--repetitions N] [--answers 2,4,9] [--seed S]`: what would a study find?"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from elicitation.studies.commands import study_named
from hilmix.accounts.commands import add_owner, owner_named
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import give_studies
from hilmix.commands import OperatorCommand
from hilmix.figures import markdown
from hilmix.hub.models import Release, Simulation
from hilmix.hub.simulating import REPETITIONS, prepare_simulation, run_simulation
from hilmix.hub.simulation_tables import power_table
from hilmix.jobs.progress import TerminalProgress


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"{text!r}: whole numbers with commas between them, such as 2,4,9") from None


class Command(OperatorCommand):
    help = "Carry out a study with simulated participants: how often would it find what it expects?"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its link")
        parser.add_argument(
            "--release", required=True, help="whose answers the simulated participants are fitted on"
        )
        parser.add_argument(
            "--repetitions", type=int, default=REPETITIONS, help="of the design in memory (default: 200)"
        )
        parser.add_argument(
            "--answers", type=numbers, default=(), help="numbers of answers a unit to compare, such as 2,4,9"
        )
        parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same numbers")
        add_owner(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        owner = owner_named(options["owner"])
        study = study_named(options["study"])
        simulation = prepare_simulation(
            study=study,
            release=Release.objects.resolve(options["release"]),
            actor=OPERATOR,
            repetitions=options["repetitions"],
            answers=options["answers"],
            seed=options["seed"],
        )
        with TerminalProgress(f"Simulating {study.slug}") as progress:
            run_simulation(simulation=simulation, actor=OPERATOR, progress=progress)
        give_studies(owner=owner, studies=[simulation.copy], actor=OPERATOR)
        self.stdout.write(_told(simulation))


def _told(simulation: Simulation) -> str:
    assert simulation.copy is not None
    table = power_table(simulation)
    lines = [
        f"{simulation.result['copy']['participants']} simulated participants answered a copy of"
        f" {simulation.study.slug}, {simulation.copy.slug}; {simulation.study.slug} itself is as it was.",
        table.caption,
        markdown(table.columns, table.rows)
        if table.rows
        else "The protocol states no hypothesis to look for.",
    ]
    return "\n".join(lines)
