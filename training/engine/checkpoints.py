"""Where a training is, on disk: enough to go on as if it had never stopped, complete or not there at all.

A checkpoint is a folder `step-00001234` with `state.safetensors` (weights, buffers of normalisation, momentum, moving
average) and `state.json` (how far, the curves so far, what was decided for the whole run, and what it is a training
of). Nothing is ever pickled. No generator has a state to keep: what a step draws follows from the seed and its number.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hilmix.core.errors import DataError
from hilmix.core.files import new_directory, sha256_file, sha256_json, write_json

_FORMAT = 1
_STATE, _RECORD = "state.safetensors", "state.json"


class UnusableCheckpoint(DataError):
    """A checkpoint of another training or another version, or a damaged one."""


@dataclass(frozen=True)
class Checkpoint:
    """`done` steps are behind it. `tensors` by name, on the processor; `record` is JSON."""

    done: int
    tensors: dict[str, Tensor]
    record: dict[str, Any]


def write_checkpoint(directory: Path, checkpoint: Checkpoint, *, identity: Mapping[str, str]) -> None:
    """Write a checkpoint of the training that `identity` describes, then remove those before it.

    A kill at any moment leaves the last one or this one, whole. One that is there already is left.
    """
    target = directory / _name(checkpoint.done)
    if not target.exists():
        with new_directory(target) as folder:
            tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
            save_file(tensors, folder / _STATE)
            record = {"format": _FORMAT, "identity": dict(identity), "done": checkpoint.done}
            sha256 = sha256_file(folder / _STATE)
            write_json(folder / _RECORD, {**record, "sha256": sha256, "training": checkpoint.record})
            for name in (_STATE, _RECORD):
                _flush(folder / name)
            _flush(folder)  # their names too, before the rename that says that they are there
        _flush(directory)
    for older in _folders(directory):
        if older != target:
            shutil.rmtree(older)


def read_checkpoint(directory: Path, *, identity: Mapping[str, str]) -> Checkpoint | None:
    """The last checkpoint in `directory`; None where there is none.

    Raises UnusableCheckpoint when it is of another training than `identity` says, naming what differs, or damaged.
    """
    for leftover in directory.glob(".step-*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    folders = _folders(directory)
    if not folders:
        return None
    last = folders[-1]
    try:
        record = json.loads((last / _RECORD).read_text("utf-8"))
        stated = record["format"], record["identity"], record["done"], record["sha256"], record["training"]
        damaged = stated[3] != sha256_file(last / _STATE)
        if not isinstance(stated[1], dict) or not isinstance(stated[4], dict):
            raise TypeError("identity and training must be tables")
        if not isinstance(stated[2], int):
            raise TypeError("done must be a number of steps")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(last, str(error)) from None
    version, found, done, _, training = stated
    if version != _FORMAT:
        raise _damaged(last, f"it is of format {version!r}, this version reads {_FORMAT}")
    if differing := [what for what in identity if found.get(what) != identity[what]]:
        raise UnusableCheckpoint(
            f"{last} is a checkpoint of another training: its {' and '.join(differing)} differ from this one's. "
            "Give the folder of this training, or an empty one to start anew."
        )
    if damaged:
        raise _damaged(last, f"{_STATE} is not what was written")
    try:
        tensors = load_file(last / _STATE)
    except SafetensorError as error:
        raise _damaged(last, str(error)) from None
    return Checkpoint(done, tensors, training)


def sha256_of(*parts: NDArray[np.generic] | object) -> str:
    """One hash of arrays and JSON values, in order; arrays by type, shape and content."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(sha256_json([str(part.dtype), list(part.shape)]).encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(sha256_json(part).encode())
    return digest.hexdigest()


def _name(done: int) -> str:
    return f"step-{done:08d}"


def _folders(directory: Path) -> list[Path]:
    return sorted(folder for folder in directory.glob("step-*") if folder.is_dir())


def _damaged(folder: Path, why: str) -> UnusableCheckpoint:
    return UnusableCheckpoint(
        f"{folder} cannot be read as a checkpoint ({why}). Remove it to start this run anew."
    )


def _flush(path: Path) -> None:
    """To the disk itself, so that a power cut after the rename finds the content too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
