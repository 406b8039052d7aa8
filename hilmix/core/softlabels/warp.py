"""`perceptual_warp`: the share that people are predicted to see in a mixture, from λ and the pixels of both parents.

Fitted on what people said of some mixtures, it labels any mixture of any two images, also of pictures that nobody was
asked about: `PerceptualMixup` does so on the fly. In a recomputation of the published H-Mix answers (Collins et al.,
Human-in-the-Loop Mixup, UAI 2023), busier and more varied pictures weigh more than their λ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hilmix.core.clustering import two_way_interval
from hilmix.core.errors import DataError
from hilmix.core.features import FEATURES, Pixels, features_of
from hilmix.core.folds import FOLDS, connected, dealt
from hilmix.core.judgements import Unit
from hilmix.core.softlabels.base import Evidence, Floats, Ints, LabelPolicy, LabelRow, Params
from hilmix.core.softlabels.counting import counted, lambdas_e4, numbered, perceived, rows_of_shares
from hilmix.core.softlabels.lambdas import LAMBDA_ANSWERS

if TYPE_CHECKING:
    from hilmix.core.release import Release

Bools = npt.NDArray[np.bool_]

NAME, VERSION = "perceptual_warp", 1
STRENGTHS = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # of the ridge penalty, in answers
FEWEST = 30  # answers from which it is fitted
LEVELLED = 0.02  # the part of a label that is spread over all classes when its cross-entropy is taken


@dataclass(frozen=True, eq=False)
class PerceptualMixup:
    """λ̃ = f(λ, x₁, x₂), with ln(λ̃ / (1 − λ̃)) = ln(λ / (1 − λ)) + h(λ, x₁, x₂),

        h = a₁u + a₂u³ + 4λ(1 − λ)·D,   u = 2λ − 1,   D = Σₖ bₖdₖ,

    dₖ the difference of feature k between the first and the second image, in its standard deviation `scale`. h changes
    its sign when the images change places and λ becomes 1 − λ, so f(λ, x₁, x₂) = 1 − f(1 − λ, x₂, x₁); h is finite, so
    f is 0 at λ = 0 and 1 at λ = 1. D is held within ± `reach`, so that more of an image is never seen as less of it.

    `curve` float64 [2] is (a₁, a₂); `by_feature` (b) and `scale` are float64 [4], in the order of `features.FEATURES`.
    """

    curve: Floats
    by_feature: Floats
    scale: Floats

    @property
    def reach(self) -> float:
        """The largest |D| with which f nowhere falls with λ; 0 where it falls for images alike."""
        u, spread, slope = self._slope()
        return max(0.0, float(np.min(slope[:-1] / (-4 * u * spread)[:-1])))

    @property
    def least_slope(self) -> float:
        """The least d(logit f)/d(logit λ) of two images alike; below 0, f falls as λ grows."""
        return float(np.min(self._slope()[2]))

    def _slope(self) -> tuple[Floats, Floats, Floats]:
        """u, λ(1 − λ) and 1 + 2λ(1 − λ)·dh/du at D = 0, for λ up to ½; the other half is the same turned."""
        share = np.linspace(0.001, 0.5, 500)
        u, spread = 2 * share - 1, share * (1 - share)
        return u, spread, 1 + 2 * spread * (self.curve[0] + 3 * self.curve[1] * u**2)

    @classmethod
    def from_release(cls, release: Release | Path | str, condition: str = "") -> PerceptualMixup:
        """The warp that was fitted for a release, or for one condition of it.

        Raises DataError where the release has none, or several and `condition` names none of them.
        """
        from hilmix.core.release import Release, open_release

        opened = release if isinstance(release, Release) else open_release(release)
        fitted = {one["condition"]: one for one in opened.manifest["label_sets"] if one["policy"] == NAME}
        if not fitted:
            raise DataError(f"The release {opened.name} has no {NAME}: it was not fitted on its answers.")
        if not condition and len(fitted) == 1:
            (condition,) = fitted
        if condition not in fitted:
            raise DataError(
                f"The release {opened.name} has a {NAME} of each of the conditions {', '.join(fitted)}; name one."
            )
        chosen = fitted[condition]
        if chosen["version"] != VERSION:
            raise DataError(
                f"The release {opened.name} has {NAME} in version {chosen['version']}; this code knows {VERSION}."
            )
        return cls.of(chosen["params"])

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> PerceptualMixup:
        """The warp that the parameters of a label set describe."""
        rows = [params["features"][name] for name in FEATURES]
        by_feature, scale = (np.array([row[key] for row in rows]) for key in ("b", "scale"))
        return cls(np.array([params["a1"], params["a2"]]), by_feature, scale)

    def share(self, lambdas: npt.ArrayLike, first: Pixels, second: Pixels) -> Floats:
        """The predicted share of each first image: float64 [n], 0–1.

        Args:
            lambdas: [n], 0–1, the share of the first image that is mixed.
            first, second: uint8 [n, H, W, C], the images that are mixed.
        """
        return self.share_of(lambdas, np.stack([features_of(first), features_of(second)], axis=1))

    def share_of(self, lambdas: npt.ArrayLike, features: Floats) -> Floats:
        """As `share`, of features float64 [n, 2, 4] that are known already."""
        share = np.asarray(lambdas, dtype=np.float64)
        if share.shape != features.shape[:1] or not np.all((share >= 0) & (share <= 1)):
            raise DataError("There must be one λ between 0 and 1 for each pair of images.")
        u = 2 * share - 1
        difference = (features[:, 0] - features[:, 1]) / self.scale @ self.by_feature
        held = np.clip(difference, -self.reach, self.reach)
        half = np.exp((self.curve[0] * u + self.curve[1] * u**3 + (1 - u**2) * held) / 2)
        return share * half / (share * half + (1 - share) / half)

    def label(
        self,
        lambdas: npt.ArrayLike,
        first: Pixels,
        second: Pixels,
        first_classes: npt.ArrayLike,
        second_classes: npt.ArrayLike,
        n_classes: int,
    ) -> Floats:
        """The predicted labels float64 [n, K]: the share on the first image's class, the rest on the second's."""
        share = self.share(lambdas, first, second)
        labels, places = np.zeros((len(share), n_classes)), np.arange(len(share))
        labels[places, np.asarray(first_classes, dtype=np.int64)] += share
        labels[places, np.asarray(second_classes, dtype=np.int64)] += 1 - share
        return labels


# --- fitting ---


@dataclass(frozen=True, eq=False)
class _Said:
    """What a warp is fitted on. Of each mixed image: λ (`share` [n]), what h is linear in (`columns` [n, 6]: u, u³ and
    4λ(1 − λ)·dₖ), `features` [n, 2, 4], their `scale` [4] and its group of connected `parents` [n]; of each answer: the
    `unit`, the `person` and the `value` seen [N]."""

    share: Floats
    columns: Floats
    features: Floats
    scale: Floats
    parents: Ints
    unit: Ints
    person: Ints
    value: Floats

    def fit(self, answers: Bools, strength: float, start: Floats) -> Floats:
        """The coefficients that make the cross-entropy of some `answers` bool [N] least, plus `strength`/2 times their
        squares where columns have a mean square of 1. Newton's method from `start`; the function is convex."""
        unit, n = self.unit[answers], len(self.share)
        counts, sums = np.bincount(unit, minlength=n), np.bincount(unit, self.value[answers], n)
        odds = self.share / (1 - self.share)
        size = np.average(self.columns**2, axis=0, weights=counts)
        # What never varies, such as the colour of grey images, has no size, and its coefficient stays 0.
        penalty = strength * np.where(size > 0, size, 1)
        found = start
        for _step in range(50):
            seen = 1 / (1 + np.exp(-self.columns @ found) / odds)
            gradient = (counts * seen - sums) @ self.columns + penalty * found
            curvature = (self.columns.T * (counts * seen * (1 - seen))) @ self.columns + np.diag(penalty)
            step = np.linalg.solve(curvature, gradient)
            found = found - step / max(1.0, np.abs(step).max())  # from far away it would go too far
            if np.abs(step).max() < 1e-8:
                break
        return found

    def predicted(self, coefficients: Floats) -> Floats:
        """The share seen of each mixed image [n]."""
        return self.warp(coefficients).share_of(self.share, self.features)

    def warp(self, coefficients: Floats) -> PerceptualMixup:
        return PerceptualMixup(coefficients[:2], coefficients[2:], self.scale)

    def losses(self, seen: Floats, answers: Bools) -> Floats:
        """Of some answers, float64 [2, N]: their squared deviation from `seen` [n] and their cross-entropy."""
        value, share = self.value[answers], seen[self.unit[answers]]
        levelled = (1 - LEVELLED) * share + LEVELLED / 2
        entropy = -value * np.log(levelled) - (1 - value) * np.log(1 - levelled)
        return np.stack([(value - share) ** 2, entropy])


