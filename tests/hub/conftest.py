"""A small image set and a closed study with a few answers, made through the services."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from hilmix.accounts.roles import OPERATOR

CLASSES = ["airplane", "bird", "cat"]


@pytest.fixture(autouse=True)
def _var(settings, tmp_path: Path) -> None:
    settings.VAR = tmp_path / "var"


@pytest.fixture
def image_set(db) -> ImageSet:
    """Twelve random images; the first nine are for training."""
    return _import(12, n_train=9)


@pytest.fixture
def larger_image_set(db) -> ImageSet:
    """Sixty random images, enough for a study with repeats; the first 48 are for training."""
    return _import(60, n_train=48)


def _import(n: int, *, n_train: int) -> ImageSet:
    """`n` random 4 × 4 RGB images, classes in turn."""
    images = np.random.default_rng(0).integers(0, 256, (n, 4, 4, 3)).astype(np.uint8)
    return import_images(
        name="pictures",
        kind="npz",
        images=images,
        labels=np.arange(n) % 3,
        classes=CLASSES,
        splits={"train": np.arange(n_train), "test": np.arange(n_train, n)},
        actor=OPERATOR,
    )
