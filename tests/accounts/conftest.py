"""An admin, three researchers and a study of one of them, made through the services."""

from __future__ import annotations

import numpy as np
import pytest

from elicitation.images.services import import_images
from elicitation.studies.models import Study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person

SMALL = Design(n_mixed_images=4, trials_per_person=2, repeats=0, answers_per_unit=1)


@pytest.fixture
def admin(db) -> User:
    return add_person(username="admin", kind=User.Kind.ADMIN, actor=OPERATOR)


@pytest.fixture
def owner(db) -> User:
    return add_person(username="owner", kind=User.Kind.RESEARCHER, actor=OPERATOR)


@pytest.fixture
def colleague(db) -> User:
    return add_person(username="colleague", kind=User.Kind.RESEARCHER, actor=OPERATOR)


@pytest.fixture
def make_study(owner, settings, tmp_path):
    """`make_study(slug)`: a draft of `owner`'s."""
    settings.VAR = tmp_path / "var"
    image_set = import_images(
        name="noise",
        kind="npz",
        images=np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), dtype=np.uint8),
        labels=np.arange(20) % 2,
        classes=["ant", "bee"],
        splits={"train": np.arange(20)},
        actor=OPERATOR,
    )

    def make(slug: str) -> Study:
        plan = StudyPlan(
            slug=slug,
            title=slug,
            image_set=image_set,
            design=SMALL,
            information=demonstration_information(),
        )
        return create_study(plan=plan, actor=owner)

    return make


@pytest.fixture
def study(make_study) -> Study:
    return make_study("theirs")
