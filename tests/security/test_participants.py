"""What participants are told and what their tokens open: never λ, no code before the end, nobody else's anything."""

from __future__ import annotations

import io
import json
import logging
import re
import time
import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.core import signing
from django.db import connection
from django.test import Client
from django.urls import reverse

from elicitation.flow import access
from elicitation.flow import services as flow
from elicitation.flow.api import ParticipationThrottle
from elicitation.flow.visits import visit_of
from elicitation.mixes.models import MixedImage
from elicitation.participants.models import Identity, Participation, ParticipationEvent
from elicitation.participants.services import LINK_SALT, decrypted, link_of, pid_hmac
from elicitation.trials.models import Response
from hilmix.core.mixing import lambda_text
from hilmix.core.release import open_release
from hilmix.errors import Conflict
from tests.security.replies import body
from tests.security.routes import PARTICIPANT_PAGES, ROUTES
from tests.security.world import ANSWER, LAMBDAS, PID, answer_all, join

JSON = "application/json"
RESPONSES, EVENTS = "/api/v1/participation/responses/", "/api/v1/participation/events/"


def fetch(address: str, token: str, scheme: str = "Participation") -> int:
    return Client(headers={"Authorization": f"{scheme} {token}"}).get(address).status_code


@pytest.fixture
def participant(world) -> Participation:
    return world["participant"].participation


@pytest.fixture
def browser_of_participant(world) -> Client:
    return world["participant"].client()


def send(client: Client, address: str, body: object) -> int:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(address, text, content_type=JSON).status_code


# --- what is written down -------------------------------------------------------------------------------------


def test_no_private_link_is_written_to_the_log(participant, monkeypatch):
    lines = io.StringIO()
    (handler,) = (one for one in logging.getLogger().handlers if one.name == "stderr")
    monkeypatch.setattr(handler, "stream", lines)
    link = link_of(participant)
    refused = Client().post(reverse("participation_withdraw", args=[link]))
    assert refused.status_code in (400, 403)
    assert Client().get(f"/p/{link}x/").status_code == 404
    assert lines.getvalue().count("/p/…/") == 2
    assert link.split(":")[0] not in lines.getvalue()


# --- λ ------------------------------------------------------------------------------------------------------


def test_nothing_that_a_participant_is_sent_says_lambda(world, participant, browser_of_participant):
    plan = browser_of_participant.get(reverse("participation_plan"))
    replies = [
        plan,
        *[
            browser_of_participant.get(image)
            for shown in plan.json()["trials"] + plan.json()["examples"]
            for image in shown["images"]
        ],
        *[Client().get(world.address(name)) for name in PARTICIPANT_PAGES],
    ]
    assert len(replies) > 1 + len(PARTICIPANT_PAGES) + participant.trials.count()
    shown = MixedImage.objects.filter(pk__in=participant.trials.values("images__mixed_image"))
    hashes = [*shown.values_list("sha256", flat=True), world.image_set.sha256]
    numbers = [text for value in LAMBDAS for text in (str(value), lambda_text(value))]
    for reply in replies:
        assert reply.status_code == 200
        said = f"{reply.request['PATH_INFO']} {dict(reply.items())}"
        if reply["Content-Type"] != "image/png":
            said += reply.content.decode()
        for telling in ("lambda", "λ", "_e4", "mixup@", '"first', '"second', "parent", *hashes, *numbers):
            assert telling not in without_tokens(said), f"{reply.request['PATH_INFO']} says {telling!r}"


def without_tokens(text: str) -> str:
    """Signatures are random letters, in which any word may stand by chance."""
    return re.sub(r"[\w-]{20,}(:[\w-]+)*", "", text)


def test_the_address_of_an_image_differs_from_person_to_person(world, participant):
    """Otherwise two participants could find out together which images are the same at another λ."""
    addresses = []
    for who in (participant, join(world.study)):
        images = who.trials.values_list("images__pk", "images__mixed_image")
        addresses.append({pk for pk, _mixed_image in images})
    assert not addresses[0] & addresses[1]


