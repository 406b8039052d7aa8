"""One small instance with something of everything, made through the services, and the callers who try their luck.

Every name that a person chooses is hostile: a page that shows one unescaped shows `HOSTILE` in its source.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from django.core.cache import cache
from django.test import Client, override_settings
from django.urls import get_resolver, reverse
from django.utils import timezone

from elicitation.flow import saving
from elicitation.flow import services as flow
from elicitation.flow.access import token_for
from elicitation.flow.modes import start_preview
from elicitation.flow.validity import mark_invalid
from elicitation.images.models import ImageSet
from elicitation.images.services import import_images
from elicitation.participants.models import Departure, Participation
from elicitation.participants.services import Arrival, link_of, record_departure, report_problem
from elicitation.recruiters.base import Outcome
from elicitation.recruiters.services import remember_arrival, set_recruitment
from elicitation.studies.factors import Factor, Level
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Mode, Source, Study
from elicitation.studies.opening import open_study, start_pilot
from elicitation.studies.payment import Payment
from elicitation.studies.protocol import Design, Flow
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from elicitation.trials.models import TrialImage
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR, Role
from hilmix.accounts.services import add_person, create_token, issue_sign_in_link, set_membership
from hilmix.figures import Figure, Series, Table
from hilmix.hub.models import Analysis, Export, Release, Upload
from hilmix.hub.releases import freeze_release, queue_freeze
from hilmix.hub.simulating import prepare_simulation
from hilmix.hub.uploads import receive_upload
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from tests.training.explained import explained
from training.choices.models import Prediction
from training.evaluation.leakage import Leakage
from training.evaluation.scores import score
from training.experiments.config import parse_config
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.followups.models import FollowUp
from training.reports.paper.services import HTML, PDF, folder_of
from training.reports.run.services import describe_run
from training.reports.services import build_report
from training.runs import keeping
from training.runs.models import Run

HOSTILE = "<b onclick=alert(1)>"
LAMBDAS = (1700, 3900, 6100, 8300)  # numbers that nothing else on a page is likely to say
DESIGN = Design(
    n_mixed_images=8, lambdas_e4=LAMBDAS, trials_per_person=4, repeats=0, answers_per_unit=3, seed=5
)
BOXES = {"adult": True, "agree": True, "publish": True}
# Who the holder is at the recruiter, and what must be told to nobody before their way has ended like that.
PID, SESSION, STUDY_THERE = (
    f"{start:024x}" for start in (0x5F0C1D2E << 64, 0x60FFE5C8 << 64, 0x61ACDC11 << 64)
)
CODES = {outcome.value: f"QX{number}SECRET{number}" for number, outcome in enumerate(Outcome)}
FORMULA = f"=HYPERLINK(1){HOSTILE}"
FACTORS = (
    Factor(
        "zzgroup",
        "between",
        (
            Level("zzplain"),
            Level("zzother", {"wording": {"confidence_question": "How sure are you of that?"}}),
        ),
    ),
    Factor(
        "zzwords",
        "within",
        (Level("zzshort"), Level("zzlong", {"wording": {"question": "How much of each do you see?"}})),
        order="mixed",
    ),
)
HYPOTHESIS = Hypothesis("zzmean", f"{HOSTILE} people see it otherwise.", "deviation", effect=0.1)
PASSWORD = "correct horse battery"
ANSWER = {
    "cannot_tell": False,
    "mixing_percent": 31,
    "confidence_percent": 72,
    "touched": {"mixing": True, "confidence": True},
}


@dataclass(frozen=True)
class Caller:
    """Somebody who sends requests. `roles` is written down here, not asked of the code under test."""

    name: str
    roles: frozenset[Role]
    user: User | None = None
    participation: Participation | None = None
    session: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def client(self, **options: Any) -> Client:
        """A browser or program of theirs: signed in, and with their token in the header."""
        client = Client(headers=self.headers, **options)
        client.cookies.load(self.session)
        return client


@dataclass(frozen=True)
class World:
    """Owner, editor and viewer are in `study`; what the addresses name belongs to it or to its owner.

    `study` is open and takes people of a recruiter, in groups; it has a pilot, a preview, somebody who does not count
    and a simulation behind it. `elsewhere` is another study of the same people, and people come to it by a plain link.
    """

    image_set: ImageSet
    study: Study
    elsewhere: Study
    release: Release
    experiment: Experiment
    unreported: Experiment
    job: Job
    callers: dict[str, Caller]
    sign_in_secret: str

    def __getitem__(self, name: str) -> Caller:
        return self.callers[name]

    def address(self, url_name: str, **instead: object) -> str:
        """The address of `url_name`, with somebody's object for each of its parameters, or what is given `instead`."""
        owner, holder = self["owner"], self["holder"].participation
        assert owner.user is not None
        assert holder is not None
        values = {
            "slug": self.study.slug,
            "name": self.image_set.name,
            "index": 0,
            "mixed_image_id": self.study.batches.filter(mode=Mode.LIVE).first().units.first().mixed_image_id,
            "move": "pause",
            "job_id": self.job.pk,
            "queue": self.job.queue,
            "release_id": self.release.pk,
            "experiment_id": self.experiment.pk,
            "pk": self.experiment.pk if url_name == "api_experiment" else self.release.pk,
            "path": "csv/responses.csv",
            "person_id": owner.user.pk,
            "token_key": owner.user.auth_token_set.earliest("created").token_key,
            "secret": self.sign_in_secret,
            "link": link_of(holder if url_name == "participation_survey" else self["participant"].participation),
            "image_id": TrialImage.objects.filter(trial__participation=holder).first().pk,
            "public_id": holder.public_id,
            "report_id": self.study.problem_reports.first().pk,
            "way": 0,
            "number": 0,
            "version": 1,
            "order": 0,
            "simulation_id": self.study.simulations.earliest("pk").pk,
            "kind": "release",
            "node": self.release.pk,
            "analysis_id": self.study.analyses.earliest("pk").pk,
            "upload_id": Upload.objects.earliest("created_at").pk,
            "export_id": self.study.exports.earliest("created_at").pk,
            "key": {
                "experiment_figure": "train_loss", "run_figure": "loss", "report_part": "metrics",
                "run_explanation_figure": "mixed_grad_cam",
            }.get(url_name, "perceived"),
            "extension": "md" if url_name == "model_card_file" else "csv",
            "ordinal": 0,
            "album": "map",
            "place": 0,
            "change": "rotate",
            "severity": 1,
            "follow_up_id": FollowUp.objects.earliest("pk").pk,
            "run_id": Run.objects.filter(arm__experiment=self.experiment).earliest("pk").pk,
            "prediction_id": Prediction.objects.earliest("created_at").pk,
        }  # fmt: skip
        values |= instead
        return reverse(url_name, kwargs={name: values[name] for name in parameters(url_name)})


