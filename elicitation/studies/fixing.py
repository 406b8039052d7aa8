"""What opening fixes: everything that decides which places there are, and what was shown in them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from elicitation.studies.factors import Factor, Level
from elicitation.studies.protocol import Design, Settings

FREE_IN_DESIGN = ("answers_per_unit", "lease_minutes")  # places may be added or taken, and be held longer
WORDS = ("wording", "instructions", "short_instructions", "comprehension")  # of a level: texts like any other
FIELDS = {"lambdas_e4": "lambdas"}  # what pages and messages call a field
FIXED = "Fixed since the study was opened: its places were made with it. Copy the study to ask otherwise."
FIXED_BY_PILOT = (
    "Fixed while people try the study out: its places were made with it. End the pilot to change it."
)


def fixed_in_design() -> tuple[str, ...]:
    """The fields of the design that cannot change once a study was opened."""
    return tuple(name for name in Design.__dataclass_fields__ if name not in FREE_IN_DESIGN)


def changed_although_fixed(before: Settings, after: Settings) -> list[str]:
    """The fields that `after` would change although opening fixed them."""
    changed = [
        FIELDS.get(name, name)
        for name in fixed_in_design()
        if getattr(before.design, name) != getattr(after.design, name)
    ]
    if before.interface != after.interface:
        changed.append("interface")
    if _without_words(before) != _without_words(after):
        changed.append("factors")
    return changed


def _without_words(settings: Settings) -> list[dict[str, Any]]:
    return [asdict(mute(factor)) for factor in settings.factors]


def mute(factor: Factor) -> Factor:
    """The factor without the words of its levels."""
    levels = [
        Level(level.name, {name: value for name, value in level.set.items() if name not in WORDS})
        for level in factor.levels
    ]
    return replace(factor, levels=tuple(levels))
