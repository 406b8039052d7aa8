"""The page of an experiment's mixed images: the response to λ, and where model, people and mixup disagree most.

Everything shown was computed with the report; the page reads slices of its arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from elicitation.mixes.models import MixedImage
from elicitation.studies.models import Study
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.core.mixing import lambda_text
from hilmix.errors import Conflict, Invalid, NotFound
from hilmix.figures import Figure, first_seen
from hilmix.hub.downloads import figure_file
from hilmix.hub.withdrawn import n_withdrawn
from training.experiments.models import Experiment
from training.followups.forms import FollowUpForm
from training.followups.models import FollowUp
from training.followups.services import GONE, RULES, create_follow_up
from training.reports.advice import arms_first
from training.reports.mixing.figures import response_of_arms, response_of_pair
from training.reports.mixing.keeping import Kept
from training.reports.mixing.shares import shares_of
from training.reports.tables import cited

A_PAGE = 12
NAMED = 0.02  # of a distribution: smaller shares are not listed
USUAL_N, USUAL_ANSWERS = 24, 9
FEW_IMAGES = 10  # at one λ of a class pair: a band of fewer is itself uncertain
SWAPPED = 0.5  # people's share of the first parent is further than this from λ


@dataclass(frozen=True)
class Row:
    """One mixed image as the page lists it; `image` is None where this instance has it no more."""

    image: MixedImage | None
    parents: tuple[tuple[int, str], tuple[int, str]]
    share: str
    score: float
    n_answers: int
    model: str
    people: str
    swapped: bool = False  # people's answers lie nearer to the other parent than λ by more than `SWAPPED`


@require_http_methods(["GET", "HEAD", "POST"])
def mixing_page(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Of arm `?arm=`, class pair `?pair=3-5` and rule `?by=`; `?figure=KEY.csv`, `.png` or `.pdf` sends a figure as a
    file. POST makes a study of what the rule picks."""
    experiment = _visible(request, experiment_id)
    require(request.user, Action.VIEW_EXPERIMENT, experiment.release.study_id)
    assert isinstance(request.user, User)
    context: dict[str, Any] = {
        "experiment": experiment,
        "watermark": experiment.release.study.watermark,
        "n_withdrawn": n_withdrawn(experiment.release),
        "follow_ups": _follow_ups(request.user, experiment),
    }
    mixing = experiment.report.content.get("mixing") if hasattr(experiment, "report") else None
    if not mixing or not mixing["arms"]:
        if request.method == "POST":
            raise Conflict(_lacking(experiment))
        context["lacking"] = _lacking(experiment)
        return render(request, "training/mixed.html", context)
    arm = _one_of(request, "arm", mixing["arms"])
    told = mixing["arms"][arm]
    rule = _one_of(request, "by", told["rules"])
    pair = _pair(request, told["pairs"])
    figures = _figures(experiment, mixing, arm, pair)
    if wanted := request.GET.get("figure"):
        return _file(experiment, figures, wanted)
    kept = Kept(experiment.pk, mixing, arm)
    may_make = allowed(request.user, Action.CREATE_STUDY)
    form, status = None, 200
    most = told["n_answered"] // 2 if told["n_answered"] else told["n"] // 2
    if request.method == "POST":
        require(request.user, Action.CREATE_STUDY)
        form = FollowUpForm(request.POST, most=most)
        if form.is_valid():
            try:
                made = create_follow_up(experiment=experiment, asked=form.asked(), actor=request.user)
            except Invalid as error:
                form.refuse(error)
            except Conflict as error:
                form.add_error(None, error.message)
            else:
                return redirect("follow_up", follow_up_id=made.pk)
        status = 400
    elif may_make:
        form = FollowUpForm(most=most, initial=_usual(experiment, arm, rule, most))
    classes = experiment.image_set.classes
    context |= {
        "mixing": mixing,
        "arms": list(mixing["arms"]),
        "arm": arm,
        "told": told,
        "rules": [(name, RULES[name].partition(":")[0]) for name in told["rules"]],
        "rule": rule,
        "says": RULES[rule],
        "pair": pair,
        "few": _few(pair or next(iter(told["pairs"]), None)),
        "pairs": [
            (_key(one["pair"]), " / ".join(classes[i] for i in one["pair"]), one) for one in told["pairs"]
        ],
        "figures": [one.as_dict() for one in figures],
        "form": form,
        "query": (query := urlencode({"arm": arm, "by": rule, "pair": _key(pair["pair"]) if pair else ""})),
        "asked": f"{query}&figure=",
        **_listed(request, experiment, kept, rule, pair),
    }
    return render(request, "training/mixed.html", context, status=status)


def _follow_ups(person: User, experiment: Experiment) -> list[FollowUp]:
    mine = Study.objects.visible_to(person)
    return list(
        FollowUp.objects.filter(experiment=experiment, study__in=mine).select_related("study").order_by("-pk")
    )


