"""Start a process that dies with its parent and stop it with everything it started.

Used by `serve` for the web server and the workers, and by a worker for the work itself. Run as a script, this
file is the small step between the two: it asks the kernel for a signal when the parent dies (prctl(2),
PR_SET_PDEATHSIG), then becomes the command. It imports only the standard library, so the step costs little.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def start(command: Sequence[str], *, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start `command` in a session, hence a process group, of its own, with its output appended to `log`.

    It gets SIGTERM if the thread that called this ends, even by SIGKILL. Call it from the main thread.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    step = [sys.executable, "-I", __file__, str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own commands only
            [*step, *command],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop(processes: Iterable[subprocess.Popen[bytes]], *, grace: float) -> None:
    """End the groups of `processes`: SIGTERM, then SIGKILL to what is left after `grace` seconds."""
    processes = list(processes)
    for process in processes:
        if process.poll() is None:
            signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(0.05)
    for process in processes:
        signal_group(process.pid, signal.SIGKILL)
        process.wait()


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal every process of the group; one that is gone already is no error."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _become(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel knew
        raise SystemExit(1)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
