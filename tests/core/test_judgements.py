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
    share_of,
)
from hilmix.core.softlabels.counting import perceived


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
    assert perceived([unit]).values.tolist() == [0.4, 0.5]


@pytest.mark.parametrize(
    ("judgement", "of_first", "of_second", "of_another"),
    [
        (PerceivedLambda(0.75, 0.5), 0.75, 0.25, 0.0),
        (ClassMass(((2, 0.6), (1, 0.3)), frozenset({0})), 0.3, 0.6, 0.0),
        (Distribution((0.1, 0.5, 0.4)), 0.5, 0.4, 0.1),
        (CannotTell(), None, None, None),
        (PerceivedMidpoint(0.5), None, None, None),
    ],
)
def test_a_judgement_gives_each_class_a_share_or_says_none(judgement, of_first, of_second, of_another):
    assert share_of(judgement, 1, 1, 2) == of_first
    assert share_of(judgement, 2, 1, 2) == of_second
    assert share_of(judgement, 0, 1, 2) == of_another


def test_a_mix_of_one_class_is_all_of_that_class():
    assert share_of(PerceivedLambda(0.25), 1, 1, 1) == 1.0
