"""What a study that is being written would give and cost: the panel beside its form.

The arithmetic is in hilmix.core.planning. Variance components come from H-Mix or, where another app stands above that
has releases, from what it offers: it registers itself here when it loads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from elicitation.studies.factors import Factor, cells_of, levels_within
from elicitation.studies.payment import Payment
from elicitation.studies.protocol import Design
from hilmix.accounts.models import User
from hilmix.core import planning
from hilmix.core.planning import H_MIX_COMPONENTS, Components, Effort, PlanRow, Price

H_MIX = "hmix"
OVERHEAD_MINUTES = (
    5.0  # consent, instructions, practice, check, survey: nobody's times of these were published
)
USUAL_SECONDS = 10.0  # on a trial, where the release kept no times


class ComponentsOffer(Protocol):
    """Where components may come from beside H-Mix."""

    def choices(self, person: User) -> Sequence[tuple[str, str]]:
        """Key and name of each source that this person may see."""

    def components(self, person: User, key: str, interface: str) -> Components:
        """What the source called `key` says, best of answers to `interface`.

        Raises:
            NotFound: there is none that this person may see.
            DataError: it says nothing of reliability.
        """


_offers: list[ComponentsOffer] = []


def offers_components(offer: ComponentsOffer) -> ComponentsOffer:
    """Register `offer`."""
    _offers.append(offer)
    return offer


def components_choices(person: User) -> list[tuple[str, str]]:
    """Keys and names of all sources beside H-Mix, whose key is `H_MIX`."""
    return [one for offer in _offers for one in offer.choices(person)]


def components_named(person: User, key: str, interface: str) -> Components:
    """The components of one of these sources, else H-Mix's; raises as `ComponentsOffer.components`."""
    for offer in _offers:
        if key in dict(offer.choices(person)):
            return offer.components(person, key, interface)
    return H_MIX_COMPONENTS


@dataclass(frozen=True)
class Terms:
    """What a recruiter takes of all payments (share), and the least it allows an hour, in hundredths, by currency."""

    fee: float = 0.0
    least_hourly_e2: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Reckoning:
    """What the panel shows. Minutes: `estimated` from times on trials, `stated` by the researcher (0: none).

    `n_ways` combinations of levels within people share the answers to an image. `n_again` images are shown to twice
    as many people as wanted, to fill the last batch. Money is in hundredths of `currency`. `least_e2` is the least
    that the recruiter allows an hour; None: it says none.
    """

    rows: list[PlanRow]
    chosen: PlanRow
    components: Components
    n_cells: int
    n_ways: int
    n_trials: int
    n_again: int
    estimated_minutes: float
    stated_minutes: int
    currency: str
    hourly_e2: int | None
    least_e2: int | None
    fee: float

    @property
    def answers_a_label(self) -> float:
        """How many answers a label is made of, on average."""
        return self.chosen.k / self.n_ways

    @property
    def is_low(self) -> bool:
        """Whether the hourly rate is below what the recruiter allows."""
        return self.least_e2 is not None and self.hourly_e2 is not None and self.hourly_e2 < self.least_e2

    @property
    def is_hurried(self) -> bool:
        """Whether the minutes stated are fewer than most people are likely to need."""
        return 0 < self.stated_minutes < self.estimated_minutes


def reckon(
    design: Design, payment: Payment, factors: Sequence[Factor], components: Components, terms: Terms
) -> Reckoning:
    """What `design` gives and costs, for the chosen number of answers a unit and others."""
    extra = design.repeats + design.checks
    n_cells, n_ways = len(cells_of(factors)), len(levels_within(factors))
    effort = Effort(design.n_mixed_images, design.trials_per_person, extra, n_cells, OVERHEAD_MINUTES)
    bonus_e2 = payment.bonus_e2 if payment.bonus != "none" else 0
    price = Price(payment.reward_e2, bonus_e2, terms.fee)
    rows = planning.plan(components, effort, price, design.answers_per_unit, ways=n_ways)
    estimated = effort.minutes(USUAL_SECONDS if components.seconds is None else components.seconds)
    return Reckoning(
        rows=rows,
        chosen=next(row for row in rows if row.k == design.answers_per_unit),
        components=components,
        n_cells=n_cells,
        n_ways=n_ways,
        n_trials=design.trials_per_person + extra,
        n_again=-design.n_mixed_images % min(design.trials_per_person, design.n_mixed_images),
        estimated_minutes=estimated,
        stated_minutes=payment.minutes,
        currency=payment.currency,
        hourly_e2=planning.hourly_e2(payment.reward_e2, payment.minutes or estimated),
        least_e2=(terms.least_hourly_e2 or {}).get(payment.currency),
        fee=terms.fee,
    )
