"""The figure beside each symptom that was found: what the run that shows it looked like, computed with the report.

Pure: arms and findings in, figures as JSON out. One a symptom, of the arm that shows it in most seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hilmix.figures import Cell, Figure, Item, Picture, Series, Table, needs_log
from training.evaluation import calibration, symptoms
from training.evaluation.evidence import Floats, Ints
from training.evaluation.near_duplicates import Pair
from training.evaluation.symptoms import precision_recall
from training.reports.confusion import confusion_of
from training.reports.cooling import at_temperature
from training.reports.drawing import BINS
from training.reports.headline import short
from training.reports.inputs import ArmResult, RunResult
from training.reports.telling import class_name

MOST_CLASSES = 12  # drawn side by side; all of them are on the page of the run
MOST_PAIRS = 12
_LAMBDA_BINS = 10
_KEPT = ("precision", "recall")


@dataclass(frozen=True)
class _Case:
    """A finding, the run that it is drawn from, and what its figure is called and cites."""

    finding: Mapping[str, Any]
    run: RunResult
    classes: Sequence[str]
    title: str
    source: str

    @property
    def numbers(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.finding["numbers"]
        return found

    def figure(
        self, kind: Any, what: str, definition: str, x: str, y: str, series: Sequence[Series], table: Table,
        reading: str, **more: Any,
    ) -> Figure:  # fmt: skip
        return Figure(
            self.finding["rule"], kind, f"{what}: {self.title}", definition, x, y, tuple(series), table, self.source,
            reading=reading, **more,
        )  # fmt: skip


def figures_of(
    arms: Sequence[ArmResult],
    diagnosis: Mapping[str, Sequence[Mapping[str, Any]]],
    classes: Sequence[str],
    source: str,
) -> dict[str, dict[str, Any]]:
    """By rule its `figure`, and the `arm` and `seed` of the run that is drawn; nothing for rules that are not found, or
    of which there is nothing to draw."""
    found: dict[str, dict[str, Any]] = {}
    for rule, draw in _DRAWN.items():
        shown = [
            (arm, one)
            for arm in arms
            for one in diagnosis[arm.name]
            if one["rule"] == rule and one["state"] == "found"
        ]
        if not shown:
            continue
        arm, finding = max(shown, key=lambda pair: pair[1]["n_found"] / pair[1]["n_seeds"])
        run = next(one for one in arm.runs if one.seed == finding["seed"])
        title = f"{arm.name}, seed {run.seed}"
        figure = draw(_Case(finding, run, classes, title, f"{source}; {title}"))
        if figure is not None:
            found[rule] = {"arm": arm.name, "seed": run.seed, "figure": figure.as_dict()}
    return found


def copies(
    pairs: Sequence[Pair],
    training: Ints,
    evaluation: Ints,
    source: str,
    address: Callable[[int], str],
) -> dict[str, Any]:
    """The gallery of near-duplicates, most alike first: `training` and `evaluation` are the places of the compared
    images in the image set, `address(place)` is where a picture is."""
    shown = pairs[:MOST_PAIRS]
    places = [(int(evaluation[one.evaluation]), int(training[one.training])) for one in shown]
    items = tuple(
        Item(
            (
                Picture(address(judged), f"test image {judged}"),
                Picture(address(learnt), f"training image {learnt}"),
            ),
            f"{judged} and {learnt}: pixels {one.pixels:.2f}, edges {one.edges:.2f}{', mirrored' * one.mirrored}",
        )
        for one, (judged, learnt) in zip(shown, places, strict=True)
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (*both, one.pixels, one.edges, "yes" if one.mirrored else "no")
        for one, both in zip(shown, places, strict=True)
    )
    heads = ("Test image", "Training image", "pixels", "edges", "mirrored")
    figure = Figure(
        "near_duplicate", "gallery", "Near-duplicates across splits",
        "Test image left, training image (or parent of a mixed image) right, most alike first. Below: the correlation "
        "of their pixels and of the differences between neighbours.",
        "", "", (), Table("Pairs by their places in the image set", heads, rows), source,
        reading=f"{len(pairs)} pair{'s' * (len(pairs) != 1)} found"
        f"{f', {len(shown)} shown' * (len(shown) < len(pairs))}; "
        f"the most alike correlate by {pairs[0].pixels:.2f}.",
        items=items,
    )  # fmt: skip
    return {"arm": None, "seed": None, "figure": figure.as_dict()}


def _losses(case: _Case) -> Figure:
    """Both losses less the entropy of their targets, as the rules compare them."""
    epochs = case.run.curves
    train = [one["train_loss"] - (one.get("train_floor") or 0.0) for one in epochs]
    watched = [one["validation_loss"] for one in epochs]
    best = case.numbers.get("best_epoch")
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (epoch, *both) for epoch, both in enumerate(zip(train, watched, strict=True), 1)
    )
    return case.figure(
        "curve", "Losses",
        "After each epoch: training loss less the mean entropy of its targets, which no model can undercut, and "
        "validation loss against the labels.",
        "epoch", "nats", (_line("training, less its floor", train, 0), _line("validation", watched, 1)),
        Table("Losses after each epoch", ("Epoch", "training, less its floor", "validation"), rows),
        _LOSSES_SAY[case.finding["rule"]](case.numbers, len(epochs), best), log_y=needs_log([*train, *watched]),
    )  # fmt: skip


_LOSSES_SAY: dict[str, Callable[[Mapping[str, Any], int, Any], str]] = {
    "over_fitting": lambda n, epochs, best: (
        f"Validation was best after epoch {best}, {short(n['gap_at_best'])} nats above training; "
        f"after epoch {epochs} it is {short(n['gap'])} above it."
    ),
    "not_learning": lambda n, epochs, best: (
        f"Training loss less its floor is {short(n['first'])} nats after epoch 1 and {short(n['last'])} after epoch "
        f"{epochs}; it was least after epoch {n['best_epoch']}."
    ),
    "sharp_change": lambda n, epochs, best: (
        f"At epoch {n['epoch']} validation loss rises by {short(n['change'])} nats, {n['robust_sds']:.0f} robust "
        "standard deviations of the changes before."
    ),
    "plateau": lambda n, epochs, best: (
        f"Validation was best after epoch {best}; the last {symptoms.PATIENCE} of {epochs} epochs gained "
        f"{short(n['gain'])} nats."
    ),
}


def _accuracy(case: _Case) -> Figure:
    values = [one["validation_accuracy"] for one in case.run.curves]
    best = max(values)
    rows: tuple[tuple[Cell, ...], ...] = tuple(enumerate(values, 1))
    numbers = case.numbers
    return case.figure(
        "curve", "Validation accuracy",
        "Share of the validation images that is right after each epoch. Dashed: its best.",
        "epoch", "share correct",
        (_line("validation", values, 1), Series("its best", ((1, best), (len(values), best)), 5, "dashed")),
        Table("Validation accuracy after each epoch", ("Epoch", "validation"), rows),
        f"Over the last {symptoms.WINDOW} epochs it fluctuates by {short(numbers['scatter'])}, and ends "
        f"{short(numbers['drop']) + ' below' if numbers['drop'] else 'at'} its best, of epoch {numbers['best_epoch']}.",
    )  # fmt: skip


def _by_class(case: _Case) -> Figure | None:
    """Precision and recall of the classes that the rule names first, then of the others."""
    matrix = confusion_of(case.run)
    if matrix is None:
        return None
    precision, recall, support = precision_recall(matrix)
    names = [class_name(number, case.classes) for number in range(len(matrix))]
    told = set(case.numbers.get("classes") or ())
    order = sorted(
        map(int, np.flatnonzero(support > 0)),
        key=lambda k: (names[k] not in told, min(precision[k], recall[k])),
    )
    shown = order[:MOST_CLASSES]
    values = {"precision": precision, "recall": recall}
    rows: list[tuple[Cell, ...]] = [
        (names[k], int(support[k]), float(precision[k]), float(recall[k]), _taken_for(matrix, k, names))
        for k in order
    ]
    some = f"; the {MOST_CLASSES} of {len(order)} that matter most to it" if len(order) > len(shown) else ""
    return case.figure(
        "bars", "Precision and recall",
        f"By class, on the {int(matrix.sum())} test images, first the classes that the symptom is about{some}. "
        "Precision is of what was given a class, recall of the images of it.",
        "class", "share", [
            Series(key, tuple((float(place), float(values[key][k])) for place, k in enumerate(shown)), group)
            for group, key in enumerate(_KEPT)
        ],
        Table("By class", ("Class", "Images", "precision", "recall", "Most often taken for"), tuple(rows)),
        _classes_say(case, [k for k in order if names[k] in told] or order[:1], names, precision, recall),
        x_categories=tuple(names[k] for k in shown),
    )  # fmt: skip


def _classes_say(
    case: _Case, about: Sequence[int], names: Sequence[str], precision: Floats, recall: Floats
) -> str:
    if case.finding["rule"] == "accuracy_paradox":
        numbers = case.numbers
        least = min(about, key=lambda k: recall[k])
        return (
            f"Accuracy is {numbers['accuracy']:.3f}, but {numbers['balanced_accuracy']:.3f} with every class counted "
            f"alike: recall of {names[least]} is {recall[least]:.3f}."
        )
    worst = max(about, key=lambda k: _CLASS_GAPS[case.finding["rule"]](float(precision[k]), float(recall[k])))
    return (
        f"{len(about)} of {len(names)} classes; most of all {names[worst]}: precision {precision[worst]:.3f}, recall "
        f"{recall[worst]:.3f}."
    )


_CLASS_GAPS: dict[str, Callable[[float, float], float]] = {
    "conservative": lambda precision, recall: precision - recall,
    "noisy_labels": lambda precision, recall: recall - precision,
    "too_small": lambda precision, recall: -max(precision, recall),
    "unhealthy": lambda precision, recall: -min(precision, recall),
}


def _taken_for(matrix: Ints, k: int, names: Sequence[str]) -> str:
    others = np.where(np.arange(len(matrix)) == k, 0, matrix[k])
    return f"{names[int(others.argmax())]} ({int(others.max())})" if others.any() else "none"


def _leaked(case: _Case) -> Figure:
    numbers = case.numbers
    names = ("trained on", "parent of a mixed image", "pixels of a training image")
    counts = tuple(int(numbers[key]) for key in ("trained_on", "parents", "identical"))
    most = max(range(len(counts)), key=counts.__getitem__)
    return case.figure(
        "bars", "Evaluation images that training has seen",
        "Number of evaluation images that are trained on themselves, are a parent of a mixed image, or have exactly "
        "the pixels of a training image. Each should be 0.",
        "how it was seen", "evaluation images",
        (Series("evaluation images", tuple((float(k), float(n)) for k, n in enumerate(counts)), 0),),
        Table("Evaluation images", ("How it was seen", "images"), tuple(zip(names, counts, strict=True))),
        f"Most often: {names[most]}, {counts[most]} image{'s' * (counts[most] != 1)}.", x_categories=names,
    )  # fmt: skip


def _equal(case: _Case) -> Figure:
    both = (case.numbers["train_accuracy"], case.numbers["test_accuracy"])
    which = ("training", "test")
    return case.figure(
        "bars", "Accuracy, training and test", "Share correct of plain training images, and of the test images.",
        "images", "share correct", (Series("accuracy", tuple((float(k), one) for k, one in enumerate(both)), 0),),
        Table("Accuracy", ("Images", "share correct"), tuple(zip(which, both, strict=True))),
        f"The two are {short(abs(both[0] - both[1]))} apart.", x_categories=which,
    )  # fmt: skip


def _reliability(case: _Case) -> Figure | None:
    """As trained, and after the temperature of the labels where there is one."""
    ways = {
        "as trained": at_temperature(case.run, "none"),
        "after T of the labels": at_temperature(case.run, "hard"),
    }
    series, rows = [], []
    for group, (name, known) in enumerate(ways.items()):
        if isinstance(known, str):
            continue
        points = [one for one in calibration.curve(known.confidence, known.outcome) if one.n]
        series.append(
            Series(
                name,
                tuple(
                    (one.confidence, one.accuracy, one.n, *(one.band or (None, None)), int(one.thin))
                    for one in points
                ),
                group,
            )
        )
        rows += [
            (name, f"{one.low:.2f}–{one.high:.2f}", one.n, one.confidence, one.accuracy) for one in points
        ]
    if not series:
        return None
    numbers = case.numbers
    after = numbers.get("ece_after")
    mended = "" if after is None else f" After T = {short(numbers['temperature'])} the ECE is {short(after)}."
    return case.figure(
        "reliability", "Reliability",
        f"Share right against mean confidence in {calibration.N_BINS} bins, on the test images. On the diagonal a "
        "model is as often right as it says.",
        "confidence", "accuracy", series,
        Table(
            f"Bins of confidence. {BINS}",
            ("Model", "Confidence", "Images", "mean confidence", "accuracy"), tuple(rows),
        ),
        f"It is {numbers['direction']}: confidence less accuracy is {short(numbers['confidence_less_accuracy'])} on "
        f"average, the ECE {short(numbers['ece'])}.{mended}",
    )  # fmt: skip


def _mixed(case: _Case) -> Figure | None:
    """The probability of the first parent's class against its share, beside what people answered."""
    mixes = case.run.mixes
    if mixes is None:
        return None
    share, rows_of = mixes.lambda_e4 / 10_000, np.arange(len(mixes.lambda_e4))
    which = np.minimum((share * _LAMBDA_BINS).astype(np.int64), _LAMBDA_BINS - 1)
    said = {"model": mixes.probabilities} | ({} if mixes.human is None else {"people": mixes.human})
    series, table = [], []
    for group, (name, p) in enumerate(said.items()):
        first = p[rows_of, mixes.first_class]
        points = []
        for k in range(_LAMBDA_BINS):
            inside = (which == k) & np.isfinite(first)
            if inside.any():
                points.append((float(share[inside].mean()), float(first[inside].mean())))
                table.append(
                    (
                        name,
                        f"{k / _LAMBDA_BINS:.1f}–{(k + 1) / _LAMBDA_BINS:.1f}",
                        int(inside.sum()),
                        *points[-1],
                    )
                )
        series.append(Series(name, tuple(points), group))
    agreement = case.numbers["agreement_with_mixup"]
    clear = (
        f"Of {case.numbers['n_clear']} images with a clearly larger parent, "
        f"the top class is that parent's in {agreement:.0%}."
        if agreement is not None
        else "No image has a clearly larger parent."
    )
    if case.numbers.get("human_kl") is not None:
        clear += (
            f" KL to people is {short(case.numbers['human_kl'])} nats; of a uniform guess "
            f"{short(case.numbers['uniform_kl'])}."
        )
    return case.figure(
        "curve", "Held-out mixed images",
        f"Mean probability of the first parent's class against its share λ, in {_LAMBDA_BINS} bins, on "
        f"{len(share)} mixed images that were held out. On the diagonal it is the share itself.",
        "λ, share of the first parent", "probability of its class", series,
        Table("By λ", ("Who", "λ", "Images", "mean λ", "probability"), tuple(table)), clear, diagonal=True,
    )  # fmt: skip


def _line(name: str, values: Sequence[float], group: int) -> Series:
    return Series(name, tuple((float(epoch), value) for epoch, value in enumerate(values, 1)), group)


_DRAWN: dict[str, Callable[[_Case], Figure | None]] = {
    "over_fitting": _losses,
    "not_learning": _losses,
    "sharp_change": _losses,
    "fluctuating": _accuracy,
    "plateau": _losses,
    "conservative": _by_class,
    "noisy_labels": _by_class,
    "too_small": _by_class,
    "unhealthy": _by_class,
    "accuracy_paradox": _by_class,
    "leakage": _leaked,
    "equal_accuracy": _equal,
    "fails_on_mixed": _mixed,
    "miscalibrated": _reliability,
}
