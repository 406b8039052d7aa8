"""The interface *categorical*: what contradicts itself is refused, and what an answer says."""

from __future__ import annotations

import random

import numpy as np
import pytest

from elicitation.interfaces import categorical
from elicitation.interfaces.base import Asked
from hilmix.core.judgements import ClassMass
from hilmix.errors import Invalid

CLASSES = ("ant", "bee", "cat", "dog")
ASKED = Asked(CLASSES, 0, 1)
ANSWER = {"most_probable": 2, "percent": 60, "second": 0, "second_percent": 30, "excluded": [3]}
ALONE = {"most_probable": 2, "percent": 60, "second": None, "second_percent": None, "excluded": []}


def test_an_answer_says_the_mass_of_two_classes_and_what_it_is_not():
    answer = categorical.clean({**ANSWER, "edits": 4, "warnings_shown": 1}, ASKED)
    assert categorical.judgement(answer, ASKED) == ClassMass(((2, 0.6), (0, 0.3)), frozenset({3}))
    assert (answer["edits"], answer["warnings_shown"]) == (4, 1)


def test_no_alternative_is_said_and_not_left_out():
    with pytest.raises(Invalid, match="null for no alternative"):
        categorical.clean({name: value for name, value in ALONE.items() if name != "second"}, ASKED)


def test_no_alternative_is_an_answer():
    answer = categorical.clean(ALONE, ASKED)
    assert categorical.judgement(answer, ASKED) == ClassMass(((2, 0.6),), frozenset())


@pytest.mark.parametrize("percents", [(0, 0), (51, 49), (100, 0), (50, 50), (70, 20)])
def test_any_percents_that_fit_into_a_hundred_are_taken(percents):
    answer = {**ANSWER, "percent": percents[0], "second_percent": percents[1]}
    assert categorical.clean(answer, ASKED)["second_percent"] == percents[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"excluded": [2]}, "both chosen and excluded"),
        ({"excluded": [0, 3]}, "both chosen and excluded"),
        ({"second": 2}, "same class is chosen twice"),
        ({"second": None}, "second percent, but no second class"),
        ({"second_percent": None}, "second_percent"),
        ({"second_percent": 41}, "come to more than 100"),
        ({"percent": 49, "second_percent": 50}, "more than the most probable"),
        ({"percent": 101}, "percent"),
        ({"percent": -1}, "percent"),
        ({"percent": 60.5}, "percent"),
        ({"percent": "60"}, "percent"),
        ({"percent": None}, "percent"),
        ({"percent": True}, "percent"),
        ({"most_probable": 4}, "most_probable"),
        ({"most_probable": -1}, "most_probable"),
        ({"most_probable": "cat"}, "most_probable"),
        ({"second": 4}, "second"),
        ({"excluded": [4]}, "A class in excluded"),
        ({"excluded": [3, 3]}, "excluded twice"),
        ({"excluded": [True]}, "A class in excluded"),
        ({"excluded": "dog"}, "excluded is a list"),
        ({"excluded": None}, "excluded is a list"),
        ({"excluded": [3] * 5}, "excluded is a list"),
        ({"edits": -1}, "edits"),
        ({"warnings_shown": ["sum"]}, "warnings_shown"),
        ({"third": 1}, "no field 'third'"),
    ],
)
def test_what_contradicts_itself_or_is_no_answer_is_refused_with_a_message(change, message):
    with pytest.raises(Invalid, match=message):
        categorical.clean({**ANSWER, **change}, ASKED)


@pytest.mark.parametrize("n", [2, 100, 1000])
def test_from_2_to_1000_classes_work(n):
    assert categorical.check_options({}, n_classes=n, n_lambdas=1) == {}
    asked = Asked(tuple(f"class {i}" for i in range(n)), 0, 1)
    answer = {**ALONE, "most_probable": n - 1, "excluded": list(range(n - 1))}
    said = categorical.judgement(categorical.clean(answer, asked), asked)
    assert said == ClassMass(((n - 1, 0.6),), frozenset(range(n - 1)))


@pytest.mark.parametrize("n", [1, 1001])
def test_other_numbers_of_classes_are_refused(n):
    with pytest.raises(Invalid) as refused:
        categorical.check_options({}, n_classes=n, n_lambdas=1)
    assert set(refused.value.fields) == {"image_set"}


def test_everybody_has_an_order_of_the_classes_of_their_own():
    rng = random.Random(6)
    people = [categorical.draw_person(rng, classes=CLASSES) for i in range(50)]
    shown = [categorical.shown_to_person(person, CLASSES)["classes"] for person in people]
    assert all(sorted(c["id"] for c in classes) == [0, 1, 2, 3] for classes in shown)
    assert all(CLASSES[c["id"]] == c["name"] for classes in shown for c in classes)
    assert {classes[0]["id"] for classes in shown} == {0, 1, 2, 3}


def test_the_browser_is_not_told_which_classes_were_mixed():
    params = categorical.draw_params(random.Random(0), [ASKED])[0]
    assert categorical.shown(Asked(CLASSES, 0, 1, params=params)) == {}


@pytest.mark.parametrize(
    "said",
    [
        ClassMass(((2, 0.6), (0, 0.3)), frozenset({3})),
        ClassMass(((1, 1.0),), frozenset()),
        ClassMass(((1, 0.5), (0, 0.5)), frozenset({2, 3})),
    ],
)
def test_a_simulated_answer_is_valid_and_says_what_was_perceived(said):
    payload = categorical.payload_for(said, ASKED, np.random.default_rng(0))
    assert categorical.judgement(categorical.clean(payload, ASKED), ASKED) == said
