"""Sections on people: how far they agree with themselves and with each other, their times, and how many answered."""

from __future__ import annotations

from hilmix.core.analysis import habits, reliability
from hilmix.core.analysis.table import BINS, Kind
from hilmix.core.planning import reliability as reliability_of_mean
from hilmix.figures import Series
from hilmix.hub.answer_figures.look import Look, Point, Row, Section, r, table

KINDS: tuple[Kind, ...] = ("share", "midpoint", "classes")
DIFFERENCES = {
    "share": "perceived λ",
    "midpoint": "the midpoint",
    "classes": "the shares of classes (total variation)",
}
RETEST = (
    "difference of", "repeats", "people", "median", "low", "high", "threshold", "share over it", "low", "high",
)  # fmt: skip


def retest(look: Look) -> Section:
    found = [
        (one.name, kind, retested)
        for kind in KINDS
        for one in look.of(kind)
        if (retested := reliability.retest(one.answers, look.rng)) is not None
    ]
    if not found:
        return "nobody was asked anything twice"
    series, readings = [], []
    rows: list[Row] = []
    for group, (name, kind, one) in enumerate(found):
        series.append(Series(name, tuple((float(i), n / one.n) for i, n in enumerate(one.binned)), group))
        median = (one.median, *(one.median_interval or (None, None)))
        over = (one.threshold, one.over.mean, *(one.over.interval or (None, None)))
        rows.append((name, DIFFERENCES[kind], one.n, one.over.n_people, *median, *over))
        readings.append(
            look.named(
                name,
                f"An answer and its repeat differ by {one.median:.3g} (median, {one.n} repeats);"
                f" {100 * one.over.mean:.0f}% by more than {one.threshold:g}.",
            )
        )
    bins = [f"to {high:g}" for high in BINS[1:]]
    return look.figure(
        key="retest",
        kind="bars",
        title="First answer and repeat",
        definition="How far repeats are from the same person's first answer to the same. Differences are 0–1; of"
        " answers about classes, half the sum of the differences of all shares. Intervals: of the"
        " median by resampling people, of the share over the threshold clustered by person.",
        x_label="|first answer − repeat|",
        y_label="share of repeats",
        series=tuple(series),
        table=table("|first answer − repeat|, 0–1.", RETEST, rows, [name for name, *_ in found]),
        reading=" ".join(readings),
        x_categories=("none", *bins),
    )


COEFFICIENTS = {
    "alpha": "Krippendorff's α",
    "icc": "ICC(1)",
    "image": "ICC(1) of perceived λ − g(λ)",
}


def agreement(look: Look) -> Section:
    found = [
        (name, known)
        for kind in KINDS
        for name, answers in look.main(kind)
        if (known := reliability.agreement(answers.first, look.rng)) is not None
    ]
    rows: list[Row] = []
    points: list[Point] = []
    places: list[str] = []
    readings = []
    for name, known in found:
        for coefficient, label in COEFFICIENTS.items():
            if (value := getattr(known, coefficient)) is None:
                continue
            low, high = value[1] or (None, None)
            of_mean: list[float | None] = [None, None]
            if coefficient != "alpha":
                rho = max(0.0, value[0])
                of_mean = [reliability_of_mean(rho, k) for k in (known.per_unit, 9)]
            rows.append((name, label, known.n, known.n_people, known.n_units, value[0], low, high, *of_mean))
            points.append((float(len(places)), value[0], low, high))
            places.append(look.named(name, label))
        if known.alpha is not None:
            readings.append(look.named(name, f"Krippendorff's α is {r(known.alpha)}."))
        if known.image is not None:
            rho = max(0.0, known.image[0])
            readings.append(
                look.named(
                    name,
                    f"Within one λ, images explain {r(known.image)} of the variance, so a mean of {known.per_unit:.1f}"
                    f" answers has a reliability of {reliability_of_mean(rho, known.per_unit):.2f}, of 9 answers"
                    f" {reliability_of_mean(rho, 9):.2f}.",
                )
            )
    if not rows:
        return "no image or pair was answered by two people"
    caption = (
        "Agreement of each person's first answers; intervals by resampling images or pairs. Reliability of a mean:"
        " Spearman and Brown, of the mean number of answers that there are, and of 9."
    )
    columns = (
        "coefficient", "n", "people", "images or pairs", "value", "low", "high",
        "reliability of a mean", "of 9 answers",
    )  # fmt: skip
    return look.figure(
        key="agreement",
        kind="forest",
        title="Agreement between people",
        definition="Krippendorff's α of what was said (numbers: interval scale; classes: the class named first,"
        " nominal, without who named none); ICC(1) of what was said, which is high because λ differs between images;"
        " and ICC(1) of perceived λ less the mean g(λ) at each λ: what people see alike in one image and not in others"
        " of the same λ. Intervals: of other images with these people.",
        x_label="agreement",
        y_label="",
        series=(Series("value", tuple(points), 0),),
        table=table(caption, columns, rows, [name for name, _ in found]),
        reading=" ".join(readings),
        y_categories=tuple(places),
        reference=0.0,
    )


