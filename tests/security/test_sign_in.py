"""Signing in: guesses are counted by account name and no address is kept, links work once, sessions begin anew."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from elicitation.participants.models import Participation
from hilmix.accounts.models import SignInLink, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import issue_sign_in_link
from tests.security.routes import ROUTES
from tests.security.world import PASSWORD

ADDRESS = "203.0.113.77"  # of a network that exists in documents only
SIGN_IN = "/sign-in/"


@pytest.fixture
def visitor() -> Client:
    return Client(REMOTE_ADDR=ADDRESS, headers={"X-Forwarded-For": ADDRESS})


@pytest.fixture
def link(world) -> str:
    return path_of(issue_sign_in_link(person=world["owner"].user, actor=OPERATOR))


def path_of(link: str) -> str:
    assert link.startswith(settings.HILMIX_PUBLIC_URL + "/")
    return link.removeprefix(settings.HILMIX_PUBLIC_URL)


def sign_in(client: Client, username: str = "owner", password: str = PASSWORD, **more: str) -> int:
    return client.post(SIGN_IN, {"username": username, "password": password, **more}).status_code


def signed_in(client: Client) -> bool:
    return client.get(reverse("account")).status_code == 200


# --- Passwords ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["owner", " owner ", "ｏｗｎｅｒ"])
def test_after_five_wrong_passwords_the_right_one_does_not_help_either(world, visitor, written):
    for _ in range(5):
        assert sign_in(visitor, password="wrong") in (200, 429)
    assert sign_in(visitor, written) == 429
    assert not signed_in(visitor)


def test_another_browser_and_address_do_not_get_five_more_guesses(world):
    for number in range(5):
        guesser = Client(REMOTE_ADDR=f"203.0.113.{number}", headers={"User-Agent": f"browser {number}"})
        sign_in(guesser, password="wrong")
    assert sign_in(Client()) == 429


def test_four_wrong_passwords_lock_nobody_and_five_lock_only_that_account(world, visitor):
    for _ in range(4):
        sign_in(visitor, password="wrong")
    assert sign_in(visitor) == 302
    for _ in range(5):
        sign_in(Client(), "editor", "wrong")
    assert sign_in(Client(), "editor") == 429
    assert sign_in(Client(), "viewer") == 302


def test_a_locked_account_can_still_be_entered_by_a_link(world, visitor, link):
    for _ in range(5):
        sign_in(visitor, password="wrong")
    visitor.post(link)
    assert signed_in(visitor)


def test_the_lock_opens_after_a_quarter_of_an_hour(world, visitor):
    for _ in range(5):
        sign_in(visitor, password="wrong")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=14))
    assert sign_in(visitor) == 429
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=15, seconds=1))
    assert sign_in(visitor) == 302


def test_the_page_does_not_say_whether_an_account_exists(world):
    known = Client().post(SIGN_IN, {"username": "owner", "password": "wrong"})
    unknown = Client().post(SIGN_IN, {"username": "nobody", "password": "wrong"})
    said = [list(reply.context["form"].non_field_errors()) for reply in (known, unknown)]
    assert said[0] == said[1]
    assert len(said[0]) == 1


def test_nobody_without_a_password_can_be_guessed(world, visitor):
    User.objects.create(username="linked", password="")
    for guess in ("", "password", "None"):
        assert sign_in(visitor, "linked", guess) == 200


def test_a_suspended_person_can_sign_in_by_no_way(world, visitor, link):
    person = world["owner"].user
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert sign_in(visitor) == 200
    assert visitor.post(link).status_code == 404
    assert not signed_in(visitor)
    assert not signed_in(world["owner"].client())


def test_no_address_is_kept_anywhere(world, visitor, link, tmp_path, caplog):
    """Failures, a lock-out, a sign-in, a participation with an answer: the address is in no row, file or log."""
    for _ in range(6):
        sign_in(visitor, "viewer", "wrong")
    visitor.post(link)
    visitor.get(reverse("home"))
    visitor.post(reverse("account"), {"name": "a script", "scope": "read", "days": 30})
    participant = Client(REMOTE_ADDR=ADDRESS)
    consent = ROUTES["study_entry"].body(world)
    trials = participant.post(world.address("study_entry"), consent)["Location"]
    page = participant.get(trials).content.decode()
    config = json.loads(page.partition('<script id="config" type="application/json">')[2].partition("<")[0])
    event = {"id": "00000000-0000-4000-8000-000000000001", "kind": "blur", "t_ms": 1}
    reply = participant.post(
        reverse("participation_events"),
        {"events": [event]},
        content_type="application/json",
        headers={"Authorization": f"Participation {config['token']}"},
    )
    assert reply.status_code == 200
    rows = everything_stored()
    assert "viewer" in rows["axes_accessattempt"]
    assert Participation.objects.get(public_id=config["participation"]).events.count() == 1
    assert [table for table, text in rows.items() if ADDRESS in text] == []
    assert ADDRESS not in caplog.text
    for path in settings.VAR.rglob("*"):
        assert not path.is_file() or ADDRESS.encode() not in path.read_bytes()


def everything_stored() -> dict[str, str]:
    """Table → all of its rows as text."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        rows = {}
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')
            rows[table] = str(cursor.fetchall())
    return rows