def _lacking(experiment: Experiment) -> str:
    if not hasattr(experiment, "report"):
        return _("There is no report yet; it is written when the last run is finished.")
    if not experiment.config.get("holdout_mixes"):
        return _(
            "No mixed images were held out, so every model was trained on all of them and what it makes of them says "
            "nothing. Train again with a share of them held out (holdout_mixes, such as 0.2)."
        )
    if "mixing" not in experiment.report.content:
        return _(
            "The report was written by an earlier version and does not tell of single mixed images. Written anew, it "
            "does: see the page of the experiment."
        )
    return _("No seed has all its folds with predictions of mixed images of two classes.")


def _one_of(request: HttpRequest, name: str, known: Any) -> str:
    given = request.GET.get(name, "")
    return given if given in known else next(iter(known))


def _key(pair: list[int]) -> str:
    return f"{pair[0]}-{pair[1]}"


def _pair(request: HttpRequest, pairs: list[dict[str, Any]]) -> dict[str, Any] | None:
    return next((one for one in pairs if _key(one["pair"]) == request.GET.get("pair")), None)


def _figures(
    experiment: Experiment, mixing: dict[str, Any], arm: str, pair: dict[str, Any] | None
) -> list[Figure]:
    content = experiment.report.content
    source = cited(content)
    found = [first_seen(response_of_arms(mixing, source), ["people", *arms_first(content)])]
    shown = pair or next(iter(mixing["arms"][arm]["pairs"]), None)
    if shown is not None:
        found.append(response_of_pair(mixing, arm, shown, experiment.image_set.classes, source))
    return found


def _few(pair: dict[str, Any] | None) -> tuple[int, int] | None:
    """How many images the bands of a class pair rest on at a λ, the fewest and the most; None where none is few."""
    counts = [n for level in (pair or {}).get("levels", ()) for n in (level["n"], level["n_people"]) if n]
    return (min(counts), max(counts)) if counts and min(counts) < FEW_IMAGES else None


def _file(experiment: Experiment, figures: list[Figure], wanted: str) -> HttpResponse:
    key, _dot, extension = wanted.rpartition(".")
    figure = next((one for one in figures if one.key == key), None)
    if figure is None:
        raise NotFound(f"This page has no figure {key!r}.")
    watermark = experiment.release.study.watermark
    return figure_file(figure.as_dict(), f"experiment-{experiment.pk}-{key}", extension, watermark)


def _usual(experiment: Experiment, arm: str, rule: str, most: int) -> dict[str, Any]:
    """What the form begins with."""
    study = experiment.release.study
    number = FollowUp.objects.filter(experiment=experiment).count() + 1
    return {
        "title": study.title[:120],
        "slug": f"{study.slug[:44]}-again-{experiment.pk}-{number}",
        "n": min(USUAL_N, max(most, 1)),
        "answers": USUAL_ANSWERS,
        "arm": arm,
        "rule": rule,
    }


def _listed(
    request: HttpRequest, experiment: Experiment, kept: Kept, rule: str, pair: dict[str, Any] | None
) -> dict[str, Any]:
    """A page of the images that the rule puts first, of one class pair or of all."""
    try:
        order, score, parents = kept[f"order-{rule}"], kept[f"score-{rule}"], kept["classes"]
        if pair is not None:
            order = order[(np.sort(parents[order], axis=1) == pair["pair"]).all(axis=1)]
        page = Paginator(order, A_PAGE).get_page(request.GET.get("page"))
        places = np.asarray(page.object_list, np.int64)
        rows, share, answers = kept["rows"][places], kept["share"][places], kept["answers"][places]
        model = kept["model"][places]
        people = kept["people"][places] if "people" in kept else None
    except FileNotFoundError:
        return {"gone": GONE}
    table = experiment.release.opened.table("mixed_images").take(rows).to_pylist()
    found = MixedImage.objects.filter(
        pair__image_set=experiment.image_set_id, sha256__in=[row["sha256"] for row in table]
    ).select_related("pair")
    images = {image.key: image for image in found}
    classes = experiment.image_set.classes
    apart = np.zeros(len(places))
    if people is not None:
        seen = shares_of(people, parents[places, 0], parents[places, 1])
        apart = np.where(answers > 0, np.abs(seen - share), 0.0)
    return {
        "page": page,
        "n_swapped": int((apart > SWAPPED).sum()),
        "listed": [
            Row(
                images.get(row["key"]),
                (
                    (row["first_index"], classes[row["first_class"]]),
                    (row["second_index"], classes[row["second_class"]]),
                ),
                lambda_text(round(float(share[at]) * 10_000)),
                float(score[places[at]]),
                int(answers[at]),
                _said(model[at], classes),
                "" if people is None or not answers[at] else _said(people[at], classes),
                bool(apart[at] > SWAPPED),
            )
            for at, row in enumerate(table)
        ],
    }


def _said(p: Any, classes: list[str]) -> str:
    """The classes of a distribution [K] with their shares, the largest first: "cat 0.62, dog 0.30"."""
    order = [int(index) for index in np.argsort(-p, kind="stable") if p[index] >= NAMED]
    return ", ".join(f"{classes[index]} {p[index]:.2f}" for index in order[:4])


def _visible(request: HttpRequest, experiment_id: int) -> Experiment:
    assert isinstance(request.user, User)
    return get_object_or_404(Experiment.objects.visible_to(request.user).with_report(), pk=experiment_id)
