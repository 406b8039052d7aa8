"""The interface *infer*: what is an answer, and what it says."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from elicitation.interfaces import infer
from elicitation.interfaces.base import Asked
from hilmix.core.judgements import CannotTell, PerceivedLambda
from hilmix.errors import Invalid

LEFT_FIRST = Asked(("ant", "bee", "cat"), 0, 1, params={"left": "first", "order": ["mixing", "confidence"]})
LEFT_SECOND = replace(LEFT_FIRST, params={"left": "second", "order": ["mixing", "confidence"]})
TOUCHED = {"mixing": True, "confidence": True}
ANSWER = {"cannot_tell": False, "mixing_percent": 26, "confidence_percent": 80, "touched": TOUCHED}


def test_zero_is_all_of_the_left_class_whichever_it_is():
    answer = infer.clean(ANSWER, LEFT_FIRST)
    assert infer.judgement(answer, LEFT_FIRST) == PerceivedLambda(0.74, 0.8)
    assert infer.judgement(answer, LEFT_SECOND) == PerceivedLambda(0.26, 0.8)


def test_cannot_tell_is_its_own_answer_and_needs_no_slider():
    payload = {"cannot_tell": True, "touched": {"mixing": False, "confidence": False}}
    assert infer.judgement(infer.clean(payload, LEFT_FIRST), LEFT_FIRST) == CannotTell()


def test_a_slider_has_no_position_before_it_is_set():
    assert infer.clean(ANSWER, LEFT_FIRST)["slider_start"] is None


def test_the_course_of_the_answer_is_kept_with_and_without_times():
    history = [[812.4, "mixing", 30], [None, "mixing", 26], [None, "confidence", 80]]
    kept = infer.clean({**ANSWER, "history": history}, LEFT_FIRST)["history"]
    assert kept == [[812, "mixing", 30], [None, "mixing", 26], [None, "confidence", 80]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"touched": {"mixing": False, "confidence": True}}, "Both sliders must be set"),
        ({"touched": {"mixing": True, "confidence": False}}, "Both sliders must be set"),
        ({"touched": {"mixing": True}}, "touched"),
        ({"touched": {"mixing": 1, "confidence": True}}, "touched of mixing"),
        ({"touched": None}, "touched"),
        ({"mixing_percent": 101}, "mixing_percent"),
        ({"mixing_percent": -1}, "mixing_percent"),
        ({"mixing_percent": None}, "mixing_percent"),
        ({"mixing_percent": 26.5}, "mixing_percent"),
        ({"mixing_percent": True}, "mixing_percent"),
        ({"mixing_percent": "26"}, "mixing_percent"),
        ({"mixing_percent": 10**400}, "mixing_percent"),
        ({"confidence_percent": None}, "confidence_percent"),
        ({"confidence_percent": float("nan")}, "confidence_percent"),
        ({"cannot_tell": "no"}, "cannot_tell"),
        ({"cannot_tell": True}, "goes without"),
        ({"lambda": 0.5}, "no field 'lambda'"),
        ({"slider_start": 50}, "slider_start is empty"),
        ({"n_moves": {"mixing": -1, "confidence": 0}}, "n_moves of mixing"),
        ({"n_moves": [1, 2]}, "n_moves"),
        ({"history": [[0, "mixing"]]}, "steps of 3 items"),
        ({"history": [[0, "brightness", 3]]}, "A slider in history"),
        ({"history": [[0, "mixing", 130]]}, "A position in history"),
        ({"history": [[-1, "mixing", 30]]}, "A time in history"),
        ({"history": [[None, "mixing", 30]] * 201}, "at most 200"),
    ],
)
def test_what_is_no_answer_is_refused_with_a_message(change, message):
    with pytest.raises(Invalid, match=message):
        infer.clean({**ANSWER, **change}, LEFT_FIRST)


def test_an_answer_and_a_trial_of_version_1_say_what_they_said():
    old = {
        **ANSWER,
        "n_moves": {"mixing": 2, "confidence": 1},
        "first_interaction_ms": 900,
        "image_css_px": 288,
    }
    asked = replace(LEFT_FIRST, params={"left": "first"})
    assert infer.judgement(old, asked) == PerceivedLambda(0.74, 0.8)
    assert infer.clean(old, asked).items() >= old.items()
    assert infer.shown(asked) == infer.shown(LEFT_FIRST)


@pytest.mark.parametrize("n", [1, 30, 31])
def test_sides_are_balanced_within_a_participant(n):
    params = infer.draw_params(random.Random(1), [LEFT_FIRST] * n)
    sides = Counter(one["left"] for one in params)
    assert abs(sides["first"] - sides["second"]) == n % 2
    assert all(one["order"] == ["mixing", "confidence"] for one in params)


def test_the_order_of_the_questions_is_balanced_and_crossed_with_the_sides_where_it_is_asked_for():
    options = infer.check_options({"randomize_question_order": True}, n_classes=2, n_lambdas=1)
    params = infer.draw_params(random.Random(1), [replace(LEFT_FIRST, options=options)] * 40)
    assert set(Counter((one["left"], one["order"][0]) for one in params).values()) == {10}
    assert all(sorted(one["order"]) == ["confidence", "mixing"] for one in params)


@pytest.mark.parametrize("options", [{"randomize_question_order": 1}, {"speed": 3}])
def test_an_option_that_is_none_is_refused_beside_the_options(options):
    with pytest.raises(Invalid) as refused:
        infer.check_options(options, n_classes=10, n_lambdas=5)
    assert set(refused.value.fields) == {"options"}


def test_the_browser_is_told_class_names_by_side_and_nothing_else():
    assert infer.shown(LEFT_SECOND) == {
        "left_class": "bee",
        "right_class": "ant",
        "order": ["mixing", "confidence"],
    }


@pytest.mark.parametrize("asked", [LEFT_FIRST, LEFT_SECOND])
@pytest.mark.parametrize("said", [PerceivedLambda(0.25, 0.5), PerceivedLambda(1, 0), CannotTell()])
def test_a_simulated_answer_is_valid_and_says_what_was_perceived(said, asked):
    payload = infer.payload_for(said, asked, np.random.default_rng(0))
    assert infer.judgement(infer.clean(payload, asked), asked) == said
