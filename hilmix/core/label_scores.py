"""How well labels predict people: every policy makes labels of some people's answers, and others' answers judge them.

A label is worth training on if it says what somebody else will see. So answers are left out, by person or by connected
parents, labels are made of the rest, and each answer left out is compared with the label of its mixed image: by squared
error, by cross-entropy, and by how many bits the label spares over `mixup`. A label of 0 would make the cross-entropy
infinite, so a part of every label is spread over all classes first. How much decides what labels of many classes spare
in bits; those are ranked by squared error, which needs no such choice. What a perfect label could reach, people
being as different from each other as they are, is in `label_ceiling`. Nothing here trains a model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hilmix.core.clustering import Interval, two_way_interval
from hilmix.core.errors import DataError
from hilmix.core.folds import FOLDS
from hilmix.core.held_out import Bools, Floats, Given, Ints, Unseen, given_of, predicted, split
from hilmix.core.label_ceiling import Ceiling, ceiling_of
from hilmix.core.softlabels import (
    POLICIES,
    Evidence,
    LabelPolicy,
    asked_under,
    conditions_of,
    label_name,
    label_set,
    parse_label_name,
    policy_named,
)
from hilmix.core.softlabels.counting import classes_of, lambdas_e4
from hilmix.core.softlabels.warp import LEVELLED

LESS_LEVELLED = LEVELLED / 10  # to see what bits owe to the part that is spread

REPEATS = 20
BASELINE = "mixup"


@dataclass(frozen=True)
class Compared:
    """How well labels predict `n` answers left out, and what they spare over `mixup`; means over the answers.

    `squared_error` of shares (0–1; half the sum over all classes, which for two is the error of one) ·
    `cross_entropy` in nats, `LEVELLED` of each label spread over all classes · `squared_spared`, and `bits` spared of
    the cross-entropy, with 95% intervals clustered by person and by connected parents, None where there is one of
    either · `bits_less_levelled` the same with `LESS_LEVELLED`.
    """

    n: int
    squared_error: float
    cross_entropy: float
    squared_spared: float
    squared_interval: Interval | None
    bits: float
    bits_interval: Interval | None
    bits_less_levelled: float


@dataclass(frozen=True)
class Score:
    """One label judged by unseen people or by unseen parents: overall, at each λ (in ten-thousandths) and for each pair
    of classes (indices, the smaller first).

    `name` is that of `label`, a policy as `label_name` writes it, with the way in which its pairs were asked about
    where that is not the way of the answers that judge; `label` is empty of labels that were known. `others_answered`
    is of the answers about mixed images about which somebody else's answer was in what the label was made of.
    """

    name: str
    label: str
    unseen: Unseen
    overall: Compared
    others_answered: Compared | None
    by_lambda: dict[int, Compared]
    by_class_pair: dict[tuple[int, int], Compared]

    @property
    def from_answers(self) -> bool:
        """Whether it is made of people's answers, and not to compare with."""
        policy = POLICIES.get(parse_label_name(self.label)[0]) if self.label else None
        return policy is not None and bool(policy.accepts) and not policy.is_control


@dataclass(frozen=True)
class Lead:
    """Of the labels made of answers the `best`, and how far it is ahead of each other one, answer by answer, in what
    ranks them: 95% intervals, None where there are too few people or images."""

    best: str
    ahead: dict[str, tuple[float, Interval | None]]

    @property
    def tied(self) -> list[str]:
        """The labels that it is not told apart from, the nearest first."""
        return [name for name, (_, interval) in self.ahead.items() if interval is None or interval[0] <= 0]


@dataclass(frozen=True)
class LabelScores:
    """What came out: the `scores`, which label leads, for policies that could not be judged why not, by what was to be
    unseen, and what a perfect label could reach. `n_groups` of connected parents; `n_one_class` answers that judged
    nothing, since a share of two images of one class says nothing about classes; `of_classes` whether the answers that
    judge are about all classes."""

    n_answers: int
    n_people: int
    n_units: int
    n_groups: int
    n_one_class: int
    of_classes: bool
    repeats: int
    scores: tuple[Score, ...]
    leads: dict[Unseen, Lead]
    refused: dict[Unseen, dict[str, str]]
    ceiling: Ceiling

    def of(self, name: str, unseen: Unseen = "people") -> Compared:
        """The overall score of a label; KeyError where it has none."""
        return self.score(name, unseen).overall

    def score(self, name: str, unseen: Unseen = "people") -> Score:
        """The score of a label; KeyError where it has none."""
        for score in self.scores:
            if (score.name, score.unseen) == (name, unseen):
                return score
        raise KeyError(name)


