"""How models, people and mixup see held-out mixed images: the response to λ, and where the three disagree most.

Every image is judged by the models that held it out, their probabilities averaged over seeds. Only images of two
classes are looked at: of two images of one class λ says nothing. Pure: an arm in, JSON and arrays out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.components import Terms
from training.evaluation.held_out import HeldOut
from training.evaluation.inference import estimate
from training.evaluation.metrics import Floats
from training.reports.mixing.shares import shares_of

Ints = NDArray[np.int64]

LEAST = 2  # images from which a mean has an interval
# What a rule takes the total variation of, by its name.
PARTIES = ("model", "people", "mixup")
RULES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "all": (("model", "people"), ("model", "mixup"), ("people", "mixup")),
    "model_people": (("model", "people"),),
    "model_mixup": (("model", "mixup"),),
    "people_mixup": (("people", "mixup"),),
}


@dataclass(frozen=True, eq=False)
class Mixes:
    """The images of one arm that can be compared, n of them: `rows` int64 [n] of the release; `first`, `second` int64
    [n], the classes of both parents; `share` float64 [n], λ; `model`, `people`, `mixup` float64 [n, K], distributions,
    `people` NaN where nobody answered; `single` float64 [S, n], what the model of each seed gives to the first parent
    of what it gives to both; `answers` int64 [n], how many people answered, or 1 where
    somebody did and it is not known how many (`counted` is False); `scores` float64 [n] and `order` int64,
    the places with the largest score first, by rule."""

    rows: Ints
    first: Ints
    second: Ints
    share: Floats
    model: Floats
    people: Floats | None
    mixup: Floats
    single: Floats
    answers: Ints
    scores: Mapping[str, Floats]
    order: Mapping[str, Ints]
    counted: bool = True

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is kept of it beside the report, by name of a file."""
        kept: dict[str, NDArray[Any]] = {
            "rows": self.rows,
            "classes": np.stack([self.first, self.second], axis=1),
            "share": self.share,
            "model": self.model.astype(np.float32),
            "answers": self.answers,
        }
        if self.people is not None:
            kept["people"] = self.people.astype(np.float32)
        for rule in self.scores:
            kept[f"score-{rule}"] = self.scores[rule]
            kept[f"order-{rule}"] = self.order[rule]
        return kept


def mixes_of(held: HeldOut) -> Mixes | None:
    """The images of `held` that can be compared; None where there are none, or no seed judged them all."""
    images, inside = held.images, held.images.unlike
    if not held.seeds or not inside.any():
        return None
    p = np.exp(held.log_p[:, inside])
    first, second, share = images.first[inside], images.second[inside], images.share[inside]
    places, classes = np.arange(len(first)), p.shape[2]
    mixup = np.zeros((len(first), classes))
    mixup[places, first], mixup[places, second] = share, 1 - share
    people = None
    if images.labels is not None and images.answered[inside].any():
        people = np.where(images.answered[inside, None], images.labels[inside], np.nan)
    said = images.answers.sizes[inside] if images.answers else images.answered[inside].astype(np.int64)
    of = {"model": p.mean(axis=0), "people": people, "mixup": mixup}
    scores = {
        rule: np.mean([_distance(of[a], of[b]) for a, b in pairs], axis=0)
        for rule, pairs in RULES.items()
        if all(of[name] is not None for pair in pairs for name in pair)
    }
    rows = images.rows[inside]
    return Mixes(
        rows,
        first,
        second,
        share,
        of["model"],
        people,
        mixup,
        np.stack([shares_of(one, first, second) for one in p]),
        said,
        scores,
        {rule: _ranked(score, rows) for rule, score in scores.items()},
        counted=images.answers is not None,
    )


def _distance(a: Floats | None, b: Floats | None) -> Floats:
    """Total variation of each image's two distributions [n, K], 0 to 1: float64 [n]."""
    assert a is not None
    assert b is not None
    return np.asarray(np.abs(a - b).sum(axis=1) / 2)


def _ranked(score: Floats, rows: Ints) -> Ints:
    """Places of the images with a score, the largest first and the lower row of two equal ones."""
    order = np.lexsort((rows, -score))
    return np.asarray(order[np.isfinite(score[order])], np.int64)


