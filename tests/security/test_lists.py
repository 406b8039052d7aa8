"""Every list of researchers' pages: what may be asked of it, and what it costs. Whatever else is asked is ignored."""

from __future__ import annotations

import re
from html import unescape
from itertools import chain
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elicitation.images.models import ImageSet
from elicitation.images.pages import ImageSetFilters
from elicitation.studies.models import Study
from elicitation.studies.pages import StudyFilters
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.pages import AuditFilters, PeopleFilters
from hilmix.hub.models import Release
from hilmix.hub.pages import ReleaseFilters
from hilmix.jobs.models import Job
from hilmix.jobs.pages import JobFilters
from hilmix.lists import PAGE_SIZE
from tests.security.world import World
from training.experiments.pages import ExperimentFilters
from training.models import Experiment

LISTS = {
    "studies": StudyFilters,
    "releases": ReleaseFilters,
    "experiments": ExperimentFilters,
    "jobs": JobFilters,
    "people": PeopleFilters,
    "audit_trail": AuditFilters,
    "image_sets": ImageSetFilters,
}
MANY = PAGE_SIZE + 10

# Names of fields, relations and look-ups, as one who knows the source would combine them.
NAMES = """
    pk id user users created_by actor study password memberships participations identity pid_hmac pid_ciphertext
    auth_token_set digest sign_in_links username is_superuser release config startswith exact in isnull regex gt
    contains range year state title page order -order
"""
PARTS = st.sampled_from(NAMES.split())
LOOKUPS = st.lists(PARTS, min_size=2, max_size=5).map("__".join)
VALUES = st.one_of(st.text(max_size=30), st.integers().map(str), LOOKUPS, LOOKUPS.map("-{}".format))
ANYTHING = st.lists(st.tuples(st.one_of(LOOKUPS, st.text(min_size=1, max_size=20)), VALUES), max_size=4)


def admin_of(world: World) -> Client:
    return world["admin"].client()


def rows_of(page: str) -> list[str]:
    """The text of each row of the page's first table."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [unescape(re.sub(r"<[^>]*>|\s+", " ", row)).strip() for row in body.split("<tr>")[1:]]


def add_many(name: str, world: World) -> None:
    """A page and more of rows that the admin's list at `name` shows."""
    study, person = world.study, world["owner"].user
    rows = {
        "studies": lambda n: Study(slug=f"s{n}", title=f"row {n}", image_set=world.image_set),
        "releases": lambda n: Release(
            study=study, number=100 + n, version=f"{n}.0.0", source="person", sha256="0" * 64, counts={}
        ),
        "experiments": lambda n: Experiment(
            name=f"row {n}", config={}, config_sha256=f"{n:064}", release=world.release, image_set=world.image_set
        ),
        "jobs": lambda n: Job(kind="k", queue="data", object_id="1", label=f"row {n}", created_by=person),
        "people": lambda n: User(username=f"row {n}"),
        "audit_trail": lambda n: AuditEvent(actor=person, action=f"row.{n}", object_kind="study", object_id="1"),
        "image_sets": lambda n: ImageSet(
            name=f"row-{n}", kind="npz", n_images=1, height=1, width=1, channels=1, classes=[], splits={}
        ),
    }  # fmt: skip
    made = [rows[name](n) for n in range(MANY)]
    type(made[0]).objects.bulk_create(made)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_cut_into_pages_that_hold_each_row_once_for_a_constant_number_of_queries(world, name):
    client, address = admin_of(world), world.address(name)
    client.get(address)  # what is read once a process
    with CaptureQueriesContext(connection) as few:
        before = rows_of(client.get(address).content.decode())
    add_many(name, world)
    with CaptureQueriesContext(connection) as many:
        first = client.get(address).content.decode()
    assert len(few) == len(many)
    assert len(rows_of(first)) == PAGE_SIZE
    last = client.get(address, {"page": "99"}).content.decode()  # beyond the end: the last there is
    assert len(rows_of(first)) + len(rows_of(last)) == len(before) + MANY
    assert 'href="?page=2"' in first or f'href="{address}?page=2"' in first
    assert f"{len(before) + MANY} rows" in first


@pytest.mark.parametrize("name", LISTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=ANYTHING)
def test_a_parameter_that_is_not_declared_never_changes_what_is_shown(world, name, asked):
    client, address = admin_of(world), world.address(name)
    asked = [(key, value) for key, value in asked if key not in {*LISTS[name].base_filters, "page"}]
    reply = client.get(f"{address}?{urlencode(asked, errors='replace')}")
    assert reply.status_code == 200
    assert rows_of(reply.content.decode()) == rows_of(client.get(address).content.decode())


@pytest.mark.parametrize("name", LISTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.one_of(VALUES, LOOKUPS.map("-{}".format)))
def test_an_order_that_is_not_declared_is_refused_beside_its_field_and_changes_nothing(world, name, value):
    client, address = admin_of(world), world.address(name)
    declared = LISTS[name].base_filters["order"].orders
    if value.strip() in declared or not value.strip():
        return
    reply = client.get(f"{address}?{urlencode({'order': value}, errors='replace')}")
    page = reply.content.decode()
    assert reply.status_code == 200
    assert 'id="filter_order_error"' in page
    assert rows_of(page) == rows_of(client.get(address).content.decode())


@pytest.mark.parametrize("name", LISTS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_declared_filter_takes_any_text_without_an_error_of_ours(world, name, data):
    asked = {key: data.draw(VALUES) for key in LISTS[name].base_filters}
    reply = admin_of(world).get(f"{world.address(name)}?{urlencode(asked, errors='replace')}")
    assert reply.status_code == 200


@pytest.mark.parametrize("name", LISTS)
def test_every_declared_order_shows_the_same_rows(world, name):
    add_many(name, world)
    client, address = admin_of(world), world.address(name)
    usual = [rows_of(client.get(address, {"page": n}).content.decode()) for n in (1, 2)]
    for order in LISTS[name].base_filters["order"].orders:
        pages = [rows_of(client.get(address, {"page": n, "order": order}).content.decode()) for n in (1, 2)]
        assert sorted(chain(*pages)) == sorted(chain(*usual))


def test_filters_narrow_a_list_say_what_is_wrong_and_stay_on_the_way_to_the_next_page(world):
    add_many("studies", world)
    client, address = admin_of(world), world.address("studies")
    page = client.get(address, {"title": "ROW", "state": "ajar"}).content.decode()
    assert len(rows_of(page)) == PAGE_SIZE
    assert 'id="filter_state_error"' in page
    assert 'href="?title=ROW&amp;state=ajar&amp;page=2"' in page
    assert len(rows_of(client.get(address, {"title": "row 7"}).content.decode())) == 1
    assert world.study.title not in client.get(address, {"state": "draft"}).content.decode()
    nothing = client.get(address, {"title": "no such"}).content.decode()
    assert "No study fits the filters." in nothing


def test_the_audit_trail_is_searched_by_person_kind_and_day(world):
    add_many("audit_trail", world)
    client, address = admin_of(world), world.address("audit_trail")
    owner = world["owner"].user
    assert len(rows_of(client.get(address, {"actor": owner.pk, "action": "row.5"}).content.decode())) == 11
    assert rows_of(client.get(address, {"until": "2001-01-01"}).content.decode()) == ["None."]
    assert rows_of(client.get(address, {"since": "9999-12-31"}).content.decode()) == ["None."]
    assert 'id="filter_since_error"' in client.get(address, {"since": "yesterday"}).content.decode()
