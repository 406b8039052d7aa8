"""A study's design carried out in memory: the same images, places, levels and ways of asking, as often as one likes.

What people see is drawn from a population (`core.observers`), with or without the effect that a hypothesis expects. An
image has the same effect on everybody and each time, as where simulated participants take part in earnest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from elicitation.studies.factors import Levels, cells_of
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Mode, Study, Unit
from elicitation.studies.reading import Way, reading_of
from elicitation.trials.assigning import Turn, combinations_of_units
from hilmix.core.crowds import Crowd, calibrate, expected_share, expected_shares
from hilmix.core.judgements import PerceivedLambda
from hilmix.core.observers import Population
from hilmix.core.release_answers import HALF_E4
from hilmix.hub.hypotheses import Table, concerned

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Kind = Literal["share", "classes", "pair"]  # a share with confidence, classes with masses, a pair's midpoint

KINDS: tuple[Kind, ...] = ("share", "classes", "pair")


@dataclass(frozen=True)
class Batch:
    """Units by their numbers, in their order, and what levels within people are balanced over."""

    ordinal: int
    units: tuple[int, ...]
    strata: tuple[int | None, ...]


@dataclass(frozen=True)
class Asking:
    """A way of asking, with the levels of all factors and the number of its condition."""

    levels: Levels
    kind: Kind
    condition: int


@dataclass(frozen=True)
class Design:
    """What an opened study shows to whom.

    Of each unit: `lambda_e4` (one half for a pair), and standard normal numbers that the effects of its image and of
    its pair on everybody are made of. `cells` are the ways of asking of each cell.
    """

    batches: tuple[Batch, ...]
    lambda_e4: Ints
    image: Floats
    pair: Floats
    cells: tuple[tuple[Asking, ...], ...]
    lambdas: tuple[float, ...]


@dataclass(frozen=True)
class World:
    """What everybody sees: a population, and for every look the evidence and how much more confident people are.

    `effect` is what the world has of the hypothesis, in its units; None where nothing was put in.
    """

    population: Population
    evidence: Floats
    more_confident: Floats
    effect: float | None = None


def design_of(study: Study) -> Design:
    """Read the design of an opened study."""
    reading = reading_of(study.protocol)
    numbers: dict[tuple[int, int | None], int] = {}
    rows: list[tuple[int, float, float]] = []
    batches = []
    planned = Unit.objects.filter(batch__study=study, batch__mode=Mode.LIVE)
    ordered = planned.select_related("batch", "pair", "mixed_image").order_by("batch__ordinal", "ordinal")
    for batch, members in itertools.groupby(ordered, key=lambda unit: unit.batch):
        units, strata = [], []
        for unit in members:
            key = unit.pair_id, unit.mixed_image_id
            if key not in numbers:
                numbers[key] = len(rows)
                rows.append(_of_unit(unit))
            units.append(numbers[key])
            strata.append(unit.mixed_image.lambda_e4 if unit.mixed_image else None)
        batches.append(Batch(batch.ordinal, tuple(units), tuple(strata)))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    conditions: dict[str, int] = {}
    cells = tuple(
        tuple(
            Asking(met, _kind_of(way), conditions.setdefault(way.condition[0], len(conditions)))
            for met, way in reading.ways_of(levels)
        )
        for levels in cells_of(reading.settings.factors)
    )
    lambdas = tuple(value / 10_000 for value in sorted(reading.settings.design.lambdas_e4))
    return Design(tuple(batches), columns[0].astype(np.int64), columns[1], columns[2], cells, lambdas)


def _of_unit(unit: Unit) -> tuple[int, float, float]:
    """λ, and what the effects of image and pair are made of, drawn as in flow/simulation.py."""
    of_pair = np.random.default_rng([unit.pair.first_index, unit.pair.second_index]).normal()
    if unit.mixed_image is None:
        return HALF_E4, 0.0, of_pair
    return (
        unit.mixed_image.lambda_e4,
        np.random.default_rng(int(unit.mixed_image.sha256[:15], 16)).normal(),
        of_pair,
    )


def _kind_of(way: Way) -> Kind:
    if way.interface.UNIT == "pair":
        return "pair"
    return "share" if way.interface.JUDGEMENT is PerceivedLambda else "classes"


class Rehearsal:
    """A design with `k` answers a unit in every cell; arrays [N] say of each answer whose, what about, and how asked.

    A *look* is a unit under a way of asking; what people see is the same for all answers of one look. From `seed` it is
    drawn which levels within people an image begins with, as opening a study draws it for each of its batches.
    """

    def __init__(self, design: Design, k: int, population: Population, seed: Sequence[int] = (0,)) -> None:
        self.design, self.population = design, population
        self._keys = np.random.default_rng(seed).integers(2**32, size=len(design.batches)).tolist()
        self.ways = [way for cell in design.cells for way in cell]
        person, unit, way = np.array(list(self._answers(k)), dtype=np.int64).reshape(-1, 3).T
        self.n_people, self.person = int(person.max()) + 1 if len(person) else 0, person
        looks, self.look = np.unique(way * len(design.lambda_e4) + unit, return_inverse=True)
        self.way, self.unit = np.divmod(looks, len(design.lambda_e4))
        self.kind = np.array([KINDS.index(one.kind) for one in self.ways])[self.way]
        self.lambda_e4 = np.where(self.kind == KINDS.index("pair"), HALF_E4, design.lambda_e4[self.unit])
        self._table = self._empty_table()

    def _answers(self, k: int) -> Iterator[tuple[int, int, int]]:
        """Person, unit and way of every answer, place by place."""
        person = 0
        for batch, key in zip(self.design.batches, self._keys, strict=True):
            for cell, ways in enumerate(self.design.cells):
                first = sum(len(before) for before in self.design.cells[:cell])
                for rank in range(k):
                    turn = Turn(rank, cell, batch.ordinal)
                    numbers = combinations_of_units(batch.strata, len(ways), turn, key)
                    for unit, number in zip(batch.units, numbers, strict=True):
                        yield person, unit, first + number
                    person += 1

    def _empty_table(self) -> Table:
        n_units, look = len(self.design.lambda_e4), self.look
        pair = self.kind == KINDS.index("pair")
        pairs = np.unique(self.design.pair, return_inverse=True)[1]
        nothing = np.full(len(look), np.nan)
        factors = sorted({factor for way in self.ways for factor in way.levels})
        return Table(
            person=self.person,
            unit=np.where(pair, n_units + pairs[self.unit], self.unit)[look],
            lambda_e4=self.lambda_e4[look],
            pair=pair[look],
            condition=np.array([way.condition for way in self.ways])[self.way][look],
            perceived=nothing,
            confidence=nothing,
            levels={
                factor: np.array([way.levels.get(factor, "") for way in self.ways])[self.way][look]
                for factor in factors
            },
        )

    def carry_out(self, world: World, rng: np.random.Generator) -> Table:
        """Everybody answers once: new people, the same images."""
        crowd = Crowd.draw(rng, self.n_people, world.population)
        perceived, confidence = np.full(len(self.look), np.nan), np.full(len(self.look), np.nan)
        for number, kind in enumerate(KINDS):
            here = self.kind[self.look] == number
            if not here.any():
                continue
            person, evidence = self.person[here], world.evidence[self.look][here]
            if kind == "pair":
                perceived[here] = 1 - crowd.midpoints(person, evidence, self.design.lambdas, rng)
                continue
            asked = crowd if kind == "share" else replace(crowd, cannot_tell=np.zeros(self.n_people))
            said = asked.answers(person, evidence, rng, world.more_confident[self.look][here])
            perceived[here] = said[0]
            if kind == "share":
                confidence[here] = said[1]
        table = replace(self._table, perceived=perceived, confidence=confidence)
        told = ~np.isnan(perceived)
        return table if told.all() else _only(table, told)

    # --- what people see ---

    def as_fitted(self) -> World:
        """People as the population has them: nothing is put in."""
        return World(self.population, self._evidence(self._effects()), np.zeros(len(self.way)))

    def with_effect(self, hypothesis: Hypothesis, effect: float) -> World:
        """People of whom `hypothesis` is true with an effect of this size; with 0, it is not true of them at all.

        `deviation`: at each λ concerned the mean share in these images is λ + effect · `difference`: at one level it
        is half the effect above, at the other half of it below what the population sees · `better_label`: the images
        differ as much as is needed for the best label to save this much squared error on λ, and with 0 not at all.
        """
        if hypothesis.test == "difference":
            return self._with_difference(hypothesis, effect)
        if hypothesis.test == "better_label":
            return self._with_better_label(effect)
        effects = self._effects()
        chosen = concerned(
            hypothesis, self.lambda_e4, (self.lambda_e4 != HALF_E4) | (self.kind == KINDS.index("pair"))
        )
        evidence, reached = self._calibrated(effects, chosen, self.lambda_e4 / 10_000 + effect)
        deviation = reached - self.lambda_e4 / 10_000
        mean = float(deviation[chosen].mean()) if chosen.any() else 0.0
        return World(self.population, evidence, np.zeros(len(self.way)), mean)

    def _effects(self) -> Floats:
        """Of the image or pair of every look, on the logit scale."""
        pair = self.kind == KINDS.index("pair")
        drawn = np.where(pair, self.design.pair[self.unit], self.design.image[self.unit])
        return self.population.image_effect_sd * drawn

    def _evidence(self, effects: Floats) -> Floats:
        shown, index = np.unique(self.lambda_e4, return_inverse=True)
        curve = np.array([self.population.evidence(value / 10_000) for value in shown])
        return np.where(self.kind == KINDS.index("pair"), 0.0, curve[index]) + effects

    def _groups(self, among: Mask) -> Iterator[tuple[Mask, Population, Sequence[float]]]:
        """Looks of one kind at one λ, with whom `calibrate` takes for them and the λ of pairs."""
        for number, kind in enumerate(KINDS):
            for value in np.unique(self.lambda_e4[among & (self.kind == number)]):
                people = self.population if kind == "share" else replace(self.population, cannot_tell=0.0)
                here = among & (self.kind == number) & (self.lambda_e4 == value)
                yield here, people, self.design.lambdas if kind == "pair" else ()

    def _calibrated(self, effects: Floats, chosen: Mask, targets: Floats) -> tuple[Floats, Floats]:
        """Evidence with which the mean share of each group of the `chosen` looks is its target, and what it is."""
        evidence, reached = self._evidence(effects), targets.copy()
        for here, people, midpoints_of in self._groups(chosen):
            level, mean = calibrate(people, effects[here], float(targets[here][0]), midpoints_of)
            evidence[here], reached[here] = level + effects[here], mean
        return evidence, reached

    def _with_difference(self, hypothesis: Hypothesis, effect: float) -> World:
        effects = self._effects()
        evidence, more = self._evidence(effects), np.zeros(len(self.way))
        levels = np.array([way.levels.get(hypothesis.factor, "") for way in self.ways])[self.way]
        chosen = concerned(hypothesis, self.lambda_e4, np.ones(len(levels), dtype=bool))
        reached = []
        for name, half in zip(hypothesis.levels, (effect / 2, -effect / 2), strict=True):
            side = chosen & (levels == name)
            if hypothesis.outcome == "confidence":
                more[side] = half
                reached.append(half)
                continue
            targets, before = np.zeros(len(levels)), np.zeros(len(levels))
            for here, people, midpoints_of in self._groups(side):
                before[here] = expected_share(people, evidence[here], midpoints_of)
                targets[here] = before[here] + half
            moved, means = self._calibrated(effects, side, targets)
            evidence = np.where(side, moved, evidence)
            reached.append(float((means - before)[side].mean()) if side.any() else 0.0)
        return World(self.population, evidence, more, reached[0] - reached[1])

    def _with_better_label(self, effect: float) -> World:
        nothing = np.zeros(len(self.way))
        everywhere = np.ones(len(self.way), dtype=bool)
        if not effect:
            evidence, _reached = self._calibrated(nothing, everywhere, self.lambda_e4 / 10_000)
            return World(self.population, evidence, nothing, 0.0)
        low, high = 0.0, 6.0
        for _step in range(25):
            times = (low + high) / 2
            evidence = self._evidence(times * self._effects())
            saved = self._saved(evidence)
            low, high = (times, high) if saved < abs(effect) else (low, times)
        return World(self.population, evidence, nothing, -saved)

    def _saved(self, evidence: Floats) -> float:
        """The squared error that a label saves which knows what everybody sees on average in each image."""
        squares = np.zeros(len(evidence))
        for here, people, midpoints_of in self._groups(np.ones(len(evidence), dtype=bool)):
            seen = expected_shares(people, evidence[here], midpoints_of)
            squares[here] = (seen - self.lambda_e4[here] / 10_000) ** 2
        return float(squares.mean())


def _only(table: Table, kept: Mask) -> Table:
    return Table(
        person=table.person[kept],
        unit=table.unit[kept],
        lambda_e4=table.lambda_e4[kept],
        pair=table.pair[kept],
        condition=table.condition[kept],
        perceived=table.perceived[kept],
        confidence=table.confidence[kept],
        levels={factor: levels[kept] for factor, levels in table.levels.items()},
    )
