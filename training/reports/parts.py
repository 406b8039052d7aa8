"""A report as its page shows it: what stands there at once, and what is folded and fetched when somebody opens it.

Test figures of all but the planned contrasts are folded until an arm has been chosen, so that nobody chooses by them
without knowing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.reports.sections import Section, sections_of
from training.reports.tables import Content, is_first_format

_RELIABILITY = ("reliability", "reliability_hard", "reliability_human")
_CURVES = ("train_loss", "validation_loss", "validation_accuracy")


@dataclass(frozen=True)
class Part:
    """`of_test`: it shows test figures of all arms. `first`: it is read first, so it is open where these may be
    seen."""

    key: str
    title: str
    sections: tuple[Section, ...] = ()
    figures: tuple[Mapping[str, Any], ...] = ()
    of_test: bool = False
    first: bool = False


@dataclass(frozen=True)
class _Plan:
    key: str
    title: str
    sections: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    of_test: bool = True
    first: bool = False


_PLANS = (
    _Plan("metrics", "Arms and metrics", ("people", "metrics"), ("differences",), first=True),
    _Plan("calibration", "Reliability and temperature", ("calibration",), _RELIABILITY, first=True),
    _Plan("answers", "What more answers gave", (), ("answers",), first=True),
    _Plan("choice", "By validation images", ("choice",), of_test=False),
    _Plan("curves", "Training curves", (), _CURVES, of_test=False),
    _Plan("classes", "Classes, and what is taken for what", ("classes",), ("confusion",)),
    _Plan("thirds", "Where people disagree", ("thirds",), ("human_thirds",)),
    _Plan("mixed", "Held-out mixed images", ("mixed",)),
    _Plan(
        "robustness",
        "Robustness",
        ("robustness", "robustness-by-transform"),
        ("corruptions", "break_rates", "pgd_loss"),
    ),
    _Plan("exploratory", "Exploratory comparisons", ("exploratory",)),
)
# Sections of the page itself, and that of which there is a page of its own.
_AT_ONCE = ("verdict", "advice", "contrasts", "not-assessed", "diagnosis")


def parts_of(content: Content) -> list[Part]:
    """What is folded, in the order in which it is read; empty parts are left out, and figures that no part names
    stand in one at the end. Reports of the first format have that one alone."""
    sections = {section.key: section for section in sections_of(content)}
    figures = {figure["key"]: figure for figure in content["figures"]}
    at_once = {figure["key"] for figure in figures_at_once(content)}
    found = []
    for plan in _PLANS:
        here = tuple(sections[key] for key in plan.sections if key in sections)
        drawn = tuple(figures[key] for key in plan.figures if key in figures)
        watched_test = plan.key == "curves" and not content.get("config", {}).get("validation")
        if here or drawn:
            found.append(Part(plan.key, plan.title, here, drawn, plan.of_test or watched_test, plan.first))
    named = {key for plan in _PLANS for key in plan.figures} | at_once
    said = {key for plan in _PLANS for key in plan.sections} | set(_AT_ONCE)
    rest = tuple(section for key, section in sections.items() if key not in said)
    drawn = tuple(figure for key, figure in figures.items() if key not in named)
    if rest or drawn:
        found.append(Part("more", "More figures", rest, drawn, of_test=True))
    return found


def of_test(content: Content, figure_key: str) -> bool:
    """Whether a figure of the report shows test figures of all arms."""
    return any(
        part.of_test and figure["key"] == figure_key for part in parts_of(content) for figure in part.figures
    )


def figures_at_once(content: Content) -> list[Mapping[str, Any]]:
    """The forest of the planned contrasts. In reports of earlier versions it has all others in it, and is folded."""
    return [
        figure
        for figure in content["figures"]
        if figure["key"] == "contrasts"
        and not is_first_format(content)
        and all(series["name"] == "planned" for series in figure["series"])
    ]
