"""Fetching submissions, from a stand-in for Prolific that really answers over HTTP on this machine."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse

from elicitation.flow import services
from elicitation.flow.reconciling import JOB_KIND, queue_sync, sync_submissions
from elicitation.participants.services import Arrival
from elicitation.recruiters import prolific_api
from elicitation.recruiters.models import Submission
from elicitation.recruiters.prolific_api import ADDRESS, TOKEN, ProlificAway, fetch_submissions
from elicitation.recruiters.services import remember_arrival, set_recruitment
from elicitation.studies.models import Source
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import set_membership
from hilmix.errors import Conflict, Forbidden
from hilmix.jobs.models import Job
from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.jobs.registry import KINDS

SECRET = "a-token-that-nobody-may-see"
STUDY, PID, SESSION = "1" * 24, "2" * 24, "3" * 24


def row(n: int = 0, **said: Any) -> dict[str, Any]:
    return {
        "id": SESSION if n == 0 else f"{n:024x}",
        "participant_id": PID if n == 0 else f"{n + 5000:024x}",
        "status": "AWAITING REVIEW",
        "study_code": "NOCODE",
        "ip": "192.0.2.7",
        "started_at": "2026-10-20T10:00:00Z",
    } | said


@dataclass
class StandIn:
    """What the stand-in answers, in turn (the last one for ever), and what it was asked."""

    replies: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def says(self, body: Any, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.replies.append((status, headers, data))

    def next(self) -> tuple[int, dict[str, str], bytes]:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@pytest.fixture
def prolific(monkeypatch) -> Iterator[StandIn]:
    """A server in a thread; hilmix is told its address and a token, and waits for nothing."""
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stand_in.asked.append((self.path, self.headers.get("Authorization", "")))
            status, headers, body = stand_in.next()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv(ADDRESS, stand_in.url)
    monkeypatch.setenv(TOKEN, SECRET)
    yield stand_in
    server.shutdown()
    server.server_close()


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The pauses that were made, none of which is waited for."""
    waited: list[float] = []
    monkeypatch.setattr(prolific_api, "sleep", waited.append)
    return waited


@pytest.fixture
def recruited(study):
    set_recruitment(study=study, recruiter="prolific", options={"study_id": STUDY}, actor=OPERATOR)
    return study


def join(study):
    arrival = Arrival(pid=PID, session=SESSION)
    person, _new = services.join_study(
        study=study, source=Source.PERSON, boxes={"adult": True, "agree": True}, arrival=arrival
    )
    remember_arrival(person, arrival)
    return person


# --- The calls ----------------------------------------------------------------------------------------------


def test_the_submissions_of_a_study_are_fetched_page_by_page_with_the_token(prolific):
    following = f"{prolific.url}/api/v1/studies/{STUDY}/submissions/?page=2"
    prolific.says({"results": [row(), row(1)], "_links": {"next": {"href": following}}})
    prolific.says(
        {"results": [row(2, status="TIMED-OUT", study_code=None)], "_links": {"next": {"href": None}}}
    )
    counts: list[int] = []
    first, second, third = fetch_submissions(STUDY, said=counts.append)
    assert (first.session, first.pid, first.status, first.code) == (SESSION, PID, "AWAITING REVIEW", "NOCODE")
    assert (third.status, third.code) == ("TIMED-OUT", "")
    assert counts == [2, 3]
    assert prolific.asked == [
        (f"/api/v1/studies/{STUDY}/submissions/", f"Token {SECRET}"),
        (f"/api/v1/studies/{STUDY}/submissions/?page=2", f"Token {SECRET}"),
    ]
    assert second.pid != first.pid


def test_a_list_without_links_is_one_page(prolific):
    prolific.says({"results": [row()], "meta": {"count": 1}})
    assert len(fetch_submissions(STUDY)) == 1


def test_a_list_that_leads_back_to_itself_ends(prolific):
    prolific.says({"results": [row()], "_links": {"next": {"href": f"{prolific.url}/again"}}})
    assert len(fetch_submissions(STUDY)) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_that_is_busy_or_broken_is_asked_again(prolific, waits, status):
    prolific.says({}, status=status)
    prolific.says({}, status=status, Retry_After="7")
    prolific.says({"results": [row()]})
    assert len(fetch_submissions(STUDY)) == 1
    assert waits == [1.0, 7.0]


def test_a_server_that_stays_broken_is_left_after_four_tries(prolific, waits):
    prolific.says({}, status=503, Retry_After="100000")
    with pytest.raises(ProlificAway, match="answered 503, 4 times"):
        fetch_submissions(STUDY)
    assert (len(prolific.asked), max(waits)) == (4, 60)


def test_a_server_that_is_not_there_is_said_to_be_away(prolific, waits, monkeypatch):
    monkeypatch.setenv(ADDRESS, "http://127.0.0.1:9")
    with pytest.raises(ProlificAway, match="could not be reached"):
        fetch_submissions(STUDY)
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("status", "said"), [(401, "does not take the token"), (403, "does not take"), (404, "knows no study")]
)
def test_a_refusal_is_not_asked_again(prolific, waits, status, said):
    prolific.says({"error": {"detail": SECRET}}, status=status)
    with pytest.raises(Conflict, match=said) as refused:
        fetch_submissions(STUDY)
    assert (len(prolific.asked), waits) == (1, [])
    assert SECRET not in refused.value.message


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"results": 3}', b'{"results": [{}]}', b'{"results": [7]}', b"null", b"\xff"],
)
def test_a_reply_that_cannot_be_read_is_said_to_be_so(prolific, body):
    prolific.says(body)
    with pytest.raises(ProlificAway, match="could not be read"):
        fetch_submissions(STUDY)


