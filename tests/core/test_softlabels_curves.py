"""Curves over λ, class pairs and midpoints, and the smoothing of human labels, each against a case done by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, CannotTell, Distribution, PerceivedLambda, PerceivedMidpoint, Unit
from hilmix.core.softlabels import build_label_set, components, individual_labels
from hilmix.core.softlabels.curves import through_midpoint


def unit(
    key: str, lambda_e4: int, *values: float, first: int = 1, second: int = 3, sure: float = 0.5
) -> Unit:
    answers = tuple(Answer(f"p{i}", PerceivedLambda(value, sure)) for i, value in enumerate(values))
    return Unit(key, lambda_e4, first, second, answers)


def shares(name: str, units: list[Unit], **evidence: object) -> list[float]:
    return [row.lambda_ for row in build_label_set(name, units, 4, **evidence).rows]


# --- human_lambda


def test_a_median_is_the_middle_and_has_no_interval():
    rows = build_label_set(
        "human_lambda(statistic=median)",
        [unit("a", 5000, 0.9, 0.1, 0.2), unit("b", 5000, 0.6, 0.3), unit("c", 2500)],
        4,
    ).rows
    assert [row.lambda_ for row in rows] == pytest.approx([0.2, 0.45, 0.25])
    assert [row.n for row in rows] == [3, 2, 0]
    assert [row.interval for row in rows] == [None] * 3


def test_a_mean_weighted_by_confidence_is_worth_fewer_answers():
    said = (PerceivedLambda(0.2, 0.9), PerceivedLambda(0.8, 0.3))
    units = [
        Unit("a", 5000, 0, 1, tuple(Answer(f"p{i}", one) for i, one in enumerate(said))),
        unit("b", 5000, 0.3, 0.5, first=0, second=1, sure=0.0),
    ]
    labels = build_label_set("human_lambda(statistic=confidence_weighted)", units, 2)
    assert [row.lambda_ for row in labels.rows] == pytest.approx([(0.18 + 0.24) / 1.2, 0.4])
    worth = 1.2**2 / (0.81 + 0.09)
    half = 1.959964 * (labels.params["within"] / worth) ** 0.5
    assert labels.rows[0].interval == pytest.approx((max(0, 0.35 - half), 0.35 + half))
    assert labels.chosen == {"statistic": "confidence_weighted"}


# --- curves


def test_the_population_curve_never_falls_and_is_straight_between_what_was_shown():
    units = [unit("a", 1000, 0.3), unit("b", 2500, 0.1, 0.2), unit("c", 7500, 0.8), unit("d", 5000)]
    # .3 at .1 and .15 at .25 fall: both become (.3 + .1 + .2)/3.
    assert shares("population_curve", units) == pytest.approx([0.2, 0.2, 0.8, 0.5])
    labels = build_label_set("population_curve", [*units, unit("e", 500), unit("f", 10_000)], 4)
    assert [row.lambda_ for row in labels.rows[4:]] == pytest.approx([0.1, 1.0])
    assert labels.params["curve"] == {"1000": pytest.approx(0.2), "2500": pytest.approx(0.2), "7500": 0.8}
    assert [row.n for row in labels.rows] == [1, 2, 1, 0, 0, 0]


def test_the_population_curve_without_an_answer_is_mixup():
    assert shares("population_curve", [unit("a", 2500), unit("b", 9000)]) == [0.25, 0.9]


def class_pairs_apart() -> list[Unit]:
    """Many images of two class pairs at λ = ½; of the first more is seen of the lower class than of the second."""
    rng = np.random.default_rng(1)
    return [
        unit(f"{mean}{i}", 5000, *np.clip(mean + rng.normal(0, 0.05, 3), 0, 1), first=first, second=second)
        for mean, first, second in ((0.7, 0, 1), (0.3, 2, 3))
        for i in range(20)
    ]


def test_a_class_pair_has_its_own_curve_where_many_answered():
    found = shares("class_pair_curve", class_pairs_apart())
    assert found[:20] == pytest.approx([0.7] * 20, abs=0.03)
    assert found[20:] == pytest.approx([0.3] * 20, abs=0.03)


def test_a_class_pair_without_answers_has_the_curve_of_all():
    *_, new = shares("class_pair_curve", [*class_pairs_apart(), unit("new", 5000, first=0, second=3)])
    assert new == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", ["class_pair_curve", "perceived_midpoint"])
def test_turning_one_unit_round_changes_no_label(name):
    rng = np.random.default_rng(2)
    units, pairs = [], []
    for i in range(30):
        first, second = rng.choice(4, 2, replace=False).tolist()
        units.append(
            replace(unit(str(i), 1000 * (1 + i % 9), *rng.uniform(0, 1, 3)), first_class=first, second_class=second,
                    parents=(i, i + 100))
        )  # fmt: skip
        given = [
            Answer(f"p{j}", PerceivedMidpoint(rng.uniform(0.2, 0.8), side))
            for j, side in enumerate(["low", "high"])
        ]
        pairs.append(Unit(str(i), 5000, first, second, tuple(given), (i, i + 100)))
    straight = build_label_set(name, units, 4, pairs=pairs)
    turned = [turned_round(one) if i % 3 else one for i, one in enumerate(units)]
    pairs = [turned_round(one) if i % 2 else one for i, one in enumerate(pairs)]
    np.testing.assert_allclose(
        build_label_set(name, turned, 4, pairs=pairs).probabilities, straight.probabilities, atol=1e-12
    )


def turned_round(one: Unit) -> Unit:
    """The same mixed image, or pair, with its second image first."""
    sides = {"low": "high", "high": "low", "": ""}
    return Unit(
        one.key, 10_000 - one.lambda_e4, one.second_class, one.first_class,
        tuple(
            replace(
                answer,
                judgement=PerceivedLambda(1 - said.value, said.confidence)
                if isinstance(said := answer.judgement, PerceivedLambda)
                else PerceivedMidpoint(1 - said.value, sides[said.start]),
            )
            for answer in one.answers
        ),
        one.parents and one.parents[::-1],
    )  # fmt: skip


# --- midpoints


def pair(key: str, *said: tuple[float, str], parents: tuple[int, int], second: int = 3) -> Unit:
    answers = tuple(Answer(f"p{i}", PerceivedMidpoint(*one)) for i, one in enumerate(said))
    return Unit(key, 5000, 1, second, answers, parents)


def test_a_midpoint_bends_lambda_through_the_ends_and_one_half():
    lambdas = np.linspace(0, 1, 21)
    for m in (0.2, 0.5, 0.7):
        bent = through_midpoint(lambdas, m)
        assert (bent[0], bent[-1]) == (0, 1)
        assert through_midpoint(m, m) == pytest.approx(0.5)
        assert np.all(np.diff(bent) > 0)
        np.testing.assert_allclose(1 - through_midpoint(1 - lambdas, 1 - m), bent)
    np.testing.assert_allclose(through_midpoint(lambdas, 0.5), lambdas)
    assert through_midpoint(0.6, 0.4) == pytest.approx(0.6 * 0.6 / (0.6 * 0.6 + 0.4 * 0.4))


def test_a_side_asked_more_often_weighs_no_more():
    pairs = [pair("a", (0.4, "low"), (0.4, "low"), (0.4, "low"), (0.6, "high"), parents=(1, 2))]
    labels = build_label_set("perceived_midpoint", [replace(unit("x", 5000), parents=(1, 2))], 4, pairs=pairs)
    assert labels.params["mean"] == pytest.approx(0.5)
    assert labels.params["sides"] == {"low": pytest.approx(0.4), "high": pytest.approx(0.6)}
    assert labels.rows[0].lambda_ == pytest.approx(0.5)
    assert labels.rows[0].n == 4


def midpoints_of_pairs() -> list[Unit]:
    """Pairs whose midpoints differ, each come to from both sides, low .1 below and high .1 above its own."""
    rng = np.random.default_rng(3)
    pairs = []
    for i, m in enumerate(np.linspace(0.3, 0.7, 41)):
        said = [(m - 0.1 + rng.normal(0, 0.01), "low"), (m + 0.1 + rng.normal(0, 0.01), "high")] * 2
        pairs.append(pair(str(i), *said, parents=(i, 100 + i)))
    return pairs


def test_a_pair_that_many_answered_has_its_own_midpoint_and_an_unknown_one_that_of_all():
    pairs = midpoints_of_pairs()
    at_own = [replace(unit("x", 3000), parents=(0, 100)), replace(unit("y", 7000), parents=(40, 140))]
    unknown = [unit("z", 5000), replace(unit("w", 5000), parents=(7, 8))]
    rows = build_label_set("perceived_midpoint", at_own + unknown, 4, pairs=pairs).rows
    assert [row.lambda_ for row in rows] == pytest.approx([0.5, 0.5, 0.5, 0.5], abs=0.02)
    assert [row.n for row in rows] == [4, 4, 0, 0]
    widths = [row.interval[1] - row.interval[0] for row in rows]
    assert max(widths[:2]) < 0.15 < min(widths[2:])


def test_a_pair_come_to_from_one_side_only_is_not_taken_for_a_low_one():
    pairs = [*midpoints_of_pairs(), pair("one", (0.6, "high"), (0.6, "high"), parents=(500, 501))]
    units = [replace(unit("x", 5000), parents=(500, 501))]
    assert shares("perceived_midpoint", units, pairs=pairs) == pytest.approx([0.5], abs=0.02)


def test_no_midpoint_at_all_leaves_lambda():
    labels = build_label_set("perceived_midpoint", [unit("a", 2500)], 4)
    assert (labels.rows[0].lambda_, labels.rows[0].n, labels.rows[0].interval) == (0.25, 0, None)


def test_midpoints_at_the_ends_make_no_label_undefined():
    pairs = [pair(str(i), (1.0, ""), (1.0, ""), parents=(i, 9)) for i in range(3)]
    label = build_label_set(
        "perceived_midpoint", [replace(unit("a", 5000), parents=(0, 9))], 4, pairs=pairs
    ).rows[0]
    assert label.lambda_ == pytest.approx(0.01)


# --- variance components


def test_variance_components_of_equal_groups_by_hand():
    # Two upper groups, two lower ones in each, two values in each lower one.
    values = np.array([1, 2, 4, 5, 7, 9, 12, 14], dtype=float)
    parts = components.fit(values, np.repeat(np.arange(4), 2), np.array([0, 0, 1, 1]))
    rest = (0.5 + 0.5 + 2 + 2) / 4
    lower = (2 * (1.5**2 * 2 + 2.5**2 * 2)) / 2  # mean square of lower groups in upper ones
    upper = 4 * (3.75**2 * 2) / 1
    assert parts.rest == pytest.approx(rest)
    assert parts.lower == pytest.approx((lower - rest) / 2)
    assert parts.upper == pytest.approx((upper - lower) / 4)


def test_variance_components_come_out_of_simulated_values():
    rng = np.random.default_rng(0)
    upper_of = np.repeat(np.arange(200), rng.integers(2, 9, 200))
    lower_of = np.repeat(np.arange(len(upper_of)), rng.integers(1, 6, len(upper_of)))
    values = (
        rng.normal(0, 2, 200)[upper_of][lower_of]
        + rng.normal(0, 1, len(upper_of))[lower_of]
        + rng.normal(0, 0.5, len(lower_of))
    )
    parts = components.fit(values, lower_of, upper_of)
    assert (parts.upper, parts.lower, parts.rest) == (
        pytest.approx(4, rel=0.2), pytest.approx(1, rel=0.15), pytest.approx(0.25, rel=0.1),
    )  # fmt: skip


# --- smoothing


def test_smoothing_by_confidence_by_hand():
    answers = (
        Answer("ann", PerceivedLambda(0.2, 1.0)),
        Answer("ben", PerceivedLambda(0.6, 0.5)),
        Answer("cid", CannotTell()),
    )
    units = [Unit("a", 5000, 0, 1, answers), Unit("b", 2500, 0, 1, ())]
    uniform = build_label_set("confidence_smoothing", units, 4)
    ann, ben = np.array([0.2, 0.8, 0, 0]), np.array([0.3, 0.2, 0, 0]) + 0.5 / 4
    np.testing.assert_allclose(uniform.probabilities, [(ann + ben) / 2, [0.25, 0.75, 0, 0]])
    assert (uniform.rows[0].n, uniform.rows[0].lambda_) == (2, pytest.approx((0.2 + 0.425) / 2))
    endpoints = build_label_set("confidence_smoothing(to=endpoints)", units, 4)
    np.testing.assert_allclose(endpoints.probabilities[0], [(0.2 + 0.55) / 2, (0.8 + 0.45) / 2, 0, 0])
    constant = build_label_set("confidence_smoothing(to=constant, c=0.2)", units, 4)
    np.testing.assert_allclose(constant.probabilities[0], 0.8 * np.array([0.4, 0.6, 0, 0]) + 0.05)


def test_constant_smoothing_takes_as_much_as_people_were_unsure_on_average():
    units = [unit("a", 5000, 0.2, sure=1.0), unit("b", 5000, 0.6, sure=0.5)]
    labels = build_label_set("constant_smoothing", units, 4)
    assert labels.params == {"c": pytest.approx(0.25)}
    by_confidence = build_label_set("confidence_smoothing", units, 4).probabilities
    assert labels.probabilities[:, [0, 2]].sum() == pytest.approx(by_confidence[:, [0, 2]].sum())
    np.testing.assert_allclose(labels.probabilities[0], 0.75 * np.array([0, 0.2, 0, 0.8]) + 0.25 / 4)


def test_shrunk_labels_are_smoothed_as_much_by_confidence_as_by_a_constant():
    """So that two arms differ in whose label is how unsure, and in nothing else."""
    units = [unit("a", 5000, 0.2, 0.4, sure=1.0), unit("b", 5000, 0.6, sure=0.5), unit("c", 5000)]
    shrunk = build_label_set("human_lambda_shrunk", units, 4).probabilities
    smoothed = build_label_set("confidence_smoothing(of=shrunk)", units, 4).probabilities
    for row, kept in enumerate((1.0, 0.5, 0.75)):  # nobody answered to c: as unsure as the others
        np.testing.assert_allclose(smoothed[row], kept * shrunk[row] + (1 - kept) / 4)
    constant = build_label_set("constant_smoothing(of=shrunk)", units, 4)
    assert constant.params == {"c": pytest.approx(0.25)}
    np.testing.assert_allclose(constant.probabilities, 0.75 * shrunk + 0.25 / 4)
    mixup = build_label_set("mixup", units, 4).probabilities
    np.testing.assert_allclose(
        build_label_set("constant_smoothing(of=mixup)", units, 4).probabilities, 0.75 * mixup + 0.25 / 4
    )
    fixed = build_label_set("confidence_smoothing(to=constant, c=0.25, of=shrunk)", units, 4).probabilities
    np.testing.assert_allclose(fixed, constant.probabilities)
    with pytest.raises(DataError, match="no label of a single answer"):
        individual_labels("confidence_smoothing(of=shrunk)", units, 4)


def test_label_smoothing_of_mixup():
    labels = build_label_set("label_smoothing(s=0.2)", [unit("a", 2500)], 4).probabilities
    np.testing.assert_allclose(labels, [[0.05, 0.25, 0.05, 0.65]])


def asked_both_ways(sure: dict[str, float], unsure: dict[str, float]) -> tuple[list[Unit], list[Unit]]:
    """Images with a share and a confidence each, and what people who smooth by these maps say of the classes."""
    rng = np.random.default_rng(4)
    units, beside = [], []
    for i in range(60):
        share, confidence = rng.uniform(0, 1), rng.uniform(0, 1)
        units.append(unit(str(i), 100 * i + 1, share, share, sure=confidence))
        parts = {
            "perceived": np.array([0, share, 0, 1 - share]),
            "endpoints": np.array([0, 0.5, 0, 0.5]),
            "uniform": np.full(4, 0.25),
        }
        p = sum(
            (confidence * sure[name] + (1 - confidence) * unsure[name]) * part for name, part in parts.items()
        )
        beside.append(replace(units[-1], answers=(Answer("zoe", Distribution(tuple(p / p.sum()))),)))
    return units, beside


def test_the_fitted_map_is_the_one_that_people_used():
    sure = {"perceived": 0.9, "endpoints": 0.0, "uniform": 0.1}
    unsure = {"perceived": 0.2, "endpoints": 0.5, "uniform": 0.3}
    units, beside = asked_both_ways(sure, unsure)
    labels = build_label_set("fitted", units, 4, beside=beside)
    assert labels.params["converged"]
    for found, true in ((labels.params["sure"], sure), (labels.params["unsure"], unsure)):
        assert found == pytest.approx(true, abs=0.02)
    said = np.array([one.answers[0].judgement.p for one in beside])
    np.testing.assert_allclose(labels.probabilities, said, atol=0.01)


def test_a_map_is_fitted_only_on_images_asked_about_both_ways():
    as_said = dict.fromkeys(("perceived", "endpoints", "uniform"), 1 / 3)
    units, beside = asked_both_ways(as_said, as_said)
    with pytest.raises(DataError, match="fitted on categorical or distribution answers"):
        build_label_set("fitted", units, 4)
    with pytest.raises(DataError, match="there is none"):
        build_label_set("fitted", units, 4, beside=[replace(one, key=f"other {one.key}") for one in beside])


def test_smoothing_by_a_confidence_that_nobody_was_asked_for_is_refused():
    units = [Unit("a", 5000, 0, 1, (Answer("ann", PerceivedLambda(0.5)),))]
    for name in ("confidence_smoothing", "constant_smoothing", "human_lambda(statistic=confidence_weighted)"):
        with pytest.raises(DataError, match="needs a confidence; an answer to a has none"):
            build_label_set(name, units, 2)
    np.testing.assert_allclose(
        build_label_set("confidence_smoothing(to=constant)", units, 2).probabilities, 0.5
    )


def test_a_person_counts_once_for_a_pair_that_was_asked_about_under_two_keys():
    def pair(key: str, *answers: Answer) -> Unit:
        return Unit(key, 5000, 1, 3, answers, (1, 2))

    twice = [
        pair("x", Answer("ann", PerceivedMidpoint(0.3)), Answer("ben", PerceivedMidpoint(0.4))),
        pair("y", Answer("ann", PerceivedMidpoint(0.9))),
    ]
    labels = build_label_set("perceived_midpoint", [unit("a", 5000)], 4, pairs=twice)
    assert labels.params["n_answers"] == 2
    assert labels.params["mean"] == pytest.approx(0.35)
    turned = build_label_set("perceived_midpoint", [unit("a", 5000)], 4, pairs=twice[::-1])
    assert turned.params == labels.params