# --- The completion code ------------------------------------------------------------------------------------


def test_a_code_of_ones_own_does_not_exist_before_the_last_page_is_sent(world):
    someone = join(world.elsewhere)
    client = Client(headers={"Authorization": f"Participation {access.token_for(someone)}"})
    link = link_of(someone)
    complete = client.post(reverse("participation_complete"), {"count": 5}, content_type=JSON)
    assert complete.status_code == 409
    answer_all(someone)
    replies = [
        client.post(reverse("participation_complete"), {"count": 5}, content_type=JSON),
        client.get(reverse("participation_plan")),
        Client().get(reverse("participation", args=[link]), follow=True),
        Client().get(reverse("participation_survey", args=[link])),
    ]
    assert not any(b"completion-code" in reply.content for reply in replies)
    someone.refresh_from_db()
    assert someone.completion_code == ""
    closing = reverse("participation_survey", args=[link])
    thanks = Client().post(closing, {"token": visit_of(link=link).token_for("survey")}, follow=True)
    someone.refresh_from_db()
    assert len(someone.completion_code) == 8
    assert someone.completion_code in thanks.content.decode()


def test_nobody_gets_a_code_by_sending_the_last_page_early(world, participant):
    link = link_of(participant)
    form = {"comments": "give me the code", "token": visit_of(link=link).token_for("survey")}
    reply = Client().post(reverse("participation_survey", args=[link]), form)
    assert reply["Location"] == reverse("participation", args=[link])
    participant.refresh_from_db()
    assert (participant.state, participant.completion_code) == ("running", "")


def test_no_caller_of_the_service_gets_a_code_early_either(participant):
    with pytest.raises(Conflict, match="Some answers have not arrived"):
        flow.finish(participation=participant, survey={})
    participant.refresh_from_db()
    assert participant.completion_code == ""


# --- Tokens and links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token[:-1],
        lambda token: "x" + token,
        lambda token: token.replace(":", ""),
        lambda token: ":".join(["WyJhIiwxXQ", *token.split(":")[1:]]),
        lambda token: "",
        lambda token: "::",
        lambda token: "\xff\xfe:\xff",
        lambda token: token + " " + token,
    ],
)
def test_a_tampered_token_opens_nothing(world, participant, change):
    address = reverse("participation_plan")
    assert fetch(address, access.token_for(participant)) == 200
    assert fetch(address, change(access.token_for(participant))) == 401


def test_a_token_of_another_make_opens_nothing(participant):
    claim = [participant.public_id, participant.epoch]
    address = reverse("participation_plan")
    assert fetch(address, signing.dumps(claim, salt="something else")) == 401
    assert fetch(address, signing.dumps(claim, key="another instance", salt=access.SALT)) == 401
    assert fetch(address, signing.dumps(["nobody", 1], salt=access.SALT)) == 401
    assert fetch(address, signing.dumps(participant.public_id, salt=access.SALT)) == 401
    assert fetch(address, link_of(participant)) == 401
    assert fetch(address, participant.public_id) == 401
    assert fetch(address, access.token_for(participant), scheme="Token") == 401


def test_a_token_ends_after_its_time(participant, monkeypatch):
    token, now = access.token_for(participant), time.time()
    for later, status in ((access.LIFETIME - timedelta(minutes=1), 200), (access.LIFETIME * 1.001, 401)):
        monkeypatch.setattr("django.core.signing.time.time", lambda later=later: now + later.total_seconds())
        assert fetch(reverse("participation_plan"), token) == status


@pytest.mark.parametrize("page", [name for name in PARTICIPANT_PAGES if name.startswith("participation")])
def test_a_cut_or_changed_link_leads_nowhere(world, participant, page):
    link = link_of(participant)
    token = access.token_for(participant)
    forged = signing.dumps(participant.public_id, key="another instance", salt=LINK_SALT)
    for wrong in (link[:-1], link[1:], link.swapcase(), participant.public_id, token, forged, "ø", "%"):
        assert Client().get(reverse(page, args=[wrong])).status_code == 404


