"""How people come to a study: recruiters with their options, whose link says what, and who may not come."""

from __future__ import annotations

import pytest

from elicitation.flow import services
from elicitation.flow.modes import start_preview
from elicitation.participants.models import Identity
from elicitation.participants.services import Arrival, decrypted
from elicitation.recruiters.base import LABELS, Outcome
from elicitation.recruiters.models import Recruitment, Submission
from elicitation.recruiters.services import (
    RECRUITERS,
    is_excluded,
    known_participation,
    recruitment_as_plan,
    recruitment_of,
    remember_arrival,
    set_recruitment,
)
from elicitation.studies.models import Mode, Source
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import set_membership
from hilmix.errors import Conflict, Forbidden, Invalid, NotFound

BOXES = {"adult": True, "agree": True}
PID, OTHER = "5f0c1d2e3a4b5c6d7e8f9a0b", "60ffe5c8371090c7041d43f8"
SESSION, SECOND = "aa0c1d2e3a4b5c6d7e8f9a0b", "bb0c1d2e3a4b5c6d7e8f9a0b"
direct, prolific = RECRUITERS["direct"], RECRUITERS["prolific"]


def join(study, arrival, mode=Mode.LIVE):
    person, _new = services.join_study(
        study=study, source=Source.PERSON, boxes=BOXES, arrival=arrival, mode=mode
    )
    remember_arrival(person, arrival)
    return person


def person_in(study, part):
    user = User.objects.create(username=part, kind=User.Kind.RESEARCHER)
    set_membership(person=user, study=study, part=part, actor=OPERATOR)
    return user


# --- Options and codes --------------------------------------------------------------------------------------


def test_every_outcome_is_said_in_words():
    assert set(LABELS) == set(Outcome)


def test_where_nothing_was_chosen_people_come_by_a_direct_link(study):
    way = recruitment_of(study)
    assert way.recruiter is direct
    assert {way.code(outcome) for outcome in Outcome if outcome != Outcome.DATA_PROBLEM} == {""}
    assert way.completion_url(Outcome.COMPLETED) == ""


def test_codes_are_drawn_where_none_are_given_and_no_two_are_alike(study):
    set_recruitment(study=study, recruiter="prolific", options={}, actor=OPERATOR)
    codes = [recruitment_of(study).code(outcome) for outcome in Outcome]
    assert len(set(codes)) == len(Outcome)
    assert all(len(code) == 8 for code in codes)
    assert (
        recruitment_of(study)
        .completion_url(Outcome.FULL)
        .endswith(f"cc={recruitment_of(study).code(Outcome.FULL)}")
    )


def test_codes_that_are_given_stay_as_they_are(study):
    given = {"codes": {"completed": "C1ABCDEF"}, "study_id": OTHER.upper()}
    set_recruitment(study=study, recruiter="prolific", options=given, actor=OPERATOR)
    row = Recruitment.objects.get()
    assert row.options["codes"]["completed"] == "C1ABCDEF"
    assert row.options["study_id"] == OTHER
    set_recruitment(study=study, recruiter="prolific", options=row.options, actor=OPERATOR)
    assert Recruitment.objects.get().options == row.options


