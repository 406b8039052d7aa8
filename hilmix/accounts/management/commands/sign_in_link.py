"""`manage.py sign_in_link USER [--role admin|researcher]`: a one-time link; makes the account if there is none."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person, issue_sign_in_link
from hilmix.commands import OperatorCommand


class Command(OperatorCommand):
    help = "Print a link that signs USER in once, within two days. There are no default passwords."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", choices=User.Kind.values, default=None, help="role of a new account")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(username=options["username"]).first()
        if person is None:
            if options["role"] is None:
                raise CommandError(f"There is no account {options['username']!r}. Add --role to make one.")
            person = add_person(username=options["username"], kind=options["role"], actor=OPERATOR)
        elif options["role"] not in (None, person.kind):
            raise CommandError(f"{person.username} is a {person.kind}; this command does not change roles.")
        self.stdout.write(issue_sign_in_link(person=person, actor=OPERATOR))
