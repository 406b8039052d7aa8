"""Two arms of an experiment side by side under every change of the test images, and the changed images themselves."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import resolve, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from hilmix.accounts.models import User
from hilmix.core.mixing import to_png
from hilmix.errors import NotFound
from hilmix.figures import Figure
from hilmix.hub.downloads import figure_file
from hilmix.hub.withdrawn import n_withdrawn
from training.choices.services import rule_notes, unfold
from training.experiments.models import Experiment
from training.reports import robust_tables
from training.reports.robustness import storing, words
from training.reports.robustness.augmented import effects_of, got_worse, strengths_of
from training.reports.robustness.changed import pixels_of
from training.reports.robustness.compared import Compared
from training.reports.robustness.figures import arms_heat, figures_of, galleries_of
from training.reports.robustness.pair import Pair, changes_of, pair_of
from training.reports.tables import cited

MOST_SEVERE = 5


@require_safe
def robustness_page(request: HttpRequest, experiment_id: int) -> HttpResponse:
    """Arm `?a=` beside arm `?b=`, `?of=` the change whose severities are drawn, `?severity=` that of the figure of all
    arms; `?figure=KEY.csv`, `.png` or `.pdf` sends a figure as a file."""
    experiment = _visible(request, experiment_id)
    context: dict[str, Any] = {
        "experiment": experiment,
        "watermark": experiment.release.study.watermark,
        "n_withdrawn": n_withdrawn(experiment.release),
    }
    if not hasattr(experiment, "report"):
        context["lacking"] = _("There is no report yet; it is written when the last run is finished.")
        return render(request, "training/robustness.html", context)
    content = experiment.report.content
    told: dict[str, Any] = content.get("robustness") or {"arms": [], "groups": [], "reference": ""}
    wanted = request.GET.get("figure")
    if told["arms"]:
        asked = bool(wanted) or request.GET.get("test") == "shown"
        context["opening"] = unfold(
            experiment=experiment, actor=request.user, asked=asked, by="the page of robustness"
        )
        if not context["opening"].shows:
            return render(request, "training/robustness.html", context)
    context |= {"content": content, "not_assessed": _not_assessed(told)}
    context["attacks"] = robust_tables.attacks(told)
    compared = storing.read(experiment.pk, told["compared"]) if told.get("compared") else None
    if compared is None or len(compared.arms) < 2:
        context["lacking"] = _lacking(told, compared)
        return render(request, "training/robustness.html", context)
    pair = _asked_pair(request, experiment, told, compared)
    of, severity = _asked_change(request, pair), _asked_severity(request)
    source = "; ".join([cited(content), *(rule_notes(experiment, short=True) if wanted else ())])
    figures = [
        *figures_of(pair, told["groups"], of, source),
        *arms_heat(compared, changes_of(told, compared), severity, source),
        *galleries_of(pair, lambda *which: _address(experiment, *which), source),
    ]
    if wanted:
        return _file(experiment, figures, wanted, content["watermark"])
    effects = effects_of(pair, strengths_of(content))
    chosen = {"a": pair.a, "b": pair.b, "of": of, "severity": severity}
    context |= {
        "pair": pair,
        "arms": compared.arms,
        "changes": list(pair.changes.values()),
        "of": of,
        "severity": severity,
        "severities": range(MOST_SEVERE + 1),
        "asked": f"{urlencode(chosen)}&figure=",
        "headline": words.headline(pair, effects),
        "scores": words.score_table(pair, told["groups"]),
        "definitions": words.definitions(told["reference"]),
        "notes": _notes(pair),
        "effects": words.effect_table(effects, simulated=pair.simulated) if effects else None,
        "worse": [] if pair.simulated else _worse(content, told, compared),
        "figures": [figure.as_dict() for figure in figures],
        "table": words.every_severity(pair),
    }
    return render(request, "training/robustness.html", context)


@require_safe
def robustness_image(
    request: HttpRequest, experiment_id: int, number: int, change: str, severity: int
) -> HttpResponse:
    """One image of the experiment's image set under a change, as the models were given it."""
    experiment = _visible(request, experiment_id)
    png = to_png(pixels_of(experiment, number, change, severity))
    return HttpResponse(png, content_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def _named(address: str) -> tuple[int, str, int]:
    """Number, change and severity of an image's address."""
    named = resolve(address).kwargs
    return named["number"], named["change"], named["severity"]


def _visible(request: HttpRequest, experiment_id: int) -> Experiment:
    assert isinstance(request.user, User)
    return get_object_or_404(Experiment.objects.visible_to(request.user).with_report(), pk=experiment_id)


def _asked_pair(
    request: HttpRequest, experiment: Experiment, told: dict[str, Any], compared: Compared
) -> Pair:
    """The two arms that are asked for, else the reference and the first other; of an arm with itself the next one."""
    first = told["reference"] if told["reference"] in compared.arms else compared.arms[0]
    a = request.GET.get("a", first)
    a = a if a in compared.arms else first
    others = [name for name in compared.arms if name != a]
    b = request.GET.get("b", others[0])
    b = b if b in others else others[0]
    simulated, classes = experiment.is_simulated, experiment.image_set.classes
    return pair_of(told, compared, a, b, simulated=simulated, classes=classes)


def _asked_change(request: HttpRequest, pair: Pair) -> str:
    """The change that is asked for, else the one under which the two lie farthest apart of those with severities."""
    if (asked := request.GET.get("of")) in pair.changes:
        return str(asked)
    several = [(place, one) for place, one in pair.whole() if len(pair.severities(one.key)) > 1]
    if not several:
        return next(iter(pair.changes))
    return max(several, key=lambda one: abs(float(pair.apart[one[0], 0])))[1].key


def _asked_severity(request: HttpRequest) -> int:
    """0 for all of them."""
    asked = request.GET.get("severity", "0")
    return int(asked) if asked.isascii() and asked.isdigit() and int(asked) <= MOST_SEVERE else 0


def _file(experiment: Experiment, figures: list[Figure], wanted: str, watermark: str) -> HttpResponse:
    key, _dot, extension = wanted.rpartition(".")
    figure = next((one for one in figures if one.key == key), None)
    if figure is None:
        raise NotFound(f"This page has no figure {key!r}.")
    pictures = {
        picture.address: pixels_of(experiment, *_named(picture.address))
        for item in figure.items
        for picture in item.images
        if extension != "csv"
    }
    name = f"experiment-{experiment.pk}-{key}"
    return figure_file(figure.as_dict(), name, extension, watermark, pictures)


def _address(experiment: Experiment, number: int, change: str, severity: int) -> str:
    return reverse("robustness_image", args=[experiment.pk, number, change, severity])


def _not_assessed(told: dict[str, Any]) -> list[str]:
    return [f"{arm['name']}: {arm['not_assessed']}." for arm in told["arms"] if "not_assessed" in arm]


def _notes(pair: Pair) -> list[str]:
    """What must be known of either arm's figures."""
    said: dict[str, list[str]] = {}
    for name in (pair.a, pair.b):
        for text in (*pair.arms[name].get("warnings", ()), *pair.arms[name].get("missing", ())):
            said.setdefault(text.rstrip("."), []).append(name)
    return [f"{', '.join(names)}: {text}." for text, names in said.items()]


def _lacking(told: dict[str, Any], compared: Compared | None) -> str:
    if compared is not None:
        return _("Only one arm was put through changes, so there is nothing to lay it beside.")
    if any("accuracy" in arm for arm in told["arms"]):
        return _(
            "The comparison of two arms is not in this report, which an earlier version wrote. Write it anew on the "
            "page of the experiment; nothing is trained for that."
        )
    return _(
        "No arm was put through changed test images. Name some with robustness in the configuration, as corruptions "
        "and geometric."
    )


def _worse(content: dict[str, Any], told: dict[str, Any], compared: Compared) -> list[str]:
    """Of every arm against the reference, what got worse although it was augmented for."""
    strengths, said = strengths_of(content), []
    for name in compared.arms:
        if name != told["reference"] and told["reference"] in compared.arms:
            pair = pair_of(told, compared, name, told["reference"], simulated=False)
            worse = [one for one in got_worse(effects_of(pair, strengths)) if one.arm == name]
            if worse:
                changes = ", ".join(f"{one.change.lower()} ({one.augmentation})" for one in worse)
                said.append(f"{name} breaks more often than {told['reference']} under: {changes}.")
    return said
