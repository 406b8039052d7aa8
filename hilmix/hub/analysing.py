"""Analyses a study's answers as a job: what people say, as figures and tables that a page then only shows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from elicitation.studies.models import Mode, Source, Study
from elicitation.trials.models import Response, Trial
from hilmix.accounts import audit
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.errors import Conflict
from hilmix.hub.analysed import read
from hilmix.hub.answer_figures import SECTIONS, sections_of
from hilmix.hub.answer_figures.look import Look
from hilmix.hub.answer_figures.model import sensitivity
from hilmix.hub.models import Analysis
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from hilmix.jobs.services import queue_job
from hilmix.version import code_version

JOB_KIND = "analyse_study"
SEED = 1  # of resampling, and of drawing batches for the model


def queue_analysis(*, study: Study, actor: User) -> Job:
    """Queue an analysis of the study's answers as they are when the job runs; arguments as `prepare_analysis`."""
    with transaction.atomic():
        analysis = prepare_analysis(study=study, actor=actor)
        return queue_job(
            kind=JOB_KIND, object_id=str(analysis.pk), label=f"Analyse “{study.title}”"[:200], actor=actor
        )


def prepare_analysis(*, study: Study, actor: Actor, seed: int = SEED) -> Analysis:
    """Write down what is to be analysed; `run_analysis` does it.

    Raises:
        Conflict: nobody has answered yet.
    """
    require(actor, Action.EDIT_STUDY, study.pk)
    if not answers_of(study).exists():
        raise Conflict(f"“{study.title}” has no answers yet, so there is nothing to analyse.")
    with transaction.atomic():
        analysis = Analysis.objects.create(
            study=study,
            kind=Analysis.Kind.ANSWERS,
            options={"seed": seed},
            created_by=user_or_none(actor),
        )
        audit.record(actor, "study.analysed", study, analysis=analysis.pk)
    return analysis


def run_analysis(*, analysis: Analysis, actor: Actor, progress: Progress) -> Analysis:
    """Do it and store what was found; nothing where it was done already."""
    require(actor, Action.EDIT_STUDY, analysis.study_id)
    if analysis.finished_at is not None:
        return analysis
    study = analysis.study
    total = len(SECTIONS) + 2
    progress.update(0, total, "reading answers")
    n_responses = answers_of(study).count()
    analysed = read(study)
    look = Look(analysed, analysed.counted, _source(study, n_responses), analysis.options["seed"])
    content: dict[str, Any] = {"figures": [], "tables": [], "notes": []}
    for done, (title, made) in enumerate(sections_of(look), 1):
        progress.check()
        progress.update(done, total, title)
        if isinstance(made, str):
            content["notes"].append(f"{title}: not assessed, because {made}.")
        else:
            content["figures"] += [figure.as_dict() for figure in made]
    progress.update(total - 1, total, "sensitivity to rules of exclusion")
    content["tables"].append(asdict(sensitivity(look)))
    if analysed.excluded:
        out = f"{len(analysed.excluded)} of {analysed.n_people} people"
        content["notes"].insert(0, f"Figures are without {out}, whom the rules in force leave out.")
    analysis.content, analysis.n_responses = content, n_responses
    analysis.code_version, analysis.finished_at = code_version(), timezone.now()
    analysis.save(update_fields=["content", "n_responses", "code_version", "finished_at"])
    progress.update(total, total, "done")
    return analysis


def answers_of(study: Study) -> QuerySet[Response]:
    """The answers that an analysis is made of, repeats among them."""
    people = study.participations.filter(mode=Mode.LIVE, source=study.source, invalid_at=None)
    return Response.objects.filter(trial__participation__in=people).exclude(trial__kind=Trial.Kind.CHECK)


def _source(study: Study, n_responses: int) -> str:
    """Where a figure comes from."""
    protocol = study.protocol
    of = {
        Source.PERSON: "people",
        Source.SIMULATED: "simulated participants",
        Source.IMPORTED: "imported answers",
    }
    return (
        f"study {study.slug} ({of[Source(study.source)]}), protocol {protocol.sha256[:12]}, {n_responses} answers with"
        f" repeats, hilmix {code_version()}"
    )
