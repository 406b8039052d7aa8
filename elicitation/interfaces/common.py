"""What the answers of all interfaces share: fields on how the picture was shown and used, and how fields are read.

An interface names `COLUMNS` among its own and calls `clean_common`. Every number is bounded, so that nothing endless,
infinite or of another type is ever stored.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from elicitation.interfaces.base import Column, Payload
from hilmix.errors import Invalid

COLUMNS: tuple[Column, ...] = (
    Column("input_method", "mouse, touch, keyboard, mixed or none"),
    Column("viewport", "window width and height in CSS pixels, and device pixel ratio"),
    Column("image_css_px", "shown width of an image in CSS pixels"),
    Column("image_device_px", "shown width of an image in device pixels"),
    Column("enlargement", "how many times its native size an image was shown"),
    Column("resampling", "how it was enlarged: nearest or bicubic"),
    Column("image_load_error", "an image could not be shown"),
    Column("exposure_ms", "measured milliseconds until the mask; empty where the exposure was unlimited"),
    Column("first_interaction_ms", "milliseconds from showing the image to the first touch", timing=True),
    Column("blur_count", "how often the window lost the focus", timing=True),
    Column("hidden_ms", "milliseconds for which the window was hidden", timing=True),
)
INPUT_METHODS = ("mouse", "touch", "keyboard", "mixed", "none")
RESAMPLINGS = ("nearest", "bicubic")
MAX_COUNT = 2**31 - 1
MAX_PX = 100_000
MAX_HISTORY = 200
NUMBERS = {
    "image_css_px": MAX_PX,
    "image_device_px": MAX_PX,
    "enlargement": 1000,
    "exposure_ms": MAX_COUNT,
}


def clean_common(payload: Mapping[str, Any]) -> Payload:
    """The fields of `COLUMNS` that `payload` has; what has another form is refused.

    Raises:
        Invalid: naming the field.
    """
    kept: Payload = {}
    for name, choices in (("input_method", INPUT_METHODS), ("resampling", RESAMPLINGS)):
        if (value := payload.get(name)) is not None:
            kept[name] = one_of(name, value, choices)
    if (viewport := payload.get("viewport")) is not None:
        if not isinstance(viewport, list) or len(viewport) != 3:
            raise Invalid("viewport holds width, height and device pixel ratio.")
        kept["viewport"] = [number("viewport", value, MAX_PX) for value in viewport]
    for name, most in NUMBERS.items():
        if (value := payload.get(name)) is not None:
            kept[name] = number(name, value, most)
    if (failed := payload.get("image_load_error")) is not None:
        kept["image_load_error"] = boolean("image_load_error", failed)
    for name in ("first_interaction_ms", "blur_count", "hidden_ms"):
        if (value := payload.get(name)) is not None:
            kept[name] = round(number(name, value, MAX_COUNT))
    return kept


def strip_timing(payload: Payload, columns: Iterable[Column]) -> Payload:
    """A cleaned answer without times and focus events, for studies that do not say why they need them."""
    kept = dict(payload)
    for column in columns:
        if column.timing:
            kept.pop(column.name, None)
        elif column.steps and column.name in kept:
            kept[column.name] = [[None, *rest] for _time, *rest in kept[column.name]]
    return kept


def simulated_common(rng: np.random.Generator) -> Payload:
    """The shared fields that a simulated participant sends: it has no window."""
    return {"input_method": "none", "first_interaction_ms": int(rng.integers(400, 4000))}


def refuse_unknown(payload: Mapping[str, Any], interface: str, columns: Iterable[Column]) -> None:
    """Raise Invalid if `payload` has a field that is none of `columns`."""
    if unknown := set(payload) - {column.name for column in columns}:
        raise Invalid(
            f"An answer to {interface!r} has no field {reprlib.repr(', '.join(sorted(map(str, unknown))))}."
        )


def whole(name: str, value: Any, least: int, most: int) -> int:
    """`value`, if it is a whole number from `least` to `most`; Invalid otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f"{name} is a whole number from {least} to {most}, not {reprlib.repr(value)}.")
    return value


def number(name: str, value: Any, most: int) -> float:
    """`value`, if it is a number from 0 to `most`; Invalid otherwise, also for NaN and infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise Invalid(f"{name} is a number of at least 0 and at most {most}, not {reprlib.repr(value)}.")
    return value


def boolean(name: str, value: Any) -> bool:
    """`value`, if it is true or false; Invalid otherwise."""
    if not isinstance(value, bool):
        raise Invalid(f"{name} is true or false, not {reprlib.repr(value)}.")
    return value


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """`value`, if it is one of `choices`; Invalid otherwise."""
    if not isinstance(value, str) or value not in choices:
        raise Invalid(f"{name} is one of {', '.join(choices)}, not {reprlib.repr(value)}.")
    return value


def steps(name: str, value: Any, *, width: int, most: int, check: Callable[..., None]) -> list[list[Any]]:
    """The history `value`, `[[t, …], …]` with at most `most` steps; `t` in whole milliseconds or null.

    Times are rounded; anything else of another form raises Invalid.

    Args:
        width: how many items a step has, `t` included.
        check: called with the items after `t`; raises Invalid where they are no step.
    """
    if not isinstance(value, list) or len(value) > most:
        raise Invalid(f"{name} is a list of at most {most} steps.")
    kept = []
    for step in value:
        if not isinstance(step, list) or len(step) != width:
            raise Invalid(f"{name} holds steps of {width} items each, not {reprlib.repr(step)}.")
        time, *rest = step
        check(*rest)
        kept.append([None if time is None else round(number(f"A time in {name}", time, MAX_COUNT)), *rest])
    return kept
