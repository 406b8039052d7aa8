"""Everything that is measured on one model's predictions, with intervals: the figures of `values.METRICS` together.

Each figure is computed by a pure function of its own module; here they are given the same draws of images, and what is
undefined is said. What needs many models (seeds, arms) is `inference`'s.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from training.evaluation import calibration, intervals, metrics, people, ranking, selective
from training.evaluation.metrics import Floats, Labels
from training.evaluation.predictions import Predictions
from training.evaluation.values import BY_KEY, METRICS, Value, not_assessed

TOP = (2, 5)
NO_HUMAN_LABELS = "there are no human labels"
_PER_CLASS = ("precision", "recall", "f1", "auroc", "auprc")
_MOST_NAMED = 10  # classes named in a sentence
FEWEST = 30  # images of which thirds are shown
FEWEST_A_CLASS = 30  # images a class, below which macro_f1 and macro_auprc have no interval
_NOT_DEFINED = "not defined on these images: a variation or a class is missing"


@dataclass(frozen=True)
class Assessment:
    """What was measured.

    `values` has every metric of the groups labels, calibration, selective and people; `per_class` lists of K values;
    `confusion` [K, K] counts, rows actual; `thirds` the figures against people on thirds of human entropy, each with
    the `entropy` range of its images, none without human labels or with fewer than `FEWEST` images.
    """

    values: dict[str, Value]
    per_class: dict[str, list[Value]]
    confusion: NDArray[np.int64]
    reliability: list[calibration.CurvePoint]
    risk_coverage: dict[float, float]
    thirds: list[tuple[tuple[float, float], dict[str, Value]]]

    def as_json(self) -> dict[str, Any]:
        """One JSON object: metrics by their keys, then the tables; keys are documented in docs/metrics.md."""
        return {
            **{key: value.as_json() for key, value in self.values.items()},
            "per_class": {key: [one.as_json() for one in values] for key, values in self.per_class.items()},
            "confusion": self.confusion.tolist(),
            "reliability": [asdict(point) for point in self.reliability],
            "error_at_coverage": {f"{coverage:g}": risk for coverage, risk in self.risk_coverage.items()},
            "human_thirds": [
                {"entropy": list(entropy), **{key: value.as_json() for key, value in values.items()}}
                for entropy, values in self.thirds
            ],
        }


def assess(predictions: Predictions, *, draws: int = intervals.DRAWS, seed: int = 0) -> Assessment:
    """Measure everything. Same predictions, draws and seed give the same bits on a processor."""
    model = Resampled(predictions)
    found, ends = intervals.bootstrap(model, len(predictions.labels), draws, seed)
    values = {key: model.value(key, found[key], ends[key]) for key in found if key in BY_KEY}
    values |= _shares_right(model)
    values |= _calibration(predictions)
    thirds = []
    if predictions.human is None:
        n = len(predictions.labels)
        values |= {m.key: not_assessed(n, NO_HUMAN_LABELS) for m in METRICS if m.group == "people"}
    else:
        reach = people.reach(predictions.counts)
        values |= _beside_people(model, reach, None, found, ends)
        chosen = people.Reach({}, reach.why or people.TOO_CHOSEN)
        for number, inside in enumerate(model.thirds):
            entropy = model.entropies[inside]
            figures = _beside_people(model, chosen, number, found, ends)
            thirds.append(((float(entropy.min()), float(entropy.max())), figures))
    return Assessment(
        {m.key: values[m.key] for m in METRICS if m.key in values},
        {key: model.of_classes(key, found[key], ends[key]) for key in _PER_CLASS},
        model.confusion,
        calibration.curve(model.confidence, 1 - model.wrong),
        {c: selective.risk_coverage(model.confidence, model.wrong).at(c) for c in selective.COVERAGES},
        thirds,
    )


def against_mixup(log_p: Floats, first: Labels, second: Labels, share: Floats) -> dict[str, Value]:
    """How far a model agrees with the labels mixup makes up, on mixed images: never called accuracy.

    `log_p` [N, K]; `first`, `second` int64 [N], two different classes; `share` float64 [N], the part of the first,
    0–1. The agreement of the most probable class is counted where |λ − ½| ≥ ¼, as there one part clearly leads.
    """
    if not 0 < len(log_p) == len(first) == len(second) == len(share):
        raise DataError("Predictions, classes and shares must be of as many mixed images, one at least.")
    q = np.zeros_like(log_p)
    rows = np.arange(len(q))
    q[rows, first] += share
    q[rows, second] += 1 - share
    losses = metrics.cross_entropies(log_p, q)
    _, ends = intervals.bootstrap(lambda w: {"loss": w @ losses / w.sum(axis=1)}, len(losses))
    clear = np.abs(share - 0.5) >= 0.25
    agreement = not_assessed(0, "no mixed image has |λ − ½| ≥ ¼")
    if n := int(clear.sum()):
        larger = np.where(share > 0.5, first, second)[clear]
        agrees = float((log_p[clear].argmax(axis=1) == larger).mean())
        agreement = Value(agrees, n, intervals.wilson(agrees, n))
    return {
        "mixup_agreement_top1": agreement,
        "mixup_agreement_cross_entropy": Value(float(losses.mean()), len(losses), _pair(ends["loss"])),
    }


class Resampled:
    """What the resampled figures take from the predictions, prepared once; called with weights [D, N]."""

    def __init__(self, predictions: Predictions) -> None:
        p, labels = predictions.p, predictions.labels
        self.predictions = predictions
        self.n, self.classes = p.shape
        self.predicted = p.argmax(axis=1)
        self.confidence = p.max(axis=1)
        self.wrong = (self.predicted != labels).astype(np.float64)
        self.confusion = ranking.confusion_matrix(self.predicted, labels, self.classes)
        self.terms = {
            "log_loss": metrics.cross_entropies(predictions.log_p, labels),
            "brier": metrics.squared_distances(p, labels),
            "confidence_gap": self.confidence - 1 + self.wrong,
        }
        self.people: dict[str, Floats] = {}
        self.thirds: list[NDArray[np.bool_]] = []
        if predictions.human is not None:
            self.people = people.terms(predictions.log_p, p, predictions.human)
            self.uncertainty = metrics.entropies(p)
            self.entropies = metrics.entropies(predictions.human)
            self.thirds = people.thirds(predictions.human) if self.n >= FEWEST else []

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        area, excess = selective.aurc(self.confidence, self.wrong, weights)
        found = {**_means(self.terms, weights), "aurc": area, "excess_aurc": excess}
        found |= self._confused(weights) | self._ranked(weights)
        if self.people:
            found |= self._beside_people(weights, slice(None), "")
            for number, inside in enumerate(self.thirds):
                found |= self._beside_people(weights, inside, f"{number}:")
        return found

    def _confused(self, weights: Floats) -> dict[str, Floats]:
        of = ranking.counts(self.predicted, self.predictions.labels, self.classes, weights)
        figures = ranking.class_figures(of)
        found = {"mcc": ranking.mcc(of), "balanced_accuracy": figures.macro(figures.recall)}
        for key, each in (("precision", figures.precision), ("recall", figures.recall), ("f1", figures.f1)):
            found |= {
                key: each,
                f"macro_{key}": figures.macro(each),
                f"weighted_{key}": figures.weighted(each),
            }
        return found

    def _ranked(self, weights: Floats) -> dict[str, Floats]:
        both = np.full((2, len(weights), self.classes), np.nan)
        for k in np.unique(self.predictions.labels):
            positive = self.predictions.labels == k
            both[:, :, k] = ranking.auroc_and_precision(self.predictions.p[:, k], positive, weights)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(both)
            macro = np.where(known, both, 0).sum(axis=2) / known.sum(axis=2)
        return {"auroc": both[0], "auprc": both[1], "macro_auroc": macro[0], "macro_auprc": macro[1]}

    def _beside_people(self, weights: Floats, inside: Any, prefix: str) -> dict[str, Floats]:
        part = weights[:, inside]
        found = _means({key: terms[inside] for key, terms in self.people.items()}, part)
        found |= people.entropy_correlations(self.uncertainty[inside], self.entropies[inside], part)
        return {prefix + key: value for key, value in found.items()}

    def value(self, key: str, found: Floats, ends: Floats) -> Value:
        """A figure of one number with what has to be said of it."""
        value = _value(found, ends, self.n, tuple(self._remarks(key)))
        if (
            key not in ("macro_f1", "macro_auprc")
            or value.interval is None
            or self._a_class() >= FEWEST_A_CLASS
        ):
            return value
        why = (
            f"no interval: with {self._a_class():.3g} images a class (harmonic mean), fewer than {FEWEST_A_CLASS}, a "
            "bootstrap repeats the bias of this figure"
        )
        return replace(value, interval=None, undefined=(*value.undefined, why))

    def _a_class(self) -> float:
        """Images a class, the harmonic mean over those that occur: biases of macro figures go with 1/images."""
        support = self.confusion.sum(axis=1)
        return float(1 / (1 / support[support > 0]).mean())

    def of_classes(self, key: str, found: Floats, ends: Floats) -> list[Value]:
        """A figure of each class; `n` is how many images of the class there are."""
        support = self.confusion.sum(axis=1)
        return [
            _value(found[k], ends[:, k], int(support[k]), ())
            if support[k]
            else Value(None, 0, undefined=("the class does not occur",))
            for k in range(self.classes)
        ]

    def _remarks(self, key: str) -> list[str]:
        said = []
        absent = np.flatnonzero(self.confusion.sum(axis=1) == 0)
        if len(absent) and (key.startswith("macro_") or key == "balanced_accuracy"):
            said.append(
                f"{len(absent)} of {self.classes} classes do not occur and are left out: {_named(absent)}"
            )
        never = np.flatnonzero((self.confusion.sum(axis=0) == 0) & (self.confusion.sum(axis=1) > 0))
        if len(never) and key.endswith("_precision"):
            said.append(f"never predicted, so 0/0 is counted as 0, class {_named(never)}")
        if key == "mcc" and (
            (self.confusion.sum(axis=0) > 0).sum() < 2 or (self.confusion.sum(axis=1) > 0).sum() < 2
        ):
            said.append(
                "0/0 counted as 0: there is one class only among the labels, or among the predictions"
            )
        if key in ("log_loss", "human_cross_entropy", "human_kl") and (n := self._clipped(key)):
            said.append(f"{n} probabilities too near 0 were clipped at 2.2e-16")
        if key.startswith("human_top1") and (n := self._ties()):
            said.append(
                f"on {n} {'image' if n == 1 else 'images'} several classes tie among people: naming one of t counts 1/t"
            )
        return said

    def _clipped(self, key: str) -> int:
        """Probabilities that this metric takes the logarithm of and that were clipped: of labels, or of what people
        said; none where logits were given."""
        given = self.predictions
        if not given.n_clipped:
            return 0
        asked = np.eye(self.classes, dtype=bool)[given.labels]
        if key != "log_loss":
            assert given.human is not None
            asked = given.human > 0
        return int((asked & (given.p < np.finfo(np.float64).eps)).sum())

    def _ties(self) -> int:
        q = self.predictions.human
        assert q is not None
        return int(((q >= q.max(axis=1, keepdims=True) - 1e-12).sum(axis=1) > 1).sum())


def _shares_right(model: Resampled) -> dict[str, Value]:
    """Top-1 and top-k, with Wilson's interval."""
    rank = ranking.rank_of_label(model.predictions.p, model.predictions.labels, model.predictions.log_p)
    found = {}
    for key, k in (("accuracy", 1), *((f"top_{k}_accuracy", k) for k in TOP)):
        if k >= model.classes and k > 1:
            found[key] = Value(None, model.n, undefined=(f"there are only {model.classes} classes",))
        else:
            share = float((rank < k).mean())
            found[key] = Value(share, model.n, intervals.wilson(share, model.n))
    return found


