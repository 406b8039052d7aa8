"""Kinds of jobs that exist in these tests only, and a look at the messages that the broker really holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from hilmix.accounts.models import User
from hilmix.core.errors import DataError
from hilmix.jobs.models import Queue
from hilmix.jobs.registry import KINDS, JobKind


def count(progress, object_id):
    for step in range(int(object_id)):
        progress.check()
        progress.log(f"step {step}")
        progress.update(step + 1, int(object_id), "counting")


def refuse(progress, object_id):
    raise DataError(f"Image {object_id} is broken.")


def stumble(progress, object_id):
    raise KeyError("a secret")


def until_cancelled(progress, object_id):
    while True:
        progress.check()


@pytest.fixture(autouse=True)
def _kinds(monkeypatch):
    for handler in (count, refuse, stumble, until_cancelled):
        monkeypatch.setitem(KINDS, handler.__name__, JobKind(handler.__name__, Queue.DATA, handler))


@pytest.fixture
def messages():
    """`messages(job)`: how many messages about it lie in the broker's folder."""

    def number(job):
        folder = Path(settings.CELERY_BROKER_TRANSPORT_OPTIONS["data_folder_in"])
        return sum(str(job.pk) in message.read_text() for message in folder.glob("*.msg"))

    return number


@pytest.fixture
def researcher(db):
    return User.objects.create_user("researcher", kind=User.Kind.RESEARCHER)


@pytest.fixture
def admin(db):
    return User.objects.create_user("admin", kind=User.Kind.ADMIN)
