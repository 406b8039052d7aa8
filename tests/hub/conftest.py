"""A small image set and a closed study with a few answers, made through the services."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from hilmix.accounts.roles import OPERATOR

CLASSES = ["airplane", "bird", "cat"]
N_IMAGES = 12


@pytest.fixture(autouse=True)
def _var(settings, tmp_path: Path) -> None:
    settings.VAR = tmp_path / "var"


@pytest.fixture
def image_set(db) -> ImageSet:
    """Twelve random 4 × 4 RGB images, classes in turn; the first nine are for training."""
    images = np.random.default_rng(0).integers(0, 256, (N_IMAGES, 4, 4, 3)).astype(np.uint8)
    splits = {"train": np.arange(9), "test": np.arange(9, 12)}
    labels = np.arange(N_IMAGES) % 3
    return import_images(
        name="pictures",
        kind="npz",
        images=images,
        labels=labels,
        classes=CLASSES,
        splits=splits,
        actor=OPERATOR,
    )