def times(look: Look) -> Section:
    found = [
        (one.name, steps, habits.quantiles_ms(one.answers))
        for one in look.asked
        if (steps := list(habits.times(one.answers)))
    ]
    if not found:
        return "this study does not keep times"
    rows: list[Row] = []
    readings, series = [], []
    for group, (name, steps, quantiles) in enumerate(found):
        points = ((float(t.first), t.median / 1000, t.low / 1000, t.high / 1000) for t in steps)
        series.append(Series(name, tuple(points), group))
        for t in steps:
            trial = str(t.first) if t.first == t.last else f"{t.first}–{t.last}"
            rows.append((name, trial, t.n, t.low / 1000, t.median / 1000, t.high / 1000))
        assert quantiles is not None  # some were kept
        low, median, high = (value / 1000 for value in quantiles)
        readings.append(
            look.named(
                name,
                f"Half of all answers take up to {median:.1f} s, a tenth {low:.1f} s, nine in ten {high:.1f} s.",
            )
        )
    return look.figure(
        key="times",
        kind="curve",
        title="Time per trial",
        definition="Seconds on the page of a trial, repeats included, by its position: median; the band holds the"
        " middle half of the answers (no interval of the median).",
        x_label="position of the trial",
        y_label="seconds",
        series=tuple(series),
        table=table(
            "Seconds per trial.",
            ("trial", "n", "quarter", "median", "three quarters"),
            rows,
            [n for n, *_ in found],
        ),
        reading=" ".join(readings),
    )


def coverage(look: Look) -> Section:
    found = [(one.name, habits.coverage(one.answers.main, one.n_units)) for one in look.asked]
    if not found:
        return "there is no answer"
    most = max(len(counts) for _, counts in found)
    series, rows, readings = [], [], []
    for group, (name, counts) in enumerate(found):
        points = tuple((float(k), float(n)) for k, n in enumerate(counts))
        series.append(Series(name, points, group))
        rows += [(name, k, int(n)) for k, n in enumerate(counts) if n]
        have = [k for k, n in enumerate(counts) if n]
        answers = sum(k * int(n) for k, n in enumerate(counts))
        readings.append(
            look.named(
                name, f"{answers} answers to {counts.sum()} images or pairs, {have[0]} to {have[-1]} each."
            )
        )
    return look.figure(
        key="coverage",
        kind="bars",
        title="Coverage",
        definition="How many of the study's images or pairs have so many answers of people who count; without repeats.",
        x_label="answers",
        y_label="images or pairs",
        series=tuple(series),
        table=table(
            "Images or pairs by number of answers.",
            ("answers", "images or pairs"),
            rows,
            [n for n, _ in found],
        ),
        reading=" ".join(readings),
        x_categories=tuple(str(k) for k in range(most)),
    )
