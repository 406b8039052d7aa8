"""Whether what an arm's images were augmented with made it hold under just that: augmentation may do nothing, or harm.

Pure: strengths of augmentation and stored differences in, rows of a table out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.reports.robustness.pair import Pair, Three, three

# What each augmentation does to images, among the changes that test images are put through: the same, and what is akin.
SAME: Mapping[str, tuple[str, ...]] = {
    "crop": ("translate",),
    "flip": ("flip_horizontal",),
    "rotation": ("rotate",),
    "blur": ("gaussian_blur",),
    "noise": ("gaussian_noise",),
    "brightness": ("brightness",),
    "contrast": ("contrast",),
}
AKIN: Mapping[str, tuple[str, ...]] = {
    "flip": ("flip_vertical",),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "noise": ("shot_noise", "impulse_noise", "speckle_noise"),
}

WORSE, BETTER, UNCLEAR = "breaks more often", "breaks less often", "not separable"


@dataclass(frozen=True)
class Effect:
    """`arm` had more of `augmentation` than `other`: what that went along with under one change."""

    arm: str
    other: str
    augmentation: str
    strengths: str
    change: str
    akin: bool
    rate: Three
    rate_of_other: Three
    difference: Three

    @property
    def outcome(self) -> str:
        """Whether the interval of the difference leaves 0 out, and to which side."""
        _, low, high = self.difference
        if low is None or high is None:
            return UNCLEAR
        return WORSE if low > 0 else BETTER if high < 0 else UNCLEAR


def strengths_of(content: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By arm how strongly its images were augmented, with what those it begins with were augmented with; 0 is left
    out."""
    shared = (content["config"].get("train") or {}).get("augment") or {}
    arms = {arm["name"]: arm for arm in content["arms"]}
    found: dict[str, dict[str, float]] = {}

    def of(name: str) -> dict[str, float]:
        if name not in found and name in arms:
            found[name] = {}  # an arm that begins with itself ends here
            settings = arms[name].get("settings") or {}
            tuned = {
                key.removeprefix("augment."): value
                for key, value in (settings.get("tuned") or {}).items()
                if key.startswith("augment.")
            }
            own = {**shared, **(settings.get("augment") or {}), **tuned}
            before = of(str(settings.get("start_from"))) if settings.get("start_from") is not None else {}
            found[name] = {
                key: value
                for key in SAME
                if (value := max(float(own.get(key) or 0), before.get(key, 0.0))) > 0
            }
        return found.get(name, {})

    return {name: of(name) for name in arms if not arms[name].get("is_external")}


def effects_of(pair: Pair, strengths: Mapping[str, Mapping[str, float]]) -> list[Effect]:
    """Every change that one arm of the pair was augmented for more than the other, and what lies between them."""
    if pair.a not in strengths or pair.b not in strengths:
        return []
    places = {change.key: place for place, change in pair.whole()}
    found = []
    for key in SAME:
        first, second = (strengths[name].get(key, 0.0) for name in (pair.a, pair.b))
        if first == second:
            continue
        words = f"{_amount(key, max(first, second))} against {_amount(key, min(first, second))}"
        for name, akin in (*((one, False) for one in SAME[key]), *((one, True) for one in AKIN.get(key, ()))):
            if name in places:
                found.append(_effect(pair, places[name], name, key, words, akin, turned=second > first))
    return found


def got_worse(effects: Sequence[Effect]) -> list[Effect]:
    """Those in which the arm with more of it breaks more often, the interval leaving 0 out."""
    return [one for one in effects if one.outcome == WORSE]


def _effect(pair: Pair, place: int, name: str, key: str, words: str, akin: bool, *, turned: bool) -> Effect:
    ours, theirs, less = (three(one[place]) for one in (pair.of_a, pair.of_b, pair.apart))
    if turned:
        ours, theirs, less = theirs, ours, (_minus(less[0]), _minus(less[2]), _minus(less[1]))
    arm, other = (pair.b, pair.a) if turned else (pair.a, pair.b)
    return Effect(arm, other, key, words, pair.changes[name].name, akin, ours, theirs, less)


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _amount(key: str, value: float) -> str:
    return ("yes" if value else "no") if key == "flip" else f"{value:g}"
