"""`manage.py serve` as a person meets it: one command starts everything, Ctrl-C ends everything."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def refused(instance, **changes):
    """What `serve` says when it will not start."""
    done = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=Path(__file__).resolve().parents[2],
        env=instance.env | changes,
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_one_command_starts_the_web_server_and_a_worker_for_each_queue(instance):
    assert instance.get("/healthz")[0] == 200
    assert len(instance.workers("data")) == len(instance.workers("train")) == 1
    instance.wait_until(lambda: instance.url in instance.said(), 10, instance.said)


def test_it_prints_nothing_secret(instance):
    printed = instance.said()
    for key in (instance.var / "keys").iterdir():
        assert key.read_text().strip() not in printed


def test_two_instances_run_side_by_side(instance, start_instance):
    other = start_instance()
    assert instance.get("/healthz")[0] == other.get("/healthz")[0] == 200
    job = instance.queue("0 polite")
    assert instance.wait_for_state(job, "done")["attempt"] == 1
    assert other.rows("select id from jobs_job") == []


def test_a_second_server_of_the_same_state_folder_is_refused(instance):
    message = refused(instance)
    assert "is already served, by process" in message
    assert str(instance.server.pid) in message


def test_a_taken_port_is_said_in_one_line(instance, tmp_path, migrated_var):
    shutil.copytree(migrated_var, tmp_path / "var")
    message = refused(instance, HILMIX_VAR=str(tmp_path / "var"))
    assert f"Cannot listen on 127.0.0.1:{instance.port}" in message
    assert "PORT=" in message


def test_a_web_server_that_dies_is_started_again(instance):
    gunicorn = instance.processes("gunicorn")
    assert gunicorn
    for pid in gunicorn:
        os.kill(pid, signal.SIGKILL)
    instance.wait_until(lambda: not gunicorn.keys() & instance.processes().keys(), 10, lambda: "it lives on")
    instance.wait_until(instance.is_up, 30, instance.said)
    assert "web ended" in instance.said()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.faults)]
)
def test_ending_it_by_any_signal_leaves_no_process_even_of_a_running_job(start_instance, number):
    instance = start_instance()
    job = instance.queue("300 parent")
    instance.wait_for_state(job, "running")
    instance.wait_until(lambda: instance.processes("sleep 600"), 20, lambda: "the job has no child")
    instance.end(number)
    assert instance.processes() == {}
    ended = instance.job(job)
    assert ended["state"] == "lost"
    assert "worker stopped at" in ended["error"]
