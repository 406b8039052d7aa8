"""The findings of a report by symptom: what became of each in which arms, and the evidence where it was found. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hilmix.figures import show
from training.reports.tables import Content

LEVELS = ("red", "yellow", "note")
# Rules about the experiment, alike in all of its runs.
OF_EXPERIMENT = ("leakage", "near_duplicate", "robustness_ignored")
FOUND = "found"


@dataclass(frozen=True)
class Shown:
    """A symptom in an arm: the seeds that show it (of earlier reports, the first of them), of how many, and the numbers
    of the seed `of`."""

    arm: str
    seeds: tuple[int, ...]
    n_found: int
    n_seeds: int
    of: int
    evidence: str

    @property
    def many(self) -> str:
        """ "2 of 5"; of one seed "1"."""
        return "1" if self.n_seeds == 1 else f"{self.n_found} of {self.n_seeds}"


@dataclass
class Symptom:
    """A rule with its threshold, likely cause and remedy in words, and what became of it: by state the arms, None for
    all of them; `shown` where it was found. `of_test`: it looks at test images; `folded`: it was found by them, and
    where is not told, as `arms` and `shown` would."""

    rule: str
    name: str
    level: str
    threshold: str
    cause: str
    remedy: str
    of_test: bool
    arms: dict[str, list[str]] = field(default_factory=dict)
    shown: list[Shown] = field(default_factory=list)
    n_arms: int = 0
    folded: bool = False

    @property
    def is_found(self) -> bool:
        return self.folded or FOUND in self.arms

    @property
    def states(self) -> list[tuple[str, str]]:
        """Each state and the arms that it is so in, empty for all of them; "not found" is left out where it is found in
        others."""
        if self.folded:
            return [("found in some arm; in which is folded until a choice", "")]
        return [
            (state, "" if len(names) == self.n_arms else ", ".join(names))
            for state, names in self.arms.items()
            if state != "not found" or not self.is_found
        ]


def symptoms_of(content: Content, *, with_test: bool = True) -> list[Symptom]:
    """Every symptom that was looked for: first those that are found, the gravest and most common before the others.
    Without `with_test` those that test images show are told without arms, seeds, counts and numbers."""
    found: dict[str, Symptom] = {}
    diagnosis = content.get("diagnosis", {})
    for arm in content["arms"]:
        for one in diagnosis.get(arm["name"], ()):
            symptom = found.setdefault(one["rule"], _symptom(one))
            lacks = one["state"] == "not assessed"
            state = f"not assessed (needs {one['missing']})" if lacks else one["state"]
            symptom.arms.setdefault(state, []).append(arm["name"])
            if one["state"] == FOUND:
                symptom.shown.append(_shown(arm["name"], one))
    for symptom in found.values():
        symptom.n_arms = len(content["arms"])
        if symptom.of_test and symptom.is_found and not with_test:
            symptom.folded, symptom.arms, symptom.shown = True, {}, []
    return sorted(
        found.values(), key=lambda one: (not one.is_found, LEVELS.index(one.level), -len(one.shown))
    )


def summary(symptoms: list[Symptom]) -> str:
    """How many were found, and how many not judged anywhere."""
    n = sum(one.is_found for one in symptoms)
    said = f"{n} of {len(symptoms)} symptoms that were looked for are found in some arm."
    if folded := sum(one.folded for one in symptoms):
        said += f" {folded} of them by test images: in which arms is folded until a choice."
    bare = sum(
        all(state.startswith("not assessed") for state in one.arms) for one in symptoms if not one.folded
    )
    return f"{said} {bare} could not be assessed in any." if bare else said


def _symptom(one: Mapping[str, Any]) -> Symptom:
    return Symptom(
        one["rule"], one["name"], one["level"], one["threshold"], one.get("cause", ""), one["remedy"],
        one.get("of_test", True),
    )  # fmt: skip


def _shown(arm: str, one: Mapping[str, Any]) -> Shown:
    seeds = tuple(one.get("seeds_found", (one["seed"],)))
    return Shown(arm, seeds, one["n_found"], one["n_seeds"], one["seed"], _numbers(one))


# What the numbers of a rule are called, where their keys with spaces are not enough.
_CALLED = {
    "ece": "ECE",
    "low": "true error from",
    "high": "to",
    "ece_after": "ECE after it",
    "temperature": "T",
    "direction": "the model is",
    "images": "test images with a copy",
    "of": "of all",
    "parents": "parents of mixed images",
    "identical": "identical to training images",
    "scatter": "fluctuation",
    "drop": "below the best",
    "n_clear": "images with a clear larger parent",
    "human_kl": "KL to people",
    "human_cross_entropy": "cross-entropy against people",
    "uniform_kl": "KL of a uniform guess",
    "robust_sds": "robust SDs",
}


def _numbers(finding: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{_CALLED.get(key, key.replace('_', ' '))} "
        f"{_listed(value) if isinstance(value, list) else show(value)}"
        for key, value in finding["numbers"].items()
    )


def _listed(values: list[Any]) -> str:
    return ", ".join(map(str, values)) or "none"
