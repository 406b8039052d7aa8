"""When something of ours fails: a reference to report, and no word of what is inside."""

from __future__ import annotations

import pytest
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.http import Http404
from django.urls import reverse

from elicitation.flow import api
from elicitation.studies.models import StudyQuerySet
from hilmix.core.errors import DataError
from hilmix.errors import Conflict, Forbidden, NotFound
from tests.security.replies import assert_guarded, assert_plain
from tests.security.world import HOSTILE

INSIDE = "password=hunter2 in /srv/hilmix/var at 0x7f"
REVEALING = (
    INSIDE,
    "hunter2",
    "Traceback",
    "RuntimeError",
    "OperationalError",
    "site-packages",
    ".py",
    "Django",
)


@pytest.fixture
def broken(monkeypatch):
    """`broken(error)`: whatever asks for studies fails with it."""

    def break_with(error: Exception) -> None:
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(StudyQuerySet, "visible_to", fail)

    return break_with


def told(world, address: str, who: str = "owner"):
    client = world[who].client(raise_request_exception=False)
    return client.get(address)


@pytest.mark.parametrize(
    "error", [RuntimeError(INSIDE), OperationalError(INSIDE), KeyError(INSIDE), RecursionError(INSIDE)]
)
@pytest.mark.parametrize("name", ["studies", "study", "home", "release_file"])
def test_a_bug_shows_people_a_reference_and_nothing_else(world, broken, caplog, name, error):
    broken(error)
    reply = told(world, world.address(name))
    assert reply.status_code == 500
    assert_guarded(reply)
    assert_plain(reply)
    page = reply.content.decode()
    assert not [word for word in REVEALING if word in page]
    reference = page.partition("reference ")[2][:8]
    assert len(reference) == 8
    assert f"reference {reference}" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError(INSIDE), OperationalError(INSIDE)])
@pytest.mark.parametrize("name", ["api_studies", "api_study", "api_release_file"])
def test_a_bug_tells_programs_a_reference_as_problem_json_and_nothing_else(
    world, broken, caplog, name, error
):
    broken(error)
    reply = told(world, world.address(name))
    assert (reply.status_code, reply["Content-Type"]) == (500, "application/problem+json")
    assert_guarded(reply)
    body = reply.json()
    assert (body["status"], body["code"]) == (500, "server_error")
    assert not [word for word in REVEALING if word in reply.content.decode()]
    assert f"reference {body['detail'].partition('reference ')[2][:8]}" in caplog.text


def test_a_bug_in_saving_an_answer_tells_the_participant_nothing_and_keeps_nothing(
    world, monkeypatch, writes
):
    def fail(**kwargs):
        raise RuntimeError(INSIDE)

    monkeypatch.setattr(api, "record_events", fail)
    client = world["participant"].client(raise_request_exception=False)
    event = {"id": "00000000-0000-4000-8000-000000000001", "kind": "blur", "t_ms": 1}
    with writes() as changes:
        reply = client.post(
            reverse("participation_events"), {"events": [event]}, content_type="application/json"
        )
    assert (reply.status_code, reply["Content-Type"], changes) == (500, "application/problem+json", [])
    assert INSIDE not in reply.content.decode()


def test_the_error_page_comes_even_when_nobody_can_be_looked_up(world, monkeypatch):
    def fail(self, request):
        raise OperationalError(INSIDE)

    monkeypatch.setattr(AuthenticationMiddleware, "process_request", fail)
    reply = told(world, reverse("studies"))
    assert reply.status_code == 500
    assert b"reference" in reply.content
    assert INSIDE not in reply.content.decode()


@pytest.mark.parametrize("error", [Http404(INSIDE), PermissionDenied(INSIDE), SuspiciousOperation(INSIDE)])
@pytest.mark.parametrize("name", ["studies", "api_studies"])
def test_a_refusal_of_djangos_own_does_not_repeat_its_reason(world, broken, name, error):
    broken(error)
    reply = told(world, world.address(name))
    assert reply.status_code in (400, 403, 404)
    assert "hunter2" not in reply.content.decode()
    assert_guarded(reply)


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotFound("n"), 404), (Forbidden("f"), 403), (Conflict("c"), 409), (DataError("d"), 400)],
)
def test_a_refusal_of_ours_is_said_in_its_own_words_escaped(world, broken, error, status):
    error.args = (HOSTILE,)
    error.message = HOSTILE
    broken(error)
    page = told(world, world.address("studies"))
    assert page.status_code == status
    assert "&lt;b onclick" in page.content.decode()
    assert_plain(page)
    problem = told(world, world.address("api_studies"))
    assert (problem.status_code, problem["Content-Type"]) == (status, "application/problem+json")
    assert problem.json()["detail"] == HOSTILE


def test_the_api_refuses_too_many_files_and_what_is_malformed_as_a_problem(world, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    client, address = world["admin"].client(), world.address("api_ask_run")
    files = {"images": [SimpleUploadedFile(f"{n}.png", b"x") for n in range(3)]}
    many = client.post(address, files)
    malformed = client.post(address, {"images": 7}, "application/json")
    for reply, status, said in (
        (many, 413, "At most 2 files may be sent at once."),
        (malformed, 400, "Some of what was sent cannot be accepted."),
    ):
        assert (reply.status_code, reply["Content-Type"]) == (status, "application/problem+json")
        assert reply.json()["detail"] == said
    assert list(malformed.json()["fields"]) == ["images"]


def test_an_api_address_that_does_not_exist_is_a_problem_and_no_page(world):
    reply = told(world, "/api/v1/nothing/")
    assert (reply.status_code, reply["Content-Type"]) == (404, "application/problem+json")


def test_an_address_cannot_write_lines_into_the_log(world, monkeypatch, caplog):
    broken_page = "/studies/x%0aERROR%20root:%20all%20is%20lost/"
    told(world, broken_page)

    def fail(self, request):
        raise RuntimeError(INSIDE)

    monkeypatch.setattr(AuthenticationMiddleware, "process_request", fail)
    told(world, broken_page)
    assert "all is lost" in caplog.text
    assert not [record for record in caplog.records if "\nERROR root" in record.getMessage()]
