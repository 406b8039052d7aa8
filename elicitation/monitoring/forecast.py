"""When a study will have its answers, what it costs, and what people earn an hour. Money is in hundredths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from elicitation.studies.payment import Payment

RECENT = timedelta(hours=24)
LONG_AGO = timedelta(days=7)  # looked at where nothing came in recently
PERCENTILES = (25, 50, 75)


@dataclass(frozen=True)
class Forecast:
    """`n` counted answers came in the last `hours`; at this rate the rest is there at `done_at`."""

    n: int
    hours: float
    missing: int
    done_at: datetime

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
    """`percentile` percent of those who finished took at most `minutes`; as many earned at least the rate."""

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


def costs(promised: Mapping[Payment, int], payment: Payment, n_to_come: int, fee_share: float) -> list[Costs]:
    """What people who finished are owed, and what it comes to with `n_to_come` more; one each currency that is paid in.

    Args:
        promised: payment → how many people finished to whom it was promised.
        payment: what whoever is to come is promised.
    """
    found = []
    for currency in sorted({one.currency for one in promised} | {payment.currency}):
        of_it = {one: n for one, n in promised.items() if one.currency == currency}
        to_come = n_to_come if currency == payment.currency else 0
        so_far = sum(_most(one) * n for one, n in of_it.items())
        in_all = so_far + _most(payment) * to_come
        if not in_all and not any(_most(one) for one in (payment, *of_it)):
            continue
        found.append(
            Costs(
                currency=currency,
                n_paid=sum(of_it.values()),
                n_to_come=to_come,
                so_far_e2=round(so_far * (1 + fee_share)),
                in_all_e2=round(in_all * (1 + fee_share)),
                fee_share=fee_share,
            )
        )
    return found


def _most(payment: Payment) -> int:
    """The reward and the most of the bonus."""
    return payment.reward_e2 + (payment.bonus_e2 if payment.bonus != "none" else 0)


def hourly_rates(
    earned: Sequence[tuple[Payment, timedelta]], currency: str, minimum_e2: int | None
) -> list[HourlyRate]:
    """The reward (without bonus) an hour, at the percentiles of the minutes for a hundredth of `currency`.

    Where all were promised the same, these are the percentiles of the durations. None where nobody finished or is paid.

    Args:
        earned: what each person was promised, and how long they took.
        minimum_e2: what the recruiter asks for at least, an hour in that currency; None if nothing.
    """
    paid = [(one.reward_e2, took) for one, took in earned if one.reward_e2 and one.currency == currency]
    if not paid:
        return []
    lasted_minutes = [max(took / timedelta(minutes=1), 1 / 60) for _reward, took in paid]
    slowness = [minutes / reward for (reward, _took), minutes in zip(paid, lasted_minutes, strict=True)]
    at = zip(
        PERCENTILES,
        np.percentile(lasted_minutes, PERCENTILES),
        np.percentile(slowness, PERCENTILES),
        strict=True,
    )
    rates = []
    for percentile, lasted, slow in at:
        rate = round(60 / slow)
        too_low = minimum_e2 is not None and rate < minimum_e2
        rates.append(HourlyRate(percentile, float(lasted), rate, too_low))
    return rates
