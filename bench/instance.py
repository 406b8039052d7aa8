"""A hilmix of its own to measure: a temporary state folder, and `manage.py serve` on it as a real process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = ("DATABASE_URL", "BROKER_URL", "CACHE_URL", "REDIS_URL")  # would lead out of the state folder


@contextmanager
def temporary_state() -> Iterator[Path]:
    """Django set up on a fresh state folder with its database and static files; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="hilmix-bench-") as var:
        for name in [name for name in os.environ if name.startswith("HILMIX_")] + list(ELSEWHERE):
            os.environ.pop(name, None)
        here = {"HILMIX_VAR": var, "PORT": str(free_port()), "DJANGO_SETTINGS_MODULE": "bench.settings"}
        os.environ.update(here)
        import django
        from django.core.management import call_command

        django.setup()
        call_command("prepare", stdout=sys.stderr)
        yield Path(var)


@contextmanager
def served() -> Iterator[int]:
    """`manage.py serve` on the state folder: the port it answers at, until the end."""
    port = int(os.environ["PORT"])
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "manage.py", "serve"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            _wait_for(process, port)
            yield port
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace"))
            raise
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"manage.py serve does not answer at port {port}")
