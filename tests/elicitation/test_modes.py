"""Pilot and preview: who comes in by which link, what is made for them, and that nothing of it counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from elicitation.flow import allocation, services
from elicitation.flow.modes import address, clear_previews, mode_of, start_preview, token_for
from elicitation.mixes.models import MixedImage
from elicitation.participants.models import Departure, Participation, ProblemReport
from elicitation.participants.services import Arrival
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Batch, CheckImage, Mode, Slot, Study
from elicitation.studies.opening import (
    MAX_PILOT_PLACES,
    OPEN_KIND,
    PILOT_KIND,
    close_study,
    end_pilot,
    open_study,
    pause_study,
    queue_open,
    queue_pilot,
    start_pilot,
)
from elicitation.trials.models import Response
from hilmix.accounts.models import AuditEvent, Membership
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person, set_membership
from hilmix.errors import Conflict, Forbidden, Invalid, NotFound
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.jobs.registry import KINDS
from tests.elicitation.answers import answer_all

BOXES = {"adult": True, "agree": True, "publish": True}
REWARD = Factor("reward", "between", (Level("none"), Level("paid", {"bonus": "Who agrees gets more."})))
THREE = Factor("size", "between", tuple(Level(f"x{n}", {"display": {"enlargement": n}}) for n in (1, 2, 3)))


def join(study, mode=Mode.LIVE, pid=""):
    joined = services.join_study(
        study=study, source=study.source, boxes=BOXES, mode=mode, arrival=Arrival(pid=pid)
    )
    return joined[0]


@pytest.fixture
def draft(make_study):
    return make_study("draft", opened=False)


@pytest.fixture
def owner(db):
    return add_person(username="owner", kind="researcher", actor=OPERATOR)


def part_of(study, person, part):
    set_membership(person=person, study=study, part=part, actor=OPERATOR)
    return person


# --- links ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.PILOT, Mode.PREVIEW])
def test_the_address_of_a_mode_carries_it_signed(draft, mode):
    path, _, token = address(draft, mode).partition("?as=")
    assert path == "/s/draft/"
    assert mode_of(draft, token) == mode
    assert address(draft, mode) == address(draft, mode)


def test_the_plain_address_is_live(draft):
    assert address(draft, Mode.LIVE) == "/s/draft/"
    assert mode_of(draft, token_for(draft, Mode.LIVE)) == Mode.LIVE


def test_a_link_that_was_changed_or_made_for_another_study_is_refused(draft, make_study):
    other = make_study("other", opened=False)
    good = token_for(draft, Mode.PILOT)
    for bad in (token_for(other, Mode.PILOT), good[:-1], good + "x", "pilot", ":", "é", good.swapcase()):
        with pytest.raises(NotFound):
            mode_of(draft, bad)


# --- who is let in ----------------------------------------------------------------------------------------------

NOBODY = {Mode.LIVE: False, Mode.PILOT: False, Mode.PREVIEW: False}


@pytest.mark.parametrize(
    ("state", "in_by"),
    [
        ("draft", {Mode.PREVIEW: True}),
        ("pilot", {Mode.PREVIEW: True, Mode.PILOT: True}),
        ("open", {Mode.PREVIEW: True, Mode.LIVE: True}),
        ("paused", {Mode.PREVIEW: True}),
        ("closed", {}),
    ],
)
def test_each_state_lets_people_in_by_its_own_links_only(draft, state, in_by):
    start_preview(study=draft, actor=OPERATOR)
    if state == "pilot":
        start_pilot(study=draft, places=2, actor=OPERATOR)
    elif state != "draft":
        open_study(study=draft, actor=OPERATOR)
        if state == "paused":
            pause_study(study=draft, actor=OPERATOR)
        if state == "closed":
            close_study(study=draft, actor=OPERATOR)
    for mode, lets_in in {**NOBODY, **in_by}.items():
        if lets_in:
            assert join(draft, mode).mode == mode
        else:
            with pytest.raises(Conflict, match="not open"):
                join(draft, mode)


def test_whoever_tried_the_study_out_does_not_take_part_in_it_as_well(draft):
    start_pilot(study=draft, places=2, actor=OPERATOR)
    pilot = join(draft, Mode.PILOT, pid="5f1e")
    assert join(draft, Mode.PILOT, pid="5f1e") == pilot
    open_study(study=draft, actor=OPERATOR)
    with pytest.raises(services.TookPartBefore):
        join(draft, pid="5f1e")
    assert join(draft, pid="60aa").mode == Mode.LIVE


# --- pilots -----------------------------------------------------------------------------------------------------


def test_a_pilot_has_the_places_asked_for_and_no_more(draft):
    start_pilot(study=draft, places=3, actor=OPERATOR)
    assert draft.state == Study.State.PILOT
    assert set(Batch.objects.values_list("mode", flat=True)) == {Mode.PILOT}
    for _ in range(3):
        join(draft, Mode.PILOT)
    with pytest.raises(allocation.StudyFull):
        join(draft, Mode.PILOT)
    assert AuditEvent.objects.get(action="study.pilot").detail == {"places": 3}


def test_the_places_of_a_pilot_go_round_over_batches_and_cells(make_study):
    study = make_study("tried", opened=False, factors=(REWARD, THREE), n_mixed_images=24)
    start_pilot(study=study, places=24, actor=OPERATOR)
    there = list(Slot.objects.values_list("batch", "cell"))
    assert len(there) == len(set(there)) == 24  # 4 batches × 6 cells, each once
    start_pilot(study=study, places=6, actor=OPERATOR)
    assert sorted(Slot.objects.values_list("cell", flat=True)) == list(range(6))


def test_pilot_and_live_share_no_batch_no_place_and_no_count(draft):
    start_pilot(study=draft, places=2, actor=OPERATOR)
    pilots = [join(draft, Mode.PILOT) for _ in range(2)]
    answer_all(pilots[0])
    open_study(study=draft, actor=OPERATOR)
    live = Slot.objects.filter(batch__mode=Mode.LIVE)
    assert (live.count(), live.filter(state=Slot.State.FREE).count()) == (4, 4)
    for _ in range(4):
        join(draft)
    with pytest.raises(allocation.StudyFull):
        join(draft)
    assert {pilot.slot.batch.mode for pilot in pilots} == {Mode.PILOT}
    ordinals = list(draft.batches.order_by("pk").values_list("ordinal", flat=True))
    assert ordinals == list(range(len(ordinals)))


def test_whoever_began_a_pilot_may_finish_after_the_study_has_opened(draft):
    start_pilot(study=draft, places=2, actor=OPERATOR)
    pilot = join(draft, Mode.PILOT)
    open_study(study=draft, actor=OPERATOR)
    answer_all(pilot)
    assert services.finish(participation=pilot, survey={}).completion_code
    assert Slot.objects.filter(batch__mode=Mode.LIVE, state=Slot.State.FREE).count() == 4


def test_a_pilot_that_is_started_again_replaces_the_places_that_were_free(draft):
    start_pilot(study=draft, places=4, actor=OPERATOR)
    first = join(draft, Mode.PILOT)
    start_pilot(study=draft, places=5, actor=OPERATOR)
    assert Slot.objects.filter(state=Slot.State.FREE).count() == 5
    assert Slot.objects.get(pk=first.slot_id).state == Slot.State.HELD
    end_pilot(study=draft, actor=OPERATOR)
    assert draft.state == Study.State.DRAFT
    assert list(Slot.objects.values_list("pk", flat=True)) == [first.slot_id]
    assert draft.batches.count() == 1
    with pytest.raises(Conflict):
        join(draft, Mode.PILOT)


def test_opening_takes_the_free_places_of_the_pilot_away(draft):
    start_pilot(study=draft, places=4, actor=OPERATOR)
    open_study(study=draft, actor=OPERATOR)
    assert set(Batch.objects.values_list("mode", flat=True)) == {Mode.LIVE}


def test_the_pilot_shows_what_the_study_will_show(make_study):
    study = make_study("tried", opened=False, checks=2, check_images=(0, 1, 2, 3), trials_per_person=12)
    start_pilot(study=study, places=1, actor=OPERATOR)
    pilot = list(study.batches.get().units.values_list("mixed_image", flat=True))
    checks = set(CheckImage.objects.values_list("mixed_image", flat=True))
    assert join(study, Mode.PILOT).trials.filter(kind="check").count() == 2
    images = MixedImage.objects.count()
    open_study(study=study, actor=OPERATOR)
    live = study.batches.filter(mode=Mode.LIVE).order_by("ordinal")[0]
    assert list(live.units.values_list("mixed_image", flat=True)) == pilot
    assert set(CheckImage.objects.values_list("mixed_image", flat=True)) == checks
    assert MixedImage.objects.count() == images


@pytest.mark.parametrize("places", [0, -1, MAX_PILOT_PLACES + 1])
def test_a_pilot_has_a_sensible_number_of_places(draft, places):
    for start in (start_pilot, queue_pilot):
        with pytest.raises(Invalid) as refused:
            start(study=draft, places=places, actor=OPERATOR)
        assert "places" in refused.value.fields
    assert not Batch.objects.exists()


def test_an_opened_study_cannot_be_tried_out_and_only_a_pilot_ended(study):
    for start in (start_pilot, queue_pilot):
        with pytest.raises(Conflict, match="never opened"):
            start(study=study, places=2, actor=OPERATOR)
    with pytest.raises(Conflict):
        end_pilot(study=study, actor=OPERATOR)
    assert study.state == Study.State.OPEN


def test_a_pilot_of_people_tells_them_what_it_must(make_study):
    study = make_study("untold", opened=False, information={})
    with pytest.raises(Invalid, match="consent page"):
        start_pilot(study=study, places=2, actor=OPERATOR)
    assert not Batch.objects.exists()


# --- previews ---------------------------------------------------------------------------------------------------


def test_each_press_makes_one_place_on_the_first_batch_and_the_cells_go_round(make_study):
    study = make_study("looked", opened=False, factors=(REWARD,))
    seen = []
    for _ in range(4):
        start_preview(study=study, actor=OPERATOR)
        seen.append(join(study, Mode.PREVIEW).levels["reward"])
        with pytest.raises(allocation.StudyFull):
            join(study, Mode.PREVIEW)
    assert sorted(seen) == ["none", "none", "paid", "paid"]
    assert study.batches.count() == 1
    assert AuditEvent.objects.filter(action="study.previewed").count() == 4


def test_two_who_look_at_once_have_a_place_each(draft):
    start_preview(study=draft, actor=OPERATOR)
    start_preview(study=draft, actor=OPERATOR)
    first, second = join(draft, Mode.PREVIEW), join(draft, Mode.PREVIEW)
    assert first.slot_id != second.slot_id


@pytest.mark.parametrize("change", [{"seed": 6}, {"lambdas_e4": [1000, 9000]}, {"trials_per_person": 4}])
def test_a_changed_design_is_looked_at_as_it_is_now(draft, change):
    start_preview(study=draft, actor=OPERATOR)
    protocol = draft.protocol
    protocol.content["design"] |= change
    protocol.sha256 = "f" * 64
    protocol.save()
    start_preview(study=draft, actor=OPERATOR)
    preview = join(draft, Mode.PREVIEW)
    assert Batch.objects.count() == 1  # nobody was asked on the one before
    assert preview.trials.count() == change.get("trials_per_person", 6)
    if "lambdas_e4" in change:
        shown = preview.trials.values_list("unit__mixed_image__lambda_e4", flat=True)
        assert set(shown) <= {1000, 9000}


def test_a_preview_takes_nothing_from_the_study_and_changes_nothing_of_it(study):
    before = list(Slot.objects.order_by("pk").values())
    start_preview(study=study, actor=OPERATOR)
    answer_all(join(study, Mode.PREVIEW))
    assert list(Slot.objects.filter(batch__mode=Mode.LIVE).order_by("pk").values()) == before
    study.refresh_from_db()
    assert study.state == Study.State.OPEN
    assert study.protocol.frozen_at is None


def test_previews_older_than_a_day_are_cleared_with_all_that_was_said_in_them(study):
    live = join(study)
    answer_all(live)
    start_preview(study=study, actor=OPERATOR)
    old = join(study, Mode.PREVIEW)
    answer_all(old)
    ProblemReport.objects.create(study=study, participation=old, page="trials", text="Only a test.")
    Departure.objects.create(study=study, mode=Mode.PREVIEW, outcome=Departure.Outcome.NO_CONSENT)
    start_preview(study=study, actor=OPERATOR)
    young = join(study, Mode.PREVIEW)
    two_days_ago = timezone.now() - timedelta(days=2)
    Participation.objects.exclude(pk=young.pk).update(started_at=two_days_ago)
    Departure.objects.update(created_at=two_days_ago)
    clear_previews(study)
    assert set(Participation.objects.values_list("pk", flat=True)) == {live.pk, young.pk}
    assert set(Response.objects.values_list("trial__participation", flat=True)) == {live.pk}
    assert not ProblemReport.objects.exists()
    assert not Departure.objects.exists()
    assert Slot.objects.filter(batch__mode=Mode.PREVIEW).count() == 1
    clear_previews(study)
    assert Participation.objects.count() == 2


def test_a_closed_study_is_not_previewed(study):
    close_study(study=study, actor=OPERATOR)
    with pytest.raises(Conflict):
        start_preview(study=study, actor=OPERATOR)


def test_the_button_leads_to_the_consent_page_by_a_link_that_works(draft, owner):
    client = Client()
    client.force_login(part_of(draft, owner, Membership.Part.EDITOR))
    reply = client.post(reverse("preview_study", args=[draft.slug]))
    assert (reply.status_code, reply.url) == (302, address(draft, Mode.PREVIEW))
    assert Slot.objects.filter(batch__mode=Mode.PREVIEW).count() == 1


def test_a_preview_that_cannot_be_made_leads_back_and_says_why(study, owner):
    close_study(study=study, actor=OPERATOR)
    client = Client()
    client.force_login(part_of(study, owner, Membership.Part.OWNER))
    page = client.post(reverse("preview_study", args=[study.slug]), follow=True)
    assert page.redirect_chain == [(reverse("study", args=[study.slug]), 302)]
    assert "is closed" in page.content.decode()


def test_whoever_may_not_change_a_study_makes_no_previews_of_it(draft, owner):
    client = Client()
    client.force_login(owner)
    assert client.post(reverse("preview_study", args=[draft.slug])).status_code == 404
    part_of(draft, owner, Membership.Part.VIEWER)
    assert client.post(reverse("preview_study", args=[draft.slug])).status_code == 403
    assert client.get(reverse("preview_study", args=[draft.slug])).status_code == 405
    assert not Slot.objects.exists()


def test_only_owners_start_and_end_pilots(draft, owner):
    part_of(draft, owner, Membership.Part.EDITOR)
    for refused in (
        lambda: start_pilot(study=draft, places=2, actor=owner),
        lambda: queue_pilot(study=draft, places=2, actor=owner),
        lambda: queue_open(study=draft, actor=owner),
        lambda: end_pilot(study=draft, actor=owner),
    ):
        with pytest.raises(Forbidden):
            refused()
    assert not Job.objects.exists()


# --- as jobs ----------------------------------------------------------------------------------------------------


def run(job):
    """Do the work of a job here, as a worker's process would."""
    KINDS[job.kind].handler(Progress(), job.object_id)


