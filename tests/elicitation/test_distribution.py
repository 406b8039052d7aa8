"""The interface *distribution*: what sums to 100 and what does not, and what an answer says."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from elicitation.interfaces import distribution
from elicitation.interfaces.base import Asked
from hilmix.core.judgements import Distribution
from hilmix.errors import Invalid

ASKED = Asked(("ant", "bee", "cat", "dog"), 0, 1)
ANSWER = {"percents": {"0": 50, "1": 30, "2": 20, "3": 0}, "rest_percent": 0, "touched": True}
MANY = Asked(tuple(f"class {i}" for i in range(100)), 3, 41)


def test_percents_are_read_as_a_probability_vector():
    answer = distribution.clean({**ANSWER, "n_changes": 3, "history": [[10, 0, 50], [None, 1, 30]]}, ASKED)
    assert distribution.judgement(answer, ASKED) == Distribution((0.5, 0.3, 0.2, 0.0))
    assert (answer["n_changes"], answer["history"]) == (3, [[10, 0, 50], [None, 1, 30]])


def test_anything_else_is_spread_evenly_over_the_classes_without_a_bar():
    answer = distribution.clean(
        {"percents": {"3": 60, "41": 20, "7": 0}, "rest_percent": 20, "touched": True}, MANY
    )
    said = distribution.judgement(answer, MANY)
    assert (said.p[3], said.p[41], said.p[7]) == (0.6, 0.2, 0.0)
    others = {said.p[i] for i in range(100) if i not in (3, 41, 7)}
    assert others == {0.2 / 97}
    assert sum(said.p) == pytest.approx(1, abs=1e-12)


def test_the_rest_may_be_left_out_where_every_class_has_a_bar():
    assert distribution.clean({"percents": ANSWER["percents"], "touched": True}, ASKED)["rest_percent"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"percents": {"0": 50, "1": 30, "2": 21, "3": 0}}, "come to 101"),
        ({"percents": {"0": 50, "1": 30, "2": 19, "3": 0}}, "come to 99"),
        ({"percents": {"0": 50, "1": 30}, "rest_percent": 19}, "come to 99"),
        ({"percents": {"0": 110, "1": -10}}, "percent of class 0"),
        ({"percents": {"0": 120}, "rest_percent": -20}, "percent of class 0"),
        ({"percents": {"0": 33.5, "1": 66.5}}, "percent of class 0"),
        ({"percents": {"0": True, "1": 99}}, "percent of class 0"),
        ({"percents": {"0": None, "1": 100}}, "percent of class 0"),
        ({"percents": {"4": 100}}, "no class '4'"),
        ({"percents": {"-1": 100}}, "no class '-1'"),
        ({"percents": {"00": 100}}, "no class '00'"),
        ({"percents": {"ant": 100}}, "no class 'ant'"),
        ({"percents": {}}, "at least one"),
        ({"percents": [50, 50, 0, 0]}, "percents holds"),
        ({"percents": None}, "percents holds"),
        ({"percents": {"0": 50, "1": 30, "2": 10, "3": 0}, "rest_percent": 10}, "Every class has a bar"),
        ({"rest_percent": 0.0}, "rest_percent"),
        ({"rest_percent": False}, "rest_percent"),
        ({"touched": False}, "must be set"),
        ({"touched": None}, "must be set"),
        ({"touched": 1}, "must be set"),
        ({"n_changes": -1}, "n_changes"),
        ({"history": [[0, 4, 10]]}, "A class in history"),
        ({"history": [[0, "ant", 10]]}, "A class in history"),
        ({"history": [[0, 1, 101]]}, "A percent in history"),
        ({"history": [[None, 1, 10]] * 201}, "at most 200"),
        ({"history": "none"}, "history"),
        ({"lambda": 0.5}, "no field 'lambda'"),
    ],
)
def test_what_is_no_answer_is_refused_with_a_message(change, message):
    with pytest.raises(Invalid, match=message):
        distribution.clean({**ANSWER, **change}, ASKED)


def test_the_course_of_anything_else_is_kept_too():
    history = [[None, "rest", 40]]
    assert distribution.clean({**ANSWER, "history": history}, ASKED)["history"] == history


@pytest.mark.parametrize("n", [1, 1001])
def test_other_numbers_of_classes_are_refused(n):
    with pytest.raises(Invalid) as refused:
        distribution.check_options({}, n_classes=n, n_lambdas=1)
    assert set(refused.value.fields) == {"image_set"}


def test_it_has_no_options():
    with pytest.raises(Invalid, match="it has none"):
        distribution.check_options({"max_bars": 5}, n_classes=10, n_lambdas=1)


def test_the_browser_is_told_the_classes_once_and_of_a_trial_nothing():
    person = distribution.draw_person(random.Random(0), classes=ASKED.classes)
    told = distribution.shown_to_person(person, ASKED.classes)["classes"]
    assert sorted(told, key=lambda c: c["id"]) == [
        {"id": i, "name": name} for i, name in enumerate(ASKED.classes)
    ]
    assert distribution.shown(ASKED) == {}


@given(
    st.sampled_from([2, 12, 13, 100, 1000]).flatmap(
        lambda n: arrays(np.int64, n, elements=st.integers(0, 1000)).filter(np.any)
    )
)
def test_a_simulated_answer_is_valid_and_says_what_was_perceived_to_the_percent(weights):
    p = weights / weights.sum()
    asked = Asked(tuple(f"class {i}" for i in range(len(weights))), 0, 1)
    said = Distribution(tuple(float(share) for share in p / p.sum()))
    payload = distribution.payload_for(said, asked, np.random.default_rng(0))
    heard = distribution.judgement(distribution.clean(payload, asked), asked)
    assert max(abs(a - b) for a, b in zip(heard.p, said.p, strict=True)) <= 0.0101
