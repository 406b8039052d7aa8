"""A study as one combination of levels has it: its settings and texts with what the levels change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from elicitation.interfaces import interface_named
from elicitation.studies.factors import Levels
from elicitation.studies.protocol import Display, Settings
from elicitation.studies.texts import Question, Texts

PARTS = ("options", "display", "wording")  # of these a level names only what differs


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
    """The texts under `levels`."""
    changed = _set_by(settings, levels)
    said: dict[str, Any] = {}
    if "wording" in changed:
        said["wording"] = (
            changed["wording"] if "interface" in changed else {**texts.wording, **changed["wording"]}
        )
    if "instructions" in changed:
        said["instructions"] = tuple(changed["instructions"])
    if "short_instructions" in changed:
        said["short_instructions"] = changed["short_instructions"]
    if "comprehension" in changed:
        said["comprehension"] = tuple(Question(**question) for question in changed["comprehension"])
    return replace(texts, **said) if said else texts


def interfaces_of(settings: Settings) -> list[str]:
    """The names of the interfaces that somebody in the study may meet, the study's own first."""
    others = [
        level.set["interface"]
        for factor in settings.factors
        for level in factor.levels
        if "interface" in level.set
    ]
    return list(dict.fromkeys([settings.interface, *others]))


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
