"""The map of a model's features: which images are on it, how it is read, and what the page draws it from. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilmix.core.softlabels.base import Floats
from hilmix.figures import Cell, Figure, Series, Table

if TYPE_CHECKING:
    from training.evaluation.explain.projections import Projection, Projections

Ints = NDArray[np.int64]

PLAIN, MIXED = 2_000, 1_000  # images on the map at most: 3,000 points are drawn smoothly
LARGEST = 96  # pixels of a side that a picture of the map is kept with
_NAMES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
_DIGITS = 4  # of a coordinate: a thousandth of the plane is less than a pixel


def drawn(n: int, most: int, *, seed: int = 0) -> Ints:
    """Which `most` of `n` are on the map, in their order: the same for every run of an experiment."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:most])


def small(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pictures [n, H, W, C], every second, third, … pixel alone where a side would be longer than `LARGEST`."""
    step = -(-max(pictures.shape[1:3]) // LARGEST)
    return np.ascontiguousarray(pictures[:, ::step, ::step])


def entropies(shares: Floats) -> Floats:
    """Entropy of each row [n, K] in nats, float64 [n]; NaN where a share is not known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-np.where(shares == 0, 0.0, shares * np.log(shares)).sum(axis=1))


def points_of(
    *,
    plain: Ints,
    labels: Ints,
    plain_p: Floats,
    plain_people: Floats | None,
    rows: Ints,
    classes: Ints,
    lambdas: Floats,
    mixed_p: Floats,
    mixed_people: Floats | None,
) -> dict[str, list[Any]]:
    """What is known of each point, by name: the plain images, then the mixed ones.

    `kind` 0 or 1; `row` in the image set, or in the release; `first` the label, or the class of the first parent, and
    `second` that of the second; `said` the model's class, `sure` its share, `right` whether that is the label or one of
    the two classes; `share` what people give `first`, `entropy` of what they said in nats. None where not known.
    """
    people = [
        np.full((len(p), p.shape[1]), np.nan) if said is None else said
        for p, said in ((plain_p, plain_people), (mixed_p, mixed_people))
    ]
    p, said = np.concatenate([plain_p, mixed_p]), np.concatenate(people)
    first = np.concatenate([labels, classes[:, 0]])
    second = np.concatenate([labels, classes[:, 1]])
    answer = p.argmax(axis=1)
    n, m = len(plain), len(rows)
    place = np.arange(n + m)
    return {
        "kind": [0] * n + [1] * m,
        "row": [*plain.tolist(), *rows.tolist()],
        "first": first.tolist(),
        "second": [None] * n + classes[:, 1].tolist(),
        "lambda": [None] * n + _short(lambdas),
        "said": answer.tolist(),
        "sure": _short(p[place, answer]),
        "right": ((answer == first) | (answer == second)).astype(int).tolist(),
        "share": _short(said[place, first]),
        "entropy": _short(entropies(said)),
    }


def map_of(
    projections: Projections,
    points: dict[str, list[Any]],
    features: NDArray[np.floating[Any]],
    *,
    classes: Sequence[str],
    which: str,
    about: str,
    source: str,
) -> dict[str, Any]:
    """What the page shows: planes, points, and for each class how far the features keep it apart.

    `features` [n, D] are of the same images as `points`; the plain ones are the `which` (test, validation) images.
    """
    kind, labels = np.array(points["kind"]), np.array(points["first"])
    plain = kind == 0
    table, reading = _kept_apart(features[plain], labels[plain], points, classes, which)
    return {
        "title": "Map of what the model makes of images",
        "definition": f"{about} Each point is an image, placed by what goes into the model's last layer.",
        "reading": reading,
        "source": source,
        "table": asdict(table),
        "classes": list(classes),
        "which": which,
        "points": points,
        "planes": [_plane(key, one) for key, one in sorted(projections.made.items(), key=_first)],
        "not_made": dict(projections.not_made),
    }


def _first(item: tuple[str, Projection]) -> int:
    return ("tsne", "umap", "pca").index(item[0])


