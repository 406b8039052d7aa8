"""Features drawn on a plane: PCA, t-SNE and, where it is installed, UMAP, each with its trustworthiness. No torch.

t-SNE and UMAP keep neighbours, not distances: sizes of clusters and gaps between them mean nothing. The
trustworthiness (Venna & Kaski 2001) says how far even the neighbours can be believed: 1 where every neighbour on the
plane is one in the features, about 0.5 where the plane is a random arrangement.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from threadpoolctl import threadpool_limits

from hilmix.core.errors import DataError
from training.evaluation.explain.manifest import Manifest, libraries

FEWEST, MOST = 10, 5_000  # images; t-SNE and trustworthiness grow with the square of them
_KEPT = 50  # principal components that t-SNE and UMAP start from
_NEIGHBOURS = 10  # of trustworthiness, or fewer where there are few images
_NO_UMAP = "UMAP is not installed; pip install umap-learn adds it (extra umap)"

Plane = tuple[NDArray[np.float64], dict[str, str | int | float]]  # coordinates and settings


@dataclass(frozen=True)
class Projection:
    """Images on a plane: `coordinates` float64 [N, 2], and how far their neighbourhoods can be trusted (0–1).

    Trustworthiness is over the `neighbours` nearest in Euclidean distance, against the features as given.
    """

    coordinates: NDArray[np.float64]
    trustworthiness: float
    neighbours: int
    manifest: Manifest


@dataclass(frozen=True)
class Projections:
    """The projections made, by method, and of each that was not made why."""

    made: dict[str, Projection]
    not_made: dict[str, str] = field(default_factory=dict)


def project(
    features: NDArray[np.floating[Any]],
    *,
    seed: int,
    methods: tuple[str, ...] = ("pca", "tsne", "umap"),
) -> Projections:
    """Features [N, D] of 10 to 5,000 images by each of `methods`; the same seed gives the same planes.

    Some 20 seconds for 3,000 images, with UMAP up to 100 more: for a job, not for a request. Raises `DataError` for
    features that cannot be projected.
    """
    _check(features, methods)
    values = np.asarray(features, dtype=np.float64)
    neighbours = min(_NEIGHBOURS, (len(values) - 1) // 2)
    made, not_made = {}, {}
    # One thread: two sum in another order, and t-SNE makes quite another plane of a last bit.
    with threadpool_limits(1):
        components = min(_KEPT, *values.shape)
        reduced = PCA(components, svd_solver="full").fit(values)
        kept = reduced.transform(values)
        for method in methods:
            if method == "umap" and importlib.util.find_spec("umap") is None:
                not_made[method] = _NO_UMAP
                continue
            how, definition, source, packages = _METHODS[method]
            plane, settings = how(kept, seed)
            if method == "pca":
                settings["variance_percent"] = float(100 * reduced.explained_variance_ratio_[:2].sum())
            made[method] = Projection(
                coordinates=plane,
                trustworthiness=float(trustworthiness(values, plane, n_neighbors=neighbours)),
                neighbours=neighbours,
                manifest=Manifest(
                    method=method,
                    definition=definition,
                    source=source,
                    settings={"n": len(values), "components": components, "seed": seed, **settings},
                    cautions=() if method == "pca" else _CAUTIONS,
                    libraries=libraries(*packages),
                ),
            )
    return Projections(made, not_made)


def _check(features: NDArray[np.floating[Any]], methods: tuple[str, ...]) -> None:
    unknown = [method for method in methods if method not in _METHODS]
    if unknown:
        raise DataError(f"there is no projection {unknown[0]!r}; choose among {', '.join(_METHODS)}")
    if features.ndim != 2 or features.shape[1] < 2:
        raise DataError(f"features must be [images, at least two numbers]; got {features.shape}")
    if not FEWEST <= len(features) <= MOST:
        raise DataError(
            f"{len(features):,} images cannot be projected: choose {FEWEST} to {MOST:,} of them, at random if need be"
        )
    if not np.isfinite(features).all():
        raise DataError(
            "features with values that are not finite cannot be projected; the model has diverged"
        )
    if not np.ptp(features, axis=0).any():
        raise DataError(
            "all images have the same features, so there is nothing to project; is the model trained?"
        )


def _pca(kept: NDArray[np.float64], _seed: int) -> Plane:
    return kept[:, :2], {}


def _tsne(kept: NDArray[np.float64], seed: int) -> Plane:
    perplexity = min(30.0, (len(kept) - 1) / 3)
    plane = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(kept)
    return np.asarray(plane, dtype=np.float64), {"perplexity": perplexity}


def _umap(kept: NDArray[np.float64], seed: int) -> Plane:
    neighbours = min(15, len(kept) - 1)
    umap = importlib.import_module("umap")
    plane = umap.UMAP(
        n_components=2, n_neighbors=neighbours, min_dist=0.1, random_state=seed, n_jobs=1
    ).fit_transform(kept)
    return np.asarray(plane, dtype=np.float64), {"n_neighbors": neighbours, "min_dist": 0.1}


_CAUTIONS = ("sizes of clusters and distances between them mean nothing; neighbours do",)
_METHODS: dict[str, tuple[Callable[[NDArray[np.float64], int], Plane], str, str, tuple[str, ...]]] = {
    "pca": (_pca, "the first two principal components", "Hotelling 1933", ("scikit-learn",)),
    "tsne": (
        _tsne,
        "t-SNE of the first 50 principal components, started from the first two",
        "van der Maaten & Hinton, JMLR 2008; van der Maaten, JMLR 2014",
        ("scikit-learn",),
    ),
    "umap": (
        _umap,
        "UMAP of the first 50 principal components",
        "McInnes, Healy & Melville 2018, arXiv 1802.03426",
        ("umap-learn",),
    ),
}
