"""Every address by name: who may use it, with which verbs, and whose object it names. The tests of this folder and
nothing else decide from it, so an address that is added must be added here."""

from __future__ import annotations

import base64
import io
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import URLPattern, URLResolver, resolve
from PIL import Image

from elicitation.flow.forms import ConsentForm
from elicitation.flow.visits import visit_of
from elicitation.recruiters.base import Outcome
from elicitation.studies.forms import StudyForm
from elicitation.studies.plans import plan_of_study
from elicitation.studies.text_pages import TextsForm
from elicitation.studies.texts import texts_of
from elicitation.studies.toml_writing import study_file
from hilmix.accounts.roles import ALLOWED, Action
from hilmix.hub.models import Release
from tests.security.world import ANSWER, CODES, PASSWORD, PID, SESSION, STUDY_THERE, Caller, World

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Open(Enum):
    """What is needed of the caller where no line of the roles table decides."""

    PUBLIC = auto()  # nothing, or the secret in the address
    SIGNED_IN = auto()  # an account; one sees what one may see
    PARTICIPATING = auto()  # any participation's token
    THIS_PARTICIPATION = auto()  # the token of the participation whose object the address names


class Whose(Enum):
    """Who beside the roles table decides: a role counts in the study, or the object is one person's own."""

    STUDY = auto()
    OWNERS = auto()
    OWNERS_OR_ADMINS = auto()


Body = Callable[[World], dict[str, Any]]


@dataclass(frozen=True)
class Route:
    needs: Action | Open
    verbs: str
    body: Body = field(default=lambda world: {})
    whose: Whose = Whose.STUDY

    def allows(self, caller: Caller) -> bool:
        """Whether `caller` may use this address, by the roles table."""
        if self.needs is Open.PUBLIC:
            return True
        if self.needs is Open.PARTICIPATING:
            return caller.participation is not None
        if self.needs is Open.THIS_PARTICIPATION:
            return caller.name == "holder"
        if self.needs is Open.SIGNED_IN:
            return caller.user is not None
        if self.whose is Whose.OWNERS:
            return caller.name == "owner"
        if self.whose is Whose.OWNERS_OR_ADMINS:
            return caller.name in ("owner", "admin")
        return not ALLOWED[self.needs].isdisjoint(caller.roles)


