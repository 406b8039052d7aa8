"""The participant's pages: one person's way by forms and links, without a cookie, and what each page says."""

from __future__ import annotations

import re
import time
import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from elicitation.flow import saving, services
from elicitation.flow.visits import TOKEN_LIFETIME, TOKEN_SALT
from elicitation.participants.models import Consent, Participation, ProblemReport
from elicitation.participants.services import MAX_REPORTS, MAX_REPORTS_A_DAY, link_of
from elicitation.studies.models import Protocol, Source, Study
from elicitation.studies.opening import close_study, pause_study
from elicitation.studies.services import change_texts
from elicitation.studies.texts import text_hashes
from hilmix.accounts.roles import OPERATOR
from tests.elicitation.answers import CANNOT_TELL, destination

BOXES = {"adult": "on", "agree": "on"}
DESIGN_OF_V1 = (
    "n_mixed_images",
    "lambdas_e4",
    "trials_per_person",
    "repeats",
    "answers_per_unit",
    "seed",
    "same_class",
    "lease_minutes",
)


@pytest.fixture
def client(study):
    """A browser that nothing is known of; whatever it is sent must set no cookie."""
    browser = Client(enforce_csrf_checks=True)
    yield browser
    assert not browser.cookies


def token_of(page) -> str:
    return re.search(r'name="token" value="([^"]+)"', page.content.decode())[1]


def send(client: Client, address: str, **form: str):
    """Fill in the form at `address` and send it, as a browser does."""
    return client.post(address, {"token": token_of(client.get(address)), **form})


def test_a_cookie_that_a_browser_still_has_is_neither_read_nor_taken_away(study):
    joined_at = page_of("participation", joined(study))
    for address in (entry_of(study), joined_at):
        browser = Client()
        browser.cookies[settings.SESSION_COOKIE_NAME] = "left-by-somebody"
        reply = browser.get(address)
        assert reply.status_code == 200
        assert not reply.cookies
        assert "Cookie" not in reply.headers.get("Vary", "")


def entry_of(study: Study) -> str:
    return reverse("study_entry", args=[study.slug])


def page_of(name: str, participation: Participation) -> str:
    return reverse(name, args=[link_of(participation)])


def joined(study: Study, **form: str) -> Participation:
    reply = send(Client(), entry_of(study), **(form or BOXES), decision="consent")
    assert reply.status_code == 302, reply.content.decode()
    return Participation.objects.latest("pk")


def answered(study: Study) -> Participation:
    """A participation whose planned answers are all held."""
    participation = joined(study)
    answers = [
        saving.Incoming(id=uuid.uuid4(), position=trial.position, payload=CANNOT_TELL, rt_ms=900)
        for trial in participation.trials.all()
    ]
    for start in range(0, len(answers), 20):
        receipts = saving.save_responses(
            participation=participation, epoch=1, answers=answers[start : start + 20]
        )
        assert {receipt.status for receipt in receipts} == {"created"}, receipts
    assert services.complete(participation=participation) == []
    participation.refresh_from_db()
    return participation


@pytest.fixture
def person(study):
    return joined(study)


# --- Consent ------------------------------------------------------------------------------------------------


def test_the_entry_says_what_people_must_know_and_asks_for_each_consent_by_itself(client, study):
    page = client.get(entry_of(study)).content.decode()
    for said in ("Who is responsible", "Legal basis", "Ethics approval", "Until 30 days after you begin"):
        assert said in page
    assert "How long you look and answer is stored." in page
    assert len(re.findall('type="checkbox"', page)) == 4
    assert len(re.findall(r'type="checkbox"[^>]* required', page)) == 2
    assert Participation.objects.count() == 0


def test_taking_part_goes_without_the_consents_that_are_ones_own_choice(study):
    consent = joined(study).consent
    assert (consent.publish, consent.contact) == (False, False)
    consent = joined(study, **BOXES, publish="on", contact="on").consent
    assert (consent.publish, consent.contact) == (True, True)
    assert consent.boxes == {"adult": True, "agree": True, "publish": True, "contact": True}


def test_a_box_that_is_needed_is_asked_for_beside_it_and_the_others_stay_ticked(client, study):
    reply = send(client, entry_of(study), agree="on", contact="on", decision="consent")
    page = reply.content.decode()
    assert reply.status_code == 400
    assert 'id="error_adult"' in page
    assert 'id="error_agree"' not in page
    assert re.search(r'name="agree" checked', page)
    assert re.search(r'name="contact" checked', page)
    assert not Participation.objects.exists()


