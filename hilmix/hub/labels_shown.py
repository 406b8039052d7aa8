"""The labels of one mixed image side by side: mixup's, what people say on average, and those of a release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
from django.utils.translation import gettext as _

from elicitation.mixes.models import MixedImage
from elicitation.studies.models import Condition, Mode
from hilmix.accounts.models import User
from hilmix.core.judgements import Unit
from hilmix.core.mixing import class_text, lambda_text
from hilmix.core.softlabels import Floats, build_label_set
from hilmix.figures import Figure, Series, Table
from hilmix.hub.answers_shown import (
    RELATED,
    Counting,
    Mean,
    ShownAnswer,
    answers_shown,
    condition_in_words,
    means_of,
)
from hilmix.hub.models import Release

MOST_CLASSES = 4  # named of a label, those with most
MIXUP = "mixup"


@dataclass(frozen=True)
class ShownLabel:
    """A label of one mixed image.

    `lambda_` share of the first class, 0–1, None where the label has none · `interval` 95% · `shares` class and share,
    0–1, of the classes with most · `n` answers used · `predicted` nobody was asked about this image.
    """

    name: str
    meaning: str
    asked: str
    n: int
    lambda_: float | None
    interval: tuple[float, float] | None
    shares: Sequence[tuple[str, float]]
    predicted: bool = False


def mixup_label(image: MixedImage) -> ShownLabel:
    """What mixup makes up."""
    classes = image.pair.image_set.classes
    unit = Unit(image.key, image.lambda_e4, image.pair.first_class, image.pair.second_class, ())
    (row,) = build_label_set(MIXUP, [unit], len(classes)).rows
    return ShownLabel(
        MIXUP, _("nobody was asked"), "", 0, row.lambda_, None, _shares(row.probabilities, classes)
    )


def people_as_labels(image: MixedImage, means: Iterable[Mean]) -> Iterator[ShownLabel]:
    """What people say on average, for each way of asking; not where they named a midpoint, which is about a pair."""
    for mean in means:
        if mean.shares is not None:
            yield ShownLabel(
                name=_("people, on average"),
                meaning=_("the mean of the answers that count now"),
                asked=condition_in_words(mean.condition),
                n=mean.n,
                lambda_=mean.number,
                interval=None,
                shares=_shares(mean.shares, image.pair.image_set.classes),
            )


def labels_of_release(
    image: MixedImage, release: Release, conditions: Iterable[Condition]
) -> list[ShownLabel]:
    """The labels that a release stores of the mixed image, mixup's not among them: it is the same everywhere.

    The table stands by label set, so all of its keys are looked at: a quarter of a second of a million labels.
    """
    asked = {condition.key: condition_in_words(condition) for condition in conditions}
    opened = release.opened
    meanings = {entry.get("name", entry["policy"]): entry["meaning"] for entry in opened.label_sets}
    path = release.directory / "data" / "labels.parquet"
    rows = pq.read_table(path, filters=[("key", "=", image.key), ("policy", "!=", MIXUP)]).to_pylist()
    return [
        ShownLabel(
            name=row["policy"],
            meaning=meanings[row["policy"]],
            asked=asked.get(row.get("condition"), ""),
            n=row["n"],
            lambda_=row["lambda"],
            interval=None if row["low"] is None else (row["low"], row["high"]),
            shares=_shares(np.array(row["soft_label"]), opened.classes),
            predicted=bool(row.get("predicted")),
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Shown:
    """What people say of a mixed image, beside its labels: mixup's, people's mean, those of the newest release that the
    person who looks may see."""

    answers: Sequence[ShownAnswer]
    labels: Sequence[ShownLabel]
    release: Release | None


def shown_of(image: MixedImage, counting: Counting, person: User) -> Shown:
    """Every live answer about the image or its pair, by participation and trial, checks not among them."""
    live = counting.answers().filter(counting.about([image]), trial__participation__mode=Mode.LIVE)
    ordered = live.order_by("trial__participation_id", "trial__position")
    answers = answers_shown(counting, ordered.select_related(*RELATED))
    labels = [mixup_label(image), *people_as_labels(image, means_of(counting, answers))]
    releases = Release.objects.visible_to(person).filter(study=counting.study).select_related("study")
    release = releases.order_by("-number").first()
    if release is not None:
        labels += labels_of_release(image, release, counting.conditions.values())
    return Shown(answers, labels, release)


def label_figure(image: MixedImage, labels: Sequence[ShownLabel], source: str) -> Figure | None:
    """The shares of the first class beside λ; None where no label but mixup's has one."""
    drawn = [label for label in labels if label.lambda_ is not None]
    if len(drawn) < 2:
        return None
    first = class_text(image.pair.image_set.classes[image.pair.first_class])
    points = tuple((row, label.lambda_, *(label.interval or (None, None))) for row, label in enumerate(drawn))
    share = _("share of %(first)s, the first image") % {"first": first}
    return Figure(
        key="labels",
        kind="forest",
        title=_("What each label gives to %(first)s") % {"first": first},
        definition=_(
            "The share of the first image in each label, with its 95% interval where it has one; the line is λ."
        ),
        x_label=share,
        y_label=_("label"),
        series=(Series(share, points, 0),),
        table=Table(
            _("Share of the first image"),
            (_("Label"), _("Asked"), _("Answers"), _("Share"), _("Low"), _("High")),
            tuple(
                (label.name, label.asked, label.n, label.lambda_, *(label.interval or (None, None)))
                for label in drawn
            ),
        ),
        source=source,
        reading=_("λ is %(value)s; where a label stands apart from the line, people see it otherwise.")
        % {"value": lambda_text(image.lambda_e4)},
        y_categories=tuple(label.name for label in drawn),
        reference=image.lambda_e4 / 10_000,
    )


def _shares(probabilities: Floats, classes: Sequence[str]) -> list[tuple[str, float]]:
    most = np.argsort(-probabilities, kind="stable")[:MOST_CLASSES]
    return [(classes[k], float(probabilities[k])) for k in most if probabilities[k] > 0]
