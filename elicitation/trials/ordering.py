"""The order of one person's trials, drawn at random: a pure function of class pairs, numbers and a seeded generator.

It keeps apart what would help or bore: two trials of one class pair, a trial and its repeat, two attention checks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from elicitation.studies.protocol import CHECK_GAP, REPEAT_GAP
from elicitation.trials.models import Trial

ATTEMPTS = 20  # orders tried for one without two neighbours of one class pair
MAIN, REPEAT, CHECK = Trial.Kind.MAIN, Trial.Kind.REPEAT, Trial.Kind.CHECK


class Planned(NamedTuple):
    """A trial by its kind and the place of its unit (or check) among those given."""

    kind: str
    place: int


def order_of_trials(
    units: Sequence[Hashable],
    checks: Sequence[Hashable],
    repeats: int,
    rng: random.Random,
    *,
    before: Hashable = None,
    margin: int = 1,
) -> list[Planned]:
    """Every unit once, `repeats` of them again, and every check, in a random order.

    A repeat comes at least 16 places after its first showing, and repeats are spread over the room this leaves, none
    at the very end. Checks are at least 5 places apart, none first or last. No two neighbours are of one class pair
    wherever the units allow it.

    Args:
        units, checks: the class pair of each, in any form that can be compared.
        repeats: as `Design.order_problems` allows; where there is no room for the gap (hilmix 0.1 allowed that), it
            shrinks to half the units.
        before: the class pair of the trial that comes before all these, if one does.
        margin: how many trials at either end are no checks.
    """
    gap = REPEAT_GAP if len(units) >= REPEAT_GAP + 2 * repeats else len(units) // 2
    counts = Counter([*units, *checks])
    n = len(units) + len(checks) + repeats
    fewest = max(0, 2 * max(counts.values(), default=0) - n - 1)  # neighbours of one class pair, in any order
    best: list[Planned] = []
    least = n + 1
    for _attempt in range(ATTEMPTS if len(counts) > 1 else 1):
        kinds = _kinds(len(units), len(checks), repeats, gap, margin, rng)
        order, neighbours = _Order(units, checks, gap, before, rng).fill(kinds)
        if neighbours < least:
            best, least = order, neighbours
        if least <= fewest:
            break
    return best


def _kinds(n: int, checks: int, repeats: int, gap: int, margin: int, rng: random.Random) -> list[str]:
    """The kind of trial at each position: checks and repeats each spread over the room they have."""
    kinds: list[str] = [MAIN] * (n + checks + repeats)
    last = len(kinds) - 1
    for position in _spread(range(margin, last + 1 - margin), checks, rng, apart=CHECK_GAP):
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


class _Order:
    """One attempt at an order: from left to right, each position gets something that its neighbour is not."""

    def __init__(
        self,
        units: Sequence[Hashable],
        checks: Sequence[Hashable],
        gap: int,
        before: Hashable,
        rng: random.Random,
    ) -> None:
        self.keys: dict[str, Sequence[Hashable]] = {MAIN: units, CHECK: checks, REPEAT: units}
        self.waiting: dict[str, list[int]] = {MAIN: list(range(len(units))), CHECK: list(range(len(checks)))}
        self.counts: dict[str, Counter[Hashable]] = {MAIN: Counter(units), CHECK: Counter(checks)}
        self.shown: list[
            tuple[int, int]
        ] = []  # position and place of each unit, as long as it is not repeated
        self.gap, self.before, self.rng = gap, before, rng

    def fill(self, kinds: Sequence[str]) -> tuple[list[Planned], int]:
        """The order, and how often two trials of one class pair follow each other."""
        order, neighbours = [], 0
        for position, kind in enumerate(kinds):
            places = self._to_repeat(position) if kind == REPEAT else self._most_frequent(kind)
            keys = self.keys[kind]
            others = [place for place in places if keys[place] != self.before]
            place = self.rng.choice(others or places)
            self._taken(kind, place, position)
            neighbours += not others and self.before is not None
            self.before = keys[place]
            order.append(Planned(kind, place))
        return order, neighbours

    def _taken(self, kind: str, place: int, position: int) -> None:
        if kind == REPEAT:
            self.shown = [(at, one) for at, one in self.shown if one != place]
            return
        self.waiting[kind].remove(place)
        self.counts[kind][self.keys[kind][place]] -= 1
        if kind == MAIN:
            self.shown.append((position, place))

    def _to_repeat(self, position: int) -> list[int]:
        """Units shown long enough before `position`; the longest ago where there is none."""
        early = [place for at, place in self.shown if at <= position - self.gap]
        return early or [place for _at, place in self.shown[:1]]

    def _most_frequent(self, kind: str) -> list[int]:
        """Those that must come now because more than half of what waits is like them; else all."""
        waiting, counts = self.waiting[kind], self.counts[kind]
        count = max(counts.values())
        if 2 * count <= len(waiting):
            return waiting
        key = next(key for key, n in counts.items() if n == count)
        return [place for place in waiting if self.keys[kind][place] == key]
