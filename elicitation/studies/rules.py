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

SENSES: Mapping[str, Promise] = {"above": _("above"), "at least": _("at least"), "below": _("below")}


@dataclass(frozen=True)
class Flag:
    """Something that can be said of a participation. `process`: how it was answered; `content`: what was answered.

    It stands where the `measure` is `sense` (above, below or at least) the value of the one parameter: `params` name →
    (default, meaning with unit and range).
    """

    kind: Literal["process", "content"]
    meaning: Promise
    measure: Promise
    sense: Literal["above", "at least", "below"]
    params: Mapping[str, tuple[float, Promise]]

    @property
    def param(self) -> str:
        """The name of its parameter."""
        return next(iter(self.params))

    def stands(self, measure: float, params: Mapping[str, float]) -> bool:
        """Whether a participation with this measure has the flag under a rule's `params`."""
        limit = params[self.param]
        if self.sense == "below":
            return measure < limit
        return measure > limit or (self.sense == "at least" and measure >= limit)


FLAGS: Mapping[str, Flag] = {
    "untouched": Flag(
        "process",
        _("answered without touching the controls"),
        _("share of the answers given without touching the controls, 0–1"),
        "above",
        {"share": (0.5, _("of the answers, more than this share (0–1)"))},
    ),
    "too_fast": Flag(
        "process",
        _("answered faster than one can look"),
        _("milliseconds that a fifth of the answers took at most"),
        "below",
        {"floor_ms": (1000.0, _("a fifth of the answers took less than so many milliseconds"))},
    ),
    "one_key": Flag(
        "process",
        _("gave one and the same answer, or pressed one key, all the way"),
        _("share of the answers that are the most frequent one, or steps to one side only, 0–1"),
        "at least",
        {"share": (0.9, _("of the answers, at least this share (0–1)"))},
    ),
    "reversed": Flag(
        "process",
        _("answered in the reversed direction"),
        _("share of the answers to uneven mixes that see more of the lesser image, 0–1"),
        "above",
        {"share": (0.5, _("of the answers to uneven mixes, more than this share (0–1)"))},
    ),
    "failed_checks": Flag(
        "process",
        _("failed attention checks"),
        _("number of failed attention checks"),
        "at least",
        {"n": (2.0, _("at least so many failed checks"))},
    ),
    "focus_lost": Flag(
        "process",
        _("left the window while answering"),
        _("share of the answers during which the window was left, 0–1"),
        "above",
        {"share": (0.2, _("of the answers, more than this share (0–1)"))},
    ),
    "disagreement": Flag(
        "content",
        _("answers unlike everybody else's"),
        _("mean deviation from the mean of other people's answers to the same, 0–1"),
        "above",
        {"deviation": (0.35, _("mean deviation from other people's answers, more than this (0–1)"))},
    ),
    "repeat_difference": Flag(
        "content",
        _("answers repeats no more alike than other pictures"),
        _("difference between first answer and repeat, over that between answers to other pictures"),
        "at least",
        {"ratio": (1.0, _("difference of repeats over that of the person's other answers, at least this"))},
    ),
}
CANNOT_TELL = "cannot_tell?"  # of an answer only: an imported 50 that nobody was sure of
OF_ANSWERS: Mapping[str, str | Promise] = {  # what each of trials.flags.flags_of_answer says
    **{name: flag.meaning for name, flag in FLAGS.items()},
    CANNOT_TELL: _("perhaps could not tell: half and half, and not sure of it"),
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
