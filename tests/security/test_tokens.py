"""Tokens of programs: shown once, kept as a digest, good for what they were made for, until they end."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import numpy as np
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from elicitation.studies.models import Protocol, Study
from hilmix.accounts.models import ApiToken, User
from hilmix.accounts.roles import OPERATOR, Action, allowed
from hilmix.accounts.services import create_token, revoke_token, set_membership
from hilmix.errors import NotFound
from tests.security.replies import body as body_of
from tests.security.routes import ROUTES
from tests.security.world import World, parameters

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
    shown = client.post(reverse("account"), {"name": "a notebook", "scope": "read", "days": 90})
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


def test_the_use_of_a_token_is_noted_once_a_minute(token):
    def used() -> datetime | None:
        assert status(token) == 200
        return mine.get().last_used_at

    mine = ApiToken.objects.filter(user__username="owner").order_by("-created")[:1]
    first = used()
    assert first is not None
    assert used() == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    assert used() > first


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
    seen = Client(headers={"Authorization": f"Token {stranger}"}).get(STUDIES).json()
    assert seen == {"next": None, "results": []}
    assert status(stranger, reverse("api_study", args=["theirs"])) == 404


# --- What a token is made for -------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [1, 30, 365])
def test_a_token_is_good_for_as_many_days_as_were_chosen(owner, days):
    create_token(person=owner, name="chosen", scope="read", days=days)
    left = ApiToken.objects.get(name="chosen").expiry - timezone.now()
    assert timedelta(days=days, minutes=-1) < left <= timedelta(days=days)


@pytest.mark.parametrize("days", ["0", "366", "-1", "", "a year", "9" * 30])
def test_no_token_is_good_for_longer_than_a_year_or_for_no_time(world, days):
    before = ApiToken.objects.count()
    sent = {"name": "a notebook", "scope": "read", "days": days}
    shown = world["owner"].client().post(reverse("account"), sent)
    assert shown.context["new_token"] is None
    assert "days" in shown.context["form"].errors
    assert ApiToken.objects.count() == before


def test_a_token_may_be_made_for_one_of_the_studies_that_one_may_see_and_for_no_other(world):
    offered = world["owner"].client().get(reverse("account")).content.decode()
    assert 'value="theirs"' in offered
    assert 'value="theirs"' not in world["stranger"].client().get(reverse("account")).content.decode()
    sent = {"name": "one study", "scope": "read", "days": 9, "study": "theirs"}
    refused = world["stranger"].client().post(reverse("account"), sent)
    assert "study" in refused.context["form"].errors
    assert world["owner"].client().post(reverse("account"), sent).context["new_token"]
    assert ApiToken.objects.get(name="one study").study == world.study


def test_nobody_makes_a_token_of_a_study_that_they_may_not_see(world):
    with pytest.raises(NotFound):
        create_token(person=world["stranger"].user, name="theirs", scope="read", study=world.study)


# --- Tokens of one study ------------------------------------------------------------------------------------

PROGRAMS = [name for name in ROUTES if name.startswith("api_") and name != "api_docs"]
FORECASTS = ("api_monitor",)  # from now on, whenever that is
# No token of one study opens these, whosever it is.
OF_THE_INSTANCE = ("api_imports", "api_import", "api_queue_pause", "api_queue_resume")


@pytest.fixture
def another(world) -> Study:
    """A third study of the same owner, of another image set, with nothing in it."""
    images = np.zeros((6, 4, 4, 3), np.uint8)
    image_set = import_images(
        name="other", kind="npz", images=images, labels=np.arange(6) % 2, classes=["a", "b"],
        splits={"train": np.arange(6)}, actor=OPERATOR,
    )  # fmt: skip
    study = Study.objects.create(slug="empty", title="Empty", image_set=image_set)
    Protocol.objects.create(study=study, content=world.study.protocol.content, sha256="0" * 64)
    set_membership(person=world["owner"].user, study=study, part="owner", actor=OPERATOR)
    return study


def asking(world: World, who: str, study: Study | None) -> Client:
    text = create_token(person=world[who].user, name="of one", scope="write", study=study)
    return Client(headers={"Authorization": f"Token {text}"})


def ask(client: Client, world: World, name: str) -> HttpResponse:
    """What the first verb of an address gives, undone."""
    verb, sent = ROUTES[name].verbs.split()[0], ROUTES[name].body(world)
    body = json.dumps(sent) if verb == "POST" else ""
    with transaction.atomic():
        reply = client.generic(verb, world.address(name), body, "application/json")
        reply.told = body_of(reply).decode(errors="replace")
        transaction.set_rollback(True)
    return reply


@pytest.mark.parametrize("who", ["owner", "admin"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_token_of_another_study_opens_nothing_of_this_one_anywhere(world, another, name, who):
    reply = ask(asking(world, who, another), world, name)
    if parameters(name) or name in OF_THE_INSTANCE:
        assert reply.status_code in (403, 404), reply.told
    else:
        assert reply.status_code == 200
        told = [text for text in ("theirs", "elsewhere", "noise", str(world.job.pk)) if text in reply.told]
        assert told == []


# A simulation makes a study, which a token of one study cannot.
@pytest.mark.parametrize(
    "name", [name for name in PROGRAMS if name not in ("api_simulate", *OF_THE_INSTANCE)]
)
def test_a_token_of_one_study_gives_of_it_what_one_of_all_gives(world, another, name):
    of_all, of_one = (asking(world, "owner", study) for study in (None, world.study))
    everything, theirs = ask(of_all, world, name), ask(of_one, world, name)
    assert theirs.status_code == everything.status_code
    assert everything.status_code < 300
    if parameters(name) and ROUTES[name].verbs != "POST" and name not in FORECASTS:
        assert theirs.told == everything.told


@pytest.mark.parametrize("name", OF_THE_INSTANCE)
def test_an_admins_token_of_one_study_opens_nothing_of_the_instance(world, name):
    of_all, of_one = (asking(world, "admin", study) for study in (None, world.study))
    assert ask(of_all, world, name).status_code == 200
    reply = ask(of_one, world, name)
    assert (reply.status_code, "release.zip" in reply.told) == (403, False)


def test_a_token_of_one_study_ends_with_its_owners_place_in_that_study(world):
    client = asking(world, "viewer", world.study)
    assert client.get(reverse("api_study", args=["theirs"])).status_code == 200
    set_membership(person=world["viewer"].user, study=world.study, part=None, actor=OPERATOR)
    assert client.get(reverse("api_study", args=["theirs"])).status_code == 404


def test_a_token_of_one_study_makes_no_admin_of_the_instance(world, another):
    admin = world["admin"].user
    admin.only_study_id = another.pk
    try:
        granted = [action for action in Action if allowed(admin, action)]
        theirs = [action for action in Action if allowed(admin, action, world.study.pk)]
        assert (granted, theirs) == ([], [])
        assert allowed(admin, Action.VIEW_STUDY, another.pk)
        assert not ImageSet.objects.filter(studies__in=Study.objects.visible_to(admin)).exclude(name="other")
    finally:
        admin.only_study_id = None