def told_of(mixes: Mixes, seeds: tuple[int, ...]) -> dict[str, Any]:
    """What the report keeps of an arm: its seeds, how many images, responses of all images and by class pair, and the
    class pairs in the order of how far model and people are apart."""
    flipped = mixes.second < mixes.first
    low, high = np.minimum(mixes.first, mixes.second), np.maximum(mixes.first, mixes.second)
    pairs = np.stack([low, high], axis=1)
    told = []
    for pair in np.unique(pairs, axis=0):
        inside = (pairs == pair).all(axis=1)
        found = _response(mixes, inside, flipped)
        told.append({"pair": [int(index) for index in pair], "n": int(inside.sum()), **found})
    told.sort(key=lambda one: (-(one["apart"] or 0.0), one["pair"]))
    everything = np.ones(len(pairs), bool)
    return {
        "seeds": list(seeds),
        "n": len(mixes.rows),
        "n_answered": int((mixes.answers > 0).sum()) if mixes.people is not None else 0,
        "counted": mixes.counted,
        "one_answer": int((mixes.answers == 1).sum()) if mixes.counted else 0,
        "rules": list(mixes.scores),
        "all": _response(mixes, everything, np.zeros(len(pairs), bool)),
        "pairs": told,
        "top": {rule: _top(mixes, rule) for rule in mixes.scores},
    }


def _top(mixes: Mixes, rule: str) -> dict[str, float]:
    """The largest and the mean score."""
    score = mixes.scores[rule][mixes.order[rule]]
    return {"most": float(score[0]), "mean": float(score.mean())} if len(score) else {}


def _response(mixes: Mixes, inside: NDArray[np.bool_], flipped: NDArray[np.bool_]) -> dict[str, Any]:
    """At each λ the mean share of the first parent (of the lower class where an image is `flipped`), by the models and
    by people; `apart` is the mean over these images of how far the two are apart, None without people."""
    share = np.where(flipped, 1 - mixes.share, mixes.share)[inside].round(4)
    single = np.where(flipped, 1 - mixes.single, mixes.single)[:, inside]
    said = None
    if mixes.people is not None:
        seen = shares_of(mixes.people[inside], mixes.first[inside], mixes.second[inside])
        said = np.where(flipped[inside], 1 - seen, seen)
        said[mixes.answers[inside] == 0] = np.nan
    levels = [_level(level, share == level, single, said) for level in np.unique(share)]
    outside = mixes.model.sum(axis=1) - _both(mixes)
    apart = None if said is None else np.abs(single.mean(axis=0) - said)
    return {
        "levels": levels,
        "elsewhere": float(outside[inside].mean()),
        "apart": None if apart is None or np.isnan(apart).all() else float(np.nanmean(apart)),
    }


def _both(mixes: Mixes) -> Floats:
    """What the model gives to both parents, float64 [n]."""
    places = np.arange(len(mixes.first))
    return np.asarray(mixes.model[places, mixes.first] + mixes.model[places, mixes.second])


def _level(level: float, here: NDArray[np.bool_], single: Floats, said: Floats | None) -> dict[str, Any]:
    known = np.empty(0) if said is None else said[here][np.isfinite(said[here])]
    return {
        "share": float(level),
        "n": int(here.sum()),
        "model": _mean(single[:, here]),
        "n_people": len(known),
        "people": _mean(known[None]) if len(known) else None,
    }


def _mean(values: Floats) -> list[float | None]:
    """Mean of [S, n] with its 95 % interval over images and seeds, 0 to 1; the ends None below `LEAST` images."""
    mean = float(values.mean())
    if values.shape[1] < LEAST:
        return [mean, None, None]
    low, high = estimate(Terms(values)).interval()
    return [mean, max(0.0, float(low)), min(1.0, float(high))]


def told_arms(held: Mapping[str, HeldOut | None]) -> Iterator[tuple[str, Mixes, dict[str, Any]]]:
    """The arms of which something is known."""
    for name, one in held.items():
        if one is not None and (mixes := mixes_of(one)) is not None:
            yield name, mixes, told_of(mixes, one.seeds)
