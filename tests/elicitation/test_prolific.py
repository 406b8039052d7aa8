"""Prolific, case by case: how people arrive, how they come back, how each way ends, and what its list says of them."""

from __future__ import annotations

import csv
import io
import re
import uuid
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elicitation.flow import saving, services
from elicitation.flow.findings import Todo
from elicitation.flow.modes import address, start_preview
from elicitation.flow.reconciling import reconcile
from elicitation.flow.visits import visit_of
from elicitation.flow.withdrawal import withdraw
from elicitation.participants.models import Departure, Identity, Participation, ParticipationEvent
from elicitation.participants.services import decrypted, link_of
from elicitation.recruiters.base import Outcome
from elicitation.recruiters.models import Submission
from elicitation.recruiters.prolific import Listed, read_export
from elicitation.recruiters.services import recruitment_of, set_recruitment
from elicitation.studies.models import Mode, Slot
from elicitation.studies.opening import close_study, open_study, pause_study, start_pilot
from elicitation.studies.protocol import Flow
from elicitation.trials.models import Response
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import set_membership
from hilmix.core.cells import safe_cell
from hilmix.errors import Forbidden, Invalid
from tests.elicitation.answers import CANNOT_TELL, destination

BOXES = {"adult": "on", "agree": "on"}
PID, OTHER = "5f0c1d2e3a4b5c6d7e8f9a0b", "60ffe5c8371090c7041d43f8"
SESSION, SECOND = "aa0c1d2e3a4b5c6d7e8f9a0b", "bb0c1d2e3a4b5c6d7e8f9a0b"


def recruited(study):
    """`study` with people from Prolific."""
    set_recruitment(study=study, recruiter="prolific", options={}, actor=OPERATOR)
    return study


@pytest.fixture
def study(make_study):
    return recruited(make_study("prolific"))


def code(study, outcome: Outcome) -> str:
    return recruitment_of(study).code(outcome)


def codes_in(page, study) -> set[Outcome]:
    """The outcomes whose codes a page shows."""
    text = page.content.decode()
    return {outcome for outcome in Outcome if code(study, outcome) in text}


def entry_of(study, pid=PID, session=SESSION, **more) -> str:
    query = {"PROLIFIC_PID": pid, "STUDY_ID": OTHER, "SESSION_ID": session, **more}
    told = "&".join(f"{name}={value}" for name, value in query.items() if value is not None)
    return f"{reverse('study_entry', args=[study.slug])}?{told}"


def token_of(page) -> str:
    return re.search(r'name="token" value="([^"]+)"', page.content.decode())[1]


def send(at: str, **form):
    client = Client(enforce_csrf_checks=True)
    reply = client.post(at, {"token": token_of(client.get(at)), **form})
    assert not client.cookies
    return reply


def get(at: str):
    return Client().get(at)


def leads_home(reply, participation) -> bool:
    return destination(reply["Location"]) == ("participation", participation)


def home(participation) -> str:
    return reverse("participation", args=[link_of(participation)])


def join(study, pid=PID, session=SESSION, **more) -> Participation:
    reply = send(entry_of(study, pid, session, **more), **BOXES, decision="consent")
    assert reply.status_code == 302, reply.content.decode()
    return Participation.objects.latest("pk")


def give_answers(participation, n=None) -> None:
    positions = list(participation.trials.values_list("position", flat=True))[:n]
    answers = [saving.Incoming(id=uuid.uuid4(), position=place, payload=CANNOT_TELL) for place in positions]
    receipts = saving.save_responses(participation=participation, epoch=1, answers=answers)
    assert {receipt.status for receipt in receipts} == {"created"}


def finish(participation) -> Participation:
    give_answers(participation)
    services.complete(participation=participation)
    services.finish(participation=participation, survey={})
    participation.refresh_from_db()
    return participation


# --- Arriving -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pid", [None, "", "{{%PROLIFIC_PID%}}", "%7B%7B%25PROLIFIC_PID%25%7D%7D", "undefined", "null"]
)
def test_whoever_comes_without_an_id_is_asked_for_it_and_it_is_flagged(study, pid):
    at = entry_of(study, pid)
    assert "Your Prolific id" in get(at).content.decode()
    for typed, said in (("", "could not be paid"), ("me", "24 characters"), (PID[:-1], "24 characters")):
        reply = send(at, **BOXES, **{"recruiter-id": typed}, decision="consent")
        page = reply.content.decode()
        assert (reply.status_code, said in page) == (400, True)
        assert re.search(r'name="agree" checked', page)
        assert f'value="{typed}"' in page
    assert not Participation.objects.exists()
    assert send(at, **BOXES, **{"recruiter-id": f" {PID.upper()} "}, decision="consent").status_code == 302
    identity = Identity.objects.get()
    assert identity.typed
    assert identity.participation.submissions.count() == 1


