"""When a study will have its answers, what it costs, and what people earn an hour. Money is in hundredths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from elicitation.studies.payment import Payment

RECENT = timedelta(hours=24)
LONG_AGO = timedelta(days=7)  # looked at where nothing came in recently
PERCENTILES = (25, 50, 75)


@dataclass(frozen=True)
class Forecast:
    """`n` counted answers came in the last `hours`; at this rate the rest is there at `done_at`, None if never."""

    n: int
    hours: float
    missing: int
    done_at: datetime | None

    @property
    def lasted(self) -> str:
        """The hours in words."""
        return f"{self.hours:.0f} h" if self.hours >= 2 else f"{self.hours * 60:.0f} min"

    @property
    def per_hour(self) -> float:
        return self.n / self.hours


@dataclass(frozen=True)
class Costs:
    """What people who finished are owed (`so_far`), and what it will be when every place is filled (`in_all`).

    A bonus counts with its most. `fee_share` is the recruiter's, of what is paid; the sums are with it.
    """

    currency: str
    n_paid: int
    n_to_come: int
    so_far_e2: int
    in_all_e2: int
    fee_share: float


@dataclass(frozen=True)
class HourlyRate:
    """The reward an hour of somebody who took `minutes`, longer than `percentile` percent of those who finished."""

    percentile: int
    minutes: float
    rate_e2: int
    too_low: bool


def forecast(
    received: Sequence[tuple[timedelta, int]], missing: int, opened_at: datetime | None, now: datetime
) -> Forecast | None:
    """From the answers of the last day; from those of the last week where that day brought none.

    Args:
        received: for RECENT and LONG_AGO, how many counted answers came since.
        missing: how many are still wanted.

    Returns None where no answer came in the last week: nothing can be said.
    """
    for span, n in received:
        if n:
            lasted = min(span, now - opened_at) if opened_at else span
            hours = max(lasted / timedelta(hours=1), 1 / 60)
            return Forecast(n, hours, missing, now + timedelta(hours=missing * hours / n))
    return None


def costs(payment: Payment, n_paid: int, n_to_come: int, fee_share: float) -> Costs | None:
    """What `n_paid` people are owed, and what it comes to with `n_to_come` more. None where nothing is paid."""
    a_person = payment.reward_e2 + (payment.bonus_e2 if payment.bonus != "none" else 0)
    if not a_person:
        return None
    with_fee = a_person * (1 + fee_share)
    return Costs(
        currency=payment.currency,
        n_paid=n_paid,
        n_to_come=n_to_come,
        so_far_e2=round(n_paid * with_fee),
        in_all_e2=round((n_paid + n_to_come) * with_fee),
        fee_share=fee_share,
    )


def hourly_rates(
    payment: Payment, durations: Sequence[timedelta], minimum_e2: int | None
) -> list[HourlyRate]:
    """The reward (without bonus) an hour at the percentiles of `durations`; none where nobody finished or is paid.

    Args:
        minimum_e2: what the recruiter asks for at least, an hour in the payment's currency; None if nothing.
    """
    if not durations or not payment.reward_e2:
        return []
    minutes = np.percentile([took / timedelta(minutes=1) for took in durations], PERCENTILES)
    rates = []
    for percentile, lasted in zip(PERCENTILES, minutes, strict=True):
        rate = round(payment.reward_e2 * 60 / max(float(lasted), 1 / 60))
        too_low = minimum_e2 is not None and rate < minimum_e2
        rates.append(HourlyRate(percentile, float(lasted), rate, too_low))
    return rates
