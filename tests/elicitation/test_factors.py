"""Factors: who gets which level, in which order, under which condition, and what the browser is told of it."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter, defaultdict
from itertools import combinations, groupby, pairwise

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from elicitation.flow import services
from elicitation.flow.access import token_for
from elicitation.flow.allocation import give_back
from elicitation.flow.config import page_config
from elicitation.flow.saving import Incoming, save_responses
from elicitation.flow.simulation import simulate_participant
from elicitation.flow.validity import mark_invalid
from elicitation.interfaces import INTERFACES
from elicitation.participants.models import Participation
from elicitation.studies.factors import Factor, Level, cells_of, levels_within
from elicitation.studies.level_checks import complete_factors, level_problems
from elicitation.studies.models import Condition, Protocol, Source
from elicitation.studies.protocol import Design, Display, Settings
from elicitation.studies.reading import reading_of
from elicitation.studies.texts import default_texts, texts_of
from elicitation.studies.ways import interfaces_of, needs_every_lambda, settings_with, texts_with, unit_kind
from elicitation.trials.asking import asked_of
from elicitation.trials.assigning import (
    Turn,
    blocks_in_order,
    combinations_of_units,
    order_in_blocks,
)
from elicitation.trials.given import Ways, checks_answered
from elicitation.trials.models import Response, Trial
from hilmix.accounts.roles import OPERATOR
from hilmix.core.judgements import PerceivedLambda
from hilmix.core.observers import Population

BOXES = {"adult": True, "agree": True}


def factor(name, varies, *levels, order="blocks"):
    """`factor("view", "within", ("you", {}), ("others", {"perspective": "100 others"}))`"""
    return Factor(name, varies, tuple(Level(level, said) for level, said in levels), order)


VIEW = ("you", {}), ("others", {"perspective": "100 others"})
SIDE = ("first", {"options": {"left": "first"}}), ("second", {"options": {"left": "second"}})
WAYS = ("sliders", {}), ("row", {"interface": "construct"})
BRIEF = ("long", {}), ("brief", {"display": {"exposure_ms": 200}})


def settings_of_infer(factors=(), **said):
    return Settings(interface="infer", interface_version=2, options=dict(INTERFACES["infer"].OPTIONS),
                    factors=tuple(factors), **said)  # fmt: skip


def texts_of_infer():
    return default_texts(title="T", interface=INTERFACES["infer"], perspective="you", language="en-gb")


def completed(factors, **said):
    """Settings with `factors`, completed."""
    plain = settings_of_infer(**said)
    factors = complete_factors(factors, plain, texts_of_infer(), "en-gb", "T")
    return settings_of_infer(factors, **said)


def problems(factors, n_classes=4, **said):
    said = {"design": Design(repeats=0), **said}
    found = level_problems(completed(factors, **said), texts_of_infer(), n_classes)
    return found.get("factors", [])


# -- what levels say ---------------------------------------------------------------------------------------------


def test_a_level_with_another_interface_brings_its_words_and_keeps_the_perspective():
    settings = completed([factor("way", "within", *WAYS)])
    row = settings_with(settings, {"way": "row"})
    assert (row.interface, row.options["start"]) == ("construct", "balanced")
    texts = texts_with(texts_of({"texts": texts_of_infer()}), settings, {"way": "row"})
    assert set(texts.wording) == {"question", "perspective"}
    assert "Find the picture" in texts.wording["question"]
    assert texts.wording["perspective"] == texts_of_infer()["wording"]["perspective"]
    assert "row" in texts.instructions[0]
    assert texts.comprehension[0].prompt != texts_of_infer()["comprehension"][0]["prompt"]


@pytest.mark.parametrize("reverse_order", [False, True])
def test_interface_and_perspective_are_crossed_in_any_order_of_the_factors(reverse_order):
    factors = [factor("way", "within", *WAYS), factor("view", "between", *VIEW)]
    settings = completed(factors[::-1] if reverse_order else factors)
    said = texts_of({"texts": texts_of_infer()})
    both = texts_with(said, settings, {"way": "row", "view": "others"})
    assert both.wording["perspective"] == "Say what you think 100 other people would see."
    assert "Find the picture" in both.wording["question"]
    assert settings_with(settings, {"way": "row", "view": "others"}).perspective == "100 others"


def test_words_that_a_level_gives_itself_stay_and_completing_again_changes_nothing():
    own = {"interface": "construct", "wording": {"question": "Where is the middle of {left} and {right}?"}}
    factors = [factor("way", "within", ("sliders", {}), ("row", own))]
    once = completed(factors)
    assert once.factors[0].levels[1].set["wording"]["question"].startswith("Where is the middle")
    assert once.factors[0].levels[1].set["instructions"]
    plain = settings_of_infer()
    assert complete_factors(once.factors, plain, texts_of_infer(), "en-gb", "T") == once.factors


def test_words_are_completed_in_the_language_of_the_study():
    (made,) = complete_factors(
        [factor("view", "between", *VIEW)], settings_of_infer(), texts_of_infer(), "he", "T"
    )
    assert "100" in made.levels[1].set["wording"]["perspective"]
    assert "people" not in made.levels[1].set["wording"]["perspective"]
    assert made.levels[0].set == {}


@pytest.mark.parametrize(
    ("factors", "kind", "every_lambda"),
    [
        ([], "mixed_image", False),
        ([factor("way", "between", *WAYS)], "mixed_image", True),
        (
            [factor("way", "within", ("row", {"interface": "construct"}), ("grid", {"interface": "select_shuffled"}))],
            "pair",
            True,
        ),
        ([factor("view", "within", *VIEW)], "mixed_image", False),
    ],
)  # fmt: skip
def test_units_are_pairs_only_where_everybody_is_asked_about_pairs(factors, kind, every_lambda):
    settings = completed(factors)
    assert (unit_kind(settings), needs_every_lambda(settings)) == (kind, every_lambda)


def test_an_interface_that_no_combination_uses_is_met_by_nobody():
    pair_only = factor(
        "way", "within", ("row", {"interface": "construct"}), ("grid", {"interface": "select_shuffled"})
    )
    assert interfaces_of(completed([pair_only])) == ["construct", "select_shuffled"]


# -- what cannot be carried out ----------------------------------------------------------------------------------


def test_factors_that_can_be_carried_out_have_no_problem():
    assert problems([factor("view", "within", *VIEW), factor("side", "between", *SIDE)]) == []
    assert problems([factor("way", "within", *WAYS)]) == []


@pytest.mark.parametrize(
    ("level", "message"),
    [
        ({"interface": "guess"}, "there is no interface 'guess'"),
        ({"interface": 3}, "interface is not of the form"),
        ({"options": {"mood": 1}}, "no option mood"),
        ({"options": {"left": "up"}}, "left is one of balanced, first, second"),
        ({"options": ["left"]}, "options is not of the form"),
        ({"display": {"size": 3}}, "display has no size"),
        ({"display": {"exposure_ms": 1}}, "From 20 to 60,000 milliseconds"),
        ({"perspective": "mine"}, "perspective is 'you' or '100 others'"),
        ({"wording": {"question": ""}}, "“question” needs a text"),
        ({"wording": {"riddle": "What?"}}, "Nothing in the trials is called “riddle”"),
        ({"wording": {"question": 5}}, "wording is text by name"),
        ({"instructions": []}, "At least one page"),
        ({"instructions": [3]}, "instructions are pages of text"),
        ({"comprehension": [{"prompt": "What?"}]}, "a comprehension question has"),
        ({"comprehension": [{"prompt": "?", "options": ["a", "a"], "correct": 0}]}, "at least two answers"),
        ({"bonus": "x" * 2001}, "at most 2,000 characters"),
        ({"interface": "construct", "display": {"exposure_ms": 200}}, "without a limit of exposure"),
    ],
)
def test_a_level_that_cannot_be_carried_out_is_named_with_what_is_wrong(level, message):
    said = problems([factor("it", "between", ("plain", {}), ("odd", level))])
    assert any(message in one for one in said), said
    assert all("odd" in one for one in said)


def test_a_combination_is_refused_though_each_of_its_levels_could_be_had():
    said = problems([factor("way", "between", *WAYS), factor("time", "between", *BRIEF)])
    assert said == [
        "With way = row, time = brief: 'construct' shows several images to choose among, without a limit of exposure."
    ]


def test_checks_need_interfaces_that_take_them():
    said = problems([factor("way", "between", *WAYS)], design=Design(checks=2))
    assert said == ["With way = row: 'construct' has no attention checks: it asks about no single image."]


def test_pairs_need_enough_lambdas():
    said = problems([factor("way", "between", *WAYS)], design=Design(lambdas_e4=(2500, 7500)))
    assert "at least three λ" in said[0]


def test_a_repeat_needs_room_in_its_block_and_checks_too():
    design = Design(trials_per_person=30, repeats=2)
    view = factor("view", "within", *VIEW)
    assert "2 repeats in 2 blocks need 18 trials a block; there are 15" in problems([view], design=design)[0]
    assert problems([view], design=Design(trials_per_person=36, repeats=2)) == []
    mixed = factor("view", "within", *VIEW, order="mixed")
    assert problems([mixed], design=design) == []
    few = Design(trials_per_person=20, repeats=0, checks=4)
    assert "4 checks in 2 blocks need 12 trials a block; there are 10" in problems([view], design=few)[0]


def test_everybody_has_a_trial_of_every_combination_within_people():
    within = [factor(name, "within", *SIDE, order="mixed") for name in ("one", "two", "three")]
    assert "8 combinations" in problems(within, design=Design(trials_per_person=7, repeats=0))[0]


# -- who gets what (pure) ----------------------------------------------------------------------------------------

PAIRS = list(combinations("abcdefgh", 2))


@given(
    n=st.integers(1, 60), n_combinations=st.integers(1, 6), n_strata=st.integers(1, 5), seed=st.integers(0, 9)
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_over_its_places_a_unit_has_every_combination_equally_often(n, n_combinations, n_strata, seed):
    strata = [place % n_strata for place in range(n)]
    over: list[Counter] = [Counter() for _ in range(n)]
    for rank in range(n_combinations):
        drawn = combinations_of_units(strata, n_combinations, Turn(rank, cell=3, batch=1), seed)
        counts = Counter(drawn)
        assert max(counts.values()) - min(counts[c] for c in range(n_combinations)) <= 1
        for stratum in range(n_strata):  # and so within each λ
            of_it = Counter(c for c, s in zip(drawn, strata, strict=True) if s == stratum)
            assert max(of_it.values(), default=0) - min(of_it[c] for c in range(n_combinations)) <= 1
        for place, combination in enumerate(drawn):
            over[place][combination] += 1
    assert all(set(counts.values()) == {1} and len(counts) == n_combinations for counts in over)


def test_each_level_has_each_rank_equally_often_whatever_a_unit_has():
    """Over four places, two blocks: unit sets, levels and ranks of blocks are crossed."""
    view = factor("view", "within", *VIEW)
    within = levels_within([view])
    met = Counter()
    for rank in range(4):
        turn = Turn(rank)
        (first, *_rest) = blocks_in_order(within, [view], turn)
        (of_unit,) = combinations_of_units([0], 2, turn, 1)
        met[of_unit, first[0]] += 1
    assert met == {(0, 0): 1, (0, 1): 1, (1, 0): 1, (1, 1): 1}


def test_blocks_of_two_factors_keep_the_trials_of_a_level_together():
    one = factor("one", "within", ("a", {}), ("b", {}))
    two = factor("two", "within", ("x", {}), ("y", {}), ("z", {}))
    within = levels_within([one, two])
    orders = set()
    for rank in range(36):
        blocks = blocks_in_order(within, [one, two], Turn(rank))
        assert [len(block) for block in blocks] == [1] * 6
        levels = [within[number] for (number,) in blocks]
        assert len(list(groupby(level["one"] for level in levels))) == 2
        orders.add(tuple(tuple(level.values()) for level in levels))
    assert len(orders) == 6


@given(
    st.integers(36, 70), st.integers(0, 4), st.sampled_from([0, 2, 4]), st.integers(1, 2), st.integers(0, 99)
)
@hypothesis_settings(max_examples=100, deadline=None)
def test_in_blocks_repeats_stay_with_their_level_and_checks_apart(n, repeats, checks, n_mixed, seed):
    n_blocks = 2
    least = n // (n_blocks * n_mixed) * n_mixed
    if (repeats and least < 16 + 2 * -(-repeats // 2)) or (checks and least < 5 * (checks // 2) + 2):
        return
    rng = random.Random(seed)
    units, unmixed = [PAIRS[i % 28] for i in range(n)], [PAIRS[27 - i] for i in range(checks)]
    numbers = combinations_of_units([0] * n, n_blocks * n_mixed, Turn(seed), seed)
    blocks = [list(range(b * n_mixed, (b + 1) * n_mixed)) for b in range(n_blocks)]
    order = order_in_blocks(units, numbers, unmixed, repeats, blocks, rng)
    kinds = Counter(one.planned.kind for one in order)
    assert (kinds["main"], kinds["repeat"], kinds["check"]) == (n, repeats, checks)
    in_block = [one.combination // n_mixed for one in order]
    assert in_block == sorted(in_block)
    first = {one.planned.place: at for at, one in enumerate(order) if one.planned.kind == "main"}
    for at, one in enumerate(order):
        if one.planned.kind == "repeat":
            assert at - first[one.planned.place] >= 16
            assert one.combination == order[first[one.planned.place]].combination
    at_checks = [at for at, one in enumerate(order) if one.planned.kind == "check"]
    assert all(later - earlier >= 5 for earlier, later in pairwise(at_checks))
    keys = [(unmixed if one.planned.kind == "check" else units)[one.planned.place] for one in order]
    assert all(a != b for a, b in pairwise(keys))


# -- who gets what (stored) --------------------------------------------------------------------------------------


@pytest.fixture
def compare(make_study, image_set):
    """`compare([factor, …], **design)`: an open study of them, with 36 trials a person from one batch."""

    def make(factors, slug="compared", **said):
        plain = settings_of_infer()
        factors = complete_factors(factors, plain, texts_of_infer(), "en-gb", "T")
        numbers = {"n_mixed_images": 36, "trials_per_person": 36, "answers_per_unit": 4, **said}
        return make_study(slug, factors=factors, **numbers)

    return make


@pytest.fixture
def image_set(make_image_set):
    """Enough training images for 36 trials whose parents nobody sees twice."""
    return make_image_set(240)


def join(study):
    participation, _new = services.join_study(study=study, source=study.source, boxes=BOXES)
    trials = list(
        participation.trials.select_related("pair", "unit", "condition").prefetch_related(
            "images__mixed_image"
        )
    )
    return participation, trials


def test_what_differs_between_people_is_level_over_them_and_the_same_for_all_trials_of_one(compare):
    study = compare([factor("view", "between", *VIEW), factor("side", "between", *SIDE)], answers_per_unit=2)
    met = Counter()
    for _ in range(8):
        participation, trials = join(study)
        met[tuple(participation.levels.values())] += 1
        assert all(trial.levels == participation.levels for trial in trials)
        assert {trial.params["left"] for trial in trials} == {participation.levels["side"]}
        (perspective,) = {trial.condition.content["perspective"] for trial in trials}
        assert perspective == {"you": "you", "others": "100 others"}[participation.levels["view"]]
    assert set(met) == {
        tuple(cell.values()) for cell in cells_of(reading_of(study.protocol).settings.factors)
    }
    assert set(met.values()) == {2}
    assert Condition.objects.filter(study=study).count() == 4


def test_what_differs_within_people_is_level_in_each_of_them_and_over_all_of_a_unit(compare):
    study = compare([factor("view", "within", *VIEW)], repeats=2)
    of_unit = defaultdict(Counter)
    first_blocks = Counter()
    for _ in range(4):
        _participation, trials = join(study)
        main = [trial for trial in trials if trial.kind == Trial.Kind.MAIN]
        assert Counter(trial.levels["view"] for trial in main) == {"you": 18, "others": 18}
        blocks = [level for level, _trials in groupby(trial.levels["view"] for trial in trials)]
        assert len(blocks) == 2
        first_blocks[blocks[0]] += 1
        for trial in main:
            of_unit[trial.unit_id][trial.levels["view"]] += 1
        for trial in trials:
            if trial.kind == Trial.Kind.REPEAT:
                (shown,) = [one for one in main if one.unit_id == trial.unit_id]
                assert trial.levels == shown.levels
                assert trial.position - shown.position >= 16
    assert set(map(tuple, (sorted(c.items()) for c in of_unit.values()))) == {(("others", 2), ("you", 2))}
    assert first_blocks == {"you": 2, "others": 2}


def test_whoever_takes_a_place_that_was_given_back_has_its_levels(compare):
    study = compare([factor("view", "within", *VIEW), factor("side", "between", *SIDE)], answers_per_unit=1)
    had = []
    for _ in range(2):
        participation, trials = join(study)
        levels = {trial.unit_id: trial.levels for trial in trials}
        had.append((participation.slot_id, levels, next(iter(trials)).levels))
        if len(had) == 1:
            other, _trials = join(study)  # the other cell's only place
            assert other.levels != participation.levels
            give_back(participation)
    assert had[0] == had[1]


def test_levels_within_people_stay_balanced_where_places_change_hands(compare):
    study = compare([factor("view", "within", *VIEW)])
    first = [join(study) for _ in range(4)]
    for participation, _trials in first:
        give_back(participation)
    back = [(services.resume(participation=first[place][0]), first[place][1]) for place in (3, 1)]
    met = [*back, join(study), join(study)]
    given = Counter((trial.unit_id, trial.levels["view"]) for _person, trials in met for trial in trials)
    assert set(given.values()) == {2}
    assert len(given) == 72


def test_who_finished_without_a_place_keeps_a_turn_and_who_does_not_count_has_none(compare):
    study = compare([factor("view", "within", *VIEW)], answers_per_unit=6)
    people = [join(study)[0] for _ in range(3)]
    assert [person.turn for person in people] == [0, 1, 2]
    extra, invalid, _holder = people
    give_back(extra)
    Participation.objects.filter(pk=extra.pk).update(state=Participation.State.ANSWERED)
    mark_invalid(participation=invalid, reason="A trial of the team.", actor=OPERATOR)
    assert [join(study)[0].turn for _ in range(3)] == [1, 3, 4]


def test_mixed_levels_change_from_trial_to_trial_and_are_balanced_over_lambda(compare):
    study = compare([factor("side", "within", *SIDE, order="mixed")])
    _participation, trials = join(study)
    runs = [len(list(same)) for _level, same in groupby(trial.levels["side"] for trial in trials)]
    assert len(runs) > 8
    for trial in trials:
        assert trial.params["left"] == trial.levels["side"]
    counts = Counter((t.images.all()[0].mixed_image.lambda_e4, t.levels["side"]) for t in trials)
    by_lambda = defaultdict(list)
    for (lambda_e4, _level), n in counts.items():
        by_lambda[lambda_e4].append(n)
    assert all(max(n) - min(n) <= 1 for n in by_lambda.values())


def test_two_interfaces_within_a_person_ask_about_the_same_units(compare):
    study = compare([factor("way", "within", *WAYS)])
    participation, trials = join(study)
    assert set(participation.drawn) == {"keys"}
    for trial in trials:
        shown = [image.mixed_image for image in trial.images.all()]
        assert trial.unit.mixed_image_id is not None
        if trial.levels["way"] == "row":
            descending = trial.params["left"] == "first"
            assert [image.lambda_e4 for image in shown] == sorted([2500, 5000, 7500], reverse=descending)
            assert {image.pair_id for image in shown} == {trial.pair_id}
            assert trial.condition.content["interface"] == "construct"
        else:
            assert [image.pk for image in shown] == [trial.unit.mixed_image_id]
    assert Counter(trial.levels["way"] for trial in trials) == {"sliders": 18, "row": 18}
    starts = Counter(trial.params["start"] for trial in trials if trial.levels["way"] == "row")
    assert starts == {"low": 9, "high": 9}


def test_whoever_sees_all_classes_in_two_interfaces_sees_them_in_one_order(compare):
    ways = ("form", {"interface": "categorical"}), ("bars", {"interface": "distribution"})
    participation, _trials = join(compare([factor("way", "within", *ways)]))
    told = page_config(services.resume(participation=participation), "link")
    orders = [way["person"]["classes"] for way in told["ways"]]
    assert orders[0] == orders[1]
    assert told["lists_classes"]


def test_a_plan_of_many_levels_takes_as_few_queries_as_one_of_none(compare):
    many = [factor("view", "within", *VIEW), factor("side", "within", *SIDE, order="mixed")]
    plain, study = compare([], slug="plain"), compare(many)
    for one in (plain, study):
        join(one)
    counted = []
    for one in (plain, study):
        with CaptureQueriesContext(connection) as queries:
            services.join_study(study=one, source=Source.PERSON, boxes=BOXES)
        counted.append(len(queries))
    assert counted[1] <= counted[0] + 2  # the rank of the place, and its batch


def test_options_that_leave_a_draw_to_chance_are_no_part_of_the_condition(study):
    """Before there were such options everything was balanced: answers from before and after stay together."""
    _participation, trials = join(study)
    assert study.protocol.content["interface"]["options"]["left"] == "balanced"
    assert trials[0].condition.content["options"] == {"randomize_question_order": False}


# -- what the browser is told, and what comes back ---------------------------------------------------------------


def told(study):
    participation = services.resume(participation=join(study)[0])
    headers = {"Authorization": f"Participation {token_for(participation)}"}
    return (
        participation,
        page_config(participation, "link"),
        Client().get(reverse("participation_plan"), headers=headers).json(),
        headers,
    )


def test_the_browser_is_told_the_ways_by_number_and_no_names_of_levels(compare):
    named = [(f"level-{number}", said) for number, (_name, said) in enumerate(WAYS)]
    study = compare(
        [factor("viewpoint", "within", *VIEW), factor("waymark", "within", *named, order="mixed")]
    )
    participation, config, plan, _headers = told(study)
    assert len(config["ways"]) == 4
    text = json.dumps([config["ways"], plan])
    for telling in ("viewpoint", "waymark", "level", "lambda"):
        assert telling not in text.lower()
    numbers = {trial["position"]: trial["way"] for trial in plan["trials"]}
    for trial in participation.trials.all():
        way = config["ways"][numbers[trial.position]]
        assert way["plugin"].endswith(
            {"level-0": "mixture-sliders.js", "level-1": "construct-stepper.js"}[trial.levels["waymark"]]
        )
        assert ("100 other" in way["wording"]["perspective"]) == (trial.levels["viewpoint"] == "others")


def test_lessons_are_for_each_kind_of_controls_and_parts_for_what_is_said_otherwise(compare):
    study = compare([factor("view", "within", *VIEW), factor("way", "within", *WAYS, order="mixed")])
    _participation, config, plan, headers = told(study)
    told_of = [(way["wording"]["perspective"], way["plugin"]) for way in config["ways"]]
    assert [way["lesson"] for way in config["ways"]] == [0, 1, 0, 1]
    assert [way["block"] for way in config["ways"]] == [0, 0, 1, 1]
    assert len(set(told_of)) == 4
    assert Counter(example["way"] for example in plan["examples"]) == {0: 2, 1: 2}
    for example in plan["examples"]:
        assert len(example["images"]) == (1 if example["way"] == 0 else 3)
        for address in example["images"]:
            assert Client().get(address, headers=headers).headers["Content-Type"] == "image/png"


def test_what_only_the_draw_is_fixed_of_looks_like_one_way_to_the_person(compare):
    _participation, config, _plan, _headers = told(compare([factor("side", "within", *SIDE)]))
    assert [(way["lesson"], way["block"]) for way in config["ways"]] == [(0, 0), (0, 0)]
    assert all(way["options"] == {"randomize_question_order": False} for way in config["ways"])


def test_the_comprehension_check_asks_of_every_way_and_each_question_once(compare):
    study = compare([factor("view", "within", *VIEW), factor("way", "within", *WAYS)])
    _participation, config, _plan, headers = told(study)
    questions = config["texts"]["comprehension"]
    prompts = [question["prompt"] for question in questions]
    assert len(prompts) == len(set(prompts)) == 4
    right = [question["correct"] for question in questions]
    for answers, passed in ((right[:2], False), (right, True)):
        event = {
            "id": f"{len(answers):032x}",
            "kind": "comprehension",
            "t_ms": 1,
            "data": {"answers": answers},
        }
        Client().post(
            reverse("participation_events"),
            json.dumps({"events": [event]}),
            content_type="application/json",
            headers=headers,
        )
        assert (Participation.objects.get().comprehension_passed_at is not None) == passed


def test_somebody_of_one_cell_is_told_of_their_own_ways_only(compare):
    study = compare([factor("way", "between", *WAYS)], answers_per_unit=1)
    for _ in range(2):
        participation, config, plan, _headers = told(study)
        (way,) = config["ways"]
        row = participation.levels["way"] == "row"
        assert way["plugin"].endswith("construct-stepper.js" if row else "mixture-sliders.js")
        assert {len(trial["images"]) for trial in plan["trials"]} == {3 if row else 1}
        assert len(config["texts"]["comprehension"]) == 2


# -- answers -----------------------------------------------------------------------------------------------------

DESIGNS = {
    "between": [factor("view", "between", *VIEW), factor("way", "between", *WAYS)],
    "blocks": [factor("way", "within", *WAYS), factor("view", "within", *VIEW)],
    "mixed": [factor("way", "within", *WAYS, order="mixed"), factor("side", "between", *SIDE)],
    "four": [
        factor(
            "way",
            "within",
            ("sliders", {}),
            ("form", {"interface": "categorical"}),
            ("bars", {"interface": "distribution"}),
            ("grid", {"interface": "select_shuffled"}),
            order="mixed",
        )
    ],
}


@pytest.mark.parametrize("name", DESIGNS)
def test_simulated_participants_take_part_in_every_such_design(compare, name):
    study = compare(DESIGNS[name], source=Source.SIMULATED, answers_per_unit=2)
    for seed in range(2):
        done = simulate_participant(study=study, seed=seed, population=Population(lapse=0.0))
        assert done.state == Participation.State.COMPLETED
    reading = reading_of(study.protocol)
    answers = Response.objects.select_related("trial__condition")
    assert answers.count() == 72
    for answer in answers:
        way = reading.way(answer.trial.levels)
        assert answer.trial.condition.content["interface"] == way.interface
        names = {column.name for column in INTERFACES[way.interface].COLUMNS}
        assert set(answer.payload) <= names


def test_checks_are_read_in_the_way_in_which_they_were_asked(compare):
    ways = ("sliders", {}), ("form", {"interface": "categorical"})
    study = compare(
        [factor("way", "within", *ways)], source=Source.SIMULATED, checks=4, check_images=(0, 1, 2, 3, 4, 5)
    )
    simulate_participant(study=study, seed=1, population=Population(lapse=1e-9))
    found = list(checks_answered(study.participations.all(), Ways(study)))
    assert Counter(result.trial.levels["way"] for result in found) == {"sliders": 2, "form": 2}
    assert all(result.passed for result in found)


def test_the_first_live_answer_freezes_the_protocol_and_later_ones_cost_nothing(study):
    protocol = study.protocol
    Protocol.objects.filter(pk=protocol.pk).update(frozen_at=None)  # whatever opening did
    counted = []
    for mode in ("pilot", "live", "live"):
        participation, trials = join(study)
        Participation.objects.filter(pk=participation.pk).update(mode=mode)
        with CaptureQueriesContext(connection) as queries:
            save(participation, trials[0])
        counted.append(len(queries))
        protocol.refresh_from_db()
        assert (protocol.frozen_at is None) == (mode == "pilot")
        first = protocol.frozen_at if len(counted) == 2 else None
        assert first is None or first == protocol.frozen_at
    assert counted[1] == counted[0] + 1
    assert counted[2] == counted[0]


def save(participation, trial):
    way = reading_of(participation.protocol).asking(trial.levels)
    asked = asked_of(trial, way.settings, ("ant", "bee", "cat", "dog"), participation.drawn)
    payload = way.interface.payload_for(PerceivedLambda(0.3, 0.5), asked, np.random.default_rng(0))
    (receipt,) = save_responses(
        participation=participation, epoch=0, answers=[Incoming(uuid.uuid4(), trial.position, payload)]
    )
    assert receipt.status == "created"


def test_an_answer_in_the_form_of_another_way_is_refused(compare):
    study = compare([factor("way", "within", *WAYS)])
    participation, trials = join(study)
    sliders = [trial for trial in trials if trial.levels["way"] == "sliders"]
    row = next(trial for trial in trials if trial.levels["way"] == "row")
    save(participation, sliders[0])
    payload = Response.objects.get().payload
    (receipt,) = save_responses(
        participation=participation, epoch=0, answers=[Incoming(uuid.uuid4(), row.position, payload)]
    )
    assert receipt.status == "invalid"
    assert "An answer to 'construct' has no field" in receipt.message


def test_exposure_may_differ_between_people(compare):
    study = compare([factor("time", "between", *BRIEF)], answers_per_unit=1)
    limits = set()
    for _ in range(2):
        _participation, config, _plan, _headers = told(study)
        limits.add(config["ways"][0]["display"]["exposure_ms"])
    assert limits == {None, 200}
    assert Display().exposure_ms is None
