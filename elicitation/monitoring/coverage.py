"""How far a study's answers have come: answers of each unit by design cell, and how wide the intervals of labels are.

What counts is what labels count: a person's first answer to a unit, of somebody whom nobody marked invalid and no rule
leaves out; no repeat, no attention check. Everything is derived from the answers, in a fixed number of queries.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from django.db.models import Exists, F, OuterRef

from elicitation.mixes.models import Pair
from elicitation.studies.factors import Levels, cells_of, levels_within
from elicitation.studies.models import Mode, Slot, Study, Unit
from elicitation.studies.protocol import settings_of
from elicitation.trials.given import AS_TEXT, Asking, Ways
from elicitation.trials.models import Response, Trial
from hilmix.core import judgements, softlabels
from hilmix.core.judgements import CannotTell, Judgement, PerceivedLambda, PerceivedMidpoint, share_of
from hilmix.core.softlabels import DEFAULT_POLICY, LabelRow

RAW_POLICY = "human_lambda"
OF_A_PAIR = 5000  # stands for λ where a unit is a pair: its answers are about all λ together

# There may be very many answers; of each of them only these fields are read.
READ = (
    *(f"trial__{name}" for name in ("participation", "unit", "condition")),
    *("levels", "params", "payload"),
)

LevelsKey = frozenset[tuple[str, str]]
ClassPair = tuple[int, int]


@dataclass(frozen=True)
class UnitFacts:
    """A unit as the board sorts it; `lambda_e4` is None where it is a pair."""

    pair: Pair
    lambda_e4: int | None
    batch: int

    @property
    def class_pair(self) -> ClassPair:
        classes = self.pair.first_class, self.pair.second_class
        return min(classes), max(classes)


@dataclass(frozen=True, slots=True)
class Counted:
    """An answer that counts: whose, to which unit, under which condition and levels, and what it says."""

    person: int
    unit: int
    condition: int
    levels: Levels
    judgement: Judgement


@dataclass(frozen=True)
class DesignCell:
    """The units of one class pair at one λ: how many there are, how many have their answers, and answers a unit."""

    n_units: int
    n_full: int
    mean: float
    fewest: int

    @property
    def is_full(self) -> bool:
        return self.n_full == self.n_units


@dataclass(frozen=True)
class BoardRow:
    """A class pair, and its cells in the order of the board's λ; None where the design has no unit."""

    first: str
    second: str
    cells: tuple[DesignCell | None, ...]
    lambdas_e4: tuple[int | None, ...]

    @property
    def named(self) -> list[tuple[int | None, DesignCell | None]]:
        """Each cell with its λ."""
        return list(zip(self.lambdas_e4, self.cells, strict=True))

    @property
    def share_full(self) -> float:
        cells = [cell for cell in self.cells if cell]
        return sum(cell.n_full for cell in cells) / sum(cell.n_units for cell in cells)


@dataclass(frozen=True)
class Board:
    """Answers by class pair and λ; `target` answers make a unit full. `total` is over all of it."""

    lambdas_e4: tuple[int | None, ...]
    rows: tuple[BoardRow, ...]
    total: DesignCell | None
    target: int


@dataclass(frozen=True)
class Spread:
    """Mean, median and 90th percentile."""

    mean: float
    median: float
    ninetieth: float


@dataclass(frozen=True)
class Widths:
    """How wide the 95% intervals of the labels of one condition are (0–1); None where nothing can be said yet.

    `raw` of plain means, `shrunk` of the labels that a release has by default. `n_units` have an answer at all.
    """

    levels: tuple[Levels, ...]
    n_units: int
    n_answers: int
    raw: Spread | None
    shrunk: Spread | None

    @property
    def both(self) -> tuple[Spread | None, Spread | None]:
        """In the order of the page's columns."""
        return self.raw, self.shrunk


