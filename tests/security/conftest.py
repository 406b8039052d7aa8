"""The world that these tests attack: built once a module, inside a transaction that ends with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.security.world import World, made_world

BOOKKEEPING = ('UPDATE "accounts_apitoken" SET "last_used_at"',)


@pytest.fixture(scope="module")
def _module_world(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[World]:
    var = tmp_path_factory.mktemp("var")
    with django_db_blocker.unblock(), transaction.atomic():
        with made_world(var) as world:
            yield world
        transaction.set_rollback(True)


@pytest.fixture
def world(_module_world: World, db: None) -> World:
    """Each test's own changes to it are rolled back as everywhere; files are under the module's folder."""
    cache.clear()
    return _module_world


@pytest.fixture
def writes() -> Callable[[Callable[[], object]], list[str]]:
    """`writes(call)`: the statements with which `call()` changes the database, noting a token's use apart."""

    def made_by(call: Callable[[], object]) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            call()
        statements = [query["sql"] for query in captured]
        changes = [sql for sql in statements if sql.startswith(("INSERT", "UPDATE", "DELETE", "REPLACE"))]
        return [sql for sql in changes if not sql.startswith(BOOKKEEPING)]

    return made_by
