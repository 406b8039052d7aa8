"""The table role × action, and who has which role."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from django.urls import reverse

from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import ALLOWED, OPERATOR, Action, Role, allowed, require, roles_of
from hilmix.accounts.services import set_membership
from hilmix.errors import Forbidden, NotFound

IN_STUDIES = [action for action, roles in ALLOWED.items() if Role.VIEWER in roles or Role.OWNER in roles]
PUBLIC = AnonymousUser()


def test_every_action_has_its_row_and_somebody_who_may():
    assert set(ALLOWED) == set(Action)
    assert all(ALLOWED.values())
    assert all(roles <= set(Role) for roles in ALLOWED.values())


def test_the_public_may_sign_in_and_take_part_and_nothing_else():
    assert {action for action in Action if allowed(PUBLIC, action)} == {Action.SIGN_IN, Action.TAKE_PART}


def test_an_admin_may_everything_that_anybody_may():
    assert all(Role.ADMIN in roles for roles in ALLOWED.values())


def test_who_edits_may_look_and_who_owns_may_edit():
    for roles in ALLOWED.values():
        assert Role.VIEWER not in roles or Role.EDITOR in roles
        assert Role.EDITOR not in roles or Role.OWNER in roles


def test_people_audit_imports_and_training_are_for_admins_alone():
    for action in ("MANAGE_PEOPLE", "VIEW_AUDIT", "IMPORT_IMAGES", "IMPORT_ANSWERS", "LAUNCH_EXPERIMENT"):
        assert ALLOWED[Action[action]] == {Role.ADMIN}


def test_no_researcher_sees_a_study_by_being_a_researcher():
    assert IN_STUDIES
    assert not [action for action in IN_STUDIES if Role.RESEARCHER in ALLOWED[action]]


@pytest.mark.parametrize("part", Membership.Part.values)
def test_a_part_counts_in_its_own_study_only(make_study, owner, colleague, part):
    ours, other = make_study("ours"), make_study("other")
    set_membership(person=colleague, study=ours, part=part, actor=owner)
    assert roles_of(colleague, ours.pk) == {Role.RESEARCHER, Role(part)}
    assert roles_of(colleague, other.pk) == roles_of(colleague) == {Role.RESEARCHER}
    for action in IN_STUDIES:
        assert allowed(colleague, action, ours.pk) == (Role(part) in ALLOWED[action])
        assert not allowed(colleague, action, other.pk)
        assert not allowed(colleague, action)


def test_a_membership_that_ended_counts_no_longer(study, owner, colleague):
    set_membership(person=colleague, study=study, part="editor", actor=owner)
    set_membership(person=colleague, study=study, part=None, actor=owner)
    assert roles_of(colleague, study.pk) == {Role.RESEARCHER}


def test_a_suspended_person_has_no_role_left(study, owner, admin):
    for person in (owner, admin):
        person.is_active = False
        assert roles_of(person, study.pk) == {Role.PUBLIC}
        assert not allowed(person, Action.VIEW_STUDY, study.pk)


def test_djangos_own_flags_grant_nothing(study, colleague):
    User.objects.filter(pk=colleague.pk).update(is_staff=True, is_superuser=True)
    colleague.refresh_from_db()
    assert roles_of(colleague, study.pk) == {Role.RESEARCHER}
    assert not allowed(colleague, Action.MANAGE_PEOPLE)


def test_the_operator_at_the_command_line_may_everything(study):
    assert all(allowed(OPERATOR, action, study.pk) for action in Action)


def test_a_study_that_one_may_not_see_is_not_there_and_one_that_one_may_see_is_refused(
    study, owner, colleague
):
    with pytest.raises(NotFound):
        require(colleague, Action.OPEN_STUDY, study.pk)
    set_membership(person=colleague, study=study, part="viewer", actor=owner)
    with pytest.raises(Forbidden, match="An admin or the study's owner can do it"):
        require(colleague, Action.OPEN_STUDY, study.pk)
    with pytest.raises(Forbidden, match=r"does not allow this\. An admin can do it"):
        require(owner, Action.MANAGE_PEOPLE)  # which has to do with no study
    require(owner, Action.OPEN_STUDY, study.pk)


def test_the_menu_shows_what_the_table_grants(admin, owner):
    people, new_experiment = reverse("people"), reverse("new_experiment")
    shown = {}
    for person in (admin, owner):
        client = Client()
        client.force_login(person)
        page = client.get(reverse("home")).content.decode()
        shown[person.username] = (people in page, new_experiment in page)
    assert shown == {"admin": (True, True), "owner": (False, False)}