def _calibration(predictions: Predictions) -> dict[str, Value]:
    confidence, outcome = calibration.top_class(predictions.p, predictions.labels)
    found = {}
    for binning in (calibration.equal_width, calibration.equal_mass):
        which = binning(confidence)
        for name, power in (("ece", calibration.ECE), ("mce", calibration.MCE), ("rms", calibration.RMS)):
            key = f"{name}_{binning.__name__}_{calibration.N_BINS}"
            found[key] = calibration.calibration_error(confidence, outcome, which, power)
    found["rms_equal_mass_100"] = calibration.calibration_error(
        confidence, outcome, calibration.by_hundreds(confidence), calibration.RMS
    )
    for key, adaptive in (("classwise_ece_15", False), ("classwise_ece_equal_mass_15", True)):
        found[key] = calibration.classwise(predictions.p, predictions.labels, adaptive=adaptive)
    return found


def _beside_people(
    model: Resampled,
    reach: people.Reach,
    third: int | None,
    found: dict[str, Floats],
    ends: dict[str, Floats],
) -> dict[str, Value]:
    """The figures against people on all images or on a third of them, each with ceiling and floor."""
    human = model.predictions.human
    assert human is not None
    inside = np.ones(model.n, bool) if third is None else model.thirds[third]
    prefix = "" if third is None else f"{third}:"
    keys = (*model.people, "entropy_correlation_pearson", "entropy_correlation_spearman")
    n = int(inside.sum())
    values = {
        key: _value(found[prefix + key], ends[prefix + key], n, tuple(model._remarks(key))) for key in keys
    }
    values["human_ece"] = people.human_ece(model.predictions.p[inside], human[inside])
    floors = people.labels_alone(human[inside])
    for key, value in values.items():
        if key in reach.bounds:
            found_by = reach.bounds[key]
            kept = value.floor if found_by.floor is None else found_by.floor
            values[key] = replace(value, ceiling=found_by.ceiling, floor=kept)
        elif reach.why:
            values[key] = replace(
                value, floor=floors.get(key, value.floor), undefined=(*value.undefined, reach.why)
            )
    return values


def _means(terms: dict[str, Floats], weights: Floats) -> dict[str, Floats]:
    """Means of terms [N] in each draw of weights [D, N]."""
    with np.errstate(invalid="ignore"):  # a third of few images may be in no draw
        means = weights @ np.stack(list(terms.values()), axis=1) / weights.sum(axis=1, keepdims=True)
    return dict(zip(terms, means.T, strict=True))


def _value(found: Floats, ends: Floats, n: int, remarks: tuple[str, ...]) -> Value:
    if not np.isfinite(found):
        return Value(None, n, undefined=(*remarks, _NOT_DEFINED))
    return Value(float(found), n, _pair(ends), remarks)


def _pair(ends: Floats) -> tuple[float, float] | None:
    return (float(ends[0]), float(ends[1])) if np.isfinite(ends).all() else None


def _named(classes: NDArray[np.int64]) -> str:
    named = ", ".join(str(k) for k in classes[:_MOST_NAMED])
    return named + (" …" if len(classes) > _MOST_NAMED else "")
