"""Where the comparisons of arms under changes are: `var/reports/<experiment>/robustness-<sha256>.npz`, named by what is
in it, so that a stored report and its file always belong together."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from django.conf import settings

from training.reports.robustness.compared import Compared

_ARRAYS = ("alone", "apart", "flips", "n_both", "n_seeds", "flip_seed")


def folder_of(experiment_id: int) -> Path:
    return Path(settings.VAR) / "reports" / str(experiment_id)


def store(experiment_id: int, compared: Compared) -> str:
    """The name under which it is stored, whole and on the disk when this returns."""
    file = io.BytesIO()
    names = json.dumps({"arms": compared.arms, "rows": compared.rows, "pairs": compared.pairs})
    arrays = {name: getattr(compared, name) for name in _ARRAYS}
    np.savez(file, names=np.array(names), **arrays)
    data = file.getvalue()
    folder = folder_of(experiment_id)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"robustness-{hashlib.sha256(data).hexdigest()[:24]}.npz"
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".partial-")
    try:
        with os.fdopen(descriptor, "wb") as partial:
            partial.write(data)
            partial.flush()
            os.fsync(partial.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path.name


def read(experiment_id: int, name: str) -> Compared | None:
    """What was stored under the name; None where it is not there any more."""
    path = folder_of(experiment_id) / name
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as archive:
        told = json.loads(str(archive["names"]))
        return Compared(
            arms=tuple(told["arms"]),
            rows=tuple((key, int(severity)) for key, severity in told["rows"]),
            pairs=tuple((int(i), int(j)) for i, j in told["pairs"]),
            **{key: archive[key] for key in _ARRAYS},
        )


def keep_only(experiment_id: int, name: str) -> None:
    """Remove what earlier reports of the experiment left."""
    for path in folder_of(experiment_id).glob("robustness-*.npz"):
        if path.name != name:
            path.unlink(missing_ok=True)
