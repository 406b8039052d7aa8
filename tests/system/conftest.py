"""Whole instances of hilmix as real processes: `migrate`, then `serve`, with its own state folder and port.

Every process of an instance carries its HILMIX_VAR in its environment; that is how a test finds them all, and
how the fixture asserts, at its end, that none is left.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Instance:
    """One running hilmix. `var` is its state folder, `url` its address, `env` its environment."""

    var: Path
    port: int
    env: dict[str, str]
    server: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # -- commands and data

    def manage(self, *arguments: str) -> str:
        """What `manage.py ARGUMENTS` prints; fails the test if the command fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.env, text=True, capture_output=True
        )
        assert done.returncode == 0, f"manage.py {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, code: str) -> str:
        """What `code` prints inside the instance's Django."""
        return self.manage("shell", "--no-imports", "--command", code).strip()

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows straight from the instance's database, read-only: no Django between test and truth."""
        with sqlite3.connect(f"file:{self.var / 'hilmix.sqlite3'}?mode=ro", uri=True, timeout=20) as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute(sql, parameters)]
        database.close()
        return rows

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and text of a page; a refusal is an answer too."""
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.url + path, headers=headers), timeout=10
            ) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    # -- jobs

    def queue(self, object_id: str, *, publish: bool = True) -> str:
        """Queue a job of the kind "wait"; its id."""
        return self.python(
            "from hilmix.accounts.roles import OPERATOR; from hilmix.jobs.services import queue_job; "
            f"print(queue_job(kind='wait', object_id={object_id!r}, label='a test job', actor=OPERATOR, "
            f"publish={publish}).pk)"
        )

    def steer(self, verb: str, job_id: str) -> None:
        """`request_cancel` or `retry_job`, through the service."""
        self.python(
            "from hilmix.accounts.roles import OPERATOR; from hilmix.jobs import models, services; "
            f"services.{verb}(job=models.Job.objects.get(pk={job_id!r}), actor=OPERATOR)"
        )

    def job(self, job_id: str) -> dict[str, Any]:
        return self.rows("select * from jobs_job where id = ?", job_id.replace("-", ""))[0]

    def lines(self, job_id: str) -> list[str]:
        found = self.rows(
            "select text from jobs_jobline where job_id = ? order by id", job_id.replace("-", "")
        )
        return [row["text"] for row in found]

    def wait_for_state(self, job_id: str, *states: str, within: float = 30) -> dict[str, Any]:
        """The job, once it is in one of `states`."""
        self.wait_until(lambda: self.job(job_id)["state"] in states, within, lambda: f"{self.job(job_id)}")
        return self.job(job_id)

    def workers(self, queue: str) -> list[int]:
        return [row["pid"] for row in self.rows("select pid from jobs_worker where queue = ?", queue)]

    @staticmethod
    def wait_until(happened: Callable[[], object], within: float, otherwise: Callable[[], str]) -> None:
        """Wait at most `within` seconds for `happened`; fail saying `otherwise`."""
        deadline = time.monotonic() + within
        while not happened():
            assert time.monotonic() < deadline, f"not within {within} s: {otherwise()}"
            time.sleep(0.1)

    # -- processes

    def processes(self, containing: str = "") -> dict[int, str]:
        """Command lines of this instance's processes, by process id."""
        marker, found = f"HILMIX_VAR={self.var}".encode(), {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if marker not in (folder / "environ").read_bytes().split(b"\0"):
                    continue
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it ended while we looked
                continue
            if line and containing in line:
                found[int(folder.name)] = line
        return found

    def start(self) -> None:
        """`serve`, until it answers and both workers are there."""
        with (self.var / "serve.out").open("w") as output:
            self.server = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=ROOT,
                env=self.env,
                text=True,
                stdout=output,
                stderr=output,
            )
        self.wait_until(self.is_up, 90, self.said)

    def is_up(self) -> bool:
        assert self.server is not None
        assert self.server.poll() is None, self.said()
        try:
            return self.get("/healthz")[0] == 200 and bool(self.workers("data") and self.workers("train"))
        except OSError:
            return False

    def said(self) -> str:
        """What `serve` printed, and the end of each service's log."""
        logs = [self.var / "serve.out", *sorted((self.var / "logs").rglob("*.log"))]
        return "\n".join(f"--- {log.name}\n{log.read_text()[-2000:]}" for log in logs if log.exists())

    def ask_to_end(self, number: signal.Signals = signal.SIGINT) -> None:
        if self.server is not None and self.server.poll() is None:
            self.server.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGINT, within: float = 12) -> None:
        """End `serve` as Ctrl-C does (or by another signal), and wait until every process is gone."""
        if self.server is not None:
            self.ask_to_end(number)
            self.server.wait(timeout=within)
        self.wait_until(lambda: not self.processes(), within, lambda: f"left behind: {self.processes()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(var: Path, port: int, **settings: str) -> dict[str, str]:
    ours = {
        "DJANGO_SETTINGS_MODULE": "hilmix.settings",  # as in use, not as in the in-process tests
        "HILMIX_VAR": str(var),
        "PORT": str(port),
        "HILMIX_TEST_JOBS": "true",
        "WEB_CONCURRENCY": "1",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HILMIX_")}
    for name in ("DATABASE_URL", "BROKER_URL", "CACHE_URL", "REDIS_URL"):
        inherited.pop(name, None)
    return inherited | {"OMP_NUM_THREADS": "1"} | ours | settings


@pytest.fixture(scope="session")
def migrated_var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder as `migrate` and `collectstatic` leave it; copied, never served."""
    var = tmp_path_factory.mktemp("migrated")
    template = Instance(var, 0, environment(var, 0))
    template.manage("migrate", "--verbosity=0")
    template.manage("collectstatic", "--noinput", "--verbosity=0")
    return var


@pytest.fixture(scope="module")
def start_instance(
    migrated_var: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Instance]]:
    """`start_instance(prepare=None, **environment)` starts one more; at the end no process is left."""
    started: list[Instance] = []

    def start(prepare: Callable[[Instance], object] | None = None, **settings: str) -> Instance:
        var, port = tmp_path_factory.mktemp("var"), free_port()
        shutil.copytree(migrated_var, var, dirs_exist_ok=True)
        instance = Instance(var, port, environment(var, port, **settings))
        started.append(instance)
        if prepare:
            prepare(instance)
        instance.start()
        return instance

    yield start
    for instance in started:
        instance.ask_to_end()
    for instance in started:
        instance.end()


@pytest.fixture(scope="module")
def instance(start_instance: Callable[..., Instance]) -> Instance:
    """One instance for the tests of a module."""
    return start_instance()


# -- browsers


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium. Without it these tests are skipped, saying so; under CI they fail."""
    executable = shutil.which("chromium")
    if executable is None:
        missing = "Chromium is not installed (Debian: apt-get install chromium)."
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_window(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """`open_window(size)`: a page in a browser of its own. None may break the security policy or a script."""
    contexts: list[BrowserContext] = []
    violations: list[str] = []

    def open_page(size: dict[str, int] | None = None, **options: Any) -> Page:
        size = size or {"width": 1280, "height": 800}
        context = chromium.new_context(viewport=size, has_touch=size["width"] < 600, **options)
        contexts.append(context)
        context.expose_binding("reportViolation", lambda _source, text: violations.append(text))
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) =>"
            " window.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`))"
        )
        context.on("weberror", lambda error: violations.append(f"script error: {error.error}"))
        page = context.new_page()
        page.set_default_timeout(15_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert violations == []
