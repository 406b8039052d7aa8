"""A small image set and an open study of it, made through the services."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from django.test import Client

from elicitation.images.services import import_images
from elicitation.studies.models import Source
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR

SMALL = Design(
    n_mixed_images=12,
    lambdas_e4=(2500, 5000, 7500),
    trials_per_person=6,
    repeats=0,
    answers_per_unit=2,
    seed=5,
)


@pytest.fixture
def make_image_set(db, settings, tmp_path):
    """`make_image_set(n)`: random images of 4 × 4 pixels, four classes; all but the last 40 are the training split."""
    settings.VAR = tmp_path / "var"

    def make(n):
        rng = np.random.default_rng(0)
        return import_images(
            name="noise",
            kind="npz",
            images=rng.integers(0, 256, (n, 4, 4, 1), dtype=np.uint8),
            labels=np.arange(n) % 4,
            classes=["ant", "bee", "cat", "dog"],
            splits={"train": np.arange(n - 40), "test": np.arange(n - 40, n)},
            actor=OPERATOR,
        )

    return make


@pytest.fixture
def image_set(make_image_set):
    return make_image_set(120)


@pytest.fixture
def make_study(image_set):
    """`make_study(slug="s", source=…, opened=True, **fields of StudyPlan or Design)`; the rest is as in SMALL."""

    def make(slug="small", *, source=Source.PERSON, opened=True, **said):
        design = {field.name: said.pop(field.name) for field in fields(Design) if field.name in said}
        plan = {
            "title": f"Study {slug}",
            "image_set": image_set,
            "information": demonstration_information(),
            **said,
        }
        study = create_study(
            plan=StudyPlan(slug=slug, design=replace(SMALL, **design), **plan), source=source, actor=OPERATOR
        )
        if opened:
            open_study(study=study, actor=OPERATOR)
        return study

    return make


@pytest.fixture
def study(make_study):
    return make_study()


@pytest.fixture
def admin(db):
    """The browser of an administrator."""
    user = User.objects.create(username="rosa", kind=User.Kind.ADMIN)
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client
