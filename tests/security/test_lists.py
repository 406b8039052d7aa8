"""Every list of researchers' pages: what may be asked of it, and what it costs. Whatever else is asked is ignored."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from html import unescape
from itertools import chain
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elicitation.images.models import ImageSet
from elicitation.images.pages import ImageSetFilters
from elicitation.mixes.models import MixedImage
from elicitation.monitoring.filters import ProblemFilters, participation_filters
from elicitation.monitoring.planner_pages import PlannerForm
from elicitation.participants.models import Participation, ProblemReport
from elicitation.studies.models import Mode, Source, Study, Unit
from elicitation.studies.pages import StudyFilters
from elicitation.trials.models import Response, Trial
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.pages import AuditFilters, PeopleFilters
from hilmix.hub.answers_shown import Counting
from hilmix.hub.mixed_image_pages import mixed_image_filters
from hilmix.hub.models import Release, Simulation, Upload
from hilmix.hub.pages import ReleaseFilters
from hilmix.hub.response_pages import response_filters
from hilmix.hub.simulation_pages import SimulationFilters
from hilmix.hub.upload_pages import UploadFilters
from hilmix.jobs.models import Job
from hilmix.jobs.pages import JobFilters
from hilmix.lists import PAGE_SIZE, Filters
from tests.security.replies import body
from tests.security.routes import ROUTES
from tests.security.world import ANSWER, HOSTILE, World
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
    "study_participations": None,  # made for each study, of its factors
    "study_problems": ProblemFilters,
    "study_simulations": SimulationFilters,
    "study_responses": None,  # made for each study, of its conditions and λ
    "study_mixed_images": None,  # of its classes and λ
    "uploads": UploadFilters,
}
MADE_FOR_A_STUDY: dict[str, Callable[[Study], type[Filters]]] = {
    "study_participations": lambda study: participation_filters(study, {}, ()),
    "study_responses": lambda study: response_filters(study, Counting(study)),
    "study_mixed_images": lambda study: mixed_image_filters(Counting(study)),
}
ORDERED = [name for name in LISTS if name != "study_simulations"]
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


def filters_of(name: str, world: World) -> dict[str, Any]:
    """The filters that the list at `name` declares."""
    declared = LISTS[name] or MADE_FOR_A_STUDY[name](world.study)
    return declared.base_filters


def rows_of(page: str) -> list[str]:
    """The text of each row of the page's first table, or of each card of a list without a table."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = body.split("<tr>")[1:] or re.findall(r"<article.*?</article>", page, re.DOTALL)
    return [unescape(re.sub(r"<[^>]*>|\s+", " ", row)).strip() for row in rows]


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
        "study_participations": lambda n: Participation(
            study=study, protocol=study.protocol, source=Source.PERSON, levels={"zzgroup": "zzplain"}
        ),
        "study_problems": lambda n: ProblemReport(study=study, page="trials", text=f"row {n}"),
        "study_simulations": lambda n: Simulation(
            study=study, release=world.release, options={"repetitions": n, "answers": [2]}
        ),
        "study_responses": lambda n: Response(id=uuid.uuid4(), trial=a_trial(study, 1000 + n), payload=ANSWER),
        "study_mixed_images": lambda n: a_unit(study, n),
        "uploads": lambda n: Upload(kind="release", filename=f"row {n}.zip", n_bytes=1, sha256="0" * 64, options={}),
    }  # fmt: skip
    made = [rows[name](n) for n in range(MANY)]
    type(made[0]).objects.bulk_create(made)


def a_trial(study: Study, position: int) -> Trial:
    """Like one that somebody has answered, at another position of the same participation."""
    live = {"participation__study": study, "participation__mode": Mode.LIVE}
    trial = Trial.objects.filter(**live, response__isnull=False, kind="main").first()
    trial.pk, trial.position = None, position
    trial.save()
    return trial


