"""The operator's commands on an instance that is not ready, and what names the code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hilmix.version import VERSION, code_version

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "command",
    [
        ["sign_in_link", "anna", "--role", "admin"],
        ["import_images", "digits", "--name", "digits"],
        ["import_human_labels", "a.npy", "--images", "digits"],
        ["import_hmix", ".", "--images", "digits"],
        ["import_cifar10s", "a.json", "--images", "digits"],
        ["import_release", ".", "--slug", "again", "--images", "digits"],
        ["export_hmix", "--out", "hmix-tables"],
        ["study", "export", "demo"],
        ["freeze_release", "demo"],
        ["export_responses", "demo", "--format", "csv", "--out", "answers.csv"],
        ["score_labels", "demo"],
        ["run_experiment", "examples/demo.toml"],
        ["demo"],
        ["serve"],
    ],
    ids=lambda command: command[0],
)
def test_a_database_that_was_never_made_is_said_in_one_line(command, tmp_path):
    env = {**os.environ, "HILMIX_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "hilmix.settings"}
    done = subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=env, text=True, capture_output=True
    )
    assert done.returncode != 0
    assert done.stderr.strip() == (
        "CommandError: The database is not up to date: run `python manage.py prepare` first."
    )


def test_the_code_is_named_by_its_commit():
    commit = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"], cwd=ROOT, text=True, capture_output=True, check=True
    ).stdout.strip()
    assert code_version().startswith(f"{VERSION}+g{commit}")
