"""What judging labels found, as figures: what each label spares, overall, at each λ and for each class pair."""

from __future__ import annotations

from collections.abc import Sequence

from hilmix.core.label_ceiling import Reachable
from hilmix.core.label_scores import BASELINE, Compared, Score
from hilmix.core.softlabels import POLICIES, parse_label_name
from hilmix.figures import Figure, Series, Table
from hilmix.hub.score_tables import CEILING, TRUE_OBSERVER, UNSEEN, Judged, bits

MOST_LINES = 5


def figures_of(judged: Judged, classes: Sequence[str], source: str) -> list[Figure]:
    """How much each label spares: overall, by λ, and of the best one by class pair."""
    made = [_overall(judged, source), _by_lambda(judged, source), _by_class_pair(judged, classes, source)]
    return [figure for figure in made if figure is not None]


def _shown(judged: Judged) -> list[Score]:
    """The labels that a figure has room for, the best first: no control, and not what they are compared with."""
    return [
        one for one in judged.among("people") if one.label and one.name != BASELINE and not _is_control(one)
    ]


def _is_control(score: Score) -> bool:
    return POLICIES[parse_label_name(score.label)[0]].is_control


def _leading(judged: Judged) -> list[Score]:
    """The labels made of people's answers, the best first."""
    return [score for score in _shown(judged) if score.from_answers]


def _who_leads(judged: Judged) -> str:
    """Which label predicts unseen people best, and which it is not told apart from."""
    lead = judged.scores.leads["people"]
    value, _ = judged.spared(judged.scores.of(lead.best))
    reading = (
        f"Of labels made of some people's answers, {lead.best} predicts others best: {value:+.3f} {judged.unit} an"
        " answer over mixup."
    )
    if not lead.ahead:
        return reading
    if lead.tied:
        return f"{reading} It is not told apart from {', '.join(lead.tied[:MOST_LINES])}."
    second, (ahead, interval) = next(iter(lead.ahead.items()))
    assert interval is not None
    return (
        f"{reading} It is ahead of {second} by {ahead:.4f} (95% {interval[0]:.4f} … {interval[1]:.4f}), answer by"
        " answer; that it was chosen by the same answers is not counted."
    )


def _overall(judged: Judged, source: str) -> Figure | None:
    shown = _shown(judged)
    if not shown:
        return None
    true = [score.name for score in judged.among("people") if score.name == TRUE_OBSERVER]
    names = [*true, *(score.name for score in shown)]
    series, rows = [], []
    for group, unseen in enumerate(UNSEEN):
        points = []
        for score in judged.among(unseen):
            if score.name in names:
                value, interval = judged.spared(score.overall)
                points.append((names.index(score.name), value, *(interval or (None, None))))
        series.append(Series(UNSEEN[unseen], tuple(sorted(points)), group))
        rows += [(names[int(point[0])], UNSEEN[unseen], *point[1:]) for point in sorted(points)]
    reading = _who_leads(judged) if "people" in judged.scores.leads else ""
    reachable = judged.reachable if judged.scores.of_classes else judged.reachable_bits
    if reachable is not None:
        reading += f" A perfect label would spare {reachable:.3f}."
    what = (
        "How far the squared error is below that of λ itself"
        if judged.scores.of_classes
        else "How many bits of cross-entropy answers left out cost less with this label than with λ itself"
    )
    return Figure(
        key=_key("overall", judged),
        kind="forest",
        title=f"What a label spares over mixup{judged.suffix}",
        definition=(
            f"{what}; below 0 it predicts them worse. Means over answers with 95% intervals, clustered by person and by"
            " connected parents."
        ),
        x_label=f"{judged.unit} an answer",
        y_label="label",
        series=tuple(one for one in series if one.points),
        table=Table(
            "What a label spares over mixup", ("label", "judged by", judged.unit, "low", "high"), tuple(rows)
        ),
        source=source,
        reading=reading.strip(),
        y_categories=tuple(names),
        reference=0.0,
    )