def a_unit(study: Study, n: int) -> Unit:
    """About a mixed image of its own."""
    unit = study.batches.filter(mode=Mode.LIVE).first().units.first()
    image = MixedImage.objects.create(pair=unit.pair, lambda_e4=n, sha256="0" * 64)
    return Unit(batch=unit.batch, ordinal=1000 + n, pair=unit.pair, mixed_image=image)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_cut_into_pages_that_hold_each_row_once_for_a_constant_number_of_queries(world, name):
    client, address = admin_of(world), world.address(name)
    client.get(address)  # what is read once a process
    with CaptureQueriesContext(connection) as few:
        before = rows_of(client.get(address).content.decode())
    add_many(name, world)
    with CaptureQueriesContext(connection) as many:
        first = client.get(address).content.decode()
    assert len(few) >= len(many)  # fewer where what was done was done to fewer kinds of things
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
    asked = [(key, value) for key, value in asked if key not in {*filters_of(name, world), "page"}]
    reply = client.get(f"{address}?{urlencode(asked, errors='replace')}")
    assert reply.status_code == 200
    assert rows_of(reply.content.decode()) == rows_of(client.get(address).content.decode())


@pytest.mark.parametrize("name", ORDERED)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.one_of(VALUES, LOOKUPS.map("-{}".format)))
def test_an_order_that_is_not_declared_is_refused_beside_its_field_and_changes_nothing(world, name, value):
    client, address = admin_of(world), world.address(name)
    declared = filters_of(name, world)["order"].orders
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
    asked = {key: data.draw(VALUES) for key in filters_of(name, world)}
    asked |= {"page": data.draw(VALUES)}
    for address in {
        world.address(name),
        *([world.address(f"{name}_csv")] if f"{name}_csv" in ROUTES else []),
    }:
        reply = admin_of(world).get(f"{address}?{urlencode(asked, errors='replace')}")
        assert reply.status_code == 200
        body(reply)


@pytest.mark.parametrize("name", ORDERED)
def test_every_declared_order_shows_the_same_rows(world, name):
    add_many(name, world)
    client, address = admin_of(world), world.address(name)
    usual = [rows_of(client.get(address, {"page": n}).content.decode()) for n in (1, 2)]
    for order in filters_of(name, world)["order"].orders:
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


# --- Watching a study ---------------------------------------------------------------------------------------


def test_participations_are_narrowed_by_what_is_declared_and_by_nothing_of_who_they_are(world):
    client, address = admin_of(world), world.address("study_participations")
    everybody = {"mode": "all"}

    def n(**asked: object) -> int:
        page = client.get(address, asked).content.decode()
        return 0 if "<tbody>" not in page or "No participation fits" in page else len(rows_of(page))

    per_mode = [n(), n(mode=Mode.PILOT), n(mode=Mode.PREVIEW)]
    assert per_mode == [world.study.participations.filter(mode=mode).count() for mode in Mode.values]
    assert n(**everybody) == sum(per_mode)
    assert n(validity="invalid") == 1
    assert n(problem="open") == 1
    assert n(levels="0") + n(levels="1") == n()
    holder = world["holder"].participation
    for secret in ("identity__pid_hmac__startswith", "identity", "submissions__session_hmac", "pid", "drawn"):
        assert n(**{secret: "x"}) == n()
    # By the start of the id that we drew, never by anything that leads to a person.
    assert n(name=holder.public_id) == 1
    assert n(name=holder.identity.pid_hmac[:20]) == 0


@pytest.mark.parametrize("name", ["study_monitor", "study_replay", "study_versions", "study_version"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=ANYTHING, value=VALUES)
def test_a_page_takes_any_parameter_without_an_error_of_ours(world, name, asked, value):
    asked = [*asked, *((key, value) for key in ("mode", "levels", "at", "with", "page", "against"))]
    reply = admin_of(world).get(f"{world.address(name)}?{urlencode(asked, errors='replace')}")
    assert reply.status_code in (200, 404)
    assert HOSTILE not in reply.content.decode()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_planner_takes_anything_without_an_error_of_ours(world, data):
    fields = [
        *PlannerForm.base_fields,
        "based_on",
        "factors-TOTAL_FORMS",
        "factors-0-name",
        "factors-0-levels-TOTAL_FORMS",
    ]
    large = st.sampled_from(["9" * 400, "1e999", "NaN", "-1", "0", "100000", "500", "1000", "=1+1", "\0"])
    asked = {key: data.draw(st.one_of(VALUES, large)) for key in fields}
    client = world["owner"].client()
    reply = client.post(world.address("study_planner"), asked, headers={"X-Fragment": "planner"})
    assert reply.status_code in (200, 400)
    assert HOSTILE not in reply.content.decode()
