"""The embedded demonstration: digits, a simulated study with its release and experiment, and open studies to try.

Each step looks whether it was done before, so a second call is quick and an interrupted one goes on. Everything goes
through the same services as real work does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.conf import settings
from django.urls import reverse

from elicitation.flow.simulation import simulate_participant
from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from elicitation.participants.models import Participation
from elicitation.studies.models import Source, Study
from elicitation.studies.opening import close_study, open_study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person, issue_sign_in_link, set_membership
from hilmix.core.loaders import read_digits
from hilmix.hub.models import Release
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress, TerminalProgress
from training.experiments.config import read_config
from training.experiments.models import Experiment
from training.experiments.services import create_experiment, finish_experiment

N_SIMULATED = 24
SIMULATED = Design(n_mixed_images=60, trials_per_person=30, repeats=2, answers_per_unit=N_SIMULATED // 2)
CLEAR_DIGITS = (1039, 1, 986, 219, 1483, 32, 1482, 1174)  # 0 to 7, each most like the others of its class
OPEN = Design(
    n_mixed_images=60,
    trials_per_person=20,
    repeats=2,
    answers_per_unit=40,
    seed=2,
    checks=2,
    check_images=CLEAR_DIGITS,
)
SMALL = Design(n_mixed_images=24, trials_per_person=12, repeats=0, answers_per_unit=40, seed=3)
PAIRS = replace(SMALL, lambdas_e4=tuple(range(0, 10_001, 1000)))
CLASSES = replace(SMALL, checks=2, check_images=CLEAR_DIGITS)
# Studies that anybody may try: slug → title, interface, design.
OPEN_STUDIES = {
    "demo": ("demo (open)", "infer", OPEN),
    "demo-select": ("demo (choose the middle)", "select_shuffled", PAIRS),
    "demo-construct": ("demo (step to the middle)", "construct", PAIRS),
    "demo-categorical": ("demo (most probable classes)", "categorical", CLASSES),
    "demo-distribution": ("demo (whole soft labels)", "distribution", CLASSES),
}


@dataclass(frozen=True)
class Links:
    """Where to go when the demonstration is served."""

    take_part: str
    researcher: str
    admin: str


def build_demo() -> Experiment:
    """Make what is missing of the demonstration, with a progress bar on every long step; return its experiment."""
    image_set = _digits()
    plan = StudyPlan("demo-simulated", "demo (simulated)", image_set, design=SIMULATED)
    simulated = _study(plan, Source.SIMULATED)
    for slug, (title, interface, design) in OPEN_STUDIES.items():
        plan = StudyPlan(
            slug, title, image_set, interface, design=design, information=demonstration_information()
        )
        _study(plan, Source.PERSON)
    with TerminalProgress("simulated participants") as progress:
        _simulate(simulated, progress)
    if simulated.state == Study.State.OPEN:
        close_study(study=simulated, actor=OPERATOR)
    if not Release.objects.filter(study=simulated).exists():
        with TerminalProgress("release") as progress:
            freeze_release(study=simulated, actor=OPERATOR, progress=progress)
    return _experiment()


def links() -> Links:
    """Addresses for the three roles; the two that sign somebody in work once and are new at every call."""
    researcher = _person("researcher", User.Kind.RESEARCHER)
    for study in Study.objects.filter(slug__in=["demo-simulated", *OPEN_STUDIES]):
        set_membership(person=researcher, study=study, part=Membership.Part.OWNER, actor=OPERATOR)
    view = reverse("study", args=["demo-simulated"])
    return Links(
        take_part=settings.HILMIX_PUBLIC_URL + reverse("study_entry", args=["demo"]),
        researcher=f"{issue_sign_in_link(person=researcher, actor=OPERATOR)}?next={view}",
        admin=issue_sign_in_link(person=_person("admin", User.Kind.ADMIN), actor=OPERATOR),
    )


def _person(username: str, kind: str) -> User:
    known = User.objects.filter(username=username).first()
    return known or add_person(username=username, kind=kind, actor=OPERATOR)


def _digits() -> ImageSet:
    known = ImageSet.objects.filter(name="digits").first()
    if known is not None:
        return known
    images, labels, classes, splits = read_digits()
    assert splits is not None
    return import_images(
        name="digits",
        kind="digits",
        images=images,
        labels=labels,
        classes=classes,
        splits=splits,
        actor=OPERATOR,
    )


def _study(plan: StudyPlan, source: str) -> Study:
    study = Study.objects.filter(slug=plan.slug).first()
    if study is None:
        study = create_study(plan=plan, source=source, actor=OPERATOR)
    if study.state == Study.State.DRAFT:
        open_study(study=study, actor=OPERATOR)
    return study


def _simulate(study: Study, progress: Progress) -> None:
    done = study.participations.filter(state=Participation.State.COMPLETED).count()
    for number in range(done, N_SIMULATED):
        simulate_participant(study=study, seed=number)
        progress.update(number + 1, N_SIMULATED)


def _experiment() -> Experiment:
    config = read_config(settings.BASE_DIR / "examples" / "demo.toml")
    experiment = create_experiment(config=config, actor=OPERATOR)
    with TerminalProgress("experiment") as progress:
        finish_experiment(experiment=experiment, actor=OPERATOR, progress=progress)
    return experiment
