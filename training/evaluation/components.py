"""Where the uncertainty of a difference comes from: the images it was measured on and the seeds that were trained.

Images and seeds are *crossed* (every trained model sees every image), so neither alone says how sure a mean is. A
metric is brought as `Terms` (it is a mean over images) or as `Drawn` (it is not, as AUROC, F1, a correlation);
both give the same three variances. For a mean they are what resampling images and seeds would come to with infinitely
many draws, in closed form; for the rest images are resampled, the same draws for every seed and both arms. No verdicts
here: see `inference`.

Source: two-way random effects (Scheffé, *The Analysis of Variance*, 1959, ch. 7); Owen, "The pigeonhole bootstrap",
Annals of Applied Statistics 1, 2007, of what crossed resampling estimates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from training.evaluation.intervals import DRAWS, Figures, image_weights

Floats = NDArray[np.float64]

ENOUGH = 0.9  # share of the draws in which a metric must be defined
LEAST_DRAWS = 100


@dataclass(frozen=True)
class Components:
    """A mean over S seeds and N images, and what its variance is made of, in squares of the metric's unit.

    In the model d_si = μ + a_s + b_i + e_si the fields estimate, for the mean over both:
    `of_seeds` σ_a²/S + σ_e²/SN, the variance among seeds' values / S (0 for one seed); `of_images` σ_b²/N + σ_e²/SN,
    the variance when these models are judged on other images; `of_both` σ_e²/SN, which both of them hold.
    `of_people`: what drawing other participants adds, with its degrees of freedom `people_df` (0 where they were not
    resampled).
    """

    mean: float
    n_seeds: int
    n_images: int
    of_seeds: float
    of_images: float
    of_both: float
    of_people: float = 0.0
    people_df: int = 0

    def variance(self, seeds: int | None = None) -> float:
        """Variance of the mean for other seeds, images (and people); with `seeds`, if so many had been trained.

        `of_seeds + of_images − of_both`, never below the larger of the two, as estimates of nothing may be negative.
        """
        by_seeds, by_images, both = self._at(seeds or self.n_seeds)
        return max(by_seeds + by_images - both, by_seeds, by_images) + self.of_people

    def freedom(self, seeds: int | None = None) -> float:
        """Degrees of freedom of that variance (Satterthwaite, Biometrics Bulletin 2, 1946), at least those of its least
        known part."""
        n_seeds = seeds or self.n_seeds
        by_seeds, by_images, both = self._at(n_seeds)
        least = max(n_seeds - 1, 1)
        parts = by_seeds**2 / least + by_images**2 / (self.n_images - 1)
        parts += both**2 / (least * (self.n_images - 1))
        if self.people_df:
            parts += self.of_people**2 / self.people_df
            least = min(least, self.people_df)
        return max(self.variance(seeds) ** 2 / parts, least) if parts else float(least)

    def _at(self, seeds: int) -> tuple[float, float, float]:
        """The three variances of a mean over `seeds` seeds instead of those trained."""
        share = self.n_seeds / seeds
        of_any_model = max(self.of_images - self.of_both, 0.0)  # σ_b²/N: no further seed makes it smaller
        return self.of_seeds * share, of_any_model + self.of_both * share, self.of_both * share


@dataclass(frozen=True, eq=False)
class Terms:
    """A metric that is a mean over images: `terms` float64 [S, N], what image i adds under seed s.

    Right or wrong for accuracy, −Σ q log p̂ for cross-entropy, Σ (p̂ − q)² for Brier. S ≥ 1, N ≥ 2, all finite.
    """

    terms: Floats

    def __post_init__(self) -> None:
        if self.terms.ndim != 2 or self.terms.shape[0] < 1 or self.terms.shape[1] < 2:
            raise DataError(
                f"the terms of a metric are one row a seed over two or more images, not {_shape(self.terms)}"
            )
        _refuse_not_finite(self.terms)

    @property
    def values(self) -> Floats:
        """The metric of each seed: float64 [S]."""
        return np.asarray(self.terms.mean(axis=1, dtype=np.float64))

    @property
    def n_images(self) -> int:
        return self.terms.shape[1]

    def minus(self, other: Measured) -> Terms:
        """Seed by seed and image by image, self − other."""
        if not isinstance(other, Terms) or other.terms.shape != self.terms.shape:
            raise DataError(_unlike(self, other))
        return Terms(self.terms.astype(np.float64) - other.terms)

    def resampled(self, draws: int, seed: int) -> Floats:
        """The metric of each seed on each draw of images: float64 [draws, S]."""
        blocks = [weights @ self.terms.T for weights in image_weights(self.n_images, draws, seed)]
        return np.concatenate(blocks) / self.n_images

    def components(self) -> Components:
        """The three variances from the mean squares of a two-way layout."""
        d = self.terms.astype(np.float64)
        seeds, images = d.shape
        mean, by_seed, by_image = d.mean(), d.mean(axis=1), d.mean(axis=0)
        of_images = np.square(by_image - mean).sum() / (images - 1) / images
        if seeds == 1:
            return Components(float(mean), 1, images, 0.0, float(of_images), 0.0)
        of_seeds = np.square(by_seed - mean).sum() / (seeds - 1) / seeds
        rest = np.square(d - by_seed[:, None] - by_image + mean).sum() / ((seeds - 1) * (images - 1))
        return Components(
            float(mean), seeds, images, float(of_seeds), float(of_images), float(rest / (seeds * images))
        )


@dataclass(frozen=True, eq=False)
class Drawn:
    """A metric that is no mean over images: `values` float64 [S] of each seed on all `n_images` images, and `draws`
    float64 [B, S], the same on B draws of images, which are shared by seeds and arms (see `measured`); NaN where it is
    undefined, in at most a tenth of the draws, which are left out."""

    values: Floats
    draws: Floats
    n_images: int

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.draws.ndim != 2 or self.draws.shape[1:] != self.values.shape:
            raise DataError(
                f"draws must be one row a draw, one column a seed: {_shape(self.draws)} for {len(self.values)} seeds"
            )
        if len(self.draws) < LEAST_DRAWS or self.n_images < 2:
            raise DataError(
                f"a metric that is no mean needs at least {LEAST_DRAWS} draws of two or more images"
            )
        _refuse_not_finite(self.values)
        if np.isfinite(self.draws).all(axis=1).mean() < ENOUGH:
            raise DataError(
                "a metric is undefined in more than a tenth of the draws of images: there are too few images of a "
                "class; judge a metric that is a mean over images instead"
            )

    def minus(self, other: Measured) -> Drawn:
        """Seed by seed and draw by draw, self − other."""
        if (
            not isinstance(other, Drawn)
            or other.draws.shape != self.draws.shape
            or other.n_images != self.n_images
        ):
            raise DataError(_unlike(self, other))
        return Drawn(self.values - other.values, self.draws - other.draws, self.n_images)

    def resampled(self, draws: int, seed: int) -> Floats:
        """The draws that were brought, which must have been made with these arguments; only their number tells."""
        if draws != len(self.draws):
            raise DataError(f"the metric was measured on {len(self.draws)} draws of images, not on {draws}")
        return self.draws

    def components(self) -> Components:
        """The three variances: among seeds' values, among draws of the mean over seeds, and of what remains.

        The centre is the metric on all images. What has a bias in small samples keeps it, and a difference of two
        does unless both have the same: calibration errors have not, and are not brought (`resampling`).
        """
        seeds = len(self.values)
        draws = self.draws[np.isfinite(self.draws).all(axis=1)]
        mean_of_draw = draws.mean(axis=1)
        of_images = float(mean_of_draw.var(ddof=1))
        if seeds == 1:
            return Components(float(self.values[0]), 1, self.n_images, 0.0, of_images, 0.0)
        rest = (draws - mean_of_draw[:, None]).var(axis=0, ddof=1).sum() / (seeds - 1) / seeds
        of_seeds = float(self.values.var(ddof=1)) / seeds
        return Components(float(self.values.mean()), seeds, self.n_images, of_seeds, of_images, float(rest))


Measured = Terms | Drawn


def measured(
    models: Sequence[Callable[[Floats], Figures]], n_images: int, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Drawn]:
    """Measure figures that are no means over images, of every seed's model on the same draws of images.

    `models` holds one function a seed: image weights float64 [D, N] → arrays [D] by name, NaN where undefined, as
    `intervals.bootstrap` takes it. The same `n_images`, `draws` and `seed` give the same draws: use them for both arms.
    """
    if not models or n_images < 2:
        raise DataError("figures are measured of one or more models on two or more images")
    found = on_draws(models, n_images, draws, seed)
    return {key: Drawn(values, drawn, n_images) for key, (values, drawn) in found.items()}


def on_draws(
    models: Sequence[Callable[[Floats], Figures]], n_images: int, draws: int, seed: int
) -> dict[str, tuple[Floats, Floats]]:
    """Each figure that all S models have on all images [S], and on each draw of images [draws, S]; NaN where
    undefined."""
    values = [model(np.ones((1, n_images))) for model in models]
    drawn: dict[str, list[Floats]] = {key: [] for key in values[0] if all(key in one for one in values)}
    for weights in image_weights(n_images, draws, seed):
        blocks = [model(weights) for model in models]
        for key, into in drawn.items():
            into.append(np.stack([block[key] for block in blocks], axis=1))
    return {
        key: (np.array([one[key][0] for one in values]), np.concatenate(blocks))
        for key, blocks in drawn.items()
    }


def _refuse_not_finite(values: Floats) -> None:
    if not np.isfinite(values).all():
        raise DataError(
            "a metric is not finite for some image or seed: clip probabilities of 0 before the logarithm, and leave "
            "out a metric that is undefined for these images"
        )


def _shape(values: Floats) -> str:
    return " × ".join(map(str, values.shape)) or "a number"


def _unlike(one: Measured, other: Measured) -> str:
    shapes = [
        _shape(it.terms) + " terms" if isinstance(it, Terms) else _shape(it.draws) + " draws"
        for it in (one, other)
    ]
    return (
        f"two arms are compared on the same seeds and images (and draws), but one has {shapes[0]}, the other "
        f"{shapes[1]}: bring the seeds that both have, in the same order"
    )
