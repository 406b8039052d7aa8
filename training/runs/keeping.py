"""Where files of runs are, each whole or not there; and what is removed when they take more disk than they may.

`var/runs/<run>/`: `weights.safetensors` and `weights.sha256`; `predictions.npz`; `corrupted.npz` where corruptions were
asked for; `shown-….npy`, of which its pages are made; `explain/` once it is explained; and `checkpoints/` while it
trains, or is to go on. No torch here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from hilmix.core.files import sha256_file
from hilmix.jobs.models import JobState
from hilmix.jobs.progress import Progress
from training.runs.models import Run

WEIGHTS, PREDICTIONS, CORRUPTED = "weights.safetensors", "predictions.npz", "corrupted.npz"
_SHA256 = "weights.sha256"


def checkpoints(run: Run) -> Path:
    return run.directory / "checkpoints"


def write(run: Run, name: str, fill: Callable[[Path], object]) -> Path:
    """Let `fill(path)` write a file of a run, which appears under `name` when it is whole and on the disk."""
    target = run.directory / name
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".partial-{target.name}")
    fill(partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    return target


def hash_weights(run: Run) -> str:
    """Work out the sha256 of a run's weights and keep it beside them."""
    found = sha256_file(run.directory / WEIGHTS)
    write(run, _SHA256, lambda path: path.write_text(found, encoding="ascii"))
    return found


def weights_sha256(run: Run) -> str:
    """The sha256 of a run's weights as it was kept; empty where it was not."""
    kept = run.directory / _SHA256
    return kept.read_text(encoding="ascii") if kept.is_file() else ""


def write_arrays(run: Run, name: str, arrays: Mapping[str, NDArray[Any]]) -> Path:
    return write(run, name, lambda path: _save(path, arrays))


def write_array(run: Run, name: str, array: NDArray[Any]) -> Path:
    """One array in a file of its own, of which a page maps the rows that it shows."""
    return write(run, name, lambda path: _save_one(path, array))


def map_array(run: Run, name: str) -> NDArray[Any] | None:
    """Such an array as it lies on the disk; None where it is not there."""
    path = run.directory / name
    return np.load(path, mmap_mode="r", allow_pickle=False) if path.is_file() else None


def read_arrays(run: Run, name: str) -> dict[str, NDArray[Any]]:
    """The arrays of a run's file, none where it has no such file."""
    path = run.directory / name
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive}


def used() -> int:
    """Bytes that the files of all runs take."""
    return _size(settings.VAR / "runs")


def make_room(progress: Progress, *, said: bool = False) -> bool:
    """Where runs take more than `HILMIX_RUNS_GB`, remove checkpoints, the oldest first, of runs that nobody is about to
    go on with. Weights and predictions of finished runs stay: a report may rest on them.

    Returns whether that was not enough, which is logged unless it was `said` before.
    """
    budget = settings.HILMIX_RUNS_GB
    if not budget:
        return False
    taken = used()
    if taken <= budget * 1e9:
        return False
    folders = sorted((settings.VAR / "runs").glob("*/checkpoints"), key=_written)
    going_on = set(
        Run.objects.filter(job__state__in=(JobState.QUEUED, JobState.RUNNING)).values_list("pk", flat=True)
    )
    for folder in folders:
        if taken <= budget * 1e9:
            return False
        if folder.parent.name.isdigit() and int(folder.parent.name) not in going_on:
            taken -= _size(folder)
            shutil.rmtree(folder, ignore_errors=True)
            progress.log(
                f"removed the checkpoint of run {folder.parent.name}: runs take more than {budget:g} GB"
            )
    if taken <= budget * 1e9:
        return False
    if not said:
        progress.log(
            f"runs take {taken / 1e9:.3g} GB, above HILMIX_RUNS_GB = {budget:g}, and no checkpoint is left that may go"
        )
    return True


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stubs take the names for allow_pickle


def _save_one(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def _size(folder: Path) -> int:
    # Other workers rename and remove meanwhile: what is gone takes nothing. `walk` passes over folders that went.
    return sum(_bytes(Path(at) / name) for at, _, names in os.walk(folder) for name in names)


def _bytes(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _written(folder: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return folder.stat().st_mtime
    return 0.0
