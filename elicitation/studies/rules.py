"""Rules of quality, as data: what is looked at in somebody's answers, and whether it leaves them out of labels.

Nothing here deletes or hides an answer. A rule flags; one that `excludes` leaves the flagged participation out when
labels are built, and only then. What each flag measures is in elicitation/trials/flags.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Problems = dict[str, list[str]]


@dataclass(frozen=True)
class Flag:
    """Something that can be said of a participation. `process`: how it was answered; `content`: what was answered.

    `params` name → (default, meaning with unit and range).
    """

    kind: Literal["process", "content"]
    meaning: Promise
    params: Mapping[str, tuple[float, Promise]]


def _share(default: float, meaning: Any) -> Mapping[str, tuple[float, Any]]:
    return {"share": (default, meaning)}


FLAGS: Mapping[str, Flag] = {
    "untouched": Flag(
        "process",
        _("answered without touching the controls"),
        _share(0.5, _("of the answers, more than this share (0–1)")),
    ),
    "too_fast": Flag(
        "process",
        _("answered faster than one can look"),
        {
            "floor_ms": (1000.0, _("milliseconds under which an answer is too fast")),
            **_share(0.2, _("of the answers, more than this share (0–1)")),
        },
    ),
    "one_key": Flag(
        "process",
        _("gave one and the same answer, or pressed one key, all the way"),
        _share(0.9, _("of the answers, at least this share (0–1)")),
    ),
    "reversed": Flag(
        "process",
        _("answered in the reversed direction"),
        _share(0.5, _("of the answers to uneven mixes, more than this share (0–1)")),
    ),
    "failed_checks": Flag(
        "process",
        _("failed attention checks"),
        {"n": (2.0, _("at least so many failed checks"))},
    ),
    "focus_lost": Flag(
        "process",
        _("left the window while answering"),
        _share(0.2, _("of the answers, more than this share (0–1)")),
    ),
    "disagreement": Flag(
        "content",
        _("answers unlike everybody else's"),
        {"deviation": (0.35, _("mean deviation from other people's answers, more than this (0–1)"))},
    ),
    "repeat_difference": Flag(
        "content",
        _("answers repeats no more alike than other pictures"),
        {"ratio": (1.0, _("difference of repeats over that of the person's other answers, at least this"))},
    ),
}


@dataclass(frozen=True)
class Rule:
    """A flag with its limits, whether it excludes, and why. A content rule excludes only with a `reason`."""

    flag: str
    params: Mapping[str, float] = field(default_factory=dict)
    excludes: bool = False
    reason: str = ""


def default_rules() -> tuple[Rule, ...]:
    """A rule for every flag with its default limits; none excludes until somebody decides so."""
    return tuple(
        Rule(name, {param: default for param, (default, _meaning) in flag.params.items()})
        for name, flag in FLAGS.items()
    )


def read_rules(content: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules as they stand in a protocol's content."""
    return tuple(Rule(**rule) for rule in content)


def rule_problems(rules: Sequence[Rule]) -> Problems:
    """What is wrong with the rules, by the name of the field."""
    said: list[str] = []
    names = [rule.flag for rule in rules]
    said += [f"There are two rules for {name!r}." for name in sorted(set(names)) if names.count(name) > 1]
    for rule in rules:
        if (flag := FLAGS.get(rule.flag)) is None:
            said.append(f"There is no flag {rule.flag!r}; there is {', '.join(FLAGS)}.")
            continue
        if set(rule.params) != set(flag.params):
            said.append(f"{rule.flag!r} needs {', '.join(flag.params)}.")
        if any(not 0 <= value <= 3_600_000 for value in rule.params.values()):
            said.append(f"A limit of {rule.flag!r} is negative or too large.")
        if rule.excludes and flag.kind == "content" and not rule.reason.strip():
            said.append(
                f"{rule.flag!r} is about what people answered: say why it may leave somebody out, or only flag."
            )
    return {"rules": said} if said else {}
