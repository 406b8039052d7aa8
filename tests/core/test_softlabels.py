from __future__ import annotations

import pytest

from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, CannotTell, PerceivedLambda, PerceivedMidpoint, Unit
from hilmix.core.softlabels import (
    DEFAULT_POLICY,
    POLICIES,
    asked_under,
    build_label_set,
    conditions_of,
    fit_shrinkage,
)


def unit(key: str, lambda_e4: int, *values: float | None, first: int = 1, second: int = 3) -> Unit:
    """A unit answered once by each person; None is "cannot tell"."""
    judgements = [CannotTell() if value is None else PerceivedLambda(value, 0.5) for value in values]
    return Unit(key, lambda_e4, first, second, tuple(Answer(f"p{i}", j) for i, j in enumerate(judgements)))


def test_mixup_gives_lambda_to_the_first_class_and_uses_nobody():
    (row,) = POLICIES["mixup"].build([unit("a", 2500, 0.9, 0.9)], 4)
    assert row.probabilities.tolist() == [0, 0.25, 0, 0.75]
    assert (row.lambda_, row.n, row.spread, row.interval) == (0.25, 0, None, None)


def test_the_raw_mean_counts_each_person_once_and_no_cannot_tell():
    answers = (
        Answer("ann", PerceivedLambda(0.2)),
        Answer("ann", PerceivedLambda(0.9), repeat=True),
        Answer("ben", PerceivedLambda(0.6)),
        Answer("cid", CannotTell()),
    )
    (row,) = POLICIES["human_lambda"].build([Unit("a", 5000, 0, 1, answers)], 2)
    assert row.lambda_ == pytest.approx(0.4)
    assert row.probabilities == pytest.approx([0.4, 0.6])
    assert (row.n, row.spread) == (2, pytest.approx(0.2))


def test_the_raw_mean_without_an_answer_is_mixup():
    (row,) = POLICIES["human_lambda"].build([unit("a", 7500, None)], 4)
    assert (row.lambda_, row.n, row.interval) == (0.75, 0, None)


def test_shrinkage_by_hand():
    # One λ, answers {.2, .4} and {.6, .8}: g = .5, residuals −.3 −.1 | .1 .3, MSB = .16, MSW = .02, n₀ = 2.
    units = [unit("a", 5000, 0.2, 0.4), unit("b", 5000, 0.6, 0.8)]
    fit = fit_shrinkage(units)
    rho = (0.16 - 0.02) / (0.16 + 0.02)
    assert fit.curve == {5000: pytest.approx(0.5)}
    assert fit.rho == pytest.approx(rho)
    assert (fit.between, fit.within) == (pytest.approx(0.07), pytest.approx(0.02))
    weight = 2 * rho / (1 + rho)
    labels = build_label_set(DEFAULT_POLICY, units, 4)
    assert labels.rows[0].lambda_ == pytest.approx(0.5 + weight * (0.3 - 0.5))
    half = 1.959964 * (0.07 * (1 - weight)) ** 0.5
    assert labels.rows[0].interval == pytest.approx(
        (max(0, labels.rows[0].lambda_ - half), labels.rows[0].lambda_ + half)
    )
    assert labels.params["rho"] == pytest.approx(rho)
    assert labels.params["curve"] == {"5000": pytest.approx(0.5)}
    assert (labels.params["n_answers"], labels.params["n_units"]) == (4, 2)


def test_shrinkage_weighs_more_answers_more():
    fit = fit_shrinkage([unit("a", 5000, 0.2, 0.4), unit("b", 5000, 0.6, 0.8)])
    weights = [fit.weight(n) for n in (0, 1, 2, 9)]
    assert weights == sorted(weights)
    assert weights[0] == 0
    assert weights[1] == pytest.approx(fit.rho)


def test_an_unanswered_image_gets_the_curve_and_an_unanswered_lambda_gets_lambda():
    units = [unit("a", 5000, 0.2, 0.4), unit("b", 5000, 0.4, 0.6), unit("c", 5000), unit("d", 9000, None)]
    rows = POLICIES["human_lambda_shrunk"].build(units, 4)
    assert rows[2].lambda_ == pytest.approx(0.4)
    assert rows[3].lambda_ == 0.9
    assert [row.n for row in rows] == [2, 2, 0, 0]


def test_without_shared_images_every_label_is_the_curve():
    rows = POLICIES["human_lambda_shrunk"].build([unit("a", 5000, 0.2), unit("b", 5000, 0.6)], 4)
    assert [row.lambda_ for row in rows] == [pytest.approx(0.4)] * 2