def test_public_ids_and_links_cannot_be_guessed(participant):
    assert len(participant.public_id) == 15  # of 35 letters: 76 bits
    assert len(link_of(participant).rpartition(":")[2]) >= 43


def test_an_answer_goes_to_ones_own_plan_whatever_it_says(world, participant, browser_of_participant):
    """Position and identifier are all that an answer names; both are looked up in the token's participation."""
    theirs = Response.objects.filter(trial__participation=world["holder"].participation).first()
    answer = {"id": str(theirs.pk), "position": 0, "payload": {**ANSWER, "mixing_percent": 99}, "rt_ms": 1}
    body = {"epoch": 1, "responses": [answer, {**answer, "id": str(uuid.uuid4()), "position": 999}]}
    reply = browser_of_participant.post(RESPONSES, body, content_type=JSON)
    assert [receipt["status"] for receipt in reply.json()["results"]] == ["conflict", "unknown"]
    assert "31" not in json.dumps(reply.json()["results"][0]["message"])
    theirs.refresh_from_db()
    assert theirs.payload["mixing_percent"] == 31
    assert not Response.objects.filter(trial__participation=participant).exists()


def test_an_event_under_somebody_elses_identifier_changes_nothing(world, browser_of_participant):
    holder = world["holder"].participation
    theirs = ParticipationEvent.objects.create(id=uuid.uuid4(), participation=holder, kind="blur")
    event = {"id": str(theirs.pk), "kind": "comprehension", "t_ms": 1, "data": {"passed": True}}
    assert send(browser_of_participant, EVENTS, {"events": [event]}) == 200
    theirs.refresh_from_db()
    assert (theirs.kind, theirs.participation_id) == ("blur", holder.pk)


# --- Too much, too deep, too often --------------------------------------------------------------------------


def test_a_huge_body_is_refused_before_it_is_read(browser_of_participant):
    huge = json.dumps({"epoch": 1, "responses": [], "x": "x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE})
    for address in (RESPONSES, EVENTS, reverse("participation_complete")):
        reply = browser_of_participant.post(address, huge, content_type=JSON)
        assert reply.status_code == 413
        assert reply.json()["code"] == "too_large"
    assert Client().post(RESPONSES, huge, content_type=JSON).status_code in (401, 413)


def test_a_huge_form_is_refused(world):
    form = {"comments": "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)}
    assert Client().post(world.address("participation_survey"), form).status_code == 400


def an_event(data: object) -> dict:
    return {
        "events": [{"id": "00000000-0000-4000-8000-000000000001", "kind": "blur", "t_ms": 1, "data": data}]
    }


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        b"\xff\xfe",
        "[]",
        "null",
        "[" * 100_000,
        '{"events":' * 50_000,
        json.dumps(an_event({"x": None})).replace("null", "[" * 5000 + "]" * 5000),
        json.dumps(an_event({"x": None})).replace("null", "[" * 950 + "]" * 950),
        json.dumps(an_event({"x": None})).replace("null", "NaN"),
        json.dumps(an_event({"x": None})).replace("null", "9" * 5000),
        an_event({"x": "x" * 20_001}),
        an_event({"x": "nul \0"}),
        an_event({"x": "half \ud800"}),
        an_event({"nul \0": 1}),
        an_event([]),
        an_event("text"),
        {"events": [*an_event({})["events"] * 21]},
        {"events": []},
        {"events": [{**an_event({})["events"][0], "kind": "<script>"}]},
        {"events": [{**an_event({})["events"][0], "t_ms": -1}]},
        {"events": [{**an_event({})["events"][0], "id": "1"}]},
    ],
    ids=lambda body: repr(body)[:120][-40:],
)
def test_a_body_that_is_no_list_of_events_is_refused_and_nothing_kept(
    world, browser_of_participant, writes, body
):
    with writes() as changes:
        assert send(browser_of_participant, EVENTS, body) == 400
    assert changes == []


@pytest.mark.parametrize("depth", [10, 700, *range(880, 1000, 10)])
def test_no_depth_of_nesting_is_an_error_of_ours(world, browser_of_participant, depth):
    body = json.dumps(an_event({"x": None})).replace("null", "[" * depth + "]" * depth)
    assert send(browser_of_participant, EVENTS, body) in (200, 400)


def test_text_in_any_script_is_kept(world, participant, browser_of_participant):
    assert send(browser_of_participant, EVENTS, an_event({"x": "日本 😀 \\u0041 é"})) == 200
    assert participant.events.get().data == {"x": "日本 😀 \\u0041 é"}


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/xml"]
)
def test_only_json_is_read(browser_of_participant, kind):
    assert browser_of_participant.post(EVENTS, "events=1", content_type=kind).status_code == 415


