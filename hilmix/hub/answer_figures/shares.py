"""Sections on perceived shares and midpoints, and on confidence: of the answers that labels count."""

from __future__ import annotations

from collections import Counter

import numpy as np

from hilmix.core.analysis import perceived as seen
from hilmix.core.analysis.estimates import by_level
from hilmix.core.analysis.table import AnswerTable
from hilmix.figures import Figure, Series
from hilmix.hub.answer_figures.look import (
    ESTIMATE,
    INTERVAL,
    NO_MIDPOINTS,
    NO_SHARES,
    Look,
    Section,
    band,
    cells,
    r,
    said,
    table,
)

MOST_PAIRS = 60  # of classes that are drawn; the table has all


def perceived(look: Look) -> Section:
    given = look.main("share")
    if not given:
        return NO_SHARES
    series, rows, farthest = [], [], []
    for group, (name, answers) in enumerate(given):
        levels = list(by_level(answers.value, answers.person, answers.lambda_))
        series.append(Series(look.named(name, "mean"), tuple(band(x, one) for x, one in levels), group))
        series.append(
            Series(look.named(name, "median"), tuple((x, one.median) for x, one in levels), group, "dashed")
        )
        rows += [(name, x, *cells(one), one.median, one.mean - x) for x, one in levels]
        x, one = max(levels, key=lambda level: abs(level[1].mean - level[0]))
        farthest.append(
            look.named(name, f"λ = {x:g} is seen as {said(one)}, the farthest from what was shown.")
        )
    caption = "Perceived λ at each λ shown; repeats and “cannot tell” left out."
    return look.figure(
        key="perceived",
        kind="curve",
        title="Perceived against shown λ",
        definition=f"The share of the first image that people say they see, by its true share: {INTERVAL}; dashed: the"
        " median. On the dotted line perceived and shown λ are the same.",
        x_label="λ, share of the first image",
        y_label="perceived λ",
        series=tuple(series),
        table=table(caption, ("λ", *ESTIMATE, "median", "deviation"), rows, [name for name, _ in given]),
        reading=" ".join(farthest),
        diagonal=True,
    )


def by_class_pair(look: Look) -> list[Figure] | str:
    """One heat for each way of asking: the deviation of each pair of classes, at each λ of its first class."""
    given = look.main("share")
    if not given:
        return NO_SHARES
    return [_pair_heat(look, number, *one) for number, one in enumerate(given, 1)]


def _pair_heat(look: Look, number: int, name: str, answers: AnswerTable) -> Figure:
    classes = look.analysed.classes
    found = [(f"{classes[a]} / {classes[b]}", x, one) for (a, b), x, one in seen.by_class_pair(answers)]
    answered: Counter[str] = Counter()
    for pair, _, one in found:
        answered[pair] += one.n
    most = {pair for pair, _ in answered.most_common(MOST_PAIRS)}
    rows_of = {pair: float(row) for row, pair in enumerate(pair for pair in answered if pair in most)}
    shown = sorted({x for _, x, _ in found})
    points = tuple(
        (float(shown.index(x)), rows_of[pair], one.mean - x, float(one.n))
        for pair, x, one in found
        if pair in most
    )
    left_out = f" The {MOST_PAIRS} pairs with most answers are drawn." if len(answered) > MOST_PAIRS else ""
    pair, x, one = max(found, key=lambda cell: abs(cell[2].mean - cell[1]))
    rows = [(name, pair, x, *cells(one), one.mean - x) for pair, x, one in found]
    return look.figure(
        key="by-pair" if number == 1 else f"by-pair-{number}",
        kind="heat",
        title="Perceived against shown λ by class pair" + ("" if number == 1 else f": {name}"),
        definition="Mean perceived λ less λ, for each pair of classes and each share of the class named first (classes"
        " in the order of the image set, whichever was mixed first). The table has intervals clustered by person."
        + left_out,
        x_label="λ of the class named first",
        y_label="class pair",
        series=(Series(name, points, 0),),
        table=table(
            "Perceived λ by class pair; repeats left out.",
            ("class pair", "λ", *ESTIMATE, "deviation"),
            rows,
            [name],
        ),
        reading=f"Farthest from λ: {pair} at {x:g}, seen as {said(one)} (n = {one.n}); of {len(found)} cells some are"
        " far by chance alone.",
        x_categories=tuple(f"{x:g}" for x in shown),
        y_categories=tuple(rows_of),
    )


def confidence(look: Look) -> Section:
    given = _sure(look)
    if isinstance(given, str):
        return given
    series, rows, readings = [], [], []
    for group, (name, answers) in enumerate(given):
        levels = list(by_level(answers.confidence, answers.person, answers.lambda_))
        series.append(Series(name, tuple(band(x, one) for x, one in levels), group))
        rows += [(name, x, *cells(one), one.median) for x, one in levels]
        least, most = (pick(levels, key=lambda level: level[1].mean) for pick in (min, max))
        readings.append(
            look.named(
                name,
                f"People are least sure at λ = {least[0]:g} ({least[1].mean:.3f}) and surest at {most[0]:g}"
                f" ({most[1].mean:.3f}).",
            )
        )
    return look.figure(
        key="confidence",
        kind="curve",
        title="Confidence against λ",
        definition=f"How sure people say they are (0–1), by λ: {INTERVAL}.",
        x_label="λ, share of the first image",
        y_label="confidence",
        series=tuple(series),
        table=table(
            "Confidence at each λ; repeats left out.", ("λ", *ESTIMATE, "median"), rows, [n for n, _ in given]
        ),
        reading=" ".join(readings),
    )