def test_codes_outlive_a_change_of_the_recruiter_and_back(study):
    """The recruiter may have them still."""
    options = {"study_id": OTHER, "codes": {"completed": "C1ABCDEF"}}
    kept = set_recruitment(study=study, recruiter="prolific", options=options, actor=OPERATOR).options
    set_recruitment(study=study, recruiter="direct", options={}, actor=OPERATOR)
    assert recruitment_of(study).options == {}
    assert set_recruitment(study=study, recruiter="prolific", options={}, actor=OPERATOR).options == kept


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"study_id": "my study"}, "study_id"),
        ({"codes": {"completed": "a b"}}, "completed"),
        ({"codes": {"completed": "x&cc=y"}}, "completed"),
        ({"codes": {"completed": "SAME1", "full": "SAME1"}}, "full"),
        ({"codes": {"finished": "CODE1"}}, "finished"),
        ({"token": "secret"}, "token"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(study, options, field):
    with pytest.raises(Invalid) as refused:
        set_recruitment(study=study, recruiter="prolific", options=options, actor=OPERATOR)
    assert field in refused.value.fields
    assert not Recruitment.objects.exists()


def test_a_recruiter_that_there_is_not_is_refused(study):
    with pytest.raises(Invalid) as refused:
        set_recruitment(study=study, recruiter="mturk", options={}, actor=OPERATOR)
    assert "recruiter" in refused.value.fields
    with pytest.raises(Invalid):
        set_recruitment(study=study, recruiter="direct", options={"codes": {}}, actor=OPERATOR)


def test_nobody_is_recruited_for_a_simulated_study(make_study):
    study = make_study("simulated", source=Source.SIMULATED)
    with pytest.raises(Conflict, match="nobody is recruited"):
        set_recruitment(study=study, recruiter="direct", options={}, actor=OPERATOR)


def test_owners_recruit_and_editors_do_not(study):
    owner, editor = person_in(study, "owner"), person_in(study, "editor")
    stranger = User.objects.create(username="stranger", kind=User.Kind.RESEARCHER)
    set_recruitment(study=study, recruiter="prolific", options={}, actor=owner)
    for actor, refusal in ((editor, Forbidden), (stranger, NotFound)):
        with pytest.raises(refusal):
            set_recruitment(study=study, recruiter="direct", options={}, actor=actor)
    assert Recruitment.objects.get().recruiter == "prolific"


def test_what_is_written_down_of_it_holds_no_code(study):
    set_recruitment(study=study, recruiter="prolific", options={}, actor=OPERATOR)
    event = AuditEvent.objects.get(action="study.recruitment_set")
    said = str(event.detail)
    assert "prolific" in said
    assert not [code for code in recruitment_of(study).options["codes"].values() if code in said]


def test_a_studys_file_says_recruiter_and_excluded_studies_and_no_code(study, make_study):
    earlier = make_study("earlier")
    options = {"study_id": OTHER}
    set_recruitment(study=study, recruiter="prolific", options=options, excludes=[earlier], actor=OPERATOR)
    assert recruitment_as_plan(study, OPERATOR) == {"recruiter": "prolific", "excludes": ["earlier"]}
    assert recruitment_as_plan(earlier, OPERATOR) == {"recruiter": "direct", "excludes": []}


def test_a_study_that_one_may_not_see_cannot_be_excluded(study, make_study):
    hidden, owner = make_study("hidden"), person_in(study, "owner")
    for excludes in ([hidden], [study]):
        with pytest.raises(Invalid) as refused:
            set_recruitment(study=study, recruiter="direct", options={}, excludes=excludes, actor=owner)
        assert "excludes" in refused.value.fields


# --- What a link says ---------------------------------------------------------------------------------------


NOTHING = ["", " ", "{{%PROLIFIC_PID%}}", "{%PROLIFIC_PID%}", "undefined", "null", "None", "NaN"]


@pytest.mark.parametrize("value", [*NOTHING, "5f0c", PID + "0", "z" * 24, "5f0c1d2e3a4b5c6d7e8f9a0'"])
def test_what_nobody_filled_in_or_is_no_id_is_no_id_at_prolific(value):
    assert prolific.arrival({"PROLIFIC_PID": value, "SESSION_ID": value}) == Arrival()


def test_ids_of_prolific_are_read_whatever_their_case():
    params = {"PROLIFIC_PID": PID.upper(), "SESSION_ID": SESSION, "STUDY_ID": OTHER}
    assert prolific.arrival(params) == Arrival(pid=PID, session=SESSION)


@pytest.mark.parametrize("value", NOTHING)
def test_what_nobody_filled_in_is_no_id_of_a_direct_link(value):
    assert direct.arrival({"pid": value}) == Arrival()


def test_a_direct_link_may_say_anything_that_is_no_hole():
    assert direct.arrival({"pid": "person 7"}).pid == "person 7"
    assert len(direct.arrival({"pid": "x" * 1000}).pid) == 100


@pytest.mark.parametrize("typed", ["", "me", PID[:-1], f"{PID}0", "g" * 24, "my@mail.example"])
def test_a_typed_id_that_is_none_is_refused_in_words(typed):
    with pytest.raises(Invalid, match="24 characters"):
        prolific.check_id(typed)


def test_a_typed_id_is_taken_with_spaces_and_capitals():
    assert prolific.check_id(f"  {PID.upper()}\n") == PID


# --- Who comes ----------------------------------------------------------------------------------------------


def test_a_person_is_known_by_id_and_by_stay_and_in_no_other_study(study, make_study):
    person = join(study, Arrival(pid=PID, session=SESSION))
    assert known_participation(study, Arrival(pid=PID)) == person
    assert known_participation(study, Arrival(session=SESSION)) == person
    assert known_participation(study, Arrival(pid=PID, session=SECOND)) == person
    for nobody in (Arrival(), Arrival(pid=OTHER), Arrival(session=SECOND), Arrival(pid=SESSION)):
        assert known_participation(study, nobody) is None
    assert known_participation(make_study("another"), Arrival(pid=PID, session=SESSION)) is None


def test_a_typed_id_leads_to_nobody(study):
    join(study, Arrival(pid=PID, session=SESSION))
    assert known_participation(study, Arrival(pid=PID, session=SECOND, typed=True)) is None
    with pytest.raises(services.IdTaken):
        join(study, Arrival(pid=PID, session=SECOND, typed=True))
    assert join(study, Arrival(pid=OTHER, session=SESSION, typed=True)).submissions.count() == 1
    assert Identity.objects.count() == 1


def test_every_stay_of_a_person_is_kept_once_and_none_in_plain_text(study):
    person = join(study, Arrival(pid=PID, session=SESSION))
    for session in (SESSION, SECOND, SECOND):
        remember_arrival(person, Arrival(pid=PID, session=session))
    stays = Submission.objects.filter(participation=person)
    assert stays.count() == 2
    assert not [stay for stay in stays.values() if SESSION in str(stay) or SECOND in str(stay)]


def test_a_mistyped_id_is_put_right_by_what_the_recruiter_says(study):
    person = join(study, Arrival(pid=OTHER, session=SESSION, typed=True))
    told = Arrival(pid=PID, session=SESSION)
    assert known_participation(study, told) == person
    remember_arrival(person, told)
    identity = Identity.objects.get()
    assert (decrypted(identity.pid_ciphertext), identity.typed) == (PID, False)
    assert known_participation(study, Arrival(pid=OTHER)) is None


def test_what_the_recruiter_said_is_not_put_right_by_another_link(study):
    person = join(study, Arrival(pid=PID, session=SESSION))
    remember_arrival(person, Arrival(pid=OTHER, session=SESSION))
    assert decrypted(Identity.objects.get().pid_ciphertext) == PID


def test_a_mistyped_id_is_not_put_right_to_that_of_somebody_else(study):
    join(study, Arrival(pid=PID, session=SECOND))
    person = join(study, Arrival(pid=OTHER, session=SESSION, typed=True))
    remember_arrival(person, Arrival(pid=PID, session=SESSION))
    assert decrypted(Identity.objects.get(participation=person).pid_ciphertext) == OTHER


def test_whoever_took_part_in_an_excluded_study_is_known_there_and_nobody_else(study, make_study):
    earlier, unrelated = make_study("earlier"), make_study("unrelated")
    join(earlier, Arrival(pid=PID))
    join(unrelated, Arrival(pid=OTHER))
    assert not is_excluded(study, PID)
    set_recruitment(study=study, recruiter="direct", options={}, excludes=[earlier], actor=OPERATOR)
    assert is_excluded(study, PID)
    assert not is_excluded(study, OTHER)
    assert not is_excluded(study, "")
    assert not is_excluded(unrelated, PID)


def test_a_preview_excludes_nobody(study, make_study):
    earlier = make_study("earlier")
    start_preview(study=earlier, actor=OPERATOR)
    join(earlier, Arrival(pid=PID), Mode.PREVIEW)
    set_recruitment(study=study, recruiter="direct", options={}, excludes=[earlier], actor=OPERATOR)
    assert not is_excluded(study, PID)


@pytest.mark.parametrize("n", [1, 4])
def test_asking_whether_somebody_is_excluded_takes_two_queries(
    study, make_study, n, django_assert_num_queries
):
    excludes = [make_study(f"earlier-{i}", opened=False) for i in range(n)]
    set_recruitment(study=study, recruiter="direct", options={}, excludes=excludes, actor=OPERATOR)
    with django_assert_num_queries(2):
        is_excluded(study, PID)