def parameters(url_name: str) -> list[str]:
    """What the address of `url_name` needs."""
    return get_resolver().reverse_dict.getlist(url_name)[0][0][0][1]


@contextmanager
def made_world(var: Path) -> Iterator[World]:
    """The world, with its state under `var`; the database is the caller's to roll back."""
    with override_settings(VAR=var):
        cache.clear()
        people = {name: _person(name) for name in ("owner", "editor", "viewer", "stranger")}
        people["admin"] = _person("admin", User.Kind.ADMIN)
        image_set = _image_set()
        study = _study(image_set, people)
        holder = join(study, pid=PID)
        remember_arrival(holder, Arrival(pid=PID, session=SESSION))
        answer_all(holder)
        report_problem(study=study, participation=holder, page="trials", text=f"{HOSTILE} is grey.")
        _somebody_invalid(study, people["owner"])
        for outcome in Departure.Outcome.values:
            record_departure(study=study, mode=Mode.LIVE, outcome=outcome)
        release = freeze_release(study=study, actor=OPERATOR, progress=Progress())
        _simulations(study, release, people["owner"])
        _analyses(study)
        _export(study)
        _upload()
        elsewhere = _elsewhere(image_set, release, people)
        reported, unreported = (_experiment(release, seed) for seed in (1, 2))
        _report(reported)
        _paper(reported)
        participants = {"holder": holder, "participant": join(study)}
        owner = people["owner"]
        yield World(
            image_set=image_set,
            study=study,
            elsewhere=elsewhere,
            release=release,
            experiment=reported,
            unreported=unreported,
            job=queue_freeze(study=study, actor=owner),
            callers=_callers(people, participants),
            sign_in_secret=issue_sign_in_link(person=owner, actor=OPERATOR).rstrip("/").rpartition("/")[2],
        )


