"""How often a design finds each of its hypotheses, with the effect that is expected and without, in repetitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.protocol import Settings
from hilmix.core.agreement import NORMAL_95
from hilmix.core.observers import Population
from hilmix.hub.hypotheses import test_hypothesis
from hilmix.hub.rehearsing import Design, Rehearsal, World
from hilmix.jobs.progress import Progress

DEALS = 20  # of levels within people to images: power is a mean over these draws, and depends on none of them


class Steps:
    """How far a simulation is, over both of its parts."""

    def __init__(self, progress: Progress, total: int, text: str, done: int = 0) -> None:
        self.progress, self.total, self.text, self.done = progress, total, text, done

    def to(self, done: int) -> None:
        self.done = done
        self.progress.check()
        self.progress.update(done, self.total, self.text)

    def one(self) -> None:
        self.to(self.done + 1)


@dataclass
class _Tally:
    """How often a hypothesis was found, with its effect and without; `effects` is what could be put in of it."""

    effect_of: str = "none"
    power: int = 0
    false: int = 0
    effects: list[float | None] = field(default_factory=list)

    def row(self, hypothesis: Hypothesis, k: int, people: int, n: int) -> dict[str, Any]:
        """What is kept of `n` repetitions with `k` answers a unit."""
        known = [effect for effect in self.effects if effect is not None]
        return {
            "hypothesis": hypothesis.name,
            "k": k,
            "people": people,
            "effect": float(np.mean(known)) if known else None,
            "effect_of": self.effect_of,
            "power": self.power / n if self.effects else None,
            "power_interval": wilson(self.power, n) if self.effects else None,
            "false_positive": self.false / n,
            "false_positive_interval": wilson(self.false, n),
        }


def power_of(
    design: Design, population: Population, settings: Settings, options: dict[str, Any], steps: Steps
) -> list[dict[str, Any]]:
    """For each hypothesis and number of answers: how often it is found, with its effect and without."""
    rows = []
    n, seed = options["repetitions"], options["seed"]
    deals = DEALS if any(len(ways) > 1 for ways in design.cells) else 1
    for k in options["answers"]:
        tallies = [_Tally() for _ in settings.hypotheses]
        people = 0
        for deal in range(deals):
            rehearsal = Rehearsal(design, k, population, seed=[seed, k, deal])
            people = rehearsal.n_people
            for number, (hypothesis, tally) in enumerate(zip(settings.hypotheses, tallies, strict=True)):
                _repeat(rehearsal, hypothesis, tally, range(deal, n, deals), [seed, k, number], steps)
        pairs = zip(settings.hypotheses, tallies, strict=True)
        rows += [tally.row(hypothesis, k, people, n) for hypothesis, tally in pairs]
    return rows


def _repeat(
    rehearsal: Rehearsal,
    hypothesis: Hypothesis,
    tally: _Tally,
    repetitions: Sequence[int],
    seeds: list[int],
    steps: Steps,
) -> None:
    """Add these repetitions to the tally, with the hypothesis' effect and without."""
    expected, tally.effect_of = _expected(rehearsal, hypothesis)
    if expected is None:
        steps.to(steps.done + len(repetitions))
    else:
        tally.effects.append(expected.effect)
        tally.power += _found(rehearsal, hypothesis, expected, [*seeds, 1], repetitions, steps)
    nothing = rehearsal.with_effect(hypothesis, 0.0)
    tally.false += _found(rehearsal, hypothesis, nothing, [*seeds, 0], repetitions, steps)


def _expected(rehearsal: Rehearsal, hypothesis: Hypothesis) -> tuple[World | None, str]:
    """The world in which the hypothesis is true, and who says how large its effect is: the protocol, or the release
    where the protocol expects none. Of a difference between levels no release says anything."""
    if hypothesis.effect:
        return rehearsal.with_effect(hypothesis, hypothesis.effect), "protocol"
    if hypothesis.test == "difference":
        return None, "none"
    return rehearsal.as_fitted(), "release"


def _found(
    rehearsal: Rehearsal,
    hypothesis: Hypothesis,
    world: World,
    seeds: list[int],
    repetitions: Sequence[int],
    steps: Steps,
) -> int:
    """In how many of these repetitions the hypothesis is found."""
    found = 0
    for repetition in repetitions:
        rng = np.random.default_rng([*seeds, repetition])
        found += test_hypothesis(hypothesis, rehearsal.carry_out(world, rng)).found
        steps.one()
    return found


def wilson(found: int, n: int) -> tuple[float, float]:
    """95% interval of a share, after Wilson (1927): right also near 0 and 1."""
    square = NORMAL_95**2
    middle = (found + square / 2) / (n + square)
    half = NORMAL_95 / (n + square) * math.sqrt(found * (n - found) / n + square / 4)
    return max(0.0, middle - half), min(1.0, middle + half)