def test_calls_are_counted_by_participation_and_not_by_address(world, browser_of_participant, monkeypatch):
    monkeypatch.setattr(ParticipationThrottle, "get_rate", lambda self: "2/min")
    ParticipationThrottle.cache.clear()
    address = reverse("participation_plan")
    assert [browser_of_participant.get(address).status_code for _ in range(3)] == [200, 200, 429]
    assert world["holder"].client().get(address).status_code == 200


# --- Who they are -------------------------------------------------------------------------------------------


def test_a_recruiters_id_is_stored_encrypted_and_looked_up_by_hmac_only(world):
    identity = Identity.objects.get()
    assert identity.pid_hmac == pid_hmac(world.study, PID)
    assert PID not in f"{identity.pid_hmac}{identity.pid_ciphertext}"
    assert decrypted(identity.pid_ciphertext) == PID
    again = Client().post(
        f"{world.address('study_entry')}?PROLIFIC_PID={PID}", ROUTES["study_entry"].body(world)
    )
    assert again["Location"] == reverse("participation", args=[link_of(world["holder"].participation)])
    assert Identity.objects.count() == 1


def test_one_person_has_another_hmac_in_another_study_and_under_another_key(world, settings):
    here = pid_hmac(world.study, PID)
    world.study.pk, pk = world.study.pk + 1, world.study.pk
    there = pid_hmac(world.study, PID)
    world.study.pk = pk
    settings.IDENTITY_KEY = "another instance's key, of good length"
    assert len({here, there, pid_hmac(world.study, PID)}) == 3


def test_who_somebody_is_stands_in_no_row_but_the_encrypted_one(world):
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows = str(cursor.fetchall())
            assert PID not in rows
            if table != "elicitation_identity":
                assert pid_hmac(world.study, PID) not in rows


# Whoever runs a study tells its participations apart by names of ours, which stand in no release.
TELL_APART = (
    *("study_bonuses", "study_participation", "study_participations", "study_participations_csv"),
    *("study_problems", "study_replay", "study_responses", "mixed_image", "lineage"),
    *("api_responses", "api_participations", "api_participation", "api_problems", "api_lineage"),
)


def test_no_page_call_or_release_says_who_somebody_is(world):
    identity = Identity.objects.get()
    secrets = [PID, identity.pid_hmac, identity.pid_ciphertext, world["holder"].participation.public_id]
    for name, route in ROUTES.items():
        if "GET" not in route.verbs or name.startswith("participation"):
            continue
        hidden = secrets[:-1] if name in TELL_APART else secrets
        for caller in (world["owner"], world["admin"]):
            reply = caller.client().get(world.address(name))
            assert not [secret for secret in hidden if secret.encode() in body(reply)], name
    release = open_release(world.release.directory)
    assert release.table("participants").num_rows > 0
    for path in world.release.directory.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [secret for secret in secrets if secret.encode() in content], path.name
    for name in ("participants", "responses"):
        text = str(release.table(name).to_pylist())
        assert not [secret for secret in secrets if secret in text]
