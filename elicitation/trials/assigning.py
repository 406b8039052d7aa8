"""Which levels each trial of a person has, and in which blocks they come: a pure function of a place's turn.

What varies between people is decided by the place; here it is about what varies within a person. Everything goes round
with the places of a batch, so that over its places each unit has each level equally often, and each block each rank.
"""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from elicitation.studies.factors import Factor, Levels
from elicitation.trials.ordering import CHECK, Planned, order_of_trials


@dataclass(frozen=True)
class Turn:
    """A place's turn: its `rank` among the places of its batch and cell, and the numbers of both, all from 0.

    Cells and batches begin elsewhere, so that little is uneven where there are fewer places than levels.
    """

    rank: int = 0
    cell: int = 0
    batch: int = 0

    def of_units(self) -> int:
        """By how much the levels of the units have moved on."""
        return self.rank + self.cell + self.batch

    def of_blocks(self, n_combinations: int) -> int:
        """By how much the order of the blocks has moved on: once more each time the units have been round, so that it
        is crossed with their levels."""
        return self.rank + self.rank // n_combinations + self.cell


class Assigned(NamedTuple):
    """A trial of the plan: what it is, and the number of its combination of levels."""

    planned: Planned
    combination: int


def combinations_of_units(
    strata: Sequence[Hashable], n_combinations: int, turn: Turn, seed: int
) -> list[int]:
    """The number of each unit's combination of levels: equally many units of each, give or take one, also among the
    units of one stratum.

    Args:
        strata: what levels are to be balanced over, for each unit: its λ.
        seed: the same for all places of a batch, so that a unit moves on from one to the next.
    """
    mixed = random.Random(seed).sample(range(len(strata)), len(strata))  # noqa: S311  (an order, not a secret)
    places = sorted(mixed, key=lambda place: str(strata[place]))
    moved = turn.of_units()
    of_place = {place: (rank + moved) % n_combinations for rank, place in enumerate(places)}
    return [of_place[place] for place in range(len(strata))]


def blocks_in_order(combinations: Sequence[Levels], factors: Sequence[Factor], turn: Turn) -> list[list[int]]:
    """The numbers of the combinations in each block, block by block as this turn has them.

    Args:
        combinations: every combination of levels within a person.
        factors: those of which the levels come in blocks; without any, all is one block.
    """
    moved = turn.of_blocks(len(combinations))
    ranks: list[dict[str, int]] = []
    for factor in factors:  # each factor goes round by itself, so that the trials of a level stay together
        n = len(factor.levels)
        ranks.append({level.name: (place - moved) % n for place, level in enumerate(factor.levels)})
        moved //= n
    blocks: dict[tuple[int, ...], list[int]] = {}
    for number, levels in enumerate(combinations):
        key = tuple(rank[levels[factor.name]] for factor, rank in zip(factors, ranks, strict=True))
        blocks.setdefault(key, []).append(number)
    return [blocks[key] for key in sorted(blocks)]


def order_in_blocks(
    units: Sequence[Hashable],
    combinations: Sequence[int],
    checks: Sequence[Hashable],
    repeats: int,
    blocks: Sequence[Sequence[int]],
    rng: random.Random,
) -> list[Assigned]:
    """Every unit, repeat and check in its order (`ordering`), block after block; a repeat stays in its block.

    Args:
        units, checks: the class pair of each, in any form that can be compared.
        combinations: the number of each unit's combination of levels.
        blocks: the numbers of the combinations in each block.
    """
    n_repeats, n_checks = _shared_out(repeats, len(blocks), rng), _shared_out(len(checks), len(blocks), rng)
    waiting = list(range(len(checks)))
    order: list[Assigned] = []
    before: Hashable = None
    for block, with_repeats, with_checks in zip(blocks, n_repeats, n_checks, strict=True):
        places = [place for place, number in enumerate(combinations) if number in block]
        mine, waiting = waiting[:with_checks], waiting[with_checks:]
        keys, check_keys = [units[place] for place in places], [checks[place] for place in mine]
        planned = order_of_trials(
            keys, check_keys, with_repeats, rng, before=before, margin=1 if len(blocks) == 1 else 2
        )
        of_checks = _dealt(block, len(mine), rng)
        for one in planned:
            if one.kind == CHECK:
                order.append(Assigned(Planned(CHECK, mine[one.place]), of_checks[one.place]))
            else:
                place = places[one.place]
                order.append(Assigned(Planned(one.kind, place), combinations[place]))
        if planned:
            last = planned[-1]
            before = (check_keys if last.kind == CHECK else keys)[last.place]
    return order


def _shared_out(n: int, parts: int, rng: random.Random) -> list[int]:
    """`n` in `parts` whole numbers that differ by one at most; which get one more is drawn."""
    more = set(rng.sample(range(parts), n % parts)) if n % parts else set()
    return [n // parts + (part in more) for part in range(parts)]


def _dealt(numbers: Sequence[int], n: int, rng: random.Random) -> list[int]:
    """`n` of `numbers`, each as often as the others, give or take one, in random order."""
    if len(numbers) == 1:
        return [numbers[0]] * n
    laps = math.ceil(n / len(numbers))
    return [number for _ in range(laps) for number in rng.sample(numbers, len(numbers))][:n]