def names_to_score() -> list[str]:
    """Every policy at its defaults and, one at a time, with each other choice that a parameter of it has."""
    names = []
    for policy in POLICIES.values():
        names.append(policy.name)
        for param in policy.params:
            others = [choice for choice in param.choices if choice != param.default]
            names += [label_name(policy.name, {param.name: choice}) for choice in others]
    return names


def score_labels(
    evidence: Evidence,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
    known: Mapping[str, Floats] | None = None,
    step: Callable[[], None] = lambda: None,
) -> LabelScores:
    """Judge every label policy by answers left out, in five folds, dealt out anew `repeats` times.

    Args:
        evidence: the units whose answers judge, under one condition, and what else policies may use. Of whoever is
            left out nothing is used, wherever they said it. Pairs stand as units at λ = 1/2.
        known: labels float64 [n, K] that are judged as well, by name; they are made of nobody's answers.
        step: called `steps(repeats)` times, on the way.

    Raises DataError where there are no answers of two people.
    """
    given = given_of(evidence)
    if len(given.people) < 2:
        raise DataError(
            "Labels are judged by the answers of people left out: at least two must have answered."
        )
    n_groups = len(np.unique(given.group))
    scores: list[Score] = []
    leads: dict[Unseen, Lead] = {}
    refused: dict[Unseen, dict[str, str]] = {}
    kinds: tuple[Unseen, ...] = ("people", "parents")
    for unseen in kinds:
        if unseen == "parents" and n_groups < 2:
            refused[unseen] = dict.fromkeys(
                names_to_score(), "All mixed images are connected by their parents."
            )
            continue
        losses = _Losses(given, evidence, known or {})
        rng = np.random.default_rng([seed, kinds.index(unseen)])
        for _ in range(repeats):
            for held, training in split(unseen, given, evidence, rng):
                losses.add(held, training)
                step()
        found = list(losses.scores(unseen))
        scores += found
        if lead := losses.lead(found):
            leads[unseen] = lead
        refused[unseen] = losses.refused
    return LabelScores(
        len(given.unit),
        len(given.people),
        len(np.unique(given.unit)),
        n_groups,
        given.n_one_class,
        given.of_classes,
        repeats,
        tuple(scores),
        leads,
        refused,
        ceiling_of(given, evidence.units, evidence.n_classes),
    )


def steps(repeats: int) -> int:
    """How often `score_labels` calls `step`, at most."""
    return 2 * repeats * FOLDS


# --- losses ---


SQUARED, BITS, LESS = range(3)  # squared error; cross-entropy with LEVELLED and with LESS_LEVELLED


