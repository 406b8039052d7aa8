"""How lists of the API are cut, filtered and asked again: cursors, `since`, declared filters, ETags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core import signing
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elicitation.images.models import ImageSet
from elicitation.participants.models import Participation, ProblemReport
from elicitation.studies.models import Protocol, Study
from elicitation.trials.models import Response
from hilmix.hub.models import Analysis, Export, Release, Simulation, Upload
from hilmix.jobs.models import Job
from tests.security.test_lists import ANYTHING, VALUES
from tests.security.world import World
from training.models import Experiment

LISTS = (
    "api_image_sets",
    "api_studies",
    "api_protocols",
    "api_mixed_images",
    "api_responses",
    "api_participations",
    "api_problems",
    "api_analyses",
    "api_exports",
    "api_simulations",
    "api_releases",
    "api_imports",
    "api_experiments",
    "api_jobs",
)
DECLARED = {
    *("limit", "cursor", "since", "state", "source", "mode", "kind", "format", "handled", "study"),
    *("participation", "counted", "mixed_image", "lambda_e4", "first_class", "second_class"),
}
SECONDS = timedelta(seconds=1)
quick = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def admin_of(world: World) -> Client:
    return world["admin"].client()


def rows(client: Client, address: str, **asked: Any) -> list[dict[str, Any]]:
    """Every row, gone through page by page as `next` leads."""
    page = client.get(address, asked or None).json()
    assert len(page["results"]) <= int(asked.get("limit", 100))
    return page["results"] + (rows(client, page["next"]) if page["next"] else [])


def name_of(row: dict[str, Any]) -> Any:
    return row.get("id") or row.get("slug") or row.get("name") or row["version"]


def add_many(name: str, world: World, n: int = 7) -> None:
    """More rows of a list, all made at one moment."""
    study, person, now = world.study, world["admin"].user, timezone.now()
    rows = {
        "api_image_sets": lambda n: ImageSet(
            name=f"row-{n}", kind="npz", n_images=1, height=1, width=1, channels=1, classes=[], splits={}
        ),
        "api_studies": lambda n: Study(slug=f"row-{n}", title="row", image_set=world.image_set),
        "api_protocols": lambda n: Protocol(study=study, version=10 + n, content=study.protocol.content),
        "api_participations": lambda n: Participation(study=study, protocol=study.protocol, source="person"),
        "api_problems": lambda n: ProblemReport(study=study, page="trials", text="row"),
        "api_analyses": lambda n: Analysis(study=study, kind="answers"),
        "api_exports": lambda n: Export(study=study, format="csv"),
        "api_simulations": lambda n: Simulation(study=study, release=world.release, options={}),
        "api_releases": lambda n: Release(
            study=study, number=100 + n, version=f"{n}.0.0", source="person", sha256="0" * 64, counts={}
        ),
        "api_imports": lambda n: Upload(kind="release", filename=f"{n}.zip", n_bytes=1, sha256="0" * 64),
        "api_experiments": lambda n: Experiment(
            name=f"row {n}", config={}, config_sha256=f"{n:064}", release=world.release, image_set=world.image_set
        ),
        "api_jobs": lambda n: Job(
            kind="k", queue="data", object_id="1", label="row", created_by=person, created_at=now
        ),
    }  # fmt: skip
    made = [rows[name](at) for at in range(n)]
    made = type(made[0])._default_manager.bulk_create(made)
    if name == "api_studies":
        content = world.study.protocol.content
        Protocol.objects.bulk_create(Protocol(study=one, content=content, sha256="0") for one in made)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_gone_through_by_cursors_each_row_once(world, name):
    client, address = admin_of(world), world.address(name)
    if name not in ("api_mixed_images", "api_responses"):  # the world has more than one page of these
        add_many(name, world)
    everything = [name_of(row) for row in rows(client, address, limit=1000)]
    assert len(everything) > 5
    assert [name_of(row) for row in rows(client, address, limit=2)] == everything
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize("name", ["api_studies", "api_releases", "api_jobs", "api_participations"])
def test_rows_that_come_while_one_goes_through_a_list_shift_nothing(world, name):
    client, address = admin_of(world), world.address(name)
    add_many(name, world)
    before = [name_of(row) for row in rows(client, address)]
    first = client.get(address, {"limit": 3}).json()
    if name == "api_studies":
        Study.objects.create(slug="newer", title="newer", image_set=world.image_set)
    if name == "api_jobs":
        Job.objects.create(kind="k", queue="data", object_id="1", label="newer")
    if name == "api_participations":
        Participation.objects.create(study=world.study, protocol=world.study.protocol, source="person")
    if name == "api_releases":
        Release.objects.create(
            study=world.study, number=999, version="9.9.9", source="person", sha256="1" * 64, counts={}
        )
    assert [name_of(row) for row in [*first["results"], *rows(client, first["next"])]] == before


@pytest.mark.parametrize("name", ["api_mixed_images", "api_responses", *LISTS[:3], *LISTS[5:]])
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(world, name):
    client, address = admin_of(world), world.address(name)

    def queries(limit: int) -> int:
        client.get(address, {"limit": limit})  # what is read once a process
        with CaptureQueriesContext(connection) as told:
            assert client.get(address, {"limit": limit}).status_code == 200
        return len([one for one in told if "accounts_apitoken" not in one["sql"]])

    if name not in ("api_mixed_images", "api_responses"):
        add_many(name, world)
    few = queries(1)
    if (
        name != "api_participations"
    ):  # the newest answered nothing, so nothing is looked for in other people's answers
        # The newest experiment has no arms, so their runs are looked for only where there are more.
        assert queries(1000) == few + (name == "api_experiments")
    # Flags are looked for in what others say of the same; the study's conditions and rules say which answers count.
    assert few <= {"api_participations": 14, "api_responses": 6}.get(name, 5)


@pytest.mark.parametrize("cursor", ["x", "0", "-1", "1:2:3", "of no list", "of another"])
def test_a_cursor_that_we_did_not_write_for_this_list_is_refused(world, cursor):
    written = {"of no list": {}, "of another": {"salt": "cursor:/api/v1/jobs/"}}
    cursor = signing.dumps(["1"], **written[cursor]) if cursor in written else cursor
    reply = admin_of(world).get(world.address("api_studies"), {"cursor": cursor})
    assert (reply.status_code, reply.json()["fields"]) == (
        400,
        {"cursor": ["This is no cursor of this list. Begin without one."]},
    )


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "all", "1e2", "٣", "9" * 500])
def test_a_number_of_rows_that_no_page_has_is_refused(world, limit):
    reply = admin_of(world).get(world.address("api_studies"), {"limit": limit})
    assert (reply.status_code, reply.json()["fields"]["limit"]) == (400, ["A page has 1 to 1000 rows."])


# --- Since --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in LISTS if name != "api_mixed_images"])
def test_since_leaves_what_was_made_or_changed_from_then_on(world, name):
    client, address = admin_of(world), world.address(name)
    ever = [name_of(row) for row in rows(client, address, since="2001-01-01T00:00:00Z")]
    assert ever == [name_of(row) for row in rows(client, address)]
    assert ever
    future = (timezone.now() + 60 * SECONDS).isoformat()
    assert rows(client, address, since=future) == []


def test_since_finds_answers_received_at_that_very_moment_and_later(world):
    client, address = admin_of(world), world.address("api_responses")
    some, other = Response.objects.filter(trial__participation__study=world.study)[:2]
    then = datetime(2030, 5, 1, 12, tzinfo=UTC)
    Response.objects.filter(pk=some.pk).update(received_at=then)
    Response.objects.filter(pk=other.pk).update(received_at=then - SECONDS)

    def told(since: str) -> list[str]:
        return [row["id"] for row in rows(client, address, since=since, mode="all")]

    assert told("2030-05-01T12:00:00Z") == [str(some.pk)]
    assert sorted(told("2030-05-01T13:59:59+02:00")) == sorted([str(some.pk), str(other.pk)])


def test_since_finds_what_was_changed_later(world):
    client, address = admin_of(world), world.address("api_studies")
    since = (timezone.now() + 60 * SECONDS).isoformat()
    Study.objects.filter(pk=world.study.pk).update(closed_at=timezone.now() + 120 * SECONDS)
    assert [row["slug"] for row in rows(client, address, since=since)] == [world.study.slug]


@pytest.mark.parametrize(
    "since",
    ["yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-13-01T00:00:00Z", "1"],
)
def test_a_moment_that_is_none_is_refused_and_filters_nothing(world, since):
    reply = admin_of(world).get(world.address("api_responses"), {"since": since})
    assert reply.status_code == 400
    assert "since" in reply.json()["fields"]


# --- Filters (checklist S2) ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LISTS)
@quick
@given(asked=ANYTHING, order=VALUES)
def test_a_parameter_that_is_not_declared_never_changes_what_is_told(world, name, asked, order):
    client, address = admin_of(world), world.address(name)
    asked = [(key, value) for key, value in asked if key not in DECLARED]
    asked += [(key, order) for key in ("ordering", "order_by", "order", "offset", "page", "search", "fields")]
    reply = client.get(f"{address}?{urlencode(asked, errors='replace')}")
    assert reply.status_code == 200
    assert reply.json()["results"] == client.get(address).json()["results"]


@pytest.mark.parametrize("name", LISTS)
@quick
@given(data=st.data())
def test_every_declared_filter_takes_any_text_without_an_error_of_ours(world, name, data):
    asked = {key: data.draw(VALUES) for key in data.draw(st.sets(st.sampled_from(sorted(DECLARED))))}
    reply = admin_of(world).get(f"{world.address(name)}?{urlencode(asked, errors='replace')}")
    assert reply.status_code in (200, 400)


def test_filters_leave_what_they_say(world):
    client = admin_of(world)

    def told(name: str, **asked: Any) -> list[dict[str, Any]]:
        return rows(client, world.address(name), **asked)

    answers = told("api_responses", mode="all")
    holder = world["holder"].participation.public_id
    of_holder = [row for row in answers if row["participation"] == holder]
    assert 0 < len(of_holder) < len(answers)
    assert told("api_responses", participation=holder) == of_holder
    for mode in ("live", "pilot"):
        assert told("api_responses", mode=mode) == [row for row in answers if row["mode"] == mode] != []
    live = told("api_responses")
    assert live == told("api_responses", mode="live")
    assert told("api_responses", counted="true") == [row for row in live if not row["not_counted"]] != []
    assert told("api_responses", counted="false") == [row for row in live if row["not_counted"]] != []
    image = next(one for one in told("api_mixed_images") if one["key"] == answers[0]["key"])
    about = [row for row in answers if row["key"] == image["key"]]
    assert told("api_responses", mixed_image=image["id"], mode="all") == about
    assert told("api_mixed_images", lambda_e4=image["lambda_e4"], first_class=image["first"]["class_index"])
    assert told("api_mixed_images", lambda_e4=1) == []
    assert {row["slug"] for row in told("api_studies", source="simulated")} == set()
    assert told("api_releases", study="elsewhere") == []


# --- ETags --------------------------------------------------------------------------------------------------

TOLD = (
    *(*LISTS, "api_study", "api_members", "api_protocol", "api_job", "api_analysis", "api_import"),
    *("api_release", "api_release_changes", "api_release_file", "api_parent_image"),
)


@pytest.mark.parametrize("name", [*TOLD, "api_mixed_image_picture", "api_export_file", "api_experiment"])
def test_what_one_has_already_is_not_sent_again(world, name):
    client, address = admin_of(world), world.address(name)
    first = client.get(address)
    assert first.status_code == 200
    assert (first["Cache-Control"], first["Vary"]) == ("private, no-cache", "Authorization")
    again = client.get(address, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert client.get(address, headers={"If-None-Match": '"another"'}).status_code == 200


def test_what_has_changed_is_sent_again(world):
    client, address = admin_of(world), world.address("api_study")
    first = client.get(address)
    Study.objects.filter(pk=world.study.pk).update(title="Another title")
    again = client.get(address, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.json()["title"]) == (200, "Another title")


def test_an_etag_opens_nothing_to_whoever_may_not_see_it(world):
    etag = admin_of(world).get(world.address("api_study"))["ETag"]
    for who, status in (("stranger", 404), ("public", 401)):
        reply = world[who].client().get(world.address("api_study"), headers={"If-None-Match": etag})
        assert reply.status_code == status