def join(study: Study, pid: str = "", mode: str = Mode.LIVE) -> Participation:
    """A participation with its trials page opened once."""
    participation, _new = flow.join_study(
        study=study, source=Source.PERSON, boxes=BOXES, arrival=Arrival(pid=pid), mode=mode
    )
    return flow.resume(participation=participation)


def answer_all(participation: Participation) -> None:
    """Every planned answer is saved and the trials are handed over."""
    answers = [
        saving.Incoming(id=uuid.uuid4(), position=trial.position, payload=ANSWER, rt_ms=900)
        for trial in participation.trials.all()
    ]
    receipts = saving.save_responses(participation=participation, epoch=1, answers=answers)
    assert {receipt.status for receipt in receipts} == {"created"}
    assert flow.complete(participation=participation) == []


def _person(name: str, kind: str = User.Kind.RESEARCHER) -> User:
    person = add_person(username=name, kind=kind, actor=OPERATOR)
    person.set_password(PASSWORD)
    person.save()
    return person


def _image_set() -> ImageSet:
    rng = np.random.default_rng(0)
    return import_images(
        name="noise",
        kind="npz",
        images=rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8),
        labels=np.arange(60) % 3,
        classes=[f"{HOSTILE}{name}" for name in ("ant", "bee", "cat")],
        splits={"train": np.arange(40), "test": np.arange(40, 60)},
        actor=OPERATOR,
    )


def _study(image_set: ImageSet, people: dict[str, User]) -> Study:
    """The study, open, after a pilot and a preview that one person each took part in."""
    plan = StudyPlan(
        slug="theirs",
        title=f"{HOSTILE} study",
        image_set=image_set,
        design=DESIGN,
        flow=Flow(min_width_px=320),
        factors=FACTORS,
        hypotheses=(HYPOTHESIS,),
        payment=Payment(reward_e2=150, minutes=10, bonus="flat", bonus_e2=25),
        bonus=f"{HOSTILE} pays everybody 0.25.",
        information=demonstration_information(),
    )
    owner = people["owner"]
    study = create_study(plan=plan, source=Source.PERSON, actor=owner)
    for part in (Membership.Part.EDITOR, Membership.Part.VIEWER):
        set_membership(person=people[part.value], study=study, part=part.value, actor=owner)
    options = {"study_id": STUDY_THERE, "codes": CODES}
    set_recruitment(study=study, recruiter="prolific", options=options, actor=owner)
    start_pilot(study=study, places=2, actor=owner)
    answer_all(join(study, mode=Mode.PILOT))
    open_study(study=study, actor=owner)
    start_preview(study=study, actor=owner)
    join(study, mode=Mode.PREVIEW)
    return study


def _somebody_invalid(study: Study, owner: User) -> None:
    """Somebody finished, and the reason why it does not count is what a hostile researcher would write."""
    person = join(study)
    answer_all(person)
    mark_invalid(participation=person, reason=FORMULA, actor=owner)


