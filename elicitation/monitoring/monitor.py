"""The numbers of a study while it runs: who is where, what is there, what is missing, when it ends, what it costs.

All of one mode: live and pilot share no count. Each number is derived from the rows when it is asked for, in a fixed
number of queries; nothing is counted up on the side, so nothing can drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Exists, F, Max, OuterRef, Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from elicitation.flow.events import COMPREHENSION
from elicitation.monitoring.coverage import Coverage, coverage_of
from elicitation.monitoring.forecast import (
    LONG_AGO,
    RECENT,
    Costs,
    Forecast,
    HourlyRate,
    costs,
    forecast,
    hourly_rates,
)
from elicitation.participants.models import Departure, Participation, ParticipationEvent, over_quota
from elicitation.recruiters.services import recruitment_of
from elicitation.studies.models import Mode, Slot, Source, Study
from elicitation.studies.payment import Payment, Stop
from elicitation.studies.protocol import settings_of
from elicitation.studies.rules import FLAGS
from elicitation.trials.flags import (
    Flagged,
    Measures,
    excluding,
    measures_for,
    n_perhaps_cannot_tell,
    standing,
)
from elicitation.trials.models import Response, Trial

WATCHED = (Mode.LIVE, Mode.PILOT)
QUIET = timedelta(hours=3)  # an open study without an answer for so long: somebody should look


@dataclass(frozen=True)
class Place:
    """Where somebody can be on the way, and how many are there in each mode."""

    name: str
    label: str | Promise
    meaning: str | Promise
    counts: Mapping[str, int]

    @property
    def in_order(self) -> list[int]:
        """The counts of live, pilot and preview."""
        return [self.counts[mode] for mode in Mode.values]


@dataclass(frozen=True)
class FlagCount:
    """How many people have a flag, and how many of them it leaves out of labels."""

    name: str
    meaning: str | Promise
    n: int
    n_left_out: int


@dataclass(frozen=True)
class Slots:
    """The places of a mode by state."""

    free: int = 0
    held: int = 0
    filled: int = 0
    lapsed: int = 0  # of those held: the lease is over, so whoever comes next gets the place

    @property
    def total(self) -> int:
        return self.free + self.held + self.filled


@dataclass(frozen=True)
class StopState:
    """The protocol's rule and how far it is: `value` is the share of full places, or the mean width (None: unknown)."""

    rule: Stop
    value: float | None
    reached: bool


@dataclass(frozen=True)
class Monitor:
    """What the page shows of one mode of a study; each part is described where it is made."""

    mode: str
    people: Sequence[Place]
    n_over_quota: int
    n_invalid: int
    n_left_out: int
    slots: Slots
    coverage: Coverage
    stop: StopState
    forecast: Forecast | None
    n_without_place: int
    costs: Sequence[Costs]
    rates: Sequence[HourlyRate]
    minimum_e2: int | None
    currency: str
    flags: Sequence[FlagCount]
    n_perhaps_cannot_tell: int
    rounds: Sequence[tuple[int, int]]
    checks: Sequence[tuple[int, int]]
    n_problems: int
    last_answer: datetime | None
    is_quiet: bool


def monitor_of(study: Study, mode: str, now: datetime | None = None) -> Monitor:
    """The numbers of `mode`, as they are `now`."""
    now = now or timezone.now()
    settings = settings_of(study.protocol.content)
    measures = measures_for(study, settings.rules, mode=mode)
    flagged = standing(measures, settings.rules)
    out = {pk for pk, flags in flagged.items() if excluding(flags)}
    coverage = coverage_of(study, mode, out)
    slots = _slots(study, mode, now)
    promised = {
        pk: settings_of(content).payment for pk, content in study.protocols.values_list("pk", "content")
    }
    imported = study.source == Source.IMPORTED  # when its answers were given is not known
    received, last_answer = ([], None) if imported else _received(study, mode, out, now)
    tallies = study.participations.filter(mode=mode).aggregate(
        over_quota=Count("pk", filter=over_quota()),
        invalid=Count("pk", filter=Q(invalid_at__isnull=False)),
    )
    recruiter = recruitment_of(study).recruiter
    minimum_e2 = recruiter.MINIMUM_HOURLY_E2.get(settings.payment.currency)
    return Monitor(
        mode=mode,
        people=_people(study, now),
        n_over_quota=tallies["over_quota"],
        n_invalid=tallies["invalid"],
        n_left_out=len(out),
        slots=slots,
        coverage=coverage,
        stop=stop_state(settings.stop, coverage),
        forecast=forecast(received, coverage.missing, study.opened_at, now),
        n_without_place=_without_place(study, mode, coverage),
        costs=costs(
            _finished(study, mode, promised), settings.payment, slots.free + slots.held, recruiter.FEE_SHARE
        ),
        rates=hourly_rates(_earned(study, mode, promised), settings.payment.currency, minimum_e2),
        minimum_e2=minimum_e2,
        currency=settings.payment.currency,
        flags=_flag_counts(flagged),
        n_perhaps_cannot_tell=n_perhaps_cannot_tell(study),
        rounds=_rounds(study, mode),
        checks=_checks(measures.values()),
        n_problems=study.problem_reports.filter(handled_at=None).count(),
        last_answer=last_answer,
        is_quiet=is_quiet(study, last_answer, now),
    )


