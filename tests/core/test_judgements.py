from __future__ import annotations

import pytest

from hilmix.core.errors import DataError
from hilmix.core.judgements import (
    Answer,
    CannotTell,
    ClassMass,
    Distribution,
    PerceivedLambda,
    PerceivedMidpoint,
    Unit,
    counted_answers,
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PerceivedLambda(1.01), "A perceived λ must be between 0 and 1"),
        (lambda: PerceivedLambda(float("nan")), "not nan"),
        (lambda: PerceivedLambda(0.5, -0.1), "A confidence must be between 0 and 1"),
        (lambda: PerceivedMidpoint(-1), "A perceived midpoint"),
        (lambda: ClassMass(((3, 1.5),), frozenset()), "The mass of class 3"),
        (lambda: Distribution((0.5, 0.4)), "must sum to 1"),
        (lambda: Distribution((1.5, -0.5)), "The probability of class 0"),
        (lambda: Unit("a", 12000, 0, 1, ()), "whole ten-thousandths"),
    ],
)
def test_a_judgement_outside_its_range_cannot_be_made(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_a_person_counts_once_and_only_with_a_number():
    unit = Unit("a", 5000, 0, 1, (
        Answer("ann", PerceivedLambda(0.2), repeat=True),
        Answer("ann", PerceivedLambda(0.4)),
        Answer("ann", PerceivedLambda(0.9)),
        Answer("ben", CannotTell()),
        Answer("ben", PerceivedLambda(0.7)),
        Answer("cid", PerceivedLambda(0.1), repeat=True),
        Answer("dan", PerceivedLambda(0.5)),
    ))  # fmt: skip
    assert [judgement.value for judgement in counted_answers(unit)] == [0.4, 0.5]
