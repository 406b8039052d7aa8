"""A study is made of the mixed images on which a model, people and mixup disagree most."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.db import transaction

from elicitation.interfaces import interface_named
from elicitation.studies.models import Source
from elicitation.studies.plans import StudyPlan, plan_of_study
from elicitation.studies.protocol import REPEAT_GAP, Design
from elicitation.studies.services import create_study
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.errors import Conflict, Invalid
from hilmix.hub.models import Release
from hilmix.jobs.models import Job
from hilmix.jobs.services import queue_job
from training.experiments.models import Arm, Experiment
from training.followups.models import FollowUp, FollowUpImage, PickedAs
from training.followups.picking import Picked, pick
from training.reports.mixing.keeping import Kept
from training.reports.mixing.shares import shares_of
from training.runs.models import Run

JOB_KIND = "estimate_follow_up"
ASKS = "infer"  # where the study asked about pairs, or of several ways in one
MOST_TRIALS = 30
RULES: Mapping[str, str] = {
    "all": "model, people and mixup disagree most: the mean of the three total variations",
    "model_people": "model and people disagree most: their total variation",
    "model_mixup": "model and mixup disagree most: their total variation",
    "people_mixup": "people and mixup disagree most: their total variation",
}


@dataclass(frozen=True)
class Asked:
    """What somebody asks for: a rule about an arm's models, how many images it picks (as many are drawn at random), how
    many people answer each, and what the study is called."""

    arm: str
    rule: str
    n: int
    answers: int
    slug: str
    title: str
    seed: int | None = None


def create_follow_up(*, experiment: Experiment, asked: Asked, actor: Actor) -> FollowUp:
    """Create a draft study of the images that the rule picks and of as many at random, mixed as the release has them,
    and asked about as the study of the release does; its creator owns it.

    Raises:
        Conflict: the report says nothing of single mixed images, or its files are gone.
        Invalid: with messages per field, where there are too few images, or the study cannot be carried out.
    """
    release = experiment.release
    require(actor, Action.VIEW_STUDY, release.study_id)
    require(actor, Action.CREATE_STUDY)
    kept, told = _kept(experiment, asked)
    seed = secrets.randbelow(2**32) if asked.seed is None else asked.seed
    try:
        order, scores = kept[f"order-{asked.rule}"], kept[f"score-{asked.rule}"]
        rows = kept["rows"]
        before = _before(kept)
    except FileNotFoundError:
        raise Conflict(GONE) from None
    picked = pick(order, asked.n, seed)
    places = np.concatenate([picked.by_rule, picked.at_random])
    recipes, methods = recipes_of(release, rows[places])
    plan = _plan(release, recipes, methods, asked, seed)
    runs = _runs(experiment, asked.arm, told["seeds"])
    source = Source.SIMULATED if release.study.source == Source.SIMULATED else Source.PERSON
    with transaction.atomic():
        study = create_study(plan=plan, source=source, actor=actor)
        follow_up = FollowUp.objects.create(
            study=study,
            experiment=experiment,
            run=runs[0],
            release=release,
            rule={
                "name": asked.rule,
                "picked": asked.n,
                "of": len(order),
                "arm": asked.arm,
                "seeds": told["seeds"],
                "runs": [run.pk for run in runs],
                "before": {str(rows[place]): before[place] for place in places.tolist()},
            },
            seed=seed,
            created_by=user_or_none(actor),
        )
        FollowUpImage.objects.bulk_create(_images(follow_up, picked, rows, scores))
        audit.record(
            actor,
            "study.follow_up",
            study,
            experiment=experiment.pk,
            arm=asked.arm,
            rule=asked.rule,
            n=asked.n,
        )
    return follow_up


def queue_estimate(*, follow_up: FollowUp, actor: Actor) -> Job:
    """Queue the estimation of its labels from what people have said by then.

    Raises:
        Conflict: nobody has answered yet, or it is queued already.
    """
    require(actor, Action.EDIT_STUDY, follow_up.study_id)
    study = follow_up.study
    if not study.participations.filter(mode="live").exists():
        how = f" `python manage.py study answer {study.slug}` lets simulated participants answer it."
        raise Conflict(
            "Nobody has taken part yet, so there is nothing to estimate labels from."
            + (how if study.source == Source.SIMULATED else "")
        )
    with transaction.atomic():
        FollowUp.objects.select_for_update(of=("self",)).get(pk=follow_up.pk)  # of two clicks one
        if (job := last_job(follow_up)) is not None and not job.is_over:
            raise Conflict("The labels are being estimated already.")
        return queue_job(
            kind=JOB_KIND,
            object_id=str(follow_up.pk),
            label=f"Labels of “{follow_up.study.title}”"[:200],
            actor=actor,
        )


def last_job(follow_up: FollowUp) -> Job | None:
    """The last job that was to estimate its labels."""
    return Job.objects.filter(kind=JOB_KIND, object_id=str(follow_up.pk)).order_by("-created_at").first()


GONE = "What the report said of single mixed images is gone from the disk. Write the report anew, which makes it again."


def _kept(experiment: Experiment, asked: Asked) -> tuple[Kept, Mapping[str, Any]]:
    mixing = experiment.report.content.get("mixing") if hasattr(experiment, "report") else None
    if not mixing or not mixing["arms"]:
        raise Conflict(
            "The report of this experiment says nothing of single mixed images that were held out."
        )
    if asked.arm not in mixing["arms"]:
        raise Invalid("No study was made.", fields={"arm": ["There is no such arm, or it held none out."]})
    told = mixing["arms"][asked.arm]
    if asked.rule not in told["rules"]:
        raise Invalid("No study was made.", fields={"rule": [f"One of {', '.join(told['rules'])}."]})
    return Kept(experiment.pk, mixing, asked.arm), told


def recipes_of(release: Release, rows: Any) -> tuple[list[tuple[int, int, int]], set[str]]:
    """First and second parent and λ of mixed images of a release, and by which methods they were mixed."""
    table = release.opened.table("mixed_images").take(rows).to_pylist()
    recipes = [(row["first_index"], row["second_index"], row["lambda_e4"]) for row in table]
    return recipes, {row["method"] for row in table}


def _before(kept: Kept) -> list[dict[str, float | None]]:
    """What was known of each image when the rule picked: the shares of its first parent, by the models and by people's
    answers of the release, None where nobody had answered."""
    model, (first, second) = kept["model"].astype(np.float64), kept["classes"].T
    people = kept["people"].astype(np.float64) if "people" in kept else np.full_like(model, np.nan)
    known = np.isfinite(people).all(axis=1) & (kept["answers"] > 0)
    shares = shares_of(model, first, second), shares_of(np.nan_to_num(people), first, second)
    return [
        {"model": seen, "people": said if there else None}
        for seen, said, there in zip(shares[0].tolist(), shares[1].tolist(), known.tolist(), strict=True)
    ]


def _plan(
    release: Release, recipes: list[tuple[int, int, int]], methods: set[str], asked: Asked, seed: int
) -> StudyPlan:
    """The study of the release, asking about these images only: one way of asking, no hypotheses of its own."""
    if len(methods) > 1:
        raise Conflict(
            f"These images were mixed in several ways ({', '.join(sorted(methods))}); a study has one."
        )
    before = plan_of_study(release.study)
    same = interface_named(before.interface).UNIT == "mixed_image"
    return replace(
        before,
        slug=asked.slug,
        title=asked.title,
        interface=before.interface if same else ASKS,
        options=before.options if same else {},
        texts=before.texts if same and not before.factors else None,
        factors=(),
        hypotheses=(),
        design=_design(before.design, recipes, methods.pop(), asked, seed),
    )


def _design(
    before: Design, recipes: list[tuple[int, int, int]], method: str, asked: Asked, seed: int
) -> Design:
    n_batches = math.ceil(len(recipes) / min(before.trials_per_person, MOST_TRIALS))
    # As equal as can be, so that few are asked about twice as often.
    trials = math.ceil(len(recipes) / n_batches)
    parents = {index for *pair, _share in recipes for index in pair}
    checks = tuple(index for index in before.check_images if index not in parents)
    n_checks = before.checks if not before.check_images or len(checks) >= before.checks else 0
    return replace(
        before,
        n_mixed_images=len(recipes),
        mixed_images=tuple(recipes),
        method=method,
        lambdas_e4=tuple(sorted({share for *_pair, share in recipes})),
        trials_per_person=trials,
        repeats=max(0, min(before.repeats, (trials - REPEAT_GAP) // 2)),
        answers_per_unit=asked.answers,
        seed=seed,
        same_class=False,
        class_pairs=(),
        checks=n_checks if trials >= 5 * n_checks else 0,
        check_images=checks if n_checks else (),
        example_images=(),
    )


def _runs(experiment: Experiment, name: str, seeds: list[int]) -> list[Run]:
    """The runs whose models judged the images: every fold of these seeds."""
    arm = Arm.objects.get(experiment=experiment, name=name)
    return list(arm.runs.filter(seed__in=seeds, fold__gt=0, candidate=0).order_by("seed", "fold"))


def _images(follow_up: FollowUp, picked: Picked, rows: Any, scores: Any) -> list[FollowUpImage]:
    of = [(place, PickedAs.RULE, 1.0) for place in picked.by_rule]
    of += [(place, PickedAs.RANDOM, picked.probability) for place in picked.at_random]
    return [
        FollowUpImage(
            follow_up=follow_up,
            row=int(rows[place]),
            picked_as=how,
            score=float(scores[place]),
            inclusion_probability=probability,
        )
        for place, how, probability in of
    ]
