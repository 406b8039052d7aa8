"""Baseline for verifying a release: the sha256 of every byte of its files, read whole, in any order.

It omits: the manifest and its own hash, files that are missing or do not belong, and sizes.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def hash_all(directory: Path) -> list[str]:
    """Hashes of all files under `directory`."""
    hashes = []
    for folder, _folders, files in os.walk(directory):
        for name in files:
            with open(os.path.join(folder, name), "rb", buffering=0) as file:  # noqa: PTH118, PTH123  (speed)
                hashes.append(hashlib.sha256(file.read()).hexdigest())
    return hashes