def test_researchers_read_who_typed_their_id_and_never_the_id(study, owner):
    join(study)
    send(entry_of(study, None, SECOND), **BOXES, **{"recruiter-id": OTHER}, decision="consent")
    told, typed = Participation.objects.order_by("pk")
    pages = [
        owner.get(reverse("study_participation", args=[study.slug, one.public_id])) for one in (told, typed)
    ]
    assert ["typed in by the person" in page.content.decode() for page in pages] == [False, True]
    reply = owner.get(reverse("study_participations_csv", args=[study.slug])).content.decode()
    rows = {row["participation"]: row["typed_id"] for row in csv.DictReader(io.StringIO(reply))}
    assert rows == {told.public_id: "no", typed.public_id: "yes"}
    assert OTHER not in reply + pages[1].content.decode()


def test_whoever_comes_with_an_id_is_not_asked_for_it(study):
    assert "Your Prolific id" not in get(entry_of(study)).content.decode()
    join(study)
    assert not Identity.objects.get().typed


def test_whoever_typed_their_id_is_known_by_it_and_by_the_link_that_knows_it(study):
    at = entry_of(study, None)
    send(at, **BOXES, **{"recruiter-id": PID}, decision="consent")
    person = Participation.objects.get()
    # Another browser, again without an id: the stay is the same.
    assert leads_home(get(at), person)
    # Another stay, again without an id: anybody could type it, and only the recruiter's link tells who comes.
    reply = send(entry_of(study, None, SECOND), **BOXES, **{"recruiter-id": PID}, decision="consent")
    assert (reply.status_code, "with this id already" in reply.content.decode()) == (400, True)
    assert link_of(person).split(":")[0] not in reply.content.decode()
    assert leads_home(get(entry_of(study, PID, None)), person)
    assert Participation.objects.count() == 1


def test_reloading_and_going_back_and_another_device_lead_to_the_same_participation(study):
    person = join(study)
    again = send_again = entry_of(study)
    for _ in range(3):
        assert leads_home(get(again), person)
    reply = Client().post(send_again, {**BOXES, "decision": "consent"})
    assert leads_home(reply, person)
    give_answers(person, 2)
    assert 'id="config"' in get(home(person)).content.decode()
    person.refresh_from_db()
    assert (person.epoch, Participation.objects.count(), Submission.objects.count()) == (1, 1, 1)


def test_whoever_returned_and_comes_back_goes_on_and_both_stays_are_kept(study):
    person = join(study)
    give_answers(person, 2)
    assert leads_home(get(entry_of(study, session=SECOND)), person)
    assert person.submissions.count() == 2
    assert Participation.objects.count() == 1


def test_a_stay_that_comes_again_under_another_id_goes_on_where_it_was(study):
    person = join(study)
    assert leads_home(get(entry_of(study, pid=OTHER)), person)
    assert Identity.objects.count() == 1


def test_whoever_took_part_in_an_excluded_study_is_told_so_before_consenting(make_study, study, owner):
    earlier = recruited(make_study("earlier"))
    join(earlier)
    set_recruitment(study=study, recruiter="prolific", options={}, excludes=[earlier], actor=OPERATOR)
    page = get(entry_of(study))
    assert "You took part in an earlier study" in page.content.decode()
    assert codes_in(page, study) == {Outcome.EXCLUDED}
    reply = send(entry_of(study, None, None), **BOXES, **{"recruiter-id": PID}, decision="consent")
    assert codes_in(reply, study) == {Outcome.EXCLUDED}
    assert [one.outcome for one in Departure.objects.all()] == ["excluded", "excluded"]
    monitor = owner.get(reverse("study_monitor", args=[study.slug])).content.decode()
    assert "took part in an excluded study; counted each time" in monitor
    assert not study.participations.exists()
    assert "Ethics approval" in get(entry_of(study, OTHER, SECOND)).content.decode()


def test_without_a_list_of_studies_everybody_may_come_again(make_study, study):
    join(recruited(make_study("earlier")))
    assert join(study).study == study


# --- How a way ends -----------------------------------------------------------------------------------------


def test_no_code_reaches_the_browser_before_it_is_due(study):
    assert codes_in(get(entry_of(study)), study) == set()
    person = join(study)
    pages = [home(person), f"{home(person)}problem/", f"{home(person)}withdraw/", f"{home(person)}device/"]
    for page in pages:
        assert codes_in(get(page), study) == set(), page
    give_answers(person)
    services.complete(participation=person)
    assert codes_in(get(f"{home(person)}survey/"), study) == set()
    assert send(f"{home(person)}survey/").status_code == 302
    assert codes_in(get(home(person)), study) == {Outcome.COMPLETED}


def test_whoever_finishes_gets_the_studys_code_and_a_button_that_takes_it_along(study):
    person = finish(join(study))
    page = get(home(person)).content.decode()
    due = code(study, Outcome.COMPLETED)
    assert f'href="https://app.prolific.com/submissions/complete?cc={due}"' in page
    assert "Back to Prolific" in page
    assert person.completion_code not in page


