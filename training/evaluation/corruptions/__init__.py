"""Corruptions of test images: the 15 + 4 of CIFAR-10-C and a geometric group, seeded, vectorised and cached.

`corrupted(images, name, severity, seed)` for one, `suite()` for what a model is put through, `CorruptedSet` for the
cache of a test set, `TRANSFORMS` for the table. numpy, scipy and Pillow only; no torch.
"""

from __future__ import annotations

from training.evaluation.corruptions.apply import corrupted
from training.evaluation.corruptions.cache import CorruptedSet
from training.evaluation.corruptions.table import (
    CORRUPTIONS,
    EXTRA,
    EXTRAS,
    GROUPS,
    TRANSFORMS,
    Transform,
    suite,
)

__all__ = [
    "CORRUPTIONS",
    "EXTRA",
    "EXTRAS",
    "GROUPS",
    "TRANSFORMS",
    "CorruptedSet",
    "Transform",
    "corrupted",
    "suite",
]
