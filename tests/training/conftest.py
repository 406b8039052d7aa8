"""A small real release: digits, a study answered by simulated participants, frozen."""

from __future__ import annotations

import pytest

from elicitation.flow.simulation import simulate_participant
from elicitation.images.services import import_images
from elicitation.studies.models import Source
from elicitation.studies.opening import close_study, open_study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, change_texts, create_study
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.loaders import read_digits
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress
from training.experiments.config import parse_config

DESIGN = Design(n_mixed_images=10, trials_per_person=10, repeats=0, answers_per_unit=2)


@pytest.fixture
def one_thread():
    """torch on one thread: two on a shared machine wait for each other more than they work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def digits(db, settings, tmp_path):
    settings.VAR = tmp_path / "var"
    images, labels, classes, splits = read_digits()
    return import_images(
        name="digits",
        kind="digits",
        images=images,
        labels=labels,
        classes=classes,
        splits=splits,
        actor=OPERATOR,
    )


@pytest.fixture
def release(digits):
    """Release `small@1.0.0`: ten mixed images, each answered by two simulated participants."""
    plan = StudyPlan(slug="small", title="small", image_set=digits, design=DESIGN)
    study = create_study(plan=plan, source=Source.SIMULATED, actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    for seed in range(2):
        simulate_participant(study=study, seed=seed)
    close_study(study=study, actor=OPERATOR)
    return freeze_release(study=study, actor=OPERATOR, progress=Progress())


@pytest.fixture
def asked_in_two_ways(digits):
    """Release `twice@1.0.0`: like `small`, but the second person was asked in other words."""
    plan = StudyPlan(slug="twice", title="twice", image_set=digits, design=DESIGN)
    study = create_study(plan=plan, source=Source.SIMULATED, actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    simulate_participant(study=study, seed=0)
    texts = study.protocol.content["texts"]
    wording = {**texts["wording"], "question": "What do you see?"}
    change_texts(study=study, texts={**texts, "wording": wording}, actor=OPERATOR)
    simulate_participant(study=study, seed=1)
    return freeze_release(study=study, actor=OPERATOR, progress=Progress())


@pytest.fixture
def config(release):
    """Two arms, one seed, one short epoch."""
    return parse_config(quick())


def quick(**change):
    """The configuration `config` parses, with changes."""
    return {
        "name": "quick",
        "release": "small",
        "arms": [{"policy": "mixup"}, {"policy": "human_lambda_shrunk"}],
        "seeds": [0],
        "train": {
            "epochs": 1,
            "batch_size": 256,
            "precision": "fp32",
            "threads": 1,
            "augment": {"crop": 1, "flip": False},
        },
        **change,
    }


@pytest.fixture
def admin(db):
    return User.objects.create_user("admin", kind=User.Kind.ADMIN)


@pytest.fixture
def researcher(release):
    """A researcher who may look at the study and no more."""
    person = User.objects.create_user("researcher", kind=User.Kind.RESEARCHER)
    Membership.objects.create(user=person, study=release.study, part=Membership.Part.VIEWER)
    return person