def _strength(said: _Said, folds: Ints, answers: Bools) -> float:
    """The strength at which some answers are best predicted by the others, left out by `folds` [N] of parents."""
    losses = np.zeros(len(STRENGTHS))
    for fold in np.unique(folds[answers]):
        held, found = answers & (folds == fold), np.zeros(said.columns.shape[1])
        # From nothing learnt to ever more: each starts from the last.
        for place in reversed(range(len(STRENGTHS))):
            found = said.fit(answers & ~held, STRENGTHS[place], found)
            losses[place] += said.losses(said.predicted(found), held)[1].sum()
    return STRENGTHS[int(np.argmin(losses))]


def _held_out(said: _Said, left_out: Ints, parents: Ints) -> dict[str, Any]:
    """How well answers left out by the folds `left_out` [N] are predicted, beside λ itself: means over `n` answers,
    with a 95% interval of the bits spared, clustered by person and by connected parents. The strength is chosen anew
    each time, from the others."""
    nothing = np.zeros(said.columns.shape[1])
    ours, mixup = np.zeros((2, 2, len(left_out)))
    for fold in np.unique(left_out):
        held = left_out == fold
        found = said.fit(~held, _strength(said, parents, ~held), nothing)
        ours[:, held] = said.losses(said.predicted(found), held)
        mixup[:, held] = said.losses(said.predicted(nothing), held)
    bits = (mixup[1] - ours[1]) / math.log(2)
    interval = two_way_interval(bits, said.person, said.parents[said.unit])
    return {
        "n": len(left_out),
        "squared_error": float(ours[0].mean()),
        "squared_error_of_mixup": float(mixup[0].mean()),
        "cross_entropy": float(ours[1].mean()),
        "cross_entropy_of_mixup": float(mixup[1].mean()),
        "bits_over_mixup": float(bits.mean()),
        "bits_interval": None if interval is None else list(interval),
    }


