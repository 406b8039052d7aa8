"""What is to be seen in each figure of a report, in one sentence, said with the numbers that it draws. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hilmix.figures import Figure, Series
from training.reports.headline import short

_APART = 0.005  # a mean gap between confidence and accuracy below this is none worth a word


def with_readings(figures: Sequence[Figure]) -> list[Figure]:
    """The figures, each with a reading: its own, or the one for its key."""
    return [
        one if one.reading or one.key not in _READ else replace(one, reading=_READ[one.key](one))
        for one in figures
    ]


def _contrasts(figure: Figure) -> str:
    return _leaves_out(figure, "planned contrast")


def _differences(figure: Figure) -> str:
    return f"{_leaves_out(figure, 'unplanned difference')} Nothing is adjusted: some do so by chance."


def _leaves_out(figure: Figure, what: str) -> str:
    """Which intervals of a forest leave 0 out."""
    rows = [point for series in figure.series for point in series.points]
    found = [
        figure.y_categories[int(row)]
        for row, _, low, high in rows
        if row is not None and low is not None and high is not None and low * high > 0
    ]
    n = len(rows)
    if not found:
        return f"The interval of {'the' if n == 1 else f'none of {n}'} {what}{'' if n == 1 else 's'} " + (
            "holds 0." if n == 1 else "leaves 0 out."
        )
    some = f"{', '.join(found[:3])}{' …' if len(found) > 3 else ''}"
    return f"{len(found)} of {n} {what}{'' if n == 1 else 's'} leave{'s' if len(found) == 1 else ''} 0 out: {some}."


def _train_loss(figure: Figure) -> str:
    """How far above its floor each arm ends."""
    floors = {series.group: _last(series) for series in figure.series if series.style == "dashed"}
    above = {
        series.name: _last(series) - floors[series.group]
        for series in _lines(figure)
        if series.group in floors
    }
    if not above:
        return ""
    low, high = min(above, key=above.__getitem__), max(above, key=above.__getitem__)
    if low == high:
        return f"{low} ends {short(above[low])} nats above its floor."
    nearest = f"{low} ends nearest to its floor, {short(above[low])} nats above it"
    return f"{nearest}, and {high} farthest, {short(above[high])}."


def _watched_loss(figure: Figure) -> str:
    """Which arm ends lowest, and which rose from their lowest."""
    lines = _lines(figure)
    if not lines:
        return ""
    said = _least(figure, lines, "ends lowest")
    rose = [one.name for one in lines if _last(one) > 1.05 * min(_values(one))]
    if not rose:
        return f"{said} No arm rises from its lowest by more than 5 %."
    return f"{said} Over 5 % above their lowest at the end: {', '.join(rose)}."


def _watched_accuracy(figure: Figure) -> str:
    lines = _lines(figure)
    return _most(figure, lines, "ends highest") if lines else ""


def _reliability(figure: Figure) -> str:
    """By how much confidence and accuracy differ on average, over all predictions."""
    gaps = {}
    for series in figure.series:
        n = sum(point[2] or 0.0 for point in series.points)
        gap = sum(((point[0] or 0.0) - (point[1] or 0.0)) * (point[2] or 0.0) for point in series.points)
        gaps[series.name] = gap / n if n else 0.0
    if not gaps:
        return ""
    worst = max(gaps, key=lambda name: abs(gaps[name]))
    best = min(gaps, key=lambda name: abs(gaps[name]))
    if abs(gaps[worst]) < _APART:
        return "Confidence and accuracy agree on average, in every arm."
    side = "overconfident" if gaps[worst] > 0 else "underconfident"
    said = f"{worst} is most {side}: on average its confidence is {short(abs(gaps[worst]))} "
    said += "above its accuracy" if gaps[worst] > 0 else "below its accuracy"
    return f"{said}." if worst == best else f"{said}; {best} is nearest, {short(abs(gaps[best]))} apart."


def _thirds(figure: Figure) -> str:
    lines = _lines(figure)
    least = min(lines, key=_last)
    harder = sum(_last(one) > _values(one)[0] for one in lines)
    said = f"Where people agree least, {least.name} is nearest to them ({short(_last(least))})"
    return f"{said}; {harder} of {len(lines)} arms are farther from people there than where they agree."


def _corruptions(figure: Figure) -> str:
    return _least(figure, _lines(figure), "errs least at severity 5")


def _break_rates(figure: Figure) -> str:
    """The group under which most breaks, over all arms."""
    sums = [0.0] * len(figure.x_categories)
    for series in figure.series:
        for point in series.points:
            sums[int(point[0] or 0)] += (point[1] or 0.0) / len(figure.series)
    worst = max(range(len(sums)), key=sums.__getitem__)
    means = {one.name: sum(_values(one)) / len(one.points) for one in figure.series}
    least = min(means, key=means.__getitem__)
    said = f"Most breaks under {figure.x_categories[worst]} ({short(sums[worst])} on average over arms)"
    return f"{said}; {least} breaks least over all groups." if len(means) > 1 else f"{said}."


def _pgd(figure: Figure) -> str:
    return _least(figure, _lines(figure), "ends lowest")


def _least(figure: Figure, lines: Sequence[Series], verb: str) -> str:
    return _end(min(lines, key=_last), max(lines, key=_last), verb)


def _most(figure: Figure, lines: Sequence[Series], verb: str) -> str:
    return _end(max(lines, key=_last), min(lines, key=_last), verb)


def _end(first: Series, last: Series, verb: str) -> str:
    if first is last:
        return f"{first.name} ends at {short(_last(first))}."
    return (
        f"{first.name} {verb} ({short(_last(first))}); the other end is {last.name} ({short(_last(last))})."
    )


def _lines(figure: Figure) -> list[Series]:
    """What is drawn for the arms themselves: no single seeds, no references."""
    return [series for series in figure.series if series.style == "line" and series.points]


def _values(series: Series) -> list[float]:
    return [point[1] for point in series.points if point[1] is not None]


def _last(series: Series) -> float:
    return _values(series)[-1]


_READ: dict[str, Callable[[Figure], str]] = {
    "contrasts": _contrasts,
    "differences": _differences,
    "train_loss": _train_loss,
    "validation_loss": _watched_loss,
    "validation_accuracy": _watched_accuracy,
    "reliability": _reliability,
    "reliability_hard": _reliability,
    "reliability_human": _reliability,
    "human_thirds": _thirds,
    "corruptions": _corruptions,
    "break_rates": _break_rates,
    "pgd_loss": _pgd,
}
