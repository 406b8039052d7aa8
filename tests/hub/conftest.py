"""A small image set and a closed study with a few answers, made through the services."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from elicitation.studies.models import Source, Study
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR

CLASSES = ["airplane", "bird", "cat"]
DESIGN = Design(n_mixed_images=6, lambdas_e4=(2500, 7500), trials_per_person=6, repeats=0, answers_per_unit=4)


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


@pytest.fixture
def make_study(larger_image_set: ImageSet) -> Callable[..., Study]:
    """`make_study(slug, source=…, **fields of StudyPlan)`: open and to be simulated, its design as in DESIGN."""

    def make(slug: str = "blends", *, source: str = Source.SIMULATED, **said) -> Study:
        said = {"design": DESIGN, "information": demonstration_information(), **said}
        plan = StudyPlan(slug=slug, title=slug.title(), image_set=larger_image_set, **said)
        study = create_study(plan=plan, source=source, actor=OPERATOR)
        open_study(study=study, actor=OPERATOR)
        return study

    return make


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
