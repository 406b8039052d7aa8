"""Which hilmix this is: the version, and in a checkout the commit, so that a number can be led back to its code."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

VERSION = "0.6.0"
ROOT = Path(__file__).resolve().parent.parent


@lru_cache(maxsize=1)
def code_version() -> str:
    """`0.6.0`, or in a git checkout `0.6.0+g1a2b3c4`, with `.dirty` where files differ from the commit."""
    if not (ROOT / ".git").exists():
        return VERSION
    command = ["git", "describe", "--always", "--dirty=.dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return VERSION
    return f"{VERSION}+g{done.stdout.strip()}"
