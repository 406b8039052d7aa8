"""`manage.py sign_in_link`: how the first person gets in, without a default password."""

from __future__ import annotations

import io

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from hilmix.accounts.models import AuditEvent, SignInLink, User


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("sign_in_link", *arguments, stdout=out)
    return out.getvalue().strip()


def test_the_first_admin_gets_in_by_the_printed_link(db):
    link = run("first", "--role", "admin")
    assert link.startswith(settings.HILMIX_PUBLIC_URL + "/sign-in/")
    person = User.objects.get()
    assert (person.username, person.kind, person.has_usable_password()) == ("first", "admin", False)
    client = Client()
    client.post(link.removeprefix(settings.HILMIX_PUBLIC_URL))
    assert client.get(reverse("people")).status_code == 200


def test_a_second_call_prints_a_new_link_for_the_same_person(owner):
    first, second = run("owner"), run("owner", "--role", "researcher")
    assert first != second
    assert User.objects.count() == 1
    assert SignInLink.objects.filter(used_at=None).count() == 1


def test_it_does_not_change_a_role(owner):
    with pytest.raises(CommandError, match="owner is a researcher"):
        run("owner", "--role", "admin")
    owner.refresh_from_db()
    assert owner.kind == "researcher"
    assert not SignInLink.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "Add --role"),
        (["a b", "--role", "admin"], "username"),
        (["x", "--role", "owner"], "invalid choice"),
    ],
)
def test_what_it_cannot_do_it_says(db, arguments, said):
    with pytest.raises(CommandError, match=said):
        run(*arguments)
    assert not User.objects.exists()


def test_the_audit_trail_says_that_the_command_line_did_it(db):
    run("first", "--role", "admin")
    trail = AuditEvent.objects.order_by("pk").values_list("actor", "action")
    assert list(trail) == [(None, "people.added"), (None, "people.link_issued")]