def _simulations(study: Study, release: Release, owner: User) -> None:
    """One that is finished, with a made-up result, and one that waits."""
    for repetitions in (20, 200):
        prepare_simulation(study=study, release=release, actor=owner, repetitions=repetitions, answers=(2,))
    done = study.simulations.earliest("pk")
    row = {
        "hypothesis": HYPOTHESIS.name, "k": 2, "people": 8, "effect": 0.1, "effect_of": "protocol", "power": 0.5,
        "power_interval": [0.3, 0.7], "false_positive": 0.05, "false_positive_interval": [0.01, 0.2],
    }  # fmt: skip
    test = {
        "name": HYPOTHESIS.name, "n_people": 8, "estimate": 0.1, "interval": [0, 0.2], "statistic": 2.1, "p": 0.04,
        "found": True,
    }  # fmt: skip
    protocol = study.protocol
    done.result = {
        "protocol": {"version": protocol.version, "sha256": protocol.sha256}, "ways": 1,
        "hypotheses": [asdict(HYPOTHESIS)], "population": {},
        "condition": "", "n_answers": 40, "rho": 0.3, "power": [row], "reliability": {"2": 0.5},
        "copy": {"participants": 8, "responses": 32, "tests": [test]},
    }  # fmt: skip
    done.finished_at = timezone.now()
    done.save()


def _analyses(study: Study) -> None:
    """One with a made-up figure, and one that waits."""
    table = Table(f"{HOSTILE} said", ("λ", "mean"), ((0.17, 0.2),))
    figure = Figure(
        "perceived", "curve", f"{HOSTILE} seen", "What is seen.", "λ", "mean",
        (Series(f"{HOSTILE} people", ((0.17, 0.2),), 0),), table, "protocol",
    )  # fmt: skip
    content = {"figures": [figure.as_dict()], "tables": [asdict(table)], "notes": [f"{HOSTILE} note"]}
    kinds = Analysis.Kind
    for kind, found in ((kinds.ANSWERS, content), (kinds.LABELS, content), (kinds.ANSWERS, {})):
        finished = timezone.now() if found else None
        Analysis.objects.create(study=study, kind=kind, content=found, finished_at=finished)


def _upload() -> None:
    """A file that was tried and can be imported."""
    upload = receive_upload(
        kind="release",
        filename="release.zip",
        pieces=[b"PK"],
        options={"slug": "brought", "image_set": "secure"},
        actor=OPERATOR,
    )
    upload.report, upload.finished_at = {"notes": ["Nothing is wrong with it."], "tables": {}}, timezone.now()
    upload.save()


def _export(study: Study) -> None:
    """A table that is there to download."""
    export = Export.objects.create(
        study=study, format="csv", n_rows=0, n_bytes=4, sha256="0" * 64, finished_at=timezone.now()
    )
    export.path.parent.mkdir(exist_ok=True)
    export.path.write_text("key\n")


def _elsewhere(image_set: ImageSet, release: Release, people: dict[str, User]) -> Study:
    """Another study with the same members, with something of all that an address can name."""
    plan = StudyPlan(
        slug="elsewhere",
        title="Elsewhere",
        image_set=image_set,
        design=replace(DESIGN, seed=6),
        information=demonstration_information(),
    )
    study = create_study(plan=plan, source=Source.PERSON, actor=people["owner"])
    for part in (Membership.Part.EDITOR, Membership.Part.VIEWER):
        set_membership(person=people[part.value], study=study, part=part.value, actor=people["owner"])
    open_study(study=study, actor=people["owner"])
    person = join(study)
    report_problem(study=study, participation=person, page="trials", text="It is slow.")
    prepare_simulation(study=study, release=release, actor=people["owner"])
    return study


def _experiment(release: Release, seed: int) -> Experiment:
    label_sets = release.opened.label_sets
    condition = next(one["condition"] for one in label_sets if one["policy"] == "human_lambda")
    config = {
        "name": f"{HOSTILE} experiment {seed}",
        "release": release.name,
        "arms": [
            {"name": f"{HOSTILE}mixup", "policy": "mixup"},
            {"name": f"{HOSTILE}human_lambda", "policy": "human_lambda", "condition": condition},
        ],
        "seeds": [seed],
        "train": {"epochs": 1, "batch_size": 4, "augment": {"crop": 0, "flip": False}},
    }
    return create_experiment(config=parse_config(config), actor=OPERATOR)