def _folds(said: _Said) -> tuple[Ints, Ints]:
    """Which fold each answer is in, by connected parents and by person, int64 [N] both."""
    rng = np.random.default_rng(0)
    by_parents = dealt(said.parents, rng)[said.unit]
    return by_parents, dealt(said.person, rng)


def _compute(evidence: Evidence, params: Params) -> tuple[Sequence[LabelRow], dict[str, Any]]:
    """Choose the strength by folds of connected parents, and fit on all answers."""
    units, features = evidence.units, evidence.features
    assert features is not None
    said = _said(units, features)
    by_parents, _ = _folds(said)
    every = np.ones(len(said.value), dtype=np.bool_)
    strength = _strength(said, by_parents, every)
    found = said.fit(every, strength, np.zeros(said.columns.shape[1]))
    warp = said.warp(found)
    if warp.least_slope < 0:
        raise DataError(
            f"The label policy {NAME} cannot be fitted on these answers: what people say they see hardly grows with λ."
        )
    a1, a2, *by_feature = found.tolist()
    fitted = {
        "a1": a1,
        "a2": a2,
        "features": {
            name: {"b": b, "scale": scale}
            for name, b, scale in zip(FEATURES, by_feature, said.scale.tolist(), strict=True)
        },
        "reach": warp.reach,
        "strength": strength,
        "n_answers": len(said.value),
        "n_people": int(said.person.max()) + 1,
        "n_units": len(np.unique(said.unit)),
        "n_connected_parents": int(said.parents.max()) + 1,
    }
    shares = warp.share_of(lambdas_e4(units) / 10_000, features)
    sizes = perceived(units).sizes
    return replace(rows_of_shares(units, evidence.n_classes, shares, n=sizes), predicted=True), fitted


def _describe(evidence: Evidence, params: Params) -> dict[str, Any]:
    """How well a warp fitted like this one predicts answers left out."""
    assert evidence.features is not None
    said = _said(evidence.units, evidence.features)
    by_parents, by_person = _folds(said)
    return {
        "held_out": {
            "unseen parents": _held_out(said, by_parents, by_parents),
            "unseen people": _held_out(said, by_person, by_parents),
        },
    }


def _said(units: Sequence[Unit], features: Floats) -> _Said:
    """What is fitted on. Plain images (λ = 0 or 1) say nothing.

    Raises DataError where there are too few answers, people or parents, or parents are not known.
    """
    parents = [unit.parents for unit in units]
    if None in parents:
        raise DataError(f"The label policy {NAME} needs to know the parents of every mixed image.")
    answers, groups = counted(units)
    values = np.array([getattr(answer.judgement, "value", np.nan) for answer in answers], dtype=np.float64)
    lambdas = lambdas_e4(units) / 10_000
    mixed = (lambdas > 0) & (lambdas < 1)
    told = ~np.isnan(values) & mixed[groups]
    # In the order in which they appear: their names are others in every release.
    person, n_people = numbered([answers[place].participant for place in np.flatnonzero(told)])
    groups = groups[told]
    connections = connected(np.array(parents, dtype=np.int64).reshape(-1, 2))
    few = min(len(np.unique(connections[groups])), n_people)
    if len(groups) < FEWEST or few < FOLDS:
        raise DataError(
            f"The label policy {NAME} is fitted on {FEWEST} answers or more, of {FOLDS} people or more and about "
            f"{FOLDS} groups of connected parents or more."
        )
    seen = np.unique(groups)
    scale = np.maximum(features[seen].reshape(-1, len(FEATURES)).std(axis=0), 1e-6)
    share = np.where(mixed, lambdas, 0.5)
    u = 2 * share[:, None] - 1
    differences = (features[:, 0] - features[:, 1]) / scale
    return _Said(
        share,
        np.concatenate([u, u**3, (1 - u**2) * differences], axis=1),
        features,
        scale,
        np.unique(connections, return_inverse=True)[1],
        groups,
        person,
        values[told],
    )


POLICIES = (
    LabelPolicy(
        NAME, VERSION, LAMBDA_ANSWERS,
        "The share that people are predicted to see, from λ and the pixel features of both parents (log edge energy, "
        "contrast, mean, saturation), fitted by ridge regression on all answers; nobody need have seen the image.",
        "predicted share", _compute, needs=frozenset({"features"}), describe=_describe,
    ),
)  # fmt: skip
