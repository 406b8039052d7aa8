"""The interface *construct*: the row of pictures, walks through it, and what their end says."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from elicitation.interfaces import construct
from elicitation.interfaces.base import Asked
from hilmix.core.judgements import PerceivedMidpoint
from hilmix.errors import Invalid

GRID = tuple(range(0, 11_000, 1000))
ASKED = Asked(
    ("ant", "bee", "cat"),
    0,
    2,
    lambdas_e4=GRID,
    options={"controls": "all", "min_steps": 0},
    person={"keys": {"left": "g", "right": "h"}},
    params={"left": "second", "start": "low"},
)
# Two steps to the right, one back, then a jump of the slider: 1 → 2 → 3 → 2 → 6.
ANSWER = {
    "start_step": 1,
    "final_step": 6,
    "path": [[300, 2, "key"], [450, 3, "key"], [700, 2, "button"], [None, 6, "slider"]],
    "n_steps": 4,
    "n_reversals": 2,
    "visited_min": 1,
    "visited_max": 6,
    "hit_bound": False,
}


def walk(asked, *places, source="key", **change):
    """The answer of somebody who goes by these places."""
    start = construct.start_step(asked)
    seen = [start, *places]
    moves = [after - before for before, after in itertools.pairwise(seen)]
    turns = sum(before * after < 0 for before, after in itertools.pairwise(moves))
    answer = {
        "start_step": start,
        "final_step": seen[-1],
        "path": [[None, place, source] for place in places],
        "n_steps": len(places),
        "n_reversals": turns,
        "visited_min": min(seen),
        "visited_max": max(seen),
        "hit_bound": False,
    }
    return {**answer, **change}


def test_a_walk_ends_where_its_last_picture_is():
    answer = construct.clean(ANSWER, ASKED)
    assert construct.judgement(answer, ASKED).value == 0.6
    assert answer["path"] == ANSWER["path"]


def test_every_place_of_the_row_says_the_lambda_of_the_picture_shown_there():
    # The published suite looked pictures up by the text of a float; "1" and "0" were not among them.
    for left in ("first", "second"):
        asked = replace(ASKED, params={"left": left, "start": "low"})
        order = construct.shown_order(asked)
        assert sorted(order) == list(range(11))
        for place in range(11):
            said = construct.judgement({"final_step": place}, asked)
            assert said.value == GRID[order[place]] / 10_000
        ends = {construct.judgement({"final_step": place}, asked).value for place in (0, 10)}
        assert ends == {0.0, 1.0}


def test_an_answer_says_from_which_side_of_the_middle_the_person_came_to_it():
    sides = {
        (left, start): construct.judgement(
            ANSWER, replace(ASKED, params={"left": left, "start": start})
        ).start
        for left in ("first", "second")
        for start in ("low", "high")
    }
    # With the first class on the left λ falls from left to right, so the left end is the one of high λ.
    assert sides == {
        ("first", "low"): "high", ("first", "high"): "low", ("second", "low"): "low", ("second", "high"): "high",
    }  # fmt: skip


@pytest.mark.parametrize("left", ["first", "second"])
def test_what_is_named_on_the_left_is_most_visible_at_the_left_end(left):
    asked = replace(ASKED, params={"left": left, "start": "low"})
    shares_of_first = [GRID[position] for position in construct.shown_order(asked)]
    named = construct.shown(asked)
    assert (named["left_class"], named["right_class"]) == (
        ("ant", "cat") if left == "first" else ("cat", "ant")
    )
    assert shares_of_first == sorted(GRID, reverse=left == "first")


@pytest.mark.parametrize(
    ("n", "low", "high"), [(3, 0, 2), (4, 1, 2), (5, 1, 3), (11, 1, 9)], ids=lambda value: str(value)
)
def test_a_trial_starts_beside_an_end_or_at_it_in_a_short_row(n, low, high):
    asked = replace(ASKED, lambdas_e4=GRID[:n])
    starts = [
        construct.start_step(replace(asked, params={"left": "first", "start": s})) for s in ("low", "high")
    ]
    assert starts == [low, high]


def test_the_browser_is_told_names_start_and_keys_and_nothing_else():
    assert construct.shown(ASKED) == {"left_class": "cat", "right_class": "ant", "n": 11, "start": 1}
    person = construct.draw_person(random.Random(0), classes=ASKED.classes)
    assert construct.shown_to_person(person, ASKED.classes) == {"keys": {"left": "g", "right": "h"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_step": 9}, "starts at step 1, not at 9"),
        ({"start_step": None}, "start_step"),
        ({"final_step": 5}, "do not agree"),
        ({"final_step": 11}, "final_step"),
        ({"final_step": 6.0}, "final_step"),
        ({"final_step": True}, "final_step"),
        ({"n_steps": 5}, "do not agree"),
        ({"n_steps": -1}, "n_steps"),
        ({"n_reversals": 0}, "do not agree"),
        ({"visited_min": 0}, "do not agree"),
        ({"visited_max": 7}, "do not agree"),
        ({"hit_bound": True}, "hit_bound"),
        ({"hit_bound": None}, "hit_bound"),
        ({"path": None}, "path"),
        ({"path": []}, "do not agree"),
        ({"path": [[0, 2]]}, "steps of 3 items"),
        ({"path": [[0, 11, "key"]]}, "A place in path"),
        ({"path": [[0, 2, "thought"]]}, "A source in path"),
        ({"path": [[0, 6, "key"]]}, "from step 1 to step 6, which a key cannot do"),
        ({"path": [[0, 1, "slider"]]}, "from step 1 to step 1"),
        ({"path": [[float("inf"), 2, "key"]]}, "A time in path"),
        ({"path": [[None, 2, "key"]] * 501}, "at most 500"),
        ({"final_value": 0.6}, "no field 'final_value'"),
    ],
)
def test_what_is_no_answer_is_refused_with_a_message(change, message):
    with pytest.raises(Invalid, match=message):
        construct.clean({**ANSWER, **change}, ASKED)


def test_who_likes_the_first_picture_need_not_step_unless_the_study_says_so():
    assert construct.clean(walk(ASKED), ASKED)["final_step"] == 1
    strict = replace(ASKED, options={"controls": "all", "min_steps": 2})
    with pytest.raises(Invalid, match="At least 2 steps"):
        construct.clean(walk(strict, 2), strict)
    assert construct.clean(walk(strict, 2, 3), strict)["n_steps"] == 2


def test_a_step_beyond_an_end_is_remembered():
    assert construct.clean(walk(ASKED, 0, 1, hit_bound=True), ASKED)["hit_bound"] is True


def test_a_control_that_the_study_does_not_offer_cannot_have_been_used():
    asked = replace(ASKED, options={"controls": "buttons", "min_steps": 0})
    assert construct.clean(walk(asked, 2, source="button"), asked)["final_step"] == 2
    with pytest.raises(Invalid, match="A source in path is one of button"):
        construct.clean(walk(asked, 2, source="key"), asked)


def test_a_walk_of_more_steps_than_are_kept_is_an_answer_and_stays_within_what_was_visited():
    answer = walk(ASKED, *[2, 1] * 200, n_steps=800, n_reversals=799, final_step=2)
    assert construct.clean(answer, ASKED)["final_step"] == 2
    with pytest.raises(Invalid, match="do not agree"):
        construct.clean({**answer, "final_step": 3}, ASKED)


def test_side_start_and_which_class_is_first_are_balanced_independently_of_each_other():
    crossed: Counter[tuple[str, str, bool]] = Counter()
    rng = random.Random(4)
    for _ in range(200):
        firsts = [rng.random() < 0.5 for _ in range(31)]
        asked = [replace(ASKED, first_class=0 if f else 2, second_class=2 if f else 0) for f in firsts]
        params = construct.draw_params(rng, asked)
        sides, starts = Counter(p["left"] for p in params), Counter(p["start"] for p in params)
        cells = Counter((p["left"], p["start"]) for p in params)
        assert abs(sides["first"] - sides["second"]) == 1
        assert abs(starts["low"] - starts["high"]) == 1
        assert set(cells.values()) <= {7, 8}
        crossed.update((p["left"], p["start"], f) for p, f in zip(params, firsts, strict=True))
    assert len(crossed) == 8
    # 6,200 trials over eight cells; five standard deviations of a cell's count.
    assert all(abs(count - 775) < 5 * (6200 * (1 / 8) * (7 / 8)) ** 0.5 for count in crossed.values())


def test_which_class_the_right_key_and_slider_end_lead_to_does_not_hang_on_which_class_is_first():
    """Over many people, going right shows more of the pair's first class in half the trials, from either start."""
    rng = random.Random(5)
    rising: Counter[tuple[bool, str]] = Counter()
    for _ in range(100):
        for params in construct.draw_params(rng, [ASKED] * 20):
            order = construct.shown_order(replace(ASKED, params=params))
            rising[GRID[order[-1]] > GRID[order[0]], params["start"]] += 1
    assert set(rising.values()) == {500}


