from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hilmix.core import planning
from hilmix.core.agreement import NORMAL_95, one_way
from hilmix.core.errors import DataError
from hilmix.core.judgements import (
    Answer,
    CannotTell,
    ClassMass,
    Distribution,
    PerceivedLambda,
    PerceivedMidpoint,
    Unit,
)
from hilmix.core.planning import (
    H_MIX_COMPONENTS,
    Components,
    Effort,
    Price,
    hourly_e2,
    plan,
    raw_width,
    reliability,
    shrunk_width,
)
from hilmix.core.release_answers import perceived_share
from hilmix.core.softlabels import build_label_set


def test_two_answers_of_h_mix_give_a_reliability_of_48_and_nine_of_81():
    assert H_MIX_COMPONENTS.rho == pytest.approx(0.317, abs=5e-4)
    assert reliability(H_MIX_COMPONENTS.rho, 2) == pytest.approx(0.48, abs=0.005)
    assert reliability(H_MIX_COMPONENTS.rho, 9) == pytest.approx(0.81, abs=0.005)


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.317, 1.0])
def test_reliability_begins_at_that_of_one_answer_and_never_falls(rho):
    assert reliability(rho, 1) == pytest.approx(rho)
    values = [reliability(rho, k) for k in range(1, 100)]
    assert values == sorted(values)
    assert all(0 <= value <= 1 for value in values)
    assert reliability(rho, 0) == 0


def test_reliability_is_the_correlation_of_two_means_of_k_answers_to_the_same_images():
    rng = np.random.default_rng(3)
    images = rng.normal(0, math.sqrt(0.317), (20_000, 1))
    one, other = ((images + rng.normal(0, math.sqrt(0.683), (20_000, 5))).mean(axis=1) for _ in range(2))
    assert np.corrcoef(one, other)[0, 1] == pytest.approx(reliability(0.317, 5), abs=0.01)


def test_the_expected_widths_are_those_that_the_label_policies_give():
    """600 images with as many answers each, drawn with known components, labelled by both policies."""
    rng, k = np.random.default_rng(5), 6
    true = Components(0.01, 0.02, None, "made up")
    units = []
    for number in range(600):
        image = rng.normal(0.5, math.sqrt(true.between))
        said = np.clip(rng.normal(image, math.sqrt(true.within), k), 0, 1)
        units.append(
            Unit(
                str(number), 5000, 0, 1, tuple(Answer(str(i), PerceivedLambda(v)) for i, v in enumerate(said))
            )
        )

    def mean_width(policy: str) -> float:
        rows = build_label_set(policy, units, 2).rows
        return float(np.mean([row.interval[1] - row.interval[0] for row in rows]))

    assert raw_width(true, k) == pytest.approx(mean_width("human_lambda"), rel=0.05)
    assert shrunk_width(true, k) == pytest.approx(mean_width("human_lambda_shrunk"), rel=0.05)


def test_more_answers_make_narrower_intervals_and_shrinking_helps_most_where_there_are_few():
    raw = [raw_width(H_MIX_COMPONENTS, k) for k in (1, 2, 9, 25)]
    shrunk = [shrunk_width(H_MIX_COMPONENTS, k) for k in (1, 2, 9, 25)]
    assert raw == sorted(raw, reverse=True)
    assert shrunk == sorted(shrunk, reverse=True)
    assert all(s < r for s, r in zip(shrunk, raw, strict=True))
    assert raw[0] - shrunk[0] > raw[-1] - shrunk[-1]
    assert raw_width(H_MIX_COMPONENTS, 9) == pytest.approx(2 * NORMAL_95 * math.sqrt(0.033786 / 9))


def test_people_answer_a_batch_each_in_every_cell():
    assert Effort(60, 30).people(9) == 18
    assert Effort(61, 30).people(9) == 27  # a last batch is filled up
    assert Effort(60, 30, cells=4).people(9) == 72


