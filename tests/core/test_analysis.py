"""What is found in answers that are known: each number is worked out by hand or by another way."""

from __future__ import annotations

import numpy as np
import pytest

from hilmix.core.analysis import perceived as seen
from hilmix.core.analysis.classes import entropies, entropy_bits, mixup_entropy, outside
from hilmix.core.analysis.estimates import by_level, correlation, difference, estimate, resampled
from hilmix.core.analysis.habits import coverage, quantiles_ms, times
from hilmix.core.analysis.headlines import headlines
from hilmix.core.analysis.reliability import agreement, retest
from hilmix.core.analysis.table import NO_LAMBDA, AnswerTable, numbers_of, shares_of
from hilmix.core.judgements import CannotTell, ClassMass, Distribution, PerceivedLambda, PerceivedMidpoint
from hilmix.core.softlabels.classes import class_probabilities


def table(n: int, **columns) -> AnswerTable:
    """`n` answers of as many people to as many images at λ = ½, but for what `columns` say."""
    given = {
        "person": np.arange(n), "unit": np.arange(n), "first_class": np.zeros(n), "second_class": np.ones(n),
        "lambda_e4": np.full(n, 5000), "position": np.zeros(n), "repeat": np.zeros(n), "value": np.full(n, 0.5),
    } | columns  # fmt: skip
    ints = ("person", "unit", "first_class", "second_class", "lambda_e4", "position")
    floats = ("value", "confidence", "side", "start", "rt_ms")
    return AnswerTable(
        **{name: np.asarray(given[name], dtype=np.int64) for name in ints},
        repeat=np.asarray(given["repeat"], dtype=np.bool_),
        **{name: np.asarray(given.get(name, np.full(n, np.nan)), dtype=np.float64) for name in floats},
        shares=given.get("shares"),
        spread=given.get("spread"),
        named=given.get("named"),
    )


def of_classes(judgements, n_classes: int = 4, **columns) -> AnswerTable:
    of_classes = dict(zip(("shares", "spread", "named"), shares_of(judgements, n_classes), strict=True))
    return table(len(judgements), value=np.full(len(judgements), np.nan), **of_classes, **columns)


# --- the table ---


def test_a_first_answer_is_the_first_that_is_no_repeat_and_main_ones_are_all_that_are_none():
    answers = table(
        5,
        person=[0, 0, 0, 1, 1],
        unit=[7, 7, 7, 7, 8],
        repeat=[0, 1, 0, 0, 0],
        value=[0.1, 0.2, 0.3, 0.4, 0.5],
    )
    assert answers.first.value.tolist() == [0.1, 0.4, 0.5]
    assert answers.main.value.tolist() == [0.1, 0.3, 0.4, 0.5]


def test_a_pair_of_classes_is_one_whichever_of_them_was_mixed_first():
    answers = table(
        2,
        first_class=[2, 5],
        second_class=[5, 2],
        lambda_e4=[1000, 9000],
        value=[0.2, 0.9],
        side=[1, 1],
        start=[-1, -1],
    )
    turned = answers.by_class_pair
    assert (turned.first_class.tolist(), turned.lambda_e4.tolist()) == ([2, 2], [1000, 1000])
    assert turned.value == pytest.approx([0.2, 0.1])
    assert (turned.side.tolist(), turned.start.tolist()) == ([1, -1], [-1, 1])
    ((pair, shown, found),) = seen.by_class_pair(answers)
    assert (pair, shown, found.n) == ((2, 5), 0.1, 2)
    assert found.mean == pytest.approx(0.15)


def test_judgements_become_columns():
    assert numbers_of(PerceivedLambda(0.3, 0.7))[:2] == (0.3, 0.7)
    assert np.isnan(numbers_of(PerceivedLambda(0.3))[1])
    assert numbers_of(PerceivedMidpoint(0.4, "high"))[::2] == (0.4, 1.0)
    assert np.isnan(numbers_of(PerceivedMidpoint(0.4))[2])
    assert np.isnan(numbers_of(CannotTell())).all()
    assert shares_of([PerceivedLambda(0.3)], 3) is None


