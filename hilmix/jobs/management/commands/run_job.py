"""`manage.py run_job JOB CLAIM`: do one claimed job. Started by a worker, in a session of its own."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from hilmix.jobs import runner
from hilmix.jobs.progress import JobCancelled

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Do one claimed job. Workers start this; people use the jobs page."
    requires_system_checks: list[str] = []  # the worker has checked

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", type=uuid.UUID)
        parser.add_argument("claim", type=uuid.UUID)

    def handle(self, *args: Any, job: uuid.UUID, claim: uuid.UUID, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # `finally` clauses tidy up
        if os.getpgid(0) != os.getpid():
            os.setpgid(0, 0)  # so that ending our group ends nobody else's
        try:
            runner.perform(job, claim, abandon=runner.end_this_session)
        except JobCancelled:
            return
        except Exception:
            log.exception("job %s failed", job)
            sys.exit(1)
