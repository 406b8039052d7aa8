"""Every address × verb × role, with somebody else's object: the roles table grants, and nothing else does.

A refused call is answered 403, 404 or 405 (401 by the API), or sends the public to sign in, and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver, reverse

from tests.security.routes import PARTICIPANT_PAGES, ROUTES, VERBS, Open, every_pattern
from tests.security.world import Caller, World

CALLERS = ("public", "stranger", "viewer", "editor", "owner", "admin", "participant", "holder")
PATTERNS = list(every_pattern(get_resolver().url_patterns))
API = [
    name
    for name in ROUTES
    if name.startswith(("api_", "participation_")) and name not in (*PARTICIPANT_PAGES, "api_docs")
]
POSTED_PAGES = [
    name for name, route in ROUTES.items() if "POST" in route.verbs and name not in (*API, *PARTICIPANT_PAGES)
]
NUMBERS = {
    "index",
    "mixed_image_id",
    "release_id",
    "experiment_id",
    "pk",
    "person_id",
    "image_id",
    "report_id",
    "version",
    "way",
    "number",
    "order",
    "simulation_id",
    "analysis_id",
    "run_id",
    "follow_up_id",
    "place",
    "ordinal",
}
NUMBERED = [pattern.name for pattern in PATTERNS if NUMBERS & set(pattern.pattern.converters)]
LISTS = (
    "home",
    "studies",
    "releases",
    "experiments",
    "jobs",
    "api_studies",
    "api_releases",
    "api_experiments",
)


def is_api(address: str) -> bool:
    return address.startswith("/api/v1/")


def ask(caller: Caller, verb: str, name: str, world: World, **options: bool) -> HttpResponse:
    """What the caller is answered, to a body that would be accepted from whoever may."""
    client, address, body = caller.client(**options), world.address(name), ROUTES[name].body(world)
    if is_api(address):
        sent = json.dumps(body) if verb in ("POST", "PUT", "PATCH") else ""
        return client.generic(verb, address, sent, "application/json")
    return client.post(address, body) if verb == "POST" else client.generic(verb, address)


def sent_to_sign_in(reply: HttpResponse) -> bool:
    return reply.status_code == 302 and reply["Location"].startswith(reverse("sign_in") + "?next=")


def is_served(reply: HttpResponse) -> bool:
    """Beyond every guard. "Not in this state" is an answer to somebody who may ask."""
    return (reply.status_code < 400 or reply.status_code == 409) and not sent_to_sign_in(reply)


def is_refused(reply: HttpResponse, caller: Caller, name: str) -> bool:
    if name in API:
        return (
            reply.status_code in (401, 403, 404, 405) and reply["Content-Type"] == "application/problem+json"
        )
    return reply.status_code in (403, 404, 405) or (caller.user is None and sent_to_sign_in(reply))


@contextmanager
def undone() -> Iterator[None]:
    """What happens in here is rolled back: each call finds the world as it was made."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_every_address_has_a_name_and_its_line_in_the_table():
    names = [pattern.name for pattern in PATTERNS]
    assert None not in names
    assert sorted(names) == sorted(ROUTES)


@pytest.mark.parametrize("caller_name", CALLERS)
@pytest.mark.parametrize("name", ROUTES)
def test_an_address_serves_whom_the_roles_table_names_and_nobody_else(world, writes, name, caller_name):
    route, caller = ROUTES[name], world[caller_name]
    for verb in VERBS:
        with undone(), writes() as changes:
            reply = ask(caller, verb, name, world)
        what = f"{verb} {world.address(name)} by {caller_name}: {reply.status_code}, changed {changes}"
        if route.allows(caller) and verb in route.verbs.split():
            assert is_served(reply), what
        else:
            assert is_refused(reply, caller, name), what
            assert reply.status_code == 405 or not route.allows(caller), what
            assert changes == [], what


@pytest.mark.parametrize("name", POSTED_PAGES)
def test_a_form_sent_from_elsewhere_is_refused_for_want_of_a_csrf_token(world, writes, name):
    for caller in world.callers.values():
        if ROUTES[name].allows(caller):
            with undone(), writes() as changes:
                reply = ask(caller, "POST", name, world, enforce_csrf_checks=True)
            assert (reply.status_code, changes) == (403, []), f"{name} by {caller.name}"
            assert b"CSRF" in reply.content


def test_only_participants_pages_and_the_api_go_without_djangos_guard_against_forgery():
    exempt = {pattern.name for pattern in PATTERNS if getattr(pattern.callback, "csrf_exempt", False)}
    assert exempt == {*PARTICIPANT_PAGES, *API, "schema"}


@pytest.mark.parametrize("name", PARTICIPANT_PAGES)
def test_a_participants_form_goes_without_a_cookie_but_not_without_its_signed_field(world, writes, name):
    client = Client(enforce_csrf_checks=True)
    with undone():
        assert client.get(world.address(name)).status_code == 200
    if "POST" in ROUTES[name].verbs:
        body = ROUTES[name].body(world)
        for token in (
            None,
            "",
            body["token"][:-1],
            body["token"] + "x",
            world["participant"].headers["Authorization"],
        ):
            sent = {key: value for key, value in body.items() if key != "token"}
            with undone(), writes() as changes:
                reply = client.post(world.address(name), sent if token is None else {**sent, "token": token})
            assert (reply.status_code, changes) == (403, []), token
        with undone():
            assert client.post(world.address(name), body).status_code == 302
    assert not client.cookies


@pytest.mark.parametrize("name", [name for name in API if name.startswith("participation_")])
def test_no_call_of_a_participants_browser_sets_a_cookie(world, name):
    for caller in (world["holder"], world["participant"], world["public"]):
        for verb in VERBS:
            with undone():
                assert not ask(caller, verb, name, world, enforce_csrf_checks=True).cookies


@pytest.mark.parametrize("name", [name for name in API if ROUTES[name].needs is not Open.PUBLIC])
def test_a_browsers_session_does_not_open_the_api(world, name):
    for caller_name in ("owner", "admin"):
        client = world[caller_name].client()
        client.defaults.pop("HTTP_AUTHORIZATION")
        for verb in ROUTES[name].verbs.split():
            assert client.generic(verb, world.address(name)).status_code == 401


def test_a_programs_token_does_not_open_pages(world):
    client = world["admin"].client()
    client.cookies.clear()
    pages = [name for name, route in ROUTES.items() if name not in API and route.needs is not Open.PUBLIC]
    public = ("study_entry", "sign_in", "sign_in_with_link")
    for name in set(pages) - set(public):
        verb = ROUTES[name].verbs.split()[0]
        assert sent_to_sign_in(client.generic(verb, world.address(name))), name


@pytest.mark.parametrize("name", LISTS)
def test_lists_tell_a_stranger_nothing_of_a_study_that_they_are_not_in(world, name):
    telling = {"theirs", "experiment 1", str(world.job.pk)}
    told = {
        who: world[who].client().get(world.address(name)).content.decode() for who in ("owner", "stranger")
    }
    assert [text for text in telling if text in told["owner"]], "the test would find nothing anywhere"
    assert not [text for text in telling if text in told["stranger"]]


@pytest.mark.parametrize("name", NUMBERED)
def test_a_number_that_no_database_holds_is_not_found(world, name):
    address = world.address(name, **dict.fromkeys(NUMBERS, 10**30))
    verb = ROUTES[name].verbs.split()[0]
    for caller in (world["admin"], world["holder"]):
        expected = {404} if ROUTES[name].allows(caller) else {302, 401}
        assert caller.client().generic(verb, address).status_code in expected, address
