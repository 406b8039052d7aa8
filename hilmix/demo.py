"""The embedded demonstration: digits, a simulated study with its release, what its answers say and which labels
predict them, its experiment, what they say of the next study, and open studies to try.

Each step looks whether it was done before, so a second call is quick and an interrupted one goes on. Everything goes
through the same services as real work does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.urls import reverse

from elicitation.flow.simulation import simulate_participant
from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from elicitation.participants.models import Participation
from elicitation.recruiters.base import Outcome
from elicitation.recruiters.models import Recruitment
from elicitation.recruiters.services import set_recruitment
from elicitation.studies.factors import Factor, Level
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Source, Study
from elicitation.studies.opening import close_study, open_study
from elicitation.studies.payment import Payment
from elicitation.studies.protocol import Design
from elicitation.studies.rules import Rule, default_rules
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person, issue_sign_in_link, set_membership
from hilmix.core.loaders import read_digits
from hilmix.core.observers import H_MIX
from hilmix.hub.analysing import prepare_analysis, run_analysis
from hilmix.hub.models import Analysis, Release, Simulation
from hilmix.hub.releases import freeze_release
from hilmix.hub.scoring import prepare_scores, run_scores
from hilmix.hub.simulating import prepare_simulation, run_simulation
from hilmix.jobs.progress import Progress, TerminalProgress
from training.experiments.config import read_config
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.runs.services import finish_experiment

DIGITS = (
    "E. Alpaydin and C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,"
    " doi:10.24432/C50P49; its test images, as scikit-learn has them"
)
N_SIMULATED = 24
SIMULATED = Design(n_mixed_images=60, trials_per_person=30, repeats=2, answers_per_unit=N_SIMULATED // 2)
# Stricter than anybody would be with people, so that a few of the simulated ones are flagged, and two do not count.
STRICT = (
    Rule("too_fast", {"floor_ms": 5000.0}, excludes=True),
    Rule("reversed", {"share": 0.15}),
    Rule("disagreement", {"deviation": 0.2}),
    Rule("repeat_difference", {"ratio": 0.5}),
)
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
GROUPS = replace(CLASSES, answers_per_unit=6)  # of each group
VIEW = Factor("view", "between", (Level("own"), Level("others", {"perspective": "100 others"})))
EXCLUDING = tuple(
    replace(rule, excludes=rule.flag in ("failed_checks", "one_key")) for rule in default_rules()
)
EXPECTED = (
    Hypothesis(
        "others-differ",
        "People who say what others would see put it higher than people who say what they see.",
        "difference",
        factor="view",
        levels=("others", "own"),
        effect=0.08,
    ),
    Hypothesis(
        "better-than-lambda", "What others said tells somebody's answer better than λ.", "better_label"
    ),
)
# Studies that anybody may try: slug → title, and what of a plan they differ in.
OPEN_STUDIES: dict[str, tuple[str, dict[str, Any]]] = {
    "demo": ("demo (open)", {"design": OPEN}),
    "demo-select": ("demo (choose the middle)", {"interface": "select_shuffled", "design": PAIRS}),
    "demo-construct": ("demo (step to the middle)", {"interface": "construct", "design": PAIRS}),
    "demo-categorical": ("demo (most probable classes)", {"interface": "categorical", "design": CLASSES}),
    "demo-distribution": ("demo (whole soft labels)", {"interface": "distribution", "design": CLASSES}),
    "demo-groups": (
        "demo (two groups)",
        {"design": GROUPS, "factors": (VIEW,), "rules": EXCLUDING, "hypotheses": EXPECTED},
    ),
    "demo-paid": (
        "demo (paid, with made-up codes)",
        {
            "design": replace(CLASSES, answers_per_unit=9),
            "perspective": "100 others",
            "payment": Payment("GBP", reward_e2=120, minutes=8, bonus="agreement", bonus_e2=50),
            "bonus": (
                "This is a demonstration: nobody is paid. In a real study, the nearer your answers are to those of the"
                " other participants, the larger your bonus, up to £0.50."
            ),
        },
    ),
}
MADE_UP_CODES = {outcome: f"DEMO-{outcome.name}" for outcome in Outcome}
REPETITIONS, ANSWERS = 50, (2, 6, 12)
DEALS = 5  # of answers into folds, to score labels: enough to see which is better


@dataclass(frozen=True)
class Links:
    """Where to go when the demonstration is served."""

    take_part: str
    researcher: str
    admin: str


def build_demo() -> Experiment:
    """Make what is missing of the demonstration, with a progress bar on every long step; return its experiment."""
    image_set = _digits()
    plan = StudyPlan("demo-simulated", "demo (simulated)", image_set, design=SIMULATED, rules=STRICT)
    simulated = _study(plan, Source.SIMULATED)
    for slug, (title, chosen) in OPEN_STUDIES.items():
        plan = StudyPlan(slug, title, image_set, information=demonstration_information(), **chosen)
        _study(plan, Source.PERSON)
    _recruit()
    with TerminalProgress("simulated participants") as progress:
        _simulate(simulated, progress)
    if simulated.state == Study.State.OPEN:
        close_study(study=simulated, actor=OPERATOR)
    if not Release.objects.filter(study=simulated).exists():
        with TerminalProgress("release") as progress:
            freeze_release(study=simulated, actor=OPERATOR, progress=progress)
    _findings(simulated)
    _power()
    return _experiment()


def links() -> Links:
    """Addresses for the three roles; the two that sign somebody in work once and are new at every call."""
    researcher = _person("researcher", User.Kind.RESEARCHER)
    copies = _power_of_groups().values("copy")
    for study in Study.objects.filter(Q(slug__in=["demo-simulated", *OPEN_STUDIES]) | Q(pk__in=copies)):
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
        licence="CC-BY-4.0",
        origin=DIGITS,
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


def _findings(study: Study) -> None:
    """What its people say, and how well each label predicts them."""
    known = study.analyses.filter(created_by=None)
    with TerminalProgress("analysis") as progress:
        analysis = known.filter(kind=Analysis.Kind.ANSWERS).first() or prepare_analysis(
            study=study, actor=OPERATOR
        )
        run_analysis(analysis=analysis, actor=OPERATOR, progress=progress)
    with TerminalProgress("label scores") as progress:
        scores = known.filter(kind=Analysis.Kind.LABELS).first() or prepare_scores(
            study=study, actor=OPERATOR, repeats=DEALS, population=H_MIX
        )
        run_scores(analysis=scores, actor=OPERATOR, progress=progress)


def _recruit() -> None:
    """People would come to the paid study from Prolific; its codes lead nowhere, and say so."""
    study = Study.objects.get(slug="demo-paid")
    if not Recruitment.objects.filter(study=study).exists():
        set_recruitment(study=study, recruiter="prolific", options={"codes": MADE_UP_CODES}, actor=OPERATOR)


def _power_of_groups() -> QuerySet[Simulation]:
    """The demonstration's own simulation of its study of two groups, if it was prepared."""
    return Simulation.objects.filter(study__slug="demo-groups", created_by=None)


def _power() -> None:
    """What the study of two groups would find, with people like those of the release."""
    simulation = _power_of_groups().first() or prepare_simulation(
        study=Study.objects.get(slug="demo-groups"),
        release=Release.objects.filter(study__slug="demo-simulated").earliest("pk"),
        actor=OPERATOR,
        repetitions=REPETITIONS,
        answers=ANSWERS,
    )
    with TerminalProgress("power of the next study") as progress:
        run_simulation(simulation=simulation, actor=OPERATOR, progress=progress)


def _experiment() -> Experiment:
    config = read_config(settings.BASE_DIR / "examples" / "demo.toml")
    experiment = create_experiment(config=config, actor=OPERATOR)
    with TerminalProgress("experiment") as progress:
        finish_experiment(experiment=experiment, actor=OPERATOR, progress=progress)
    return experiment
