"""The galleries of a report on paper: which images they show, what model and people say of each, and their pixels.

All of it was stored by other jobs: near-duplicates and what broke with the report, mistakes with the description of one
run, maps with its explanation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.db.models import QuerySet
from django.urls import resolve, reverse
from numpy.typing import NDArray

from hilmix.errors import NotFound
from training.experiments.models import Experiment
from training.explanations.models import Explanation
from training.reports.models import RunReport
from training.reports.robustness import storing
from training.reports.robustness.changed import pixels_of
from training.reports.robustness.figures import galleries_of as galleries_of_pair
from training.reports.robustness.pair import pair_of
from training.reports.run import images
from training.reports.run.services import ORDERS
from training.reports.tables import cited
from training.runs import keeping
from training.runs.models import Run

GALLERY = "explain/gallery.npy"  # of a run, the pictures of its explanation
Galleries = list[dict[str, Any]]


def made_at(experiment: Experiment) -> list[list[int]]:
    """When what the galleries show of runs was made, by the files of each: an experiment with the state of its runs is
    asked for no more."""
    files = ORDERS, GALLERY
    runs = [run for arm in experiment.arms.all() for run in arm.runs.all()]
    return sorted([run.pk, *(_modified(run.directory / name) for name in files)] for run in runs)


def galleries_of(experiment: Experiment) -> Galleries:
    """The galleries as they are stored. Those of models are of the arm that was chosen, else of the one that validation
    images put first, else of the first."""
    content = experiment.report.content
    chosen = (
        experiment.choice.arm.name if hasattr(experiment, "choice") else content.get("choice", {}).get("arm")
    )
    found = [content.get("diagnosis_figures", {}).get("near_duplicate", {}).get("figure")]
    found += _broken(experiment, chosen)
    runs = {"run__arm__experiment": experiment, "run__fold": 0, "run__candidate": 0}
    for stored in (RunReport.objects.filter(**runs), Explanation.objects.filter(**runs)):
        found += _of_one_run(stored.order_by("run__arm__ordinal", "run__seed"), chosen)
    return [one for one in found if one and one["items"]]


def with_shares(galleries: Galleries, classes: Sequence[str]) -> Galleries:
    """The galleries of a run with both distributions of each image, where they are still on the disk."""
    return [
        {**one, "items": _with_shares(one, classes)}
        if "run" in one and one["key"] in images.titles()
        else one
        for one in galleries
    ]


def pixels_at(experiment: Experiment, address: str) -> NDArray[np.uint8] | None:
    """The picture that a browser would load from an address, uint8 [H, W, C]; None where it is there no more."""
    found = resolve(address)
    named: Mapping[str, Any] = found.kwargs
    try:
        if found.url_name == "parent_image":
            return np.asarray(experiment.image_set.open().images[named["index"]])
        if found.url_name == "robustness_image":
            return pixels_of(experiment, named["number"], named["change"], named["severity"])
        kept = keeping.map_array(Run(pk=named["run_id"]), f"explain/{named['album']}.npy")
        return None if kept is None else np.array(kept[named["place"]])
    except (IndexError, NotFound):
        return None


def _modified(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


def _of_one_run(stored: QuerySet[Any], chosen: str | None) -> Galleries:
    """The galleries of the first run of the arm called `chosen`, else of the first run."""
    named = list(stored.values_list("run_id", "run__arm__name", "run__seed"))
    if not named:
        return []
    run, arm, seed = next((one for one in named if one[1] == chosen), named[0])
    figures = stored.filter(run_id=run).values_list("content__figures", flat=True).get() or []
    return [
        {**figure, "run": run, "title": f"{figure['title']} ({arm}, seed {seed})"}
        for figure in figures
        if figure["kind"] == "gallery"
    ]


def _broken(experiment: Experiment, chosen: str | None) -> Galleries:
    """What either of two arms breaks and the other holds: the reference and the one called `chosen`, else another."""
    content = experiment.report.content
    told = content.get("robustness") or {}
    compared = storing.read(experiment.pk, told["compared"]) if told.get("compared") else None
    if compared is None or len(compared.arms) < 2:
        return []
    reference = told["reference"] if told["reference"] in compared.arms else compared.arms[0]
    others = [name for name in compared.arms if name != reference]
    other = chosen if chosen in others else others[0]
    classes = experiment.image_set.classes
    pair = pair_of(told, compared, reference, other, simulated=experiment.is_simulated, classes=classes)
    source = cited(content)
    figures = galleries_of_pair(
        pair, lambda *which: reverse("robustness_image", args=[experiment.pk, *which]), source
    )
    return [one.as_dict() for one in figures]


def _with_shares(figure: Mapping[str, Any], classes: Sequence[str]) -> list[dict[str, Any]]:
    run, items = Run(pk=figure["run"]), figure["items"]
    orders = keeping.map_array(run, ORDERS)
    if orders is None:
        return list(items)
    rows = [int(row) for row in orders[images.PLACES[figure["key"]]][: len(items)]]
    try:
        shown = images.shown(run, classes, rows)
    except NotFound:
        return list(items)
    return [
        {**item, "caption": images.taken(one.label, one.predicted), "shares": one.shares}
        for item, one in zip(items, shown, strict=True)
    ]
