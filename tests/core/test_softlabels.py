from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hilmix.core.errors import DataError
from hilmix.core.judgements import (
    Answer,
    CannotTell,
    ClassMass,
    Distribution,
    Judgement,
    PerceivedLambda,
    PerceivedMidpoint,
    Unit,
)
from hilmix.core.softlabels import (
    DEFAULT_POLICY,
    NUMBERS,
    POLICIES,
    LabelPolicy,
    LabelSet,
    asked_under,
    build_label_set,
    conditions_of,
    fit_shrinkage,
)

# What is fitted on pixels is tested in `test_warp`.
WITHOUT_PIXELS = [name for name, policy in POLICIES.items() if "features" not in policy.needs]


def unit(key: str, lambda_e4: int, *values: float | None, first: int = 1, second: int = 3) -> Unit:
    """A unit answered once by each person; None is "cannot tell"."""
    judgements = [CannotTell() if value is None else PerceivedLambda(value, 0.5) for value in values]
    return Unit(key, lambda_e4, first, second, tuple(Answer(f"p{i}", j) for i, j in enumerate(judgements)))


def test_mixup_gives_lambda_to_the_first_class_and_uses_nobody():
    (row,) = build_label_set("mixup", [unit("a", 2500, 0.9, 0.9)], 4).rows
    assert row.probabilities.tolist() == [0, 0.25, 0, 0.75]
    assert (row.lambda_, row.n, row.spread, row.interval) == (0.25, 0, None, None)


def test_the_raw_mean_counts_each_person_once_and_no_cannot_tell():
    answers = (
        Answer("ann", PerceivedLambda(0.2)),
        Answer("ann", PerceivedLambda(0.9), repeat=True),
        Answer("ben", PerceivedLambda(0.6)),
        Answer("cid", CannotTell()),
    )
    (row,) = build_label_set("human_lambda", [Unit("a", 5000, 0, 1, answers)], 2).rows
    assert row.lambda_ == pytest.approx(0.4)
    assert row.probabilities == pytest.approx([0.4, 0.6])
    assert (row.n, row.spread) == (2, pytest.approx(0.2))


def test_the_raw_mean_without_an_answer_is_mixup():
    (row,) = build_label_set("human_lambda", [unit("a", 7500, None)], 4).rows
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
    of_curve = (0.07 * 2 * 2**2 + 0.02 * 4) / 4**2  # the variance of the mean of all four answers
    half = 1.959964 * ((1 - weight) ** 2 * (0.07 + of_curve) + weight**2 * 0.02 / 2) ** 0.5
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
    rows = build_label_set("human_lambda_shrunk", units, 4).rows
    assert rows[2].lambda_ == pytest.approx(0.4)
    assert rows[3].lambda_ == 0.9
    assert [row.n for row in rows] == [2, 2, 0, 0]


def test_without_shared_images_every_label_is_the_curve():
    rows = build_label_set("human_lambda_shrunk", [unit("a", 5000, 0.2), unit("b", 5000, 0.6)], 4).rows
    assert [row.lambda_ for row in rows] == [pytest.approx(0.4)] * 2


def test_people_who_disagree_more_within_images_than_between_them_shrink_all_the_way():
    units = [unit("a", 5000, 0.1, 0.9), unit("b", 5000, 0.2, 0.8)]
    assert fit_shrinkage(units).rho == 0
    assert [row.lambda_ for row in build_label_set("human_lambda_shrunk", units, 4).rows] == [
        pytest.approx(0.5)
    ] * 2


def said(policy: LabelPolicy, *shares: float) -> tuple[Judgement, ...]:
    """What a policy takes, as different from each other as the shares."""
    taken = policy.accepts[0] if policy.accepts else PerceivedLambda
    if taken is PerceivedLambda:
        return tuple(PerceivedLambda(share, 0.5) for share in shares)
    if taken is PerceivedMidpoint:
        return tuple(PerceivedMidpoint(share, "low") for share in shares)
    if taken is ClassMass:
        return tuple(ClassMass(((1, share), (3, 1 - share)), frozenset()) for share in shares)
    return tuple(Distribution((0.0, share, 0.0, 1 - share)) for share in shares)


def labels_of(name: str, units: list[Unit], **params: object) -> LabelSet:
    """The labels of units answered with what the policy takes, with all the evidence that it may need."""
    beside = [
        Unit(one.key, one.lambda_e4, 1, 3, (Answer("zoe", Distribution((0.1, 0.5, 0.1, 0.3))),))
        for one in units
    ]
    return build_label_set(name, units, 4, pairs=units, beside=beside, **params)


def taken_by(policy: LabelPolicy, key: str, lambda_e4: int, *shares: float, condition: str = "") -> Unit:
    answers = (
        Answer(f"p{i}", judgement, condition=condition) for i, judgement in enumerate(said(policy, *shares))
    )
    return Unit(key, lambda_e4, 1, 3, tuple(answers), (1, 2))