def test_people_who_disagree_more_within_images_than_between_them_shrink_all_the_way():
    units = [unit("a", 5000, 0.1, 0.9), unit("b", 5000, 0.2, 0.8)]
    assert fit_shrinkage(units).rho == 0
    assert [row.lambda_ for row in POLICIES["human_lambda_shrunk"].build(units, 4)] == [
        pytest.approx(0.5)
    ] * 2


def test_labels_of_no_units_are_no_labels():
    for policy in POLICIES.values():
        assert policy.build([], 4) == []


def test_the_published_recipe_includes_repeats_and_does_not_divide_by_confidence():
    answers = (
        Answer("ann", PerceivedLambda(0.4, 1.0)),
        Answer("ann", PerceivedLambda(0.2, 0.5), repeat=True),
        Answer("ben", CannotTell()),
    )
    (row,) = POLICIES["hmix_weighted"].build([Unit("a", 5000, 0, 1, answers)], 2)
    assert row.lambda_ == pytest.approx((0.4 + 0.1) / 2)
    assert (row.n, row.spread) == (2, pytest.approx(0.1))


def test_two_images_of_one_class_keep_their_class():
    (row,) = POLICIES["mixup"].build([unit("a", 2500, first=2, second=2)], 4)
    assert row.probabilities.tolist() == [0, 0, 1, 0]


def test_what_a_policy_does_not_take_is_refused_in_words():
    midpoint = Unit("a", 5000, 0, 1, (Answer("ann", PerceivedMidpoint(0.5)),))
    with pytest.raises(
        DataError, match="human_lambda takes PerceivedLambda or CannotTell; the unit a has a Perc"
    ):
        POLICIES["human_lambda"].build([midpoint], 2)
    unsure = Unit("a", 5000, 0, 1, (Answer("ann", PerceivedLambda(0.5)),))
    with pytest.raises(DataError, match="needs a confidence; an answer to a has none"):
        POLICIES["hmix_weighted"].build([unsure], 2)
    with pytest.raises(DataError, match=r"no label policy 'median'\. Choose one of: mixup, human_lambda"):
        build_label_set("median", [], 2)
    with pytest.raises(DataError, match="takes no parameter 'gamma'"):
        build_label_set("mixup", [], 2, gamma=0.1)
    with pytest.raises(DataError, match="names class 3, but there are 2 classes"):
        POLICIES["mixup"].build([unit("a", 5000)], 2)


def test_every_policy_says_what_its_number_means_and_stores_json():
    import json

    units = [unit("a", 5000, 0.2, 0.4), unit("b", 1000, 0.6, 0.8)]
    for policy in POLICIES.values():
        assert policy.meaning.endswith(".")
        labels = build_label_set(policy, units, 4)
        assert (labels.policy, labels.version) == (policy.name, 1)
        assert labels.probabilities.shape == (2, 4)
        assert json.loads(json.dumps(labels.params, allow_nan=False)) == labels.params


def asked_in_two_ways() -> list[Unit]:
    """One image: 0.2 and 0.4 said under "you", 0.9 under "others"."""
    said = [("you", 0.2), ("you", 0.4), ("others", 0.9)]
    answers = [
        Answer(f"p{i}", PerceivedLambda(value, 0.5), condition=asked) for i, (asked, value) in enumerate(said)
    ]
    return [Unit("a", 5000, 0, 1, tuple(answers))]


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "mixup"])
def test_answers_to_two_ways_of_asking_are_not_pooled_unless_named(policy):
    units = asked_in_two_ways()
    with pytest.raises(
        DataError, match=r"under 2 conditions, 'others', 'you'.*not all asked in the same way"
    ):
        build_label_set(policy, units, 2)
    with pytest.raises(DataError, match="under 2 conditions"):
        build_label_set(policy, units, 2, pool=["you"])
    assert build_label_set(policy, units, 2, pool=["you", "others"]).rows[0].n == 3


def test_the_labels_of_one_condition_use_its_answers_only():
    units = asked_in_two_ways()
    assert conditions_of(units) == ("others", "you")
    labels = build_label_set("human_lambda", asked_under("you", units), 2)
    assert (labels.rows[0].lambda_, labels.rows[0].n) == (pytest.approx(0.3), 2)
    assert labels.conditions == ("you",)


def test_mixup_uses_no_answer_so_it_pools_nothing():
    labels = build_label_set("mixup", asked_in_two_ways(), 2)
    assert (labels.rows[0].lambda_, labels.conditions) == (0.5, ())
