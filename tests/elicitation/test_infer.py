"""The interface *infer*: what is an answer, and what it says."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from elicitation.interfaces import INTERFACES, infer, interface_named
from hilmix.core.judgements import CannotTell, PerceivedLambda
from hilmix.errors import Invalid

TOUCHED = {"mixing": True, "confidence": True}
ANSWER = {"cannot_tell": False, "mixing_percent": 26, "confidence_percent": 80, "touched": TOUCHED}


def test_zero_is_all_of_the_left_class_whichever_it_is():
    answer = infer.clean(ANSWER)
    assert infer.judgement(answer, {"left": "first"}) == PerceivedLambda(0.74, 0.8)
    assert infer.judgement(answer, {"left": "second"}) == PerceivedLambda(0.26, 0.8)


def test_cannot_tell_is_its_own_answer_and_needs_no_slider():
    answer = infer.clean({"cannot_tell": True, "touched": {"mixing": False, "confidence": False}})
    assert infer.judgement(answer, {"left": "first"}) == CannotTell()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"touched": {"mixing": False, "confidence": True}}, "Both sliders must be set"),
        ({"touched": {"mixing": True, "confidence": False}}, "Both sliders must be set"),
        ({"touched": {"mixing": True}}, "touched"),
        ({"touched": None}, "touched"),
        ({"mixing_percent": 101}, "mixing_percent"),
        ({"mixing_percent": -1}, "mixing_percent"),
        ({"mixing_percent": None}, "mixing_percent"),
        ({"mixing_percent": 26.5}, "mixing_percent"),
        ({"mixing_percent": True}, "mixing_percent"),
        ({"mixing_percent": "26"}, "mixing_percent"),
        ({"confidence_percent": None}, "confidence_percent"),
        ({"cannot_tell": "no"}, "cannot_tell"),
        ({"cannot_tell": True}, "goes without"),
        ({"lambda": 0.5}, "no field lambda"),
        ({"n_moves": {"mixing": -1, "confidence": 0}}, "n_moves"),
        ({"input_method": "telepathy"}, "input_method"),
        ({"viewport": [1, 2]}, "viewport"),
        ({"first_interaction_ms": -5}, "first_interaction_ms"),
    ],
)
def test_what_is_no_answer_is_refused_with_a_message(change, message):
    with pytest.raises(Invalid, match=message):
        infer.clean({**ANSWER, **change})


def test_sides_are_balanced_within_a_participant():
    for n in (30, 31):
        sides = Counter(params["left"] for params in infer.draw_params(random.Random(1), n))
        assert abs(sides["first"] - sides["second"]) == n % 2


def test_the_browser_is_told_class_names_by_side_and_nothing_else():
    assert infer.shown({"left": "second"}, "ant", "bee") == {"left_class": "bee", "right_class": "ant"}


@pytest.mark.parametrize("left", ["first", "second"])
@pytest.mark.parametrize("said", [PerceivedLambda(0.25, 0.5), PerceivedLambda(1, 0), CannotTell()])
def test_a_simulated_answer_is_valid_and_says_what_was_perceived(said, left):
    payload = infer.payload_for(said, {"left": left}, np.random.default_rng(0))
    assert infer.judgement(infer.clean(payload), {"left": left}) == said


def test_an_unknown_interface_is_refused_naming_those_there_are():
    with pytest.raises(Invalid, match="infer"):
        interface_named("guess")


def test_every_interface_declares_what_the_contract_asks():
    for name, interface in INTERFACES.items():
        assert name == interface.NAME
        assert interface.UNIT in ("mixed_image", "pair")
        assert all(column.description for column in interface.COLUMNS)