def _by_lambda(judged: Judged, source: str) -> Figure | None:
    shown = _leading(judged)[:MOST_LINES]
    if not shown or len(shown[0].by_lambda) < 2:
        return None
    mixup, ceiling = judged.mixup.by_lambda, judged.scores.ceiling.by_lambda
    reachable = {one: _reachable(judged, mixup[one], best) for one, best in ceiling.items()}
    series = [
        Series(
            score.name,
            tuple((one / 10_000, judged.spared(at)[0]) for one, at in score.by_lambda.items()),
            group,
        )
        for group, score in enumerate(shown)
    ]
    points = tuple((one / 10_000, value) for one, value in reachable.items() if value is not None)
    if points:
        series.append(Series(CEILING, points, len(shown), "dashed"))
    rows = [
        (score.name, one / 10_000, at.n, *_spared(judged, at))
        for score in shown
        for one, at in score.by_lambda.items()
    ]
    most = max(shown[0].by_lambda.items(), key=lambda item: judged.spared(item[1])[0])
    return Figure(
        key=_key("by-lambda", judged),
        kind="curve",
        title=f"What a label spares over mixup by λ{judged.suffix}",
        definition=(
            f"The same at each λ for the {len(shown)} labels made of answers that predict unseen people best; the table"
            " has 95% intervals, clustered by person and by connected parents."
        ),
        x_label="λ",
        y_label=f"{judged.unit} an answer",
        series=tuple(series),
        table=Table(
            "What a label spares over mixup by λ",
            ("label", "λ", "n", judged.unit, "low", "high"),
            tuple(rows),
        ),
        source=source,
        reading=(
            f"{shown[0].name} spares most at λ = {most[0] / 10_000:g}: {judged.spared(most[1])[0]:+.3f}"
            f" {judged.unit} an answer."
        ),
        reference=0.0,
    )


def _spared(judged: Judged, compared: Compared) -> tuple[float, float | None, float | None]:
    """What is spared, and its interval, as the last columns of a table."""
    value, interval = judged.spared(compared)
    low, high = interval or (None, None)
    return value, low, high


def _reachable(judged: Judged, mixup: Compared, best: Reachable) -> float | None:
    """What a perfect label would spare at one λ; None where it cannot be told."""
    if best.squared_error is None or best.cross_entropy is None:
        return None
    if judged.scores.of_classes:
        return mixup.squared_error - best.squared_error
    return bits(mixup.cross_entropy - best.cross_entropy)


def _by_class_pair(judged: Judged, classes: Sequence[str], source: str) -> Figure | None:
    shown = _leading(judged)
    if not shown or len(shown[0].by_class_pair) < 2:
        return None
    best = shown[0]
    cells = [(a, b, at, *_spared(judged, at)) for (a, b), at in best.by_class_pair.items()]
    around = sum(1 for *_, low, high in cells if low is not None and high is not None and low <= 0 <= high)
    return Figure(
        key=_key("by-class-pair", judged),
        kind="heat",
        title=f"What {best.name} spares over mixup by class pair{judged.suffix}",
        definition=(
            "The same for each two classes that were mixed, for the label that predicts unseen people best."
            " Exploratory: each pair has few answers, and the 95% intervals in the table are each of one pair, so that"
            " one in twenty would miss 0 by chance."
        ),
        x_label="class",
        y_label="class",
        series=(Series(best.name, tuple((a, b, value, at.n) for a, b, at, value, *_ in cells), 0),),
        table=Table(
            f"What {best.name} spares over mixup by class pair",
            ("classes", "n", "squared error", judged.unit, "low", "high"),
            tuple(
                (f"{classes[a]}, {classes[b]}", at.n, at.squared_error, *spared)
                for a, b, at, *spared in cells
            ),
        ),
        source=source,
        reading=f"{around} of {len(cells)} intervals contain 0.",
        x_categories=tuple(classes),
        y_categories=tuple(classes),
    )


def _key(name: str, judged: Judged) -> str:
    return f"{name}-{judged.condition}" if judged.name else name