@dataclass
class Coverage:
    """The counted answers of one mode of a study, read once.

    `counts` unit → levels → answers · `cells` the combinations of levels between people · `within` those one person
    meets · `target` answers wanted of each unit in each of `cells`.
    """

    units: dict[int, UnitFacts]
    counts: dict[int, Counter[LevelsKey]]
    cells: list[Levels]
    within: list[Levels]
    target: int
    classes: tuple[str, ...]
    widths: list[Widths] = field(default_factory=list)

    @property
    def n_answers(self) -> int:
        return sum(counter.total() for counter in self.counts.values())

    @property
    def wanted(self) -> int:
        """Answers that are wanted in all."""
        return len(self.units) * len(self.cells) * self.target

    @property
    def missing(self) -> int:
        """Answers still wanted: what one unit has too many of, another does not get."""
        return sum(
            max(0, self.target - n) for cell in self.cells for n in self._answers(cell, self.within).values()
        )

    def without_place(
        self, places: Mapping[tuple[int, int], int], begun: Mapping[tuple[int, int], int]
    ) -> int:
        """How many of the missing answers no free or held place can bring.

        Args:
            places: batch and cell → free and held places.
            begun: unit and cell → answers that whoever holds such a place has given already.
        """
        lacking = 0
        for number, cell in enumerate(self.cells):
            for unit, n in self._answers(cell, self.within).items():
                to_come = places.get((self.units[unit].batch, number), 0) - begun.get((unit, number), 0)
                lacking += max(0, self.target - n - max(0, to_come))
        return lacking

    @property
    def n_places(self) -> tuple[int, int]:
        """Of how many (unit, combination between people) every answer is there, and how many there are."""
        full = sum(n >= self.target for cell in self.cells for n in self._answers(cell, self.within).values())
        return full, len(self.units) * len(self.cells)

    def combinations(self) -> list[Levels]:
        """Every combination of levels, between and within people; one without levels where nothing varies."""
        return [{**cell, **levels} for cell in self.cells for levels in self.within]

    def board(self, chosen: Levels | None = None) -> Board:
        """Answers by class pair and λ: of one combination of levels, or of all of them together."""
        if chosen is None:
            target = self.target * len(self.cells)
            answers = {unit: self.counts[unit].total() for unit in self.units}
        else:
            target = max(1, self.target // len(self.within))
            answers = self._answers(chosen, [{}])
        return _board(self.units, answers, target, self.classes)

    def _answers(self, levels: Levels, within: Sequence[Levels]) -> dict[int, int]:
        keys = [key_of({**levels, **more}) for more in within]
        return {unit: sum(self.counts[unit][key] for key in keys) for unit in self.units}


def key_of(levels: Levels) -> LevelsKey:
    return frozenset(levels.items())


def coverage_of(study: Study, mode: str, left_out: Collection[int] = ()) -> Coverage:
    """Read the counted answers of `mode`.

    Args:
        left_out: keys of participations whose answers do not count, beside those marked invalid.
    """
    settings = settings_of(study.protocol.content)
    units = _units(study, mode)
    counts: dict[int, Counter[LevelsKey]] = {unit: Counter() for unit in units}
    said: dict[int, dict[int, list[judgements.Answer]]] = defaultdict(lambda: defaultdict(list))
    levels_of: dict[int, dict[LevelsKey, Levels]] = defaultdict(dict)
    for one in _counted(study, mode, units, left_out):
        key = key_of(one.levels)
        counts[one.unit][key] += 1
        levels_of[one.condition][key] = one.levels
        answer = judgements.Answer(str(one.person), _as_share(one.judgement, units[one.unit]))
        said[one.condition][one.unit].append(answer)
    return Coverage(
        units=units,
        counts=counts,
        cells=cells_of(settings.factors),
        within=levels_within(settings.factors),
        target=settings.design.answers_per_unit,
        classes=tuple(study.image_set.classes),
        widths=[
            _widths(list(levels_of[condition].values()), units, answers)
            for condition, answers in sorted(said.items())
        ],
    )


def _units(study: Study, mode: str) -> dict[int, UnitFacts]:
    units = Unit.objects.filter(batch__study=study, batch__mode=mode).order_by()
    if mode != Mode.LIVE:
        # What an earlier pilot asked about, and no place asks about any more, is nothing that is still wanted.
        units = units.filter(Exists(Slot.objects.filter(batch=OuterRef("batch"))))
    read = units.select_related("pair").annotate(lambda_e4=F("mixed_image__lambda_e4"))
    return {unit.pk: UnitFacts(unit.pair, unit.lambda_e4, unit.batch_id) for unit in read}


def _counted(
    study: Study, mode: str, units: Mapping[int, UnitFacts], left_out: Collection[int]
) -> Iterator[Counted]:
    """Every counted answer to one of `units`."""
    people = study.participations.filter(mode=mode, source=study.source, invalid_at=None)
    met = {pk: (protocol, drawn) for pk, protocol, drawn in people.values_list("pk", "protocol", "drawn")}
    out, asking = set(left_out), Asking(Ways(study))
    answers = Response.objects.filter(
        trial__participation__study=study, trial__participation__mode=mode, trial__kind=Trial.Kind.MAIN
    )
    seen: set[tuple[int, int]] = set()  # imported people may have answered one unit twice
    ordered = answers.annotate(**AS_TEXT).order_by("trial__participation_id", "trial__position")
    for person, unit, condition, levels, params, payload in ordered.values_list(*READ).iterator(2000):
        if (person, unit) in seen or person in out or person not in met or unit not in units:
            continue
        seen.add((person, unit))
        protocol, drawn = met[person]
        interface, asked = asking.of(units[unit].pair, protocol, levels, params, drawn)
        yield Counted(person, unit, condition, asking.parsed(levels), interface.judgement(payload, asked))


def _as_share(judgement: Judgement, unit: UnitFacts) -> PerceivedLambda | CannotTell:
    """The judgement as one number: a perceived λ or midpoint, or the share given to the pair's first class."""
    if isinstance(judgement, PerceivedLambda | CannotTell):
        return judgement
    if isinstance(judgement, PerceivedMidpoint):
        return PerceivedLambda(judgement.value)
    pair = unit.pair
    share = share_of(judgement, pair.first_class, pair.first_class, pair.second_class)
    return CannotTell() if share is None else PerceivedLambda(min(1.0, share))


def _widths(
    levels: Sequence[Levels], units: Mapping[int, UnitFacts], said: Mapping[int, list[judgements.Answer]]
) -> Widths:
    answered = [
        judgements.Unit(
            key=str(pk),
            lambda_e4=OF_A_PAIR if units[pk].lambda_e4 is None else units[pk].lambda_e4 or 0,
            first_class=units[pk].pair.first_class,
            second_class=units[pk].pair.second_class,
            answers=tuple(answers),
        )
        for pk, answers in said.items()
    ]
    n_classes = 1 + max(max(unit.first_class, unit.second_class) for unit in answered)
    raw, shrunk = (
        softlabels.build_label_set(policy, answered, n_classes).rows
        for policy in (RAW_POLICY, DEFAULT_POLICY)
    )
    return Widths(
        levels=tuple(levels),
        n_units=len(answered),
        n_answers=sum(len(answers) for answers in said.values()),
        raw=_spread(raw),
        shrunk=_spread(shrunk),
    )


def _spread(rows: Sequence[LabelRow]) -> Spread | None:
    """Of the widths of the rows' intervals; None where not one row has an interval."""
    widths = [row.interval[1] - row.interval[0] for row in rows if row.interval and row.n]
    if not widths:
        return None
    median, ninetieth = np.percentile(widths, (50, 90))
    return Spread(float(np.mean(widths)), float(median), float(ninetieth))


def _board(
    units: Mapping[int, UnitFacts], answers: Mapping[int, int], target: int, classes: Sequence[str]
) -> Board:
    grouped: dict[ClassPair, dict[int | None, list[int]]] = defaultdict(lambda: defaultdict(list))
    for pk, unit in units.items():
        grouped[unit.class_pair][unit.lambda_e4].append(answers[pk])
    lambdas_e4 = tuple(sorted({unit.lambda_e4 for unit in units.values()}, key=lambda value: value or 0))
    rows = tuple(
        BoardRow(
            classes[pair[0]],
            classes[pair[1]],
            tuple(_cell(by_lambda.get(value, ()), target) for value in lambdas_e4),
            lambdas_e4,
        )
        for pair, by_lambda in sorted(grouped.items())
    )
    return Board(lambdas_e4, rows, _cell(list(answers.values()), target), target)


def _cell(answers: Sequence[int], target: int) -> DesignCell | None:
    if not answers:
        return None
    full = sum(n >= target for n in answers)
    return DesignCell(len(answers), full, sum(answers) / len(answers), min(answers))
