"""Which job of a queue begins next: by priority, not before its time, and none while the queue is paused."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Conflict, Forbidden, Invalid
from hilmix.jobs import services, tasks
from hilmix.jobs.models import Job, JobState, Pause, Worker

pytestmark = pytest.mark.django_db


def queued(label="count", **how):
    return services.queue_job(kind="count", object_id="3", label=label, actor=OPERATOR, **how)


def taken():
    job = services.claim_next("data", "data-1@host")
    return job.label if job else None


def in_(**time):
    return timezone.now() + timedelta(**time)


def test_jobs_begin_by_priority_and_then_by_age():
    for label, priority in (("old", 0), ("later", -1), ("young", 0), ("urgent", 5)):
        queued(label, priority=priority)
    assert [taken() for _ in range(5)] == ["urgent", "old", "young", "later", None]


def test_no_job_begins_before_its_time():
    queued("at night", not_before=in_(hours=3), priority=9)
    queued("now")
    assert [taken(), taken()] == ["now", None]
    Job.objects.filter(label="at night").update(not_before=in_(seconds=-1))
    assert taken() == "at night"


def test_a_paused_queue_gives_nothing_out_until_it_is_resumed_and_then_says_so_at_once(
    messages, django_capture_on_commit_callbacks
):
    Worker.objects.create(name="data-1@host", queue="data", host="host", pid=1)
    services.pause_queue(queue="data", actor=OPERATOR)
    services.pause_queue(queue="data", actor=OPERATOR)
    job = queued()
    assert taken() is None
    assert services.sweep().published == 0
    with django_capture_on_commit_callbacks(execute=True):
        services.resume_queue(queue="data", actor=OPERATOR)
    assert messages(job) == 1
    assert taken() == "count"
    said = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert [action for action in said if action.startswith("queue.")] == ["queue.paused", "queue.resumed"]


def test_pausing_one_queue_leaves_the_other_alone():
    services.pause_queue(queue="train", actor=OPERATOR)
    queued()
    assert taken() == "count"


def test_only_admins_pause_and_resume():
    researcher = User.objects.create_user("ada", kind=User.Kind.RESEARCHER)
    for act in (services.pause_queue, services.resume_queue):
        with pytest.raises(Forbidden):
            act(queue="data", actor=researcher)
    assert not Pause.objects.exists()


def test_a_waiting_job_can_be_put_elsewhere_and_a_running_one_cannot():
    first, second = queued("first"), queued("second")
    services.reorder_job(job=second, actor=OPERATOR, priority=1)
    assert taken() == "second"
    with pytest.raises(Conflict, match="does not wait"):
        services.reorder_job(job=second, actor=OPERATOR, priority=2)
    services.reorder_job(job=first, actor=OPERATOR, priority=0, not_before=in_(hours=1))
    assert taken() is None


def test_a_message_about_one_job_begins_the_one_that_is_next(monkeypatch):
    begun = []
    monkeypatch.setattr(tasks.runner, "watch", lambda job_id, claim: begun.append((job_id, claim)))
    plain, urgent = queued(), queued(priority=1)
    tasks.look.apply(args=[str(plain.pk)])
    tasks.look.apply(args=[str(urgent.pk)])
    tasks.look.apply(args=[str(urgent.pk)])
    tasks.look.apply(args=[str(uuid.uuid4())])
    assert [job for job, _claim in begun] == [str(urgent.pk), str(plain.pk)]
    assert Job.objects.filter(state=JobState.RUNNING).count() == 2


@pytest.mark.parametrize("priority", [1001, -1001])
def test_a_priority_out_of_bounds_is_refused_whoever_gives_it(priority):
    job = queued()
    with pytest.raises(Invalid, match="from -1000 to 1000"):
        queued(priority=priority)
    with pytest.raises(Invalid, match="from -1000 to 1000"):
        services.reorder_job(job=job, actor=OPERATOR, priority=priority)
    assert Job.objects.get().priority == 0
