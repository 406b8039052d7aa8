"""What may be said of the difference between two arms: for other images, other seeds and other people."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from hilmix.core.errors import DataError
from training.evaluation.calibration import equal_width
from training.evaluation.choice import choose
from training.evaluation.components import Components, Drawn, Terms, measured
from training.evaluation.inference import (
    Estimate,
    detectable,
    estimate,
    holm,
    judge,
    mcnemar,
    seeds_needed,
)
from training.evaluation.metrics import sums_by_group
from training.evaluation.predictions import predictions
from training.evaluation.resampling import measure, resampled


def crossed(rng, seeds, images, *, of_seed=0.0, of_image=0.0, of_both=0.0, mean=0.0) -> np.ndarray:
    """d_si = mean + a_s + b_i + e_si with these standard deviations."""
    return (
        mean
        + of_seed * rng.standard_normal((seeds, 1))
        + of_image * rng.standard_normal(images)
        + of_both * rng.standard_normal((seeds, images))
    )


def arms(rng, difference=0.0, seeds=5, images=400) -> tuple[Terms, Terms]:
    a = crossed(rng, seeds, images, of_seed=0.01, of_image=1.0, of_both=0.3)
    return Terms(a), Terms(a - crossed(rng, seeds, images, of_seed=0.01, of_both=0.2, mean=difference))


# -- the three variances


def test_the_variances_of_a_two_way_layout_by_hand():
    # Means by seed 1.5 and 3.5, by image 2 and 3, overall 2.5; what remains is ±0.5.
    found = Terms(np.array([[1.5, 1.5], [2.5, 4.5]])).components()
    assert found.mean == 2.5
    assert found.of_seeds == pytest.approx((1 + 1) / 1 / 2)
    assert found.of_images == pytest.approx((0.25 + 0.25) / 1 / 2)
    assert found.of_both == pytest.approx(4 * 0.25 / 1 / 4)
    assert found.variance() == pytest.approx(1.0 + 0.25 - 0.25)


def test_the_three_variances_are_those_that_made_the_terms():
    rng = np.random.default_rng(0)
    seeds, images = 400, 900
    found = Terms(crossed(rng, seeds, images, of_seed=0.5, of_image=2.0, of_both=1.0)).components()
    both = 1.0 / (seeds * images)
    assert found.of_both == pytest.approx(both, rel=0.02)
    assert found.of_seeds == pytest.approx(0.25 / seeds + both, rel=0.2)
    assert found.of_images == pytest.approx(4.0 / images + both, rel=0.2)


def test_a_mean_brought_as_draws_has_the_variances_of_its_terms():
    rng = np.random.default_rng(1)
    terms = Terms(crossed(rng, 5, 300, of_seed=0.1, of_image=1.0, of_both=0.5))
    models = [lambda weights, row=row: {"mean": weights @ row / 300} for row in terms.terms]
    drawn = measured(models, 300, draws=4000)["mean"].components()
    exact = terms.components()
    assert drawn.mean == pytest.approx(exact.mean)
    assert drawn.of_seeds == pytest.approx(exact.of_seeds)
    assert drawn.of_images == pytest.approx(exact.of_images, rel=0.1)
    assert drawn.of_both == pytest.approx(exact.of_both, rel=0.1)


def test_the_same_seed_gives_the_same_draws():
    models = [lambda weights: {"x": weights @ np.arange(20.0)}]
    one, same = (measured(models, 20, draws=100, seed=3)["x"].draws for _ in range(2))
    other = measured(models, 20, draws=100, seed=4)["x"].draws
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_what_both_arms_share_is_not_counted_as_uncertainty():
    a, b = arms(np.random.default_rng(2))
    difference = estimate(a.minus(b))
    apart = math.hypot(estimate(a).error, estimate(b).error)
    assert difference.error < apart / 3


def test_both_arms_see_the_same_draws_so_that_an_arm_of_draws_differs_from_itself_by_nothing():
    x = np.random.default_rng(0).standard_normal(40)
    models = [lambda weights: {"square": (weights @ x / 40) ** 2}] * 5
    a, b = (measured(models, 40, draws=150)["square"] for _ in range(2))
    assert estimate(a).error > 0
    one = estimate(a.minus(b))
    assert (one.value, one.error) == (0.0, 0.0)


# -- coverage

LAYOUTS = [
    pytest.param({"of_image": 1.0, "of_both": 0.5}, id="images alone"),
    pytest.param({"of_seed": 0.07, "of_image": 1.0, "of_both": 0.5}, id="both alike"),
    pytest.param({"of_seed": 0.3, "of_image": 1.0, "of_both": 0.2}, id="seeds above all"),
]
REPETITIONS = 1500
SLACK = 3 * math.sqrt(0.95 * 0.05 / REPETITIONS)


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_crossed_interval_holds_the_true_difference_as_often_as_it_says(layout, seeds):
    rng = np.random.default_rng((seeds, len(layout)))
    held = 0
    for _ in range(REPETITIONS):
        low, high = estimate(Terms(crossed(rng, seeds, 200, **layout))).interval()
        held += low <= 0 <= high
    assert 0.935 - SLACK <= held / REPETITIONS <= 0.97 + SLACK


def test_percentiles_of_crossed_resampling_hold_it_too_seldom_with_five_seeds():
    rng = np.random.default_rng(0)
    ours = percentile = 0
    for _ in range(400):
        d = crossed(rng, 5, 60, of_seed=1.0, of_image=1.0, of_both=0.2)
        seeds, images = (rng.multinomial(n, np.full(n, 1 / n), 300) / n for n in d.shape)
        low, high = np.quantile(((seeds @ d) * images).sum(axis=1), [0.025, 0.975])
        percentile += low <= 0 <= high
        low, high = estimate(Terms(d)).interval()
        ours += low <= 0 <= high
    assert percentile / 400 < 0.9 < ours / 400


def test_resampling_images_alone_claims_too_much_where_seeds_differ():
    """The mistake that crossing avoids: one interval over images for models that would be others next time."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        one = estimate(Terms(crossed(rng, 5, 200, of_seed=0.3, of_image=1.0, of_both=0.2)))
        low, high = Estimate(one.components, these_models=True).interval()
        held += low <= 0 <= high
    assert held / 300 < 0.8


