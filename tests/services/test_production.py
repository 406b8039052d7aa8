"""The production profile as it runs on servers: PostgreSQL holds the truth and Redis carries the messages."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis
from django.db import connection
from psycopg.rows import dict_row

from tests.system.conftest import Instance, environment, free_port

pytestmark = pytest.mark.services
POSTGRES = os.environ.get("HILMIX_TEST_POSTGRES", "")
REDIS = os.environ.get("HILMIX_TEST_REDIS", "")


class Production(Instance):
    """An instance whose rows are in PostgreSQL."""

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.env["DATABASE_URL"], row_factory=dict_row) as database:
            return database.execute(sql.replace("?", "%s"), parameters).fetchall()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of an empty database that goes with the tests."""
    name = f"hilmix_serve_{os.getpid()}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"drop database if exists {name}")
        admin.execute(f"create database {name}")
    yield urlunsplit(urlsplit(POSTGRES)._replace(path=f"/{name}"))
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def instance(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    var, port = tmp_path_factory.mktemp("var"), free_port()
    said = {
        "HILMIX_PROFILE": "production",
        "HILMIX_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "HILMIX_SECRET_KEY": secrets.token_urlsafe(48),
        "HILMIX_IDENTITY_KEY": secrets.token_urlsafe(48),
        "DATABASE_URL": database,
        "REDIS_URL": REDIS,
    }
    instance = Production(var, port, environment(var, port, **said))
    instance.manage("prepare")
    instance.start()
    yield instance
    instance.end()


def test_the_tests_of_this_run_stand_on_postgresql():
    """Those of other folders that run with these would pass on SQLite as well."""
    assert connection.vendor == "postgresql"


def test_a_job_goes_through_redis_and_is_done(instance):
    job = instance.queue("0 polite")
    done = instance.wait_for_state(job, "done", within=10)
    assert (done["attempt"], done["queue"]) == (1, "data")
    assert redis.Redis.from_url(REDIS).ping()
    assert not (instance.var / "broker").exists()


def test_nothing_of_the_embedded_profile_is_used(instance):
    assert instance.get("/healthz")[0] == instance.get("/readyz")[0] == 200
    assert not list(instance.var.glob("*.sqlite3*"))
    assert not (instance.var / "keys").exists()


def test_work_that_is_stopped_while_redis_holds_its_message_is_done_once_it_is_retried(instance):
    job = instance.queue("300 polite")
    instance.wait_for_state(job, "running")
    instance.steer("request_cancel", job)
    instance.wait_for_state(job, "cancelled")
    other = instance.queue("0 polite")
    assert instance.wait_for_state(other, "done")["attempt"] == 1