def test_what_an_answer_leaves_over_goes_to_classes_that_it_neither_names_nor_excludes():
    said = [
        ClassMass(((0, 0.6), (1, 0.2)), frozenset({3})),
        ClassMass(((0, 0.9), (1, 0.3)), frozenset()),  # more than all there is
        ClassMass(((0, 0.5),), frozenset({1, 2, 3})),  # nothing is left to give the rest to
        Distribution((0.25, 0.25, 0.25, 0.25)),
        CannotTell(),
    ]
    shares, spread, _ = shares_of(said, 4)
    assert shares[:, -1] == pytest.approx([0.2, 0, 0.5, 0, 1])
    assert spread[:-1] == pytest.approx(
        np.array([[0.6, 0.2, 0.2, 0], [0.75, 0.25, 0, 0], [1, 0, 0, 0], [0.25] * 4])
    )
    assert np.isnan(spread[-1]).all()  # it says nothing, not that all classes are alike


def test_an_answer_is_read_as_labels_are_judged_by_it():
    said = [
        ClassMass(((0, 0.6), (1, 0.2)), frozenset({1, 3})),
        Distribution((0.1, 0.2, 0.3, 0.4)),
        CannotTell(),
    ]
    np.testing.assert_array_equal(shares_of(said, 4)[1], class_probabilities(said, 4))


NAMED = (
    (
        ClassMass(((3, 0.05),), frozenset()),
        3,
    ),  # the rest is spread, and more of it falls to no class than to 3
    (ClassMass(((2, 0.5), (0, 0.5)), frozenset()), 2),
    (ClassMass((), frozenset({1})), -1),
    (CannotTell(), -1),
    (Distribution((0.1, 0.2, 0.3, 0.4)), 3),
    (Distribution((0.25, 0.25, 0.25, 0.25)), -1),
)


def test_the_class_named_first_is_the_one_that_the_answer_names_not_the_one_of_least_index():
    said, named = zip(*NAMED, strict=True)
    assert shares_of(said, 4)[2].tolist() == list(named)


def test_who_names_no_class_neither_agrees_nor_disagrees():
    two = [ClassMass(((3, 0.05),), frozenset()), ClassMass(((0, 1.0),), frozenset())]
    rest = [ClassMass(((one, 1.0),), frozenset()) for one in (1, 1)]
    cannot = [CannotTell(), CannotTell()]
    found = agreement(of_classes([*two, *rest, *cannot], unit=[0, 0, 1, 1, 2, 2]), np.random.default_rng(0))
    assert (found.n, found.n_units) == (4, 2)
    # Of the pairs 3/0 and 1/1: observed disagreement ½; expected 1 − (2·1)/(4·3) = 5/6.
    assert found.alpha[0] == pytest.approx(1 - (1 / 2) / (5 / 6))
    assert agreement(of_classes([*cannot, Distribution((0.5, 0.5, 0, 0))]), None) is None
    whole = headlines(of_classes([*two, *rest, *cannot], unit=[0, 0, 1, 1, 2, 2]))
    assert whole["Krippendorff's α of the class named first"] == pytest.approx(0.4)
    assert whole["entropy of one person's label, bits"] == pytest.approx(
        entropy_bits(of_classes(two).spread).mean() / 2
    )


def test_an_answer_that_excludes_the_class_it_names_stays_as_it_is():
    shares, spread, _ = shares_of([ClassMass(((2, 1.0),), frozenset({2}))], 4)
    assert shares.tolist() == [[0, 0, 1, 0, 0]]
    assert spread.tolist() == [[0, 0, 1, 0]]


# --- estimates ---


