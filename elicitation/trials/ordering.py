"""The order of one person's trials, drawn at random: a pure function of class pairs, numbers and a seeded generator.

It keeps apart what would help or bore: two trials of one class pair, a trial and its repeat, two attention checks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from elicitation.studies.protocol import CHECK_GAP, REPEAT_GAP
from elicitation.trials.models import Trial

ATTEMPTS = 20  # orders tried for one without two neighbours of one class pair
MAIN, REPEAT, CHECK = Trial.Kind.MAIN, Trial.Kind.REPEAT, Trial.Kind.CHECK


@dataclass(frozen=True)
class Planned:
    """A trial by its kind and the place of its unit (or check) among those given."""

    kind: str
    place: int


def order_of_trials(
    units: Sequence[Hashable], checks: Sequence[Hashable], repeats: int, rng: random.Random
) -> list[Planned]:
    """Every unit once, `repeats` of them again, and every check, in a random order.

    A repeat comes at least 16 places after its first showing, and repeats are spread over the room this leaves, none
    at the very end. Checks are at least 5 places apart, none first or last. No two neighbours are of one class pair
    wherever the units allow it.

    Args:
        units, checks: the class pair of each, in any form that can be compared.
        repeats: as `Design.order_problems` allows; where there is no room for the gap (hilmix 0.1 allowed that), it
            shrinks to half the units.
    """
    gap = REPEAT_GAP if len(units) >= REPEAT_GAP + 2 * repeats else len(units) // 2
    counts = Counter([*units, *checks])
    n = len(units) + len(checks) + repeats
    fewest = max(0, 2 * max(counts.values()) - n - 1)  # neighbours of one class pair, in any order
    best: list[Planned] = []
    for _attempt in range(ATTEMPTS if len(counts) > 1 else 1):
        kinds = _kinds(len(units), len(checks), repeats, gap, rng)
        order = _Order(units, checks, gap, rng).fill(kinds)
        if not best or _neighbours(order, units, checks) < _neighbours(best, units, checks):
            best = order
        if _neighbours(best, units, checks) <= fewest:
            break
    return best


def _neighbours(order: Sequence[Planned], units: Sequence[Hashable], checks: Sequence[Hashable]) -> int:
    """How often two trials of one class pair follow each other."""
    keys = [(checks if planned.kind == CHECK else units)[planned.place] for planned in order]
    return sum(one == other for one, other in pairwise(keys))


def _kinds(n: int, checks: int, repeats: int, gap: int, rng: random.Random) -> list[str]:
    """The kind of trial at each position: checks and repeats each spread over the room they have."""
    kinds: list[str] = [MAIN] * (n + checks + repeats)
    last = len(kinds) - 1
    for position in _spread(range(1, last), checks, rng, apart=CHECK_GAP):
        kinds[position] = CHECK
    room = [position for position in range(gap, last) if kinds[position] == MAIN]
    for position in _spread(room, repeats, rng):
        kinds[position] = REPEAT
    return kinds


def _spread(room: Sequence[int], n: int, rng: random.Random, apart: int = 1) -> list[int]:
    """`n` of the positions in `room`, one at random in each of `n` equal parts, at least `apart` from each other."""
    width = len(room) / n if n else 0
    slack = max(0, int(width) - apart)
    return [room[int(part * width) + rng.randint(0, slack)] for part in range(n)]


@dataclass
class _Order:
    """One attempt at an order: from left to right, each position gets something that its neighbour is not."""

    units: Sequence[Hashable]
    checks: Sequence[Hashable]
    gap: int
    rng: random.Random
    order: list[Planned] = field(default_factory=list)

    def fill(self, kinds: Sequence[str]) -> list[Planned]:
        waiting: dict[str, list[int]] = {
            MAIN: list(range(len(self.units))),
            CHECK: list(range(len(self.checks))),
        }
        repeated: set[int] = set()
        for position, kind in enumerate(kinds):
            if kind == REPEAT:
                place = self._pick(self._to_repeat(position, repeated), self.units)
                repeated.add(place)
            else:
                keys = self.units if kind == MAIN else self.checks
                place = self._pick(self._most_frequent(waiting[kind], keys), keys)
                waiting[kind].remove(place)
            self.order.append(Planned(kind, place))
        return self.order

    def _to_repeat(self, position: int, repeated: set[int]) -> list[int]:
        """Units shown long enough before `position`; the longest ago where there is none."""
        shown = [p.place for p in self.order if p.kind == MAIN and p.place not in repeated]
        early = {p.place for p in self.order[: position - self.gap + 1] if p.kind == MAIN}
        return [place for place in shown if place in early] or shown[:1]

    def _most_frequent(self, waiting: list[int], keys: Sequence[Hashable]) -> list[int]:
        """Those that must come now because more than half of what waits is like them; else all."""
        key, count = Counter(keys[place] for place in waiting).most_common(1)[0]
        return [place for place in waiting if keys[place] == key] if 2 * count > len(waiting) else waiting

    def _pick(self, places: Sequence[int], keys: Sequence[Hashable]) -> int:
        before = self._key(self.order[-1]) if self.order else None
        return self.rng.choice([place for place in places if keys[place] != before] or list(places))

    def _key(self, planned: Planned) -> Hashable:
        return (self.checks if planned.kind == CHECK else self.units)[planned.place]