def test_minutes_count_repeats_checks_and_what_is_not_trials():
    assert Effort(60, 30, extra_trials=4, overhead_minutes=5).minutes(9) == pytest.approx(5 + 34 * 9 / 60)


def test_payment_has_the_bonus_and_the_recruiters_fee():
    assert Price(reward_e2=150, bonus_e2=50, fee=1 / 3).total_e2(18) == 4800
    assert Price().total_e2(18) == 0


def test_the_hourly_rate_is_of_the_reward_alone():
    assert hourly_e2(150, 10) == 900
    assert hourly_e2(150, 0) is None


def test_a_plan_marks_nothing_but_has_the_chosen_number_among_its_rows():
    rows = plan(H_MIX_COMPONENTS, Effort(60, 30), Price(100), chosen=7)
    assert [row.k for row in rows] == [1, 2, 3, 5, 7, 9, 15, 25]
    row = rows[4]
    assert (row.people, row.total_e2) == (14, 1400)
    assert row.reliability == reliability(H_MIX_COMPONENTS.rho, 7)
    assert [row.k for row in plan(H_MIX_COMPONENTS, Effort(60, 30), Price(), chosen=9)].count(9) == 1


# --- components of a release ------------------------------------------------------------------------------------


def release(monkeypatch, units, seconds=7.0):
    """A release as far as the planner looks at it; opening real ones is tested with the hub."""
    monkeypatch.setattr(planning, "units_of_release", lambda *of: units)
    monkeypatch.setattr(planning, "condition_for", lambda *of: "")
    monkeypatch.setattr(planning, "median_seconds", lambda *of: seconds)
    return SimpleNamespace(name="s", version="1.0.0")


def test_the_components_of_a_release_are_estimated_from_its_answers(monkeypatch):
    rng = np.random.default_rng(1)
    groups = [np.clip(rng.normal(rng.normal(0.5, 0.1), 0.1, 4), 0, 1) for _ in range(500)]
    units = [
        Unit(str(n), 5000, 0, 1, tuple(Answer(str(i), PerceivedLambda(v)) for i, v in enumerate(group)))
        for n, group in enumerate(groups)
    ]
    found = planning.components_of(release(monkeypatch, units))
    of_groups = one_way(np.concatenate(groups), np.repeat(np.arange(500), 4))
    assert found.rho == pytest.approx(of_groups.icc, abs=1e-9)
    assert (found.between, found.within) == (pytest.approx(0.01, abs=0.002), pytest.approx(0.01, abs=0.001))
    assert (found.seconds, found.source) == (7.0, "s@1.0.0")


def test_a_release_in_which_nobody_answered_the_same_says_nothing_of_reliability(monkeypatch):
    units = [Unit(str(n), 5000, 0, 1, (Answer("a", PerceivedLambda(n / 10)),)) for n in range(10)]
    with pytest.raises(DataError, match="nothing of reliability"):
        planning.components_of(release(monkeypatch, units))


def test_all_kinds_of_judgement_are_read_as_the_share_of_the_first_image():
    assert perceived_share(PerceivedLambda(0.3), 0, 1) == 0.3
    assert perceived_share(PerceivedMidpoint(0.4), 0, 1) == 0.6
    assert perceived_share(ClassMass(((1, 0.6), (0, 0.2)), frozenset()), 0, 1) == pytest.approx(0.25)
    assert perceived_share(ClassMass(((2, 0.6),), frozenset()), 0, 1) is None
    assert perceived_share(Distribution((0.1, 0.3, 0.6)), 0, 1) == pytest.approx(0.25)
    assert perceived_share(Distribution((0.1, 0.3, 0.6)), 2, 2) is None
    assert perceived_share(CannotTell(), 0, 1) is None


def test_where_all_answers_agree_labels_are_as_reliable_as_can_be():
    certain = replace(H_MIX_COMPONENTS, within=0.0)
    assert (certain.rho, raw_width(certain, 1), shrunk_width(certain, 1)) == (1.0, 0.0, 0.0)
    assert replace(certain, between=0.0).rho == 0.0
