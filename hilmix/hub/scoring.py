"""Judges label policies by a study's answers as a job: how well labels made of some people's answers predict others'.

Answers are those that a release may hold, of people who count; each condition is judged by itself. What came out is
stored, so that a page only shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from django.db import transaction
from django.utils import timezone

from elicitation.flow.simulation import image_effect
from elicitation.studies.models import Condition, Source, Study
from hilmix.accounts import audit
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.core.errors import DataError
from hilmix.core.folds import FOLDS
from hilmix.core.judgements import PerceivedLambda, PerceivedMidpoint
from hilmix.core.label_scores import REPEATS, score_labels, steps
from hilmix.core.observers import Population
from hilmix.core.softlabels import Evidence
from hilmix.core.softlabels.base import Floats
from hilmix.core.softlabels.counting import two_hot
from hilmix.errors import Conflict, Invalid
from hilmix.hub.answers import mixed_images_of, releasable_answers
from hilmix.hub.evidence import evidence_of
from hilmix.hub.models import Analysis, Simulation
from hilmix.hub.score_figures import figures_of
from hilmix.hub.score_tables import TRUE_OBSERVER, Judged, as_json, notes_of, tables_of
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from hilmix.jobs.services import queue_job
from hilmix.version import code_version

JOB_KIND = "score_labels"
MOST_REPEATS = 100


def queue_scores(*, study: Study, actor: User, repeats: int = REPEATS) -> Job:
    """Queue the judging of labels by the answers there are when the job runs; arguments as `prepare_scores`."""
    with transaction.atomic():
        analysis = prepare_scores(study=study, actor=actor, repeats=repeats)
        return queue_job(
            kind=JOB_KIND,
            object_id=str(analysis.pk),
            label=f"Score labels of “{study.title}”"[:200],
            actor=actor,
        )


def prepare_scores(
    *,
    study: Study,
    actor: Actor,
    repeats: int = REPEATS,
    seed: int = 0,
    population: Population | None = None,
) -> Analysis:
    """Write down what is to be judged; `run_scores` does it.

    Args:
        repeats: how often answers are dealt out into folds anew, 1–100.
        population: whom simulated answers are of, by whoever simulated them; what these see in each image is judged as
            well. Of a simulation that was run on its own page, that is known.

    Raises:
        Conflict: fewer than two people have answered.
        Invalid: `repeats` is out of range.
    """
    require(actor, Action.EDIT_STUDY, study.pk)
    if not 1 <= repeats <= MOST_REPEATS:
        raise Invalid("Labels were not scored.", fields={"repeats": [f"Between 1 and {MOST_REPEATS}."]})
    if releasable_answers(study).values("trial__participation").distinct()[:2].count() < 2:
        raise Conflict(
            f"Labels are judged by the answers of people left out: at least two must have answered “{study.title}”."
        )
    with transaction.atomic():
        analysis = Analysis.objects.create(
            study=study,
            kind=Analysis.Kind.LABELS,
            options={"repeats": repeats, "seed": seed}
            | ({} if population is None else {"population": asdict(population)}),
            created_by=user_or_none(actor),
        )
        audit.record(actor, "study.labels_scored", study, analysis=analysis.pk)
    return analysis


def run_scores(*, analysis: Analysis, actor: Actor, progress: Progress) -> Analysis:
    """Do it and store what came out; nothing where it was done already.

    Raises:
        Conflict: nobody is left out of whose answers labels could be judged.
    """
    require(actor, Action.EDIT_STUDY, analysis.study_id)
    if analysis.finished_at is not None:
        return analysis
    study, repeats, seed = analysis.study, analysis.options["repeats"], analysis.options["seed"]
    progress.update(0, 1, "reading answers")
    evidence = evidence_of(study, actor)
    total, done = steps(repeats) * max(len(evidence), 1), 0

    def step() -> None:
        nonlocal done
        done += 1
        progress.check()
        progress.update(done, total, "answers left out and predicted")

    judged, notes = [], []
    for condition, material in evidence.items():
        known = true_labels(analysis, material)
        try:
            scores = score_labels(material, repeats=repeats, seed=seed, known=known, step=step)
        except DataError as error:
            notes.append(f"Condition {condition}: {error}")
        else:
            judged.append(Judged(condition, _in_words(study, condition), scores))
            notes += _notes_of(material)
    if not judged:
        raise Conflict(" ".join(notes) or f"Nobody who answered “{study.title}” counts.")
    _store(analysis, judged, notes)
    progress.update(total, total, "done")
    return analysis


def _store(analysis: Analysis, judged: list[Judged], notes: list[str]) -> None:
    study = analysis.study
    n = sum(one.scores.n_answers for one in judged)
    source = (
        f"study {study.slug} ({study.get_source_display()}), protocol {study.protocol.sha256[:12]}, {n} answers,"
        f" {analysis.options['repeats']} × {FOLDS} folds, seed {analysis.options['seed']}, hilmix {code_version()}"
    )
    classes = list(study.image_set.classes)
    analysis.content = {
        "figures": [figure.as_dict() for one in judged for figure in figures_of(one, classes, source)],
        "tables": [table for one in judged for table in tables_of(one)],
        "notes": [*notes_of(judged), *dict.fromkeys(notes)],
        "conditions": [as_json(one, classes) for one in judged],
    }
    analysis.n_responses, analysis.code_version = n, code_version()
    analysis.finished_at = timezone.now()
    analysis.save(update_fields=["content", "n_responses", "code_version", "finished_at"])


def _notes_of(evidence: Evidence) -> list[str]:
    """What is meant by answers that are no share."""
    said = {type(answer.judgement) for unit in evidence.units for answer in unit.answers}
    if PerceivedMidpoint not in said:
        return []
    return ["Midpoints are about pairs: one at λ = m counts as seeing a share of 1 − m in an even mix."]


def _in_words(study: Study, key: str) -> str:
    """How was asked, shortly; empty where there is one way only."""
    conditions: dict[str, Condition] = {one.key: one for one in study.conditions.all()}
    if len(conditions) < 2:
        return ""
    content = conditions[key].content
    return f"{content['interface']}, {content['perspective']} ({key})"


def true_labels(analysis: Analysis, evidence: Evidence) -> Mapping[str, Floats]:
    """Of simulated participants who say how much they see: what they see on average, which made their answers. Nothing
    where it is not known whose answers were simulated."""
    study, population = analysis.study, _population(analysis)
    said = {type(answer.judgement) for unit in evidence.units for answer in unit.answers}
    if population is None or PerceivedLambda not in said:
        return {}
    effects = {image.key: image_effect(image, population) for image in mixed_images_of(study)}
    shares = [population.expected_share(unit.lambda_, effects[unit.key]) for unit in evidence.units]
    return {TRUE_OBSERVER: two_hot(evidence.units, np.array(shares), evidence.n_classes)}


def _population(analysis: Analysis) -> Population | None:
    """Whom the answers were simulated of, as far as is known: a simulation says so when it is finished."""
    if analysis.study.source != Source.SIMULATED:
        return None
    if said := analysis.options.get("population"):
        return Population(**said)
    simulation = Simulation.objects.filter(copy=analysis.study, finished_at__isnull=False).first()
    return None if simulation is None else Population(**simulation.result["population"])