def test_the_interval_of_what_is_no_mean_holds_it_too():
    """Correlations over images, of models that differ: image draws, crossed with seeds."""
    rng = np.random.default_rng(0)
    truth, held = 0.5, 0
    for repetition in range(150):
        x = rng.standard_normal(150)
        slopes = truth / math.sqrt(1 - truth**2) + 0.1 * rng.standard_normal(5)
        ys = [slope * x + rng.standard_normal(150) for slope in slopes]
        models = [lambda weights, y=y, x=x: {"r": weighted_correlation(weights, x, y)} for y in ys]
        low, high = estimate(measured(models, 150, draws=200, seed=repetition)["r"]).interval()
        held += low <= truth <= high
    assert held / 150 >= 0.9


def weighted_correlation(weights, x, y):
    n = weights.sum(axis=1)
    mx, my = weights @ x / n, weights @ y / n
    return (weights @ (x * y) / n - mx * my) / np.sqrt(
        (weights @ x**2 / n - mx**2) * (weights @ y**2 / n - my**2)
    )


# -- models


def models(labels=None, n=60, **more):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n) if labels is None else labels
    return predictions(logits=rng.normal(size=(n, 3)), labels=labels, **more)


def test_calibration_errors_are_not_compared_as_their_difference_keeps_a_bias():
    found = measure([models()], draws=100)
    assert "confidence_gap" in found
    assert not [key for key in found if "ece" in key or "mce" in key or "rms" in key]