def test_with_a_direct_link_everybody_has_a_code_of_their_own(make_study):
    study = make_study("direct")
    first, second = (finish(join(study, None, None)) for _ in range(2))
    assert first.completion_code != second.completion_code
    page = get(home(first)).content.decode()
    assert first.completion_code in page
    assert "prolific" not in page.lower()


def test_whoever_finished_and_opens_the_link_again_reads_the_same_thanks(study):
    person = finish(join(study))
    address = home(person)
    before = get(address).content
    reply = get(entry_of(study, session=SECOND))
    assert leads_home(reply, person)
    assert get(address).content == before
    assert Participation.objects.count() == 1


def test_declining_gives_the_code_for_it_and_counts_it(study):
    reply = send(entry_of(study), **BOXES, decision="decline")
    assert codes_in(reply, study) == {Outcome.NO_CONSENT}
    assert "Back to Prolific" in reply.content.decode()
    assert [(one.outcome, one.mode) for one in Departure.objects.all()] == [("no_consent", "live")]
    assert not Identity.objects.exists()
    assert not Submission.objects.exists()


def test_whoever_needs_no_id_to_decline_is_not_asked_for_it(study):
    assert send(entry_of(study, None), decision="decline").status_code == 200


def test_a_failed_check_gives_the_code_for_it(study):
    person = join(study)
    Participation.objects.update(state=Participation.State.DECLINED)
    assert codes_in(get(home(person)), study) == {Outcome.FAILED_CHECK}


def test_a_full_study_gives_the_code_for_it_and_counts_it(make_study):
    study = recruited(make_study("tiny", n_mixed_images=6, trials_per_person=6, answers_per_unit=1))
    join(study)
    reply = send(entry_of(study, OTHER, SECOND), **BOXES, decision="consent")
    assert codes_in(reply, study) == {Outcome.FULL}
    assert [one.outcome for one in Departure.objects.all()] == ["full"]
    assert Participation.objects.count() == 1


def test_a_study_that_is_paused_or_closed_gives_the_code_of_a_full_one(study):
    person = join(study)
    pause_study(study=study, actor=OPERATOR)
    assert codes_in(get(entry_of(study, OTHER, SECOND)), study) == {Outcome.FULL}
    assert leads_home(get(entry_of(study)), person)
    close_study(study=study, actor=OPERATOR)
    assert codes_in(get(home(person)), study) == {Outcome.FULL}
    assert not Departure.objects.exists()


def test_whoever_was_answering_when_the_study_closed_is_not_sent_away_like_a_latecomer(study):
    person = join(study)
    give_answers(person, 5)
    close_study(study=study, actor=OPERATOR)
    page = get(home(person))
    assert codes_in(page, study) == {Outcome.ENDED}
    assert "give your place" not in page.content.decode()
    assert "ended before you could finish" in page.content.decode()


@pytest.mark.parametrize("withdrawal", ["delete", "anonymise"])
@pytest.mark.parametrize("finished", [False, True])
def test_withdrawing_keeps_the_code_of_who_had_finished_and_gives_others_that_for_it(
    make_study, withdrawal, finished
):
    study = recruited(make_study("leaving", flow=Flow(withdrawal=withdrawal)))
    person = join(study)
    if finished:
        finish(person)
    assert leads_home(send(f"{home(person)}withdraw/"), person)
    due = Outcome.COMPLETED if finished else Outcome.WITHDRAWN
    assert codes_in(get(home(person)), study) == {due}
    assert not Submission.objects.exists()
    assert not Identity.objects.exists()


def test_the_code_for_lost_answers_is_shown_only_once_the_browser_has_told_of_them(study):
    person = join(study)
    problem = f"{home(person)}problem/"
    assert codes_in(get(problem), study) == set()
    ParticipationEvent.objects.create(id=uuid.uuid4(), participation=person, kind="data_problem")
    assert codes_in(get(problem), study) == {Outcome.DATA_PROBLEM}
    finish(person)
    assert codes_in(get(problem), study) == set()


def test_with_a_direct_link_lost_answers_have_a_word_instead_of_a_code(make_study):
    person = join(make_study("direct"), None, None)
    ParticipationEvent.objects.create(id=uuid.uuid4(), participation=person, kind="data_problem")
    assert "DATA_PROBLEM" in get(f"{home(person)}problem/").content.decode()


# --- A window that is too narrow ----------------------------------------------------------------------------


@pytest.fixture
def wide(make_study):
    return recruited(make_study("wide", flow=Flow(min_width_px=800)))


def test_only_a_study_that_needs_a_wide_window_looks_at_it(study, wide):
    for one, looks in ((study, False), (wide, True)):
        page = get(home(join(one))).content.decode()
        assert ("device.js" in page, 'data-least-width="800"' in page) == (looks, looks)


