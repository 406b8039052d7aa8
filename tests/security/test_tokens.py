"""Tokens of programs: shown once, kept as a digest, good for what they were made for, until they end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from hilmix.accounts.models import ApiToken, User
from hilmix.accounts.services import create_token, revoke_token

STUDIES = "/api/v1/studies/"


@pytest.fixture
def owner(world) -> User:
    return world["owner"].user


@pytest.fixture
def token(owner) -> str:
    return create_token(person=owner, name="a notebook", scope="read")


def status(token: str, address: str = STUDIES) -> int:
    return Client(headers={"Authorization": f"Token {token}"}).get(address).status_code


def test_a_token_is_shown_once_and_no_page_or_call_gives_it_again(world):
    client = world["owner"].client()
    shown = client.post(reverse("account"), {"name": "a notebook", "scope": "read"})
    token = shown.context["new_token"]
    assert token in shown.content.decode()
    assert status(token) == 200
    digest = ApiToken.objects.get(name="a notebook").digest
    for name in ("account", "home", "audit_trail", "people", "api_studies"):
        for who in ("owner", "admin"):
            told = world[who].client().get(reverse(name)).content.decode()
            assert token not in told
            assert digest not in told


def test_the_database_holds_a_digest_and_eight_of_256_bits_of_a_token(token):
    secret = token.removeprefix(settings.REST_KNOX["TOKEN_PREFIX"])
    assert len(secret) == 64  # hexadecimal: 256 bits
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_apitoken")
        stored = str(cursor.fetchall())
        cursor.execute("SELECT * FROM accounts_auditevent")
        stored += str(cursor.fetchall())
    assert token not in stored
    assert secret[8:] not in stored


class Writing(APIView):
    """Any call of ours that would change something; the API of today has none for tokens."""

    def any_verb(self, request, **kwargs):
        return Response({"done": True})

    get = post = put = patch = delete = any_verb


@pytest.mark.parametrize("verb", ["post", "put", "patch", "delete"])
def test_a_token_that_may_read_cannot_write(owner, token, verb):
    writer = create_token(person=owner, name="a script", scope="write")

    def asked(verb: str, token: str) -> int:
        request = getattr(APIRequestFactory(), verb)("/", headers={"Authorization": f"Token {token}"})
        return Writing.as_view()(request).status_code

    assert asked(verb, writer) == 200
    assert asked(verb, token) == 403
    assert asked("get", token) == 200


def test_a_token_without_a_known_scope_cannot_write(owner, token):
    ApiToken.objects.filter(name="a notebook").update(scope="all")
    request = APIRequestFactory().post("/", headers={"Authorization": f"Token {token}"})
    assert Writing.as_view()(request).status_code == 403


def test_an_expired_token_is_refused(token):
    ApiToken.objects.filter(name="a notebook").update(expiry=timezone.now() - timedelta(seconds=1))
    assert status(token) == 401


def test_every_token_expires_and_use_does_not_prolong_it(token):
    before = ApiToken.objects.get(name="a notebook").expiry
    assert before - timezone.now() <= timedelta(days=90)
    assert status(token) == 200
    assert ApiToken.objects.get(name="a notebook").expiry == before


def test_a_revoked_token_is_refused_at_once(owner, token):
    assert status(token) == 200
    revoke_token(person=owner, token_key=ApiToken.objects.get(name="a notebook").token_key)
    assert status(token) == 401


def test_a_suspended_persons_token_is_refused(owner, token):
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert status(token) == 401


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token[:-1],
        lambda token: token + "0",
        lambda token: token[:20],
        lambda token: "",
        lambda token: token + " " + token,
        lambda token: token.upper(),
        lambda token: "\xff\xfe",
        lambda token: "%",
        lambda token: "hilmix_" + "0" * 64,
    ],
)
def test_what_is_not_quite_a_token_is_refused(token, change):
    assert status(change(token)) == 401


@pytest.mark.parametrize("scheme", ["Bearer", "Participation", "Basic", ""])
def test_a_token_under_another_scheme_is_refused(token, scheme):
    reply = Client(headers={"Authorization": f"{scheme} {token}".strip()}).get(STUDIES)
    assert reply.status_code == 401


def test_a_token_in_the_address_is_not_read(token):
    assert Client().get(STUDIES, {"token": token, "Authorization": f"Token {token}"}).status_code == 401


def test_a_token_sees_what_its_owner_sees_and_no_more(world):
    stranger = create_token(person=world["stranger"].user, name="theirs", scope="write")
    assert status(stranger) == 200
    assert Client(headers={"Authorization": f"Token {stranger}"}).get(STUDIES).json()["count"] == 0
    assert status(stranger, reverse("api_study", args=["theirs"])) == 404


# --- Parameters that reach into the database (checklist S2) --------------------------------------------------

PROBES = [
    {"memberships__user__password__startswith": "m"},
    {"created_by__password__contains": "md5"},
    {"study__memberships__user__username": "nobody"},
    {"slug": "another"},
    {"state": "draft"},
    {"id": "0"},
    {"ordering": "-memberships__user__password"},
    {"order_by": "title"},
    {"search": "nothing like it"},
    {"q": "x"},
    {"fields": "created_by"},
    {"expand": "identity"},
    {"format": "api"},
    {"include": "participations"},
]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: next(iter(probe)))
@pytest.mark.parametrize("name", ["api_studies", "api_releases", "api_experiments"])
def test_no_parameter_filters_orders_or_widens_a_list(world, name, probe):
    client = world["owner"].client()
    plain = client.get(reverse(name)).json()
    assert plain["count"] > 0
    probed = client.get(reverse(name), probe)
    assert probed.status_code == 200 or "format" in probe
    if probed.status_code == 200:
        assert probed.json()["results"] == plain["results"]