@pytest.mark.parametrize(
    ("options", "n_lambdas", "field"),
    [
        ({"controls": "voice"}, 5, "options"),
        ({"controls": ["keys"]}, 5, "options"),
        ({"min_steps": -1}, 5, "options"),
        ({"min_steps": True}, 5, "options"),
        ({"speed": 1}, 5, "options"),
        ({}, 2, "lambdas"),
    ],
)
def test_an_option_that_cannot_be_is_refused_beside_its_field(options, n_lambdas, field):
    with pytest.raises(Invalid) as refused:
        construct.check_options(options, n_classes=4, n_lambdas=n_lambdas)
    assert set(refused.value.fields) == {field}


@pytest.mark.parametrize("controls", ["all", "keys", "buttons", "slider"])
@pytest.mark.parametrize("min_steps", [0, 3])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("params", [{"left": "first", "start": "high"}, {"left": "second", "start": "low"}])
def test_a_simulated_answer_is_valid_and_says_what_was_perceived(share, params, min_steps, controls):
    asked = replace(ASKED, params=params, options={"controls": controls, "min_steps": min_steps})
    payload = construct.payload_for(PerceivedMidpoint(share), asked, np.random.default_rng(0))
    assert construct.judgement(construct.clean(payload, asked), asked).value == share
