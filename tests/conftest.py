"""What every test stands on: the checkout's own state is never touched, and real data is looked for in one place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def realdata_folder() -> Path:
    """Where real data is, if it is: `$HILMIX_REALDATA`, else ../shared/data beside the checkout."""
    return Path(os.environ.get("HILMIX_REALDATA", ROOT.parent / "shared" / "data"))


def on_postgresql() -> bool:
    """Whether this run stands on PostgreSQL, with Redis beside it: that of `.ci/test-services`."""
    return os.environ.get("DATABASE_URL", "").startswith("postgres")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not on_postgresql():
        elsewhere = pytest.mark.skip(reason="needs PostgreSQL and Redis: `make services`, then `make test`")
        for item in items:
            if "services" in item.keywords:
                item.add_marker(elsewhere)
    folder = realdata_folder()
    if not folder.is_dir():
        absent = pytest.mark.skip(reason=f"no real data at {folder}; set HILMIX_REALDATA")
        for item in items:
            if "realdata" in item.keywords:
                item.add_marker(absent)


@pytest.fixture(scope="session", autouse=True)
def tables_are_emptied_after_threads() -> None:
    """PostgreSQL empties tables that others refer to only where the apps are named."""
    if on_postgresql():
        from django.apps import apps
        from django.test import TransactionTestCase

        TransactionTestCase.available_apps = [app.name for app in apps.get_app_configs()]


@pytest.fixture(scope="session")
def realdata() -> Path:
    return realdata_folder()


@pytest.fixture(scope="session", autouse=True)
def the_checkouts_state_is_untouched() -> Iterator[None]:
    before = _newest(ROOT / "var")
    yield
    assert _newest(ROOT / "var") == before, "a test wrote into the checkout's var/"


def _newest(folder: Path) -> float:
    return max((path.stat().st_mtime for path in folder.rglob("*") if path.exists()), default=0.0)