def _plane(key: str, one: Projection) -> dict[str, Any]:
    manifest = one.manifest
    told = f"{manifest.definition} ({manifest.source}). "
    if "variance_percent" in manifest.settings:
        told += f"They hold {manifest.settings['variance_percent']:.0f}% of the variance. "
    told += (
        f"Trustworthiness {one.trustworthiness:.2f} over {one.neighbours} neighbours: 1 where every neighbour on the "
        "plane is one in the features, about 0.5 where they are arranged by chance."
    )
    told += "".join(f" {caution[:1].upper()}{caution[1:]}." for caution in manifest.cautions)
    x, y = one.coordinates.T
    return {
        "key": key,
        "name": _NAMES[key],
        "told": told[:1].upper() + told[1:],
        "trustworthiness": one.trustworthiness,
        "manifest": manifest.as_json(),
        "x": _short(x),
        "y": _short(y),
    }


def _kept_apart(
    features: NDArray[np.floating[Any]],
    labels: Ints,
    points: dict[str, list[Any]],
    classes: Sequence[str],
    which: str,
) -> tuple[Table, str]:
    """Of the plain images: how many of the nearest in the features are of the same class, and of which class are the
    most of the others; as a table by class, and as a sentence."""
    from sklearn.neighbors import NearestNeighbors

    k = min(10, len(labels) - 1)
    near = (
        NearestNeighbors(n_neighbors=k + 1, n_jobs=1)
        .fit(features)
        .kneighbors(return_distance=False, n_neighbors=k)
    )
    theirs = labels[near]
    right = np.array(points["right"][: len(labels)], dtype=float)
    entropy = np.array(points["entropy"][: len(labels)], dtype=float)
    rows: list[tuple[Cell, ...]] = []
    pairs: dict[tuple[str, str], float] = {}
    for number, name in enumerate(classes):
        own = labels == number
        if not own.any():
            continue
        counts = np.bincount(theirs[own].ravel(), minlength=len(classes)) / (own.sum() * k)
        other = int(np.where(np.arange(len(classes)) == number, -1, counts).argmax())
        pairs[name, classes[other]] = float(counts[other])
        people = entropy[own][np.isfinite(entropy[own])]
        rows.append((
            name, int(own.sum()), float(right[own].mean()), float(counts[number]), classes[other],
            float(counts[other]), float(people.mean()) if len(people) else None,
        ))  # fmt: skip
    of_same = float((theirs == labels[:, None]).mean())
    (name, other_name), share = max(pairs.items(), key=lambda item: item[1])
    columns = (
        "Class", "Images here", "Right", f"Of the {k} nearest: same class", "Most of the others", "Their share",
        "Entropy of people, nats",
    )  # fmt: skip
    reading = (
        f"Of the {k} images nearest to a {which} image in the features, {100 * of_same:.0f}% have its class; most "
        f"mixed up is {name} with {other_name} ({100 * share:.0f}%)."
    )
    return Table(f"{which.capitalize()} images of the map, by class", columns, tuple(rows)), reading


def plane_figure(content: Mapping[str, Any], key: str) -> Figure | None:
    """A plane of the stored map as a figure for paper, coloured by class, with all points in its table; None where
    there is no such plane."""
    plane = next((one for one in content["planes"] if one["key"] == key), None)
    if plane is None:
        return None
    points, classes = content["points"], content["classes"]
    series = [
        Series(f"{name}", tuple((x, y) for x, y in _of(plane, points, 0, number)), number)
        for number, name in enumerate(classes)
    ]
    columns = ("plane x", "plane y", *points)
    rows = zip(plane["x"], plane["y"], *points.values(), strict=True)
    return Figure(
        f"map_{key}",
        "scatter",
        f"{content['title']}: {plane['name']}, {content['which']} images",
        f"{content['definition']} {plane['told']}",
        "no unit",
        "no unit",
        tuple(one for one in series if one.points),
        Table("All points", columns, tuple(tuple(row) for row in rows)),
        content["source"],
        reading=content["reading"],
    )


def _of(
    plane: Mapping[str, Any], points: Mapping[str, Any], kind: int, number: int
) -> list[tuple[float, float]]:
    known = zip(plane["x"], plane["y"], points["kind"], points["first"], strict=True)
    return [(x, y) for x, y, of, first in known if of == kind and first == number]


def _short(values: Floats) -> list[float | None]:
    """Numbers as JSON has them, with few digits; None for what is not known."""
    return [None if np.isnan(value) else float(f"{value:.{_DIGITS}g}") for value in values]
