"""What happens to accounts, with the audit row of each happening in the same transaction."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core import serializers
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from elicitation.mixes.models import MixedImage, Pair
from elicitation.studies import opening
from elicitation.studies import services as studies
from elicitation.studies.models import Study
from elicitation.studies.protocol import settings_of
from hilmix.accounts import audit, services
from hilmix.accounts.models import ApiToken, AuditEvent, Membership, SignInLink, User
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Conflict, Forbidden, Invalid, NotFound


def secret_of(link: str) -> str:
    return link.rstrip("/").rpartition("/")[2]


# --- People -------------------------------------------------------------------------------------------------


def test_a_new_person_has_no_password_until_they_set_one(admin):
    person = services.add_person(username=" somebody ", kind="researcher", actor=admin)
    assert person.username == "somebody"
    assert not person.has_usable_password()
    assert (person.is_staff, person.is_superuser) == (False, False)


@pytest.mark.parametrize(
    ("username", "kind", "field"),
    [
        ("admin", "researcher", "username"),
        ("", "researcher", "username"),
        ("a b", "researcher", "username"),
        ("<b>", "researcher", "username"),
        ("x" * 151, "researcher", "username"),
        ("somebody", "owner", "kind"),
        ("somebody", "", "kind"),
    ],
)
def test_a_name_that_cannot_be_or_a_kind_that_is_none_is_refused_by_field(admin, username, kind, field):
    before = AuditEvent.objects.count()
    with pytest.raises(Invalid) as refused:
        services.add_person(username=username, kind=kind, actor=admin)
    assert list(refused.value.fields) == [field]
    assert User.objects.count() == 1
    assert AuditEvent.objects.count() == before


def test_only_admins_add_people_and_make_links(owner, colleague):
    with pytest.raises(Forbidden):
        services.add_person(username="somebody", kind="admin", actor=owner)
    with pytest.raises(Forbidden):
        services.issue_sign_in_link(person=colleague, actor=owner)
    assert User.objects.count() == 2
    assert not SignInLink.objects.exists()


def test_a_link_of_one_person_signs_in_that_person(owner, colleague):
    link = services.issue_sign_in_link(person=colleague, actor=OPERATOR)
    services.issue_sign_in_link(person=owner, actor=OPERATOR)
    assert services.redeem_sign_in_link(secret=secret_of(link)) == colleague


def test_used_links_are_kept_to_show_when_and_unused_older_ones_are_not(owner):
    used = services.issue_sign_in_link(person=owner, actor=OPERATOR)
    services.redeem_sign_in_link(secret=secret_of(used))
    for _ in range(2):
        services.issue_sign_in_link(person=owner, actor=OPERATOR)
    assert sorted(link.used_at is not None for link in SignInLink.objects.all()) == [False, True]


def test_a_password_is_stored_hashed_and_a_weak_one_is_refused_with_the_reason(owner):
    with pytest.raises(Invalid, match="too common"):
        services.set_password(person=owner, password="password123")
    services.set_password(person=owner, password="a rather good one")
    owner.refresh_from_db()
    assert owner.check_password("a rather good one")
    assert "rather good" not in owner.password


# --- Membership ---------------------------------------------------------------------------------------------


def test_whoever_creates_a_study_owns_it(study, owner):
    assert Membership.objects.get().part == Membership.Part.OWNER
    assert Membership.objects.get().user == owner


def test_a_study_keeps_an_owner(study, owner, colleague):
    for part in ("editor", "viewer", None):
        with pytest.raises(Conflict, match="only owner"):
            services.set_membership(person=owner, study=study, part=part, actor=owner)
    services.set_membership(person=colleague, study=study, part="owner", actor=owner)
    services.set_membership(person=owner, study=study, part=None, actor=colleague)
    with pytest.raises(Conflict, match="only owner"):
        services.set_membership(person=colleague, study=study, part="viewer", actor=OPERATOR)
    assert list(study.memberships.values_list("user__username", "part")) == [("colleague", "owner")]


def test_a_person_has_one_part_in_a_study_and_another_call_changes_it(study, owner, colleague):
    for part in ("viewer", "editor", "viewer"):
        services.set_membership(person=colleague, study=study, part=part, actor=owner)
        assert study.memberships.get(user=colleague).part == part


@pytest.mark.parametrize("part", ["admin", "researcher", "", "Owner"])
def test_a_part_that_does_not_exist_is_refused(study, owner, colleague, part):
    with pytest.raises(Invalid, match="owner, editor, viewer"):
        services.set_membership(person=colleague, study=study, part=part, actor=owner)
    assert not study.memberships.filter(user=colleague).exists()


@pytest.mark.parametrize("part", ["editor", "viewer"])
def test_only_owners_and_admins_decide_who_works_on_a_study(study, owner, colleague, admin, part):
    services.set_membership(person=colleague, study=study, part=part, actor=owner)
    with pytest.raises(Forbidden):
        services.set_membership(person=colleague, study=study, part="owner", actor=colleague)
    services.set_membership(person=colleague, study=study, part=None, actor=admin)
    with pytest.raises(NotFound):
        services.set_membership(person=colleague, study=study, part="owner", actor=colleague)


# --- Tokens -------------------------------------------------------------------------------------------------


def test_a_token_has_a_name_a_scope_and_an_end(owner):
    text = services.create_token(person=owner, name=" a notebook ", scope="read")
    token = ApiToken.objects.get()
    assert text.startswith("hilmix_")
    assert (token.name, token.scope, token.user) == ("a notebook", "read", owner)
    assert token.expiry is not None


@pytest.mark.parametrize(
    ("name", "scope", "field"), [("  ", "read", "name"), ("x", "all", "scope"), ("x", "", "scope")]
)
def test_a_token_without_name_or_scope_is_refused_by_field(owner, name, scope, field):
    with pytest.raises(Invalid) as refused:
        services.create_token(person=owner, name=name, scope=scope)
    assert list(refused.value.fields) == [field]
    assert not ApiToken.objects.exists()


def test_one_revokes_ones_own_tokens_only(owner, colleague, admin):
    services.create_token(person=owner, name="a notebook", scope="write")
    key = ApiToken.objects.get().token_key
    for other in (colleague, admin):
        with pytest.raises(NotFound):
            services.revoke_token(person=other, token_key=key)
    services.revoke_token(person=owner, token_key=key)
    assert not ApiToken.objects.exists()


# --- The audit trail ----------------------------------------------------------------------------------------


def test_every_happening_leaves_one_row_that_says_who_did_what_to_what(study, owner, colleague, admin):
    AuditEvent.objects.all().delete()
    somebody = services.add_person(username="somebody", kind="researcher", actor=admin)
    link = services.issue_sign_in_link(person=somebody, actor=admin)
    services.redeem_sign_in_link(secret=secret_of(link))
    services.set_password(person=somebody, password="a rather good one")
    services.set_membership(person=colleague, study=study, part="editor", actor=owner)
    services.create_token(person=somebody, name="a notebook", scope="read")
    services.revoke_token(person=somebody, token_key=ApiToken.objects.get().token_key)
    opening.open_study(study=study, actor=owner)
    assert list(
        AuditEvent.objects.order_by("pk").values_list("actor__username", "action", "object_kind")
    ) == [
        ("admin", "people.added", "accounts.user"),
        ("admin", "people.link_issued", "accounts.user"),
        ("somebody", "people.signed_in_by_link", "accounts.user"),
        ("somebody", "people.password_set", "accounts.user"),
        ("owner", "study.membership", "elicitation.study"),
        ("somebody", "token.created", "accounts.user"),
        ("somebody", "token.revoked", "accounts.user"),
        ("owner", "study.open", "elicitation.study"),
    ]


def test_the_audit_trail_is_read_in_words_with_links_and_pairs(client, study, owner, colleague, admin):
    services.set_membership(person=colleague, study=study, part="editor", actor=owner)
    audit.record(owner, "garden.hedge_cut", study, tall=True, tools=["saw", "axe"], by=None)
    AuditEvent.objects.create(action="study.open", object_kind="gone.kind", object_id="x")
    client.force_login(admin)
    page = client.get(reverse("audit_trail")).text
    assert "gave somebody a part in a study, or ended it" in page
    assert f'study <a href="{reverse("study", args=[study.slug])}">theirs</a>' in page
    assert "person: colleague<br>part: editor" in page
    assert "garden hedge cut" in page  # an action that nobody put into words
    assert "tall: yes<br>tools: saw, axe<br>by: –" in page
    assert "kind x" in page


def test_the_audit_trail_asks_the_database_as_often_however_many_rows_there_are(client, make_study, admin):
    client.force_login(admin)
    make_study("first")
    with CaptureQueriesContext(connection) as few:
        client.get(reverse("audit_trail"))
    for n in range(5):
        make_study(f"further-{n}")
    with CaptureQueriesContext(connection) as many:
        client.get(reverse("audit_trail"))
    assert len(few) == len(many)


def test_loading_the_page_again_after_making_a_token_does_not_make_another(client, owner):
    client.force_login(owner)
    page = reverse("account")
    sent = {"name": "a notebook", "scope": "read", "days": 90}
    sent["after"] = client.get(page).context["form"]["after"].value()
    assert client.post(page, sent).context["new_token"]
    again = client.post(page, sent)
    assert again.context["new_token"] is None
    assert "none was made now" in again.text
    assert ApiToken.objects.count() == 1
    client.post(page, sent | {"after": again.context["form"]["after"].value()})
    assert ApiToken.objects.count() == 2


def test_what_the_operator_does_is_written_down_without_a_person(owner):
    assert AuditEvent.objects.get(action="people.added").actor is None


def test_no_secret_stands_in_the_audit_trail(owner):
    secret = secret_of(services.issue_sign_in_link(person=owner, actor=OPERATOR))
    token = services.create_token(person=owner, name="a notebook", scope="read")
    services.set_password(person=owner, password="a rather good one")
    for event in AuditEvent.objects.all():
        assert not [text for text in (secret, token[15:], "rather") if text in str(event.detail)]


HAPPENINGS = {
    "person": lambda c: services.add_person(username="somebody", kind="researcher", actor=c.admin),
    "link": lambda c: services.issue_sign_in_link(person=c.owner, actor=c.admin),
    "redeemed": lambda c: services.redeem_sign_in_link(secret=c.secret),
    "password": lambda c: services.set_password(person=c.owner, password="a rather good one"),
    "member": lambda c: services.set_membership(
        person=c.colleague, study=c.study, part="editor", actor=c.owner
    ),
    "token": lambda c: services.create_token(person=c.owner, name="another", scope="read"),
    "revoked": lambda c: services.revoke_token(person=c.owner, token_key=ApiToken.objects.get().token_key),
    "created": lambda c: studies.create_study(plan=c.plan, actor=c.owner),
    "opened": lambda c: opening.open_study(study=c.study, actor=c.owner),
}


@pytest.mark.parametrize("happening", HAPPENINGS.values(), ids=HAPPENINGS)
def test_what_cannot_be_written_down_does_not_happen(study, owner, colleague, admin, monkeypatch, happening):
    services.create_token(person=owner, name="a notebook", scope="read")
    secret = secret_of(services.issue_sign_in_link(person=owner, actor=OPERATOR))
    design = settings_of(study.protocol.content).design
    plan = studies.StudyPlan(slug="newer", title="Newer", image_set=study.image_set, design=design)
    cast = SimpleNamespace(
        study=study, owner=owner, colleague=colleague, admin=admin, secret=secret, plan=plan
    )
    before = everything()
    with monkeypatch.context() as broken:
        broken.setattr(audit, "record", the_disk_is_full)
        with pytest.raises(RuntimeError):
            happening(cast)
    assert everything() == before
    cast.owner, cast.study = User.objects.get(pk=owner.pk), Study.objects.get(pk=study.pk)
    happening(cast)
    assert everything() != before


def the_disk_is_full(*args, **kwargs):
    raise RuntimeError("the disk is full")


def everything() -> list[str]:
    """All rows of all tables but pairs and mixed images: recipes belong to no study, and are made before it opens."""
    models = [model for model in apps.get_models() if model not in (Pair, MixedImage)]
    return [serializers.serialize("json", model.objects.order_by("pk")) for model in models]