def stop_state(rule: Stop, coverage: Coverage) -> StopState:
    """How far the protocol's stop rule is. Reaching it stops nothing: people decide.

    `answers`: every unit has its answers in every combination of levels between people. `interval`: the 95% intervals
    of plain means are on average at most `width` wide, under the condition where they are widest, and every unit has an
    answer under it. Not those of shrunk labels: they are narrow, too, where answers are too noisy to tell images apart.
    """
    if rule.rule == "interval":
        means = [one.raw.mean for one in coverage.widths if one.raw]
        all_known = bool(means) and len(means) == len(coverage.widths)
        value = max(means, default=None) if all_known else None
        whole = all(one.n_units == len(coverage.units) for one in coverage.widths)
        return StopState(rule, value, value is not None and whole and value <= rule.width)
    full, places = coverage.n_places
    return StopState(rule, full / places if places else None, bool(places) and full == places)


def is_quiet(study: Study, last_answer: datetime | None, now: datetime) -> bool:
    """Whether an open study has had no answer for three hours, or since it opened."""
    since = last_answer or study.opened_at
    return study.state == Study.State.OPEN and since is not None and now - since > QUIET


def _people(study: Study, now: datetime) -> list[Place]:
    """Everybody by how far they came, and whoever came and did not begin."""
    answered = Response.objects.filter(trial__participation=OuterRef("pk"))
    rows = (
        study.participations.order_by()
        .annotate(has_begun=Exists(answered), has_place=Q(slot__isnull=False) & ~_lapsed(now, "slot__"))
        .values_list("mode", "state", "has_begun", "has_place")
        .annotate(n=Count("pk"))
    )
    counts: Counter[tuple[str, str]] = Counter()
    for mode, state, has_begun, has_place, n in rows:
        counts[_where(state, has_begun, has_place), mode] += n
    left = study.departures.order_by().values_list("outcome", "mode").annotate(n=Count("pk"))
    for outcome, mode, n in left:
        counts[outcome, mode] += n
    return [
        Place(str(key), label, meaning, {mode: counts[key, mode] for mode in Mode.values})
        for key, (label, meaning) in PLACES.items()
        if key in ALWAYS or any(counts[key, mode] for mode in Mode.values)
    ]


def _where(state: str, has_begun: bool, has_place: bool) -> str:
    if state != Participation.State.RUNNING:
        return state
    if not has_place:
        return "gone"
    return "answering" if has_begun else "lesson"


PLACES: Mapping[str, tuple[str | Promise, str | Promise]] = {
    Departure.Outcome.NO_CONSENT: (_("declined"), _("did not want to take part; counted each time")),
    Departure.Outcome.FULL: (_("found it full"), _("came when no place was free; counted each time")),
    Departure.Outcome.EXCLUDED: (_("not admitted"), _("took part in an excluded study; counted each time")),
    Departure.Outcome.WRONG_DEVICE: (_("unfit device"), _("the device was not fit for it")),
    "lesson": (_("at the lesson"), _("consented and hold a place; no answer yet")),
    "answering": (_("answering"), _("hold a place and have begun")),
    "gone": (_("went away"), _("their place goes to whoever comes next; they may still finish")),
    Participation.State.ANSWERED: (
        _("at the last page"),
        _("every answer is here, the closing page was not sent"),
    ),
    Participation.State.COMPLETED: (_("completed"), _("sent the closing page and have the code")),
    Participation.State.DECLINED: (_("screened out"), _("did not pass the comprehension check")),
    Participation.State.WITHDRAWN: (_("withdrew"), _("took back their consent")),
}
ALWAYS = ("lesson", "answering", "gone", Participation.State.COMPLETED)


