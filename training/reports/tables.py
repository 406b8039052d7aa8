"""The first table of a stored report, its checks and definitions, and how figures are written in tables.

Nothing is computed but words and rounding. Reports of format 1 (hilmix 0.1 to 0.3) have scores and figures only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hilmix.figures import Table, number, show

Content = Mapping[str, Any]

_SURE = 0.95  # of draws
_TAKEN = re.compile(r"\b(is|would be) (?:to be )?taken( among these trained models)?(?=:|,|\.)")
ARROWS = {True: " ↑", False: " ↓", None: ""}
# What the first table shows; all the rest is in the tables by group.
_FIRST = (
    "accuracy",
    "top_5_accuracy",
    "macro_f1",
    "log_loss",
    "human_cross_entropy",
    "ece_equal_width_15",
)


def is_first_format(content: Content) -> bool:
    return bool(content["format"] == "hilmix-report/1")


def cited(content: Content) -> str:
    """What a figure of the report names as its source."""
    return "; ".join(f"{label} {value}" for label, value in content["provenance"][:4])


def score_table(content: Content) -> Table:
    """Arms × metrics as mean ± spread over the seeds: the table of the page, the command line and the Markdown."""
    metrics = content["metrics"]
    if not is_first_format(content):
        wanted = dict.fromkeys((*_FIRST[:1], content["primary"], *_FIRST[1:]))
        known = {metric["key"]: metric for metric in metrics}
        metrics = [known[key] for key in wanted if key in known]
    many = _counts(content)
    rows = []
    for arm in content["arms"]:
        cells = [spread_text(arm["summary"].get(metric["key"])) for metric in metrics]
        seeds = [str(len(arm["seeds"]))] if len(many) > 1 else []
        rows.append((arm["name"], *cells, *seeds))
    heads = [f"{metric['name']}{ARROWS[metric['higher_is_better']]}" for metric in metrics]
    return Table(_caption(content, many), ("Arm", *heads, *(["Seeds"] if len(many) > 1 else [])), tuple(rows))


def _counts(content: Content) -> list[int]:
    """With how many seeds arms were trained, each number once."""
    if is_first_format(content):
        return [len(content["seeds"])]
    return sorted({len(arm["seeds"]) for arm in content["arms"] if arm["seeds"]}) or [1]


def _caption(content: Content, many: Sequence[int]) -> str:
    arrows = f"on {content['n_evaluation']} evaluation images. ↑ higher is better, ↓ lower is better."
    if list(many) == [1]:
        return f"One seed, {arrows}"
    seeds = f"{many[0]} seeds" if len(many) == 1 else "the seeds of each arm"
    return f"Mean ± standard deviation over {seeds}, {arrows}"


def spread_text(summary: Mapping[str, Any] | None) -> str:
    """ "0.912 ± 0.004"; without a spread for one seed, a dash where nothing was measured."""
    if summary is None or summary["mean"] is None:
        return "–"
    if summary["sd"] is None:
        return _four(summary["mean"])
    return f"{_four(summary['mean'])} ± {_four(summary['sd'])}"


def _four(value: float) -> str:
    """Four decimals, so that rows can be compared, but where these would make 0 of what is not."""
    return number(value, 2) if 0 < abs(value) < 0.00005 else f"{value + 0.0:.4f}".replace("-", "−")


def within(value: float | None, interval: Sequence[float] | None) -> str:
    """ "0.912 (0.900 to 0.921)"."""
    if value is None:
        return "–"
    return show(value) if interval is None else f"{show(value)} ({show(interval[0])} to {show(interval[1])})"


def share_words(share: float) -> str:
    """A share in whole percent; a few draws in a thousand are not none, and all but a few not all."""
    if 0 < share < 0.005:
        return "<\N{NO-BREAK SPACE}1\N{NO-BREAK SPACE}%"
    if 0.995 <= share < 1:
        return ">\N{NO-BREAK SPACE}99\N{NO-BREAK SPACE}%"
    return f"{share:.0%}".replace("%", "\N{NO-BREAK SPACE}%")


def is_sure(share: float) -> bool:
    """Whether an arm that is first in this share of draws is surely first; else it is "first, but not surely"."""
    return share >= _SURE


def choice_sentence(choice: Mapping[str, Any]) -> str:
    """Which arm validation images speak for; earlier reports said "is to be taken" of an arm that is not surely
    first."""
    sentence: str = choice["sentence"]
    if choice["arm"] and not is_sure(choice["first_share"][choice["arm"]]):
        sentence = _TAKEN.sub(r"\1 first\2, but not surely", sentence)
    return sentence


def pair_words(one: Mapping[str, Any]) -> str:
    """A comparison of two arms, with what must be known of it before its numbers."""
    said = f"{one['arm']} − {one['against']}"
    if one["unequal_budget"]:
        said += ", unequal budget"
    return f"{said}, trained elsewhere; for these models only" if one["external"] else said


def which_interval(contrasts: Sequence[Mapping[str, Any]]) -> str:
    """What the intervals of these comparisons allow for."""
    n = sum(one["interval_holm"] is not None for one in contrasts)
    if not n:
        return "95 % intervals, not adjusted"
    if n == len(contrasts):
        return "Intervals that allow for the number of planned contrasts (Holm)"
    return (
        "Intervals of planned contrasts with a verdict allow for their number (Holm), all others are of 95 %, not "
        "adjusted"
    )


def checks_of(content: Content) -> list[str]:
    """The sentences about leakage, copies and budget."""
    near = content.get("near_duplicates", {}).get("sentence")
    return [*content["leakage"]["sentences"], *([near] if near else []), content["budget"]["sentence"]]


def definitions_of(content: Content) -> list[tuple[str, str]]:
    """What metrics and arms mean."""
    return [
        *((metric["name"], str(metric["definition"])) for metric in content["metrics"]),
        *((arm["name"], _about(arm)) for arm in content["arms"]),
    ]


def _about(arm: Mapping[str, Any]) -> str:
    """An arm in words, and its accuracy with each seed."""
    about = arm.get("about") or f"{arm['policy']}@{arm['params']['version']}: {arm['params']['meaning']}"
    accuracy = (arm["summary"].get("accuracy") or {}).get("values", ())
    each = ", ".join(f"{value:.4f}" for value in _listed(accuracy))
    return f"{about.rstrip('.')}. Accuracy of each seed: {each}." if each else f"{about.rstrip('.')}."


def _listed(values: Iterable[float | None]) -> list[float]:
    return [float(value) for value in values if value is not None]