def test_nobody_consents_to_words_that_they_did_not_see(client, study):
    token = token_of(client.get(entry_of(study)))
    texts = study.protocol.content["texts"] | {"consent": "Answers are sold."}
    newest = change_texts(study=study, texts=texts, actor=OPERATOR)
    form = {**BOXES, "publish": "on", "decision": "consent"}
    reply = client.post(entry_of(study), form | {"token": token})
    page = reply.content.decode()
    assert reply.status_code == 400
    assert "The words of this page have changed" in page
    assert "Answers are sold." in page
    assert all(re.search(f'name="{name}" checked', page) for name in ("adult", "agree", "publish"))
    assert not Consent.objects.exists()
    assert client.post(entry_of(study), form | {"token": token_of(reply)}).status_code == 302
    consent = Consent.objects.get()
    assert consent.participation.protocol == newest
    assert consent.text_sha256 == text_hashes(newest.content)["consent"]


def test_whoever_is_let_in_while_the_words_change_has_agreed_to_those_that_they_saw(
    client, study, monkeypatch
):
    """The change comes after the form was found to be of the newest version, and before the consent is kept."""
    seen, join_study = study.protocol, services.join_study
    texts = seen.content["texts"] | {"consent": "Answers are sold."}

    def join_late(**given):
        change_texts(study=study, texts=texts, actor=OPERATOR)
        return join_study(**given)

    monkeypatch.setattr(services, "join_study", join_late)
    assert send(client, entry_of(study), **BOXES, decision="consent").status_code == 302
    consent = Consent.objects.get()
    assert study.protocol.version == 2
    assert consent.participation.protocol == seen
    assert consent.text_sha256 == text_hashes(seen.content)["consent"]


def test_declining_leads_to_a_kind_page_and_keeps_nothing(client, study):
    reply = send(client, entry_of(study), **BOXES, decision="decline")
    assert reply.status_code == 200
    assert study.protocol.content["texts"]["declined"][:20] in reply.content.decode()
    assert not Participation.objects.exists()
    assert not Consent.objects.exists()


@pytest.mark.parametrize("state", ["draft", "simulated", "nowhere"])
def test_where_no_study_takes_people_there_is_a_page_that_says_so(client, make_study, state):
    if state == "draft":
        make_study("draft", opened=False)
    if state == "simulated":
        make_study("simulated", source=Source.SIMULATED)
    reply = client.get(f"/s/{state}/")
    assert reply.status_code == 404
    assert "There is no study at this address." in reply.content.decode()


def test_a_paused_study_says_so_but_whoever_is_known_goes_on(client, study):
    address = f"{entry_of(study)}?pid=5f1e"
    assert send(client, address, **BOXES, decision="consent").status_code == 302
    pause_study(study=study, actor=OPERATOR)
    assert "not open at the moment" in client.get(entry_of(study)).content.decode()
    known = Participation.objects.get()
    assert destination(client.get(address)["Location"]) == ("participation", known)


def test_a_full_study_is_a_kind_page(client, make_study):
    study = make_study("tiny", n_mixed_images=6, trials_per_person=6, answers_per_unit=1)
    joined(study)
    reply = send(client, entry_of(study), **BOXES, decision="consent")
    assert reply.status_code == 200
    assert "has enough participants" in reply.content.decode()


# --- Signed forms, no cookie --------------------------------------------------------------------------------


FORMS = {
    "entry": {**BOXES, "decision": "consent"},
    "participation_survey": {"comments": "Some were hard."},
    "participation_withdraw": {},
    "participation_problem": {"text": "The picture is grey."},
}


def address_of(form: str, study: Study) -> str:
    return entry_of(study) if form == "entry" else page_of(form, answered(study))


@pytest.mark.parametrize("form", FORMS)
def test_a_form_without_its_own_token_is_refused_and_changes_nothing(client, make_study, form):
    study = make_study("signed", answers_per_unit=5)
    address = address_of(form, study)
    right = token_of(client.get(address))
    elsewhere = make_study("another") if form == "entry" else study
    other_form = "participation_withdraw" if form == "participation_problem" else "participation_problem"
    wrong = {
        "none": {},
        "empty": {"token": ""},
        "cut": {"token": right[:-1]},
        "of another form": {"token": token_of(client.get(address_of(other_form, study)))},
        "of another person": {"token": token_of(client.get(address_of(form, elsewhere)))},
        "of another make": {"token": signing.dumps(signing.loads(right, salt=TOKEN_SALT), salt="another")},
    }
    before = list(Participation.objects.order_by("pk").values())
    for what, token in wrong.items():
        reply = client.post(address, FORMS[form] | token)
        assert reply.status_code == 403, what
        assert "Open the page again" in reply.content.decode()
    assert list(Participation.objects.order_by("pk").values()) == before
    assert not ProblemReport.objects.exists()
    assert client.post(address, FORMS[form] | {"token": right}).status_code == 302


