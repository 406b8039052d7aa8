"""Real processes, started in a group of their own: they end with their parent, and all they started too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from hilmix.jobs import processes

CHILD = "import subprocess, time; subprocess.Popen(['sleep', '600']); print('ready', flush=True); "
FAMILY = CHILD + "time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FAMILY


def members(group):
    """Process ids of the living members of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_until(happened):
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(tmp_path, code):
    log = tmp_path / "logs" / "out.log"
    process = processes.start([sys.executable, "-c", code], cwd=tmp_path, log=log)
    wait_until(lambda: "ready" in log.read_text())
    return process


def test_a_process_has_a_group_of_its_own_and_its_output_is_in_the_log(tmp_path):
    process = start(tmp_path, FAMILY)
    assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    assert len(members(process.pid)) == 2
    processes.stop([process], grace=5)


def test_stopping_ends_the_whole_group(tmp_path):
    process = start(tmp_path, FAMILY)
    processes.stop([process], grace=5)
    assert process.returncode == -signal.SIGTERM
    wait_until(lambda: not members(process.pid))


def test_what_does_not_listen_is_killed_after_the_grace(tmp_path):
    process = start(tmp_path, STUBBORN)
    begun = time.monotonic()
    processes.stop([process], grace=0.5)
    assert process.returncode == -signal.SIGKILL
    assert 0.5 <= time.monotonic() - begun < 5
    wait_until(lambda: not members(process.pid))


def test_what_a_process_that_ended_had_started_is_ended_too(tmp_path):
    process = start(tmp_path, CHILD)
    process.wait()
    assert members(process.pid)
    processes.stop([process], grace=5)
    wait_until(lambda: not members(process.pid))


def test_a_process_ends_when_its_parent_is_killed(tmp_path):
    parent_code = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "import processes\n"
        "child = processes.start(['sleep', '600'], cwd=Path('.'), log=Path('child.log'))\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    folder = str(Path(processes.__file__).parent)
    parent = subprocess.Popen(
        [sys.executable, "-c", parent_code, folder], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        wait_until(lambda: b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes())
        parent.kill()
        parent.wait()
    wait_until(lambda: not members(child))