def test_the_difference_of_calibration_errors_would_not_be_held_by_its_interval():
    """Why they are left out: an arm that errs by 0.05 and a calibrated one, 1,000 images, 5 seeds."""
    rng, n, held = np.random.default_rng(0), 1000, 0

    def ece_of(confidence, right):
        which = equal_width(confidence)

        def figures(weights):
            return {"ece": np.abs(sums_by_group(weights * (right - confidence), which, 15)).sum(axis=1) / n}

        return figures

    for repetition in range(40):
        chance = 0.5 + 0.5 * rng.beta(5, 1.5, n)
        right = (rng.random(n) < chance) * 1.0
        over, true = (
            [ece_of(np.clip(chance + more + rng.normal(0, 0.005), 0.5, 1), right) for _ in range(5)]
            for more in (0.05, 0.0)
        )
        a, b = (measured(each, n, draws=100, seed=repetition)["ece"] for each in (over, true))
        low, high = estimate(a.minus(b)).interval()
        held += low <= 0.042 <= high  # the true errors are 0.046 and 0.004: seeds differ by 0.005
    assert held / 40 < 0.9


def test_models_of_other_labels_are_not_measured_as_one_arm():
    with pytest.raises(DataError, match="not judged by the same labels"):
        measure([models(), models(labels=np.zeros(60, int))], draws=100)
    with pytest.raises(DataError, match="not judged by the same labels"):
        measure([models(), models(human=np.full((60, 3), 2))], draws=100)


def test_too_few_draws_are_refused_and_do_not_leave_metrics_out_in_silence():
    with pytest.raises(DataError, match="at least 100 draws of images, not 50"):
        measure([models()], draws=50)
    assert "macro_auroc" in measure([models()], draws=100)


def test_only_what_is_undefined_is_left_out_of_what_was_measured():
    figures = [lambda weights: {"ever": weights[:, 0], "never": np.full(len(weights), np.nan)}] * 2
    assert set(resampled(figures, 30, draws=100)) == {"ever"}


# -- few seeds


def test_below_five_seeds_there_is_no_verdict_and_only_images_vary():
    a, b = arms(np.random.default_rng(0), difference=5.0, seeds=4)
    one = estimate(a.minus(b))
    assert one.these_models
    assert one.error == pytest.approx(math.sqrt(one.components.of_images))
    (judged,) = judge({"a − b": one}, higher_is_better=True)
    assert (judged.better, judged.p_holm, judged.interval_holm, judged.detectable) == (None,) * 4
    assert "For these trained models" in judged.sentence
    assert "No verdict: 4 seeds, and 5 are needed." in judged.sentence


def test_five_seeds_are_enough_for_a_verdict():
    a, b = arms(np.random.default_rng(0), difference=5.0, seeds=5)
    (judged,) = judge({"a − b": estimate(a.minus(b))}, higher_is_better=True)
    assert judged.better == "a"


def test_one_seed_has_an_interval_over_images_that_is_that_of_a_paired_t_test():
    values = np.random.default_rng(0).standard_normal(50)
    low, high = estimate(Terms(values[None])).interval()
    t = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((t.low, t.high))


# -- verdicts


def test_which_way_is_better_is_the_metrics():
    a, b = arms(np.random.default_rng(0), difference=1.0)
    one = {"a − b": estimate(a.minus(b))}
    assert judge(one, higher_is_better=True)[0].better == "a"
    assert judge(one, higher_is_better=False)[0].better == "b"


def test_an_arm_against_itself_differs_by_nothing():
    a, _ = arms(np.random.default_rng(0))
    one = estimate(a.minus(a))
    assert (one.value, one.interval(), one.p) == (0.0, (0.0, 0.0), 1.0)
    assert judge({"a − a": one}, higher_is_better=True)[0].better is None


def test_what_is_not_separable_says_what_would_have_been_found():
    a, b = arms(np.random.default_rng(0), difference=0.0)
    (judged,) = judge({"a − b": estimate(a.minus(b))}, higher_is_better=True)
    assert judged.better is None
    assert judged.sentence.startswith("Not separable")
    assert f"A true difference of {judged.detectable:.4g} would be found with 80% power." in judged.sentence


