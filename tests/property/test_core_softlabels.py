from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hilmix.core.agreement import deviation_curve
from hilmix.core.judgements import Answer, CannotTell, PerceivedLambda, Unit, counted_answers
from hilmix.core.softlabels import POLICIES, build_label_set, fit_shrinkage

N_CLASSES = 4
shares = st.floats(0, 1)
judgements = st.one_of(st.builds(PerceivedLambda, shares, shares), st.just(CannotTell()))
answers = st.builds(Answer, st.sampled_from("abcd"), judgements, st.booleans())
classes = st.integers(0, N_CLASSES - 1)
units = st.builds(
    Unit, st.text(), st.sampled_from([1000, 2500, 5000, 9000]), classes, classes,
    st.lists(answers, max_size=6).map(tuple),
)  # fmt: skip


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
