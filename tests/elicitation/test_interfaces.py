"""What all interfaces have in common: the contract, the shared fields, their words; and what adding one takes."""

from __future__ import annotations

import json
import random
import re
import uuid
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from elicitation.flow import services
from elicitation.flow.access import token_for
from elicitation.flow.config import page_config
from elicitation.flow.simulation import simulate_participant
from elicitation.interfaces import INTERFACES, common, construct, infer, interface_named, select_shuffled
from elicitation.interfaces.base import Asked
from elicitation.interfaces.drawing import DRAWN, balanced
from elicitation.participants.models import Participation
from elicitation.studies.models import Source
from elicitation.studies.reading import reading_of
from elicitation.studies.texts import texts_of
from elicitation.trials.asking import asked_of
from elicitation.trials.given import Ways, checks_answered
from elicitation.trials.models import Response
from hilmix.core.judgements import ClassMass, Distribution, PerceivedLambda, PerceivedMidpoint
from hilmix.core.observers import Observer
from hilmix.errors import Invalid
from tests.elicitation.sixth import more_of

CLASSES = ("ant", "bee", "cat", "dog")
GRID = (1000, 2500, 5000, 7500, 9000)
SAID = {
    PerceivedLambda: PerceivedLambda(0.7, 0.5),
    PerceivedMidpoint: PerceivedMidpoint(0.75),
    ClassMass: ClassMass(((1, 0.6), (0, 0.2)), frozenset({3})),
    Distribution: Distribution((0.5, 0.3, 0.2, 0.0)),
}


@pytest.fixture(params=list(INTERFACES.values()), ids=list(INTERFACES))
def interface(request):
    return request.param


def trial_of(interface, seed=0):
    """One trial, drawn as the planner draws it."""
    rng = random.Random(seed)
    lambdas = GRID if interface.UNIT == "pair" else ()
    options = interface.check_options({}, n_classes=len(CLASSES), n_lambdas=len(GRID))
    asked = Asked(CLASSES, 0, 1, lambdas, options, interface.draw_person(rng, classes=CLASSES))
    return replace(asked, params=interface.draw_params(rng, [asked])[0])


def answer_to(interface, asked):
    return interface.payload_for(SAID[interface.JUDGEMENT], asked, np.random.default_rng(0))


# --- the contract -----------------------------------------------------------------------------------------------


def test_an_unknown_interface_is_refused_naming_those_there_are():
    with pytest.raises(Invalid, match="categorical, construct, distribution, infer, select_shuffled"):
        interface_named("guess")


def test_an_interface_declares_what_the_contract_asks(interface):
    assert INTERFACES[interface.NAME] is interface
    assert interface.UNIT in ("mixed_image", "pair")
    assert (interface.UNIT == "mixed_image") == interface.CHECKS
    assert all(column.description for column in interface.COLUMNS)
    assert set(common.COLUMNS) <= set(interface.COLUMNS)
    names = [column.name for column in interface.COLUMNS]
    assert len(set(names)) == len(names)


def test_what_is_drawn_hangs_on_the_seed_alone(interface):
    assert trial_of(interface, 1) == trial_of(interface, 1)
    assert interface.draw_params(random.Random(0), []) == []


def test_a_simulated_answer_is_one_the_interface_takes(interface):
    asked = trial_of(interface)
    cleaned = interface.clean(answer_to(interface, asked), asked)
    said = interface.judgement(cleaned, asked)
    if isinstance(said, PerceivedMidpoint):
        said = replace(said, start="")  # drawn with the trial, and nothing that is said
    assert said == SAID[interface.JUDGEMENT]
    assert set(cleaned) <= {column.name for column in interface.COLUMNS}


def test_an_answer_cleaned_twice_is_the_same(interface):
    asked = trial_of(interface)
    once = interface.clean(answer_to(interface, asked), asked)
    assert interface.clean(once, asked) == once


def test_an_image_is_shown_for_every_lambda_of_a_pair_and_one_of_a_mixed_image(interface):
    order = list(interface.shown_order(trial_of(interface)))
    assert sorted(order) == (list(range(5)) if interface.UNIT == "pair" else [0])


def test_the_browser_is_told_nothing_of_lambda(interface):
    asked = trial_of(interface)
    text = repr([interface.shown(asked), interface.shown_to_person(asked.person, CLASSES)]).lower()
    for telling in ("lambda", "λ", *map(str, GRID), "0.1", "0.25", "0.75", "0.9", "first", "second"):
        assert telling not in text


