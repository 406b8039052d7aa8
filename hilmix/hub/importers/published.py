"""Answers as importers of published tables write them: what was published, in the fields of our interfaces.

They have fewer fields than an interface sends, and may have the flaws that an interface refuses from people today.
"""

from __future__ import annotations

from typing import Any

from elicitation.interfaces import categorical, common, construct, infer, select_shuffled
from elicitation.interfaces.base import Asked, Payload
from hilmix.errors import Invalid

FIELDS: dict[str, tuple[str, ...]] = {
    infer.NAME: ("cannot_tell", "mixing_percent", "confidence_percent"),
    select_shuffled.NAME: ("selected",),
    construct.NAME: ("final_step",),
    categorical.NAME: ("most_probable", "percent", "second", "second_percent", "excluded"),
}


def is_published(interface: str, payload: Payload) -> bool:
    """Whether it has the fields that importers write, and no other."""
    return interface in FIELDS and set(payload) == set(FIELDS[interface])


def check_published(payload: Payload, asked: Asked) -> None:
    """Raise Invalid unless every field has a value that may have been published; they may contradict each other."""
    for name, value in payload.items():
        _check(name, value, asked)
    if payload.get("second") is not None and payload["second_percent"] is None:
        raise Invalid("There is a second class, but no second percent.")


def _check(name: str, value: Any, asked: Asked) -> None:
    match name:
        case "cannot_tell":
            if value is not False:
                raise Invalid("Nobody could say “I cannot tell”.")
        case "mixing_percent" | "confidence_percent":
            common.whole(name, value, 0, 100)
        case "selected" | "final_step":
            common.whole(name, value, 0, len(asked.lambdas_e4) - 1)
        case "percent" | "second_percent" if name == "percent" or value is not None:
            common.number(name, value, 100)
        case "most_probable" | "second" if name == "most_probable" or value is not None:
            _check_class(name, value, asked)
        case "excluded":
            if not isinstance(value, list):
                raise Invalid("excluded is a list of classes.")
            for one in value:
                _check_class(name, one, asked)


def _check_class(name: str, value: Any, asked: Asked) -> None:
    common.whole(name, value, 0, len(asked.classes) - 1)