def test_the_interval_of_a_mean_knows_that_one_person_gave_many_answers():
    rng = np.random.default_rng(1)
    misses = {"clustered": 0, "blind": 0}
    for _ in range(300):
        values = 0.5 + np.repeat(rng.normal(0, 0.1, 12), 8) + rng.normal(0, 0.05, 96)
        clustered = estimate(values, np.repeat(np.arange(12), 8))
        blind = estimate(values, np.arange(96))
        misses["clustered"] += not clustered.interval[0] < 0.5 < clustered.interval[1]
        misses["blind"] += not blind.interval[0] < 0.5 < blind.interval[1]
    assert misses["clustered"] / 300 < 0.1
    assert misses["blind"] / 300 > 0.3


def test_an_interval_of_shares_stays_within_0_and_1_and_one_person_has_none():
    low, high = estimate(np.array([0.0, 0.0, 1.0, 0.9]), np.arange(4)).interval
    assert (low, high) == (0.0, 1.0)
    assert estimate(np.array([0.2, 0.4]), np.zeros(2)).interval is None
    assert estimate(np.array([np.nan]), np.zeros(1)) is None


def test_a_difference_within_people_is_surer_than_one_between_people():
    people = np.repeat(np.arange(10), 2)
    own = np.repeat(np.linspace(0, 0.9, 10), 2)
    high = np.tile([False, True], 10)
    found, within = difference(own + 0.1 * high, people, high, ~high)
    assert found == pytest.approx(0.1)
    assert within == pytest.approx((0.1, 0.1))
    _, between = difference(own + 0.1 * high, np.arange(20), high, ~high)
    assert between[0] < -0.1 < 0.3 < between[1]
    assert difference(own, people, high, np.zeros(20, dtype=bool)) is None


def test_a_correlation_is_pearsons_and_its_interval_is_wider_where_answers_go_together():
    rng = np.random.default_rng(2)
    x, y = rng.normal(0, 1, (2, 200))
    y += x
    person = np.repeat(np.arange(20), 10)
    r, interval = correlation(x, y, person, np.random.default_rng(0))
    assert r == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert interval[0] < r < interval[1]
    slopes = np.repeat(rng.choice([-1.0, 3.0], 20), 10)
    _, clustered = correlation(x, slopes * x, person, np.random.default_rng(0))
    _, blind = correlation(x, slopes * x, np.arange(200), np.random.default_rng(0))
    assert clustered[1] - clustered[0] > 1.3 * (blind[1] - blind[0])
    assert correlation(np.ones(5), np.arange(5.0), np.arange(5), rng) is None


def test_resampling_says_nothing_of_three_groups_or_of_what_is_mostly_undefined():
    rng = np.random.default_rng(0)
    assert resampled(lambda weights: 1.0, 3, rng) is None
    assert resampled(lambda weights: np.nan if weights[0] == 0 else 1.0, 5, rng) is None
    assert resampled(lambda weights: float(weights.sum()), 5, rng) == (5, 5)


def test_levels_come_in_order_and_unknown_ones_are_left_out():
    found = list(by_level(np.array([0.1, 0.3, 0.5, 0.7]), np.arange(4), np.array([0.9, 0.1, 0.9, np.nan])))
    assert [(x, one.mean) for x, one in found] == [(0.1, pytest.approx(0.3)), (0.9, pytest.approx(0.3))]


# --- shares and midpoints ---


def test_halves_and_reversed_answers_are_counted_and_whose_they_are():
    answers = table(
        6,
        person=[0, 0, 1, 2, 2, 3],
        lambda_e4=[9000, 9000, 1000, 9000, 5000, 2500],
        value=[0.2, 0.4, 0.9, 0.5, 0.5, 0.2],
        confidence=[1, 1, 1, 0.25, 0.75, 1],
    )
    half = seen.halves(answers)
    assert (half.n, half.n_uneven, half.confidence_uneven) == (2, 1, 0.25)
    assert half.share == pytest.approx(1 / 3)
    turned = seen.reversed_answers(answers)
    assert (turned.n, turned.n_people, turned.by_person) == (3, 4, (2, 1))
    assert turned.share == pytest.approx(3 / 5)
    assert (turned.people_with(1 / 3), turned.people_with(0.9)) == (1, 2)
    assert seen.reversed_answers(answers.where(answers.lambda_e4 == 5000)) is None


