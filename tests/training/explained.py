"""An explanation of a run as its job would leave it, of made-up predictions, features and heat; without torch."""

from __future__ import annotations

import numpy as np
from django.urls import reverse

from training.evaluation.explain.manifest import HeatMaps, Manifest
from training.evaluation.explain.projections import project
from training.explanations import galleries, maps
from training.explanations.models import Explanation
from training.explanations.services import keep_explanation
from training.runs.models import Run

SIDE, PLAIN, MIXED, CLASSES = 8, 20, 12, 3


def mixed(n: int = MIXED) -> galleries.Mixed:
    rng = np.random.default_rng(0)
    return galleries.Mixed(
        rows=np.arange(n),
        lambdas=rng.choice([0.25, 0.5, 0.75], n),
        classes=np.stack([np.arange(n) % CLASSES, (np.arange(n) + 1) % CLASSES], axis=1),
        parents=np.stack([np.arange(n), np.arange(n) + 1], axis=1),
        p=rng.dirichlet(np.ones(CLASSES), n),
        people=np.where(np.arange(n) % 4 == 3, np.nan, rng.random(n)),
    )


def heat(n: int, m: int = 2, method: str = "grad_cam") -> HeatMaps:
    rng = np.random.default_rng(1)
    manifest = Manifest(method, "what it is", "who said so", {"cells": "4×4", "layer": "11"}, ("mind this",))
    values = rng.random((n, m, SIDE, SIDE)).astype(np.float32)
    return HeatMaps(values, rng.random((n, m)), (4, 4), manifest)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (*shape, SIDE, SIDE, 3), dtype=np.uint8)


def map_content(classes: list[str], plain: int = PLAIN, n_mixed: int = MIXED) -> dict:
    """A map of so many plain and mixed images."""
    rng = np.random.default_rng(3)
    images = mixed(n_mixed)
    points = maps.points_of(
        plain=np.arange(plain),
        labels=np.arange(plain) % CLASSES,
        plain_p=rng.dirichlet(np.ones(CLASSES), plain),
        plain_people=rng.dirichlet(np.ones(CLASSES), plain),
        rows=images.rows,
        classes=images.classes,
        lambdas=images.lambdas,
        mixed_p=images.p,
        mixed_people=None,
    )
    features = rng.normal(size=(plain + n_mixed, 5))
    planes = project(features, seed=0, methods=("pca", "tsne"))
    return maps.map_of(
        planes, points, features, classes=classes, which="validation", about="All.", source="here"
    )


def explained(run: Run, classes: list[str], plain: int = PLAIN, n_mixed: int = MIXED) -> Explanation:
    """The run's explanation with one gallery and a map, and its pictures."""
    album = galleries.Album(lambda place: reverse("run_explanation_picture", args=[run.pk, "gallery", place]))
    some = mixed().of(np.arange(4))
    figure = galleries.mixed_gallery(
        some, 2, pixels(4), pixels(4, 2), heat(4), np.zeros((4, 2)), album,
        classes=classes, about="Some.", source="here",
    )  # fmt: skip
    folder = run.directory / "explain"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "gallery.npy", np.stack(album.pictures))
    np.save(folder / "map.npy", pixels(plain + n_mixed))
    content = {
        "format": "hilmix-explanation/1",
        "watermark": run.arm.experiment.release.study.watermark,
        "figures": [figure.as_dict()],
        "map": map_content(classes, plain, n_mixed),
        "notes": [],
        "provenance": [["run", run.title]],
    }
    return keep_explanation(run=run, content=content)
