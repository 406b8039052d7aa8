"""What one measured figure is, and what each metric means: the one table from which table heads, explanations and
`docs/metrics.md` are made. Nothing is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class Value:
    """One figure: its value (None where it is not defined or not assessed), measured on `n` images.

    `interval` is a 95 % interval; `undefined` says in sentences what could not be computed, or was left out.
    `debiased`, `floor` and `ceiling` are there for the metrics whose definition in `METRICS` says so.
    """

    value: float | None
    n: int
    interval: Interval | None = None
    undefined: tuple[str, ...] = ()
    debiased: float | None = None
    floor: float | None = None
    ceiling: float | None = None

    def as_json(self) -> dict[str, Any]:
        """`value`, `interval`, `n`, `undefined`, and the other three where they were measured."""
        extra = {"debiased": self.debiased, "floor": self.floor, "ceiling": self.ceiling}
        return {
            "value": self.value,
            "interval": None if self.interval is None else list(self.interval),
            "n": self.n,
            "undefined": list(self.undefined),
            **{key: number for key, number in extra.items() if number is not None},
        }


def not_assessed(n: int, why: str) -> Value:
    """A figure that could not be measured: None, and the sentence that says why."""
    return Value(None, n, undefined=(f"not assessed: {why}",))


GROUPS = {
    "labels": "Against the labels",
    "calibration": "Calibration",
    "selective": "Selective risk",
    "people": "Against people",
    "mixup": "Agreement with mixup",
}
# How the 95 % interval of a metric is found.
INTERVALS = {
    "Wilson": "Wilson's score interval for a share",
    "percentile": "percentiles of a bootstrap of the images",
    "norm": "inversion of the triangle inequality",
}
NEEDS = {
    "labels": "one class number an image",
    "human": "people's answers to each image, as counts or probabilities",
    "mixed": "the two classes of each mixed image and the share of the first",
}


@dataclass(frozen=True)
class Metric:
    """What a figure is: `key`, `name`, `definition`, `unit` (nats, or "" for none), range from `low` to `high` (None:
    unbounded), which way is better if either is, `group`, what it `needs`, how its `interval` is found, and what
    `floor` and `ceiling` beside it mean ("" where there is none)."""

    key: str
    name: str
    definition: str
    higher_is_better: bool | None
    group: str = "labels"
    needs: str = "labels"
    interval: str = "percentile"
    unit: str = ""
    low: float | None = 0.0
    high: float | None = 1.0
    floor: str = ""
    ceiling: str = ""


# What a metric is for, of those that are read by themselves.
_RATE = "classes are about equally frequent and one share of right answers is wanted"
_RARE = "classes are of unequal frequency, or rare ones matter"
_SURE = "what is decided depends on how sure the model says it is"
USE_WHEN = {
    "accuracy": _RATE,
    "top_2_accuracy": _RATE,
    "top_5_accuracy": _RATE,
    "balanced_accuracy": _RARE,
    "macro_precision": _RARE,
    "macro_recall": _RARE,
    "macro_f1": _RARE,
    "weighted_precision": _RARE,
    "weighted_recall": _RARE,
    "weighted_f1": _RARE,
    "macro_auroc": "classes are of very unequal frequency, or the order matters and no threshold is fixed",
    "macro_auprc": "classes are of very unequal frequency, or the order matters and no threshold is fixed",
    "mcc": "one number is wanted that holds where classes are of unequal frequency",
    "log_loss": "the probabilities matter, not only which class is named",
    "ece_equal_width_15": _SURE,
    "mce_equal_width_15": _SURE,
}

_CHANCE = "mean where the outcomes are drawn from the confidences themselves"
_NOISE = "what the scatter of q(ŷ) within the bins leaves where each bin's mean is right"
_KNOWING = "what knowing everybody's answers would reach on the votes of these people: a quarter of half against half"


def _calibration(key: str, name: str, definition: str, **more: Any) -> Metric:
    return Metric(
        key, name, definition, False, "calibration", **{"interval": "norm", "floor": _CHANCE, **more}
    )


def _people(key: str, name: str, definition: str, better: bool, **more: Any) -> Metric:
    return Metric(key, name, definition, better, "people", "human", **more)


METRICS = (
    Metric(
        "accuracy",
        "Accuracy",
        "share of images whose most probable class is the label",
        True,
        interval="Wilson",
    ),
    Metric(
        "top_2_accuracy",
        "Top-2",
        "share of images whose label is among the 2 most probable",
        True,
        interval="Wilson",
    ),
    Metric(
        "top_5_accuracy",
        "Top-5",
        "share of images whose label is among the 5 most probable",
        True,
        interval="Wilson",
    ),
    Metric("balanced_accuracy", "Balanced accuracy", "mean recall over the classes that occur", True),
    Metric("macro_precision", "Precision, macro", "mean precision over the classes that occur", True),
    Metric("macro_recall", "Recall, macro", "mean recall over the classes that occur", True),
    Metric("macro_f1", "F1, macro", "mean of 2PR/(P + R) over the classes that occur", True),
    Metric(
        "weighted_precision", "Precision, weighted", "precision weighted by how often each class occurs", True
    ),
    Metric("weighted_recall", "Recall, weighted", "recall weighted by how often each class occurs", True),
    Metric("weighted_f1", "F1, weighted", "F1 weighted by how often each class occurs", True),
    Metric(
        "macro_auroc", "AUROC, macro", "mean over classes of P(s⁺ > s⁻) + ½P(tie), one against the rest", True
    ),
    Metric(
        "macro_auprc",
        "mAP",
        "mean over classes of average precision Σ (Rₙ − Rₙ₋₁)Pₙ, one against the rest",
        True,
    ),
    Metric("mcc", "MCC", "Matthews correlation of predicted and actual class", True, low=-1.0),
    Metric(
        "log_loss",
        "Log loss",
        "cross-entropy against the label, nats an image",
        False,
        unit="nats",
        high=None,
    ),
    Metric(
        "brier",
        "Brier score",
        "mean squared distance of the probabilities to the label, 0 to 2",
        False,
        high=2.0,
    ),
    _calibration(
        "ece_equal_width_15",
        "ECE",
        "Σ share·|accuracy − confidence| of the top class, 15 bins of equal width",
    ),
    _calibration(
        "mce_equal_width_15", "MCE", "largest |accuracy − confidence| of the 15 bins of equal width"
    ),
    _calibration("rms_equal_width_15", "RMS", "√(Σ share·(accuracy − confidence)²), 15 bins of equal width"),
    _calibration("ece_equal_mass_15", "ECE, adaptive", "as ECE, 15 bins of equally many images"),
    _calibration("mce_equal_mass_15", "MCE, adaptive", "as MCE, 15 bins of equally many images"),
    _calibration("rms_equal_mass_15", "RMS, adaptive", "as RMS, 15 bins of equally many images"),
    _calibration(
        "rms_equal_mass_100",
        "RMS, 100 a bin",
        "as RMS, 100 images a bin by rising confidence, the last takes the rest",
    ),
    _calibration(
        "classwise_ece_15",
        "ECE, classwise",
        "mean over classes of the ECE of p̂ₖ against [y = k], equal width",
    ),
    _calibration(
        "classwise_ece_equal_mass_15", "ACE", "as ECE, classwise, with 15 bins of equally many images a class"
    ),
    Metric(
        "confidence_gap",
        "Confidence − accuracy",
        "mean confidence less accuracy; above 0 is over-confident",
        None,
        "calibration",
        low=-1.0,
    ),
    Metric(
        "aurc",
        "AURC",
        "area under the risk–coverage curve: mean error over all thresholds",
        False,
        "selective",
    ),
    Metric(
        "excess_aurc",
        "Excess AURC",
        "AURC less that of the best order with as many errors",
        False,
        "selective",
    ),
    _people(
        "human_cross_entropy",
        "CE, human labels",
        "cross-entropy against the distribution of human answers, nats",
        False,
        unit="nats",
        high=None,
        floor="mean entropy of the human labels: no prediction comes below",
        ceiling="another panel of as many people",
    ),
    _people(
        "human_kl",
        "KL, human labels",
        "cross-entropy less the entropy of the human labels",
        False,
        unit="nats",
        high=None,
        floor=_KNOWING,
        ceiling="another panel of as many people",
    ),
    _people(
        "human_brier",
        "Brier, human labels",
        "mean squared distance to the human distribution, 0 to 2",
        False,
        high=2.0,
        floor=_KNOWING,
        ceiling="another panel of as many people",
    ),
    _people(
        "human_total_variation",
        "Total variation",
        "mean of ½Σ|p̂ − q|",
        False,
        floor="what knowing everybody's answers would reach on these votes: as two panels of twice as many people",
        ceiling="another panel of as many people",
    ),
    _people(
        "entropy_correlation_pearson",
        "Entropy correlation",
        "Pearson's r of the entropies of p̂ and q",
        True,
        low=-1.0,
        ceiling="another panel of as many people (Spearman–Brown)",
    ),
    _people(
        "entropy_correlation_spearman",
        "Entropy correlation, ranks",
        "Spearman's ρ of the entropies of p̂ and q",
        True,
        low=-1.0,
        ceiling="another panel of as many people (Spearman–Brown)",
    ),
    _people(
        "human_top1_agreement",
        "Agreement with most people",
        "share of images whose most probable class is the one most people chose; of t tied classes one counts 1/t",
        True,
        floor="always naming the class that people name most",
        ceiling="half of the people against the other half, not corrected: too low",
    ),
    _people(
        "human_ece",
        "ECE, human labels",
        "as ECE with q of the predicted class in place of right or wrong",
        False,
        interval="norm",
        floor=_NOISE,
        ceiling="half of the people against the other half, not corrected: too high",
    ),
    Metric(
        "mixup_agreement_top1",
        "Agreement with mixup",
        "share of mixed images, |λ − ½| ≥ ¼, whose most probable class is that of the larger part",
        None,
        "mixup",
        "mixed",
        interval="Wilson",
    ),
    Metric(
        "mixup_agreement_cross_entropy",
        "CE, λ",
        "cross-entropy against the mixup label (λ, 1 − λ), nats",
        None,
        "mixup",
        "mixed",
        unit="nats",
        high=None,
    ),
)
BY_KEY = {metric.key: metric for metric in METRICS}