@pytest.mark.parametrize("name", [name for name, policy in POLICIES.items() if not policy.needs])
def test_labels_of_no_units_are_no_labels(name):
    assert list(build_label_set(name, [], 4).rows) == []


def test_the_published_recipe_includes_repeats_and_does_not_divide_by_confidence():
    answers = (
        Answer("ann", PerceivedLambda(0.4, 1.0)),
        Answer("ann", PerceivedLambda(0.2, 0.5), repeat=True),
        Answer("ben", CannotTell()),
    )
    (row,) = build_label_set("hmix_weighted", [Unit("a", 5000, 0, 1, answers)], 2).rows
    assert row.lambda_ == pytest.approx((0.4 + 0.1) / 2)
    assert (row.n, row.spread) == (2, pytest.approx(0.1))


def test_two_images_of_one_class_keep_their_class():
    (row,) = build_label_set("mixup", [unit("a", 2500, first=2, second=2)], 4).rows
    assert row.probabilities.tolist() == [0, 0, 1, 0]


def test_what_a_policy_does_not_take_is_refused_in_words():
    midpoint = Unit("a", 5000, 0, 1, (Answer("ann", PerceivedMidpoint(0.5)),))
    with pytest.raises(
        DataError, match="human_lambda takes PerceivedLambda or CannotTell; the unit a has a Perc"
    ):
        build_label_set("human_lambda", [midpoint], 2)
    unsure = Unit("a", 5000, 0, 1, (Answer("ann", PerceivedLambda(0.5)),))
    with pytest.raises(DataError, match="needs a confidence; an answer to a has none"):
        build_label_set("hmix_weighted", [unsure], 2)
    with pytest.raises(DataError, match=r"no label policy 'median'\. Choose one of: mixup, human_lambda"):
        build_label_set("median", [], 2)
    with pytest.raises(DataError, match="takes no parameter 'gamma'"):
        build_label_set("mixup", [], 2, gamma=0.1)
    with pytest.raises(DataError, match="names class 3, but there are 2 classes"):
        build_label_set("mixup", [unit("a", 5000)], 2)


@pytest.mark.parametrize("name", WITHOUT_PIXELS)
def test_every_policy_says_what_its_number_means_and_stores_json(name):
    policy = POLICIES[name]
    units = [taken_by(policy, f"{i}", 1000 * i, 0.1 * i, 0.1 * i + 0.05) for i in range(1, 9)]
    labels = labels_of(name, units)
    assert policy.meaning.endswith(".")
    assert policy.number in NUMBERS
    assert (labels.policy, labels.version) == (name, policy.version)
    assert labels.probabilities.shape == (8, 4)
    assert json.loads(json.dumps(labels.params, allow_nan=False)) == labels.params


def asked_in_two_ways() -> list[Unit]:
    """One image: 0.2 and 0.4 said under "you", 0.9 under "others"."""
    said = [("you", 0.2), ("you", 0.4), ("others", 0.9)]
    answers = [
        Answer(f"p{i}", PerceivedLambda(value, 0.5), condition=asked) for i, (asked, value) in enumerate(said)
    ]
    return [Unit("a", 5000, 0, 1, tuple(answers))]


@pytest.mark.parametrize("name", [name for name in WITHOUT_PIXELS if POLICIES[name].accepts])
def test_answers_to_two_ways_of_asking_are_not_pooled_unless_named(name):
    policy = POLICIES[name]
    asked = {"you": (0.2, 0.4), "others": (0.9,)}
    units = [
        replace(
            taken_by(policy, f"{i}", 1000 * i),
            answers=tuple(
                replace(answer, participant=f"{condition} {answer.participant}")
                for condition, shares in asked.items()
                for answer in taken_by(policy, "", 0, *shares, condition=condition).answers
            ),
        )
        for i in range(1, 9)
    ]
    with pytest.raises(
        DataError, match=r"under 2 conditions, 'others', 'you'.*not all asked in the same way"
    ):
        labels_of(name, units)
    with pytest.raises(DataError, match="under 2 conditions"):
        labels_of(name, units, pool=["you"])
    assert labels_of(name, units, pool=["you", "others"]).conditions == ("others", "you")


def test_the_labels_of_one_condition_use_its_answers_only():
    units = asked_in_two_ways()
    assert conditions_of(units) == ("others", "you")
    labels = build_label_set("human_lambda", asked_under("you", units), 2)
    assert (labels.rows[0].lambda_, labels.rows[0].n) == (pytest.approx(0.3), 2)
    assert labels.conditions == ("you",)


def test_mixup_uses_no_answer_so_it_pools_nothing():
    labels = build_label_set("mixup", asked_in_two_ways(), 2)
    assert (labels.rows[0].lambda_, labels.conditions) == (0.5, ())
