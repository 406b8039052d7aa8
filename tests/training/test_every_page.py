"""What every page of training costs a server: queries, and bytes. `make bench ONLY=reports` measures what it costs a
person."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from elicitation.images.services import import_images
from elicitation.studies.models import Study
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.loaders import read_digits
from tests.training.conftest import quick
from tests.training.everything import addresses, everything, run_of
from tests.training.over_releases import grown
from training.experiments.config import parse_config
from training.experiments.services import create_experiment

MOST_QUERIES, MOST_BYTES = 9, 1_000_000
NO_QUERIES = ("SAVEPOINT", "RELEASE SAVEPOINT", "BEGIN", "COMMIT")
ONLY_ADMINS = ("new", "new, of a copy")
_number = count()


@pytest.fixture(scope="module")
def _pages(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[dict[str, str]]:
    with (
        django_db_blocker.unblock(),
        override_settings(VAR=tmp_path_factory.mktemp("everything")),
        transaction.atomic(),
    ):
        images, labels, classes, splits = read_digits()
        digits = import_images(
            name="digits", kind="digits", images=images, labels=labels, classes=classes, splits=splits,
            actor=OPERATOR,
        )  # fmt: skip
        releases = grown(digits, 2, 4)
        made = everything(releases, User.objects.create_user("maker", kind=User.Kind.ADMIN))
        config = parse_config(quick(name="waits", release=releases[0].name))
        waits = create_experiment(config=config, actor=OPERATOR)
        yield addresses(made) | {
            "an experiment that waits": waits.get_absolute_url(),
            "a run that waits": run_of(waits).get_absolute_url(),
        }
        transaction.set_rollback(True)


@pytest.fixture
def pages(_pages, db) -> dict[str, str]:
    """Every page of an experiment that has everything, and of one whose training has not begun, by name."""
    return dict(_pages)


@pytest.mark.parametrize("kind", [User.Kind.ADMIN, User.Kind.RESEARCHER])
@pytest.mark.parametrize("before", [0, 1], ids=["at the first visit", "again"])
def test_every_page_needs_few_queries_and_sends_little(pages, kind, before):
    """At the first visit it is written down that test figures were seen."""
    asked, too_long = {}, {}
    for name, address in pages.items():
        if kind == User.Kind.RESEARCHER and name in ONLY_ADMINS:
            continue
        client = somebody(kind)
        for _ in range(before):
            client.get(address)
        with CaptureQueriesContext(connection) as queries:
            reply = client.get(address)
        assert reply.status_code == 200, name
        asked[name] = sum(not one["sql"].startswith(NO_QUERIES) for one in queries)
        too_long[name] = len(body_of(reply))
    assert {name: n for name, n in asked.items() if n > MOST_QUERIES} == {}
    assert {name: n for name, n in too_long.items() if n > MOST_BYTES} == {}


def somebody(kind: str) -> Client:
    """The browser of a person who has seen nothing yet, and may look at everything here."""
    person = User.objects.create_user(f"{kind}-{next(_number)}", kind=kind)
    if kind == User.Kind.RESEARCHER:
        for study in Study.objects.all():
            Membership.objects.create(user=person, study=study, part=Membership.Part.VIEWER)
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def body_of(reply: HttpResponse) -> bytes:
    return b"".join(reply.streaming_content) if reply.streaming else reply.content


def test_the_report_on_paper_shows_the_pictures_of_every_gallery(pages):
    whole = body_of(somebody(User.Kind.ADMIN).get(pages["report.html"])).decode()
    text = whole.partition("<h2>Images</h2>")[2]
    for title in (" breaks, ", "Most confident mistakes", "Most uncertain", "What pulled it to which class"):
        gallery = text.partition(title)[2].partition("</figure>")[0]
        assert gallery.count('<img src="data:image/png;base64,') > 3, title
    assert 'class="gone"' not in text
