from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from elicitation.studies.hypotheses import Hypothesis
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.softlabels import build_label_set
from hilmix.hub.hypotheses import Table, test_hypothesis

DEVIATION = Hypothesis("d", "People see more of the first.", "deviation")
BETTER = Hypothesis("b", "Labels predict.", "better_label", alternative="less")
LEVELS = Hypothesis("l", "Wording matters.", "difference", factor="wording", levels=("plain", "long"))


def table(
    person, perceived, *, unit=None, lambda_e4=2500, confidence=None, levels=None, condition=0, pair=False
):
    n = len(person)
    units = np.arange(n) if unit is None else np.asarray(unit)
    return Table(
        person=np.asarray(person),
        unit=units,
        lambda_e4=np.broadcast_to(np.asarray(lambda_e4), n).copy(),
        pair=np.full(n, pair),
        condition=np.broadcast_to(np.asarray(condition), n).copy(),
        perceived=np.asarray(perceived, dtype=float),
        confidence=np.full(n, np.nan) if confidence is None else np.asarray(confidence, dtype=float),
        levels={} if levels is None else {"wording": np.asarray(levels)},
    )


def some(seed=0, people=12, each=10, shift=0.0):
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    return person, np.clip(rng.normal(0.25 + shift + rng.normal(0, 0.05, people)[person], 0.15), 0, 1)


