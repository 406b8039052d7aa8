"""The diagnosis of an experiment: every symptom with its threshold, cause and remedy, and what was found where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import resolve, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from hilmix.accounts.models import User
from hilmix.errors import NotFound
from hilmix.hub.downloads import figure_file
from hilmix.hub.withdrawn import n_withdrawn
from training.choices.services import rule_notes, see_test, unfold
from training.experiments.models import Experiment
from training.reports.diagnosis.told import OF_EXPERIMENT, Shown, Symptom, summary, symptoms_of
from training.reports.tables import is_first_format
from training.runs.models import Run


@dataclass(frozen=True)
class Row:
    """Where a symptom is found: each seed with the address of its run's page, "" for a run that is gone."""

    shown: Shown
    seeds: list[tuple[int, str]]


@dataclass(frozen=True)
class Finding:
    """A symptom that was found, as the page shows it; a folded one has no rows and no figure. `drawn`
    is the run in the figure and its address. What is so of the whole experiment has `said` instead of rows."""

    symptom: Symptom
    rows: list[Row]
    figure: dict[str, Any] | None = None
    drawn: tuple[str, str] = ("", "")
    more: tuple[str, str] = ("", "")
    said: str = ""


@require_safe
def diagnosis_page(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """`?test=shown` shows evidence and figures of test images before an arm is chosen, which is written down;
    `?figure=RULE.csv`, `.png` or `.pdf` sends a figure as a file."""
    assert isinstance(request.user, User)
    visible = Experiment.objects.visible_to(request.user).with_report()
    experiment = get_object_or_404(visible, pk=experiment_id)
    context: dict[str, Any] = {
        "experiment": experiment,
        "watermark": experiment.release.study.watermark,
        "n_withdrawn": n_withdrawn(experiment.release),
    }
    content = experiment.report.content if hasattr(experiment, "report") else None
    if content is None or is_first_format(content):
        context["lacking"] = (
            _("There is no report yet; it is written when the last run is finished.")
            if content is None
            else _("An earlier version wrote this report, and looked for no symptoms. Write it anew.")
        )
        return render(request, "training/diagnosis.html", context)
    drawn = content.get("diagnosis_figures", {})
    if wanted := request.GET.get("figure"):
        return _file(request, experiment, symptoms_of(content), drawn, wanted)
    asked = request.GET.get("test") == "shown"
    opening = unfold(experiment=experiment, actor=request.user, asked=asked, by="the page of diagnosis")
    symptoms = symptoms_of(content, with_test=opening.shows)
    runs = _addresses(experiment)
    findings = [_finding(one, drawn.get(one.rule), runs, experiment) for one in symptoms if one.is_found]
    context |= {
        "content": content,
        "opening": opening,
        "summary": summary(symptoms),
        "symptoms": symptoms,
        "findings": findings,
        "any_folded": any(one.folded for one in symptoms),
        "figures": [one.figure for one in findings if one.figure],
        "old": "diagnosis_figures" not in content,
    }
    return render(request, "training/diagnosis.html", context)


def _finding(
    symptom: Symptom, drawn: dict[str, Any] | None, runs: dict[tuple[str, int], str], experiment: Experiment
) -> Finding:
    rows = [Row(one, [(seed, runs.get((one.arm, seed), "")) for seed in one.seeds]) for one in symptom.shown]
    said = ""
    if symptom.rule in OF_EXPERIMENT and len({row.shown.evidence for row in rows}) == 1:
        rows, said = [], rows[0].shown.evidence
    more = ("", "")
    if symptom.rule == "robustness_ignored":
        more = (
            _("What was not measured cannot be drawn; what was is on the page of robustness"),
            reverse("robustness", args=[experiment.pk]),
        )
    elif symptom.rule == "fails_on_mixed":
        more = _("Image by image: Mixed images"), reverse("mixing", args=[experiment.pk])
    if symptom.folded or drawn is None:
        return Finding(symptom, rows, more=more, said=said)
    of = ("", "")
    if drawn["arm"] is not None:
        named = f"{drawn['arm']}, {_('seed')} {drawn['seed']}"
        of = named, runs.get((drawn["arm"], drawn["seed"]), "")
    return Finding(symptom, rows, drawn["figure"], of, more, said)


def _addresses(experiment: Experiment) -> dict[tuple[str, int], str]:
    """The page of each compared run, by arm and seed."""
    runs = Run.objects.filter(arm__experiment=experiment, fold=0, candidate=0)
    return {
        (arm, seed): reverse("run", args=[pk])
        for pk, arm, seed in runs.values_list("pk", "arm__name", "seed")
    }


def _file(
    request: HttpRequest, experiment: Experiment, symptoms: list[Symptom], drawn: dict[str, Any], wanted: str
) -> HttpResponse:
    rule, _dot, extension = wanted.rpartition(".")
    symptom = next((one for one in symptoms if one.rule == rule), None)
    if symptom is None or rule not in drawn:
        raise NotFound(f"This page has no figure {rule!r}.")
    figure = drawn[rule]["figure"]
    if symptom.of_test:
        see_test(experiment=experiment, actor=request.user, by=f"the figure {rule!r} of the diagnosis")
        figure = {**figure, "source": "; ".join([figure["source"], *rule_notes(experiment, short=True)])}
    images = experiment.image_set.open().images
    pictures = {
        picture["address"]: images[resolve(picture["address"]).kwargs["index"]]
        for item in figure["items"]
        for picture in item["images"]
        if extension != "csv"
    }
    name = f"experiment-{experiment.pk}-diagnosis-{rule}"
    return figure_file(figure, name, extension, experiment.release.study.watermark, pictures)