def test_an_option_nobody_knows_is_refused(interface):
    with pytest.raises(Invalid, match="no option mood"):
        interface.check_options({"mood": 1}, n_classes=4, n_lambdas=5)


# --- the words --------------------------------------------------------------------------------------------------

# A share of something, however written: 50%, 0.5, half, a third, 1/2.
SHARES = re.compile(r"\d\s*%|\b0?\.\d|\bpercent\b|\bhalf\b|\bthird\b|\bquarter\b|\d/\d")


def said(words):
    """Every text that a participant may read, without the names of fields."""
    if isinstance(words, dict):
        return [text for value in words.values() for text in said(value)]
    if isinstance(words, list):
        return [text for value in words for text in said(value)]
    return [words] if isinstance(words, str) else []


def test_no_default_text_says_lambda_a_share_or_that_an_answer_is_right(interface):
    texts = said(interface.texts())
    assert len(texts) > 10
    for text in texts:
        for telling in ("λ", "lambda", "correct", "accura", "right answer", "wrong", "true ", "bonus"):
            assert telling not in text.lower()
        assert not SHARES.search(text)


def test_comprehension_asks_about_the_controls_and_explains_them(interface):
    words = interface.texts()
    assert words["instructions"]
    assert words["short_instructions"]
    for question in words["comprehension"]:
        assert set(question) == {"prompt", "options", "correct", "explain"}
        assert len(set(question["options"])) == len(question["options"])
        assert 0 <= question["correct"] < len(question["options"])
    for text in words["wording"].values():
        assert set(re.findall(r"{(\w+)}", text)) <= {"left", "right"}


# --- the fields that every answer has ---------------------------------------------------------------------------

SHARED = {
    "input_method": "mixed",
    "viewport": [390, 844.5, 3],
    "image_css_px": 320.5,
    "image_device_px": 960,
    "enlargement": 10,
    "resampling": "bicubic",
    "image_load_error": False,
    "exposure_ms": 150.3,
    "first_interaction_ms": 800.6,
    "blur_count": 1,
    "hidden_ms": 0,
}


def test_the_shared_fields_are_kept_of_every_interface(interface):
    asked = trial_of(interface)
    cleaned = interface.clean({**answer_to(interface, asked), **SHARED}, asked)
    assert cleaned.items() >= {**SHARED, "first_interaction_ms": 801}.items()


def test_a_field_left_empty_is_not_kept(interface):
    asked = trial_of(interface)
    cleaned = interface.clean({**answer_to(interface, asked), **dict.fromkeys(SHARED)}, asked)
    assert not set(SHARED) & set(cleaned)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_method", "telepathy"),
        ("input_method", ["mouse"]),
        ("viewport", [1, 2]),
        ("viewport", [1, 2, float("nan")]),
        ("viewport", [1, 2, True]),
        ("viewport", [1, 200_000, 1]),
        ("viewport", "wide"),
        ("image_css_px", -1),
        ("image_css_px", float("inf")),
        ("image_css_px", "320"),
        ("image_css_px", 10**400),
        ("image_device_px", True),
        ("enlargement", 1001),
        ("enlargement", {}),
        ("resampling", "smooth"),
        ("image_load_error", "yes"),
        ("exposure_ms", float("nan")),
        ("exposure_ms", -0.5),
        ("first_interaction_ms", -5),
        ("first_interaction_ms", 2**31),
        ("blur_count", [0]),
        ("hidden_ms", False),
        ("hidden_ms", float("-inf")),
    ],
)
def test_a_shared_field_of_another_form_is_refused_by_name(interface, name, value):
    asked = trial_of(interface)
    with pytest.raises(Invalid, match=name):
        interface.clean({**answer_to(interface, asked), name: value}, asked)


def test_a_refusal_of_something_endless_stays_short(interface):
    asked = trial_of(interface)
    for endless in ({"input_method": "x" * 100_000}, {"y" * 100_000: 1}, {"enlargement": [0] * 10_000}):
        with pytest.raises(Invalid) as refused:
            interface.clean({**answer_to(interface, asked), **endless}, asked)
        assert len(refused.value.message) < 300


