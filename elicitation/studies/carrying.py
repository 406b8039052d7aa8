"""Words that follow the settings: what nobody rewrote changes with interface, perspective, language or title.

What somebody wrote stays as it is, and is named, because it may speak of what is no longer asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from elicitation.studies.factors import Factor, Level
from elicitation.studies.fixing import WORDS, mute
from elicitation.studies.labels import text_label
from elicitation.studies.texts import AGREE, BY_NAME, CONTACT, PUBLISH

MEANT = (AGREE, PUBLISH, CONTACT)
LISTS = ("boxes", "survey")  # items with names


def carried_texts(
    texts: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """`texts` with each default of `before` replaced by that of `after`, and the labels of those that were rewritten
    although their defaults differ. All three are texts as a protocol's content holds them.

    A wording that the new interface does not say goes; it is named if somebody had rewritten it.
    """
    carried: dict[str, Any] = {}
    stayed: list[str] = []
    for name in {**after, **texts}:
        own, old, new = texts.get(name), before.get(name), after.get(name)
        if name in BY_NAME:
            whole = {**(old or {}), **(own or {})} if name == "wording" else own or {}
            carried[name], rewritten = _carried_names(whole, old or {}, new or {}, only_new=name == "wording")
            stayed += [text_label(name, part) for part in rewritten]
        elif name in LISTS:
            carried[name], rewritten = _carried_items(own or [], old or [], new or [])
            stayed += [text_label(name, part) for part in rewritten]
        elif own is None or own == old:
            carried[name] = new
        else:
            carried[name] = own
            stayed += [text_label(name)] if old != new else []
    return carried, tuple(stayed)


def without_brought_words(
    factors: tuple[Factor, ...], completed: Callable[[tuple[Factor, ...]], tuple[Factor, ...]]
) -> tuple[Factor, ...]:
    """The factors without those words of their levels that `completed` (level_checks.py, under the settings so far)
    would give them by itself; under other settings they bring others."""
    return tuple(
        replace(factor, levels=tuple(map(_own, factor.levels, brought.levels)))
        for factor, brought in zip(factors, completed(tuple(map(mute, factors))), strict=True)
    )


def _own(level: Level, brought: Level) -> Level:
    """The level without the words that it has in common with `brought`."""
    said = {
        name: value
        for name, value in level.set.items()
        if name not in WORDS or (name != "wording" and value != brought.set.get(name))
    }
    default = brought.set.get("wording", {})
    wording = {name: text for name, text in level.set.get("wording", {}).items() if text != default.get(name)}
    return replace(level, set=said | ({"wording": wording} if wording else {}))


def _carried_names(
    own: Mapping[str, str], old: Mapping[str, str], new: Mapping[str, str], *, only_new: bool
) -> tuple[dict[str, str], list[str]]:
    carried: dict[str, str] = {}
    rewritten = []
    for name in {**new, **own}:
        if own.get(name) == old.get(name):  # as it was by default, or not there before
            if name in new:
                carried[name] = new[name]
        else:
            if name in own and (name in new or not only_new):
                carried[name] = own[name]
            if old.get(name) != new.get(name):
                rewritten.append(name)
    return carried, rewritten


def _carried_items(
    own: list[dict[str, Any]], old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    defaults, successors = ({item["name"]: item for item in items} for items in (old, new))
    carried, rewritten = [], []
    for item in own:
        name = item["name"]
        if item == defaults.get(name) and name in successors:
            carried.append(successors[name])
        else:
            carried.append(item)
            if defaults.get(name) != successors.get(name):
                rewritten.append(name)
    return carried, rewritten


def completed_texts(texts: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`texts` of hilmix 0.1 with what came later and is needed: other pages, wordings, and boxes with a meaning."""
    whole = {name: texts.get(name) or default for name, default in defaults.items()}
    whole["wording"] = {**defaults["wording"], **texts["wording"]}
    names = {box["name"] for box in texts["boxes"]}
    meant = [box for box in defaults["boxes"] if box["name"] in MEANT and box["name"] not in names]
    return whole | {"boxes": [*texts["boxes"], *meant], "information": dict(texts["information"])}
