"""What one answer says about a mixed image or a pair: the words between interfaces and label policies.

An interface turns a valid answer into one of these judgements; a label policy takes the judgements of a unit.
Neither knows the other. Raw answers and their validation belong to the interfaces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hilmix.core.errors import DataError
from hilmix.core.mixing import check_lambda_e4


def _check_share(name: str, value: float) -> None:
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise DataError(f"{name} must be between 0 and 1, not {value!r}.")


@dataclass(frozen=True)
class PerceivedLambda:
    """The share of the *first* image that the person sees, and how sure they are (None if not asked); 0–1."""

    value: float
    confidence: float | None = None

    def __post_init__(self) -> None:
        _check_share("A perceived λ", self.value)
        if self.confidence is not None:
            _check_share("A confidence", self.confidence)


@dataclass(frozen=True)
class CannotTell:
    """The person says that they cannot tell; not the same as a perceived λ of 0.5."""


@dataclass(frozen=True)
class PerceivedMidpoint:
    """The λ (0–1) at which the person sees as much of one image as of the other.

    `start` is the side from which the person came to it, "low" or "high"; "" where nobody started anywhere.
    """

    value: float
    start: str = ""

    def __post_init__(self) -> None:
        _check_share("A perceived midpoint", self.value)


@dataclass(frozen=True)
class ClassMass:
    """Mass (0–1) given to some classes, by class index, and the classes said not to be in the image."""

    mass: tuple[tuple[int, float], ...]
    excluded: frozenset[int]

    def __post_init__(self) -> None:
        for index, value in self.mass:
            _check_share(f"The mass of class {index}", value)


@dataclass(frozen=True)
class Distribution:
    """A whole probability vector over the classes: non-negative, summing to 1."""

    p: tuple[float, ...]

    def __post_init__(self) -> None:
        for index, value in enumerate(self.p):
            _check_share(f"The probability of class {index}", value)
        if not math.isclose(sum(self.p), 1, abs_tol=1e-9):
            raise DataError(f"A distribution must sum to 1, not to {sum(self.p)!r}.")


Judgement = PerceivedLambda | CannotTell | PerceivedMidpoint | ClassMass | Distribution


@dataclass(frozen=True)
class Answer:
    """One person's judgement of one unit; `repeat` marks a trial asked again to measure consistency.

    `condition` names the way of asking (interface, perspective, wording, bonus, display); "" where there is one only.
    """

    participant: str
    judgement: Judgement
    repeat: bool = False
    condition: str = ""


@dataclass(frozen=True)
class Unit:
    """One mixed image and what was said about it, in the order in which it was said.

    `first_class` and `second_class` are class indices; `lambda_e4` is the first image's share in
    ten-thousandths; `parents` are the positions of the two images in their image set, where they are known.
    A pair that was asked about at every λ is a unit too, at λ = 1/2.
    """

    key: str
    lambda_e4: int
    first_class: int
    second_class: int
    answers: tuple[Answer, ...]
    parents: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_lambda_e4(self.lambda_e4)

    @property
    def lambda_(self) -> float:
        """The mixing coefficient as a float, 0–1."""
        return self.lambda_e4 / 10_000


def share_of(judgement: Judgement, class_index: int, first_class: int, second_class: int) -> float | None:
    """The share (0–1) that `judgement` gives to a class, in a mix of `first_class` and `second_class`.

    None where it says no share: `CannotTell`, and a midpoint, which is about λ and not about an image.
    """
    match judgement:
        case PerceivedLambda(value):
            return value * (class_index == first_class) + (1 - value) * (class_index == second_class)
        case ClassMass(mass):
            return dict(mass).get(class_index, 0.0)
        case Distribution(p):
            return p[class_index]
        case _:
            return None
