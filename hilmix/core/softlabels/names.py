"""A label policy with its parameters as one text: `human_lambda(statistic=median)`, or the bare name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from hilmix.core.errors import DataError

Params = Mapping[str, Any]

_NAMED = re.compile(r"([a-z0-9_]+)(?:\((.*)\))?")


def label_name(policy: str, chosen: Params) -> str:
    """A policy and the parameters chosen for it as one text: `human_lambda(statistic=median)`, or the bare name."""
    if not chosen:
        return policy
    said = ", ".join(f"{name}={_as_text(value)}" for name, value in sorted(chosen.items()))
    return f"{policy}({said})"


def parse_label_name(text: str) -> tuple[str, dict[str, Any]]:
    """The policy's name and parameters in what `label_name` writes. Raises DataError for another text."""
    found = _NAMED.fullmatch(text.strip())
    if found is None:
        raise DataError(f"{text!r} is no label policy; write a name, such as human_lambda(statistic=median).")
    params: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in (found[2] or "").split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            raise DataError(f"{text!r}: write each parameter as name=value, not {part!r}.")
        params[name.strip()] = _from_text(value.strip())
    return found[1], params


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _from_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
