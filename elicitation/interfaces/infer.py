"""Infer the mixing coefficient: a slider between the two classes, and how sure the person is; or "I cannot tell".

The slider's left end is 100% of the class shown on the left. Which of the pair's classes that is, is drawn for each
trial and balanced, so that side and class can be separated (in H-Mix they could not). Follows the H-Mix interface
"infer mixing factor" (Collins et al., UAI 2023) with untouched sliders refused.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from elicitation.interfaces.base import Column, Params, Payload
from hilmix.core.judgements import CannotTell, Judgement, PerceivedLambda
from hilmix.errors import Invalid

NAME = "infer"
VERSION = 1
UNIT: Literal["mixed_image", "pair"] = "mixed_image"
PLUGIN = "mixture-sliders"
COLUMNS: tuple[Column, ...] = (
    Column("cannot_tell", "the person chose 'I cannot tell'; both percents are then empty"),
    Column("mixing_percent", "slider position, 0 = all of the left class, 100 = all of the right class"),
    Column("confidence_percent", "how sure the person is, 0 to 100"),
    Column("touched", "which sliders were moved or set"),
    Column("n_moves", "how often each slider was set"),
    Column("first_interaction_ms", "milliseconds from showing the image to the first touch"),
    Column("input_method", "mouse, touch, keyboard or mixed"),
    Column("viewport", "window width and height in CSS pixels, and device pixel ratio"),
    Column("image_css_px", "shown width of the image in CSS pixels"),
)
SLIDERS = ("mixing", "confidence")
INPUT_METHODS = ("mouse", "touch", "keyboard", "mixed", "none")


def draw_params(rng: random.Random, n: int) -> list[Params]:
    """Sides for `n` trials: the pair's first class on the left in half of them (one more or less if n is odd)."""
    sides = ["first", "second"] * (n // 2) + [rng.choice(["first", "second"])] * (n % 2)
    rng.shuffle(sides)
    return [{"left": side} for side in sides]


def shown(params: Params, first_class: str, second_class: str) -> dict[str, Any]:
    left, right = (first_class, second_class) if params["left"] == "first" else (second_class, first_class)
    return {"left_class": left, "right_class": right}


def clean(payload: Mapping[str, Any]) -> Payload:
    unknown = set(payload) - {column.name for column in COLUMNS}
    if unknown:
        raise Invalid(f"An answer to {NAME!r} has no field {', '.join(sorted(unknown))}.")
    cannot_tell = payload.get("cannot_tell", False)
    if not isinstance(cannot_tell, bool):
        raise Invalid("cannot_tell is true or false.")
    answer: Payload = {"cannot_tell": cannot_tell}
    for slider in SLIDERS:
        name = f"{slider}_percent"
        answer[name] = None if cannot_tell else _percent(payload, name)
        if cannot_tell and payload.get(name) is not None:
            raise Invalid(f"'I cannot tell' goes without {name}.")
    touched = payload.get("touched")
    if not isinstance(touched, dict) or any(not isinstance(touched.get(slider), bool) for slider in SLIDERS):
        raise Invalid("touched says of both sliders whether they were set.")
    answer["touched"] = {slider: touched[slider] for slider in SLIDERS}
    if not cannot_tell and not all(answer["touched"].values()):
        raise Invalid("Both sliders must be set before the answer counts, or choose 'I cannot tell'.")
    answer.update(_process(payload))
    return answer


def judgement(payload: Payload, params: Params) -> Judgement:
    if payload["cannot_tell"]:
        return CannotTell()
    right_share = payload["mixing_percent"] / 100
    value = 1 - right_share if params["left"] == "first" else right_share
    return PerceivedLambda(value, payload["confidence_percent"] / 100)


def payload_for(said: Judgement, params: Params, rng: np.random.Generator) -> Payload:
    answered = isinstance(said, PerceivedLambda)
    payload: Payload = {
        "cannot_tell": not answered,
        "mixing_percent": None,
        "confidence_percent": None,
        "touched": {"mixing": answered, "confidence": answered},
        "n_moves": {slider: int(rng.integers(1, 6)) if answered else 0 for slider in SLIDERS},
        "first_interaction_ms": int(rng.integers(400, 4000)),
        "input_method": "none",
    }
    if isinstance(said, PerceivedLambda):
        right_share = 1 - said.value if params["left"] == "first" else said.value
        payload["mixing_percent"] = round(100 * right_share)
        payload["confidence_percent"] = round(100 * (said.confidence or 0.0))
    return payload


def _percent(payload: Mapping[str, Any], name: str) -> int:
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        raise Invalid(f"{name} is a whole number from 0 to 100, not {value!r}.")
    return value


def _process(payload: Mapping[str, Any]) -> Payload:
    """How the answer came about: kept when it has the right form, refused when it has not."""
    kept: Payload = {}
    if (moves := payload.get("n_moves")) is not None:
        if not isinstance(moves, dict) or any(not _count(moves.get(slider)) for slider in SLIDERS):
            raise Invalid("n_moves holds a count for each slider.")
        kept["n_moves"] = {slider: moves[slider] for slider in SLIDERS}
    for name in ("first_interaction_ms", "image_css_px"):
        if (value := payload.get(name)) is not None:
            if not _count(value):
                raise Invalid(f"{name} is a whole number of at least 0.")
            kept[name] = value
    if (method := payload.get("input_method")) is not None:
        if method not in INPUT_METHODS:
            raise Invalid(f"input_method is one of {', '.join(INPUT_METHODS)}.")
        kept["input_method"] = method
    if (viewport := payload.get("viewport")) is not None:
        numbers = isinstance(viewport, list) and len(viewport) == 3
        if not numbers or any(isinstance(v, bool) or not isinstance(v, int | float) for v in viewport):
            raise Invalid("viewport holds width, height and device pixel ratio.")
        kept["viewport"] = viewport
    return kept


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