@pytest.mark.parametrize("form", FORMS)
def test_a_form_left_open_for_more_than_a_day_comes_back_with_what_was_typed(
    client, make_study, form, monkeypatch
):
    study = make_study("slow")
    address = address_of(form, study)
    token = token_of(client.get(address))
    later = time.time() + TOKEN_LIFETIME.total_seconds() + 5
    monkeypatch.setattr("django.core.signing.time.time", lambda: later)
    states = list(Participation.objects.values_list("state"))
    reply = client.post(address, FORMS[form] | {"token": token})
    page = reply.content.decode()
    assert reply.status_code == 400
    assert "open for more than a day" in page
    assert all(re.search(f'name="{name}" checked', page) for name in BOXES if form == "entry")
    assert FORMS[form].get("comments", "") in page
    assert FORMS[form].get("text", "") in page
    assert list(Participation.objects.values_list("state")) == states
    assert client.post(address, FORMS[form] | {"token": token_of(reply)}).status_code == 302


def test_a_signed_in_researcher_who_takes_part_is_sent_no_cookie_either(study, django_user_model):
    browser = Client()
    browser.force_login(django_user_model.objects.create(username="rosa"))
    before = dict(browser.cookies)
    person = joined(study)
    for address in (
        entry_of(study),
        page_of("participation", person),
        page_of("participation_problem", person),
    ):
        reply = browser.get(address)
        assert reply.status_code == 200
        assert not reply.cookies
    assert dict(browser.cookies) == before


# --- The way through ----------------------------------------------------------------------------------------


def test_the_private_link_leads_to_where_one_is(client, study):
    person = joined(study)
    home = page_of("participation", person)
    page = client.get(home).content.decode()
    assert 'id="config"' in page
    moved = client.get(page_of("participation_survey", person))
    assert destination(moved["Location"]) == ("participation", person)
    person = answered(study)
    home = page_of("participation", person)
    closing = f"{home}survey/"
    assert client.get(home)["Location"] == closing
    done = send(client, closing, clear="4", comments=" Fine. ")
    assert done["Location"] == home
    person.refresh_from_db()
    assert person.survey == {"clear": 4, "comments": "Fine."}
    thanks = client.get(home).content.decode()
    assert person.completion_code in thanks
    assert "What it was about" in thanks
    assert client.get(closing)["Location"] == home


def test_somebody_screened_out_and_somebody_too_late_read_a_kind_page(client, study, person):
    Participation.objects.filter(pk=person.pk).update(state=Participation.State.DECLINED)
    assert "cannot go on for you" in client.get(page_of("participation", person)).content.decode()
    other = joined(study)
    close_study(study=study, actor=OPERATOR)
    assert "has ended" in client.get(page_of("participation", other)).content.decode()


def test_a_closing_question_refuses_what_is_not_on_its_scale_and_keeps_what_was_typed(client, study):
    person = answered(study)
    reply = send(client, page_of("participation_survey", person), clear="6", comments="Keep me.")
    assert reply.status_code == 400
    assert "Keep me." in reply.content.decode()
    assert 'id="error_clear"' in reply.content.decode()
    too_long = send(client, page_of("participation_survey", person), comments="x" * 10_001)
    assert too_long.status_code == 400
    person.refresh_from_db()
    assert (person.state, person.survey) == (Participation.State.ANSWERED, {})


def test_a_question_that_must_be_answered_is_asked_for(client, make_study):
    study = make_study("asks")
    texts = study.protocol.content["texts"]
    texts["survey"] = [{**item, "required": True} for item in texts["survey"]]
    change_texts(study=study, texts=texts, actor=OPERATOR)
    person = answered(study)
    reply = send(client, page_of("participation_survey", person), attention="2")
    page = reply.content.decode()
    assert reply.status_code == 400
    assert "Please choose one." in page
    assert "Please write something." in page
    assert re.search(r'name="attention" value="2" checked', page)


def test_a_study_without_closing_questions_still_ends_with_the_code(client, make_study):
    study = make_study("short")
    texts = study.protocol.content["texts"] | {"survey": []}
    change_texts(study=study, texts=texts, actor=OPERATOR)
    person = answered(study)
    assert send(client, page_of("participation_survey", person)).status_code == 302
    person.refresh_from_db()
    assert person.completion_code


def test_whoever_has_begun_keeps_the_texts_that_they_agreed_to(client, study):
    person = answered(study)
    texts = study.protocol.content["texts"] | {"debrief": "Another debrief.", "consent": "Another consent."}
    change_texts(study=study, texts=texts, actor=OPERATOR)
    send(client, page_of("participation_survey", person))
    assert "Another debrief" not in client.get(page_of("participation", person)).content.decode()
    assert "Another consent" in client.get(entry_of(study)).content.decode()


