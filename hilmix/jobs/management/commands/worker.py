"""`manage.py worker QUEUE`: one worker. `serve` starts one for data and one a device for training; hosts add more."""

from __future__ import annotations

import os
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand, CommandParser

from hilmix.jobs.models import Queue
from hilmix.jobs.services import prepare_broker


class Command(BaseCommand):
    help = "Take jobs from one queue, one at a time, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue", choices=Queue.values)
        parser.add_argument("--name", default="", help="what to call the worker; by default its process id")
        parser.add_argument(
            "--device", default="", help="the one GPU that its jobs see, by number; by default all there are"
        )

    def handle(self, *args: Any, queue: str, name: str, device: str, **options: Any) -> None:
        if device:
            os.environ["CUDA_VISIBLE_DEVICES"] = device  # which its jobs inherit
        prepare_broker()
        where = [f"--queues={queue}", f"--hostname={queue}-{name or os.getpid()}@%h", "--loglevel=INFO"]
        # The solo pool: work has a process of its own anyway, and a worker that is killed leaves no child of
        # Celery's behind that would go on watching it.
        pool = ["--pool=solo", "--concurrency=1"]
        quiet = ["--without-mingle", "--without-gossip", "--without-heartbeat"]
        current_app.worker_main(["worker", *where, *pool, *quiet])
