"""Who gets which place: least-filled first, in every cell, whatever people do in the meantime and however many come."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from elicitation.flow import allocation, services
from elicitation.flow.validity import MAX_REASON, mark_invalid, mark_valid
from elicitation.flow.withdrawal import withdraw
from elicitation.mixes.models import MixedImage
from elicitation.participants.models import Participation
from elicitation.participants.services import UNKNOWN, Arrival
from elicitation.studies.factors import Factor, Level, cells_of
from elicitation.studies.models import Mode, Slot, Study, Unit
from elicitation.studies.opening import end_pilot, start_pilot
from elicitation.studies.payment import Payment
from elicitation.studies.places import change_live_places
from elicitation.studies.protocol import Design, settings_of
from elicitation.trials.models import Response
from hilmix.accounts.models import AuditEvent, Membership
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person, set_membership
from hilmix.errors import Conflict, Forbidden, Invalid, NotFound
from tests.elicitation.answers import answer_all

BOXES = {"adult": True, "agree": True, "publish": True}
REWARD = Factor("reward", "between", (Level("none"), Level("paid", {"bonus": "Who agrees gets more."})))
PLACE = Factor("size", "between", (Level("small", {"display": {"enlargement": 2}}), Level("free")))
LONG_AGO = timedelta(days=1)
State = Participation.State


def join(study, mode=Mode.LIVE, arrival=UNKNOWN):
    return services.join_study(study=study, source=study.source, boxes=BOXES, mode=mode, arrival=arrival)[0]


def lapse(**of):
    """The leases of these slots ended, and nobody has answered since long ago."""
    Slot.objects.filter(**of, state=Slot.State.HELD).update(lease_expires_at=timezone.now() - LONG_AGO)
    Response.objects.update(received_at=timezone.now() - LONG_AGO)


def taken(study, mode=Mode.LIVE):
    """How many slots of each batch and cell are not free."""
    slots = Slot.objects.filter(batch__study=study, batch__mode=mode)
    groups = Counter(dict.fromkeys(slots.values_list("batch", "cell"), 0))
    groups.update(slots.exclude(state=Slot.State.FREE).values_list("batch", "cell"))
    return groups


def at_once(*work):
    """Do all of `work` in threads that begin together; what each returned, or the refusal it met."""
    ready, results = threading.Barrier(len(work)), []

    def do(one):
        try:
            ready.wait()
            results.append(one())
        except Conflict as refusal:
            results.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=[one]) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(work), "a thread ended with an error"
    return results


# --- cells ------------------------------------------------------------------------------------------------------


def test_every_cell_of_every_batch_has_a_slot_for_each_answer_wanted(make_study):
    study = make_study("cells", factors=(REWARD, PLACE), answers_per_unit=3)
    counts = Counter(Slot.objects.filter(batch__study=study).values_list("batch", "cell"))
    assert len(counts) == 2 * 4
    assert set(counts.values()) == {3}
    cells = list(study.batches.get(ordinal=0).slots.order_by("ordinal").values_list("cell", flat=True))
    assert cells == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


def test_whoever_joins_has_the_levels_of_the_cell_of_their_slot(make_study):
    study = make_study("cells", factors=(REWARD, PLACE))
    cells = cells_of((REWARD, PLACE))
    for _ in range(8):
        participation = join(study)
        assert participation.levels == cells[participation.slot.cell]
        participation.refresh_from_db()
        assert participation.levels == cells[participation.slot.cell]


def test_batches_and_cells_fill_evenly_at_every_moment(make_study):
    study = make_study("cells", factors=(REWARD,), answers_per_unit=4)
    for _ in range(16):
        join(study)
        groups = taken(study)
        assert max(groups.values()) - min(groups.values()) <= 1
        cells = Counter()
        for (_batch, cell), n in groups.items():
            cells[cell] += n
        assert max(cells.values()) - min(cells.values()) <= 1
    with pytest.raises(allocation.StudyFull):
        join(study)


def test_a_place_that_was_given_back_is_taken_in_its_own_cell(make_study):
    study = make_study("cells", factors=(REWARD,), n_mixed_images=6, answers_per_unit=3)
    people = [join(study) for _ in range(6)]
    lapse(pk=people[2].slot_id)
    newcomer = join(study)
    assert (newcomer.slot_id, newcomer.levels) == (people[2].slot_id, people[2].levels)


def test_somebody_who_comes_back_gets_no_place_of_another_cell(make_study):
    study = make_study("cells", factors=(REWARD,), n_mixed_images=6, answers_per_unit=1)
    first, second = join(study), join(study)
    lapse(pk__in=[first.slot_id, second.slot_id])
    replaced = join(study)
    gone, other = (first, second) if replaced.levels == first.levels else (second, first)
    assert services.resume(participation=gone).slot is None
    assert services.resume(participation=other).slot.cell == cells_of((REWARD,)).index(other.levels)


def test_pairs_that_somebody_is_asked_about_have_their_images_at_every_lambda(make_study):
    pairs_too = Factor("asked", "between", (Level("one"), Level("several", {"interface": "construct"})))
    study = make_study("both", factors=(pairs_too,), n_mixed_images=6, answers_per_unit=1)
    units = Unit.objects.filter(batch__study=study)
    assert units.filter(mixed_image=None).count() == 0
    for unit in units:
        there = MixedImage.objects.filter(pair=unit.pair).values_list("lambda_e4", flat=True)
        assert sorted(there) == [2500, 5000, 7500]
    assert {join(study).trials.first().images.count() for _ in range(2)} == {1, 3}


def test_joining_asks_the_same_number_of_questions_however_large_the_study_is(make_study):
    small = make_study("small")
    large = make_study("large", n_mixed_images=60, answers_per_unit=20, factors=(REWARD,))
    counts = []
    for study in (small, large):
        for _ in range(2):  # one of each cell: the first of a condition writes it down
            join(study)
        with CaptureQueriesContext(connection) as queries:
            join(study)
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- leases -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lease", "estimated", "minutes"), [(45, 25, 45), (0, 25, 2 + 25 + 2 * 5 + 10), (0, 0, 60), (90, 0, 90)]
)
def test_a_lease_is_as_long_as_said_or_reckoned_from_the_estimated_minutes(
    make_study, lease, estimated, minutes
):
    study = make_study("lease", lease_minutes=lease, payment=Payment(minutes=estimated))
    left = join(study).slot.lease_expires_at - timezone.now()
    assert abs(left - timedelta(minutes=minutes)) < timedelta(seconds=30)


@pytest.mark.parametrize("minutes", [-1, 4, 24 * 60 + 1])
def test_a_lease_outside_its_range_is_refused(minutes):
    assert "lease_minutes" in Design(lease_minutes=minutes).problems()


def test_somebody_whose_lease_ended_while_the_page_was_open_fills_a_place_that_is_still_free(make_study):
    study = make_study("late", n_mixed_images=6, answers_per_unit=1)
    participation = join(study)
    lapse(pk=participation.slot_id)
    assert allocation.release_expired(study, study.protocol) == 1
    answer_all(participation)
    participation.refresh_from_db()
    assert participation.slot.state == Slot.State.FILLED
    with pytest.raises(allocation.StudyFull):
        join(study)


def test_leases_of_a_pilot_end_without_touching_those_of_the_study(make_study):
    study = make_study("tried", opened=False)
    start_pilot(study=study, places=2, actor=OPERATOR)
    pilot = join(study, Mode.PILOT)
    lapse(pk=pilot.slot_id)
    assert allocation.release_expired(study, study.protocol, Mode.LIVE) == 0
    assert allocation.release_expired(study, study.protocol, Mode.PILOT) == 1


# --- judging ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finished", [True, False])
def test_marking_a_participation_invalid_frees_its_place_at_once(make_study, finished):
    study = make_study("judged", n_mixed_images=6, answers_per_unit=1)
    participation = join(study)
    if finished:
        answer_all(participation)
    with pytest.raises(allocation.StudyFull):
        join(study)
    slot = participation.slot_id
    judged = mark_invalid(participation=participation, reason=" Answered for a child. ", actor=OPERATOR)
    assert (judged.slot, judged.invalid_reason) == (None, "Answered for a child.")
    assert Response.objects.count() == (6 if finished else 0)
    assert join(study).slot_id == slot
    event = AuditEvent.objects.get(action="participation.invalid")
    assert (event.object_id, event.detail) == (
        str(participation.pk),
        {},
    )  # reasons are free text about a person


def test_somebody_marked_invalid_gets_no_place_back_by_coming_back_or_finishing(study):
    participation = join(study)
    mark_invalid(participation=participation, reason="A robot.", actor=OPERATOR)
    assert services.resume(participation=participation).slot is None
    answer_all(participation)
    participation.refresh_from_db()
    assert (participation.slot, participation.state) == (None, State.ANSWERED)
    assert not Slot.objects.exclude(state=Slot.State.FREE).exists()


@pytest.mark.parametrize("finished", [True, False])
def test_taking_the_mark_back_gives_a_place_of_the_same_batch_and_cell(make_study, finished):
    study = make_study("judged", factors=(REWARD,))
    participation = join(study)
    if finished:
        answer_all(participation)
    batch, cell = participation.slot.batch_id, participation.slot.cell
    mark_invalid(participation=participation, reason="A mistake of mine.", actor=OPERATOR)
    back = mark_valid(participation=participation, actor=OPERATOR)
    assert (back.invalid_at, back.invalid_reason) == (None, "")
    slot = Slot.objects.get(pk=back.slot_id)
    assert (slot.batch_id, slot.cell) == (batch, cell)
    assert slot.state == (Slot.State.FILLED if finished else Slot.State.HELD)
    assert (slot.lease_expires_at is None) == finished
    assert AuditEvent.objects.filter(action="participation.valid").count() == 1


def test_taking_the_mark_back_after_the_place_went_makes_one_more_than_was_wanted(make_study):
    study = make_study("judged", n_mixed_images=6, answers_per_unit=1)
    participation = join(study)
    answer_all(participation)
    mark_invalid(participation=participation, reason="Too fast.", actor=OPERATOR)
    newcomer = join(study)
    back = mark_valid(participation=participation, actor=OPERATOR)
    assert back.slot is None
    assert Slot.objects.get(pk=newcomer.slot_id).state == Slot.State.HELD


def test_a_mark_is_made_once_and_taken_back_once(study):
    participation = join(study)
    with pytest.raises(Conflict, match="not marked"):
        mark_valid(participation=participation, actor=OPERATOR)
    mark_invalid(participation=participation, reason="Too fast.", actor=OPERATOR)
    with pytest.raises(Conflict, match="already"):
        mark_invalid(participation=participation, reason="Too slow.", actor=OPERATOR)
    participation.refresh_from_db()
    assert participation.invalid_reason == "Too fast."


@pytest.mark.parametrize("reason", ["", "   ", "x" * (MAX_REASON + 1)])
def test_a_mark_needs_a_reason_of_a_few_words(study, reason):
    participation = join(study)
    with pytest.raises(Invalid) as refused:
        mark_invalid(participation=participation, reason=reason, actor=OPERATOR)
    assert "reason" in refused.value.fields
    participation.refresh_from_db()
    assert participation.slot is not None


def test_who_has_withdrawn_is_judged_no_more(study):
    participation = join(study)
    withdraw(participation=participation)
    with pytest.raises(Conflict, match="withdrawn"):
        mark_invalid(participation=participation, reason="Too fast.", actor=OPERATOR)


def test_viewers_and_strangers_judge_nobody(study):
    participation, viewer = join(study), add_person(username="viewer", kind="researcher", actor=OPERATOR)
    with pytest.raises(NotFound):
        mark_invalid(participation=participation, reason="Too fast.", actor=viewer)
    set_membership(person=viewer, study=study, part=Membership.Part.VIEWER, actor=OPERATOR)
    with pytest.raises(Forbidden):
        mark_invalid(participation=participation, reason="Too fast.", actor=viewer)
    participation.refresh_from_db()
    assert participation.invalid_at is None
    set_membership(person=viewer, study=study, part=Membership.Part.EDITOR, actor=OPERATOR)
    mark_invalid(participation=participation, reason="Too fast.", actor=viewer)


# --- more and fewer places --------------------------------------------------------------------------------------


def wanting(study, n):
    """The settings of the study with another number of answers a unit."""
    content = study.protocol.content
    return settings_of({**content, "design": {**content["design"], "answers_per_unit": n}})


def test_more_answers_a_unit_add_places_and_fewer_take_away_only_what_is_free(make_study):
    study = make_study("grows", factors=(REWARD,), n_mixed_images=6, answers_per_unit=2)
    people = [join(study) for _ in range(3)]
    change_live_places(study, wanting(study, 4))
    assert Counter(Slot.objects.values_list("cell", flat=True)) == {0: 4, 1: 4}
    ordinals = list(Slot.objects.order_by("ordinal").values_list("ordinal", flat=True))
    assert ordinals == list(range(8))
    people += [join(study) for _ in range(2)]
    change_live_places(study, wanting(study, 1))
    held = Counter(Slot.objects.filter(state=Slot.State.HELD).values_list("cell", flat=True))
    assert sorted(held.values()) == [2, 3]
    assert not Slot.objects.filter(state=Slot.State.FREE).exists()
    assert {person.slot_id for person in people} == set(Slot.objects.values_list("pk", flat=True))
    change_live_places(study, wanting(study, 4))
    assert Counter(Slot.objects.values_list("cell", flat=True)) == {0: 4, 1: 4}


def test_wanting_as_many_as_before_changes_nothing(study):
    before = list(Slot.objects.order_by("pk").values())
    change_live_places(study, wanting(study, 2))
    assert list(Slot.objects.order_by("pk").values()) == before


# --- many at once -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_fifty_people_for_ten_places_are_exactly_ten(make_study):
    study = make_study("race", n_mixed_images=12, trials_per_person=6, answers_per_unit=5)
    results = at_once(*[lambda: join(study)] * 50)
    joined = [result for result in results if isinstance(result, Participation)]
    assert len(joined) == 10
    assert all(isinstance(result, allocation.StudyFull) for result in results if result not in joined)
    assert len({participation.slot_id for participation in joined}) == 10
    assert Participation.objects.count() == 10
    assert set(Slot.objects.values_list("state", flat=True)) == {Slot.State.HELD}


@pytest.mark.django_db(transaction=True)
def test_one_stay_under_two_ids_at_once_is_one_participation(make_study):
    """A link without an id, in two windows, and in one of them it is mistyped."""
    study = make_study("race", answers_per_unit=8)
    stays = [Arrival(pid=f"{n % 2:024x}", session="a" * 24, typed=True) for n in range(8)]
    results = at_once(*[lambda stay=stay: join(study, arrival=stay) for stay in stays])
    assert Participation.objects.count() == 1
    assert {result.pk for result in results} == {Participation.objects.get().pk}
    assert Slot.objects.filter(state=Slot.State.HELD).count() == 1


@pytest.mark.django_db(transaction=True)
def test_people_who_come_at_once_are_spread_over_batches_and_cells(make_study):
    study = make_study("race", factors=(REWARD,), answers_per_unit=6)
    results = at_once(*[lambda: join(study)] * 14)
    assert all(isinstance(result, Participation) for result in results)
    groups = taken(study)
    assert sum(groups.values()) == 14
    assert max(groups.values()) - min(groups.values()) <= 1


@pytest.mark.django_db(transaction=True)
def test_people_who_come_at_once_take_a_turn_of_the_levels_each(make_study):
    study = make_study(
        "race", factors=(replace(REWARD, varies="within"),), n_mixed_images=6, answers_per_unit=12
    )
    people = at_once(*[lambda: join(study)] * 12)
    assert sorted(person.turn for person in people) == list(range(12))


@pytest.mark.django_db(transaction=True)
def test_newcomers_and_people_who_come_back_late_share_no_place(make_study):
    study = make_study("race", n_mixed_images=6, answers_per_unit=8)
    people = [join(study) for _ in range(8)]
    lapse(batch__study=study)
    come_back = [lambda person=person: services.resume(participation=person) for person in people]
    results = at_once(*come_back, *[lambda: join(study)] * 8)
    assert sum(isinstance(result, Participation) for result in results) >= 8
    slots = [slot for slot in Participation.objects.values_list("slot", flat=True) if slot]
    assert len(slots) == len(set(slots)) == 8
    assert Slot.objects.filter(state=Slot.State.HELD).count() == 8


@pytest.mark.django_db(transaction=True)
def test_a_place_freed_by_judging_goes_to_one_of_those_who_wait(make_study):
    study = make_study("race", n_mixed_images=6, answers_per_unit=1)
    participation = join(study)
    answer_all(participation)

    def judge():
        return mark_invalid(participation=participation, reason="Too fast.", actor=OPERATOR)

    results = at_once(judge, *[lambda: join(study)] * 10)
    joined = [one for one in results if isinstance(one, Participation) and one.pk != participation.pk]
    assert len(joined) <= 1
    if not joined:
        assert join(study).slot is not None
    assert Slot.objects.get().state == Slot.State.HELD


# --- whatever happens -------------------------------------------------------------------------------------------


class Allocation(RuleBasedStateMachine):
    """People come, go, come back, finish, withdraw and are judged, in any order."""

    def __init__(self, study):
        super().__init__()
        self.study = study
        self.people = []

    def pick(self, number, *states):
        """The how-manieth of those in one of `states`."""
        found = [person for person in self.people if self.now(person).state in (states or (State.RUNNING,))]
        return found[number % len(found)] if found else None

    def now(self, person):
        return Participation.objects.get(pk=person.pk)

    @rule(mode=st.sampled_from([Mode.LIVE, Mode.LIVE, Mode.LIVE, Mode.PREVIEW]))
    def comes(self, mode):
        now = timezone.now()
        slots = Slot.objects.filter(batch__study=self.study, batch__mode=mode)
        free = slots.filter(state=Slot.State.FREE) | slots.filter(
            state=Slot.State.HELD, lease_expires_at__lt=now
        )
        groups = Counter(dict.fromkeys(slots.values_list("batch", "cell"), 0))
        groups.update(slots.exclude(pk__in=free).values_list("batch", "cell"))
        open_groups = set(free.values_list("batch", "cell"))
        if not open_groups:
            with pytest.raises(allocation.StudyFull):
                join(self.study, mode)
            return
        person = join(self.study, mode)
        self.people.append(person)
        mine = (person.slot.batch_id, person.slot.cell)
        assert mine in open_groups
        assert groups[mine] == min(groups[group] for group in open_groups)
        assert (person.mode, person.slot.batch.mode) == (mode, mode)

    @rule(number=st.integers(0, 30))
    def falls_silent(self, number):
        if person := self.pick(number):
            lapse(pk=self.now(person).slot_id)

    @rule(number=st.integers(0, 30))
    def comes_back(self, number):
        if person := self.pick(number):
            services.resume(participation=person)

    @rule(number=st.integers(0, 30))
    def finishes(self, number):
        if person := self.pick(number):
            answer_all(person)

    @rule(number=st.integers(0, 30))
    def is_judged(self, number):
        if person := self.pick(number, State.RUNNING, State.ANSWERED):
            before = self.now(person)
            if before.invalid_at is None:
                mark_invalid(participation=person, reason="Too fast.", actor=OPERATOR)
                if before.slot_id:
                    assert Slot.objects.get(pk=before.slot_id).state == Slot.State.FREE
            else:
                mark_valid(participation=person, actor=OPERATOR)

    @precondition(lambda self: self.people)
    @rule(number=st.integers(0, 30))
    def withdraws(self, number):
        if person := self.pick(number, State.RUNNING, State.ANSWERED):
            withdraw(participation=person)

    @invariant()
    def every_place_is_what_its_holder_is(self):
        holders = {}
        for person in Participation.objects.filter(study=self.study).exclude(slot=None):
            holders.setdefault(person.slot_id, []).append(person)
        for slot in Slot.objects.filter(batch__study=self.study).select_related("batch"):
            held_by = holders.get(slot.pk, [])
            assert len(held_by) == (0 if slot.state == Slot.State.FREE else 1)
            for person in held_by:
                assert slot.state == (Slot.State.HELD if person.state == State.RUNNING else Slot.State.FILLED)
                assert person.invalid_at is None
                assert person.mode == slot.batch.mode
                assert person.levels == cells_of((REWARD,))[slot.cell]

    @invariant()
    def no_unit_has_more_answers_that_count_than_are_wanted(self):
        counted = Participation.objects.filter(
            study=self.study, mode=Mode.LIVE, invalid_at=None, state=State.ANSWERED
        ).exclude(slot=None)
        groups = Counter(counted.values_list("slot__batch", "slot__cell"))
        assert all(n <= 2 for n in groups.values())


def test_whatever_people_do_places_are_held_once_balanced_and_never_mixed_with_previews(make_study):
    numbers = iter(range(1000))

    def machine():
        study = make_study(f"any-{next(numbers)}", factors=(REWARD,), n_mixed_images=12, answers_per_unit=2)
        live = study.batches.first()
        preview = study.batches.create(mode=Mode.PREVIEW, ordinal=50)
        for unit in live.units.all():
            preview.units.create(ordinal=unit.ordinal, pair=unit.pair, mixed_image=unit.mixed_image)
        for ordinal in range(4):
            preview.slots.create(ordinal=ordinal, cell=ordinal % 2)
        return Allocation(study)

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def test_ending_a_pilot_leaves_the_places_of_those_who_have_begun(make_study):
    study = make_study("tried", opened=False)
    start_pilot(study=study, places=3, actor=OPERATOR)
    pilot = join(study, Mode.PILOT)
    end_pilot(study=study, actor=OPERATOR)
    assert study.state == Study.State.DRAFT
    assert list(Slot.objects.values_list("pk", flat=True)) == [pilot.slot_id]
    answer_all(pilot)
    assert Slot.objects.get().state == Slot.State.FILLED
