"""The Celery application: it carries messages that say "look at this job", and nothing else.

What a job is, who runs it and how it ended is in the database (hilmix.jobs).
Settings: `CELERY_…` in hilmix.settings.
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hilmix.settings")

app = Celery("hilmix")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
