"""Work done in this process: how it ends is written, and what it said on the way too."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import DataError
from hilmix.errors import DomainError
from hilmix.jobs import runner, services
from hilmix.jobs.heartbeat import Heartbeat
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.progress import JobCancelled, Progress, TerminalProgress

pytestmark = pytest.mark.django_db(transaction=True)  # the heartbeat has a connection of its own


def queued(kind="count", object_id="3"):
    return services.queue_job(kind=kind, object_id=object_id, label="a job", actor=OPERATOR, publish=False)


def claimed(kind="count", object_id="3"):
    job = queued(kind, object_id)
    return job, services.claim(job.pk, "this test")


def test_work_that_ends_well_is_done_and_its_last_words_are_kept():
    job = queued()
    runner.run_in_foreground(job, Progress())
    assert (job.state, job.progress_done, job.progress_total) == ("done", 3, 3)
    assert job.pid
    assert [line.text for line in job.lines.all()][1:] == ["step 0", "step 1", "step 2"]


def test_a_command_takes_over_work_whose_doer_is_gone():
    job, _claim = claimed()
    Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=5))
    runner.run_in_foreground(job, Progress())
    assert (job.state, job.attempt) == ("done", 2)
    assert any("worker lost" in line.text for line in job.lines.all())


def test_a_terminal_shows_the_same(capsys):
    with TerminalProgress("demo") as progress:
        runner.run_in_foreground(queued(), progress)
    shown = capsys.readouterr().err
    assert "demo: counting" in shown
    assert "3/3" in shown
    assert "step 2" in shown


def test_a_bar_begins_anew_with_what_begins_anew():
    with TerminalProgress() as progress:
        progress.update(9, 10)
        progress.update(1, 20, "something else")
        assert (progress._bar.n, progress._bar.total) == (1, 20)
        assert progress._bar.initial == 0
        progress.update(1, 20)
        progress.update(0, 20, "again")
        assert progress._bar.n == 0


@pytest.fixture
def in_front():
    """Ctrl-C as it is in a terminal, also where a shell has these tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_ctrl_c_lets_work_stop_by_itself_and_the_second_ends_it(capsys, in_front):
    def press_later():
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    job, before = queued("until_cancelled"), signal.getsignal(signal.SIGINT)
    with TerminalProgress() as progress, progress.gentle_on_ctrl_c():
        threading.Thread(target=press_later).start()
        with pytest.raises(JobCancelled):
            runner.run_in_foreground(job, progress)
        job.refresh_from_db()
        assert job.state == "cancelled"
        assert "Ctrl-C again stops at once" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize("ours", [signal.SIG_IGN, lambda number, frame: None])
def test_a_ctrl_c_that_somebody_else_sees_to_or_nobody_cancels_nothing(in_front, ours):
    """A shell has what it runs in the background ignore it: `bash -c 'python … & wait'`."""
    signal.signal(signal.SIGINT, ours)
    with TerminalProgress() as progress, progress.gentle_on_ctrl_c():
        assert signal.getsignal(signal.SIGINT) == ours
        signal.raise_signal(signal.SIGINT)
        assert not progress.cancelled
    assert signal.getsignal(signal.SIGINT) == ours


def test_ctrl_c_while_a_worker_is_followed_is_heard_too(in_front):
    job, _claim = claimed()
    with TerminalProgress() as progress, progress.gentle_on_ctrl_c():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(JobCancelled):
            runner.run_in_foreground(job, progress)


def test_a_refusal_is_written_for_people_and_passed_on():
    job = queued("refuse", "7")
    with pytest.raises(DataError):
        runner.run_in_foreground(job, Progress())
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "Image 7 is broken.")


def test_a_bug_is_named_but_not_quoted():
    job = queued("stumble")
    with pytest.raises(KeyError):
        runner.run_in_foreground(job, Progress())
    job.refresh_from_db()
    assert job.state == JobState.FAILED
    assert "KeyError" in job.error
    assert "a secret" not in job.error


def test_work_hears_within_two_seconds_that_it_should_stop():
    job, claim = claimed("until_cancelled")
    services.request_cancel(job=job, actor=OPERATOR)
    begun = time.monotonic()
    with pytest.raises(JobCancelled):
        runner.perform(job.pk, claim)
    assert time.monotonic() - begun < 2
    job.refresh_from_db()
    assert (job.state, job.error) == ("cancelled", "")


def test_progress_is_seen_while_the_work_holds_a_transaction_of_its_own():
    """A transaction that only reads: SQLite has one writer at a time, so work must not write for long."""
    job, claim = claimed()
    with Heartbeat(job.pk, claim) as progress:
        connection.cursor().execute("BEGIN DEFERRED" if connection.vendor == "sqlite" else "BEGIN")
        try:
            assert Job.objects.get(pk=job.pk).progress_text == ""
            progress.update(1, 3, "inside")
            assert seen_by_another_connection(job, "inside")
        finally:
            connection.cursor().execute("ROLLBACK")


def seen_by_another_connection(job, text):
    seen = threading.Event()

    def look():
        deadline = time.monotonic() + 5
        while not seen.is_set() and time.monotonic() < deadline:
            if Job.objects.filter(pk=job.pk, progress_text=text).exists():
                seen.set()
            time.sleep(0.05)
        connection.close()

    looker = threading.Thread(target=look)
    looker.start()
    looker.join()
    return seen.is_set()


def test_progress_is_written_at_most_once_a_second(django_assert_max_num_queries):
    job, claim = claimed()
    with Heartbeat(job.pk, claim) as progress:
        begun, calls = time.monotonic(), 0
        with django_assert_max_num_queries(0):  # the work's own connection is not used at all
            while time.monotonic() < begun + 0.5:
                progress.update(calls := calls + 1, 10**9)
    assert calls > 1000
    job.refresh_from_db()
    assert job.progress_done == calls


def test_work_whose_claim_is_gone_is_told_once_to_abandon_it():
    job, claim = claimed()
    told = []
    Job.objects.filter(pk=job.pk).update(state=JobState.LOST, claim=None)
    with Heartbeat(job.pk, claim, abandon=lambda: told.append(1)) as progress:
        time.sleep(1.2)
        assert progress.cancelled
        progress.update(2, 3)
    assert told == [1]
    job.refresh_from_db()
    assert job.progress_done == 0, "what it says no longer counts"


def test_a_command_follows_a_job_that_a_worker_took_first():
    job, claim = claimed()

    def work():
        runner.perform(job.pk, claim)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    runner.run_in_foreground(job, Progress())
    thread.join()
    assert job.state == JobState.DONE


def test_a_command_that_follows_a_job_hears_that_it_failed():
    job, claim = claimed()
    services.finish(job.pk, claim, JobState.FAILED, "No such class.")
    with pytest.raises(DomainError, match="No such class"):
        runner.run_in_foreground(job, Progress())


def test_a_job_cannot_be_performed_under_another_claim():
    job, _claim = claimed()
    with contextlib.suppress(JobCancelled):  # raised where the heartbeat noticed before the work was over
        runner.perform(job.pk, uuid.uuid4())
    job.refresh_from_db()
    assert job.state == JobState.RUNNING
