"""What the page of a job links to: the thing it works on, and what came of it once it is done."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from hilmix.accounts.models import User
from hilmix.hub.models import Freeze, Release
from hilmix.jobs.links import _providers, links_of
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.registry import KINDS


@pytest.fixture
def admin(db) -> User:
    return User.objects.create_user("admin", kind=User.Kind.ADMIN)


def job_on(kind: str, object_id: object, state: str = JobState.DONE, **said) -> Job:
    return Job(kind=kind, queue="data", object_id=str(object_id), label="work", state=state, **said)


@pytest.fixture
def freeze(make_study) -> Freeze:
    study = make_study()
    release = Release.objects.create(
        study=study, number=1, version="1.0.0", source=study.source, sha256="0" * 64, counts={}
    )
    return Freeze.objects.create(study=study, release=release)


def test_every_kind_of_work_says_what_it_works_on():
    assert {kind for kind, known in KINDS.items() if not known.handler.__module__.startswith("tests")} <= set(
        _providers
    )


def test_a_release_that_was_made_is_linked_once_the_job_is_done(freeze, admin):
    page = reverse("study", args=[freeze.study.slug])
    done = links_of(job_on("freeze_release", freeze.pk), admin)
    assert (done.name, done.url) == (freeze.study.title, page)
    assert done.result == reverse("release", args=[freeze.release_id])
    for state in (JobState.RUNNING, JobState.FAILED):
        assert links_of(job_on("freeze_release", freeze.pk, state), admin).result == ""


def test_the_study_that_is_opened_or_tried_out_is_linked(make_study, admin):
    study = make_study()
    page = reverse("study", args=[study.slug])
    for kind, object_id in (("open_study", study.pk), ("pilot_study", f"{study.pk}:5")):
        assert links_of(job_on(kind, object_id), admin).url == page


@pytest.mark.parametrize("object_id", ["99", "x", ""])
def test_what_is_gone_is_not_linked(db, admin, object_id):
    assert links_of(job_on("open_study", object_id), admin) is None
    assert links_of(job_on("of another version", object_id), admin) is None


def test_a_study_that_one_may_not_see_any_more_is_not_named(freeze):
    person = User.objects.create_user("left")
    assert links_of(job_on("freeze_release", freeze.pk), person) is None
    job = job_on("freeze_release", freeze.pk, created_by=person)
    job.save()
    client = Client()
    client.force_login(person)
    page = client.get(job.get_absolute_url())
    assert page.status_code == 200
    assert freeze.study.title not in page.text


def test_the_page_of_a_job_shows_the_links(freeze, admin):
    job = job_on("freeze_release", freeze.pk)
    job.save()
    client = Client()
    client.force_login(admin)
    page = client.get(job.get_absolute_url()).text
    assert f'<a href="{reverse("study", args=[freeze.study.slug])}">{freeze.study.title}</a>' in page
    assert "See what came of it" in page