def test_leaving_for_the_device_keeps_nothing_but_that_and_gives_the_place_back(wide):
    person = join(wide)
    slot = person.slot
    assert "at least 800 pixels" in get(f"{home(person)}device/").content.decode()
    reply = send(f"{home(person)}device/")
    page = get(reply["Location"])
    assert codes_in(page, wide) == {Outcome.WRONG_DEVICE}
    assert "does not fit this device" in page.content.decode()
    assert not Participation.objects.exists()
    assert not Identity.objects.exists()
    assert not Submission.objects.exists()
    assert Slot.objects.get(pk=slot.pk).state == Slot.State.FREE
    assert [one.outcome for one in Departure.objects.all()] == ["wrong_device"]
    # On a computer they are welcome.
    assert join(wide).state == Participation.State.RUNNING


def test_whoever_has_begun_to_answer_cannot_lose_it_by_leaving(wide):
    person = join(wide)
    token = token_of(get(f"{home(person)}device/"))
    give_answers(person, 1)
    assert "Leave the study" not in get(f"{home(person)}device/").content.decode()
    assert Client().post(f"{home(person)}device/", {"token": token}).status_code == 409
    assert Response.objects.count() == 1
    assert not Departure.objects.exists()


@pytest.mark.parametrize("least_px", [0, 800])
def test_nobody_gets_new_rounds_of_the_check_by_leaving_for_the_device(make_study, least_px):
    study = recruited(make_study("checked", flow=Flow(min_width_px=least_px)))
    person = join(study)
    ParticipationEvent.objects.create(id=uuid.uuid4(), participation=person, kind="comprehension", data={})
    token = visit_of(link=link_of(person)).token_for("device")
    reply = Client().post(f"{home(person)}device/", {"token": token})
    assert reply.status_code == (409 if least_px else 302)
    assert Participation.objects.filter(pk=person.pk).exists()
    assert not Departure.objects.exists()


def test_where_every_window_is_wide_enough_nobody_leaves_for_the_device(study):
    person = join(study)
    token = visit_of(link=link_of(person)).token_for("device")
    for reply in (Client().post(f"{home(person)}device/", {"token": token}), get(f"{home(person)}device/")):
        assert destination(reply["Location"]) == ("participation", person)
    assert Participation.objects.filter(pk=person.pk).exists()


@pytest.mark.parametrize("cut", [1, 5])
def test_a_code_for_having_left_cannot_be_made_up(study, wide, cut):
    reply = send(f"{home(join(wide))}device/")
    token = reply["Location"].partition("left=")[2]
    for at, left in ((wide, token[:-cut]), (wide, "x"), (study, token)):
        page = get(f"{reverse('study_entry', args=[at.slug])}?left={left}")
        assert (page.status_code, codes_in(page, at)) == (404, set())


# --- Pilot and preview --------------------------------------------------------------------------------------


def test_a_pilot_may_go_without_an_id_and_counts_apart(make_study):
    study = recruited(make_study("piloted", opened=False))
    assert get(entry_of(study)).status_code == 404
    start_pilot(study=study, places=4, actor=OPERATOR)
    assert get(entry_of(study)).status_code == 404
    pilot = address(study, Mode.PILOT)
    assert "You may leave this empty" in get(pilot).content.decode()
    assert send(pilot, **BOXES, decision="consent").status_code == 302
    assert not Identity.objects.exists()
    send(pilot, **BOXES, decision="decline")
    assert [one.mode for one in Departure.objects.all()] == ["pilot"]
    told = f"{pilot}&PROLIFIC_PID={PID}&SESSION_ID={SESSION}"
    assert send(told, **BOXES, decision="consent").status_code == 302
    assert set(study.participations.values_list("mode", flat=True)) == {"pilot"}
    assert Identity.objects.count() == 1


def test_a_preview_asks_for_no_id_says_what_it_is_and_gives_no_code(make_study):
    study = recruited(make_study("previewed", opened=False))
    start_preview(study=study, actor=OPERATOR)
    preview = address(study, Mode.PREVIEW)
    page = get(preview).content.decode()
    assert "Preview: what you answer here counts for nothing" in page
    assert "Your Prolific id" not in page
    problem = re.search(r'href="([^"]*/problem/[^"]*)"', page)[1].replace("&amp;", "&")
    assert get(problem).status_code == 200
    assert send(problem, text="Grey.").status_code == 302
    assert codes_in(send(preview, decision="decline"), study) == set()
    assert not Departure.objects.exists()
    assert send(f"{preview}&PROLIFIC_PID={PID}", **BOXES, decision="consent").status_code == 302
    person = finish(Participation.objects.get())
    assert (person.mode, Identity.objects.exists()) == (Mode.PREVIEW, False)
    page = get(home(person))
    assert "Preview: what you answer here" in page.content.decode()
    assert "In a preview there is no completion code" in page.content.decode()
    assert codes_in(page, study) == set()
    assert person.completion_code not in page.content.decode()


@pytest.mark.parametrize("token", ["x", "preview", "a:b:c", "%00"])
def test_a_mode_that_was_not_signed_for_is_not_found(study, token):
    assert get(f"{entry_of(study)}&as={token}").status_code == 404