class _Losses:
    """The losses of every label at every answer, summed over the times it was left out; and over those at which others'
    answers about the same image were left."""

    def __init__(self, given: Given, evidence: Evidence, known: Mapping[str, Floats]) -> None:
        self.given, self.units = given, evidence.units
        self.refused: dict[str, str] = {}
        self.times = np.zeros((2, len(given.unit)))
        self.sums: dict[str, Floats] = {}  # name → float64 [2, 3, N]: at all times and with others' answers
        # What is made of nobody's answers is made once.
        self.fixed = {name: predicted(labels, given, self.units) for name, labels in known.items()}
        self.labels: dict[str, tuple[str, str | None]] = {}  # name → label and condition of its pairs
        for label in names_to_score():
            policy = policy_named(parse_label_name(label)[0])
            if why := _why_not(policy, evidence):
                self.refused[label] = why
            else:
                self.labels |= _ways(label, policy, evidence)
                if not (policy.accepts or policy.needs):
                    self.fixed[label] = self._made(label, evidence)

    def add(self, held: Bools, training: Evidence) -> None:
        """Judge labels of `training` by the answers `held`."""
        answered = np.array([bool(unit.answers) for unit in training.units], dtype=np.bool_)
        chosen = np.stack([held, held & answered[self.given.unit]])
        self.times += chosen
        for name, seen in self.fixed.items():
            self._judge(name, seen, held, chosen)
        for name in self.labels:
            if name in self.fixed or name in self.refused:
                continue
            try:
                seen = self._made(name, training)
            except DataError as error:
                self.refused[name] = str(error)
                self.sums.pop(name, None)
            else:
                self._judge(name, seen, held, chosen)

    def _made(self, name: str, evidence: Evidence) -> Floats:
        label, condition = self.labels[name]
        if condition is not None:
            evidence = replace(evidence, pairs=asked_under(condition, evidence.pairs))
        policy, params = parse_label_name(label)
        pool = conditions_of([*evidence.units, *evidence.pairs])
        labels = label_set(policy_named(policy), evidence, pool, params)
        return predicted(labels.probabilities, self.given, self.units)

    def _judge(self, name: str, seen: Floats, held: Bools, chosen: Bools) -> None:
        said, label = self.given.said[held], seen[self.given.unit[held]]
        losses = [np.sum((said - label) ** 2, axis=1) / 2]
        for part in (LEVELLED, LESS_LEVELLED):
            levelled = (1 - part) * label + part / label.shape[1]
            losses.append(-np.sum(said * np.log(levelled), axis=1))
        sums = self.sums.setdefault(name, np.zeros((2, 3, len(held))))
        sums[:, :, held] += np.array(losses) * chosen[:, None, held]

    def _means(self, name: str) -> Floats:
        """float64 [2, 3, N], NaN where an answer was never left out while others' were left."""
        with np.errstate(invalid="ignore"):
            return self.sums[name] / self.times[:, None]

    def scores(self, unseen: Unseen) -> Iterator[Score]:
        """The score of every label, in the order of the registry; what was known stands first."""
        given = self.given
        of_lambda = lambdas_e4(self.units)[given.unit]
        pairs = np.sort(np.stack(classes_of(self.units)), axis=0).T[given.unit]
        kinds, of_pair = np.unique(pairs, axis=0, return_inverse=True)
        mixup, shared = self._means(BASELINE), self.times[1] > 0
        known = [name for name in self.sums if name not in self.labels]
        for name in [*known, *(name for name in self.labels if name in self.sums)]:
            losses = self._means(name)

            def among(chosen: Bools, at: int = 0, losses: Floats = losses) -> Compared:
                return _compared(
                    losses[at][:, chosen], mixup[at][:, chosen], given.person[chosen], given.group[chosen]
                )

            yield Score(
                name,
                self.labels[name][0] if name in self.labels else "",
                unseen,
                among(np.ones(len(of_lambda), dtype=np.bool_)),
                among(shared, at=1) if shared.any() else None,
                {int(one): among(of_lambda == one) for one in np.unique(of_lambda)},
                {(int(a), int(b)): among(of_pair == place) for place, (a, b) in enumerate(kinds)},
            )

    def lead(self, scores: Sequence[Score]) -> Lead | None:
        """Which of the labels made of answers is best, and how far; None where there is none."""
        at = SQUARED if self.given.of_classes else BITS
        losses = {one.name: self._means(one.name)[0, at] for one in scores if one.from_answers}
        if not losses:
            return None
        best, *others = sorted(losses, key=lambda name: float(losses[name].mean()))
        ahead = {}
        for name in others:
            spared = (losses[name] - losses[best]) / (math.log(2) if at == BITS else 1)
            interval = two_way_interval(spared, self.given.person, self.given.group)
            ahead[name] = float(spared.mean()), interval
        return Lead(best, ahead)


def _ways(label: str, policy: LabelPolicy, evidence: Evidence) -> dict[str, tuple[str, str | None]]:
    """A label made of answers about pairs, once for each way in which these were asked about; named after it where that
    is not the way of the answers that judge."""
    asked = conditions_of(evidence.pairs)
    if policy.about != "pair" or asked == conditions_of(evidence.units):
        return {label: (label, None)}
    return {f"{label} of {condition}": (label, condition) for condition in asked}


def _why_not(policy: LabelPolicy, evidence: Evidence) -> str:
    """Why there is nothing that a policy could make labels of; empty where there is."""
    if policy.about == "pair":
        return "" if evidence.pairs else "Nobody was asked for midpoints of these pairs."
    said = {type(answer.judgement) for unit in evidence.units for answer in unit.answers}
    if policy.accepts and not said <= set(policy.accepts):
        return "Made of answers of another kind."
    if "beside" in policy.needs and not evidence.beside:
        return "Nobody said which classes are in these mixed images."
    return ""


def _compared(losses: Floats, mixup: Floats, person: Ints, group: Ints) -> Compared:
    """Means of losses float64 [3, n] and of what they spare, clustered by person and by group."""
    spared = mixup - losses
    bits = spared[BITS] / math.log(2)
    return Compared(
        len(person),
        float(losses[SQUARED].mean()),
        float(losses[BITS].mean()),
        float(spared[SQUARED].mean()),
        two_way_interval(spared[SQUARED], person, group),
        float(bits.mean()),
        two_way_interval(bits, person, group),
        float(spared[LESS].mean() / math.log(2)),
    )
