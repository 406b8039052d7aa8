"""Faults of long work, with real processes. Each test asserts that its fault happened, then the cure."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def quick(start_instance):
    """An instance in which silence counts as loss after 6 s instead of 30, so that sweeps come every 3 s."""
    return start_instance(HILMIX_LOST_AFTER="6")


def running_job(instance, object_id):
    """A job that is certainly at work: it has said how far it is."""
    job = instance.queue(object_id)
    instance.wait_for_state(job, "running")
    instance.wait_until(lambda: instance.job(job)["progress_done"] > 0, 30, instance.said)
    return job


def is_gone(pid):
    """Whether the process ended; one that nobody has waited for yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_job_whose_worker_is_killed_is_lost_within_a_minute_and_runs_again_when_asked(instance):
    job = running_job(instance, "300 polite")
    [worker] = instance.workers("data")
    work = instance.job(job)["pid"]
    assert "run_job" in instance.processes()[work]

    killed_at = time.monotonic()
    os.kill(worker, signal.SIGKILL)
    instance.wait_until(lambda: is_gone(worker) and is_gone(work), 15, lambda: "the work lives on")
    assert instance.job(job)["state"] == "running", "nobody has noticed yet"

    lost = instance.wait_for_state(job, "lost", within=60 - (time.monotonic() - killed_at))
    assert re.search(r"worker lost at \d\d:\d\d UTC, \d+ of 3000", lost["error"])
    assert lost["claim"] is None

    instance.steer("retry_job", job)
    again = instance.wait_for_state(job, "running", within=60)
    assert again["attempt"] == 2
    assert instance.workers("data") != [worker], "the worker was started again"
    instance.steer("request_cancel", job)
    instance.wait_for_state(job, "cancelled", within=20)


def test_a_job_whose_message_is_lost_is_published_again(quick):
    [worker] = quick.workers("data")
    os.kill(worker, signal.SIGSTOP)  # so that nobody takes the message before we do
    try:
        job = quick.queue("0 polite")
        messages = [m for m in (quick.var / "broker" / "queue").iterdir() if job in m.read_text()]
        assert len(messages) == 1
        messages[0].unlink()
        assert quick.job(job)["state"] == "queued"
    finally:
        os.kill(worker, signal.SIGCONT)
    assert quick.wait_for_state(job, "done", within=30)["attempt"] == 1


def test_a_job_that_was_never_published_is_published(quick):
    job = quick.queue("0 polite", publish=False)
    assert quick.wait_for_state(job, "done", within=30)["published_at"]


def test_of_two_workers_that_hear_of_one_job_one_does_it(quick):
    with (quick.var / "second.log").open("w") as log:
        second = subprocess.Popen(
            [sys.executable, "manage.py", "worker", "data", "--name=second"],
            cwd=ROOT,
            env=quick.env,
            stdout=log,
            stderr=log,
        )
    try:
        quick.wait_until(lambda: len(quick.workers("data")) == 2, 60, quick.said)
        job = running_job(quick, "6 polite")
        looks = quick.python(
            "from hilmix.jobs import models, services; "
            f"[services._publish(models.Job.objects.get(pk={job!r})) for _ in range(4)]; print('told')"
        )
        assert looks == "told"
        quick.wait_for_state(job, "done", within=40)
        heard = [quick.var / "second.log", quick.var / "logs" / "data.log"]
        quick.wait_until(lambda: all("look" in log.read_text() for log in heard), 20, quick.said)
        starts = [line for line in quick.lines(job) if line.startswith("attempt")]
        assert len(starts) == 1
    finally:
        second.terminate()
        assert second.wait(timeout=20) == 0
    quick.wait_until(lambda: len(quick.workers("data")) == 1, 10, lambda: "its row stays")


def test_a_cancelled_job_stops_by_itself_with_what_it_started(quick):
    job = running_job(quick, "300 parent")
    assert quick.processes("sleep 600")
    quick.steer("request_cancel", job)
    cancelled = quick.wait_for_state(job, "cancelled", within=10)
    assert cancelled["error"] == ""
    quick.wait_until(lambda: not quick.processes("sleep 600"), 10, lambda: f"{quick.processes()}")


def test_work_that_is_killed_is_a_failed_job_and_says_so(quick):
    failed = quick.wait_for_state(quick.queue("0 die"), "failed")
    assert "was killed (SIGKILL)" in failed["error"]


def test_work_that_is_refused_says_why_and_a_bug_tells_its_text_to_the_log_only(quick):
    refused = quick.wait_for_state(quick.queue("0 fail"), "failed")
    assert refused["error"] == "The image set has no class 'cat'."
    bug = quick.queue("0 crash")
    assert "a secret" not in quick.wait_for_state(bug, "failed")["error"]
    assert "KeyError: 'a secret'" in (quick.var / "logs" / "jobs" / f"{bug}.log").read_text()


def test_work_whose_claim_was_taken_from_it_ends(quick):
    job = running_job(quick, "300 parent")
    work = quick.job(job)["pid"]
    quick.python(
        "from hilmix.jobs.models import Job; "
        f"Job.objects.filter(pk={job!r}).update(state='lost', claim=None); print('taken')"
    )
    quick.wait_until(lambda: is_gone(work) and not quick.processes("sleep 600"), 15, lambda: "it works on")
    assert quick.job(job)["state"] == "lost", "what it wrote afterwards did not count"


def test_a_page_says_when_no_worker_is_alive(quick):
    cookie = quick.python(
        "from django.test import Client; from hilmix.accounts.models import User; "
        "client = Client(); client.force_login(User.objects.create(username='looker', kind='admin')); "
        "print(*(f'{name}={morsel.value}' for name, morsel in client.cookies.items()))"
    )
    banner = "No worker is running: start one with <code>python manage.py serve</code>"
    page = lambda: quick.get("/jobs/", Cookie=cookie)  # noqa: E731
    assert page()[0] == 200
    assert banner not in page()[1]
    workers = quick.workers("data") + quick.workers("train")
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        quick.wait_until(lambda: banner in page()[1], 15, lambda: page()[1])
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    quick.wait_until(lambda: banner not in page()[1], 15, lambda: page()[1])


@pytest.mark.faults
def test_a_half_written_message_costs_no_job(quick):
    broken = quick.var / "broker" / "queue" / "0_broken.data.msg"
    broken.write_text('{"body": "')
    quick.wait_until(lambda: not broken.exists(), 10, lambda: "nobody took it")
    quick.wait_for_state(quick.queue("0 polite"), "done", within=30)


@pytest.mark.faults
def test_work_that_does_not_stop_when_asked_is_stopped_by_force(quick):
    job = running_job(quick, "300 stubborn")
    quick.steer("request_cancel", job)
    time.sleep(10)
    assert quick.job(job)["state"] == "running", "it is given time"
    assert "Stopped by force" in quick.wait_for_state(job, "cancelled", within=30)["error"]


@pytest.mark.faults
def test_work_that_freezes_is_lost_and_ended(quick):
    job = running_job(quick, "300 polite")
    work = quick.job(job)["pid"]
    os.kill(work, signal.SIGSTOP)
    quick.wait_for_state(job, "lost", within=20)
    quick.wait_until(lambda: is_gone(work), 20, lambda: "it is still there")
