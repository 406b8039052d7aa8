"""Baseline for importing H-Mix: its four tables read with the csv module, and its pictures mixed and written.

Every row is read as text, and every mixed image of the largest table is mixed in floats and written once as PNG. It
omits: checks of rows, classes and images, what answers say, studies, participants, trials and answers as rows of a
database, source rows kept verbatim, and the report of flaws.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = "hmix_infer_mixing_factor.csv"


def read_and_draw(directory: Path, parents: np.ndarray, folder: Path) -> None:
    """Read every table of `directory`; write the pictures, mixed of uint8 [N, H, W, C] `parents`, to `folder`."""
    for path in sorted(directory.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if path.name == PICTURES:
            recipes = {(row["id1"], row["id2"], row["mixtureCoeff"]) for row in rows}
            _draw(
                {(int(float(one)), int(float(two)), float(share)) for one, two, share in recipes},
                parents,
                folder,
            )


def _draw(recipes: set[tuple[int, int, float]], parents: np.ndarray, folder: Path) -> None:
    for number, (first, second, share) in enumerate(recipes):
        pixels = parents[first] * np.float32(share) + parents[second] * np.float32(1 - share)
        Image.fromarray((pixels + np.float32(0.5)).astype(np.uint8)).save(folder / f"{number}.png")