def test_a_deviation_is_a_t_test_of_each_persons_mean():
    person, said = some(shift=0.05)
    result = test_hypothesis(DEVIATION, table(person, said))
    means = said.reshape(12, 10).mean(axis=1) - 0.25
    expected = stats.ttest_1samp(means, 0)
    assert (result.statistic, result.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert result.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert (result.estimate, result.n_people) == (pytest.approx(means.mean()), 12)
    assert result.found == (expected.pvalue < 0.05)


def test_a_hundred_answers_of_one_person_are_one_person():
    person, said = some(people=1, each=100, shift=0.3)
    result = test_hypothesis(DEVIATION, table(person, said))
    assert (result.n_people, result.p, result.found) == (1, None, False)
    assert result.estimate == pytest.approx(said.mean() - 0.25)


@pytest.mark.parametrize(("alternative", "found"), [("greater", True), ("less", False), ("two-sided", True)])
def test_the_alternative_says_in_which_direction_is_looked(alternative, found):
    person, said = some(people=30, shift=0.2)
    result = test_hypothesis(replace(DEVIATION, alternative=alternative), table(person, said))
    means = said.reshape(30, 10).mean(axis=1) - 0.25
    assert result.p == pytest.approx(stats.ttest_1samp(means, 0, alternative=alternative).pvalue)
    assert result.found == found


def test_a_deviation_is_looked_for_at_the_lambdas_named_or_at_all_but_one_half():
    person = np.repeat(np.arange(8), 3)
    shown = np.tile([1000, 5000, 9000], 8)
    said = shown / 10_000 + np.tile([0.1, 0.3, -0.02], 8) + np.random.default_rng(0).normal(0, 0.01, 24)
    everywhere = test_hypothesis(DEVIATION, table(person, said, lambda_e4=shown))
    assert everywhere.estimate == pytest.approx(0.04, abs=0.01)
    named = test_hypothesis(replace(DEVIATION, lambdas_e4=(1000,)), table(person, said, lambda_e4=shown))
    assert named.estimate == pytest.approx(0.1, abs=0.01)
    half = test_hypothesis(replace(DEVIATION, lambdas_e4=(5000,)), table(person, said, lambda_e4=shown))
    assert half.estimate == pytest.approx(0.3, abs=0.01)


def test_midpoints_of_pairs_are_deviations_at_one_half():
    person = np.repeat(np.arange(6), 4)
    said = 0.5 + np.random.default_rng(0).normal(0.08, 0.02, 24)
    pairs = test_hypothesis(DEVIATION, table(person, said, lambda_e4=5000, pair=True))
    assert pairs.estimate == pytest.approx(0.08, abs=0.02)
    assert test_hypothesis(DEVIATION, table(person, said, lambda_e4=5000)).n_people == 0


def test_levels_between_people_are_compared_with_welchs_test():
    person, said = some(people=20)
    level = np.where(person < 9, "plain", "long")
    result = test_hypothesis(LEVELS, table(person, said, levels=level))
    means = said.reshape(20, 10).mean(axis=1) - 0.25
    expected = stats.ttest_ind(means[:9], means[9:], equal_var=False)
    assert (result.statistic, result.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert result.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert (result.estimate, result.n_people) == (pytest.approx(means[:9].mean() - means[9:].mean()), 20)


def test_levels_within_people_are_compared_within_each():
    person, said = some(people=15)
    level = np.tile(["plain", "long"], 75)
    said = np.where(level == "plain", said + 0.1, said)
    result = test_hypothesis(LEVELS, table(person, said, levels=level))
    plain, long = (said[level == name].reshape(15, 5).mean(axis=1) for name in ("plain", "long"))
    expected = stats.ttest_rel(plain, long)
    assert (result.statistic, result.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert result.n_people == 15


def test_a_difference_of_confidence_leaves_out_answers_without_one():
    person, said = some(people=6)
    confidence = np.full(60, 0.6) + np.random.default_rng(3).normal(0, 0.05, 60)
    confidence[person == 5] = np.nan
    level = np.where(person < 3, "plain", "long")
    hypothesis = replace(LEVELS, outcome="confidence")
    result = test_hypothesis(hypothesis, table(person, said, confidence=confidence, levels=level))
    means = confidence.reshape(6, 10)[:5].mean(axis=1)
    assert result.p == pytest.approx(stats.ttest_ind(means[:3], means[3:], equal_var=False).pvalue)
    assert result.n_people == 5


@pytest.mark.parametrize(
    "answers",
    [
        table([], []),
        table([0], [0.3]),
        table([0, 1, 2], [0.4, 0.4, 0.4]),
        table([0, 1], [0.4, 0.5], levels=["plain", "long"]),
        table([0, 1], [0.4, 0.5], levels=["other", "other"]),
    ],
    ids=["nobody", "one", "all alike", "one a level", "other levels"],
)
@pytest.mark.parametrize("hypothesis", [DEVIATION, LEVELS, BETTER], ids=lambda one: one.test)
def test_where_nothing_can_be_tested_nothing_is_found(hypothesis, answers):
    assert not test_hypothesis(hypothesis, answers).found


# --- labels made by others --------------------------------------------------------------------------------------


def labelled(seed=0, people=10, units=40, image_sd=0.15, noise=0.1, k=5):
    """Images that differ, at two λ, each answered by `k` of the people."""
    rng = np.random.default_rng(seed)
    shown = np.where(np.arange(units) % 2 == 0, 2500, 7500)
    image = rng.normal(0, image_sd, units)
    unit = np.repeat(np.arange(units), k)
    person = np.concatenate([rng.choice(people, k, replace=False) for _ in range(units)])
    said = np.clip(shown[unit] / 10_000 + image[unit] + rng.normal(0, noise, len(unit)), 0, 1)
    return table(person, said, unit=unit, lambda_e4=shown[unit])


def test_the_label_of_others_is_the_default_policys_made_without_the_person():
    answers = labelled()
    expected = []
    for who in range(10):
        others = answers.person != who
        units = [
            Unit(
                str(unit),
                int(answers.lambda_e4[answers.unit == unit][0]),
                0,
                1,
                tuple(
                    Answer(str(p), PerceivedLambda(v))
                    for p, v in zip(
                        answers.person[others & (answers.unit == unit)],
                        answers.perceived[others & (answers.unit == unit)],
                        strict=True,
                    )
                ),
            )
            for unit in range(40)
        ]
        labels = np.array([row.lambda_ for row in build_label_set("human_lambda_shrunk", units, 2).rows])
        mine = ~others
        said, shown = answers.perceived[mine], answers.lambda_e4[mine] / 10_000
        label = labels[answers.unit[mine]]
        expected.append(np.mean((said - label) ** 2 - (said - shown) ** 2))
    result = test_hypothesis(BETTER, answers)
    # ρ differs in the third digit: residuals are taken from everybody's curve.
    assert result.estimate == pytest.approx(np.mean(expected), abs=2e-4)
    assert result.p == pytest.approx(stats.ttest_1samp(expected, 0, alternative="less").pvalue, abs=1e-3)


def test_where_images_differ_the_label_of_others_is_better():
    assert test_hypothesis(BETTER, labelled(people=20, image_sd=0.2)).found


def test_a_label_that_is_worse_is_never_found_to_be_better():
    """Few people who answer λ but for noise: a label of theirs adds nothing to λ but noise."""
    loose = replace(BETTER, alternative="two-sided", alpha=0.3)
    results = [
        test_hypothesis(loose, labelled(seed=seed, people=5, units=6, image_sd=0, k=3)) for seed in range(60)
    ]
    assert any(one.p < 0.3 and one.estimate > 0 for one in results)
    assert all(one.estimate < 0 for one in results if one.found)


def test_labels_are_made_within_a_condition():
    """Two ways of asking in which people see opposite things: pooled, the label of others would say nothing."""
    rng = np.random.default_rng(1)
    person, unit = np.repeat(np.arange(20), 20), np.tile(np.arange(20), 20)
    way = (person >= 10).astype(int)
    image = rng.normal(0, 0.15, 20)
    said = np.clip(0.5 + np.where(way, -1, 1) * image[unit] + rng.normal(0, 0.05, 400), 0, 1)
    assert test_hypothesis(BETTER, table(person, said, unit=unit, lambda_e4=5000, condition=way)).found
    assert not test_hypothesis(BETTER, table(person, said, unit=unit, lambda_e4=5000)).found


# --- no effect --------------------------------------------------------------------------------------------------


def null(hypothesis: Hypothesis, seed: int) -> Table:
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(16), 12)
    said = np.clip(0.5 + rng.normal(0, 0.08, 16)[person] + rng.normal(0, 0.1, 192), 0, 1)
    level = (
        np.where(person < 8, "plain", "long")
        if hypothesis.name == "between"
        else np.tile(["plain", "long"], 96)
    )
    return table(person, said, unit=np.tile(np.arange(12), 16), lambda_e4=5000, levels=level, pair=True)


@pytest.mark.parametrize(
    ("hypothesis", "most"),
    [(DEVIATION, 0.075), (replace(LEVELS, name="between"), 0.075), (LEVELS, 0.075), (BETTER, 0.05)],
    ids=["deviation", "between", "within", "better_label"],
)
def test_without_an_effect_one_in_twenty_is_found_at_most(hypothesis, most):
    """800 studies: 5% give 40 ± 6."""
    found = [test_hypothesis(hypothesis, null(hypothesis, seed)).found for seed in range(800)]
    assert np.mean(found) < most
    if hypothesis.test != "better_label":
        assert np.mean(found) > 0.028
