"""A small image set and an open study of it, made through the services."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from elicitation.images.services import import_images
from elicitation.studies.models import Source
from elicitation.studies.services import Design, StudyPlan, create_study, open_study
from hilmix.accounts.roles import OPERATOR

SMALL = Design(
    n_mixed_images=12,
    lambdas_e4=(2500, 5000, 7500),
    trials_per_person=6,
    repeats=1,
    answers_per_unit=2,
    seed=5,
)


@pytest.fixture
def image_set(db, settings, tmp_path):
    """120 random images of 4 × 4 pixels, four classes; the first 80 are the training split."""
    settings.VAR = tmp_path / "var"
    rng = np.random.default_rng(0)
    return import_images(
        name="noise",
        kind="npz",
        images=rng.integers(0, 256, (120, 4, 4, 1), dtype=np.uint8),
        labels=np.arange(120) % 4,
        classes=["ant", "bee", "cat", "dog"],
        splits={"train": np.arange(80), "test": np.arange(80, 120)},
        actor=OPERATOR,
    )


@pytest.fixture
def make_study(image_set):
    """`make_study(slug="s", source=…, open=True, **design)`"""

    def make(slug="small", *, source=Source.PERSON, opened=True, **design):
        plan = StudyPlan(
            slug=slug, title=f"Study {slug}", image_set=image_set, design=replace(SMALL, **design)
        )
        study = create_study(plan=plan, source=source, actor=OPERATOR)
        if opened:
            open_study(study=study, actor=OPERATOR)
        return study

    return make


@pytest.fixture
def study(make_study):
    return make_study()