def test_exploratory_comparisons_get_no_verdict_and_say_how_many_were_made():
    rng = np.random.default_rng(0)
    a, b = arms(rng, difference=1.0)
    one = estimate(a.minus(b))
    judged = judge({"planned": one}, {"x": one, "y": one, "z": one}, higher_is_better=True)
    assert [j.planned for j in judged] == [True, False, False, False]
    assert judged[0].better == "a"
    assert all(j.better is None and j.p_holm is None for j in judged[1:])
    assert all("Exploratory, one of 3 such comparisons" in j.sentence for j in judged[1:])


def test_exploratory_comparisons_do_not_weaken_the_planned_one():
    one = estimate(Terms(crossed(np.random.default_rng(0), 5, 400, of_image=1, of_both=1, mean=0.2)))
    alone = judge({"planned": one}, higher_is_better=True)[0]
    beside = judge({"planned": one}, {str(k): one for k in range(50)}, higher_is_better=True)[0]
    assert alone.p_holm == beside.p_holm == one.p


def test_holm_is_that_of_statsmodels():
    rng = np.random.default_rng(0)
    for m in (1, 2, 5, 9, 20):
        p = list(rng.random(m) ** 4)
        assert holm(p)[0] == pytest.approx(list(multipletests(p, method="holm")[1]))


def test_an_interval_after_holm_holds_0_exactly_where_the_verdict_is_not_separable():
    rng = np.random.default_rng(0)
    verdicts = set()
    for _ in range(60):
        planned = {
            str(k): estimate(Terms(crossed(rng, 6, 60, of_seed=0.1, of_image=1, mean=rng.uniform(0, 0.9))))
            for k in range(4)
        }
        for judged in judge(planned, higher_is_better=True):
            low, high = judged.interval_holm
            assert (low <= 0 <= high) == (judged.better is None)
            verdicts.add(judged.better)
    assert verdicts == {None, "a"}


def test_a_contrast_without_verdict_still_counts_among_the_planned():
    rng = np.random.default_rng(0)
    five, four = (estimate(Terms(crossed(rng, n, 100, of_image=1, of_both=0.1, mean=0.2))) for n in (5, 4))
    (first, second) = judge({"five": five, "four": four}, higher_is_better=True)
    assert first.p_holm == pytest.approx(2 * five.p)
    assert second.p_holm is None


# -- power


def test_the_detectable_difference_is_that_of_a_t_test_where_seeds_alone_vary():
    for seeds in (5, 10, 30):
        one = Components(0.0, seeds, 10**9, of_seeds=1.0 / seeds, of_images=0.0, of_both=0.0)
        exact = TTestPower().solve_power(nobs=seeds, alpha=0.05, power=0.8)
        assert detectable(one) == pytest.approx(exact, rel=0.02)


