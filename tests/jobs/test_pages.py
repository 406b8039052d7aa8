"""The pages of long work, as different people see them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from hilmix.accounts.models import User
from hilmix.accounts.services import create_token
from hilmix.jobs import services
from hilmix.jobs.models import Job, JobLine, JobState, Queue, Worker

BANNER = "No worker is running: start one with <code>python manage.py serve</code>"


@pytest.fixture
def visitor(researcher):
    client = Client()
    client.force_login(researcher)
    return client


@pytest.fixture
def job(researcher):
    return services.queue_job(kind="count", object_id="3", label="Freeze <demo>", actor=researcher)


@pytest.fixture
def someone_elses():
    other = User.objects.create_user("other")
    return services.queue_job(kind="count", object_id="3", label="not yours", actor=other)


def worker(queue):
    return Worker.objects.create(name=f"{queue}@host", queue=queue, host="host", pid=1)


def test_the_list_shows_ones_own_jobs_only(visitor, job, someone_elses):
    text = visitor.get(reverse("jobs")).content.decode()
    assert "Freeze &lt;demo&gt;" in text
    assert "not yours" not in text


def test_the_list_asks_the_database_as_often_for_fifty_jobs_as_for_one(
    visitor, job, researcher, django_assert_num_queries
):
    with CaptureQueriesContext(connection) as for_one:
        visitor.get(reverse("jobs"))
    Job.objects.bulk_create(
        Job(kind="count", queue="data", object_id=str(n), label=f"job {n}", created_by=researcher)
        for n in range(49)
    )
    with django_assert_num_queries(len(for_one)):
        assert "job 48" in visitor.get(reverse("jobs")).content.decode()


def test_pages_say_that_no_worker_is_running_until_one_is(visitor, job):
    detail = reverse("job", args=[job.pk])
    state = reverse("job_state", args=[job.pk])
    assert BANNER in visitor.get(reverse("jobs")).content.decode()
    assert "<div data-job-no-worker>" in visitor.get(detail).content.decode()
    assert visitor.get(state).json()["no_worker"] is True
    for queue in Queue.values:
        worker(queue)
    assert BANNER not in visitor.get(reverse("jobs")).content.decode()
    assert "<div data-job-no-worker hidden>" in visitor.get(detail).content.decode()
    assert visitor.get(state).json()["no_worker"] is False


def test_a_running_job_shows_how_far_it_is_and_what_it_logged(visitor, job):
    services.claim(job.pk, "data-1@host")
    Job.objects.update(progress_done=3, progress_total=10, progress_text="epoch 3")
    JobLine.objects.create(job=job, at=timezone.now(), text="<b>loss 0.1</b>")
    text = visitor.get(reverse("job", args=[job.pk])).content.decode()
    assert '<progress data-job-bar aria-label="Progress" max="10" value="3">' in text
    assert "&lt;b&gt;loss 0.1&lt;/b&gt;" in text
    state = visitor.get(reverse("job_state", args=[job.pk])).json()
    assert (state["state"], state["done"], state["total"], state["text"]) == ("running", 3, 10, "epoch 3")
    assert state["lines"][0]["text"] == "<b>loss 0.1</b>"


def test_a_lost_job_says_why_and_offers_another_try(visitor, job):
    claim = services.claim(job.pk, "data-1@host")
    services.finish(job.pk, claim, JobState.LOST, "worker lost at 14:02 UTC, 3 of 10. It can be retried.")
    text = visitor.get(reverse("job", args=[job.pk])).content.decode()
    assert "worker lost at 14:02 UTC, 3 of 10" in text
    assert "Cancel this job" not in text
    assert visitor.post(reverse("job_retry", args=[job.pk])).status_code == 302
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("queued", 2)


def test_a_job_is_cancelled_by_its_button_and_a_second_press_is_answered(visitor, job):
    assert "Cancel this job" in visitor.get(reverse("job", args=[job.pk])).content.decode()
    visitor.post(reverse("job_cancel", args=[job.pk]))
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    again = visitor.post(reverse("job_cancel", args=[job.pk]), follow=True)
    assert "The job is over already" in again.content.decode()


@pytest.mark.parametrize("name", ["job", "job_state", "job_cancel", "job_retry"])
def test_somebody_elses_job_is_not_there_and_nothing_happens_to_it(visitor, someone_elses, name):
    address = reverse(name, args=[someone_elses.pk])
    reply = visitor.post(address) if name in ("job_cancel", "job_retry") else visitor.get(address)
    assert reply.status_code == 404
    someone_elses.refresh_from_db()
    assert (someone_elses.state, someone_elses.attempt) == ("queued", 1)


@pytest.mark.parametrize("name", ["job_cancel", "job_retry"])
def test_steering_needs_a_post_with_a_token(researcher, job, name):
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(researcher)
    assert careful.get(reverse(name, args=[job.pk])).status_code == 405
    assert careful.post(reverse(name, args=[job.pk])).status_code == 403
    job.refresh_from_db()
    assert job.state == JobState.QUEUED


def test_an_admin_sees_and_steers_everybodys(admin, job):
    client = Client()
    client.force_login(admin)
    assert client.get(reverse("job", args=[job.pk])).status_code == 200
    client.post(reverse("job_cancel", args=[job.pk]))
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED


@pytest.mark.django_db
def test_a_stranger_is_sent_to_sign_in():
    assert Client().get(reverse("jobs")).status_code == 302


def test_a_job_that_is_done_shows_no_fraction(visitor, job):
    claim = services.claim(job.pk, "data-1@host")
    Job.objects.update(progress_total=60)
    assert "0 / 60" in visitor.get(reverse("jobs")).text
    services.finish(job.pk, claim, JobState.DONE)
    page = visitor.get(reverse("job", args=[job.pk])).text
    assert "0 / 60" not in page + visitor.get(reverse("jobs")).text
    assert 'max="1" value="1"' in page


def test_an_admin_pauses_and_resumes_a_queue_and_others_see_that_it_is_paused(admin, visitor, job):
    client = Client()
    client.force_login(admin)
    assert "Pause “data”" in client.get(reverse("jobs")).text
    assert "Pause “data”" not in visitor.get(reverse("jobs")).text
    page = client.post(reverse("queue_pause", args=["data"]), follow=True).text
    assert "Resume “data”" in page
    assert "Pause “training”" in page
    assert services.claim_next("data", "data-1@host") is None
    assert "paused, nothing more begins" in visitor.get(reverse("jobs")).text
    assert "This queue is paused" in visitor.get(reverse("job", args=[job.pk])).text
    client.post(reverse("queue_resume", args=["data"]))
    assert services.claim_next("data", "data-1@host") == job


def test_only_admins_pause_and_only_queues_that_there_are(admin, visitor, job):
    for name in ("queue_pause", "queue_resume"):
        assert visitor.post(reverse(name, args=["data"])).status_code == 403
    client = Client()
    client.force_login(admin)
    assert client.post(reverse("queue_pause", args=["other"])).status_code == 404
    assert services.claim_next("data", "data-1@host") == job


def test_a_waiting_job_is_given_another_place_by_its_form(visitor, job):
    address = reverse("job_reorder", args=[job.pk])
    assert 'name="not_before"' in visitor.get(reverse("job", args=[job.pk])).text
    visitor.post(address, {"priority": "5", "not_before": "2040-01-01T10:00"})
    job.refresh_from_db()
    assert (job.priority, job.not_before.isoformat()) == (5, "2040-01-01T10:00:00+00:00")
    page = visitor.get(reverse("jobs")).text
    assert "priority 5" in page
    assert "not before 1 Jan 2040 10:00" in page
    said = visitor.post(address, {"priority": "high"}, follow=True).text
    assert "whole number" in said
    visitor.post(address, {"priority": "0", "not_before": ""})
    services.claim(job.pk, "data-1@host")
    assert 'name="not_before"' not in visitor.get(reverse("job", args=[job.pk])).text
    assert "does not wait any more" in visitor.post(address, {"priority": "1"}, follow=True).text


def test_programs_pause_resume_and_reorder(admin, researcher, job):
    client, other = (
        Client(headers={"authorization": f"Token {create_token(person=person, name='mine', scope='write')}"})
        for person in (admin, researcher)
    )
    assert other.post(reverse("api_queue_pause", args=["data"])).status_code == 403
    assert client.post(reverse("api_queue_pause", args=["data"])).json() == {
        "queue": "data", "is_paused": True, "has_worker": False, "n_waiting": 1, "n_running": 0,
    }  # fmt: skip
    assert [queue["is_paused"] for queue in other.get(reverse("api_queues")).json()] == [True, False]
    assert client.post(reverse("api_queue_resume", args=["data"])).json()["is_paused"] is False
    assert client.post(reverse("api_queue_resume", args=["other"])).status_code == 404
    address = reverse("api_job_reorder", args=[job.pk])
    assert other.post(address, {"priority": 2}, content_type="application/json").json()["priority"] == 2
    later = {"priority": 0, "not_before": "2040-01-01T10:00:00Z"}
    client.post(address, later, content_type="application/json")
    client.post(address, {"priority": 1}, content_type="application/json")
    job.refresh_from_db()
    assert (job.priority, job.not_before.year) == (1, 2040), "what is left out stays"
    client.post(address, {"priority": 1, "not_before": None}, content_type="application/json")
    job.refresh_from_db()
    assert job.not_before is None
    assert other.post(address, {"priority": "x"}, content_type="application/json").status_code == 400


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("failed", "Mend what the sentence above names"),
        ("lost", "nothing is wrong"),
        ("cancelled", "goes on from"),
    ],
)
def test_a_job_that_ended_early_says_what_to_do(visitor, job, state, words):
    page = reverse("job", args=[job.pk])
    assert "data-what-next" not in visitor.get(page).content.decode()
    Job.objects.update(state=state, error="It ended.")
    text = visitor.get(page).content.decode()
    assert words in text
    assert "Try again" in text