def _lapsed(now: datetime, slot: str = "") -> Q:
    """Places that are held still, but the lease is over; `slot` leads to the place."""
    return Q(**{f"{slot}state": Slot.State.HELD, f"{slot}lease_expires_at__lt": now})


def _slots(study: Study, mode: str, now: datetime) -> Slots:
    slots = Slot.objects.filter(batch__study=study, batch__mode=mode).order_by()
    states = dict(slots.values_list("state").annotate(n=Count("pk")))
    return Slots(**states, lapsed=slots.filter(_lapsed(now)).count())


def _without_place(study: Study, mode: str, coverage: Coverage) -> int:
    """How many of the missing answers cannot come, since no place is left for them."""
    if study.source == Source.IMPORTED or not coverage.missing:
        return 0
    open_states = (Slot.State.FREE, Slot.State.HELD)
    slots = Slot.objects.filter(batch__study=study, batch__mode=mode, state__in=open_states)
    places = slots.order_by().values_list("batch", "cell").annotate(n=Count("pk"))
    given = Response.objects.filter(trial__kind=Trial.Kind.MAIN, trial__participation__slot__in=slots)
    begun = given.order_by().values_list("trial__unit", "trial__participation__slot__cell")
    return coverage.without_place(
        {(batch, cell): n for batch, cell, n in places},
        {(unit, cell): n for unit, cell, n in begun.annotate(n=Count("pk"))},
    )


def _received(
    study: Study, mode: str, out: Collection[int], now: datetime
) -> tuple[list[tuple[timedelta, int]], datetime | None]:
    """How many counted answers came in the last day and week, and when the last answer of any kind came."""
    answers = Response.objects.filter(trial__participation__study=study, trial__participation__mode=mode)
    counted = Q(trial__kind=Trial.Kind.MAIN, trial__participation__invalid_at=None)
    counted &= ~Q(trial__participation__in=out)
    spans = {"recent": RECENT, "long": LONG_AGO}
    found = answers.aggregate(
        last=Max("received_at"),
        **{name: Count("pk", filter=counted & Q(received_at__gt=now - span)) for name, span in spans.items()},
    )
    return [(span, found[name]) for name, span in spans.items()], found["last"]


def _finished(study: Study, mode: str, promised: Mapping[int, Payment]) -> Counter[Payment]:
    """How many people who finished were promised each payment, by the version that they agreed to."""
    done = study.participations.filter(mode=mode, state__in=Participation.FINISHED).order_by()
    counts: Counter[Payment] = Counter()
    for protocol, n in done.values_list("protocol").annotate(n=Count("pk")):
        counts[promised[protocol]] += n
    return counts


def _earned(study: Study, mode: str, promised: Mapping[int, Payment]) -> list[tuple[Payment, timedelta]]:
    """What each person who completed was promised, and the time from consent to the closing page."""
    done = study.participations.filter(
        mode=mode, source=Source.PERSON, state=Participation.State.COMPLETED, completed_at__isnull=False
    )
    took = done.annotate(took=F("completed_at") - F("started_at")).values_list("protocol", "took")
    return [(promised[protocol], lasted) for protocol, lasted in took]


def _flag_counts(flagged: Mapping[int, Sequence[Flagged]]) -> list[FlagCount]:
    every = [one for flags in flagged.values() for one in flags]
    n = Counter(one.rule.flag for one in every)
    n_left_out = Counter(one.rule.flag for one in excluding(every))
    return [
        FlagCount(name, flag.meaning, n[name], n_left_out[name]) for name, flag in FLAGS.items() if n[name]
    ]


def _rounds(study: Study, mode: str) -> list[tuple[int, int]]:
    """A number of rounds of the comprehension check, and how many people needed so many."""
    told = ParticipationEvent.objects.filter(
        participation__study=study, participation__mode=mode, kind=COMPREHENSION
    )
    people = told.order_by().values("participation").annotate(n=Count("pk"))
    return sorted(Counter(people.values_list("n", flat=True)).items())


def _checks(measures: Iterable[Measures]) -> list[tuple[int, int]]:
    """A number of failed attention checks, and how many people failed so many; only of who answered any."""
    told = [one.get("failed_checks") for one in measures]
    return sorted(Counter(int(n) for n in told if n is not None).items())
