"""A study as one combination of levels has it: its settings and texts with what the levels change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from elicitation.interfaces import interface_named
from elicitation.studies.factors import Factor, Levels, cells_of, levels_within
from elicitation.studies.protocol import Display, Settings
from elicitation.studies.texts import Question, Texts

PARTS = ("options", "display", "wording")  # of these a level names only what differs
PERSPECTIVE = "perspective"  # the words of a trial that are no interface's, so another interface keeps them


def settings_with(settings: Settings, levels: Levels) -> Settings:
    """The settings under `levels` (factor → level); a later factor prevails over an earlier one."""
    changed = _set_by(settings, levels)
    if not changed:
        return settings
    interface = changed.get("interface", settings.interface)
    # Options belong to an interface: another one begins with its own.
    base = settings.options if interface == settings.interface else interface_named(interface).OPTIONS
    return replace(
        settings,
        interface=interface,
        interface_version=interface_named(interface).VERSION
        if interface != settings.interface
        else settings.interface_version,
        options={**base, **changed.get("options", {})},
        perspective=changed.get("perspective", settings.perspective),
        bonus=changed.get("bonus", settings.bonus),
        display=Display(**{**asdict(settings.display), **changed.get("display", {})}),
    )


def texts_with(texts: Texts, settings: Settings, levels: Levels) -> Texts:
    """The texts under `levels`; another interface brings its own words of a trial, all but the perspective's."""
    changed = _set_by(settings, levels)
    said: dict[str, Any] = {}
    base = dict(texts.wording)
    if changed.get("interface", settings.interface) != settings.interface:
        base = {name: text for name, text in base.items() if name == PERSPECTIVE}
    wording = {**base, **changed.get("wording", {})}
    if wording != texts.wording:
        said["wording"] = wording
    if "instructions" in changed:
        said["instructions"] = tuple(changed["instructions"])
    if "short_instructions" in changed:
        said["short_instructions"] = changed["short_instructions"]
    if "comprehension" in changed:
        said["comprehension"] = tuple(Question(**question) for question in changed["comprehension"])
    return replace(texts, **said) if said else texts


def combinations_of(settings: Settings) -> list[Levels]:
    """Every combination of levels that a trial of the study may have, in a fixed order; without factors {}."""
    return [
        {**between, **within}
        for between in cells_of(settings.factors)
        for within in levels_within(settings.factors)
    ]


def written_levels(levels: Levels) -> str:
    """A combination of levels as pages and messages say it."""
    return ", ".join(f"{factor} = {level}" for factor, level in levels.items())


def interfaces_of(settings: Settings) -> list[str]:
    """The names of the interfaces that somebody in the study may meet, in the order of levels."""
    met = (_set_by(settings, levels).get("interface") for levels in combinations_of(settings))
    return list(dict.fromkeys(name or settings.interface for name in met))


def unit_kind(settings: Settings) -> str:
    """What the units are: pairs where every interface asks about pairs, else mixed images.

    An interface that asks about pairs then asks about the pair of the mixed image, at every λ.
    """
    kinds = {interface_named(name).UNIT for name in interfaces_of(settings)}
    return "pair" if kinds == {"pair"} else "mixed_image"


def needs_every_lambda(settings: Settings) -> bool:
    """Whether somebody is shown pairs at every λ."""
    return any(interface_named(name).UNIT == "pair" for name in interfaces_of(settings))


def factors_within(settings: Settings, order: str) -> list[Factor]:
    """The factors that vary within people, with their levels in `order` ("blocks" or "mixed")."""
    return [factor for factor in settings.factors if factor.varies == "within" and factor.order == order]


def _set_by(settings: Settings, levels: Levels) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, value in _settings_of_levels(settings, levels):
        changed[name] = {**changed.get(name, {}), **value} if name in PARTS else value
    return changed


def _settings_of_levels(settings: Settings, levels: Levels) -> Iterator[tuple[str, Any]]:
    for factor in settings.factors:
        if (name := levels.get(factor.name)) is not None:
            values: Mapping[str, Any] = factor.level(name).set
            yield from values.items()