def test_somebody_in_a_study_of_the_first_version_goes_on_to_the_end(client, study):
    """A protocol as hilmix 0.1 stored it: pairs instead of named fields, no settings that came later."""
    protocol = study.protocol
    content = protocol.content
    first = {
        "interface": {"name": "infer", "version": 1},
        "image_set": content["image_set"],
        "design": {name: content["design"][name] for name in DESIGN_OF_V1},
        "perspective": "you",
        "display": {"enlargement": None},
        "max_comprehension_rounds": 5,
        "texts": {
            "consent": "Old **consent**.",
            "information": [["Our label", "our text"]],
            "boxes": [["adult", "I am 18."], ["agree", "I agree."]],
            "instructions": ["### One"],
            "comprehension": [{"prompt": "?", "options": ["a", "b"], "correct": 1}],
            "question": "How much?",
            "confidence_question": "How sure?",
            "thanks": "Old thanks.",
        },
    }
    Protocol.objects.filter(pk=protocol.pk).update(content=first, sha256="0" * 64)
    page = client.get(entry_of(study)).content.decode()
    assert "Old <strong>consent</strong>." in page
    assert "our text" in page
    person = joined(study)
    assert (person.consent.publish, person.consent.contact) == (True, False)
    assert 'id="config"' in client.get(page_of("participation", person)).content.decode()
    person = answered(study)
    assert send(client, page_of("participation_survey", person), comments="Fine.").status_code == 302
    thanks = client.get(page_of("participation", person)).content.decode()
    assert "Old thanks." in thanks
    assert "What it was about" not in thanks
    assert client.get(page_of("participation_withdraw", person)).status_code == 200


# --- Language -----------------------------------------------------------------------------------------------


def test_pages_are_in_the_studys_language_whatever_the_browser_asks_for(client, study):
    reply = client.get(entry_of(study), headers={"Accept-Language": "de"})
    assert '<html lang="en-gb" dir="ltr">' in reply.content.decode()
    assert reply["Content-Language"] == "en-gb"


def test_a_language_written_from_right_to_left_turns_the_page(client, study, settings):
    protocol = study.protocol
    protocol.content["language"] = "he"
    protocol.save()
    reply = client.get(entry_of(study))
    assert '<html lang="he" dir="rtl">' in reply.content.decode()
    assert reply["Content-Language"] == "he"


# --- Problems -----------------------------------------------------------------------------------------------


def test_a_problem_can_be_reported_from_every_page(client, study, person):
    done = answered(study)
    addresses = {
        entry_of(study): reverse("study_problem", args=[study.slug]),
        page_of("participation", person): page_of("participation_problem", person),
        page_of("participation_survey", done): page_of("participation_problem", done),
        page_of("participation_withdraw", done): page_of("participation_problem", done),
    }
    for address, problem in addresses.items():
        page = client.get(address).content.decode()
        (linked,) = set(re.findall(r'href="([^"]*/problem/[^"]*)"', page))
        assert linked.partition("?")[0] == problem
    Participation.objects.filter(pk=person.pk).update(state=Participation.State.DECLINED)
    close_study(study=study, actor=OPERATOR)
    for address in (entry_of(study), page_of("participation", person)):
        assert "/problem/" in client.get(address).content.decode()
    assert "/problem/" in client.post(entry_of(study)).content.decode()


def test_a_report_is_kept_with_its_page_and_apart_from_the_answers(client, study, person):
    address = page_of("participation_problem", person)
    reply = client.post(
        address, {"token": token_of(client.get(f"{address}?page=trials")), "text": "Grey.", "page": "trials"}
    )
    assert "Your report was kept." in client.get(reply["Location"]).content.decode()
    report = ProblemReport.objects.get()
    assert (report.study, report.participation, report.page) == (study, person, "trials")
    send(client, reverse("study_problem", args=[study.slug]), text="I see nothing.")
    assert ProblemReport.objects.filter(participation=None).get().text == "I see nothing."


def test_an_empty_report_is_asked_for_again(client, study):
    reply = send(client, reverse("study_problem", args=[study.slug]), text="  ")
    assert reply.status_code == 400
    assert "Please say what went wrong." in reply.content.decode()
    assert not ProblemReport.objects.exists()


def test_nobody_fills_the_table_with_reports(client, study, person):
    mine = [ProblemReport(study=study, participation=person, text="again") for _ in range(MAX_REPORTS)]
    others = [ProblemReport(study=study, text="again") for _ in range(MAX_REPORTS_A_DAY)]
    ProblemReport.objects.bulk_create(mine + others)
    for address in (page_of("participation_problem", person), reverse("study_problem", args=[study.slug])):
        reply = send(client, address, text="One more.")
        assert reply.status_code == 409
        assert "many reports already" in reply.content.decode()
    assert not ProblemReport.objects.filter(text="One more.").exists()
    ProblemReport.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert send(client, reverse("study_problem", args=[study.slug]), text="One more.").status_code == 302