# --- What Prolific exports ----------------------------------------------------------------------------------


HEADER = (
    "Submission id,Participant id,Status,Custom study tncs accepted at,Started at,Completed at,Reviewed at,"
    "Archived at,Time taken,Completion code,Total approvals,Age,Sex"
)


def line(session=SESSION, pid=PID, status="AWAITING REVIEW", code="", age="31") -> str:
    return (
        f"{session},{pid},{status},Not Applicable,2026-10-20T10:00:00.000000Z,2026-10-20T10:20:00.000000Z,,,"
        f"1200,{code},57,{age},Female"
    )


def test_the_list_is_read_as_prolific_writes_it():
    text = "\ufeff" + "\r\n".join(
        [HEADER, line(code="C1ABCDEF"), line(SECOND, OTHER.upper(), "TIMED_OUT"), ""]
    )
    first, second = read_export(text)
    assert (first.session, first.pid, first.status, first.code) == (
        SESSION,
        PID,
        "AWAITING REVIEW",
        "C1ABCDEF",
    )
    assert (second.pid, second.status, second.code) == (OTHER, "TIMED-OUT", "")


def test_columns_may_stand_anywhere_and_be_joined_by_others():
    text = f'Extra,Status,Completion code,participant ID,"Submission id"\n"a,\nb",RETURNED,,{PID},{SESSION}\n'
    assert read_export(text) == [Listed(SESSION, PID, "RETURNED", "")]


def test_a_status_that_nobody_knows_yet_is_kept():
    (row,) = read_export(f"{HEADER}\n{line(status='PARTIALLY APPROVED')}")
    assert row.status == "PARTIALLY APPROVED"


