"""What people are called at a recruiter, which codes pay them, whose token fetches them: told where it is needed."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from elicitation.flow import services as flow
from elicitation.flow.reconciling import queue_sync, sync_submissions
from elicitation.flow.withdrawal import withdraw
from elicitation.monitoring import payment_pages
from elicitation.participants.models import Identity, Participation
from elicitation.participants.services import link_of, pid_hmac
from elicitation.recruiters import prolific_api
from elicitation.recruiters.base import Outcome
from elicitation.recruiters.models import Submission
from elicitation.recruiters.services import session_hmac
from elicitation.studies.opening import close_study
from hilmix.accounts.models import AuditEvent
from hilmix.accounts.roles import ALLOWED, OPERATOR, Action
from hilmix.core.release import open_release
from hilmix.errors import DomainError
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from tests.security.replies import assert_guarded, assert_plain, body
from tests.security.routes import PARTICIPANT_PAGES, ROUTES, exported
from tests.security.test_every_url import CALLERS, ask, undone
from tests.security.world import CODES, FORMULA, PID, SESSION, STUDY_THERE, World, answer_all, join

TOKEN = "a-token-of-prolific-that-nobody-may-see"
NUMBER = "c0ffee" * 4  # another person there, of whom nothing is held here
# What may be said where, and to whom: page → what, beside the roles that may.
IDS, CODE = "ids", "codes"
MAY_SAY = {
    ("study_recruitment", "GET"): ({CODE}, Action.RECRUIT),
    ("study_recruitment", "POST"): ({CODE}, Action.RECRUIT),
    ("study_submissions", "POST"): ({IDS}, Action.PAY_PARTICIPANTS),
    ("study_bonuses", "POST"): ({IDS}, Action.PAY_PARTICIPANTS),
}


def secrets_of(world: World) -> dict[str, list[str]]:
    """What is secret, by kind. What is stored of ids is no page's either."""
    identity, stay = Identity.objects.get(study=world.study), Submission.objects.get(study=world.study)
    return {
        IDS: [PID, SESSION],
        "stored": [identity.pid_hmac, identity.pid_ciphertext, stay.session_hmac, stay.session_ciphertext],
        CODE: [*CODES.values(), STUDY_THERE],
        "token": [TOKEN],
    }


def said(reply: HttpResponse) -> str:
    """All that a browser gets: body, headers and cookies."""
    return f"{body(reply).decode(errors='replace')} {dict(reply.items())} {reply.cookies.output()}"


