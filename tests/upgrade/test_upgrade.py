"""What an earlier version wrote is migrated and opened by this one: nobody's data is left behind by an upgrade."""

from __future__ import annotations

import gzip
import os
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from hilmix.core.release import open_release

HERE = Path(__file__).parent
VERSIONS = sorted(folder for folder in HERE.glob("v*") if folder.is_dir())
OPEN_PAGES = """
from django.test import Client
from django.conf import settings
from hilmix.accounts.models import User
from hilmix.hub.models import Release
from training.models import Experiment, Run
client = Client(headers={"host": "127.0.0.1"})
client.force_login(User.objects.create(username="upgrader", kind="admin"), "django.contrib.auth.backends.ModelBackend")
release, experiment = Release.objects.get(), Experiment.objects.get()
runs = Run.objects.filter(arm__experiment=experiment)
parts = ("diagnosis/", "robustness/", "mixed/", "choice/", "over-time/", "paper/", "report.json", "report.md")
told = [f"/experiments/{experiment.pk}/{part}" for part in parts]
told += [f"/experiments/runs/{run.pk}/{part}" for run in runs for part in ("", "explanations/")]
for path in (
    "/", "/studies/demo-simulated/", f"/releases/{release.pk}/", f"/experiments/{experiment.pk}/",
    f"/releases/{release.pk}/files/manifest.json", "/jobs/", "/imagesets/", "/s/demo/",
):
    reply = client.get(path)
    assert reply.status_code == 200, (path, reply.status_code)
    said = path.endswith("json") or path in ("/", "/jobs/", "/imagesets/", "/s/demo/", *told)
    assert said or "simulated" in reply.text
assert experiment.recipe_sha256 == experiment.parsed.recipe_sha256()  # or it is never compared over releases
print(release.name, experiment.state)
"""


@pytest.mark.parametrize("kept", VERSIONS, ids=lambda folder: folder.name)
def test_an_earlier_versions_demonstration_is_migrated_and_opened(kept, tmp_path):
    with sqlite3.connect(tmp_path / "hilmix.sqlite3") as database:
        database.executescript(gzip.decompress((kept / "database.sql.gz").read_bytes()).decode())
    database.close()
    (tmp_path / "releases").mkdir()
    with tarfile.open(kept / "release.tar.gz") as archive:
        archive.extractall(tmp_path / "releases", filter="data")
    env = {**os.environ, "HILMIX_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "hilmix.settings"}

    def manage(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=HERE.parents[1],
            env=env,
            text=True,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    manage("prepare")
    manage("migrate", "--check")
    assert manage("shell", "--no-imports", "-c", OPEN_PAGES).strip() == "demo-simulated@1.0.0 done"
    release = open_release(next((tmp_path / "releases").iterdir()))
    assert release.source == "simulated"
    assert release.labels("human_lambda_shrunk").shape == (60, 10)
    people = {row["participant"] for row in release.table("responses").to_pylist()}
    assert len(people) == 24


def test_there_is_something_to_upgrade_from():
    assert VERSIONS
