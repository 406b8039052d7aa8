"""Mixed images that models were kept from: what people said of them, what they themselves reach, and what each arm's
models make of them, one a seed, in the shape that `inference` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.evaluation import people
from training.evaluation.answers import Answers
from training.evaluation.components import Measured, Terms
from training.evaluation.metrics import Floats, entropies, squared_distances
from training.evaluation.people import SPLITS, STRENGTHS, agreement, entropy_correlations
from training.evaluation.resampling import resampled

Ints = NDArray[np.int64]

CLEAR = 0.25  # |λ − ½| from which one parent leads


@dataclass(frozen=True, eq=False)
class MixedImages:
    """Mixed images that models are judged on, and by what: `rows` int64 [n], which of a release's they are, in
    ascending order; the classes of both parents, int64 [n]; the `share` of the first, float64 [n]; `labels` float64
    [n, K] from people's answers, NaN where nobody answered, and the single `answers` that these are the mean of. None
    where there are none, or where labels were made in another way."""

    rows: Ints
    first: Ints
    second: Ints
    share: Floats
    labels: Floats | None = None
    answers: Answers | None = None

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """Of which images somebody said something, bool [n]."""
        if self.labels is None:
            return np.zeros(len(self.rows), bool)
        return np.asarray(np.isfinite(self.labels).all(axis=1))

    @cached_property
    def unlike(self) -> NDArray[np.bool_]:
        """Whose parents are of two classes, bool [n]: of two images of one class λ says nothing."""
        return np.asarray(self.first != self.second)

    @cached_property
    def ceilings(self) -> dict[str, float]:
        """What one half of the people who answered an image reach against the other half, by metric, on images that
        two or more answered; empty where there are none. Mean over `SPLITS`.

        Squared distances and total variation are corrected to as many people against as many, by n of each image
        (squares fall with 1/n); correlations by Spearman and Brown. Cross-entropy, KL and top-1 agreement have no such
        law and stay: too high, and too low. A half is shrunk to the mean answer at its λ for cross-entropy, by the
        strength that predicts best.
        """
        if self.answers is None or not (self.answers.sizes > 1).any():
            return {}
        rng = np.random.default_rng(0)
        each = [self._one_split(self.answers, rng) for _ in range(SPLITS)]
        found = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
        for key in ("entropy_correlation_pearson", "entropy_correlation_spearman"):
            r = found.pop(key)
            if r > 0:
                found[key] = 2 * r / (1 + r)
        return found

    def _one_split(self, everybodys: Answers, rng: np.random.Generator) -> dict[str, float]:
        several = everybodys.sizes > 1
        answers = everybodys.only(several)
        left = answers.sizes // 2
        order = np.lexsort((rng.random(len(answers.images)), answers.images))
        starts = np.cumsum(answers.sizes) - answers.sizes
        is_first = np.zeros(len(order), np.float64)
        is_first[order] = np.arange(len(order)) - starts[answers.images[order]] < left[answers.images[order]]
        first, second = answers.weighted(is_first), answers.weighted(1 - is_first)
        predicted = self._shrunk(first, second, left, several)
        # Halves of a and b answers differ by σ²(1/a + 1/b), two panels of n by 2σ²/n.
        halves = 2 / answers.sizes / (1 / left + 1 / (answers.sizes - left))
        entropy = float(entropies(answers.means).mean())
        loss = float(_losses(predicted, second).mean())
        ones = np.ones((1, answers.n))
        correlations = entropy_correlations(entropies(first), entropies(second), ones)
        return {
            "human_cross_entropy": loss,
            "human_kl": loss - entropy,
            "human_brier": float((squared_distances(first, second) * halves).mean()),
            "human_total_variation": float((np.abs(first - second).sum(axis=1) / 2 * np.sqrt(halves)).mean()),
            "human_top1_agreement": float(agreement(first, second).mean()),
            **{key: float(value[0]) for key, value in correlations.items()},
        }

    def _shrunk(self, half: Floats, other: Floats, n: Ints, inside: NDArray[np.bool_]) -> Floats:
        """Predictions from `half`, the mean of `n` answers to each image: (n·half + s·r)/(n + s), r what is said on
        average of images of that λ, of their first class, their second, and any other."""
        first, second, classes = self.first[inside], self.second[inside], half.shape[1]
        rows, kinds = np.arange(len(half)), np.full(half.shape, 2)
        kinds[rows, second] = 1
        kinds[rows, first] = 0
        levels = np.unique(self.share[inside], return_inverse=True)[1]
        cells = 3 * levels[:, None] + kinds
        size = 3 * (int(levels.max()) + 1)
        sums, sizes = (
            np.bincount(cells.ravel(), half.ravel(), size),
            np.bincount(cells.ravel(), minlength=size),
        )
        # One further answer among all, spread evenly, keeps all above 0.
        usual = (sums / np.maximum(sizes, 1))[cells] + 1 / (classes * len(half))
        usual /= usual.sum(axis=1, keepdims=True)

        def at(strength: float) -> Floats:
            return np.asarray((n[:, None] * half + strength * usual) / (n[:, None] + strength))

        return at(min(STRENGTHS, key=lambda s: float(_losses(at(s), other).mean())))


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What an arm's models made of held-out mixed images: `log_p` float64 [S, n, K] of each of the `seeds`, in the
    order of `images`; `left_out` are seeds of which a fold is missing."""

    images: MixedImages
    seeds: tuple[int, ...]
    log_p: Floats
    left_out: tuple[int, ...] = ()

    @cached_property
    def measured(self) -> dict[str, dict[str, Measured]]:
        """By part, people and mixup, every figure by metric; none of fewer than two images."""
        images, found = self.images, dict[str, dict[str, Measured]]()
        if images.answered.sum() > 1:
            assert images.labels is not None
            q = images.labels[images.answered]
            means = {key: Terms(terms) for key, terms in self.terms(q).items()}
            found["people"] = {**means, **self._correlations(q)}
        if images.unlike.sum() > 1:
            found["mixup"] = self._agreement()
        return found

    def terms(self, q: Floats) -> dict[str, Floats]:
        """What each answered image adds to each figure that is a mean, against labels `q` [n, K]: float64 [S, n]."""
        models, n, k = self._answered.shape
        flat = self._answered.reshape(-1, k)
        found = people.terms(flat, self._p.reshape(-1, k), np.tile(q, (models, 1)))
        return {key: one.reshape(models, n) for key, one in found.items()}

    def mean_terms(self, q: Floats) -> dict[str, Floats]:
        """The same, mean over seeds: float64 [n]; quick for many labels, as what does not depend on them is kept."""
        mean_log, mean_p, mean_square = self._moments
        losses = -(q * mean_log).sum(axis=1)
        most = q >= q.max(axis=1, keepdims=True) - 1e-12
        named = np.take_along_axis(most, self._answered.argmax(axis=2).T, axis=1).mean(axis=1)
        return {
            "human_cross_entropy": losses,
            "human_kl": losses - entropies(q),
            "human_brier": mean_square - 2 * (q * mean_p).sum(axis=1) + np.square(q).sum(axis=1),
            "human_total_variation": np.abs(self._p - q).sum(axis=2).mean(axis=0) / 2,
            "human_top1_agreement": named / most.sum(axis=1),
        }

    @cached_property
    def _moments(self) -> tuple[Floats, Floats, Floats]:
        """Means over seeds: of log p̂ and p̂ [n, K], of Σ p̂² [n]."""
        return (
            self._answered.mean(axis=0),
            self._p.mean(axis=0),
            np.square(self._p).sum(axis=2).mean(axis=0),
        )

    @cached_property
    def _answered(self) -> Floats:
        return np.ascontiguousarray(self.log_p[:, self.images.answered])

    @cached_property
    def _p(self) -> Floats:
        return np.asarray(np.exp(self._answered))

    def _correlations(self, q: Floats) -> dict[str, Measured]:
        human = entropies(q)

        def of(model: Floats) -> Callable[[Floats], Mapping[str, Floats]]:
            uncertainty = entropies(model)
            return lambda weights: entropy_correlations(uncertainty, human, weights)

        return resampled([of(model) for model in self._p], len(q))

    def _agreement(self) -> dict[str, Measured]:
        """Against the λ of images of two classes: cross-entropy, and the most probable class where a parent leads."""
        images = self.images
        first, second = images.first[images.unlike], images.second[images.unlike]
        share, log_p = images.share[images.unlike], self.log_p[:, images.unlike]
        rows = np.arange(len(share))
        losses = -(share * log_p[:, rows, first] + (1 - share) * log_p[:, rows, second])
        found: dict[str, Measured] = {"mixup_agreement_cross_entropy": Terms(losses)}
        clear = np.abs(share - 0.5) >= CLEAR
        if clear.sum() > 1:
            larger = np.where(share > 0.5, first, second)[clear]
            found["mixup_agreement_top1"] = Terms(
                (log_p[:, clear].argmax(axis=2) == larger).astype(np.float64)
            )
        return found

    @cached_property
    def bounds(self) -> dict[str, dict[str, float]]:
        """What stands beside the figures, by metric: `floor` and `ceiling`, each where there is one."""
        images, found = self.images, dict[str, dict[str, float]]()
        for key, one in images.ceilings.items():
            found.setdefault(key, {})["ceiling"] = one
        if images.labels is not None and images.answered.any():
            for key, one in people.labels_alone(images.labels[images.answered]).items():
                found.setdefault(key, {})["floor"] = one
        if images.unlike.any():
            share = images.share[images.unlike]
            entropy = entropies(np.stack([share, 1 - share], axis=1)).mean()
            found["mixup_agreement_cross_entropy"] = {"floor": float(entropy)}
        return found


def _losses(p: Floats, q: Floats) -> Floats:
    return np.asarray(-(q * np.log(p)).sum(axis=1))