def _report(experiment: Experiment) -> None:
    """Runs as training would leave them, with made-up predictions, and the report made of them."""
    rng = np.random.default_rng(0)
    curve = {"train_loss": 1.0, "train_floor": 0.1, "validation_loss": 0.5, "validation_accuracy": 0.9}
    for run in Run.objects.filter(arm__experiment=experiment):
        run.metrics = score(rng.normal(0, 2, (20, 3)), rng.integers(0, 3, 20))
        run.curves, run.n_steps, run.plan_sha256 = [curve], 10, "plan"
        run.environment = {"device": f"{HOSTILE} cpu", "seconds": 1.0}
        run.started_at = run.finished_at = timezone.now()
        run.save()
        run.directory.mkdir(parents=True, exist_ok=True)
        (run.directory / keeping.WEIGHTS).write_bytes(b"weights")
        _pages(run)
    build_report(experiment=experiment, leakage=Leakage(20, 8, 16, 0, 0, 0))
    first = Run.objects.filter(arm__experiment=experiment).earliest("pk")
    explained(first, list(experiment.image_set.classes))
    _follow_up(first)
    Prediction.objects.create(run=run, names=[f"{HOSTILE}.png"], result={"classes": [], "images": []})


def _follow_up(run: Run) -> None:
    """As if the study of the release asked about its images again."""
    release = run.arm.experiment.release
    FollowUp.objects.create(
        study=release.study,
        experiment=run.arm.experiment,
        run=run,
        release=release,
        rule={
            "name": "all", "picked": 1, "of": 4, "arm": run.arm.name, "seeds": [run.seed], "runs": [run.pk],
            "before": {},
        },
        seed=1,
    )  # fmt: skip


def _pages(run: Run) -> None:
    """What its pages are made of, by the job of a run that left made-up predictions."""
    images = run.arm.experiment.image_set.open()
    rows = images.splits["test"]
    logits = np.random.default_rng(run.pk).normal(0, 2, (len(rows), len(images.classes)))
    keeping.write_arrays(
        run, keeping.PREDICTIONS, {"indices": rows, "labels": images.labels[rows], "logits": logits}
    )
    describe_run(run=run, images=images)


def _paper(experiment: Experiment) -> None:
    """The report as files, as the job would leave them."""
    folder = folder_of(Experiment.objects.get(pk=experiment.pk))
    folder.mkdir(parents=True)
    (folder / HTML).write_text(f"<title>{HOSTILE}</title>", "utf-8")
    (folder / PDF).write_bytes(b"%PDF-1.7")


def _callers(people: dict[str, User], participants: dict[str, Participation]) -> dict[str, Caller]:
    roles = {
        "stranger": {Role.RESEARCHER},
        "viewer": {Role.RESEARCHER, Role.VIEWER},
        "editor": {Role.RESEARCHER, Role.EDITOR},
        "owner": {Role.RESEARCHER, Role.OWNER},
        "admin": {Role.ADMIN},
    }
    public = frozenset({Role.PUBLIC})
    callers = {"public": Caller("public", public)}
    for name, held in roles.items():
        client = Client()
        client.force_login(people[name])
        token = create_token(person=people[name], name=f"{HOSTILE} token", scope="write")
        callers[name] = Caller(
            name,
            frozenset(held),
            user=people[name],
            session=client.cookies.output(header="", sep=";"),
            headers={"Authorization": f"Token {token}"},
        )
    for name, participation in participants.items():
        headers = {"Authorization": f"Participation {token_for(participation)}"}
        callers[name] = Caller(name, public, participation=participation, headers=headers)
    return callers
