"""`make` on a machine that lacks something: one line that says what to install."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make(tmp_path):
    """`make(python="3.9", …)`: `make tools` with only the named programs on the path, as scripts of that version."""

    def run(**programs):
        for name in ("sh", "env", "grep", "sed", "id"):
            found = next(p for p in (Path("/bin") / name, Path("/usr/bin") / name) if p.exists())
            (tmp_path / name).symlink_to(found)
        for name, script in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        done = subprocess.run(
            ["/usr/bin/make", "tools"], cwd=ROOT, env={"PATH": str(tmp_path)}, text=True, capture_output=True
        )
        said = [line for line in done.stderr.splitlines() if line.startswith("hilmix: ")]
        return done.returncode, said

    return run


GOOD_PYTHON = "exit 0"
OLD_PYTHON = 'case "$1" in --version) echo "Python 3.9.2";; *) exit 1;; esac'
NO_VENV = 'case "$2" in *ensurepip*) exit 1;; esac'
GOOD_NODE = "exit 0"
OLD_NODE = 'case "$1" in --version) echo v16.20.0;; *) exit 1;; esac'


@pytest.mark.parametrize(
    ("programs", "words"),
    [
        ({}, ("Python is missing", "apt install python3")),
        ({"python3": OLD_PYTHON}, ("Python 3.9.2 is too old", "3.11")),
        ({"python3": NO_VENV}, ("venv is missing", "apt install python3-venv")),
        ({"python3": GOOD_PYTHON}, ("Node is missing", "apt install nodejs")),
        ({"python3": GOOD_PYTHON, "node": OLD_NODE}, ("Node v16.20.0 is too old", "18")),
        ({"python3": GOOD_PYTHON, "node": GOOD_NODE}, ("npm is missing", "apt install npm")),
    ],
    ids=["no python", "old python", "no venv", "no node", "old node", "no npm"],
)
def test_what_is_missing_is_said_in_one_line(make, programs, words):
    status, said = make(**programs)
    assert status != 0
    assert len(said) == 1
    assert all(word in said[0] for word in words)


def test_with_everything_there_nothing_is_said(make):
    assert make(python3=GOOD_PYTHON, node=GOOD_NODE, npm="exit 0") == (0, [])


def test_an_old_make_is_said_in_one_line():
    done = subprocess.run(
        ["make", "MAKE_VERSION=3.81", "help"], cwd=ROOT, env=os.environ, text=True, capture_output=True
    )
    assert done.returncode != 0
    assert "make 3.81 is too old" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_make_alone_lists_the_commands():
    done = subprocess.run(["make"], cwd=ROOT, text=True, capture_output=True, check=True)
    for command in ("demo", "test", "check", "bench"):
        assert any(line.startswith(f"{command} ") for line in done.stdout.splitlines())