def every_pattern(patterns: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    """The patterns of an URLconf, those of included ones too."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from every_pattern(pattern.url_patterns)
        else:
            yield pattern


def an_answer(world: World) -> dict[str, Any]:
    answer = {"id": str(uuid.uuid4()), "position": 0, "payload": ANSWER, "rt_ms": 900}
    return {"epoch": 1, "responses": [answer]}


def an_event(world: World) -> dict[str, Any]:
    return {"events": [{"id": str(uuid.uuid4()), "kind": "blur", "t_ms": 5, "data": {}}]}


def a_study(world: World) -> dict[str, Any]:
    return {
        "title": "Another", "slug": "another", "image_set": world.image_set.pk, "interface": "infer",
        "language": "en-gb", "perspective": "you", "n_mixed_images": 8, "lambdas": "0.5", "trials_per_person": 4,
        "repeats": 0, "answers_per_unit": 1, "seed": 1, "lease_minutes": 60, "checks": 0, "pixels": "css",
        "resampling": "nearest", "max_comprehension_rounds": 5, "break_every": 0, "resume_gap_minutes": 30,
        "withdraw_days": 30, "withdrawal": "delete",
    }  # fmt: skip


def a_change(world: World) -> dict[str, Any]:
    """The settings as they stand, but for the title."""
    form = StudyForm(base=plan_of_study(world.study))
    sent = {name: form[name].value() for name in form.fields}
    kept = {name: value for name, value in sent.items() if value not in (None, False)}
    return kept | {"title": "Another title", "based_on": world.study.protocol.sha256}


def a_recruitment(world: World) -> dict[str, Any]:
    """The recruitment as it stands, but that nobody may come who took part elsewhere."""
    codes = {f"code_{outcome}": CODES[outcome] for outcome in Outcome}
    return codes | {"recruiter": "prolific", "study_id": STUDY_THERE, "excludes": [world.elsewhere.pk]}


def an_export(world: World) -> dict[str, Any]:
    """What the recruiter exports, with one person who is known here and one who is not."""
    return {"export": SimpleUploadedFile("export.csv", exported().encode()), "do": "show"}


def a_freeze(world: World) -> dict[str, Any]:
    """A release with recipes only, as the form sends it."""
    return {"images": "recipe-only", "licence": "CC-BY-4.0", "creators": "Ann", "description": "Answers."}


def exported() -> str:
    rows = [f"{SESSION},{PID},APPROVED,{CODES['completed']}", f"{'b' * 24},{'a' * 24},RETURNED,=1+1"]
    return "\n".join(["Submission id,Participant id,Status,Completion code", *rows, ""])


def a_file(world: World) -> dict[str, Any]:
    text = study_file(plan_of_study(world.study))
    return {"file": SimpleUploadedFile("study.toml", text.encode()), "slug": "read-in"}


def a_brought_file(world: World) -> dict[str, Any]:
    file = SimpleUploadedFile("release.zip", b"PK")
    return {"file": file, "image_set": world.image_set.name, "slug": "brought", "licence": ""}


def some_texts(world: World) -> dict[str, Any]:
    """The texts as they stand, but for the thanks."""
    protocol = world.study.protocol
    form = TextsForm(
        texts_of(protocol.content), ["perspective", "question", "confidence_question"], protocol.sha256
    )
    sent: dict[str, Any] = {name: form.words[name].value() or "" for name in form.words.fields}
    for formset in form.rows.values():
        sent |= {f"{formset.prefix}-{name}": n for name, n in formset.management_form.initial.items()}
        for row in formset.forms:
            values = {row.add_prefix(name): row[name].value() for name in row.fields}
            sent |= {name: value for name, value in values.items() if value not in (None, False)}
    return sent | {"thanks": "Thank you very much.", "do": "save"}


def an_experiment(world: World) -> dict[str, Any]:
    return {
        "name": "another", "release": Release.objects.get(pk=world.release.pk).name, "arms-0-policy": "mixup",
        "arms-TOTAL_FORMS": 1, "arms-INITIAL_FORMS": 0, "contrasts-TOTAL_FORMS": 0, "contrasts-INITIAL_FORMS": 0,
        "seeds": "0", "net": "resnet20", "epochs": 1, "batch_size": 4, "lr": 0.1, "weight_decay": 0, "momentum": 0.9,
        "warmup_epochs": 0, "crop": 0, "precision": "fp32", "train_on": "train", "evaluate_on": "test",
        "validation": "0", "schedule": "cosine", "rotation": 0, "blur": 0, "noise": 0, "brightness": 0, "contrast": 0,
    }  # fmt: skip


def a_choice(world: World) -> dict[str, Any]:
    return {"arm": world.experiment.arms.first().name, "reason": "It is cheaper."}


def a_follow_up(world: World) -> dict[str, Any]:
    arm = world.experiment.arms.first().name
    return {"arm": arm, "rule": "all", "n": 1, "answers": 1, "slug": "asked-again", "title": "Asked again"}


def an_image(world: World) -> dict[str, Any]:
    """One picture, as a program sends it."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return {"images": [{"name": "grey.png", "content": base64.b64encode(file.getvalue()).decode()}]}


def consent(world: World) -> dict[str, Any]:
    known = {ConsentForm.ID: uuid.uuid4().hex[:24]}
    return (
        {"adult": "on", "agree": "on", "decision": "consent"}
        | known
        | signed(world, "study_entry", "consent")
    )


def signed(world: World, url_name: str, purpose: str) -> dict[str, str]:
    """The hidden field of a participant's form."""
    address = resolve(world.address(url_name)).kwargs
    return {"token": visit_of(**address).token_for(purpose)}


def a_problem(url_name: str) -> Body:
    return lambda world: {"text": "The picture is grey."} | signed(world, url_name, "problem")


def member(world: World) -> dict[str, Any]:
    return {"username": "stranger", "part": "viewer"}


def person(world: World) -> dict[str, Any]:
    return {"username": "somebody", "kind": "admin"}


def credentials(world: World) -> dict[str, Any]:
    return {"username": "owner", "password": PASSWORD}


PAGE, FORM, API = "GET HEAD", "GET POST", "GET HEAD"
# What participants are sent: their forms carry a signed field in place of a cookie.
PARTICIPANT_PAGES = (
    "study_entry",
    "study_problem",
    "participation",
    "participation_device",
    "participation_survey",
    "participation_withdraw",
    "participation_problem",
)

ROUTES: dict[str, Route] = {
    "home": Route(Open.PUBLIC, PAGE),
    "healthz": Route(Open.PUBLIC, PAGE),
    "readyz": Route(Open.PUBLIC, PAGE),
    # Participants' pages: the address is the key.
    "study_entry": Route(Action.TAKE_PART, FORM, consent),
    "study_problem": Route(Open.PUBLIC, FORM, a_problem("study_problem")),
    "participation": Route(Open.PUBLIC, "GET"),
    "participation_device": Route(
        Open.PUBLIC, FORM, lambda world: signed(world, "participation_device", "device")
    ),
    "participation_survey": Route(
        Open.PUBLIC,
        FORM,
        lambda world: {"comments": "fine"} | signed(world, "participation_survey", "survey"),
    ),
    "participation_withdraw": Route(
        Open.PUBLIC, FORM, lambda world: signed(world, "participation_withdraw", "withdraw")
    ),
    "participation_problem": Route(Open.PUBLIC, FORM, a_problem("participation_problem")),
    # Accounts.
    "sign_in": Route(Action.SIGN_IN, FORM + " HEAD", credentials),
    "sign_in_with_link": Route(Action.SIGN_IN, FORM),
    "sign_out": Route(Open.PUBLIC, "POST"),
    "account": Route(
        Action.MANAGE_OWN_TOKENS, FORM, lambda world: {"name": "a script", "scope": "write", "days": 30}
    ),
    "set_password": Route(Open.SIGNED_IN, "POST", lambda world: {"password": "a rather good one"}),
    "revoke_token": Route(Action.MANAGE_OWN_TOKENS, "POST", whose=Whose.OWNERS),
    "people": Route(Action.MANAGE_PEOPLE, FORM, person),
    "new_link": Route(Action.MANAGE_PEOPLE, "POST"),
    "audit_trail": Route(Action.VIEW_AUDIT, "GET"),
    # Image sets and studies.
    "image_sets": Route(Action.VIEW_IMAGE_SETS, PAGE),
    "image_set": Route(Action.VIEW_IMAGE_SETS, PAGE),
    "parent_image": Route(Action.VIEW_IMAGE_SETS, PAGE),
    "studies": Route(Open.SIGNED_IN, PAGE),
    "new_study": Route(Action.CREATE_STUDY, FORM, a_study),
    "import_study": Route(Action.CREATE_STUDY, FORM, a_file),
    "study_planner": Route(Action.CREATE_STUDY, FORM + " HEAD", lambda world: {"answers_per_unit": 4}),
    "study": Route(Action.VIEW_STUDY, PAGE),
    "study_protocol": Route(Action.EDIT_STUDY, FORM, a_change),
    "copy_study": Route(Action.VIEW_STUDY, FORM, lambda world: {"title": "A copy", "slug": "a-copy"}),
    "study_versions": Route(Action.VIEW_STUDY, PAGE),
    "study_version": Route(Action.VIEW_STUDY, PAGE),
    "study_toml": Route(Action.VIEW_STUDY, PAGE),
    "study_texts": Route(Action.EDIT_STUDY, FORM, some_texts),
    "study_mixed_image": Route(Action.VIEW_STUDY, PAGE),
    "move_study": Route(Action.OPEN_STUDY, "POST"),
    "preview_study": Route(Action.EDIT_STUDY, "POST"),
    "study_members": Route(Action.OPEN_STUDY, "POST", member),
    "study_recruitment": Route(Action.RECRUIT, FORM, a_recruitment),
    "study_submissions": Route(Action.PAY_PARTICIPANTS, FORM, an_export),
    "study_bonuses": Route(Action.PAY_PARTICIPANTS, FORM),
    # Watching a study.
    "study_monitor": Route(Action.VIEW_STUDY, PAGE),
    "study_participations": Route(Action.VIEW_STUDY, PAGE),
    "study_participations_csv": Route(Action.VIEW_STUDY, PAGE),
    "study_participation": Route(Action.VIEW_STUDY, PAGE),
    "study_replay": Route(Action.VIEW_STUDY, PAGE),
    "study_participation_picture": Route(Action.VIEW_STUDY, PAGE),
    "judge_participation": Route(
        Action.JUDGE_PARTICIPATION, "POST", lambda world: {"do": "invalid", "reason": "a bot"}
    ),
    "study_problems": Route(Action.VIEW_STUDY, PAGE),
    "handle_problem": Route(Action.JUDGE_PARTICIPATION, "POST", lambda world: {"do": "handle"}),
    # Jobs.
    "jobs": Route(Action.VIEW_OWN_JOBS, "GET"),
    "job": Route(Action.VIEW_OWN_JOBS, "GET", whose=Whose.OWNERS_OR_ADMINS),
    "job_state": Route(Action.VIEW_OWN_JOBS, "GET", whose=Whose.OWNERS_OR_ADMINS),
    "job_cancel": Route(Action.STEER_JOB, "POST", whose=Whose.OWNERS_OR_ADMINS),
    "job_retry": Route(Action.STEER_JOB, "POST", whose=Whose.OWNERS_OR_ADMINS),
    "job_reorder": Route(Action.STEER_JOB, "POST", lambda world: {"priority": 1}, Whose.OWNERS_OR_ADMINS),
    "queue_pause": Route(Action.PAUSE_QUEUE, "POST"),
    "queue_resume": Route(Action.PAUSE_QUEUE, "POST"),
    # Releases.
    "uploads": Route(Action.IMPORT_IMAGES, PAGE),
    "upload_new": Route(Action.IMPORT_IMAGES, FORM + " HEAD", a_brought_file),
    "upload": Route(Action.IMPORT_IMAGES, PAGE),
    "upload_report": Route(Action.IMPORT_IMAGES, PAGE),
    "upload_import": Route(Action.IMPORT_IMAGES, "POST"),
    "releases": Route(Open.SIGNED_IN, PAGE),
    "freeze_release": Route(Action.FREEZE_RELEASE, FORM + " HEAD", a_freeze),
    "release": Route(Action.VIEW_RELEASE, PAGE),
    "release_changes": Route(Action.VIEW_RELEASE, PAGE),
    "release_file": Route(Action.VIEW_RELEASE, PAGE),
    # What a study shows and is answered, and where anything comes from.
    "study_mixed_images": Route(Action.VIEW_STUDY, PAGE),
    "mixed_image": Route(Action.VIEW_STUDY, PAGE),
    "study_responses": Route(Action.VIEW_STUDY, PAGE),
    "source_rows": Route(Action.VIEW_STUDY, PAGE),
    "study_exports": Route(Action.VIEW_STUDY, FORM + " HEAD", lambda world: {"format": "csv"}),
    "export_file": Route(Action.VIEW_STUDY, PAGE),
    "lineage": Route(Action.VIEW_RELEASE, PAGE),
    # Simulations of a study.
    "study_simulations": Route(Action.VIEW_STUDY, PAGE),
    "simulation": Route(Action.VIEW_STUDY, PAGE),
    "simulate_study": Route(
        Action.EDIT_STUDY,
        "POST",
        lambda world: {"release": world.release.pk, "repetitions": 20, "answers": "2", "seed": 1},
    ),
    # Analyses of a study.
    "study_analysis": Route(Action.VIEW_STUDY, PAGE),
    "analyse_study": Route(Action.EDIT_STUDY, "POST"),
    "analysis_figure": Route(Action.VIEW_STUDY, PAGE),
    "study_label_scores": Route(Action.VIEW_STUDY, PAGE),
    "score_study_labels": Route(Action.EDIT_STUDY, "POST", lambda world: {"repeats": 1}),
    # Experiments.
    "experiments": Route(Open.SIGNED_IN, PAGE),
    "new_experiment": Route(Action.LAUNCH_EXPERIMENT, FORM, an_experiment),
    "experiment": Route(Action.VIEW_EXPERIMENT, PAGE),
    "experiment_launch": Route(Action.LAUNCH_EXPERIMENT, "POST"),
    "experiment_cancel": Route(Action.LAUNCH_EXPERIMENT, "POST"),
    "experiment_seeds": Route(Action.LAUNCH_EXPERIMENT, "POST", lambda world: {"seeds": "77"}),
    "experiment_over_time": Route(Action.VIEW_EXPERIMENT, PAGE),
    "compare_releases": Route(Action.LAUNCH_EXPERIMENT, "POST"),
    "experiment_retrain": Route(
        Action.LAUNCH_EXPERIMENT,
        "POST",
        lambda world: {"release": Release.objects.get(pk=world.release.pk).name},
    ),
    "report_part": Route(Action.VIEW_EXPERIMENT, PAGE),
    "report_renew": Route(Action.LAUNCH_EXPERIMENT, "POST"),
    "experiment_report_json": Route(Action.VIEW_EXPERIMENT, PAGE),
    "experiment_report_markdown": Route(Action.VIEW_EXPERIMENT, PAGE),
    "experiment_figure": Route(Action.VIEW_EXPERIMENT, PAGE),
    "diagnosis": Route(Action.VIEW_EXPERIMENT, PAGE),
    "robustness": Route(Action.VIEW_EXPERIMENT, PAGE),
    "robustness_image": Route(Action.VIEW_EXPERIMENT, PAGE),
    # Mixed images, and studies made of them.
    "mixing": Route(Action.VIEW_EXPERIMENT, FORM + " HEAD"),
    "follow_up": Route(Action.VIEW_STUDY, PAGE),
    "follow_up_estimate": Route(Action.EDIT_STUDY, "POST"),
    "experiment_paper": Route(Action.VIEW_EXPERIMENT, FORM + " HEAD"),
    "experiment_report_html": Route(Action.VIEW_EXPERIMENT, PAGE),
    "experiment_report_pdf": Route(Action.VIEW_EXPERIMENT, PAGE),
    "experiment_reproduce": Route(Action.VIEW_EXPERIMENT, PAGE),
    # Runs.
    "run": Route(Action.VIEW_EXPERIMENT, PAGE),
    "run_live": Route(Action.VIEW_EXPERIMENT, PAGE),
    "run_images": Route(Action.VIEW_EXPERIMENT, PAGE),
    "run_figure": Route(Action.VIEW_EXPERIMENT, PAGE),
    "run_cancel": Route(Action.LAUNCH_EXPERIMENT, "POST"),
    "run_resume": Route(Action.LAUNCH_EXPERIMENT, "POST"),
    "run_describe": Route(Action.LAUNCH_EXPERIMENT, "POST"),
    # Choosing an arm and taking its model away.
    "experiment_choice": Route(Action.VIEW_EXPERIMENT, PAGE),
    "model_card": Route(Action.VIEW_EXPERIMENT, PAGE),
    "model_card_file": Route(Action.VIEW_EXPERIMENT, PAGE),
    "run_weights": Route(Action.VIEW_EXPERIMENT, PAGE),
    "choose_arm": Route(Action.CHOOSE_ARM, "POST", a_choice),
    # What a model looks at.
    "experiment_explanations": Route(Action.VIEW_EXPERIMENT, PAGE),
    "run_explanations": Route(Action.VIEW_EXPERIMENT, PAGE),
    "explain_run": Route(Action.LAUNCH_EXPERIMENT, "POST"),
    "run_explanation_picture": Route(Action.VIEW_EXPERIMENT, PAGE),
    "run_explanation_figure": Route(Action.VIEW_EXPERIMENT, PAGE),
    "api_run_explanation": Route(Action.VIEW_EXPERIMENT, API),
    # The API of participants.
    "participation_plan": Route(Open.PARTICIPATING, API),
    "participation_image": Route(Open.THIS_PARTICIPATION, API),
    "participation_example": Route(Open.PARTICIPATING, API),
    "participation_responses": Route(Open.PARTICIPATING, "POST", an_answer),
    "participation_events": Route(Open.PARTICIPATING, "POST", an_event),
    "participation_complete": Route(Open.PARTICIPATING, "POST", lambda world: {"count": 5}),
    # The API of programs.
    "api_image_sets": Route(Action.VIEW_IMAGE_SETS, API),
    "api_image_set": Route(Action.VIEW_IMAGE_SETS, API),
    "api_parent_image": Route(Action.VIEW_IMAGE_SETS, API),
    "api_studies": Route(Open.SIGNED_IN, API),
    "api_study": Route(Action.VIEW_STUDY, API),
    "api_study_protocol": Route(Action.VIEW_STUDY, API),
    "api_protocols": Route(Action.VIEW_STUDY, API),
    "api_protocol": Route(Action.VIEW_STUDY, API),
    "api_members": Route(Action.OPEN_STUDY, API),
    "api_monitor": Route(Action.VIEW_STUDY, API),
    "api_mixed_images": Route(Action.VIEW_STUDY, API),
    "api_mixed_image": Route(Action.VIEW_STUDY, API),
    "api_mixed_image_picture": Route(Action.VIEW_STUDY, API),
    "api_responses": Route(Action.VIEW_STUDY, API),
    "api_participations": Route(Action.VIEW_STUDY, API),
    "api_participation": Route(Action.VIEW_STUDY, API),
    "api_problems": Route(Action.VIEW_STUDY, API),
    "api_analyses": Route(Action.VIEW_STUDY, API),
    "api_analysis": Route(Action.VIEW_STUDY, API),
    "api_study_imports": Route(Action.VIEW_STUDY, API),
    "api_exports": Route(Action.VIEW_STUDY, API),
    "api_export": Route(Action.VIEW_STUDY, API),
    "api_export_file": Route(Action.VIEW_STUDY, API),
    "api_simulations": Route(Action.VIEW_STUDY, API),
    "api_lineage": Route(Action.VIEW_RELEASE, API),
    "api_freeze": Route(Action.FREEZE_RELEASE, "POST"),
    "api_start_export": Route(Action.VIEW_STUDY, "POST", lambda world: {"format": "csv"}),
    "api_analyse": Route(Action.EDIT_STUDY, "POST"),
    "api_score_labels": Route(Action.EDIT_STUDY, "POST"),
    "api_simulate": Route(Action.EDIT_STUDY, "POST", lambda world: {"release": world.release.pk}),
    "api_jobs": Route(Action.VIEW_OWN_JOBS, API),
    "api_job": Route(Action.VIEW_OWN_JOBS, API, whose=Whose.OWNERS_OR_ADMINS),
    "api_job_cancel": Route(Action.STEER_JOB, "POST", whose=Whose.OWNERS_OR_ADMINS),
    "api_job_reorder": Route(Action.STEER_JOB, "POST", lambda world: {"priority": 1}, Whose.OWNERS_OR_ADMINS),
    "api_queues": Route(Action.VIEW_OWN_JOBS, API),
    "api_queue_pause": Route(Action.PAUSE_QUEUE, "POST"),
    "api_queue_resume": Route(Action.PAUSE_QUEUE, "POST"),
    "api_releases": Route(Open.SIGNED_IN, API),
    "api_release": Route(Action.VIEW_RELEASE, API),
    "api_release_changes": Route(Action.VIEW_RELEASE, API),
    "api_release_file": Route(Action.VIEW_RELEASE, API),
    "api_imports": Route(Action.IMPORT_IMAGES, API),
    "api_import": Route(Action.IMPORT_IMAGES, API),
    "api_experiments": Route(Open.SIGNED_IN, API),
    "api_experiment": Route(Action.VIEW_EXPERIMENT, API),
    "api_run": Route(Action.VIEW_EXPERIMENT, API),
    "api_choice": Route(Action.VIEW_EXPERIMENT, API),
    "api_model_card": Route(Action.VIEW_EXPERIMENT, API),
    "api_run_weights": Route(Action.VIEW_EXPERIMENT, API),
    "api_ask_run": Route(Action.ASK_MODEL, "POST", an_image),
    "api_follow_ups": Route(Action.VIEW_EXPERIMENT, API + " POST", a_follow_up),
    "api_follow_up": Route(Action.VIEW_STUDY, API),
    "api_estimate_follow_up": Route(Action.EDIT_STUDY, "POST"),
    "api_prediction": Route(Action.VIEW_EXPERIMENT, API),
    "schema": Route(Open.PUBLIC, API),
    "api_docs": Route(Open.PUBLIC, PAGE),
}
