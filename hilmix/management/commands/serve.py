"""`manage.py serve`: the web server and the workers, watched, until Ctrl-C ends them all.

Each service is a process group of its own, started again when it dies, and ends when this process ends, even
by SIGKILL. A thread sweeps the jobs. Their output goes to `var/logs/`, not to the terminal.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from hilmix.commands import refuse_unmigrated
from hilmix.jobs import processes, services
from hilmix.jobs.models import Queue

log = logging.getLogger(__name__)

STOP_GRACE = 8.0  # seconds from SIGTERM to SIGKILL; a worker gives its job half of it
STEADY = 60.0  # seconds of life after which an end counts as the first
LONGEST_WAIT = 30.0  # seconds before a service that keeps dying is started again


@dataclass
class Service:
    """One program that is to run until we end."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    ends: int = 0  # how often in a row it ended soon after its start
    start_at: float = field(default_factory=time.monotonic)

    @property
    def log(self) -> Path:
        return settings.VAR / "logs" / f"{self.name}.log"

    def start(self) -> None:
        self.process = processes.start(self.command, cwd=settings.BASE_DIR, log=self.log)
        self.started = time.monotonic()

    def tend(self) -> str:
        """Start it if it is due; notice its end. Returns what to tell the person at the terminal, or ""."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at:
                self.start()
            return ""
        status = self.process.poll()
        if status is None:
            return ""
        processes.stop([self.process], grace=0)  # what it had started goes too
        self.process = None
        self.ends = 1 if now - self.started > STEADY else self.ends + 1
        wait = min(2.0 ** (self.ends - 1), LONGEST_WAIT)
        self.start_at = now + wait
        return f"{self.name} ended (status {status}); starting it again in {wait:.0f} s. Its log: {self.log}"


def services_to_run(host: str) -> list[Service]:
    """The web server, a worker for data, and one for training on each device."""
    gunicorn = [sys.executable, "-m", "gunicorn", "hilmix.wsgi:application", f"--bind={host}:{settings.PORT}"]
    size = [f"--workers={os.environ.get('WEB_CONCURRENCY', '2')}", "--worker-class=gthread", "--threads=8"]
    worker = [sys.executable, str(settings.BASE_DIR / "manage.py"), "worker"]
    name = f"serve-{os.getpid()}"
    gpus = train_devices()
    training = [
        Service(f"train-{gpu}", [*worker, f"--name={name}-{gpu}", f"--device={gpu}", Queue.TRAIN])
        for gpu in gpus
    ] or [Service("train", [*worker, f"--name={name}", Queue.TRAIN])]
    return [
        Service("web", [*gunicorn, *size, "--graceful-timeout=3", "--no-control-socket"]),
        Service("data", [*worker, f"--name={name}", Queue.DATA]),
        *training,
    ]


def train_devices(nodes: Path = Path("/dev")) -> list[str]:
    """The GPUs that each have a worker of their own: those that CUDA_VISIBLE_DEVICES names, else all NVIDIA ones here.
    Empty with fewer than two, where one worker sees what there is."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        found = [one.strip() for one in named.split(",") if one.strip()]
    else:
        found = sorted((node.name[6:] for node in nodes.glob("nvidia[0-9]*")), key=int)
    return found if len(found) > 1 else []


class Command(BaseCommand):
    help = "Run the web server and the workers until Ctrl-C. PORT and HILMIX_VAR say where."
    requires_migrations_checks = False  # said below, in one line

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (this machine only)")

    def handle(self, *args: Any, host: str, **options: Any) -> None:
        stop_asked = False

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            nonlocal stop_asked
            stop_asked = True

        with only_server_of(settings.VAR):
            refuse_unmigrated()
            refuse_taken_port(host, int(settings.PORT))
            signal.signal(signal.SIGINT, ask_to_stop)
            signal.signal(signal.SIGTERM, ask_to_stop)
            running = services_to_run(host)
            ended = threading.Event()
            threading.Thread(target=sweep_until, args=(ended,), name="sweeper", daemon=True).start()
            ready = False
            try:
                while not stop_asked:
                    for service in running:
                        if said := service.tend():
                            self.stderr.write(said)
                    if not ready and (ready := answers(host)):
                        self.say(f"hilmix is at {settings.HILMIX_PUBLIC_URL} (Ctrl-C ends it)")
                    time.sleep(0.2)
                self.say("ending …")
            finally:
                ended.set()
                processes.stop([s.process for s in running if s.process], grace=STOP_GRACE)
            self.say("ended")

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


@contextmanager
def only_server_of(var: Path) -> Iterator[None]:
    """Hold the lock of this state folder, or say who does. The kernel lets go of it even after SIGKILL."""
    with (var / "serve.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(
                f"{var} is already served, by process {lock.read().strip()}. "
                "End that one, or set another HILMIX_VAR."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def refuse_taken_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port} ({error.strerror}). Choose another port: PORT=8001."
            ) from None


def answers(host: str) -> bool:
    """Whether the web server says that it is well."""
    here = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104
    try:
        with urllib.request.urlopen(f"http://{here}:{settings.PORT}/healthz", timeout=1) as reply:
            return bool(reply.status == 200)
    except urllib.error.HTTPError:
        return True  # it answers; a reverse proxy's host name may be required
    except OSError:
        return False


def sweep_until(ended: threading.Event) -> None:
    """Sweep now and then. A round after the whole machine slept is left out: everybody else slept too."""
    interval = services.sweep_interval()
    last = time.time()
    while not ended.wait(interval):
        slept = time.time() - last > settings.HILMIX_LOST_AFTER
        last = time.time()
        if slept:
            continue
        try:
            services.sweep()
        except DatabaseError as error:
            log.warning("could not sweep the jobs: %s", error)
            connection.close()
