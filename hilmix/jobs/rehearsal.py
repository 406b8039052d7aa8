"""Work that only waits, so that tests can disturb it. Registered only where HILMIX_TEST_JOBS is set."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from hilmix.core.errors import DataError
from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import job_kind

STEP = 0.1  # seconds


@job_kind("wait", queue="data")
def wait(progress: Progress, object_id: str) -> None:
    """`object_id` is "SECONDS MANNER", for instance "20 polite".

    `polite` stops when asked and `stubborn` does not; `parent` starts a process of its own as well; `fail`,
    `crash` and `die` end in a refusal, in a bug and by a signal.
    """
    seconds, manner = object_id.split()
    child = subprocess.Popen(["sleep", "600"]) if manner == "parent" else None  # noqa: S607
    steps = round(float(seconds) / STEP)
    for step in range(steps):
        progress.update(step, steps, "waiting")
        time.sleep(STEP)
        if manner != "stubborn":
            progress.check()
    if manner == "fail":
        raise DataError("The image set has no class 'cat'.")
    if manner == "crash":
        raise KeyError("a secret")
    if manner == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if child:
        child.kill()
        child.wait()
    progress.update(steps, steps, "waited")
