"""Links of pilots and previews: only those that were given out open, only while they are meant to; they count apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core import signing
from django.test import Client
from django.urls import reverse

from elicitation.flow import modes
from elicitation.flow.leaving import LEFT_SALT, left_token
from elicitation.flow.modes import SALT, token_for
from elicitation.flow.visits import TOKEN_SALT, visit_of
from elicitation.participants.models import Departure, Participation
from elicitation.participants.services import LINK_SALT, link_of
from elicitation.recruiters.base import Outcome
from elicitation.studies.models import Mode, Slot, Source, Study
from elicitation.studies.opening import close_study, end_pilot, open_study, pause_study, start_pilot
from elicitation.studies.plans import plan_of_study
from elicitation.studies.services import create_study
from hilmix.accounts.roles import OPERATOR
from tests.security.replies import assert_guarded, assert_plain
from tests.security.routes import ROUTES
from tests.security.test_recruitment import code_told
from tests.security.world import World, join

MODES = (Mode.PILOT, Mode.PREVIEW)
FORGED: dict[str, Callable[[World], str]] = {
    "another study's pilot": lambda world: token_for(world.elsewhere, Mode.PILOT),
    "another study's preview": lambda world: token_for(world.elsewhere, Mode.PREVIEW),
    "live": lambda world: signed([world.study.pk, Mode.LIVE]),
    "a mode that there is not": lambda world: signed([world.study.pk, "admin"]),
    "no mode": lambda world: signed([world.study.pk]),
    "the study alone": lambda world: signed(world.study.pk),
    "nothing": lambda world: signed(None),
    "a table": lambda world: signed({"study": world.study.pk, "mode": Mode.PILOT}),
    "the slug": lambda world: signed([world.study.slug, Mode.PILOT]),
    "another key": lambda world: signing.Signer(key="another instance", salt=SALT).sign_object(
        [world.study.pk, Mode.PILOT]
    ),
    "another salt": lambda world: signing.Signer(salt=LINK_SALT).sign_object([world.study.pk, Mode.PILOT]),
    "a form's": lambda world: signing.dumps([world.study.pk, Mode.PILOT], salt=TOKEN_SALT),
    "a private link": lambda world: link_of(world["holder"].participation),
    "cut": lambda world: token_for(world.study, Mode.PILOT)[:-1],
    "longer": lambda world: token_for(world.study, Mode.PILOT) + "A",
    "another mode put in": lambda world: ":".join(
        [
            token_for(world.study, Mode.PREVIEW).partition(":")[0],
            token_for(world.study, Mode.PILOT).partition(":")[2],
        ]
    ),
    "unsigned": lambda world: f"[{world.study.pk}, 'pilot']",
    "the word": lambda world: "pilot",
    "spaces": lambda world: " ",
    "no text": lambda world: "\0\udcff",
    "too much": lambda world: "A" * 6000,
    "colons": lambda world: ":::",
}


def signed(claim: object) -> str:
    return signing.Signer(salt=SALT).sign_object(claim)


def consent(study: Study, token: str = "", mode: str = Mode.LIVE) -> dict[str, object]:
    """The form of the entry in `mode`, with everything ticked."""
    visit = visit_of(slug=study.slug, token=token_for(study, mode) if mode != Mode.LIVE else "")
    return {"adult": "on", "agree": "on", "decision": "consent", "token": visit.token_for("consent")}


def taken(study: Study, mode: str) -> int:
    return study.participations.filter(mode=mode).count()


@pytest.fixture
def draft(world) -> Study:
    """A draft with the settings of the world's study, to which people come by a plain link."""
    plan = plan_of_study(world.study)
    fields = {name: getattr(plan, name) for name in plan.__dataclass_fields__} | {"slug": "draft"}
    return create_study(plan=type(plan)(**fields), source=Source.PERSON, actor=world["owner"].user)


@pytest.mark.parametrize("made", FORGED)
def test_a_mode_that_was_not_signed_for_this_study_opens_nothing(world, writes, made):
    asked = {"as": FORGED[made](world).encode(errors="surrogateescape")}
    client = Client()
    for name in ("study_entry", "study_problem"):
        address, form = world.address(name), ROUTES[name].body(world)
        for decision in ({}, {"decision": "decline"}):
            with writes() as changes:
                replies = [
                    client.get(address, asked),
                    client.post(address, form | decision, query_params=asked),
                ]
            assert changes == []
            for reply in replies:
                assert reply.status_code == 404
                assert not code_told(reply)
                assert_guarded(reply)
                assert_plain(reply)


@pytest.mark.parametrize("mode", MODES)
def test_the_links_that_are_given_out_open(world, draft, mode):
    """Otherwise the tests of this file would find nothing anywhere."""
    start_pilot(study=draft, places=2, actor=OPERATOR)
    modes.start_preview(study=draft, actor=OPERATOR)
    address = modes.address(draft, mode)
    assert Client().post(address, consent(draft, mode=mode)).status_code == 302
    assert [taken(draft, one) for one in (mode, Mode.LIVE)] == [1, 0]