@pytest.fixture(autouse=True)
def token(monkeypatch):
    """A token is set, for a Prolific that nobody answers for."""
    monkeypatch.setenv("HILMIX_PROLIFIC_TOKEN", TOKEN)
    monkeypatch.setenv("HILMIX_PROLIFIC_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(prolific_api, "sleep", lambda seconds: None)


@contextmanager
def everything_logged(caplog) -> Iterator[None]:
    """All that our code would write at its most talkative; what the database is sent is no log of an instance."""
    logging.getLogger("django.db.backends").propagate = False
    try:
        with caplog.at_level(logging.DEBUG):
            yield
    finally:
        logging.getLogger("django.db.backends").propagate = True


# --- Pages, calls and logs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in ROUTES if name != "sign_out"])
def test_no_answer_and_no_log_says_a_code_an_id_or_the_token_but_to_whom_the_table_names(world, name, caplog):
    kinds = secrets_of(world)
    for who in CALLERS:
        for verb in {"GET", "POST"} & set(ROUTES[name].verbs.split()):
            with undone(), everything_logged(caplog):
                told = said(ask(world[who], verb, name, world))
            open_to, needed = MAY_SAY.get((name, verb), (set(), Action.PAY_PARTICIPANTS))
            may = open_to if not ALLOWED[needed].isdisjoint(world[who].roles) else set()
            for kind, hidden in kinds.items():
                if kind not in may:
                    found = [one for one in hidden if one in told]
                    assert not found, f"{verb} {name} tells {who} {found}"
    assert not [one for hidden in kinds.values() for one in hidden if one in caplog.text]


def test_the_pages_that_may_say_them_do(world):
    """Otherwise the test above would find nothing anywhere."""
    owner = world["owner"]
    with undone():
        assert CODES["completed"] in said(ask(owner, "GET", "study_recruitment", world))
        assert STUDY_THERE in said(ask(owner, "GET", "study_recruitment", world))
        assert PID in said(ask(owner, "POST", "study_submissions", world))
        assert PID in said(ask(owner, "POST", "study_bonuses", world))


def test_what_a_link_says_of_a_person_is_in_no_log(world, caplog):
    """Whatever is wrong with a request: its address is logged without what stands after the question mark."""
    query = {"PROLIFIC_PID": PID, "SESSION_ID": SESSION, "STUDY_ID": STUDY_THERE}
    with undone(), everything_logged(caplog):
        for address in (world.address("study_entry"), "/s/nothing/", "/nowhere/", "/s/theirs"):
            for verb in ("GET", "POST", "PUT"):
                Client().generic(verb, f"{address}?" + "&".join(f"{k}={v}" for k, v in query.items()))
    assert not [secret for secret in (PID, SESSION, STUDY_THERE) if secret in caplog.text]


# --- Tables, audit and releases -----------------------------------------------------------------------------


def test_no_table_holds_an_id_in_plain_text_and_only_one_the_codes(world):
    owner = world["owner"].client()
    for do in ("show", "csv"):
        sent = ROUTES["study_submissions"].body(world) | {"do": do}
        assert owner.post(world.address("study_submissions"), sent).status_code == 200
    owner.post(world.address("study_bonuses"))
    owner.post(world.address("study_recruitment"), ROUTES["study_recruitment"].body(world))
    assert AuditEvent.objects.filter(action="study.submissions_read").count() == 2
    assert AuditEvent.objects.filter(action="study.bonuses_listed").exists()
    assert AuditEvent.objects.filter(action="study.recruitment_set").exists()
    looked_up = [pid_hmac(world.study, PID), session_hmac(world.study, SESSION)]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows = str(cursor.fetchall())
            assert not [one for one in (PID, SESSION, NUMBER, TOKEN) if one in rows], table
            if table != "elicitation_recruitment":
                assert not [one for one in (*CODES.values(), STUDY_THERE) if one in rows], table
            if table not in ("elicitation_identity", "elicitation_submission"):
                assert not [one for one in looked_up if one in rows], table


def test_no_release_and_no_file_of_the_study_says_one(world):
    secrets = [one for hidden in secrets_of(world).values() for one in hidden]
    directory = world.release.directory
    opened = open_release(directory)
    for path in directory.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [one for one in secrets if one.encode() in content], path.name
    tables = list(directory.rglob("*.parquet"))
    assert len(tables) > 4
    for path in tables:
        assert not [one for one in secrets if one in str(opened.table(path.stem).to_pylist())], path.name
    for name in ("study_toml", "study_participations_csv", "api_study_protocol"):
        told = said(world["owner"].client().get(world.address(name)))
        assert len(told) > 300
        assert not [one for one in secrets if one in told], name


# --- Participants -------------------------------------------------------------------------------------------


def code_told(reply: HttpResponse) -> set[str]:
    return {outcome for outcome, code in CODES.items() if code in said(reply)}


def test_a_code_is_told_to_whose_way_has_ended_like_that_and_no_other(world):
    someone = join(world.study)
    home = reverse("participation", args=[link_of(someone)])
    pages = [
        reverse(name, args=[link_of(someone)]) for name in PARTICIPANT_PAGES if name.startswith("partic")
    ]
    entry = Client().post(
        world.address("study_entry"), ROUTES["study_entry"].body(world) | {"decision": "decline"}
    )
    assert code_told(entry) == {Outcome.NO_CONSENT}
    assert not set().union(*[code_told(Client().get(page, follow=True)) for page in pages])
    answer_all(someone)
    assert not set().union(*[code_told(Client().get(page, follow=True)) for page in pages])
    flow.finish(participation=someone, survey={})
    assert code_told(Client().get(home)) == {Outcome.COMPLETED}
    another = join(world.study)
    withdraw(participation=another)
    assert code_told(Client().get(reverse("participation", args=[link_of(another)]))) == {Outcome.WITHDRAWN}


def test_a_study_that_has_ended_says_the_code_for_that_alone(world):
    close_study(study=world.study, actor=OPERATOR)
    assert code_told(Client().get(world.address("study_entry"))) == {Outcome.FULL}


def test_the_address_of_a_participation_does_not_say_who_somebody_is(world):
    """What the recruiter's link says goes no further: not into the private link, nor into what it leads to."""
    query = f"?PROLIFIC_PID={'d' * 24}&SESSION_ID={'e' * 24}"
    entry = world.address("study_entry") + query
    page = Client().get(entry)
    assert page["Referrer-Policy"] == "same-origin"
    form = ROUTES["study_entry"].body(world)
    reply = Client().post(entry, form, follow=True)
    assert reply.status_code == 200
    assert Identity.objects.filter(pid_hmac=pid_hmac(world.study, "d" * 24)).exists()
    for told in (said(reply), str(reply.redirect_chain)):
        assert "d" * 24 not in told
        assert "e" * 24 not in told


# --- The token of Prolific ----------------------------------------------------------------------------------


def test_the_token_stays_where_it_is_when_fetching_fails(world, caplog):
    owner = world["owner"]
    job = queue_sync(study=world.study, actor=owner.user)
    with everything_logged(caplog), pytest.raises(DomainError) as failed:
        sync_submissions(study=world.study, actor=owner.user, progress=Progress())
    assert TOKEN not in f"{failed.value} {vars(failed.value)} {caplog.text}"
    # Nor in what a crash would show of the places it came through.
    trace = failed.value.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename != prolific_api.__file__:
            assert TOKEN not in str(trace.tb_frame.f_locals)
        trace = trace.tb_next
    for who in ("owner", "admin"):
        for address in (
            reverse("job", args=[job.pk]),
            reverse("jobs"),
            world.address("study_submissions"),
            world.address("study_recruitment"),
        ):
            reply = world[who].client().get(address)
            assert reply.status_code == 200
            assert TOKEN not in said(reply)
    assert TOKEN not in str(list(Job.objects.values()))


def test_the_token_is_in_no_setting_that_an_error_page_or_a_check_would_print():
    assert TOKEN not in str({name: getattr(settings, name, None) for name in dir(settings) if name.isupper()})


# --- The recruiter's list, uploaded -------------------------------------------------------------------------


def upload(world: World, content: bytes | str, do: str = "show") -> HttpResponse:
    data = content.encode() if isinstance(content, str) else content
    sent = {"export": SimpleUploadedFile("list.csv", data), "do": do}
    return world["owner"].client().post(world.address("study_submissions"), sent)


HEADER = "Submission id,Participant id,Status,Completion code"
ROW = f"{'b' * 24},{NUMBER},AWAITING REVIEW,NOCODE"


@pytest.mark.parametrize(
    ("content", "said_of_it"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff\xfe", "no text in UTF-8"),
        ("\ud7ff\0" * 9, "no column"),
        ("", "empty"),
        ("\n\n\n", "no column"),
        ("Participant id,Status\n", "no column “Submission id”"),
        (f"{HEADER},Status\n{ROW},x\n", "two columns “Status”"),
        (f"{HEADER}\n{ROW}\n{ROW}\n", "twice"),
        (f"{HEADER}\n{NUMBER}\n", "cut off"),
        (f"{HEADER}\n{NUMBER},no id at all,APPROVED,x\n", "no id"),
        (f"{HEADER}\n=cmd|' /C calc'!A0,{NUMBER},APPROVED,x\n", "no id"),
        (f"{HEADER}\n{ROW.replace('AWAITING', 'A' * 10_001)}\n", "too long"),
        (f'{HEADER}\n"{"x" * 200_000}",{NUMBER},APPROVED,x\n', "no line of a csv file"),
        (f"{HEADER}\n{ROW.replace('REVIEW', 'REV' + chr(0) + 'IEW')}\n", "cannot be read"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_file_that_is_no_list_is_refused_keeps_nothing_and_names_nobody(
    world, writes, content, said_of_it, caplog
):
    with everything_logged(caplog), writes() as changes:
        reply = upload(world, content)
    assert (reply.status_code, changes) == (400, [])
    page = reply.content.decode()
    assert said_of_it in page
    assert_guarded(reply)
    assert_plain(reply)
    assert NUMBER not in page + caplog.text


def test_a_huge_file_is_refused_before_it_is_read(world, writes):
    with writes() as changes:
        reply = upload(world, b"\xff" * (payment_pages.MAX_FILE + 1))
    assert (reply.status_code, changes) == (400, [])
    assert "too large" in reply.content.decode()


def test_more_submissions_than_a_study_has_are_refused(world, writes):
    lines = "\n".join(f"{n:024x},{n + 1:024x},APPROVED,x" for n in range(100_001))
    with writes() as changes:
        reply = upload(world, f"{HEADER}\n{lines}\n")
    assert (reply.status_code, changes) == (400, [])


def test_a_list_of_strangers_makes_no_rows_of_them(world):
    lines = "\n".join(f"{n:024x},{n + 1:024x},APPROVED,x" for n in range(50))
    before = Submission.objects.count(), Identity.objects.count(), Participation.objects.count()
    assert upload(world, f"{HEADER}\n{lines}\n").status_code == 200
    assert before == (Submission.objects.count(), Identity.objects.count(), Participation.objects.count())


# --- Files for spreadsheets ---------------------------------------------------------------------------------


def formulas(reply: HttpResponse) -> list[str]:
    """The cells of a csv download that a spreadsheet would carry out."""
    assert reply["Content-Disposition"].startswith("attachment; filename=")
    rows = list(csv.reader(io.StringIO(body(reply).decode(), newline="")))
    assert len(rows) > 1 or reply.request["PATH_INFO"].endswith("/bonuses/")
    return [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("//evil")'])
def test_no_cell_of_any_table_that_is_downloaded_is_a_formula(world, formula):
    """Reasons, levels and comments are a researcher's or a stranger's; statuses and ids are whatever the list says."""
    holder = world["holder"].participation
    Participation.objects.filter(pk=holder.pk).update(
        public_id=formula[:15], invalid_reason=formula, levels={formula: formula}
    )
    # Somebody whose plain link said who they are, as they liked.
    person = join(world.elsewhere, pid=formula)
    answer_all(person)
    protocol = world.elsewhere.protocol
    protocol.content |= {"payment": world.study.protocol.content["payment"], "bonus": "0.25 for everybody"}
    protocol.sha256 = "f" * 64  # what was read of it before is not read again
    protocol.save()
    owner = world["owner"].client()
    listed = owner.post(reverse("study_bonuses", args=[world.elsewhere.slug]))
    assert formula in body(listed).decode().replace('""', '"')
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER.split(","), (SESSION, PID, formula, "NOCODE")])
    replies = [
        listed,
        owner.get(world.address("study_participations_csv"), {"mode": "all"}),
        upload(world, exported(), do="csv"),
    ]
    replies.append(upload(world, text.getvalue(), do="csv"))
    for reply in replies:
        assert reply.status_code == 200
        assert formulas(reply) == []


def test_a_reason_is_shown_as_it_was_written_and_is_no_formula_in_the_file(world):
    reply = world["viewer"].client().get(world.address("study_participations_csv"))
    rows = list(csv.DictReader(io.StringIO(body(reply).decode(), newline="")))
    assert f"'{FORMULA}" in {row["invalid_reason"] for row in rows}