def test_without_a_reason_for_times_none_are_kept_and_the_course_of_the_answer_is(interface):
    asked = trial_of(interface)
    cleaned = interface.clean({**answer_to(interface, asked), **SHARED}, asked)
    kept = common.strip_timing(cleaned, interface.COLUMNS)
    assert not {"first_interaction_ms", "blur_count", "hidden_ms"} & set(kept)
    assert kept["exposure_ms"] == 150.3
    assert interface.judgement(kept, asked) == interface.judgement(cleaned, asked)
    for column in interface.COLUMNS:
        if column.steps and column.name in cleaned:
            assert [step[0] for step in kept[column.name]] == [None] * len(cleaned[column.name])
            assert [step[1:] for step in kept[column.name]] == [step[1:] for step in cleaned[column.name]]
    assert interface.clean(kept, asked) == kept


# --- balance ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 18))
@pytest.mark.parametrize("seed", range(5))
def test_factors_are_level_alone_and_crossed_whatever_the_number_of_trials(n, seed):
    drawn = balanced(random.Random(seed), n, side=("a", "b"), start=("x", "y"), order=("u", "v"))
    for name in ("side", "start", "order"):
        counts = Counter(one[name] for one in drawn)
        assert len(drawn) == n
        assert max(counts.values()) - (n - max(counts.values())) == n % 2
    cells = Counter(tuple(one.values()) for one in drawn)
    assert max(cells.values()) - (min(cells.values()) if len(cells) == 8 else 0) <= 1


def test_a_single_trial_falls_on_every_side_equally_often():
    rng = random.Random(0)
    sides = Counter(balanced(rng, 1, side=("a", "b"))[0]["side"] for _ in range(1000))
    assert abs(sides["a"] - 500) < 80


@pytest.mark.parametrize(
    ("module", "name"),
    [(infer, "left"), (select_shuffled, "left"), (construct, "left"), (construct, "start")],
)
def test_an_option_fixes_what_is_drawn_and_leaves_the_rest_balanced(module, name):
    for value in DRAWN[name]:
        options = module.check_options({name: value}, n_classes=4, n_lambdas=5)
        lambdas = GRID if module.UNIT == "pair" else ()
        asked = [
            Asked(CLASSES, 0, 1, lambdas, options, module.draw_person(random.Random(0), classes=CLASSES))
        ] * 20
        drawn = module.draw_params(random.Random(1), asked)
        assert {params[name] for params in drawn} == {value}
        for other in {"left", "start"} & set(drawn[0]) - {name}:
            assert set(Counter(params[other] for params in drawn).values()) == {10}


@pytest.mark.parametrize("module", [infer, select_shuffled, construct])
@pytest.mark.parametrize("value", ["middle", "", None, 1, ["first"], True])
def test_a_draw_cannot_be_fixed_to_what_it_never_is(module, value):
    with pytest.raises(Invalid, match="left is one of balanced, first, second") as refused:
        module.check_options({"left": value}, n_classes=4, n_lambdas=5)
    assert set(refused.value.fields) == {"options"}


def test_the_order_of_questions_stays_balanced_where_the_side_is_fixed():
    options = infer.check_options(
        {"left": "first", "randomize_question_order": True}, n_classes=4, n_lambdas=5
    )
    drawn = infer.draw_params(random.Random(0), [Asked(CLASSES, 0, 1, (), options)] * 10)
    assert {params["left"] for params in drawn} == {"first"}
    assert Counter(params["order"][0] for params in drawn) == {"mixing": 5, "confidence": 5}


# --- simulated participants -------------------------------------------------------------------------------------


def robots_of(make_study, interface, **said):
    """A simulated study of twenty-four trials a person; the two checks are of images of four classes."""
    checks = {"checks": 2, "check_images": (0, 1, 2, 3)} if interface.CHECKS else {}
    numbers = {"n_mixed_images": 24, "trials_per_person": 24, "repeats": 1, **checks, **said}
    return make_study(
        f"robots-{interface.NAME}", source=Source.SIMULATED, interface=interface.NAME, **numbers
    )


