"""Sections on answers about classes: how uncertain their labels are, and what falls outside of the two mixed."""

from __future__ import annotations

import numpy as np

from hilmix.core.analysis.classes import entropies, mixup_entropy, outside
from hilmix.core.analysis.estimates import by_level, estimate
from hilmix.core.analysis.table import Floats
from hilmix.figures import Series, Style, show
from hilmix.hub.answer_figures.look import (
    ESTIMATE,
    INTERVAL,
    NO_CLASSES,
    Look,
    Point,
    Row,
    Section,
    band,
    cells,
    said,
    table,
)


def entropy(look: Look) -> Section:
    given = look.main("classes")
    if not given:
        return NO_CLASSES
    series: list[Series] = []
    rows: list[Row] = []
    readings = []
    for name, answers in given:
        found = entropies(answers.first, look.rng)
        columns = {"one person": found.one, "two people": found.two, "corrected": found.corrected}
        points: dict[str, list[Point]] = {label: [] for label in columns}
        for shown in np.unique(found.lambda_e4):
            here = found.lambda_e4 == shown
            x, several = float(shown) / 10_000, int((found.n[here] > 1).sum())
            means = {label: _mean(column[here]) for label, column in columns.items()}
            for label, mean in means.items():
                points[label].append((x, mean))
            counts = int(here.sum()), int(found.n[here].sum()), several
            rows.append((name, x, *counts, *means.values(), float(mixup_entropy(np.array(x)))))
        for label, line in points.items():
            series.append(Series(look.named(name, label), tuple(line), len(series)))
        whole = [show(_mean(column)) for column in columns.values()]
        readings.append(
            look.named(
                name, f"One person's label has {whole[0]} bits on average, that of two people {whole[1]}."
            )
        )
    grid = np.linspace(0, 1, 21)
    series.append(
        Series(
            "mixup's label",
            tuple(zip(grid.tolist(), mixup_entropy(grid).tolist(), strict=True)),
            len(series),
            "dashed",
        )
    )
    return look.figure(
        key="entropy",
        kind="curve",
        title="Entropy of people's labels",
        definition="Mean entropy in bits, by λ: of one person's label, of the mean of two people's (over all pairs of"
        " answers to an image, so that images with more answers are not thought more uncertain), and of the mean of all"
        " answers, corrected for their number by the jackknife. What an answer gives to no class is spread evenly over"
        " the classes that it neither excludes nor gives any; one that says nothing has none.",
        x_label="λ, share of the first image",
        y_label="bits",
        series=tuple(series),
        table=table(
            "Entropy in bits, averaged over images; first answers. “Two people” and “corrected” need two answers.",
            ("λ", "images", "answers", "images with two", "one person", "two people", "corrected", "mixup"),
            rows,
            [name for name, _ in given],
        ),
        reading=" ".join(readings),
    )


def _mean(values: Floats) -> float | None:
    """The mean of what is known."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def outside_the_pair(look: Look) -> Section:
    given = look.main("classes")
    if not given:
        return NO_CLASSES
    series: list[Series] = []
    rows, readings = [], []
    for name, answers in given:
        elsewhere, nowhere = outside(answers)
        parts: tuple[tuple[str, Floats, Style], ...] = (
            ("to other classes", elsewhere, "line"),
            ("to no class", nowhere, "dashed"),
        )
        for label, column, style in parts:
            levels = list(by_level(column, answers.person, answers.lambda_))
            line = tuple(band(x, one) for x, one in levels)
            series.append(Series(look.named(name, label), line, len(series), style))
            rows += [(name, label, x, *cells(one)) for x, one in levels]
            whole = estimate(column, answers.person)
            assert whole is not None
            rows.append((name, label, "all", *cells(whole)))
            readings.append(look.named(name, f"{said(whole)} {label}."))
    return look.figure(
        key="outside",
        kind="curve",
        title="Mass outside the two classes",
        definition=f"The share that people give to classes that are not in the mix, and the share given to no class, by"
        f" λ: {INTERVAL}. A mean of shares has no bias of few answers. Percents that sum to more than 100 are scaled.",
        x_label="λ, share of the first image",
        y_label="share of an answer",
        series=tuple(series),
        table=table(
            "Share outside the two classes; repeats left out.",
            ("given", "λ", *ESTIMATE),
            rows,
            [n for n, _ in given],
        ),
        reading=" ".join(readings),
    )
