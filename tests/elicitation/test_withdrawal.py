"""Taking back what one gave: what goes, what stays, until when, and that nobody else's is touched."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.core.serializers import serialize
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from elicitation.flow import saving, services
from elicitation.flow.withdrawal import may_withdraw, withdraw, withdraw_until
from elicitation.participants.models import Consent, Identity, Participation
from elicitation.participants.services import Arrival, link_of, report_problem
from elicitation.recruiters.services import known_participation
from elicitation.studies.models import Slot, Source
from elicitation.studies.protocol import Flow
from elicitation.trials.models import Response
from hilmix.accounts.models import AuditEvent
from hilmix.errors import Conflict
from tests.elicitation.answers import CANNOT_TELL

BOXES = {"adult": True, "agree": True, "publish": True, "contact": True}
SURVEY = {"clear": 4, "comments": "I am Ann from Ulm."}


def joined(study, pid="") -> Participation:
    return services.join_study(study=study, source=Source.PERSON, boxes=BOXES, arrival=Arrival(pid=pid))[0]


def answer(participation: Participation, positions) -> list[str]:
    answers = [saving.Incoming(id=uuid.uuid4(), position=p, payload=CANNOT_TELL) for p in positions]
    receipts = saving.save_responses(participation=participation, epoch=1, answers=answers)
    return [receipt.status for receipt in receipts]


def finished(study, pid="") -> Participation:
    """Somebody who answered everything and left something of every kind."""
    participation = joined(study, pid)
    assert set(answer(participation, range(participation.trials.count()))) == {"created"}
    answer(participation, [0])  # a second answer is kept as an event
    report_problem(study=study, participation=participation, page="trials", text="I am Ann.")
    services.complete(participation=participation)
    return services.finish(participation=participation, survey=SURVEY)


def left_of(participation: Participation) -> dict[str, int]:
    return {
        "answers": Response.objects.filter(trial__participation=participation).count(),
        "events": participation.events.count(),
        "identities": Identity.objects.filter(participation=participation).count(),
        "reports": participation.problem_reports.count(),
    }


@pytest.fixture
def anonymising(make_study):
    return make_study("anonymising", flow=Flow(withdrawal="anonymise"))


def test_withdrawing_deletes_all_that_was_given_and_frees_the_place(study):
    person, other = finished(study, pid="5f1e"), finished(study, pid="6a2b")
    kept = left_of(other)
    assert left_of(person) == kept == {"answers": 6, "events": 1, "identities": 1, "reports": 1}
    slot = person.slot
    Participation.objects.filter(pk=person.pk).update(invalid_reason="Ann wrote that she is a child.")
    withdraw(participation=person)
    person.refresh_from_db()
    assert (person.state, person.slot, person.survey) == (Participation.State.WITHDRAWN, None, {})
    assert left_of(person) == {"answers": 0, "events": 0, "identities": 0, "reports": 0}
    assert Slot.objects.get(pk=slot.pk).state == Slot.State.FREE
    assert left_of(other) == kept
    assert other.slot.state == Slot.State.FILLED
    assert "Ann" not in serialize("json", [person, person.consent])


def test_a_freed_place_is_given_to_somebody_else(make_study):
    study = make_study("tiny", n_mixed_images=6, answers_per_unit=1)
    person = finished(study)
    with pytest.raises(Conflict, match="enough participants"):
        joined(study)
    withdraw(participation=person)
    assert joined(study).slot == person.slot


def test_making_anonymous_keeps_answers_and_points_but_nothing_that_leads_to_the_person(anonymising):
    person = finished(anonymising, pid="5f1e")
    withdraw(participation=person)
    person.refresh_from_db()
    assert left_of(person) == {"answers": 6, "events": 0, "identities": 0, "reports": 0}
    assert person.survey == {"clear": 4}
    assert person.slot.state == Slot.State.FILLED
    assert Consent.objects.get(participation=person).contact is False


def test_whoever_withdraws_on_the_way_frees_the_place_whatever_happens_to_the_answers(anonymising):
    person = joined(anonymising)
    answer(person, [0, 1])
    slot = person.slot
    withdraw(participation=person)
    assert left_of(person)["answers"] == 2
    assert Slot.objects.get(pk=slot.pk).state == Slot.State.FREE


def test_an_answer_that_arrives_after_withdrawing_is_not_kept(study):
    person = joined(study)
    answer(person, [0])
    withdraw(participation=person)
    assert answer(person, [0, 1]) == ["closed", "closed"]
    assert left_of(person) == {"answers": 0, "events": 0, "identities": 0, "reports": 0}
    with pytest.raises(Conflict):
        services.complete(participation=person)
    with pytest.raises(Conflict):
        services.finish(participation=person, survey=SURVEY)


def test_withdrawing_twice_is_the_same_as_once(study):
    person = finished(study)
    first = withdraw(participation=person).withdrawn_at
    assert withdraw(participation=person).withdrawn_at == first
    assert AuditEvent.objects.filter(action="participation.withdrawn").count() == 1


def test_the_audit_trail_says_that_somebody_withdrew_and_not_who(study):
    person = finished(study, pid="5f1e")
    withdraw(participation=person)
    row = AuditEvent.objects.filter(action="participation.withdrawn").get()
    assert (row.actor, row.object_kind, row.object_id) == (None, "elicitation.study", str(study.pk))
    assert person.public_id not in serialize("json", [row])


def test_whoever_withdrew_and_comes_again_from_the_recruiter_is_not_recognised(study):
    person = finished(study, pid="5f1e")
    assert known_participation(study, Arrival(pid="5f1e")) == person
    withdraw(participation=person)
    assert known_participation(study, Arrival(pid="5f1e")) is None


def test_the_stated_day_counts_until_its_end(study):
    person = finished(study)
    now = timezone.now()
    for ago, may in ((timedelta(0), True), (timedelta(days=30), True), (timedelta(days=31), False)):
        person.started_at = now - ago
        assert may_withdraw(person) is may
    assert (withdraw_until(person).hour, withdraw_until(person).minute) == (23, 59)


def test_after_the_day_nothing_is_withdrawn(study):
    person = finished(study)
    Participation.objects.update(started_at=timezone.now() - timedelta(days=31))
    before = left_of(person)
    with pytest.raises(Conflict, match="is over"):
        withdraw(participation=person)
    assert left_of(person) == before


def test_a_study_may_offer_no_withdrawing_by_the_link(make_study):
    person = joined(make_study("never", flow=Flow(withdraw_days=0)))
    assert not may_withdraw(person)


def test_participations_of_the_first_version_can_be_withdrawn_too(study):
    person = finished(study)
    content = dict(person.protocol.content)
    del content["flow"]
    person.protocol.content = content | {"max_comprehension_rounds": 5}
    withdraw(participation=person)
    assert left_of(person)["answers"] == 0


# --- The page -----------------------------------------------------------------------------------------------


def page_of(person: Participation, name="participation_withdraw") -> str:
    return reverse(name, args=[link_of(person)])


def press(client: Client, address: str):
    page = client.get(address).content.decode()
    return client.post(address, {"token": re.search(r'name="token" value="([^"]+)"', page)[1]})


def test_the_page_says_until_when_what_goes_and_what_cannot_be_undone(client, study):
    person = finished(study)
    page = client.get(page_of(person)).content.decode()
    until = timezone.now() + timedelta(days=30)
    assert f"{until.day} {until:%b %Y}" in page
    assert "Every answer you gave is deleted." in page
    assert "What cannot be undone" in page
    assert "published before stay in that publication" in page
    assert study.protocol.content["texts"]["withdrawal"] in page
    assert left_of(person)["answers"] == 6


def test_the_page_of_an_anonymising_study_says_that_answers_stay(client, anonymising):
    page = client.get(page_of(finished(anonymising))).content.decode()
    assert "Your answers to the pictures stay" in page
    assert "Every answer you gave is deleted." not in page


def test_the_button_withdraws_and_the_link_says_so_from_then_on(client, study):
    person = finished(study)
    address = page_of(person)  # signed with the time, so another second's is another one
    home = address.removesuffix("withdraw/")
    assert press(client, address)["Location"] == home
    page = client.get(home).content.decode()
    assert "You have withdrawn" in page
    assert person.completion_code in page
    assert "/withdraw/" not in page
    assert client.get(address)["Location"] == home


def test_the_code_that_leads_to_the_person_is_said_once_more_and_no_longer_kept(client, anonymising):
    person = finished(anonymising)
    code, address = person.completion_code, page_of(person)
    page = client.get(address).content.decode()
    assert f"Your completion code, <strong>{code}</strong>, is no longer kept here." in page
    reply = press(client, address)
    assert reply.status_code == 200
    assert code in reply.content.decode()
    assert "shown here for the last time" in reply.content.decode()
    assert "/withdraw/" not in reply.content.decode()
    person.refresh_from_db()
    assert (person.state, person.completion_code) == (Participation.State.WITHDRAWN, "")
    assert left_of(person)["answers"] == 6
    again = client.get(page_of(person, "participation")).content.decode()
    assert "You have withdrawn" in again
    assert code not in again
    assert "last time" not in again


def test_whoever_withdraws_without_a_code_reads_of_none(client, anonymising):
    person = joined(anonymising)
    assert "completion code" not in client.get(page_of(person)).content.decode()
    assert "completion code" not in press(client, page_of(person)).content.decode()


def test_after_the_day_the_page_is_kind_and_has_no_button(client, study):
    person = finished(study)
    Participation.objects.update(started_at=timezone.now() - timedelta(days=31))
    page = client.get(page_of(person)).content.decode()
    assert "You cannot withdraw here" in page
    assert "That was possible until" in page
    assert "<form" not in page
    assert "/withdraw/" not in client.get(page_of(person, "participation")).content.decode()


def test_the_day_may_end_while_the_page_is_open(client, study):
    person = finished(study)
    page = client.get(page_of(person)).content.decode()
    Participation.objects.update(started_at=timezone.now() - timedelta(days=31))
    token = re.search(r'name="token" value="([^"]+)"', page)[1]
    reply = client.post(page_of(person), {"token": token})
    assert reply.status_code == 409
    assert left_of(person)["answers"] == 6
