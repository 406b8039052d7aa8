"""How many answers a study needs and what they cost: arithmetic for whoever designs one, from variance components.

Components come from a release or from H-Mix. The reliability of a mean of k answers is Spearman and Brown's; intervals
are those that the label policies will give (`softlabels`). Nothing here simulates; that is for the hub.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hilmix.core.agreement import NORMAL_95
from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.release import Release
from hilmix.core.release_answers import condition_for, median_seconds, perceived_share, units_of_release
from hilmix.core.softlabels import fit_shrinkage

PROPOSED = (1, 2, 3, 5, 9, 15, 25)  # answers per unit that a plan compares


@dataclass(frozen=True)
class Components:
    """Where the variance of perceived shares (0–1) comes from, once the mean at each λ is taken away.

    `between` images, `within` one image: of the people and their looks · `seconds` on a trial, the median, None where
    unknown · `source` says in words where this comes from.
    """

    between: float
    within: float
    seconds: float | None
    source: str

    @property
    def rho(self) -> float:
        """Reliability of one answer, ICC(1), 0–1."""
        total = self.between + self.within
        return self.between / total if total else 0.0


# Estimated as `fit_shrinkage` does, from the 4,788 first answers of 81 people to 2,070 mixed images that were published
# with Collins et al., Human-in-the-Loop Mixup, UAI 2023 (interface infer; its times include both sliders).
H_MIX_COMPONENTS = Components(
    between=0.015668, within=0.033786, seconds=8.4, source="H-Mix (81 people, 2,070 mixed images)"
)


def components_of(release: Release, interface: str = "") -> Components:
    """The components of a release, from the answers of one condition: one of `interface`, if there is any.

    Raises:
        DataError: too few people share an image for telling images from people.
    """
    condition = condition_for(release, interface)
    fit = fit_shrinkage([_shares_of(unit) for unit in units_of_release(release, condition)])
    if fit.within is None or fit.n_units < 2:
        raise DataError(
            f"Too few people of {release.name}@{release.version} answered the same: it says nothing of reliability."
        )
    return Components(fit.between, fit.within, median_seconds(release), f"{release.name}@{release.version}")


def _shares_of(unit: Unit) -> Unit:
    """The unit with every answer as a perceived share."""
    shares = [
        (answer, perceived_share(answer.judgement, unit.first_class, unit.second_class))
        for answer in unit.answers
    ]
    told = tuple(Answer(a.participant, PerceivedLambda(share)) for a, share in shares if share is not None)
    return Unit(unit.key, unit.lambda_e4, unit.first_class, unit.second_class, told)


# --- labels ---


def reliability(rho: float, k: float) -> float:
    """kρ / (1 + (k − 1)ρ): share of the variance of a mean of `k` answers that is the images', 0–1."""
    return k * rho / (1 + (k - 1) * rho) if k else 0.0


def raw_width(components: Components, k: float) -> float:
    """Expected width of the 95% interval of the raw mean of `k` answers, at most 1."""
    return min(1.0, 2 * NORMAL_95 * math.sqrt(components.within / k))


def shrunk_width(components: Components, k: float) -> float:
    """Expected width of the 95% interval of the mean of `k` answers that is shrunk to the curve, at most 1."""
    return min(1.0, 2 * NORMAL_95 * math.sqrt(components.between * (1 - reliability(components.rho, k))))


# --- people, time, money ---


@dataclass(frozen=True)
class Effort:
    """What a study asks of people. `units` are answered by `cells` groups; a person answers `trials_per_person` of
    them and `extra_trials` more (repeats, checks), and needs `overhead_minutes` beside the trials."""

    units: int
    trials_per_person: int
    extra_trials: int = 0
    cells: int = 1
    overhead_minutes: float = 5.0

    def people(self, k: int) -> int:
        """How many have to finish for `k` answers a unit in every cell: a batch of units each."""
        return math.ceil(self.units / self.trials_per_person) * k * self.cells

    def minutes(self, seconds: float) -> float:
        """How long it takes one person, with `seconds` a trial."""
        return self.overhead_minutes + (self.trials_per_person + self.extra_trials) * seconds / 60


@dataclass(frozen=True)
class Price:
    """What a person costs, in hundredths of a currency; `fee` is the recruiter's share on top of all payments (0–)."""

    reward_e2: int = 0
    bonus_e2: int = 0
    fee: float = 0.0

    def total_e2(self, people: int) -> int:
        """What `people` cost at most: everybody gets the whole bonus."""
        return math.ceil(people * (self.reward_e2 + self.bonus_e2) * (1 + self.fee))


def hourly_e2(reward_e2: int, minutes: float) -> int | None:
    """The reward for taking part as hundredths an hour; bonuses are promised to nobody, so they do not count."""
    return round(reward_e2 * 60 / minutes) if minutes > 0 else None


@dataclass(frozen=True)
class PlanRow:
    """What `k` answers a unit give and cost. Widths are of 95% intervals, 0–1; `total_e2` in hundredths."""

    k: int
    reliability: float
    raw_width: float
    shrunk_width: float
    people: int
    total_e2: int


def plan(
    components: Components,
    effort: Effort,
    price: Price,
    chosen: int,
    ks: Sequence[int] = PROPOSED,
    ways: int = 1,
) -> list[PlanRow]:
    """A row for every k of `ks`, and for the `chosen` one, ascending.

    Everybody is asked in several `ways` where settings vary within people: the answers are shared out over them, and
    each has labels of its own.
    """
    return [
        PlanRow(
            k=k,
            reliability=reliability(components.rho, k / ways),
            raw_width=raw_width(components, k / ways),
            shrunk_width=shrunk_width(components, k / ways),
            people=effort.people(k),
            total_e2=price.total_e2(effort.people(k)),
        )
        for k in sorted({*ks, chosen})
    ]
