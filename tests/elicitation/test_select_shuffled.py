"""The interface *select_shuffled*: the grid's order, what is an answer, and what it says."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from elicitation.interfaces import select_shuffled
from elicitation.interfaces.base import Asked
from hilmix.core.judgements import PerceivedMidpoint
from hilmix.errors import Invalid

LAMBDAS = (0, 2500, 5000, 7500, 10_000)
ASKED = Asked(
    ("ant", "bee", "cat"), 2, 1, lambdas_e4=LAMBDAS, params={"left": "second", "order": [3, 0, 4, 2, 1]}
)
ANSWER = {"selected": 3, "selection_history": [[640, 0], [None, 3]], "n_changes": 1}


def test_what_is_selected_in_the_grid_says_its_own_lambda():
    answer = select_shuffled.clean(ANSWER, ASKED)
    assert select_shuffled.judgement(answer, ASKED) == PerceivedMidpoint(0.5)
    for place, position in enumerate(ASKED.params["order"]):
        said = select_shuffled.judgement({"selected": place}, ASKED)
        assert said == PerceivedMidpoint(LAMBDAS[position] / 10_000)


def test_images_come_in_the_order_of_the_grid():
    assert list(select_shuffled.shown_order(ASKED)) == [3, 0, 4, 2, 1]


def test_the_browser_is_told_names_and_how_many_and_nothing_else():
    assert select_shuffled.shown(ASKED) == {"left_class": "bee", "right_class": "cat", "n": 5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"selected": None}, "selected"),
        ({"selected": 5}, "selected"),
        ({"selected": -1}, "selected"),
        ({"selected": 3.0}, "selected"),
        ({"selected": True}, "selected"),
        ({"selected": 2}, "last step of selection_history"),
        ({"selection_history": []}, "last step of selection_history"),
        ({"selection_history": None}, "selection_history"),
        ({"selection_history": [[1, 9], [2, 3]]}, "A place in selection_history"),
        ({"selection_history": [[1, 3, 3]]}, "steps of 2 items"),
        ({"selection_history": [[None, 3]] * 201}, "at most 200"),
        ({"selection_history": [["now", 3]]}, "A time in selection_history"),
        ({"n_changes": None}, "n_changes"),
        ({"n_changes": 0}, "not what selection_history says"),
        ({"n_changes": 2}, "not what selection_history says"),
        ({"lambda": 0.5}, "no field 'lambda'"),
    ],
)
def test_what_is_no_answer_is_refused_with_a_message(change, message):
    with pytest.raises(Invalid, match=message):
        select_shuffled.clean({**ANSWER, **change}, ASKED)


def test_an_answer_changed_more_often_than_is_kept_is_an_answer():
    history = [[None, place % 5] for place in range(200)]
    answer = {"selected": 3, "selection_history": history, "n_changes": 260}
    assert select_shuffled.clean(answer, ASKED)["n_changes"] == 260
    assert select_shuffled.clean({**answer, "n_changes": 200}, ASKED)["selected"] == 3
    with pytest.raises(Invalid, match="last step of selection_history"):
        select_shuffled.clean({**answer, "n_changes": 199}, ASKED)


def test_every_trial_has_its_own_order_and_sides_are_balanced():
    params = select_shuffled.draw_params(random.Random(2), [replace(ASKED, params={})] * 40)
    assert all(sorted(one["order"]) == [0, 1, 2, 3, 4] for one in params)
    assert len({tuple(one["order"]) for one in params}) > 20
    assert Counter(one["left"] for one in params) == {"first": 20, "second": 20}


def test_a_lambda_stands_at_every_place_of_the_grid_equally_often_in_the_long_run():
    params = select_shuffled.draw_params(random.Random(3), [replace(ASKED, params={})] * 5000)
    places = Counter(one["order"].index(0) for one in params)
    assert all(abs(places[place] - 1000) < 150 for place in range(5))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_lambdas_to_choose_from_are_refused(n):
    with pytest.raises(Invalid) as refused:
        select_shuffled.check_options({}, n_classes=4, n_lambdas=n)
    assert set(refused.value.fields) == {"lambdas"}


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_simulated_answer_is_valid_and_says_what_was_perceived(share):
    payload = select_shuffled.payload_for(PerceivedMidpoint(share), ASKED, np.random.default_rng(0))
    cleaned = select_shuffled.clean(payload, ASKED)
    assert select_shuffled.judgement(cleaned, ASKED) == PerceivedMidpoint(share)