def test_opening_a_draft_is_a_job_and_opening_a_paused_study_is_not(draft):
    job = queue_open(study=draft, actor=OPERATOR)
    assert (job.kind, job.queue, job.state) == (OPEN_KIND, "data", JobState.QUEUED)
    assert draft.state == Study.State.DRAFT
    run(job)
    draft.refresh_from_db()
    assert draft.state == Study.State.OPEN
    run(job)  # it was lost after all was done, and is tried again
    assert draft.batches.count() == 2
    pause_study(study=draft, actor=OPERATOR)
    assert queue_open(study=draft, actor=OPERATOR) is None
    assert draft.state == Study.State.OPEN
    assert draft.batches.count() == 2


def test_a_pilot_is_prepared_by_a_job(draft):
    job = queue_pilot(study=draft, places=7, actor=OPERATOR)
    assert (job.kind, job.queue) == (PILOT_KIND, "data")
    run(job)
    draft.refresh_from_db()
    assert (draft.state, Slot.objects.count()) == (Study.State.PILOT, 7)


def test_places_are_made_by_one_job_at_a_time(draft, make_study):
    queue_pilot(study=draft, places=7, actor=OPERATOR)
    for twice in (
        lambda: queue_open(study=draft, actor=OPERATOR),
        lambda: queue_pilot(study=draft, places=2, actor=OPERATOR),
    ):
        with pytest.raises(Conflict, match="already"):
            twice()
    queue_open(study=make_study("other", opened=False), actor=OPERATOR)
    Job.objects.filter(kind=PILOT_KIND).update(state=JobState.FAILED)
    queue_open(study=draft, actor=OPERATOR)


