"""What people said of units, counted the long way, for tests to compare with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hilmix.core.judgements import Judgement, PerceivedLambda, Unit


def numbers_of(unit: Unit) -> list[PerceivedLambda]:
    """Each person's first answer that is no repeat, if it gives a number."""
    first: dict[str, Judgement] = {}
    for answer in unit.answers:
        if not answer.repeat:
            first.setdefault(answer.participant, answer.judgement)
    return [judgement for judgement in first.values() if isinstance(judgement, PerceivedLambda)]


def numbers_by_lambda(units: Iterable[Unit]) -> list[list[PerceivedLambda]]:
    """The same of all units of each λ, ascending."""
    found = defaultdict(list)
    for unit in units:
        found[unit.lambda_e4] += numbers_of(unit)
    return [found[lambda_e4] for lambda_e4 in sorted(found)]
