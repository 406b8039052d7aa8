"""Where what a report says of single mixed images is kept: `var/reports/<experiment>/mixing-<hash>/<arm>-<name>.npy`.

The folder is named by a report's content, so that a report never shows the arrays of another.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

if TYPE_CHECKING:
    from training.reports.inputs import ArmResult

FORMAT = "hilmix-mixing/1"


def folder_of(experiment_id: int) -> Path:
    return Path(settings.VAR) / "reports" / str(experiment_id)


def mixing_of(experiment_id: int, arms: Sequence[ArmResult]) -> dict[str, Any]:
    """What the report says of mixed images, with the arrays that it is about written beside it; `arms` by name, empty
    where none was held out."""
    # Imported here: pages read what is kept, and have no need of what it is computed with.
    from training.reports.mixing.measuring import told_arms

    found = list(told_arms({arm.name: arm.held_out for arm in arms if arm.runs or arm.folds}))
    told: dict[str, Any] = {"format": FORMAT, "folder": "", "arms": {}}
    if not found:
        return told
    files = {
        f"{number}-{name}.npy": values
        for number, (_arm, mixes, _told) in enumerate(found)
        for name, values in mixes.arrays().items()
    }
    told["folder"] = _write(folder_of(experiment_id), files)
    told["arms"] = {arm: {"number": number, **one} for number, (arm, _mixes, one) in enumerate(found)}
    return told


def _write(parent: Path, files: Mapping[str, NDArray[Any]]) -> str:
    """Write arrays into a folder named by their content, which appears whole."""
    digest = hashlib.sha256()
    for name, values in files.items():
        digest.update(
            f"{name} {values.dtype} {values.shape}".encode() + np.ascontiguousarray(values).tobytes()
        )
    name = f"mixing-{digest.hexdigest()[:16]}"
    parent.mkdir(parents=True, exist_ok=True)
    if not (parent / name).is_dir():
        partial = Path(tempfile.mkdtemp(dir=parent, prefix=".partial-"))
        for file, values in files.items():
            np.save(partial / file, values)
        partial.chmod(0o755)
        partial.rename(parent / name)
    return name


def forget_others(experiment_id: int, folder: str) -> None:
    """Delete the arrays of earlier reports, once another has taken their place."""
    for one in folder_of(experiment_id).glob("mixing-*"):
        if one.name != folder:
            shutil.rmtree(one, ignore_errors=True)


class Kept:
    """The arrays of one arm of a stored report, each read only where it is looked at."""

    def __init__(self, experiment_id: int, mixing: Mapping[str, Any], arm: str) -> None:
        self.folder = folder_of(experiment_id) / str(mixing["folder"])
        self.number = int(mixing["arms"][arm]["number"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Raises FileNotFoundError where it is gone."""
        return np.asarray(np.load(self.folder / f"{self.number}-{name}.npy", mmap_mode="r"))

    def __contains__(self, name: str) -> bool:
        return (self.folder / f"{self.number}-{name}.npy").is_file()