def test_confidence_by_deviation_counts_each_answer_once():
    answers = table(4, lambda_e4=[5000] * 4, value=[0.5, 0.55, 0.6, 1.0], confidence=[1, 0.8, 0.6, 0.4])
    bins = list(seen.confidence_by_deviation(answers))
    assert [(low, high, one.n, one.mean) for low, high, _mean, one in bins] == [
        (0.0, 0.05, 2, pytest.approx(0.9)), (0.05, 0.1, 1, 0.6), (0.3, 0.5, 1, 0.4),
    ]  # fmt: skip


def test_midpoints_are_told_by_the_side_they_were_come_to_from():
    answers = table(
        4, lambda_e4=[NO_LAMBDA] * 4, value=[0.4, 0.5, 0.6, 0.7], person=[0, 1, 0, 1], start=[-1, -1, 1, 1]
    )
    found = seen.midpoints(answers)
    assert (found.low.mean, found.high.mean) == (pytest.approx(0.45), pytest.approx(0.65))
    assert found.apart[0] == pytest.approx(0.2)
    nowhere = seen.midpoints(table(2, lambda_e4=[NO_LAMBDA] * 2, value=[0.4, 0.6]))
    assert (nowhere.low, nowhere.high, nowhere.apart) == (None, None, None)


# --- classes ---