# --- One-time links -----------------------------------------------------------------------------------------


def test_a_link_signs_in_once(world, visitor, link):
    assert visitor.post(link).status_code == 302
    assert signed_in(visitor)
    second = Client()
    assert second.post(link).status_code == 404
    assert not signed_in(second)


def test_looking_at_a_link_does_not_use_it_up(world, visitor, link):
    for verb in ("get", "head", "get", "options"):
        getattr(Client(), verb)(link)
    assert SignInLink.objects.filter(used_at=None).exists()
    visitor.post(link)
    assert signed_in(visitor)


def test_a_link_expires(world, visitor, link):
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert visitor.post(link).status_code == 404
    assert not signed_in(visitor)


def test_a_link_lasts_two_days(world, link):
    lasts = SignInLink.objects.get(used_at=None).expires_at - timezone.now()
    assert timedelta(days=1, hours=23) < lasts <= timedelta(days=2)


def test_a_newer_link_ends_the_older_one_and_nobody_elses(world, visitor, link):
    others = path_of(issue_sign_in_link(person=world["editor"].user, actor=OPERATOR))
    newer = path_of(issue_sign_in_link(person=world["owner"].user, actor=OPERATOR))
    assert visitor.post(link).status_code == 404
    assert visitor.post(newer).status_code == 302
    assert Client().post(others).status_code == 302


def test_only_a_digest_of_a_link_is_stored(world, link):
    secret = link.rstrip("/").rpartition("/")[2]
    assert len(secret) >= 43  # 256 bits
    assert [table for table, text in everything_stored().items() if secret in text] == []


@pytest.mark.parametrize(
    "change", [lambda s: s[:-2] + "/", lambda s: s[:-1].swapcase() + "/", lambda s: s[:-1] + "A/"]
)
def test_a_link_with_another_secret_opens_nothing(world, visitor, link, change):
    assert visitor.post(change(link)).status_code == 404
    assert not signed_in(visitor)


# --- Sessions and redirects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["password", "link"])
def test_a_session_that_somebody_planted_is_not_the_one_signed_in(world, visitor, link, way):
    visitor.get(reverse("home"))
    session = visitor.session
    session["planted"] = True
    session.save()
    visitor.cookies[settings.SESSION_COOKIE_NAME] = before = session.session_key
    if way == "password":
        sign_in(visitor)
    else:
        visitor.post(link)
    assert signed_in(visitor)
    assert visitor.cookies[settings.SESSION_COOKIE_NAME].value != before
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = before
    assert not signed_in(thief)


def test_signing_out_ends_the_session_on_the_server(world, visitor):
    sign_in(visitor)
    kept = visitor.cookies[settings.SESSION_COOKIE_NAME].value
    visitor.post(reverse("sign_out"))
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = kept
    assert not signed_in(thief)


def test_a_new_password_ends_every_other_session_and_keeps_this_one(world, visitor):
    other = Client()
    sign_in(visitor)
    sign_in(other)
    visitor.post(reverse("set_password"), {"password": "quite another one"})
    assert signed_in(visitor)
    assert not signed_in(other)
    assert sign_in(Client(), password="quite another one") == 302


@pytest.mark.parametrize("password", ["short", "owner", "password123", "12345678901", ""])
def test_a_password_that_is_easily_guessed_is_refused(world, visitor, password):
    sign_in(visitor)
    visitor.post(reverse("set_password"), {"password": password})
    assert sign_in(Client()) == 302


@pytest.mark.parametrize("way", ["password", "link"])
@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "https://testserver@evil.example/",
        " //evil.example",
    ],
)
def test_signing_in_sends_nobody_to_another_site(world, visitor, link, way, wanted):
    if way == "password":
        reply = visitor.post(SIGN_IN, {"username": "owner", "password": PASSWORD, "next": wanted})
    else:
        reply = visitor.post(link, query_params={"next": wanted})
    assert (reply.status_code, reply["Location"]) == (302, reverse("home"))
    again = visitor.get(SIGN_IN, {"next": wanted})
    assert (again.status_code, again["Location"]) == (302, reverse("home"))


@pytest.mark.parametrize("way", ["password", "link"])
def test_signing_in_goes_on_to_the_page_that_was_asked_for(world, visitor, link, way):
    wanted = reverse("studies")
    if way == "password":
        reply = visitor.post(SIGN_IN, {"username": "owner", "password": PASSWORD, "next": wanted})
    else:
        reply = visitor.post(link, query_params={"next": wanted})
    assert reply["Location"] == wanted
