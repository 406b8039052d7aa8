"""What a run's figures say about it, in the words of a checklist: symptom, evidence, remedy.

One table of rules. A rule that cannot be judged says what is missing, so that nothing looks healthy for want of a
measurement. What each rule looks at is in `symptoms`, what it is
given in `evidence`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from training.evaluation import symptoms as s
from training.evaluation.evidence import Evidence

Level = Literal["red", "yellow", "note"]
State = Literal["found", "not found", "not assessed"]


@dataclass(frozen=True)
class Rule:
    """A named symptom: when it counts (`threshold`, in words), its likely `cause`, what to do, and how grave it is.
    `of_test`: it looks at what the model made of the test images."""

    key: str
    name: str
    level: Level
    threshold: str
    cause: str
    remedy: str
    judge: Callable[[Evidence], s.Outcome]
    of_test: bool = False


@dataclass(frozen=True)
class Finding:
    """What one rule says: `numbers` are its evidence where it was judged, `missing` what it would have needed."""

    rule: Rule
    state: State
    numbers: s.Numbers
    missing: str | None


RULES = (
    Rule(
        "over_fitting",
        "Over-fitting",
        "yellow",
        f"over the last {s.WINDOW} epochs validation loss rises while training loss falls (Theil–Sen slopes, 95 % "
        f"intervals without 0), or their gap is more than {s.GAP_FACTOR:g} times that of the best epoch and more than "
        f"{s.LEAST_GAP:g} nats in a model that learns; both losses less H(q)",
        "the model learns the training images by heart",
        "add data or augmentation, train for fewer epochs",
        s.over_fitting,
    ),
    Rule(
        "not_learning",
        "Training loss does not fall",
        "red",
        f"training loss, less H(q), ends above what it was after its first epoch, or less than {s.LEAST_FALL:.0%} "
        f"below that, with more than {s.LEAST_GAP:g} nats left to learn, or rises over the last {s.WINDOW} epochs "
        f"(Theil–Sen slope, 95 % interval above 0) to more than {s.LEAST_GAP:g} nats above its best",
        "the learning rate is far too high, or the labels do not belong to the images",
        "lower the learning rate or clip gradients; look whether labels and images belong together",
        s.not_learning,
    ),
    Rule(
        "sharp_change",
        "Sudden change",
        "yellow",
        f"validation loss rises in one epoch by more than {s.ROBUST_SDS:g} robust standard deviations of the "
        f"{s.LEAST_RECENT} to {s.RECENT} changes before; the first {s.LEAST_RECENT} changes are not judged",
        "the learning rate is too high",
        "lower the learning rate, warm up for longer, or clip gradients",
        s.sharp_change,
    ),
    Rule(
        "fluctuating",
        "Fluctuating validation",
        "yellow",
        f"over the last {s.WINDOW} epochs validation accuracy fluctuates by a standard deviation > {s.SCATTER:g} (from "
        f"second differences), or ends more than {s.DROP:g} below its best",
        "the learning rate stays too high to the end, or the validation images are few",
        "let the learning rate fall to 0, average the weights, or set more validation images apart",
        s.fluctuating,
    ),
    Rule(
        "plateau",
        "Plateau",
        "note",
        f"the best validation loss fell by at most {s.LEAST_GAIN:g} nats in the last {s.PATIENCE} epochs, and training "
        "loss falls",
        "learning has settled",
        "stop: more epochs of this schedule bring nothing",
        s.plateau,
    ),
    Rule(
        "conservative",
        "High precision, low recall",
        "yellow",
        f"precision − recall > {s.CLASS_GAP:g} for a class",
        "the model is conservative: it names the class only where it is sure",
        "show it more of the class, weight the class, lower its threshold, or take a larger net",
        s.conservative,
        of_test=True,
    ),
    Rule(
        "noisy_labels",
        "Low precision, high recall",
        "yellow",
        f"recall − precision > {s.CLASS_GAP:g} for a class",
        "noisy labels: images of other classes carry this one's label, or the other way round",
        "clean the labels of the classes that are taken for it, or raise its threshold",
        s.noisy_labels,
        of_test=True,
    ),
    Rule(
        "too_small",
        "Low precision and recall",
        "red",
        f"precision and recall both < {s.LOW:g} for a class",
        "the model is too small, or was not trained for long enough",
        "take a larger net or more epochs",
        s.too_small,
        of_test=True,
    ),
    Rule(
        "unhealthy",
        "Outside the healthy band",
        "note",
        f"precision or recall of a class is not above {s.HEALTHY:g}",
        "the class is hard to tell from another",
        "look at the confusion matrix for what the class is taken for",
        s.unhealthy,
        of_test=True,
    ),
    Rule(
        "accuracy_paradox",
        "Accuracy paradox",
        "red",
        f"accuracy − balanced accuracy > {s.PARADOX_GAP:g}, or a class of at least {s.LEAST_SUPPORT} images has recall "
        f"< {s.LOW:g} while accuracy > {s.PARADOX_ACCURACY:g}",
        "a rare class is missed, and weighs next to nothing in accuracy",
        "judge by balanced accuracy and by class, raise recall of the missed class even at some cost in accuracy",
        s.accuracy_paradox,
        of_test=True,
    ),
    Rule(
        "leakage",
        "Leakage",
        "red",
        "any evaluation image is trained on, is a parent of a mixed image, or has the pixels of a training image",
        "images were mixed before the splits were made",
        "split before pairs are drawn, and train again",
        s.leakage,
    ),
    Rule(
        "near_duplicate",
        "Near-duplicates across splits",
        "yellow",
        "any evaluation image has a near-duplicate among the training images",
        "the same picture is in the image set more than once",
        "look at the pairs; leave those images out of the evaluation, or say how many they are",
        s.near_duplicate,
    ),
    Rule(
        "equal_accuracy",
        "Suspiciously equal",
        "yellow",
        f"training and test accuracy within {s.EQUAL_ACCURACY:.1%} of each other while the test accuracy is "
        f"< {s.HARD_DATA:g}",
        "test images among the training images, or a model too small to learn either",
        "check that the test images are not trained on",
        s.equal_accuracy,
        of_test=True,
    ),
    Rule(
        "robustness_ignored",
        "Robustness ignored",
        "yellow",
        "no corruptions or no attacks were evaluated",
        "the configuration names none",
        "evaluate both: what mixing gains may show there only",
        s.robustness_ignored,
    ),
    Rule(
        "fails_on_mixed",
        "Fails on mixed images",
        "yellow",
        f"on held-out mixed images, agreement with mixup (top class against the larger parent, |λ − 0.5| ≥ "
        f"{s.CLEAR_E4 / 1e4:g}) < {s.LEAST_AGREEMENT:g}, or KL to labels from answers no better than a uniform guess",
        "the model fits the mixed images that it saw, not mixing",
        "train on more mixed images, or on labels from more answers",
        s.fails_on_mixed,
    ),
    Rule(
        "miscalibrated",
        "Miscalibrated",
        "yellow",
        "the interval of the ECE, what chance adds to it taken off, leaves 0 out",
        "confidence outgrew accuracy in training, or soft labels held it down",
        "report figures after temperature scaling too; T* < 1 is under-confidence, usual after mixup",
        s.miscalibrated,
        of_test=True,
    ),
)


def diagnose(evidence: Evidence) -> list[Finding]:
    """What every rule says, in the order of the table."""
    return [_finding(rule, rule.judge(evidence)) for rule in RULES]


def _finding(rule: Rule, outcome: s.Outcome) -> Finding:
    if isinstance(outcome, str):
        return Finding(rule, "not assessed", {}, outcome)
    return Finding(rule, "found" if outcome.fires else "not found", outcome.numbers, None)
