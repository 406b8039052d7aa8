from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilmix.core.agreement import deviation_curve
from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, CannotTell, PerceivedLambda, Unit, counted_answers
from hilmix.core.softlabels import POLICIES, asked_under, build_label_set, conditions_of, fit_shrinkage

N_CLASSES = 4
shares = st.floats(0, 1)
judgements = st.one_of(st.builds(PerceivedLambda, shares, shares), st.just(CannotTell()))
classes = st.integers(0, N_CLASSES - 1)


def units_asked_under(*conditions: str) -> st.SearchStrategy[Unit]:
    answers = st.builds(
        Answer, st.sampled_from("abcd"), judgements, st.booleans(), st.sampled_from(conditions)
    )
    return st.builds(
        Unit, st.text(), st.sampled_from([1000, 2500, 5000, 9000]), classes, classes,
        st.lists(answers, max_size=6).map(tuple),
    )  # fmt: skip


units = units_asked_under("")


@given(st.lists(units, max_size=12), st.sampled_from(sorted(POLICIES)))
def test_every_label_is_a_distribution_over_the_two_classes(given_units, name):
    for unit, row in zip(given_units, POLICIES[name].build(given_units, N_CLASSES), strict=True):
        assert np.all(row.probabilities >= 0)
        assert abs(row.probabilities.sum() - 1) < 1e-12
        others = set(range(N_CLASSES)) - {unit.first_class, unit.second_class}
        assert all(row.probabilities[index] == 0 for index in others)
        if row.interval is not None:
            assert 0 <= row.interval[0] <= row.lambda_ <= row.interval[1] <= 1


@given(st.lists(units, min_size=1, max_size=12))
def test_a_shrunk_label_lies_between_the_mean_and_the_curve(given_units):
    fit = fit_shrinkage(given_units)
    assert 0 <= fit.rho <= 1
    for unit, row in zip(
        given_units, POLICIES["human_lambda_shrunk"].build(given_units, N_CLASSES), strict=True
    ):
        values = [judgement.value for judgement in counted_answers(unit)]
        ends = sorted(
            [fit.expected(unit.lambda_e4), np.mean(values) if values else fit.expected(unit.lambda_e4)]
        )
        assert ends[0] - 1e-12 <= row.lambda_ <= ends[1] + 1e-12


@given(st.lists(units, max_size=12), st.randoms(use_true_random=False))
def test_labels_do_not_depend_on_the_order_of_the_images(given_units, random):
    order = list(range(len(given_units)))
    random.shuffle(order)
    for name in POLICIES:
        straight = build_label_set(name, given_units, N_CLASSES).rows
        shuffled = build_label_set(name, [given_units[i] for i in order], N_CLASSES).rows
        for position, index in enumerate(order):
            assert np.allclose(shuffled[position].probabilities, straight[index].probabilities, atol=1e-9)


@given(st.lists(units, max_size=12))
def test_the_curve_counts_what_the_labels_count(given_units):
    points = deviation_curve(given_units)
    assert sum(point.n for point in points) == sum(len(counted_answers(unit)) for unit in given_units)


@given(st.lists(units_asked_under("you", "others"), max_size=8), st.sampled_from(sorted(POLICIES)))
def test_no_label_ever_uses_answers_of_two_conditions(given_units, name):
    conditions = conditions_of(given_units)
    if POLICIES[name].accepts and len(conditions) > 1:
        with pytest.raises(DataError):
            build_label_set(name, given_units, N_CLASSES)
    for condition in conditions:
        alone = asked_under(condition, given_units)
        assert {answer.condition for unit in alone for answer in unit.answers} == {condition}
        assert len(build_label_set(name, alone, N_CLASSES).rows) == len(given_units)
    # Nobody is lost, and nobody is asked twice.
    split = [
        answer
        for condition in conditions
        for unit in asked_under(condition, given_units)
        for answer in unit.answers
    ]
    assert len(split) == sum(len(unit.answers) for unit in given_units)