def test_what_cannot_be_opened_is_said_before_it_is_queued(study, make_study):
    with pytest.raises(Conflict, match="is open"):
        queue_open(study=study, actor=OPERATOR)
    with pytest.raises(Invalid, match="consent page"):
        queue_open(study=make_study("untold", opened=False, information={}), actor=OPERATOR)
    assert not Job.objects.exists()


def test_a_protocol_that_changes_while_places_are_made_leaves_the_study_as_it_was(draft):
    class Changes(Progress):
        def check(self):
            protocol = draft.protocol
            protocol.content["design"]["seed"] += 1
            protocol.save()

    for start in (open_study, lambda **said: start_pilot(places=2, **said)):
        with pytest.raises(Conflict, match="meanwhile"):
            start(study=draft, actor=OPERATOR, progress=Changes())
        draft.refresh_from_db()
        assert draft.state == Study.State.DRAFT
        assert not Batch.objects.exists()


def test_consent_information_that_is_emptied_while_places_are_made_keeps_the_study_shut(draft):
    class Empties(Progress):
        def check(self):
            protocol = draft.protocol
            protocol.content["texts"]["information"] = {}
            protocol.save()

    for start in (open_study, lambda **said: start_pilot(places=2, **said)):
        content = draft.protocol.content
        with pytest.raises(Invalid, match="consent page"):
            start(study=draft, actor=OPERATOR, progress=Empties())
        draft.refresh_from_db()
        assert draft.state == Study.State.DRAFT
        assert not Batch.objects.exists()
        draft.protocols.update(content=content)


def test_opening_that_is_cancelled_leaves_the_study_as_it_was(draft):
    class Cancelled(Progress):
        cancelled = True

    with pytest.raises(JobCancelled):
        open_study(study=draft, actor=OPERATOR, progress=Cancelled())
    draft.refresh_from_db()
    assert draft.state == Study.State.DRAFT
    assert not Batch.objects.exists()
