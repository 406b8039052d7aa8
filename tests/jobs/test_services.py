"""The state of jobs: who may change it, and that of several who try one succeeds."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from kombu import Connection

from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Conflict, NotFound
from hilmix.jobs import services
from hilmix.jobs.models import Job, JobState, Queue, Worker
from hilmix.profiles import profiles

pytestmark = pytest.mark.django_db


def queued(actor=OPERATOR, **changes):
    return services.queue_job(kind="count", object_id="3", label="count to three", actor=actor, **changes)


def running(**changes):
    job = queued()
    claim = services.claim(job.pk, "data-1@host")
    Job.objects.filter(pk=job.pk).update(**changes)
    job.refresh_from_db()
    assert job.claim == claim
    return job


def alive(name="data-1@host", queue="data", seconds_ago=0):
    seen_at = timezone.now() - timedelta(seconds=seconds_ago)
    return Worker.objects.create(name=name, queue=queue, host="host", pid=1, seen_at=seen_at)


def ago(seconds):
    return timezone.now() - timedelta(seconds=seconds)


# --- Queueing ---------------------------------------------------------------------------------------------


def test_a_worker_is_told_when_the_transaction_commits_and_not_before(
    messages, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        job = queued()
        assert messages(job) == 0
    assert messages(job) == 1
    job.refresh_from_db()
    assert job.published_at is not None
    assert job.queue == Queue.DATA


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_rolled_back_leaves_neither_job_nor_message(messages):
    with transaction.atomic():
        job = queued()
        transaction.set_rollback(True)
    assert not Job.objects.exists()
    assert messages(job) == 0


def test_a_job_for_the_foreground_is_not_published(messages, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        job = queued(publish=False)
    assert messages(job) == 0


def test_what_people_do_to_jobs_is_in_the_audit_trail(researcher):
    job = queued(researcher)
    services.request_cancel(job=job, actor=researcher)
    services.retry_job(job=job, actor=researcher)
    actions = AuditEvent.objects.filter(object_id=str(job.pk)).order_by("id").values_list("action", "actor")
    assert list(actions) == [
        (f"job.{what}", researcher.pk) for what in ("queued", "cancel_requested", "retried")
    ]


# --- Claiming and ending ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_eight_that_claim_at_once_one_gets_the_job():
    job, claims, start = queued(publish=False), [], threading.Barrier(8)

    def claim(number):
        start.wait()
        claims.append(services.claim(job.pk, f"worker {number}"))
        connection.close()

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    job.refresh_from_db()
    assert [claim for claim in claims if claim] == [job.claim]


def test_a_job_that_is_unknown_or_not_queued_cannot_be_claimed():
    job = running()
    assert services.claim(job.pk, "another") is None
    assert services.claim(uuid.uuid4(), "another") is None


def test_only_the_holder_of_the_claim_ends_a_job():
    job = running()
    assert not services.finish(job.pk, uuid.uuid4(), JobState.DONE)
    assert services.finish(job.pk, job.claim, JobState.FAILED, "No.")
    assert not services.finish(job.pk, job.claim, JobState.DONE), "it is over"
    job.refresh_from_db()
    assert (job.state, job.claim, job.error) == ("failed", None, "No.")
    assert job.finished_at is not None


def test_the_database_refuses_a_running_job_without_a_claim():
    job = queued()
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING)


# --- Cancelling and retrying ------------------------------------------------------------------------------


def test_a_queued_job_is_cancelled_at_once_and_then_not_claimed():
    job = queued()
    services.request_cancel(job=job, actor=OPERATOR)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED
    assert services.claim(job.pk, "late") is None


def test_a_running_job_is_asked_to_stop():
    job = running()
    services.request_cancel(job=job, actor=OPERATOR)
    job.refresh_from_db()
    assert (job.state, job.cancel_requested) == ("running", True)


def test_a_job_that_is_over_cannot_be_cancelled():
    job = running()
    services.finish(job.pk, job.claim, JobState.DONE)
    with pytest.raises(Conflict, match="over already"):
        services.request_cancel(job=job, actor=OPERATOR)


@pytest.mark.parametrize("state", ["failed", "cancelled", "lost"])
def test_a_job_that_went_wrong_is_retried_from_a_clean_start(
    state, messages, django_capture_on_commit_callbacks
):
    job = running(cancel_requested=True, progress_done=2, progress_total=3)
    services.finish(job.pk, job.claim, JobState(state), "why")
    with django_capture_on_commit_callbacks(execute=True):
        services.retry_job(job=job, actor=OPERATOR)
    job.refresh_from_db()
    assert (job.state, job.attempt, job.error, job.cancel_requested) == ("queued", 2, "", False)
    assert (job.progress_done, job.finished_at) == (0, None)
    assert messages(job) == 1


@pytest.mark.parametrize("state", ["queued", "running", "done"])
def test_other_jobs_are_not_retried(state):
    job = queued() if state == "queued" else running()
    if state == "done":
        services.finish(job.pk, job.claim, JobState.DONE)
    with pytest.raises(Conflict):
        services.retry_job(job=job, actor=OPERATOR)


def test_people_see_and_steer_their_own_jobs_and_admins_all(researcher, admin):
    mine, other = queued(researcher), queued(User.objects.create_user("other"))
    assert list(Job.objects.visible_to(researcher)) == [mine]
    assert set(Job.objects.visible_to(admin)) == {mine, other} == set(Job.objects.visible_to(OPERATOR))
    assert not Job.objects.visible_to(AnonymousUser()).exists()
    for steer in (services.request_cancel, services.retry_job):
        with pytest.raises(NotFound):
            steer(job=other, actor=researcher)
    services.request_cancel(job=other, actor=admin)


def test_somebody_whose_account_was_closed_sees_nothing(researcher):
    queued(researcher)
    researcher.is_active = False
    assert not Job.objects.visible_to(researcher).exists()


# --- Sweeping ---------------------------------------------------------------------------------------------


def test_a_job_silent_for_longer_than_the_limit_is_lost_and_says_when_and_where():
    at = timezone.now() - timedelta(seconds=31)
    job = running(heartbeat_at=at, progress_done=3, progress_total=10)
    assert services.sweep().lost == 1
    job.refresh_from_db()
    assert job.state == JobState.LOST
    assert job.error == f"worker lost at {at:%H:%M} UTC, 3 of 10. It can be retried."
    assert job.lines.get().text == job.error


def test_a_job_that_was_heard_of_lately_is_left_alone():
    running(heartbeat_at=ago(25))
    assert services.sweep().lost == 0


def test_a_sign_of_life_between_looking_and_marking_saves_the_job():
    job = running(heartbeat_at=ago(31))
    seen = Job.objects.get(pk=job.pk)
    assert services.beat(job.pk, job.claim)
    silent = services.Q(heartbeat_at__lt=services.silent_since())
    assert not services.finish(seen.pk, seen.claim, JobState.LOST, "silent", only_if=silent)


def test_more_jobs_that_run_than_workers_that_live_publish_nothing_and_end_no_sweep():
    """A worker that was killed and started again under its name is alive, while its first job is not lost yet."""
    alive()
    running()
    running()
    queued()
    assert services.sweep().published == 0


def test_a_waiting_job_whose_message_is_old_is_published_again_if_a_worker_is_idle(messages):
    job = queued()
    Job.objects.update(published_at=ago(20))
    assert services.sweep().published == 0, "no worker is alive: messages would only pile up"
    alive()
    assert services.sweep().published == 1
    assert messages(job) == 1
    assert services.sweep().published == 0, "it was told just now"


def test_nothing_is_published_again_while_every_worker_is_busy(messages):
    alive()
    running()
    waiting = queued()
    Job.objects.filter(pk=waiting.pk).update(published_at=ago(3600))
    assert services.sweep().published == 0
    assert messages(waiting) == 0


def test_a_job_whose_publisher_died_before_telling_anyone_is_published():
    alive()
    queued(publish=False)
    Job.objects.update(created_at=ago(20))
    assert services.sweep().published == 1


def test_a_worker_counts_as_alive_for_as_long_as_its_signs_of_life_come():
    assert not services.workers_alive("data")
    alive(seconds_ago=29)
    alive("train-1@host", "train", seconds_ago=31)
    assert services.workers_alive("data")
    assert not services.workers_alive("train")
    assert services.queues_without_worker() == [Queue.TRAIN]


def test_a_worker_gone_for_more_than_a_day_is_forgotten():
    alive(seconds_ago=3600)
    alive("old", seconds_ago=25 * 3600)
    services.sweep()
    assert Worker.objects.get().name == "data-1@host"


def test_a_broker_that_is_away_costs_no_job(settings, tmp_path, caplog):
    blocked = tmp_path / "a file, not a folder"
    blocked.touch()
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"data_folder_in": str(blocked / "queue")}
    job = queued(publish=False)
    services._publish(job)
    assert "the broker could not be told" in caplog.text
    job.refresh_from_db()
    assert job.state == JobState.QUEUED


def test_the_embedded_broker_names_a_host_as_kombu_warns_at_each_message_without_one(caplog):
    with Connection(profiles(Path("var"), "8000")["embedded"].broker_url) as connection:
        connection.info()
    assert not caplog.records