def confidence_by_deviation(look: Look) -> Section:
    given = _sure(look)
    if isinstance(given, str):
        return given
    series, rows, readings = [], [], []
    for group, (name, answers) in enumerate(given):
        bins = list(seen.confidence_by_deviation(answers))
        series.append(Series(name, tuple(band(round(x, 3), one) for _, _, x, one in bins), group))
        rows += [(name, f"{low:g}–{high:g}", x, *cells(one)) for low, high, x, one in bins]
        follows = seen.confidence_follows(answers, look.rng)
        if follows is not None:
            readings.append(
                look.named(
                    name,
                    f"Confidence goes with how far an answer is from one half, r = {r(follows.extremeness)}, and with"
                    f" how far it is from λ, r = {r(follows.deviation)}.",
                )
            )
    caption = "Confidence of answers by their absolute deviation from λ; repeats left out."
    return look.figure(
        key="confidence-deviation",
        kind="curve",
        title="Confidence against deviation",
        definition=f"How sure people are of answers that are so far from λ: {INTERVAL}; each point stands at the mean"
        " deviation of its answers. r: Pearson, its interval by resampling people.",
        x_label="|perceived λ − λ|",
        y_label="confidence",
        series=tuple(series),
        table=table(caption, ("deviation", "mean deviation", *ESTIMATE), rows, [name for name, _ in given]),
        reading=" ".join(readings),
    )


def _sure(look: Look) -> list[tuple[str, AnswerTable]] | str:
    given = look.main("share")
    if not given:
        return NO_SHARES
    sure = [(name, answers.where(~np.isnan(answers.confidence))) for name, answers in given]
    return [(name, answers) for name, answers in sure if len(answers)] or "nobody was asked how sure they are"


def halves(look: Look) -> Section:
    given = look.main("share")
    if not given:
        return NO_SHARES
    shown = sorted({float(x) for _, answers in given for x in answers.lambda_})
    series: list[Series] = []
    rows, readings = [], []
    for name, answers in given:
        wrong = np.where(answers.lambda_e4 == 5000, np.nan, seen.is_reversed(answers))
        for label, column in (("one half", seen.is_half(answers).astype(np.float64)), ("reversed", wrong)):
            levels = list(by_level(column, answers.person, answers.lambda_))
            points = tuple(band(float(shown.index(x)), one) for x, one in levels)
            series.append(Series(look.named(name, label), points, len(series)))
            rows += [(name, label, x, *cells(one)) for x, one in levels]
        half, turned = seen.halves(answers), seen.reversed_answers(answers)
        assert half is not None  # there are answers
        sentence = f"{100 * half.share:.1f}% of the answers are exactly one half"
        if half.n and half.confidence_uneven is not None:
            sentence += f", {100 * half.n_uneven / half.n:.0f}% of them to uneven mixes (confidence there"
            sentence += f" {half.confidence_uneven:.2f})"
        if turned is not None:
            sentence += f"; {100 * turned.share:.1f}% of those to uneven mixes see more of the lesser image, a third of"
            sentence += f" these by {turned.people_with(1 / 3)} of {turned.n_people} people"
        readings.append(look.named(name, f"{sentence}."))
    return look.figure(
        key="halves",
        kind="bars",
        title="Answers of one half, and reversed answers",
        definition="The share of answers that are exactly one half, which partly says that people cannot tell; and, of"
        f" answers to uneven mixes, the share that sees more of the lesser image: {INTERVAL}.",
        x_label="λ, share of the first image",
        y_label="share of answers",
        series=tuple(series),
        table=table(
            "Answers of one half and reversed ones; repeats left out.",
            ("answers", "λ", *ESTIMATE),
            rows,
            [n for n, _ in given],
        ),
        reading=" ".join(readings),
        x_categories=tuple(f"{x:g}" for x in shown),
    )


STARTS = ("low end of λ", "high end of λ", "all")


def midpoints(look: Look) -> Section:
    given = look.main("midpoint")
    if not given:
        return NO_MIDPOINTS
    series, rows, readings = [], [], []
    for group, (name, answers) in enumerate(given):
        found = seen.midpoints(answers)
        assert found is not None  # there are answers
        by_start = zip(STARTS, (found.low, found.high, found.all), strict=True)
        known = [(start, one) for start, one in by_start if one is not None]
        series.append(
            Series(name, tuple(band(float(STARTS.index(start)), one) for start, one in known), group)
        )
        rows += [(name, start, *cells(one), one.median) for start, one in known]
        sentence = f"Both are seen alike at λ = {said(found.all)}, median {found.all.median:g}"
        if found.apart is not None:
            apart, (low, high) = found.apart
            sentence += (
                f"; from the high end {apart:.3f} ({low:.3f} to {high:.3f}) higher than from the low one"
            )
        readings.append(look.named(name, f"{sentence}."))
    return look.figure(
        key="midpoints",
        kind="bars",
        title="Perceived midpoint by start side",
        definition="The λ at which people see as much of one image as of the other, by the end of λ that the trial"
        f" started from: {INTERVAL}. Without a bias of perception it is one half; without one of the start, all are the"
        " same. Where nothing is stepped through there are no sides.",
        x_label="started from",
        y_label="perceived midpoint (λ of the first image)",
        series=tuple(series),
        table=table(
            "Perceived midpoints; repeats left out.",
            ("start", *ESTIMATE, "median"),
            rows,
            [n for n, _ in given],
        ),
        reading=" ".join(readings),
        x_categories=STARTS,
        reference=0.5,
    )
