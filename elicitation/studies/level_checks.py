"""What a study's factors say in full, and whether every combination of their levels can be carried out.

Called before a protocol is stored, so that its content says all the words that anybody will read, and nobody is given
a plan that cannot be asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from elicitation.interfaces import INTERFACES, interface_named
from elicitation.interfaces.base import Interface
from elicitation.studies.factors import Factor, Level, Levels, levels_within
from elicitation.studies.payment import SECOND_ORDER
from elicitation.studies.protocol import (
    CHECK_GAP,
    PERSPECTIVES,
    REPEAT_GAP,
    Design,
    Display,
    Problems,
    Settings,
)
from elicitation.studies.text_checks import check_texts
from elicitation.studies.texts import default_texts, read_texts
from elicitation.studies.ways import (
    PERSPECTIVE,
    combinations_of,
    factors_within,
    settings_with,
    texts_with,
    written_levels,
)
from hilmix.errors import Invalid

OF_INTERFACE = ("instructions", "short_instructions", "comprehension")  # texts that an interface brings
KINDS: Mapping[str, type] = {
    "interface": str,
    "options": dict,
    "perspective": str,
    "bonus": str,
    "display": dict,
    "wording": dict,
    "instructions": list,
    "short_instructions": str,
    "comprehension": list,
}
MAX_BONUS = 2_000  # characters


def complete_factors(
    factors: Sequence[Factor], settings: Settings, texts: Mapping[str, Any], language: str, title: str
) -> tuple[Factor, ...]:
    """The factors with the words that a level needs and does not give, in `language`.

    A level with another interface or perspective than the study's brings the default words of it; where it has the
    study's own, the study's words stay. What a level says itself stays as it is, so completing again changes nothing.

    Args:
        settings: the study's, whose own factors do not matter.
        texts: the study's, as they stand in a content.
    """

    def words_of(interface: str, perspective: str) -> dict[str, Any]:
        return default_texts(
            title=title, interface=interface_named(interface), perspective=perspective, language=language
        )

    def complete(level: Level) -> Level:
        said = dict(level.set)
        interface = said.get("interface", settings.interface)
        perspective = said.get(PERSPECTIVE, settings.perspective)
        wording: dict[str, Any] = {}
        if interface != settings.interface and interface in INTERFACES:
            words = words_of(interface, settings.perspective)
            said = {**{name: words[name] for name in OF_INTERFACE}, **said}
            wording |= {name: text for name, text in words["wording"].items() if name != PERSPECTIVE}
        if perspective != settings.perspective and perspective in PERSPECTIVES:
            words = words_of(settings.interface, perspective)
            wording[PERSPECTIVE] = words["wording"][PERSPECTIVE]
        if wording:
            said["wording"] = {**wording, **said.get("wording", {})}
        return replace(level, set=said)

    return tuple(replace(factor, levels=tuple(map(complete, factor.levels))) for factor in factors)


def level_problems(settings: Settings, texts: Mapping[str, Any], n_classes: int) -> Problems:
    """What keeps a combination of levels from being carried out, under "factors"; empty where nothing does.

    Args:
        settings: with its factors, completed.
        texts: the study's, as they stand in a content.
        n_classes: of the image set.
    """
    if not settings.factors:
        return {}
    said = [message for factor in settings.factors for message in _of_another_form(factor)]
    if not said:
        said = _room_problems(settings)
        for levels in combinations_of(settings):
            said += [
                f"With {written_levels(levels)}: {message}"
                for message in _way_problems(settings, texts, levels, n_classes)
            ]
    return {"factors": list(dict.fromkeys(said))} if said else {}


def _of_another_form(factor: Factor) -> list[str]:
    """What a level sets and nothing could read."""
    said = []
    for level in factor.levels:
        where = f"Level {level.name!r} of {factor.name!r}"
        wrong = [
            name
            for name, kind in KINDS.items()
            if name in level.set and not isinstance(level.set[name], kind)
        ]
        said += [f"{where}: {name} is not of the form that it has." for name in wrong]
        if wrong:
            continue
        if (interface := level.set.get("interface", "infer")) not in INTERFACES:
            said.append(
                f"{where}: there is no interface {interface!r}; there is {', '.join(sorted(INTERFACES))}."
            )
        if level.set.get(PERSPECTIVE, "you") not in PERSPECTIVES:
            said.append(f"{where}: perspective is {' or '.join(map(repr, PERSPECTIVES))}.")
        known = {field.name for field in fields(Display)}
        if unknown := sorted(map(str, set(level.set.get("display", {})) - known)):
            said.append(f"{where}: display has no {', '.join(unknown)}.")
        if len(level.set.get("bonus", "")) > MAX_BONUS:
            said.append(f"{where}: the bonus rule has at most 2,000 characters.")
        said += [f"{where}: {message}" for message in _comprehension_problems(level)]
    return said


def _comprehension_problems(level: Level) -> list[str]:
    """Questions that could not even be read; what is wrong with what they say, `check_texts` knows."""
    names = {"prompt", "options", "correct", "explain"}
    for question in level.set.get("comprehension", []):
        if not isinstance(question, dict) or not {"prompt", "options", "correct"} <= set(question) <= names:
            return ["a comprehension question has prompt, options, correct and explain."]
    if not all(isinstance(page, str) for page in level.set.get("instructions", [])):
        return ["instructions are pages of text."]
    if not all(isinstance(text, str) for text in level.set.get("wording", {}).values()):
        return ["wording is text by name."]
    return []


def _way_problems(settings: Settings, texts: Mapping[str, Any], levels: Levels, n_classes: int) -> list[str]:
    """What cannot be carried out under `levels`."""
    try:
        way = settings_with(settings, levels)
        interface = interface_named(way.interface)
        interface.check_options(way.options, n_classes=n_classes, n_lambdas=len(way.design.lambdas_e4))
        check_texts(texts_with(read_texts(texts), settings, levels).as_content(), interface)
    except Invalid as error:
        return [message for messages in error.fields.values() for message in messages] or [error.message]
    said = [f"{name}: {message}" for name, messages in way.display.problems().items() for message in messages]
    said += [
        message
        for messages in interface_problems(interface, way.design, way.display).values()
        for message in messages
    ]
    if way.payment.bonus == "agreement" and way.bonus.strip() and way.perspective != SECOND_ORDER:
        said.append("Agreement is rewarded only where people are asked what 100 others would say.")
    return said


def interface_problems(interface: Interface, design: Design, display: Display) -> Problems:
    """What a way of asking cannot do, by field."""
    problems: Problems = {}
    if display.exposure_ms is not None and interface.UNIT == "pair":
        problems["exposure_ms"] = [
            f"{interface.NAME!r} shows several images to choose among, without a limit of exposure."
        ]
    if design.mixed_images and interface.UNIT == "pair":
        problems["mixed_images"] = [
            f"{interface.NAME!r} asks about pairs at every λ, not about single images."
        ]
    if design.checks and not interface.CHECKS:
        problems["checks"] = [f"{interface.NAME!r} has no attention checks: it asks about no single image."]
    return problems


def _room_problems(settings: Settings) -> list[str]:
    """What one person's trials are too few for, where levels vary within people."""
    design, within = settings.design, levels_within(settings.factors)
    if len(within) == 1:
        return []
    fewest = design.trials_per_person // len(within)  # trials that fall to one combination at least
    if not fewest:
        return [
            f"{len(within)} combinations of levels within people need as many trials a person;"
            f" there are {design.trials_per_person}."
        ]
    blocks = 1
    for factor in factors_within(settings, "blocks"):
        blocks *= len(factor.levels)
    if blocks == 1:
        return []
    said, least = [], fewest * (len(within) // blocks)
    repeats, checks = -(-design.repeats // blocks), -(-design.checks // blocks)
    if repeats and least < REPEAT_GAP + 2 * repeats:
        said.append(
            f"A repeat stays in its block and comes after at least {REPEAT_GAP - 1} other trials, so {design.repeats}"
            f" repeats in {blocks} blocks need {REPEAT_GAP + 2 * repeats} trials a block; there are {least}."
        )
    if checks and least < CHECK_GAP * checks + 2:
        said.append(
            f"Checks stand at least {CHECK_GAP} trials apart and not at the ends of a block, so {design.checks} checks"
            f" in {blocks} blocks need {CHECK_GAP * checks + 2} trials a block; there are {least}."
        )
    return said