@pytest.mark.parametrize("missing", ["Submission id", "Participant id", "Status", "Completion code"])
def test_a_list_that_lacks_a_column_is_refused_by_its_name(missing):
    with pytest.raises(Invalid, match=f"no column “{missing}”"):
        read_export(f"{HEADER.replace(missing, 'Something')}\n{line()}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column"),
        ("\n\n", "no column"),
        (f"{HEADER},Status\n{line()},x", "two columns “Status”"),
        (f"{HEADER}\n{line(session='')}", "Line 2"),
        (f"{HEADER}\n{line(pid='=1+1')}", "Line 2"),
        (f"{HEADER}\n{line()}\n{SECOND},{OTHER}", "Line 3 is cut off"),
        (f"{HEADER}\n{line()}\n{line()}", "twice"),
        (f"{HEADER}\n{line(code='x' * 20_000)}", "too long"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_without_naming_anybody(text, said):
    with pytest.raises(Invalid, match=said) as refused:
        read_export(text)
    assert PID not in refused.value.message


@given(st.text())
def test_no_text_whatsoever_breaks_the_reading_of_a_list(text):
    for one in (text, f"{HEADER}\n{text}", f"{HEADER}\n{line()}{text}"):
        try:
            rows = read_export(one)
        except Invalid:
            continue
        assert all(re.fullmatch("[0-9a-f]{24}", row.pid) for row in rows)


# --- Their list beside ours ---------------------------------------------------------------------------------


def found(study, *rows: Listed):
    return {
        finding.session: finding for finding in reconcile(study=study, rows=rows, actor=OPERATOR).findings
    }


def the_one(study, status, code=""):
    return found(study, Listed(SESSION, PID, status, code))[SESSION]


CASES = {
    "finished with the code": ("all", "AWAITING REVIEW", "completed", Todo.APPROVE, "Finished"),
    "finished without a code": ("all", "AWAITING REVIEW", "NOCODE", Todo.APPROVE, "NOCODE"),
    "finished and an empty code": ("all", "AWAITING REVIEW", "", Todo.APPROVE, "NOCODE"),
    "finished with a wrong code": ("all", "AWAITING REVIEW", "full", Todo.APPROVE, "another code"),
    "timed out but finished": ("all", "TIMED-OUT", "", Todo.PAY_BY_HAND, "Timed out, but finished"),
    "returned but finished": ("all", "RETURNED", "", Todo.PAY_BY_HAND, "Returned, but finished"),
    "rejected but finished": ("all", "REJECTED", "completed", Todo.LOOK, "Rejected"),
    "finished and not sent off": ("all", "ACTIVE", "", Todo.WAIT, "not sent it off"),
    "paid": ("all", "APPROVED", "completed", Todo.NOTHING, "Decided"),
    "a status of its own": ("all", "SCREENED OUT", "", Todo.NOTHING, "decides nothing"),
    "left early": (2, "AWAITING REVIEW", "NOCODE", Todo.ASK_TO_RETURN, "Left early"),
    "left early with the code": (2, "AWAITING REVIEW", "completed", Todo.LOOK, "has not finished"),
    "lost answers": (2, "AWAITING REVIEW", "data_problem", Todo.LOOK, "Says that"),
    "the study was closed": (2, "AWAITING REVIEW", "ended", Todo.LOOK, "closed while they answered"),
    "found it closed with answers": (2, "AWAITING REVIEW", "full", Todo.LOOK, "closed while they answered"),
    "found it full without answers": (0, "AWAITING REVIEW", "full", Todo.ASK_TO_RETURN, "Left early"),
    "on the way": (2, "ACTIVE", "", Todo.WAIT, "Taking part"),
    "returned": (2, "RETURNED", "", Todo.NOTHING, "free again"),
    "timed out": (2, "TIMED-OUT", "", Todo.NOTHING, "free again"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_to_do_about_somebody_who_took_part(study, case):
    answered, status, outcome, todo, reason = CASES[case]
    person = join(study)
    if answered == "all":
        finish(person)
    elif answered:
        give_answers(person, answered)
    code_typed = code(study, Outcome(outcome)) if outcome in set(Outcome) else outcome
    finding = the_one(study, status, code_typed)
    assert (finding.todo, reason in finding.reason) == (todo, True), finding.reason
    assert finding.public_id == person.public_id
    assert f"{6 if answered == 'all' else answered} of 6 answers" in finding.held


def test_what_to_do_about_somebody_who_failed_the_check(study):
    join(study)
    Participation.objects.update(state=Participation.State.DECLINED)
    assert the_one(study, "AWAITING REVIEW", code(study, Outcome.FAILED_CHECK)).todo == Todo.ASK_TO_RETURN


@pytest.mark.parametrize(
    ("status", "outcome", "todo", "reason"),
    [
        ("AWAITING REVIEW", "no_consent", Todo.ASK_TO_RETURN, "did not consent"),
        ("AWAITING REVIEW", "wrong_device", Todo.ASK_TO_RETURN, "device"),
        ("AWAITING REVIEW", "completed", Todo.LOOK, "withdrew"),
        ("AWAITING REVIEW", "ended", Todo.LOOK, "withdrew"),
        ("AWAITING REVIEW", "", Todo.LOOK, "Unknown"),
        ("ACTIVE", "", Todo.WAIT, "Has not consented yet"),
        ("RETURNED", "", Todo.NOTHING, "Unknown"),
    ],
)
def test_what_to_do_about_somebody_of_whom_nothing_is_held(study, status, outcome, todo, reason):
    finding = the_one(study, status, code(study, Outcome(outcome)) if outcome else "")
    assert (finding.todo, reason in finding.reason) == (todo, True), finding.reason
    assert not Submission.objects.exists()


def test_whoever_finished_and_withdrew_is_not_tied_to_their_answers_again(study):
    person = finish(join(study))
    withdraw(participation=person)
    finding = the_one(study, "AWAITING REVIEW", code(study, Outcome.COMPLETED))
    assert (finding.public_id, finding.todo) == ("", Todo.LOOK)
    assert not Submission.objects.exists()


def test_whoever_finished_here_and_is_not_in_the_list_is_named(study):
    finish(join(study))
    join(study, OTHER, SECOND)
    (finding,) = reconcile(study=study, rows=[], actor=OPERATOR).findings
    assert (finding.pid, finding.todo) == (PID, Todo.LOOK)
    assert "not in the list" in finding.reason


def test_somebody_invalid_is_paid_like_anybody_and_says_so(study):
    person = finish(join(study))
    Participation.objects.filter(pk=person.pk).update(invalid_at=timezone.now())
    finding = the_one(study, "AWAITING REVIEW", code(study, Outcome.COMPLETED))
    assert finding.todo == Todo.APPROVE
    assert "marked invalid" in finding.held


@pytest.mark.parametrize(
    ("status", "freed"), [("RETURNED", True), ("TIMED-OUT", True), ("ACTIVE", False), ("REJECTED", False)]
)
def test_the_place_of_somebody_who_is_gone_is_free_and_their_answers_stay(study, status, freed):
    person = join(study)
    give_answers(person, 2)
    Response.objects.update(received_at=timezone.now() - timedelta(hours=1))
    slot = person.slot
    the_one(study, status)
    person.refresh_from_db()
    assert (person.slot is None) == freed
    assert (Slot.objects.get(pk=slot.pk).state == Slot.State.FREE) == freed
    assert person.state == Participation.State.RUNNING
    assert Response.objects.count() == 2
    # Whoever is back goes on; a place that is still free is theirs again.
    assert 'id="config"' in get(home(person)).content.decode()
    person.refresh_from_db()
    assert person.slot is not None


def test_whoever_timed_out_keeps_the_place_while_answers_come_in(study):
    person = join(study)
    give_answers(person, 2)
    the_one(study, "TIMED-OUT")
    person.refresh_from_db()
    assert person.slot is not None


def test_whoever_returned_and_came_back_keeps_the_place(study):
    person = join(study)
    get(entry_of(study, session=SECOND))
    the_one(study, "RETURNED")
    person.refresh_from_db()
    assert person.slot is not None, "the second stay is in no list yet"
    found(study, Listed(SESSION, PID, "RETURNED", ""), Listed(SECOND, PID, "ACTIVE", ""))
    person.refresh_from_db()
    assert person.slot is not None
    found(study, Listed(SESSION, PID, "RETURNED", ""), Listed(SECOND, PID, "RETURNED", ""))
    person.refresh_from_db()
    assert person.slot is None


@pytest.mark.parametrize("status", ["RETURNED", "TIMED-OUT"])
def test_the_place_of_somebody_whose_answers_are_all_here_is_not_given_away(study, status):
    person = join(study)
    give_answers(person)
    Response.objects.update(received_at=timezone.now() - timedelta(hours=1))
    the_one(study, status)
    person.refresh_from_db()
    assert (person.state, person.slot is None) == (Participation.State.RUNNING, False)


@pytest.mark.parametrize(
    ("first", "second", "todos"),
    [
        ("RETURNED", "AWAITING REVIEW", (Todo.NOTHING, Todo.APPROVE)),
        ("RETURNED", "APPROVED", (Todo.NOTHING, Todo.NOTHING)),
        ("TIMED-OUT", "ACTIVE", (Todo.NOTHING, Todo.WAIT)),
        ("RETURNED", "RETURNED", (Todo.PAY_BY_HAND, Todo.PAY_BY_HAND)),
        ("APPROVED", "AWAITING REVIEW", (Todo.NOTHING, Todo.LOOK)),
        ("RETURNED", None, (Todo.WAIT, None)),
    ],
)
def test_whoever_finished_in_a_later_stay_is_paid_once(study, first, second, todos):
    person = join(study)
    get(entry_of(study, session=SECOND))
    finish(person)
    rows = [Listed(SESSION, PID, first, "")] + ([Listed(SECOND, PID, second, "")] if second else [])
    said = found(study, *rows)
    assert tuple(said[one].todo if one in said else None for one in (SESSION, SECOND)) == todos


def test_whoever_finished_the_pilot_is_neither_let_in_nor_paid_for_the_study(make_study):
    study = recruited(make_study("tried", opened=False))
    start_pilot(study=study, places=2, actor=OPERATOR)
    pilot = address(study, Mode.PILOT)
    send(f"{pilot}&PROLIFIC_PID={PID}&SESSION_ID={SESSION}", **BOXES, decision="consent")
    finish(Participation.objects.get())
    open_study(study=study, actor=OPERATOR)
    assert codes_in(get(entry_of(study, session=SECOND)), study) == {Outcome.EXCLUDED}
    said = found(study, Listed(SECOND, PID, "AWAITING REVIEW", code(study, Outcome.COMPLETED)))
    assert (said[SECOND].todo, "pilot" in said[SECOND].reason) == (Todo.LOOK, True)
    assert reconcile(study=study, rows=[], actor=OPERATOR).findings == []


def test_a_mistyped_id_is_put_right_by_the_list(study):
    send(entry_of(study, None), **BOXES, **{"recruiter-id": OTHER}, decision="consent")
    the_one(study, "ACTIVE")
    identity = Identity.objects.get()
    assert (decrypted(identity.pid_ciphertext), identity.typed) == (PID, False)


def test_what_to_do_is_said_again_from_the_statuses_that_were_fetched(study, owner):
    finish(join(study))
    half = join(study, OTHER, SECOND)
    give_answers(half, 2)
    rows = [Listed(SESSION, PID, "AWAITING REVIEW", "X"), Listed(SECOND, OTHER, "AWAITING REVIEW", "X")]
    reconcile(study=study, rows=rows, actor=OPERATOR)
    reply = owner.post(reverse("study_submissions", args=[study.slug]), {"do": "kept"})
    said = {finding.pid: finding for finding in reply.context["result"].findings}
    assert {pid: one.todo for pid, one in said.items()} == {PID: Todo.APPROVE, OTHER: Todo.LOOK}
    assert said[PID].reason == "Finished."
    assert PID in reply.content.decode()
    assert AuditEvent.objects.get(action="study.submissions_shown").detail == {"n": 2}


def test_a_finished_place_is_not_given_away_whatever_the_list_says(study):
    person = finish(join(study))
    the_one(study, "RETURNED")
    person.refresh_from_db()
    assert person.slot.state == Slot.State.FILLED


def test_a_status_is_kept_as_it_is_said_and_the_same_list_again_changes_nothing(study):
    person = join(study, session=None)
    rows = [Listed(SESSION, PID, "SCREENED OUT", "")]
    first = reconcile(study=study, rows=rows, actor=OPERATOR)
    kept = list(Submission.objects.values())
    assert [(one["status"], one["participation_id"]) for one in kept] == [("SCREENED OUT", person.pk)]
    assert reconcile(study=study, rows=rows, actor=OPERATOR) == first
    assert list(Submission.objects.values()) == kept


def test_a_longer_list_takes_no_more_queries(make_study, django_assert_max_num_queries):
    study = recruited(make_study("long", answers_per_unit=10))
    rows = []
    for n in range(12):
        pid, session = f"{n:024x}", f"{n + 1000:024x}"
        person = join(study, pid, session)
        if n % 2:
            finish(person)
        rows.append(Listed(session, pid, "AWAITING REVIEW", ""))
    with django_assert_max_num_queries(30) as few:
        reconcile(study=study, rows=rows[:2], actor=OPERATOR)
    with django_assert_max_num_queries(len(few)):
        reconcile(study=study, rows=[Listed(r.session, r.pid, "APPROVED", "") for r in rows], actor=OPERATOR)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(text=st.text(max_size=30))
def test_no_cell_of_a_download_is_a_formula(text):
    assert not safe_cell(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert safe_cell(text).removeprefix("'") == text.removeprefix("'")


# --- The pages ----------------------------------------------------------------------------------------------


@pytest.fixture
def owner(study):
    user = User.objects.create(username="rosa", kind=User.Kind.RESEARCHER)
    set_membership(person=user, study=study, part="owner", actor=OPERATOR)
    browser = Client()
    browser.force_login(user)
    return browser


def upload(text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("prolific.csv", text.encode(), "text/csv")


def test_an_owner_uploads_the_list_and_reads_what_to_do(study, owner):
    finish(join(study))
    at = reverse("study_submissions", args=[study.slug])
    assert PID not in owner.get(at).content.decode()
    reply = owner.post(at, {"export": upload(f"{HEADER}\n{line(code='NOCODE')}"), "do": "show"})
    page = reply.content.decode()
    assert PID in page
    assert "Came back without a code (NOCODE); all answers are here." in page
    assert "no-store" in reply["Cache-Control"]
    event = AuditEvent.objects.get(action="study.submissions_read")
    assert event.detail == {"n": 1, "freed": 0}
    assert "AWAITING REVIEW" in owner.get(at).content.decode()


def test_the_answer_as_csv_says_the_same(study, owner):
    finish(join(study))
    at = reverse("study_submissions", args=[study.slug])
    reply = owner.post(at, {"export": upload(f"{HEADER}\n{line(status='=CMD()')}"), "do": "csv"})
    rows = list(csv.DictReader(io.StringIO(reply.content.decode())))
    assert (rows[0]["Participant id"], rows[0]["Status"]) == (PID, "'=CMD()")
    assert rows[0]["What is here"].startswith("6 of 6 answers")


@pytest.mark.parametrize("sent", ["", "nothing", "\xff\xfe".encode("latin-1"), f"{HEADER}\n{line(pid='x')}"])
def test_a_file_that_is_no_list_is_refused_beside_its_field(study, owner, sent):
    at = reverse("study_submissions", args=[study.slug])
    file = SimpleUploadedFile("a.csv", sent if isinstance(sent, bytes) else sent.encode())
    reply = owner.post(at, {"export": file, "do": "show"})
    assert reply.status_code == 400
    assert "errorlist" in reply.content.decode()
    assert owner.post(at, {"do": "show"}).status_code == 400
    assert not AuditEvent.objects.filter(action="study.submissions_read").exists()


def test_an_editor_sees_no_ids(study):
    editor = User.objects.create(username="ed", kind=User.Kind.RESEARCHER)
    set_membership(person=editor, study=study, part="editor", actor=OPERATOR)
    browser = Client()
    browser.force_login(editor)
    for name in ("study_submissions", "study_recruitment", "study_bonuses"):
        assert browser.get(reverse(name, args=[study.slug])).status_code == 403
    with pytest.raises(Forbidden):
        reconcile(study=study, rows=[], actor=editor)


def test_an_owner_chooses_the_recruiter_and_finds_address_and_codes_to_paste(make_study, owner, study):
    fresh = make_study("fresh")
    set_membership(person=User.objects.get(username="rosa"), study=fresh, part="owner", actor=OPERATOR)
    at = reverse("study_recruitment", args=[fresh.slug])
    page = owner.get(at).content.decode()
    drawn = re.search(r'name="code_full" value="([^"]+)"', page)[1]
    assert (
        owner.post(at, {"recruiter": "prolific", "code_full": drawn, "excludes": [study.pk]}).status_code
        == 302
    )
    assert code(fresh, Outcome.FULL) == drawn
    page = owner.get(at).content.decode()
    assert (
        "/s/fresh/?PROLIFIC_PID={{%PROLIFIC_PID%}}&amp;STUDY_ID={{%STUDY_ID%}}&amp;SESSION_ID={{%SESSION_ID%}}"
        in page
    )
    assert all(code(fresh, outcome) in page for outcome in Outcome)
    assert re.search(rf'value="{study.pk}"[^>]* checked', page)
    reply = owner.post(at, {"recruiter": "prolific", "code_full": "a b", "study_id": "x"})
    assert reply.status_code == 400
    assert reply.content.decode().count("errorlist") == 2
    assert code(fresh, Outcome.FULL) == drawn
