"""What the monitor says of a study: each number by hand, one mode at a time, at a constant number of queries."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from elicitation.flow import services
from elicitation.flow.events import record_events
from elicitation.flow.saving import Incoming, save_responses
from elicitation.flow.validity import mark_invalid
from elicitation.monitoring.coverage import coverage_of
from elicitation.monitoring.forecast import costs, forecast, hourly_rates
from elicitation.monitoring.monitor import monitor_of
from elicitation.participants.models import Departure, Participation, ParticipationEvent
from elicitation.participants.services import report_problem
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Mode, Slot, Study
from elicitation.studies.opening import open_study, pause_study
from elicitation.studies.payment import Payment, Stop
from elicitation.studies.plans import plan_of_study
from elicitation.studies.rules import Rule
from elicitation.studies.services import change_protocol
from elicitation.trials.models import Response
from hilmix.accounts.roles import OPERATOR

BOXES = {"adult": True, "agree": True, "publish": True}
NOW = timezone.now()


def join(study: Study, **options) -> Participation:
    return services.join_study(study=study, source=study.source, boxes=BOXES, **options)[0]


def said(percent: int = 31, **more: object) -> dict[str, object]:
    answer = {
        "cannot_tell": False, "mixing_percent": percent, "confidence_percent": 72,
        "touched": {"mixing": True, "confidence": True},
    }  # fmt: skip
    return answer | more


def answer(person: Participation, n: int | None = None, payload=None, **fields) -> None:
    """The first `n` trials are answered; all where it is None."""
    positions = list(person.trials.values_list("position", flat=True))[:n]
    given = [
        Incoming(
            id=uuid.uuid4(), position=at, payload=payload(at) if payload else said(), rt_ms=4000, **fields
        )
        for at in positions
    ]
    for start in range(0, len(given), 20):
        receipts = save_responses(participation=person, epoch=0, answers=given[start : start + 20])
        assert {receipt.status for receipt in receipts} == {"created"}


def finished(study: Study, minutes: float = 10, payload=None, **options) -> Participation:
    """Somebody takes part to the end, and takes so many minutes."""
    person = join(study, **options)
    answer(person, payload=payload)
    assert services.complete(participation=person) == []
    person = services.finish(participation=person, survey={})
    Participation.objects.filter(pk=person.pk).update(
        started_at=person.completed_at - timedelta(minutes=minutes)
    )
    return person


def people(study: Study, mode: str = Mode.LIVE) -> dict[str, int]:
    return {str(place.label): place.counts[mode] for place in monitor_of(study, mode).people}


# -- who is where


def test_everybody_is_counted_where_they_are_on_the_way(make_study):
    study = make_study(n_mixed_images=12, answers_per_unit=6)
    join(study)
    answer(join(study), 2)
    gone = join(study)
    Participation.objects.filter(pk=gone.pk).update(slot=None)
    waiting = join(study)
    answer(waiting)
    services.complete(participation=waiting)
    finished(study)
    Participation.objects.filter(pk=join(study).pk).update(state=Participation.State.DECLINED)
    for outcome in (Departure.Outcome.NO_CONSENT, Departure.Outcome.NO_CONSENT, Departure.Outcome.FULL):
        Departure.objects.create(study=study, outcome=outcome)
    assert people(study) == {
        "declined": 2, "found it full": 1, "at the lesson": 1, "answering": 1, "went away": 1,
        "at the last page": 1, "completed": 1, "screened out": 1,
    }  # fmt: skip


def test_a_pilot_and_a_live_participation_are_never_in_one_number(make_study):
    study = make_study()
    finished(study)
    person = finished(study)
    Participation.objects.filter(pk=person.pk).update(mode=Mode.PILOT)
    live, pilot = (monitor_of(study, mode) for mode in (Mode.LIVE, Mode.PILOT))
    assert [place.in_order for place in live.people if str(place.label) == "completed"] == [[1, 1, 0]]
    assert live.coverage.n_answers == 6
    assert live.costs == []
    assert pilot.slots.total == 0
    assert sum(n for _n, n in live.rounds) == 0


# -- what is there


def test_a_units_answers_are_counted_once_a_person_and_without_repeats_and_checks(make_study):
    study = make_study(n_mixed_images=36, trials_per_person=18, repeats=1, answers_per_unit=2, checks=2,
                       check_images=(1, 2, 3))  # fmt: skip
    finished(study)
    coverage = coverage_of(study, Mode.LIVE)
    assert Response.objects.filter(trial__participation__study=study).count() == 18 + 1 + 2
    assert (coverage.n_answers, coverage.wanted, coverage.missing) == (18, 72, 54)
    board = coverage.board()
    assert board.total is not None
    assert (board.total.n_units, board.total.n_full, board.total.fewest) == (36, 0, 0)
    assert board.total.mean == pytest.approx(0.5)


def test_an_answer_of_somebody_marked_invalid_counts_no_more_and_is_wanted_again(make_study):
    study = make_study(answers_per_unit=1)
    person = finished(study)
    assert coverage_of(study, Mode.LIVE).missing == 6
    mark_invalid(participation=person, reason="a bot", actor=OPERATOR)
    numbers = monitor_of(study, Mode.LIVE)
    assert (numbers.coverage.n_answers, numbers.coverage.missing, numbers.n_invalid) == (0, 12, 1)
    assert numbers.slots.filled == 0


def test_whom_a_rule_leaves_out_is_named_and_their_answers_are_wanted_again(make_study):
    rules = (Rule("one_key", {"share": 0.9}, excludes=True), Rule("too_fast", {"floor_ms": 5000.0}))
    study = make_study(rules=rules, answers_per_unit=2)
    finished(study, payload=lambda at: said(50))
    finished(study, payload=lambda at: said(10 * at))
    numbers = monitor_of(study, Mode.LIVE)
    assert {flag.name: (flag.n, flag.n_left_out) for flag in numbers.flags} == {
        "one_key": (1, 1),
        "too_fast": (2, 0),
    }
    assert (numbers.n_left_out, numbers.coverage.n_answers) == (1, 6)


def test_answers_that_no_place_is_left_for_are_named_and_no_date_is_promised(make_study, admin):
    rules = (Rule("one_key", {"share": 0.9}, excludes=True),)
    study = make_study(rules=rules, answers_per_unit=2)
    page = reverse("study_monitor", args=[study.slug])
    left_out = finished(study, payload=lambda at: said(50))
    answer(join(study), 2, payload=lambda at: said(10 * at))
    while monitor_of(study, Mode.LIVE).slots.free:
        answer(join(study), 1)
    numbers = monitor_of(study, Mode.LIVE)
    assert numbers.n_without_place == 6  # whoever holds a place may give the others
    assert numbers.coverage.missing > 6
    assert "no place is left for 6 answers" in admin.get(page).content.decode()
    mark_invalid(participation=left_out, reason="one key", actor=OPERATOR)
    assert monitor_of(study, Mode.LIVE).n_without_place == 0
    assert "no place is left" not in admin.get(page).content.decode()


def test_of_places_held_those_whose_time_is_over_are_named(make_study, admin):
    study = make_study(answers_per_unit=2)
    join(study)
    Slot.objects.filter(pk=join(study).slot_id).update(lease_expires_at=NOW - timedelta(days=2))
    slots = monitor_of(study, Mode.LIVE).slots
    assert (slots.held, slots.lapsed) == (2, 1)
    assert (people(study)["at the lesson"], people(study)["went away"]) == (1, 1)
    assert "(1 lapsed)" in admin.get(reverse("study_monitor", args=[study.slug])).content.decode()


def test_the_board_sorts_units_by_class_pair_and_lambda_and_says_which_are_full(make_study):
    study = make_study(n_mixed_images=12, trials_per_person=12, answers_per_unit=1, lambdas_e4=(2500, 7500))
    before = coverage_of(study, Mode.LIVE).board()
    assert before.lambdas_e4 == (2500, 7500)
    assert sum(cell.n_units for row in before.rows for cell in row.cells if cell) == 12
    assert {row.first + row.second for row in before.rows} == {
        "antbee", "antcat", "antdog", "beecat", "beedog", "catdog",
    }  # fmt: skip
    assert not any(cell.is_full for row in before.rows for cell in row.cells if cell)
    finished(study)
    after = coverage_of(study, Mode.LIVE).board()
    assert all(cell.is_full for row in after.rows for cell in row.cells if cell)


TONES = Factor(
    "tone", "between", (Level("plain", {}), Level("kind", {"wording": {"question": "Please: how much?"}}))
)


def test_with_a_factor_each_cell_has_its_own_answers_and_its_own_intervals(make_study):
    study = make_study(factors=(TONES,), answers_per_unit=1, n_mixed_images=6)
    finished(study)
    coverage = coverage_of(study, Mode.LIVE)
    assert coverage.combinations() == [{"tone": "plain"}, {"tone": "kind"}]
    assert (coverage.n_answers, coverage.wanted, coverage.missing, coverage.n_places) == (6, 12, 6, (6, 12))
    by_cell = [coverage.board(levels).total.n_full for levels in coverage.combinations()]
    assert sorted(by_cell) == [0, 6]
    finished(study)
    coverage = coverage_of(study, Mode.LIVE)
    assert [coverage.board(levels).total.n_full for levels in coverage.combinations()] == [6, 6]
    assert [one.n_answers for one in coverage.widths] == [6, 6]
    assert {levels["tone"] for one in coverage.widths for levels in one.levels} == {"plain", "kind"}


@pytest.mark.parametrize("interface", ["select_shuffled", "construct", "categorical", "distribution"])
def test_every_interface_has_a_board_and_intervals(make_study, interface):
    from elicitation.flow.simulation import simulate_participant

    study = make_study(interface=interface, source="simulated", n_mixed_images=6, answers_per_unit=4)
    for seed in range(4):
        simulate_participant(study=study, seed=seed)
    (widths,) = coverage_of(study, Mode.LIVE).widths
    assert (widths.n_units, widths.n_answers) == (6, 24)
    assert widths.raw is not None
    assert 0 < widths.raw.median <= widths.raw.ninetieth <= 1


# -- when it is enough


def test_the_rule_of_answers_is_reached_when_every_unit_has_them(make_study):
    study = make_study(answers_per_unit=1)
    finished(study)
    half = monitor_of(study, Mode.LIVE).stop
    assert (half.value, half.reached) == (0.5, False)
    finished(study)
    assert monitor_of(study, Mode.LIVE).stop.reached


@pytest.mark.parametrize(("width", "reached"), [(0.01, False), (1, True)])
def test_the_rule_of_intervals_is_reached_when_they_are_narrow_on_average(make_study, width, reached):
    study = make_study(n_mixed_images=6, answers_per_unit=3, stop=Stop("interval", width))
    assert not monitor_of(study, Mode.LIVE).stop.reached
    for seed in (1, 2, 3):
        finished(study, payload=lambda at, seed=seed: said((37 * seed + 11 * at) % 100))
    stop = monitor_of(study, Mode.LIVE).stop
    assert stop.value is not None
    assert stop.reached is reached


# -- when it ends, what it costs


def test_the_forecast_is_what_is_missing_at_the_rate_of_the_last_day():
    opened = NOW - timedelta(days=3)
    told = forecast([(timedelta(hours=24), 48), (timedelta(days=7), 400)], 10, opened, NOW)
    assert told is not None
    assert (told.per_hour, told.done_at) == (2, NOW + timedelta(hours=5))
    young = forecast([(timedelta(hours=24), 48)], 48, NOW - timedelta(hours=2), NOW)
    assert young is not None
    assert young.done_at == NOW + timedelta(hours=2)
    slow = forecast([(timedelta(hours=24), 0), (timedelta(days=7), 7)], 1, NOW - timedelta(days=30), NOW)
    assert slow is not None
    assert slow.done_at == NOW + timedelta(days=1)
    assert forecast([(timedelta(hours=24), 0), (timedelta(days=7), 0)], 1, opened, NOW) is None


def test_payment_counts_the_bonus_with_its_most_and_the_recruiters_fee():
    payment = Payment("GBP", reward_e2=150, minutes=10, bonus="flat", bonus_e2=50)
    (told,) = costs({payment: 3}, payment, 7, 1 / 3)
    assert (told.so_far_e2, told.in_all_e2) == (800, 2667)
    assert costs({Payment(): 3}, Payment(), 7, 0.3) == []
    without = replace(payment, bonus="none")
    assert [one.so_far_e2 for one in costs({without: 2}, without, 0, 0)] == [300]


def test_each_currency_has_a_sum_of_its_own():
    pounds, euros = Payment("GBP", reward_e2=100), Payment("EUR", reward_e2=200)
    told = costs({pounds: 3, euros: 1}, euros, 2, 0)
    assert [(one.currency, one.n_paid, one.so_far_e2, one.in_all_e2) for one in told] == [
        ("EUR", 1, 200, 600),
        ("GBP", 3, 300, 300),
    ]


def test_people_are_paid_what_the_version_promises_that_they_met(make_study, admin):
    study = make_study(answers_per_unit=3, payment=Payment("GBP", reward_e2=100))
    finished(study, minutes=10)
    plan = replace(plan_of_study(study), payment=Payment("GBP", reward_e2=300))
    change_protocol(study=study, plan=plan, actor=OPERATOR, based_on=study.protocol.sha256)
    finished(study, minutes=10)
    numbers = monitor_of(study, Mode.LIVE)
    (told,) = numbers.costs
    assert (told.so_far_e2, told.in_all_e2) == (400, 400 + 300 * numbers.slots.free)
    assert [rate.rate_e2 for rate in numbers.rates] == [1200, 900, 720]  # by minutes a pound
    assert "4.00 GBP" in admin.get(reverse("study_monitor", args=[study.slug])).content.decode()


def test_the_hourly_rate_is_that_of_the_25th_50th_and_75th_percentile_of_durations():
    payment = Payment("GBP", reward_e2=150)
    durations = [timedelta(minutes=minutes) for minutes in (5, 10, 15, 20, 30)]
    rates = hourly_rates([(payment, took) for took in durations], "GBP", 700)
    assert [(rate.percentile, rate.minutes, rate.rate_e2, rate.too_low) for rate in rates] == [
        (25, 10, 900, False),
        (50, 15, 600, True),
        (75, 20, 450, True),
    ]
    assert hourly_rates([], "GBP", 700) == hourly_rates([(Payment(), durations[0])], "GBP", 700) == []


def test_durations_are_measured_from_consent_to_the_closing_page_of_those_who_completed(make_study):
    study = make_study(answers_per_unit=6, payment=Payment("GBP", reward_e2=100))
    for minutes in (10, 20, 30):
        finished(study, minutes=minutes)
    answer(join(study))
    rates = monitor_of(study, Mode.LIVE).rates
    assert [round(rate.minutes) for rate in rates] == [15, 20, 25]


# -- what went wrong


def test_an_open_study_without_an_answer_for_three_hours_is_pointed_out(make_study, admin):
    study = make_study()
    page = reverse("study_monitor", args=[study.slug])
    quiet = "no answer has come for three hours"
    assert quiet not in admin.get(page).content.decode()
    Study.objects.filter(pk=study.pk).update(opened_at=NOW - timedelta(hours=4))
    assert quiet in admin.get(page).content.decode()
    answer(join(study), 1)
    assert quiet not in admin.get(page).content.decode()
    Response.objects.update(received_at=NOW - timedelta(hours=4))
    assert quiet in admin.get(page).content.decode()
    pause_study(study=study, actor=OPERATOR)
    assert quiet not in admin.get(page).content.decode()


def test_rounds_failed_checks_and_problems_are_counted_by_people(make_study):
    study = make_study(n_mixed_images=24, trials_per_person=12, checks=2, check_images=(1, 2, 3))
    for rounds in (1, 1, 3):
        person = join(study)
        for _round in range(rounds):
            event = ParticipationEvent(id=uuid.uuid4(), kind="comprehension", data={"answers": []})
            record_events(participation=person, events=[event])
    answer(person, payload=lambda at: said(50))
    report_problem(study=study, participation=person, page="trials", text="The picture is grey.")
    numbers = monitor_of(study, Mode.LIVE)
    assert numbers.rounds == [(1, 2), (3, 1)]
    assert numbers.checks == [(2, 1)]
    assert numbers.n_problems == 1


# -- the page


def test_the_number_of_queries_does_not_depend_on_how_many_answered(make_study, admin):
    study = make_study(n_mixed_images=12, answers_per_unit=8)
    page = reverse("study_monitor", args=[study.slug])

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as told:
            assert admin.get(page).status_code == 200
        return len(told)

    finished(study)
    few = queries()
    for _person in range(6):
        finished(study, payload=lambda at: said(10 * at))
    answer(join(study), 3)
    assert queries() == few


@pytest.mark.parametrize(
    "query", ["", "?mode=pilot", "?mode=nonsense", "?levels=0", "?levels=99", "?levels=-1", "?levels=²"]
)
def test_the_page_opens_for_every_state_and_parameter(make_study, admin, query):
    study = make_study(factors=(TONES,), opened=False)
    page = reverse("study_monitor", args=[study.slug]) + query
    assert admin.get(page).status_code == 200
    open_study(study=study, actor=OPERATOR)
    finished(study)
    assert admin.get(page).status_code == 200


def test_a_reward_below_the_recruiters_minimum_is_warned_of_at_the_median(make_study, admin):
    from elicitation.recruiters.services import set_recruitment

    study = make_study(payment=Payment("GBP", reward_e2=100, minutes=10), answers_per_unit=4)
    set_recruitment(study=study, recruiter="prolific", options={}, actor=OPERATOR)
    finished(study, minutes=5)
    page = reverse("study_monitor", args=[study.slug])
    assert "earn less than" not in admin.get(page).content.decode()
    finished(study, minutes=40)
    finished(study, minutes=40)
    assert "earn less than" in admin.get(page).content.decode()
