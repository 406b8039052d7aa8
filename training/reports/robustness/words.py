"""What the robustness page says of two arms in sentences and tables; no verdict where answers were simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hilmix.figures import Cell, Table, number
from training.reports.robustness.augmented import BETTER, WORSE, Effect, got_worse
from training.reports.robustness.pair import Change, Pair, three
from training.reports.tables import within
from training.reports.telling import class_name

NAMED = 4  # changes that a sentence names
SIMULATED = "No verdict, as the answers were simulated."

_SCORES = (
    ("accuracy", "Clean accuracy ↑"),
    ("score", "Risk score ↓"),
    ("mean_error", "Mean error under corruptions ↓"),
    ("mce_percent", "mCE, percent ↓"),
    ("relative_mce_percent", "Relative mCE, percent ↓"),
)


def score_table(pair: Pair, groups: Sequence[str]) -> Table:
    """Scores and groups of both arms, and the first less the second on the same images and seeds."""
    rows: list[tuple[Cell, ...]] = []
    for key, name in _SCORES:
        if key == "relative_mce_percent" and not any(pair.arms[arm].get(key) for arm in (pair.a, pair.b)):
            continue  # why it is undefined is said above the table
        each = [_score(pair.arms[arm], key) for arm in (pair.a, pair.b)]
        rows.append((name, *each, _within(pair.less.get(key))))
    for group in groups:
        rates = [(pair.arms[arm].get("groups") or {}).get(group) for arm in (pair.a, pair.b)]
        if any(rates):
            rows.append((f"Break rate, {group} ↓", *map(_within, rates), _within(pair.less.get(group))))
    caption = (
        f"{pair.a} beside {pair.b}; the last column on the same images and seeds. {which_interval(pair)}"
    )
    return Table(caption, ("", f"A: {pair.a}", f"B: {pair.b}", "A − B"), tuple(rows))


def _score(arm: Mapping[str, Any], key: str) -> str:
    said = _within(arm.get(key))
    return f"{said}, {arm['band']}" if key == "score" and arm.get("score") and arm.get("band") else said


def _within(one: Mapping[str, Any] | None) -> str:
    return "–" if one is None else _rounded(one["value"], one["interval"])


def _rounded(value: float | None, interval: Sequence[float] | None) -> str:
    """As elsewhere, but to four places at most: of what is nearly 0 more of them tell nothing."""
    if value is None:
        return "–"
    return within(round(value, 4), None if interval is None else [round(end, 4) for end in interval])


def definitions(reference: str) -> list[tuple[str, str]]:
    """What the figures of the first table are."""
    return [
        ("Clean accuracy", "share of the test images, as they are, that get their class."),
        ("Break rate", "of the images that are right as they are, the share that is wrong under a change."),
        (
            "Risk score",
            "100 times the mean over five groups of changes of the mean break rate over a group's changes and "
            "severities; 0 is best, up to 20 green, up to 40 yellow, above red. A model that is never right has "
            "nothing to break: read it beside the clean accuracy.",
        ),
        ("Mean error", "share of errors over 15 corruptions at five severities each."),
        (
            "mCE",
            f"mean over the 15 corruptions of ΣE / ΣE of {reference}, E the share of errors, sums over severities; in "
            "percent, 100 where an arm errs as the reference does.",
        ),
        (
            "Relative mCE",
            "the same of the errors that a corruption adds: mean of Σ(E − E of undisturbed images) / the same of "
            f"{reference}, in percent. It asks how much an arm loses, whatever it starts from, so it can be low where "
            "an arm errs much on undisturbed images; below 0 an arm errs less under corruptions than without. "
            "Undefined where the reference loses nothing under a corruption.",
        ),
    ]  # fmt: skip


def headline(pair: Pair, effects: Sequence[Effect]) -> list[str]:
    """What is to be known of the two first: the score, what differs, what augmentation did."""
    said = []
    if pair.why:
        said.append(f"No difference in scores: {pair.why}.")
    score, accuracy = pair.less.get("score"), pair.less.get("accuracy")
    if score and accuracy:
        apart = "" if pair.simulated else f", {_separable(score['interval'])}"
        said.append(
            f"Risk score of {pair.a} less that of {pair.b}: {_within(score)} points{apart}; "
            f"clean accuracy: {_within(accuracy)}."
        )
    said.append(about_differences(pair))
    if effects and not pair.simulated:
        said.append(about_effects(effects))
    return [one for one in said if one]


def about_effects(effects: Sequence[Effect]) -> str:
    """How many of the changes that an arm was augmented for it bears better, worse, or not separably."""
    better = [one for one in effects if one.outcome == BETTER]
    worse = got_worse(effects)
    text = (
        f"Of {len(effects)} changes that one arm was augmented for more than the other, it breaks less often under "
        f"{len(better)}"
    )
    if worse:
        names = _listed([f"{one.change.lower()} ({one.arm})" for one in worse])
        return f"{text}, and more often, although it was augmented for it or for its kind, under {len(worse)}: {names}."
    return f"{text}, and more often under none."


def effect_table(effects: Sequence[Effect], *, simulated: bool) -> Table:
    """One row for each change that one of the two was augmented for more; first those that got worse all the same, in
    words. Of simulated answers as they come."""
    arms = dict.fromkeys((one.arm, one.other) for one in effects)
    rows: list[tuple[Cell, ...]] = []
    for one in effects if simulated else sorted(effects, key=lambda one: one.outcome != WORSE):
        cells: list[Cell] = [one.change, f"{one.augmentation} {one.strengths}{', akin' if one.akin else ''}"]
        cells += [one.arm] if len(arms) > 1 else []
        cells += [" against ".join(_three((rate[0], None, None)) for rate in (one.rate, one.rate_of_other))]
        cells += [_three(one.difference)]
        rows.append((*cells, *(() if simulated else (_outcome(one),))))
    heads = (
        "Change", "Augmented with", *(["Arm with more of it"] if len(arms) > 1 else []),
        "Break rates, with more against with less of it", "Difference", *([] if simulated else ["With more of it"]),
    )  # fmt: skip
    which = "; ".join(f"{arm} against {other}" for arm, other in arms)
    caption = (
        f"What one arm was augmented for more than the other: {which}. 95 % intervals, not adjusted for the number of "
        "changes"
    )
    return Table(caption, heads, tuple(rows))


def _outcome(one: Effect) -> str:
    """What more of it went along with; where that is worse, that it ought not to be."""
    although = "although augmented with an akin change" if one.akin else "although augmented for it"
    return f"worse: it {one.outcome}, {although}" if one.outcome == WORSE else f"it {one.outcome}"


def _three(values: tuple[float | None, float | None, float | None]) -> str:
    value, low, high = values
    return _rounded(value, None if low is None or high is None else (low, high))


def about_differences(pair: Pair) -> str:
    """Under which changes the interval of the difference leaves 0 out, and to which side."""
    rows = list(pair.whole())
    if not rows:
        return "There is no difference by change: no image is right in both arms, or they have no seed in common."
    if pair.simulated:
        return f"{SIMULATED} {len(rows)} changes are compared."
    less = [change for place, change in rows if pair.apart[place, 2] < 0]
    more = [change for place, change in rows if pair.apart[place, 1] > 0]
    if not less and not more:
        return f"Under none of {len(rows)} changes does the interval of the difference leave 0 out."
    parts = []
    for verb, changes in (("less", less), ("more", more)):
        if changes:
            names = _listed([one.name.lower() for one in changes])
            parts.append(f"{verb} often under {len(changes)} of {len(rows)} changes ({names})")
    return f"{pair.a} breaks {', and '.join(parts)} than {pair.b}; exploratory, not adjusted."


def about_groups(pair: Pair, groups: Sequence[str]) -> str:
    """The group in which the two lie farthest apart."""
    known = [group for group in groups if group in pair.less]
    if not known:
        return ""
    widest = max(known, key=lambda group: abs(pair.less[group]["value"]))
    one = pair.less[widest]
    apart = "" if pair.simulated else f", {_separable(one['interval'])}"
    return f"The two lie farthest apart in {widest}: {_within(one)}{apart}."


def about_severities(pair: Pair, change: Change, places: Sequence[int]) -> str:
    """How break rates go from the mildest to the strongest severity."""
    ends = [
        f"{name} from {number(of[places[0], 0], 3)} to {number(of[places[-1], 0], 3)}"
        for name, of in ((pair.a, pair.of_a), (pair.b, pair.of_b))
    ]
    if len(places) == 1:
        return (
            f"One severity: {pair.a} {number(pair.of_a[places[0], 0], 3)}, "
            f"{pair.b} {number(pair.of_b[places[0], 0], 3)}."
        )
    return (
        f"From the mildest to the strongest {change.name.lower()}, break rates go in {ends[0]}, in {ends[1]}."
    )


def about_heat(pair: Pair) -> str:
    """The change and severity in which the two lie farthest apart."""
    each = [
        (place, *row) for place, row in enumerate(pair.rows) if row[1] and np.isfinite(pair.apart[place, 0])
    ]
    if not each:
        return ""
    place, key, severity = max(each, key=lambda one: abs(float(pair.apart[one[0], 0])))
    apart = _three(three(pair.apart[place]))
    return f"They lie farthest apart under {pair.changes[key].name.lower()} {severity}: {apart}."


def flip_caption(pair: Pair, flip: Mapping[str, float], change: Change, severity: int, side: str) -> str:
    """Which image, what was done to it, and what became of its class in either arm, the one that broke first."""
    label = class_name(int(flip["label"]), pair.classes)
    said = []
    for arm, key in ((pair.a, "a"), (pair.b, "b")) if side == "a" else ((pair.b, "b"), (pair.a, "a")):
        named = class_name(int(flip[f"class_{key}"]), pair.classes)
        says = f"takes it for {named}" if named != label else "keeps it"
        before, under = (probability(flip[f"p_{key}{at}"]) for at in ("", "_under"))
        said.append(f"{arm} {says} ({before} → {under})")
    shown = f"Image {int(flip['number'])}, {label}, under {change.name.lower()} {severity}."
    return f"{shown} {'; '.join(said)}."


def which_interval(pair: Pair) -> str:
    if pair.these_models:
        return (
            "95 % intervals: for other images and these trained models, as there are fewer than five seeds."
        )
    return "95 % intervals: for other images and seeds."


def probability(p: float) -> str:
    """A probability to two places, never rounded to what is certain."""
    return "> 0.99" if p > 0.995 else "< 0.01" if p < 0.005 else f"{p:.2f}"


def every_severity(pair: Pair) -> Table:
    """All changes at all severities, both arms and their difference."""
    rows: list[tuple[Cell, ...]] = [
        (
            f"{pair.changes[key].name} {severity}",
            pair.changes[key].group,
            *(_three(three(of[place])) for of in (pair.of_a, pair.of_b, pair.apart)),
        )
        for place, (key, severity) in enumerate(pair.rows)
        if severity
    ]
    heads = ("Change and severity", "Group", pair.a, pair.b, f"{pair.a} − {pair.b}")
    return Table("Break rates on what both have right, with 95 % intervals", heads, tuple(rows))


def _separable(interval: Sequence[float] | None) -> str:
    return "separable" if interval and (interval[0] > 0 or interval[1] < 0) else "not separable"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