def test_a_difference_as_large_as_the_detectable_one_is_found_four_times_of_five():
    rng = np.random.default_rng(0)
    layout = {"of_seed": 0.05, "of_image": 1.0, "of_both": 0.5}
    truth = Components(0.0, 10, 200, 0.05**2 / 10 + 0.25 / 2000, 1 / 200 + 0.25 / 2000, 0.25 / 2000)
    least = detectable(truth)
    found = [estimate(Terms(crossed(rng, 10, 200, mean=least, **layout))).p < 0.05 for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


def test_more_seeds_find_smaller_differences_and_the_number_said_is_the_least():
    one = Terms(
        crossed(np.random.default_rng(0), 5, 3000, of_seed=0.05, of_image=0.2, of_both=0.5)
    ).components()
    wanted = detectable(one) / 2
    n = seeds_needed(one, wanted)
    assert n > 5
    assert detectable(one, seeds=n) <= wanted < detectable(one, seeds=n - 1)


def test_no_number_of_seeds_makes_up_for_too_few_images():
    one = Terms(crossed(np.random.default_rng(0), 5, 50, of_seed=0.01, of_image=1.0)).components()
    assert seeds_needed(one, 0.01) is None


# -- people


def labels_by(people, images, rng, skew) -> tuple[np.ndarray, np.ndarray]:
    """One value a person and image: what a person says is shifted by that person's own `skew`."""
    return skew * rng.standard_normal((people, 1)) + rng.standard_normal((people, images))


@pytest.mark.parametrize(("skew", "added"), [(0.0, False), (1.0, True)])
def test_resampling_people_adds_what_people_share_over_images_and_nothing_else(skew, added):
    """Noise of one image's label is in the variance between images already; a person's own way is not."""
    rng = np.random.default_rng(0)
    people, images = 100, 500
    said = labels_by(people, images, rng, skew)
    models = rng.standard_normal((5, 1)) * 0.01

    def terms(weights):
        return Terms(models + weights @ said / people)

    replicates = (terms(rng.multinomial(people, np.full(people, 1 / people))) for _ in range(400))
    plain = estimate(terms(np.ones(people)))
    wider = estimate(terms(np.ones(people)), replicates)
    by_hand = said.mean(axis=1).var(ddof=1) / people
    if added:
        assert wider.components.of_people == pytest.approx(by_hand, rel=0.25)
        assert wider.error > 2 * plain.error
    else:
        assert wider.components.of_people < 0.5 * plain.components.of_images
    assert wider.value == plain.value


def test_the_interval_with_people_holds_the_truth_where_that_without_them_does_not():
    rng = np.random.default_rng(0)
    people, images, held, held_without = 30, 80, 0, 0
    for _ in range(200):
        said = labels_by(people, images, rng, 0.5)
        noise = 0.3 * rng.standard_normal((5, images))
        draws = rng.multinomial(people, np.full(people, 1 / people), 60)
        replicates = (Terms(noise + one @ said / people) for one in draws)
        whole = Terms(noise + said.mean(axis=0))
        low, high = estimate(whole, replicates).interval()
        held += low <= 0 <= high
        low, high = estimate(whole).interval()
        held_without += low <= 0 <= high
    assert held_without / 200 < 0.8
    assert held / 200 >= 0.9


def test_of_what_is_no_mean_nothing_is_taken_off_the_variation_of_people():
    rng = np.random.default_rng(0)
    whole = Drawn(np.zeros(5), rng.standard_normal((200, 5)), 50)
    shifts = rng.standard_normal(40)
    replicates = (Drawn(whole.values + shift, whole.draws, 50) for shift in shifts)
    assert estimate(whole, replicates).components.of_people == pytest.approx(shifts.var(ddof=1))


def test_people_are_drawn_often_enough_and_measured_on_the_same_images():
    one = Terms(np.zeros((5, 10)))
    with pytest.raises(DataError, match="at least 20 draws, not 3"):
        estimate(one, [one] * 3)
    with pytest.raises(DataError, match="same seeds and images"):
        estimate(one, [Terms(np.zeros((5, 11)))] * 20)


# -- one pair of models


def test_mcnemar_is_that_of_statsmodels():
    rng = np.random.default_rng(0)
    a, b = rng.random(300) < 0.8, rng.random(300) < 0.75
    found = mcnemar(a, b)
    table = [[(a & b).sum(), (a & ~b).sum()], [(b & ~a).sum(), (~a & ~b).sum()]]
    assert (found.only_a, found.only_b) == (table[0][1], table[1][0])
    assert found.p == pytest.approx(mcnemar_of_statsmodels(table, exact=True).pvalue)
    assert mcnemar(a, a).p == 1.0


# -- choice


def test_an_arm_is_chosen_not_the_arm_of_the_luckiest_seed():
    rng = np.random.default_rng(0)
    steady = crossed(rng, 5, 500, of_both=0.1, mean=0.7)
    lucky = crossed(rng, 5, 500, of_both=0.1, mean=0.6)
    lucky[2] += 0.3
    chosen = choose({"lucky": Terms(lucky), "steady": Terms(steady)}, higher_is_better=True)
    assert lucky.mean(axis=1).max() > steady.mean(axis=1).max()
    assert chosen.arm == "steady"
    assert sum(chosen.first_share.values()) == pytest.approx(1)
    assert 0 < chosen.first_share["lucky"] < 0.5


def test_a_lower_loss_is_ranked_first():
    arms_ = {str(k): Terms(np.full((2, 5), float(k))) for k in (3, 1, 2)}
    chosen = choose(arms_, higher_is_better=False)
    assert chosen.order == ("1", "2", "3")
    assert chosen.first_share == {"3": 0.0, "1": 1.0, "2": 0.0}


def test_arms_that_are_the_same_share_the_first_place():
    one = Terms(np.random.default_rng(0).standard_normal((5, 50)))
    chosen = choose({"a": one, "b": one}, higher_is_better=True)
    assert chosen.order == ("a", "b")
    assert chosen.first_share == {"a": 0.5, "b": 0.5}


def test_a_choice_is_the_same_every_time_and_of_any_kind_of_metric():
    rng = np.random.default_rng(0)
    terms = [Terms(rng.standard_normal((5, 60))) for _ in range(2)]
    as_draws = {
        name: measured([lambda w, r=r: {"m": w @ r / 60} for r in one.terms], 60, draws=300, seed=7)["m"]
        for name, one in zip("ab", terms, strict=True)
    }
    first = choose(dict(zip("ab", terms, strict=True)), higher_is_better=True, draws=300, seed=7)
    assert choose(as_draws, higher_is_better=True, draws=300, seed=7).first_share == first.first_share


# -- what is refused


def test_arms_of_other_images_or_seeds_are_not_compared():
    with pytest.raises(DataError, match="5 × 10 terms, the other 5 × 9 terms"):
        Terms(np.zeros((5, 10))).minus(Terms(np.zeros((5, 9))))
    with pytest.raises(DataError, match="same validation images and the same seeds"):
        choose({"a": Terms(np.zeros((5, 10))), "b": Terms(np.zeros((4, 10)))}, higher_is_better=True)
    with pytest.raises(DataError, match="no arm"):
        choose({}, higher_is_better=True)


def test_a_mean_and_what_is_none_are_not_compared_and_draws_must_be_as_many():
    drawn = Drawn(np.zeros(5), np.zeros((150, 5)), 10)
    with pytest.raises(DataError, match="5 × 10 terms, the other 150 × 5 draws"):
        Terms(np.zeros((5, 10))).minus(drawn)
    with pytest.raises(DataError, match="measured on 150 draws of images, not on 1000"):
        choose({"a": drawn}, higher_is_better=True)


def test_an_infinite_loss_is_refused():
    with pytest.raises(DataError, match="clip probabilities of 0"):
        Terms(np.array([[0.0, np.inf]]))


def test_a_metric_that_is_often_undefined_is_refused_and_seldom_undefined_draws_are_left_out():
    draws = np.random.default_rng(0).standard_normal((200, 5))
    draws[:10, 2] = np.nan
    assert Drawn(np.zeros(5), draws, 30).components().of_images == pytest.approx(
        draws[10:].mean(axis=1).var(ddof=1)
    )
    draws[:30, 2] = np.nan
    with pytest.raises(DataError, match="more than a tenth"):
        Drawn(np.zeros(5), draws, 30)


def test_without_a_planned_contrast_there_is_nothing_to_judge():
    with pytest.raises(DataError, match="no planned contrast"):
        judge({}, higher_is_better=True)


def test_mcnemar_takes_right_or_wrong_only():
    with pytest.raises(DataError, match="right or wrong"):
        mcnemar(np.array([0.2, 0.8]), np.array([True, False]))