def test_ids_that_are_none_are_not_taken(prolific):
    prolific.says({"results": [row(participant_id="=CMD()")]})
    with pytest.raises(ProlificAway, match="could not be read") as refused:
        fetch_submissions(STUDY)
    assert "CMD" not in refused.value.message


@pytest.mark.parametrize("elsewhere", ["http://127.0.0.1:9/steal", "https://api.prolific.com.evil.example/"])
def test_the_token_goes_to_no_other_address(prolific, elsewhere):
    prolific.says({"results": [row()], "_links": {"next": {"href": elsewhere}}})
    with pytest.raises(ProlificAway, match="another address"):
        fetch_submissions(STUDY)
    prolific.replies.clear()
    prolific.says({}, status=302, Location=f"{prolific.url}/elsewhere")
    with pytest.raises(ProlificAway):
        fetch_submissions(STUDY)
    assert all("elsewhere" not in path for path, _token in prolific.asked)


def test_the_token_is_not_sent_unencrypted_over_a_network(prolific, monkeypatch):
    monkeypatch.setenv(ADDRESS, "http://api.prolific.example")
    with pytest.raises(Conflict, match="https"):
        fetch_submissions(STUDY)


def test_without_a_token_or_a_study_nothing_is_asked(prolific, monkeypatch):
    with pytest.raises(Conflict, match="Recruitment"):
        fetch_submissions("")
    monkeypatch.setenv(TOKEN, "  ")
    with pytest.raises(Conflict, match=TOKEN):
        fetch_submissions(STUDY)
    assert prolific.asked == []


# --- The work -----------------------------------------------------------------------------------------------


class Told(Progress):
    """Keeps the log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)


def test_the_job_keeps_statuses_and_frees_places_and_its_log_names_nobody(prolific, recruited, caplog):
    person = join(recruited)
    prolific.says({"results": [row(status="RETURNED"), row(1)]})
    progress = Told()
    with caplog.at_level(logging.DEBUG):
        KINDS[JOB_KIND].handler(progress, str(recruited.pk))
    person.refresh_from_db()
    assert person.slot is None
    assert Submission.objects.get().status == "RETURNED"
    assert progress.lines == ["look at it: 1", "nothing to do: 1", "places freed: 1"]
    told = [*progress.lines, caplog.text, *(str(event.detail) for event in AuditEvent.objects.all())]
    assert not [text for text in told for secret in (SECRET, PID, SESSION, "192.0.2.7") if secret in text]


def test_nothing_of_the_token_or_of_addresses_is_stored(prolific, recruited):
    join(recruited)
    prolific.says({"results": [row()]})
    sync_submissions(study=recruited, actor=OPERATOR, progress=Progress())
    stored = str([list(model.objects.values()) for model in (Submission, Job, AuditEvent)])
    assert not [secret for secret in (SECRET, PID, SESSION, "192.0.2.7") if secret in stored]


def test_a_cancelled_job_changes_nothing(prolific, recruited):
    person = join(recruited)
    prolific.says({"results": [row(status="RETURNED")]})

    class Cancelled(Progress):
        cancelled = True

    with pytest.raises(JobCancelled):
        sync_submissions(study=recruited, actor=OPERATOR, progress=Cancelled())
    person.refresh_from_db()
    assert person.slot is not None


def test_an_owner_queues_the_fetching_and_an_editor_does_not(prolific, recruited):
    people = {}
    for part in ("owner", "editor"):
        people[part] = User.objects.create(username=part, kind=User.Kind.RESEARCHER)
        set_membership(person=people[part], study=recruited, part=part, actor=OPERATOR)
    browser = Client()
    browser.force_login(people["owner"])
    at = reverse("study_submissions", args=[recruited.slug])
    page = browser.get(at).content.decode()
    assert "Fetch from Prolific" in page
    assert SECRET not in page
    reply = browser.post(at, {"do": "fetch"})
    assert reply["Location"] == reverse("job", args=[Job.objects.get().pk])
    assert prolific.asked == []
    with pytest.raises(Forbidden):
        queue_sync(study=recruited, actor=people["editor"])
    with pytest.raises(Forbidden):
        sync_submissions(study=recruited, actor=people["editor"], progress=Progress())


def test_without_a_token_the_page_says_so_and_queues_nothing(recruited, monkeypatch):
    monkeypatch.delenv(TOKEN, raising=False)
    admin = User.objects.create(username="ada", kind=User.Kind.ADMIN)
    browser = Client()
    browser.force_login(admin)
    at = reverse("study_submissions", args=[recruited.slug])
    assert "Fetch from Prolific" not in browser.get(at).content.decode()
    assert TOKEN in browser.post(at, {"do": "fetch"}, follow=True).content.decode()
    assert not Job.objects.exists()


def test_the_command_says_how_many_and_names_nobody(prolific, recruited, capsys):
    join(recruited)
    prolific.says({"results": [row()]})
    call_command("sync_submissions", recruited.slug)
    said = capsys.readouterr().out
    assert "ask to return: 1" in said
    assert PID not in said
    with pytest.raises(CommandError, match="There is no study 'nothing'"):
        call_command("sync_submissions", "nothing")


def test_the_command_says_in_a_line_what_is_missing(study, monkeypatch):
    monkeypatch.setenv(TOKEN, SECRET)
    with pytest.raises(CommandError, match="Recruitment"):
        call_command("sync_submissions", study.slug)
