"""The world that these tests attack: built once a module, inside a transaction that ends with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction

from tests.security.world import World, made_world

NOTING_USE = 'UPDATE "accounts_apitoken" SET "last_used_at"'


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
def writes() -> Callable[[], AbstractContextManager[list[str]]]:
    """`with writes() as changes:` collects the statements that changed rows, but for noting a token's use."""

    @contextmanager
    def collect() -> Iterator[list[str]]:
        changes: list[str] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
            result = execute(sql, params, many, context)
            changed = sql.startswith(("INSERT", "UPDATE", "DELETE", "REPLACE")) and context["cursor"].rowcount
            if changed and not sql.startswith(NOTING_USE):
                changes.append(sql)
            return result

        with connection.execute_wrapper(note):
            yield changes

    return collect
