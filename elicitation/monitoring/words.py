"""What was answered and what happened on the way, in words for researchers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from elicitation.interfaces import common
from elicitation.interfaces.base import Asked, Interface, Payload
from elicitation.studies.factors import Levels
from elicitation.studies.labels import value_in_words, words_of
from hilmix.core.judgements import (
    CannotTell,
    ClassMass,
    Distribution,
    Judgement,
    PerceivedLambda,
    PerceivedMidpoint,
)
from hilmix.core.mixing import class_text, lambda_text

SHOWN_CLASSES = 4
_COMMON = frozenset(column.name for column in common.COLUMNS)
EVENTS: Mapping[str, str | Promise] = {
    "instructions": gettext_lazy("read the instructions"),
    "practice": gettext_lazy("practised"),
    "comprehension": gettext_lazy("answered the questions about the controls"),
    "preload": gettext_lazy("the pictures were loaded"),
    "preload_fail": gettext_lazy("pictures could not be loaded"),
    "break": gettext_lazy("took a break"),
    "resume": gettext_lazy("came back"),
    "hidden": gettext_lazy("left the window"),
    "offline": gettext_lazy("lost the connection"),
    "js_error": gettext_lazy("a script failed"),
    "save_refused": gettext_lazy("the server refused an answer"),
    "superseded": gettext_lazy("answered a trial a second time; the first answer counts"),
    "conflict": gettext_lazy("sent an answer that contradicts a saved one"),
    "data_problem": gettext_lazy("the server lacked answers at the end"),
}


def in_words(levels: Levels) -> str:
    """`factor: level, …`; empty where nothing varies."""
    return ", ".join(f"{factor}: {level}" for factor, level in levels.items())


def event_in_words(kind: str, data: Mapping[str, Any]) -> str:
    """What happened; a kind that is not known here by its name."""
    said = str(EVENTS.get(kind, kind))
    if kind == "comprehension":
        return f"{said}: {_('right') if data.get('passed') else _('wrong')}"
    position = data.get("position")
    return f"{said} ({_('trial')} {position + 1})" if isinstance(position, int) else said


def answer_in_words(payload: Payload, interface: Interface) -> list[tuple[str, str, str]]:
    """Name, value and meaning of each of the interface's own fields that was answered, in their order."""
    return [
        (words_of(column.name), value_in_words(payload[column.name]), f"{column.name}: {column.description}")
        for column in interface.COLUMNS
        if column.name not in _COMMON and not column.steps and payload.get(column.name) is not None
    ]


def judgement_in_words(judgement: Judgement, asked: Asked) -> str:
    """What an answer says, in terms of the classes and of λ."""
    classes = [class_text(name) for name in asked.classes]
    first, second = classes[asked.first_class], classes[asked.second_class]
    match judgement:
        case CannotTell():
            return _("cannot tell")
        case PerceivedLambda(value, confidence):
            said = f"{_percent(value)} {first}, {_percent(1 - value)} {second}"
            sure = _("%(percent)s sure") % {"percent": _percent(confidence)} if confidence is not None else ""
            return f"{said}; {sure}" if sure else said
        case PerceivedMidpoint(value):
            return _("as much of %(first)s as of %(second)s at λ %(value)s") % {
                "first": first,
                "second": second,
                "value": lambda_text(round(value * 10_000)),
            }
        case ClassMass(mass, excluded):
            shares = _shares(dict(mass), classes)
            ruled_out = ", ".join(classes[index] for index in sorted(excluded))
            return f"{shares}; {_('not')} {ruled_out}" if ruled_out else shares
        case Distribution(p):
            return _shares({index: share for index, share in enumerate(p) if share > 0}, classes)


def _shares(mass: Mapping[int, float], classes: Sequence[str]) -> str:
    ordered = sorted(mass.items(), key=lambda item: -item[1])
    said = [f"{_percent(share)} {classes[index]}" for index, share in ordered[:SHOWN_CLASSES]]
    more = len(ordered) - len(said)
    return ", ".join([*said, _("%d more") % more] if more > 0 else said)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