def test_entropy_of_two_people_is_the_same_whether_two_or_eight_answered():
    rng = np.random.default_rng(3)
    labels = [Distribution(tuple(rng.dirichlet(np.full(4, 0.3)))) for _ in range(4000)]
    few = entropies(of_classes(labels[:2000], unit=np.arange(2000) // 2), rng)
    many = entropies(of_classes(labels[2000:], unit=np.arange(2000) // 8), rng)
    assert (set(few.n), set(many.n)) == ({2}, {8})
    assert few.two.mean() == pytest.approx(many.two.mean(), abs=0.03)
    # The entropy of the plain mean grows with the number of answers.
    plain = [
        entropy_bits(np.mean([labels[2000 + 8 * i + k].p for k in range(8)], axis=0)) for i in range(250)
    ]
    assert np.mean(plain) > few.two.mean() + 0.2
    truth = entropy_bits(np.full(4, 0.25))
    assert abs(many.corrected.mean() - truth) < abs(np.mean(plain) - truth)


def test_one_answer_says_nothing_of_two_and_a_sure_one_has_no_entropy():
    found = entropies(of_classes([ClassMass(((1, 1.0),), frozenset())]), np.random.default_rng(0))
    assert found.one.tolist() == [0]
    assert np.isnan(found.two).all()
    assert mixup_entropy(np.array([0.0, 0.5])) == pytest.approx([0, 1])


def test_mass_outside_the_pair_is_told_apart_from_mass_given_to_nothing():
    said = [ClassMass(((0, 0.5), (2, 0.3)), frozenset()), Distribution((0.5, 0.25, 0.25, 0.0))]
    elsewhere, nowhere = outside(of_classes(said))
    assert elsewhere == pytest.approx([0.3, 0.25])
    assert nowhere == pytest.approx([0.2, 0])


def test_an_image_mixed_with_its_own_class_has_one_class_and_not_twice_the_share():
    said = [ClassMass(((0, 0.8), (2, 0.2)), frozenset())]
    elsewhere, _ = outside(of_classes(said, first_class=[0], second_class=[0]))
    assert elsewhere == pytest.approx([0.2])


# --- people ---


def test_repeats_are_compared_with_the_same_persons_first_answer_to_the_same():
    answers = table(
        7,
        person=[0, 0, 0, 0, 1, 1, 1],
        unit=[0, 1, 0, 1, 0, 2, 3],
        repeat=[0, 0, 1, 1, 0, 0, 1],  # the last repeats nothing that was answered
        value=[0.5, 0.9, 0.53, 0.6, 0.1, 0.2, 0.3],
    )
    found = retest(answers, np.random.default_rng(0))
    assert found.n == 2
    assert found.median == pytest.approx(0.165)
    assert (found.threshold, found.over.mean) == (0.2, 0.5)
    assert found.binned == (0, 1, 0, 0, 1, 0, 0)
    assert found.median_interval is None  # one person
    assert retest(answers.main, np.random.default_rng(0)) is None


def test_repeats_about_classes_differ_by_half_the_sum_of_differences():
    said = [ClassMass(((0, 1.0),), frozenset()), ClassMass(((0, 0.6), (1, 0.4)), frozenset())]
    found = retest(of_classes(said, person=[0, 0], unit=[0, 0], repeat=[0, 1]), np.random.default_rng(0))
    assert found.median == pytest.approx(0.4)


def test_icc_beside_the_raw_one_tells_images_apart_from_their_lambda():
    rng = np.random.default_rng(4)
    unit = np.repeat(np.arange(300), 3)
    shown = np.array([1000, 5000, 9000])[unit % 3]
    value = np.clip(shown / 10_000 + rng.normal(0, 0.05, 300)[unit] + rng.normal(0, 0.1, 900), 0, 1)
    found = agreement(
        table(900, person=np.tile(np.arange(3), 300), unit=unit, lambda_e4=shown, value=value), rng
    )
    assert (found.n, found.n_people, found.n_units, found.per_unit) == (900, 3, 300, 3)
    assert found.icc[0] > 0.85
    assert found.image[0] == pytest.approx(0.2, abs=0.07)  # .05² / (.05² + .1²)
    assert found.image[1][0] < 0.2 < found.image[1][1]
    assert found.alpha[0] == pytest.approx(found.icc[0], abs=0.01)


def test_agreement_about_classes_is_nominal_and_of_midpoints_has_no_curve():
    named = [ClassMass(((index, 1.0),), frozenset()) for index in (0, 0, 1, 1, 2, 3)]
    found = agreement(of_classes(named, unit=np.arange(6) // 2), np.random.default_rng(0))
    assert (found.icc, found.image) == (None, None)
    assert found.alpha[0] == pytest.approx(1 - 5 * 2 / (36 - 10))  # one of three pairs differs
    points = agreement(
        table(4, lambda_e4=[NO_LAMBDA] * 4, unit=[0, 0, 1, 1], value=[0.4, 0.4, 0.6, 0.7]), None
    )
    assert points.image is None
    assert points.icc[0] > 0.8


def test_times_and_coverage():
    answers = table(4, position=[0, 0, 1, 1], rt_ms=[1000, 3000, np.nan, 2000], unit=[0, 1, 1, 1])
    first, second = times(answers)
    assert (first.first, first.last, first.n, first.median) == (1, 1, 2, 2000)
    assert (second.n, second.median) == (1, 2000)
    assert quantiles_ms(answers)[1] == 2000
    assert list(times(table(2))) == []
    assert quantiles_ms(table(2)) is None
    assert coverage(answers, 4).tolist() == [2, 1, 0, 1]


def test_many_positions_are_put_together():
    n = 300
    steps = list(times(table(n, position=np.arange(n), rt_ms=np.ones(n))))
    assert len(steps) <= 60
    assert sum(step.n for step in steps) == n
    assert steps[0].last + 1 == steps[1].first


# --- headlines ---


def test_headlines_are_none_where_they_cannot_be_had_and_empty_without_answers():
    found = headlines(table(3, value=[0.5, np.nan, 0.6]))
    assert found["share of “cannot tell”"] == pytest.approx(1 / 3)
    assert found["slope of perceived λ on λ"] is None  # one λ only
    assert found["median |answer − repeat|"] is None
    assert headlines(table(0)) == {}
    nobody_can_tell = headlines(table(2, value=[np.nan, np.nan]))
    assert nobody_can_tell["share of “cannot tell”"] == 1
    assert nobody_can_tell["mean confidence"] is None
