"""The verdict of a report in one sentence: the frozen primary metric, its interval and its seeds, or why there is none.

Words only: every number is stored with the report. A verdict needs people's answers, a primary metric and a contrast
that were frozen before the first run, and enough seeds; what lacks one of these is said instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hilmix.figures import number
from training.evaluation.values import BY_KEY

LEAST_SEEDS = 5  # as in `training.evaluation.inference`, which pages do not load
WITH_POWER = "would have been found with 80 % power"
_NAMES = ("Brier", "F1")  # keep their capital within a sentence

State = Literal["found", "not separable", "few seeds", "simulated", "exploratory", "none"]


@dataclass(frozen=True)
class Headline:
    """`sentence` is the verdict or says why there is none (`state`); `first` what the first planned contrast came to
    where the sentence is of another; `more` what the others did."""

    state: State
    sentence: str
    more: tuple[str, ...] = ()
    first: str = ""


def headline_of(content: Mapping[str, Any]) -> Headline:
    """The verdict of a report of format 2."""
    planned: list[dict[str, Any]] = content["contrasts"]["planned"]
    impossible: list[str] = content["contrasts"]["impossible"]
    if content["source"] == "simulated":
        return Headline(
            "simulated",
            "No verdict: the answers were simulated, so nothing here is known of people.",
            tuple(f"{_pair(one)}: {_amount(one)}." for one in planned),
        )
    if not content["config"].get("primary"):
        return Headline("exploratory", "Exploratory: no primary metric was frozen before the first run.")
    if not planned and not impossible:
        n = content["contrasts"]["n_exploratory"]
        rest = f" The {n} comparisons are folded below." if n else " There is nothing to compare it with."
        return Headline(
            "exploratory", f"Exploratory: no contrast was planned before the first run, so no verdict.{rest}"
        )
    if not planned:
        return Headline("none", "No verdict: no planned contrast could be judged.", tuple(impossible))
    judged = [one for one in planned if one["p_holm"] is not None]
    if not judged:
        n = max(one["n_seeds"] for one in planned)
        return Headline(
            "few seeds",
            f"No verdict: {_seeds(n)}, and {LEAST_SEEDS} are needed.",
            tuple(f"{_pair(one)}, for these trained models: {_amount(one)}." for one in planned),
        )
    return _judged(planned, judged)


def _judged(planned: Sequence[Mapping[str, Any]], judged: Sequence[Mapping[str, Any]]) -> Headline:
    found = [one for one in judged if one["better"]]
    first = (found or judged)[0]
    rest = [one for one in planned if one is not first]
    main = ""
    if planned[0] is not first:
        main = f"The first planned contrast, {_others(planned[:1])[0]}"
        rest = [one for one in rest if one is not planned[0]]
    if found and len(found) < len(planned):
        one_of = ", one of them" if len(found) > 1 else ""
        counted = f"{len(found)} of {len(planned)} planned contrasts{one_of}: "
        return Headline("found", f"{counted}{difference_words(first)}.", _others(rest), main)
    counted = ""
    if len(planned) > 1:
        counted = f"{len(found)} of {len(planned)} planned contrasts {'is' if len(found) == 1 else 'are'} separable."
    more = (*([counted] if counted else []), *_others(rest))
    if found:
        return Headline("found", f"{difference_words(first)}.", more, main)
    detectable = f", where {short(first['detectable'])} {WITH_POWER}" if first["detectable"] else ""
    sentence = (
        f"{first['arm']} and {first['against']} are not separable by {_metric(first)}: {_amount(first)}{detectable}; "
        f"{_seeds(first['n_seeds'])}{_budget(first)}."
    )
    return Headline("not separable", sentence, more, main)


def difference_words(one: Mapping[str, Any]) -> str:
    """ "shrunk lowers cross-entropy against people by 0.041 [0.018, 0.063] over mixup; 10 seeds", the better arm
    first."""
    flipped = one["better"] == one["against"]
    arm, against = (one["against"], one["arm"]) if flipped else (one["arm"], one["against"])
    value, (low, high) = one["value"], _interval(one)
    if flipped:
        value, low, high = -value, -high, -low
    verb = "lowers" if value < 0 else "raises"
    if value < 0:
        low, high = -high, -low
    said = f"{arm} {verb} {_metric(one)} by {_within(abs(value), low, high)} over {against}"
    return f"{said}; {_seeds(one['n_seeds'])}{_budget(one)}"


def _others(rest: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What the other planned contrasts came to, one sentence each."""
    said = []
    for one in rest:
        if one["better"]:
            said.append(f"{difference_words(one)}.")
        elif one["p_holm"] is None:
            said.append(
                f"{_pair(one)}: no verdict with {_seeds(one['n_seeds'])}, {_amount(one)}{_budget(one)}."
            )
        else:
            least = f"; {short(one['detectable'])} {WITH_POWER}" if one["detectable"] else ""
            said.append(f"{_pair(one)}: not separable, {_amount(one)}{least}{_budget(one)}.")
    return tuple(said)


def _metric(one: Mapping[str, Any]) -> str:
    """The metric as a sentence has it."""
    name = {
        "human_cross_entropy": "cross-entropy against people",
        "human_kl": "KL divergence from people",
        "human_total_variation": "total variation from people",
    }.get(one["metric"], BY_KEY[one["metric"]].name)
    return name if name[1:2].isupper() or name.startswith(_NAMES) else name[0].lower() + name[1:]


def _pair(one: Mapping[str, Any]) -> str:
    about = f" ({one['about']})" if one["about"] else ""
    return f"{one['arm']} − {one['against']}{about}"


def _budget(one: Mapping[str, Any]) -> str:
    """What must be known of a difference that other steps or batches may have made."""
    return "; unequal budget, so not due to the labels alone" if one["unequal_budget"] else ""


def _amount(one: Mapping[str, Any]) -> str:
    return f"difference {_within(one['value'], *_interval(one))}"


def _interval(one: Mapping[str, Any]) -> tuple[float, float]:
    low, high = one["interval_holm"] or one["interval"]
    return low, high


def _within(value: float, low: float, high: float) -> str:
    return f"{short(value)} [{short(low)}, {short(high)}]"


def short(value: float) -> str:
    """Three decimals, and one significant figure of what is smaller than that."""
    if value and abs(value) < 0.001:
        return number(value, 1)
    return f"{value + 0.0:.3f}".replace("-", "−")


def _seeds(n: int) -> str:
    return f"{n} seed{'s' if n != 1 else ''}"
