"""Pages about taking a model away: which arm and why, its card, its weights."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.errors import Conflict, Invalid, NotFound
from hilmix.hub.withdrawn import n_withdrawn
from training.choices.cards import as_markdown, card_of, parts_of, weights_name
from training.choices.predicting import check_askable
from training.choices.services import LONGEST_REASON, choose_arm, n_seen, opened_to
from training.evaluation.values import BY_KEY
from training.experiments.models import Arm, Experiment
from training.reports.tables import ARROWS, choice_sentence, is_sure, share_words
from training.runs.keeping import WEIGHTS, hash_weights, weights_sha256
from training.runs.models import Run


@require_safe
def experiment_choice(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """What validation figures say of each arm, and the form that records a choice; then the choice."""
    assert isinstance(request.user, User)
    return _choice_page(request, _experiment(request.user, experiment_id), {})


@require_POST
def choose(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Record a choice; what is refused is said beside the field."""
    assert isinstance(request.user, User)
    experiment = _experiment(request.user, experiment_id)
    given = {"arm": request.POST.get("arm", ""), "reason": request.POST.get("reason", "")}
    try:
        choose_arm(experiment=experiment, **given, actor=request.user)
    except Conflict as refusal:
        messages.info(request, refusal.message)
    except Invalid as refusal:
        return _choice_page(request, experiment, refusal.fields)
    else:
        messages.success(request, _("The choice is recorded. All figures of the test images are open now."))
    return redirect("experiment_choice", experiment.pk)


@require_safe
def model_card(request: HttpRequest, experiment_id: int, ordinal: int) -> HttpResponse:
    """The card of an arm."""
    arm, card = _card(request, experiment_id, ordinal)
    context = {
        "experiment": arm.experiment,
        "arm": arm,
        "card": card,
        "parts": [one for one in parts_of(card) if one[0] != _("Weights")],
        "watermark": card["watermark"],
    }
    return render(request, "training/model_card.html", context)


@require_safe
def model_card_file(request: HttpRequest, experiment_id: int, ordinal: int, extension: str) -> HttpResponse:
    """The same as a file: Markdown or JSON."""
    arm, card = _card(request, experiment_id, ordinal)
    reply: HttpResponse
    if extension == "json":
        reply = JsonResponse(card, json_dumps_params={"indent": 2, "ensure_ascii": False})
    elif extension == "md":
        reply = HttpResponse(as_markdown(card), content_type="text/markdown; charset=utf-8")
    else:
        raise NotFound(_("A model card is offered as md and json."))
    name = f"model-card-{arm.experiment_id}-{arm.ordinal}.{extension}"
    reply["Content-Disposition"] = f'attachment; filename="{name}"'
    return reply


@require_safe
def run_weights(request: HttpRequest, run_id: int) -> FileResponse:
    """The weights of a finished run, as safetensors."""
    assert isinstance(request.user, User)
    return weights_file(run_seen(request.user, run_id))


def weights_file(run: Run) -> FileResponse:
    """The file of a run's weights; raises `Conflict` where there is none. Of weights whose hash was not kept when they
    were written it is kept now."""
    check_askable(run)
    if not weights_sha256(run):
        hash_weights(run)
    return FileResponse(
        (run.directory / WEIGHTS).open("rb"),
        as_attachment=True,
        filename=weights_name(run),
        content_type="application/octet-stream",
    )


def run_seen(person: User, run_id: int) -> Run:
    """The run of an experiment that this person may see; else there is none."""
    seen = Run.objects.filter(arm__experiment__in=Experiment.objects.visible_to(person))
    related = "arm__experiment__release__study", "arm__experiment__image_set"
    return get_object_or_404(seen.select_related(*related), pk=run_id)


def arm_seen(person: User, experiment_id: int, ordinal: int) -> Arm:
    """The arm at this place of an experiment that this person may see, with its runs; else there is none."""
    arms = Arm.objects.filter(experiment__in=Experiment.objects.visible_to(person), experiment=experiment_id)
    related = ("release__study", "image_set", "report", "choice__arm", "choice__chosen_by")
    arms = arms.select_related(*(f"experiment__{one}" for one in related)).prefetch_related("runs")
    return get_object_or_404(arms, ordinal=ordinal)


def _card(request: HttpRequest, experiment_id: int, ordinal: int) -> tuple[Arm, dict[str, Any]]:
    assert isinstance(request.user, User)
    arm = arm_seen(request.user, experiment_id, ordinal)
    return arm, card_of(arm, opened_to(arm.experiment, request.user))


def _choice_page(request: HttpRequest, experiment: Experiment, errors: dict[str, list[str]]) -> HttpResponse:
    choice = getattr(experiment, "choice", None)
    context = {
        "experiment": experiment,
        "watermark": experiment.release.study.watermark,
        "n_withdrawn": n_withdrawn(experiment.release),
        "choice": choice,
        "opening": opened_to(experiment, request.user),
        "n_seen": n_seen(experiment),
        "may_choose": choice is None
        and hasattr(experiment, "report")
        and allowed(request.user, Action.CHOOSE_ARM, experiment.release.study_id),
        "errors": errors,
        "given": request.POST,
        "longest": LONGEST_REASON,
        **_suggestion(experiment),
    }
    return render(request, "training/choice.html", context, status=400 if errors else 200)


def _suggestion(experiment: Experiment) -> dict[str, Any]:
    """What the report stores of the arms on validation images, the best first; arms that are not ranked come last."""
    arms = {arm.name: arm for arm in experiment.arms.all()}
    if not hasattr(experiment, "report"):
        return {"suggestion": None, "rows": [{"arm": arm} for arm in arms.values()]}
    content = experiment.report.content
    found = content.get("choice") or {}
    order = [name for name in found.get("order", ()) if name in arms] if found.get("arm") else []
    rows: list[dict[str, Any]] = [
        {
            "arm": arms[name],
            "value": found["values"][name],
            "first": found["first_share"][name],
            "first_percent": round(100 * found["first_share"][name]),
            "first_words": share_words(found["first_share"][name]),
        }
        for name in order
    ]
    rows += [{"arm": arm} for name, arm in arms.items() if name not in order]
    metric = BY_KEY[found["metric"]] if order else None
    return {
        "suggestion": found,
        "sentence": choice_sentence(found) if found else "",
        "sure": bool(order) and is_sure(found["first_share"][order[0]]),
        "ceilings": [arm.name for arm in arms.values() if arm.settings.get("base_labels") == "human"],
        "metric": metric and metric.name + ARROWS[metric.higher_is_better],
        "definition": metric and metric.definition,
        "rows": rows,
    }


def _experiment(person: User, experiment_id: int) -> Experiment:
    related = ("release__study", "image_set", "report", "choice__arm", "choice__chosen_by")
    seen = Experiment.objects.visible_to(person).select_related(*related).prefetch_related("arms")
    return get_object_or_404(seen, pk=experiment_id)
