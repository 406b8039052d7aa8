"""What the commands that make a study share: whom it belongs to, beside every admin."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import CommandError

from hilmix.accounts.models import User


def add_owner(parser: ArgumentParser) -> None:
    """Take `--owner`; give what it says to `owner_named`."""
    parser.add_argument("--owner", metavar="USERNAME", help="whose study it becomes; else only admins see it")


def owner_named(username: str | None) -> User | None:
    """The person of that name, None where none was given; CommandError listing those there are."""
    if username is None:
        return None
    people = User.objects.filter(is_active=True).order_by("username")
    person = people.filter(username=username).first()
    if person is None:
        known = ", ".join(people.values_list("username", flat=True)) or "nobody yet"
        raise CommandError(f"There is no person {username!r}. People here: {known}.")
    return person