@pytest.mark.parametrize("end", [end_pilot, open_study])
def test_a_pilot_link_lets_nobody_in_once_the_pilot_has_ended(draft, writes, end):
    start_pilot(study=draft, places=2, actor=OPERATOR)
    address, form = modes.address(draft, Mode.PILOT), consent(draft, mode=Mode.PILOT)
    end(study=draft, actor=OPERATOR)
    with writes() as changes:
        replies = [Client().get(address), Client().post(address, form)]
    assert changes == []
    assert [reply.status_code for reply in replies] == [200, 200]
    assert all("not open at the moment" in reply.content.decode() for reply in replies)
    assert not draft.participations.exists()


def test_a_preview_link_lets_nobody_in_once_the_study_is_closed(draft, writes):
    open_study(study=draft, actor=OPERATOR)
    modes.start_preview(study=draft, actor=OPERATOR)
    address, form = modes.address(draft, Mode.PREVIEW), consent(draft, mode=Mode.PREVIEW)
    close_study(study=draft, actor=OPERATOR)
    with writes() as changes:
        replies = [Client().get(address), Client().post(address, form)]
    assert (changes, [reply.status_code for reply in replies]) == ([], [200, 200])
    assert not draft.participations.exists()


@pytest.mark.parametrize("state", ["draft", "pilot", "paused"])
def test_a_study_that_is_not_open_lets_nobody_in_by_the_plain_address(world, draft, writes, state):
    form = {"adult": "on", "agree": "on", "decision": "consent"}
    if state == "pilot":
        start_pilot(study=draft, places=2, actor=OPERATOR)
    if state == "paused":
        open_study(study=draft, actor=OPERATOR)
        form = consent(draft)
        pause_study(study=draft, actor=OPERATOR)
    address = reverse("study_entry", args=[draft.slug])
    with writes() as changes:
        replies = [Client().get(address), Client().post(address, form)]
    assert changes == []
    assert {reply.status_code for reply in replies} == {200 if state == "paused" else 404}
    assert not draft.participations.exists()


def test_no_preview_takes_a_place_or_a_code_or_leaves_a_trace_of_a_live_study(world):
    slots = Slot.objects.filter(batch__study=world.study).exclude(batch__mode=Mode.PREVIEW)
    before = sorted(slots.values_list("pk", "state"))
    departures = Departure.objects.count()
    modes.start_preview(study=world.study, actor=OPERATOR)
    address, form = (
        modes.address(world.study, Mode.PREVIEW),
        consent(world.study, mode=Mode.PREVIEW),
    )
    declined = Client().post(address, form | {"decision": "decline"})
    joined = Client().post(address, form, follow=True)
    assert not code_told(declined) | code_told(joined)
    assert Departure.objects.count() == departures
    assert sorted(slots.values_list("pk", "state")) == before


def test_a_form_of_one_study_is_no_other_ones(world, writes):
    form = consent(world.elsewhere)
    with writes() as changes:
        reply = Client().post(world.address("study_entry"), form)
    assert (reply.status_code, changes) == (403, [])


def test_a_form_of_a_preview_makes_no_live_participation_without_the_free_place_of_one(world):
    """The mode is the address's, never the form's: what a preview's page sends to the plain address is a live consent,
    with all that is asked of one."""
    form = consent(world.study, mode=Mode.PREVIEW)
    before = taken(world.study, Mode.LIVE)
    reply = Client().post(world.address("study_entry"), form)
    assert reply.status_code == 400  # the recruiter's id is missing
    assert taken(world.study, Mode.LIVE) == before


@pytest.mark.parametrize(
    "made",
    [
        lambda world: left_token(world.elsewhere, Outcome.WRONG_DEVICE),
        lambda world: left_token(world.study, Outcome.WRONG_DEVICE)[:-1],
        lambda world: signing.dumps(
            [world.study.slug, Outcome.COMPLETED], key="another instance", salt=LEFT_SALT
        ),
        lambda world: signing.dumps([world.study.slug, Outcome.COMPLETED], salt=TOKEN_SALT),
        lambda world: visit_of(slug=world.study.slug).token_for("consent"),
        lambda world: "completed",
        lambda world: "::",
        lambda world: "\0",
    ],
)
def test_nobody_makes_up_how_they_left_to_be_told_its_code(world, writes, made):
    with writes() as changes:
        reply = Client().get(world.address("study_entry"), {"left": made(world)})
    assert (reply.status_code, code_told(reply), changes) == (404, set(), [])


def test_leaving_for_the_device_takes_its_own_link_and_ends_nobody_elses_way(world, writes):
    theirs, mine = world["holder"].participation, join(world.study)
    token = visit_of(link=link_of(mine)).token_for("device")
    with writes() as changes:
        reply = Client().post(reverse("participation_device", args=[link_of(theirs)]), {"token": token})
        other = Client().post(
            reverse("participation_device", args=[link_of(world["participant"].participation)]),
            {"token": token},
        )
    assert (other.status_code, changes) == (403, [])
    assert reply.status_code == 302  # their trials are over: nothing to leave
    assert Participation.objects.filter(pk=theirs.pk).exists()