@pytest.mark.django_db
def test_a_simulated_participant_answers_any_interface_and_its_checks(make_study, interface):
    done = simulate_participant(study=robots_of(make_study, interface), seed=1)
    assert done.state == Participation.State.COMPLETED
    kinds = Counter(done.trials.values_list("kind", flat=True))
    assert kinds == {"main": 24, "repeat": 1} | ({"check": 2} if interface.CHECKS else {})
    answers = Response.objects.filter(trial__participation=done).order_by("trial__position")
    assert [answer.trial_index for answer in answers] == list(range(sum(kinds.values())))
    assert all(answer.time_elapsed_ms >= answer.rt_ms for answer in answers)


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name, one in INTERFACES.items() if one.CHECKS])
def test_simulated_participants_pass_the_checks_unless_they_do_not_look(make_study, monkeypatch, name):
    study = robots_of(make_study, INTERFACES[name], answers_per_unit=10)
    drawn = Observer.draw
    failed = {}
    for lapse in (0.0, 1.0):
        monkeypatch.setattr(
            Observer, "draw", lambda rng, of, lapse=lapse: replace(drawn(rng, of), lapse=lapse)
        )
        people = {simulate_participant(study=study, seed=int(10 * lapse) + seed).pk for seed in range(5)}
        results = list(checks_answered(Participation.objects.filter(pk__in=people), Ways(study)))
        assert len(results) == 10
        failed[lapse] = sum(not one.passed for one in results)
    assert failed[0.0] == 0
    assert failed[1.0] > 0


@pytest.mark.django_db
@pytest.mark.parametrize(("module", "chosen"), [(construct, "final_step"), (select_shuffled, "selected")])
def test_the_picture_on_the_screen_is_the_one_whose_lambda_is_judged(make_study, module, chosen):
    """The published suite went on counting where a picture was missing (λ of 0 and 1 as text)."""
    study = robots_of(make_study, module, lambdas_e4=(0, 1000, 3000, 5000, 7000, 9000, 10_000))
    done = simulate_participant(study=study, seed=3)
    reading = reading_of(study.protocol)
    for trial in done.trials.select_related("pair", "response"):
        asked = asked_of(trial, reading.settings, reading.classes, done.drawn)
        assert trial.images.count() == 7
        for image in trial.images.select_related("mixed_image"):
            said = module.judgement({**trial.response.payload, chosen: image.order}, asked)
            assert said.value == image.mixed_image.lambda_e4 / 10_000
            assert image.mixed_image.pair_id == trial.pair_id


# --- a sixth interface ------------------------------------------------------------------------------------------


CHECKED = {"n_mixed_images": 24, "trials_per_person": 24, "checks": 2, "check_images": (0, 1)}


@pytest.fixture
def sixth(monkeypatch):
    monkeypatch.setitem(INTERFACES, more_of.NAME, more_of)  # the one line
    return more_of


@pytest.mark.django_db
def test_a_sixth_interface_needs_one_module_one_plugin_and_one_line(sixth, make_study):
    study = make_study("toy", interface=sixth.NAME, **CHECKED)
    boxes = {box.name: True for box in texts_of(study.protocol.content).boxes}
    joined, _new = services.join_study(study=study, source=Source.PERSON, boxes=boxes)
    participation = services.resume(participation=joined)
    (way,) = page_config(participation, "link")["ways"]
    assert way["plugin"].endswith("elicitation/plugins/more-of.js")
    assert set(way["person"]) == {"upper"}

    headers = {"Authorization": f"Participation {token_for(participation)}"}
    plan = Client().get(reverse("participation_plan"), headers=headers).json()
    assert [set(trial["params"]) for trial in plan["trials"]] == [{"left_class", "right_class"}] * 26
    answers = [
        {"id": str(uuid.uuid4()), "position": trial["position"], "payload": {"side": "left"}, "rt_ms": 700}
        for trial in plan["trials"]
    ]
    refused = {**answers[0], "payload": {"side": "up"}}
    receipts = [save(headers, participation, [answer]) for answer in (refused, *answers)]
    assert [receipt["status"] for receipt in receipts] == ["invalid", *["created"] * 26]
    assert "side is one of left, right" in receipts[0]["message"]
    assert services.complete(participation=participation) == []
    assert len(list(checks_answered(study.participations.all(), Ways(study)))) == 2


def save(headers, participation, answers):
    body = {"epoch": participation.epoch, "responses": answers}
    reply = Client().post(
        reverse("participation_responses"), json.dumps(body), content_type="application/json", headers=headers
    )
    return reply.json()["results"][0]


@pytest.mark.django_db
def test_a_sixth_interface_is_simulated_like_the_others(sixth, make_study):
    study = make_study("toy-robots", source=Source.SIMULATED, interface=sixth.NAME, **CHECKED)
    assert simulate_participant(study=study, seed=1).state == Participation.State.COMPLETED
