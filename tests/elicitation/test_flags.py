"""What flags measure in answers, which flags stand, and whom rules leave out. Answers go through the services."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from elicitation.flow.saving import Incoming, save_responses
from elicitation.flow.services import complete, join_study
from elicitation.interfaces import INTERFACES
from elicitation.mixes.models import Pair
from elicitation.studies.models import Mode, Protocol, Source
from elicitation.studies.protocol import content_sha256
from elicitation.studies.reading import reading_of
from elicitation.studies.rules import FLAGS, Rule, default_rules
from elicitation.trials import flags
from elicitation.trials.asking import asked_of
from elicitation.trials.checks import right_class
from elicitation.trials.flags import (
    CANNOT_TELL,
    excluded_participations,
    flagged,
    flags_of,
    flags_of_answer,
    measures_of,
    process_measures,
    process_measures_of,
)
from elicitation.trials.given import Given
from elicitation.trials.models import Trial
from hilmix.core.judgements import CannotTell, ClassMass, Distribution, PerceivedLambda, PerceivedMidpoint

BOXES = {"adult": True, "agree": True}
UNEVEN = (2500, 7500)


def answered(study, say, *, finish=True, rt_ms=3000, **fields):
    """A person who answers every trial with what `say(trial, λ)` returns: a judgement, or a whole payload.

    λ is the share of the first image, None for a pair. `fields` are put over every payload that was made.
    """
    participation, _new = join_study(study=study, source=study.source, boxes=BOXES)
    reading, rng = reading_of(participation.protocol), np.random.default_rng(0)
    trials = participation.trials.select_related("pair", "unit__mixed_image")
    answers = []
    for trial in trials.prefetch_related("images__mixed_image"):
        asked = asked_of(trial, reading.way(trial.levels), reading.classes, participation.drawn)
        said = say(trial, None if asked.lambdas_e4 else shown(trial))
        if not isinstance(said, dict):
            said = {**reading.interface.payload_for(said, asked, rng), **fields}
        answers.append(Incoming(uuid.uuid4(), trial.position, said, rt_ms=rt_ms))
    receipts = save_responses(participation=participation, epoch=0, answers=answers)
    assert {receipt.status for receipt in receipts} == {"created"}, receipts
    if finish:
        assert complete(participation=participation) == []
    participation.refresh_from_db()
    return participation


def shown(trial):
    (image,) = trial.images.all()
    return image.mixed_image.lambda_e4 / 10_000


def truth(trial, share):
    return PerceivedLambda(share, 0.6)


def turned(trial, share):
    return PerceivedLambda(1 - share, 0.6)


def the_same(value):
    return lambda trial, share: PerceivedLambda(value, 0.6)


def right_end(trial, share):
    """Always the right end of the slider, whichever class is there."""
    return PerceivedLambda(0.0 if trial.params["left"] == "first" else 1.0, 0.6)


def rules_in_force(study, *rules):
    """A new version of the protocol with these rules."""
    newest = study.protocol
    content = {**newest.content, "rules": [asdict(rule) for rule in rules]}
    Protocol.objects.create(
        study=study, version=newest.version + 1, content=content, sha256=content_sha256(content)
    )


def rule(flag, *, excludes=True, **params):
    defaults = {name: default for name, (default, _meaning) in FLAGS[flag].params.items()}
    return Rule(flag, {**defaults, **params}, excludes=excludes, reason="Because.")


@pytest.fixture
def study(make_study):
    """Six people, one after the other, each answer all twelve units; every mix is uneven."""
    return make_study(lambdas_e4=UNEVEN, trials_per_person=12, answers_per_unit=6)


# --- process measures


def test_a_careful_person_has_no_flag(study):
    for _ in range(2):
        answered(study, truth)
    assert flags_of(study) == {}
    (first, second) = measures_of(study).values()
    assert (first["untouched"], first["reversed"], first["too_fast"]) == (0.0, 0.0, 3000.0)
    assert first["disagreement"] == second["disagreement"] == 0.0
    # No checks, no repeats, no window: nothing is said where nothing is known.
    assert (first["failed_checks"], first["repeat_difference"], first["focus_lost"]) == (None, None, None)


def test_who_reads_the_slider_the_wrong_way_round_is_reversed(study):
    person = answered(study, turned)
    assert person.measures["reversed"] == 1.0
    assert [one.rule.flag for one in flags_of(study)[person.pk]] == ["reversed"]
    half = answered(study, lambda trial, share: (turned if trial.position % 2 else truth)(trial, share))
    assert half.measures["reversed"] == 0.5
    assert half.pk not in flags_of(study)  # more than half is needed


def test_even_mixes_and_one_class_have_no_wrong_side(make_study):
    study = make_study(lambdas_e4=(5000,), trials_per_person=12)
    assert answered(study, the_same(0.9)).measures["reversed"] is None
    given = Given(1, 0, False, 1, Pair(first_class=2, second_class=2), 9000, PerceivedLambda(0.1), {}, None)
    assert flags.wrong_side(given) is None


@pytest.mark.parametrize(
    ("judgement", "wrong"),
    [
        (PerceivedLambda(0.2), True),
        (PerceivedLambda(0.5), False),
        (PerceivedLambda(0.8), False),
        (ClassMass(((0, 0.3), (1, 0.6)), frozenset()), True),
        (ClassMass(((2, 0.9),), frozenset({0, 1})), False),
        (Distribution((0.1, 0.2, 0.7)), True),
        (CannotTell(), None),
        (PerceivedMidpoint(0.9), None),
    ],
)
def test_the_wrong_side_is_the_lesser_image_whatever_the_interface(judgement, wrong):
    given = Given(1, 0, False, 1, Pair(first_class=0, second_class=1), 7500, judgement, {}, None)
    assert flags.wrong_side(given) is wrong


def test_one_answer_all_the_way_is_one_key(study):
    assert answered(study, right_end).measures["one_key"] == 1.0
    assert answered(study, lambda trial, share: CannotTell()).measures["one_key"] == 1.0
    several = answered(study, lambda trial, share: PerceivedLambda(trial.position / 11, 0.6))
    assert several.measures["one_key"] < 0.5
    assert {one.rule.flag for said in flags_of(study).values() for one in said} >= {"one_key"}


def test_confidence_alone_makes_no_answer_the_same(study):
    same = answered(study, lambda trial, share: PerceivedLambda(0.5, trial.position / 11))
    assert same.measures["one_key"] == 1.0


def walk(trial, *, to):
    """Steps to one side until the row ends, or until its middle."""
    n = 5
    start = 1 if trial.params["start"] == "low" else n - 2
    target = {"right": n - 1, "left": 0, "middle": 2}[to]
    step = 1 if target > start else -1
    places = list(range(start + step, target + step, step)) if target != start else []
    seen = [start, *places]
    return {
        "start_step": start,
        "final_step": target,
        "path": [[100 * i, place, "key"] for i, place in enumerate(places, 1)],
        "n_steps": len(places),
        "n_reversals": 0,
        "visited_min": min(seen),
        "visited_max": max(seen),
        "hit_bound": False,
    }


def test_one_key_pressed_all_the_way_is_found_in_what_was_pressed(make_study):
    study = make_study(interface="construct", lambdas_e4=(0, 2500, 5000, 7500, 10000))
    one_key = answered(study, lambda trial, share: walk(trial, to="right"))
    middle = answered(study, lambda trial, share: walk(trial, to="middle"))
    assert one_key.measures["one_key"] == 1.0
    # From both ends to the middle: the answer is always the same, as it should be, and the keys are not.
    assert middle.measures["one_key"] == 0.0
    assert one_key.measures["untouched"] == middle.measures["untouched"] == 0.0


def test_answers_from_one_start_only_say_nothing_of_the_key():
    process = flags._Process()
    for position in range(6):
        payload = {"start_step": 1, "path": [[10, 2, "key"]], "n_steps": 1}
        process.add(Given(1, position, False, 1, Pair(), None, PerceivedMidpoint(0.5), payload, None))
    assert process.measures()["one_key"] is None


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"touched": {"mixing": True, "confidence": True}, "mixing_percent": 50}, False),
        ({"touched": {"mixing": True, "confidence": False}}, True),
        ({"touched": True, "n_changes": 3}, False),
        ({"touched": False}, True),
        ({"cannot_tell": True, "touched": {"mixing": False, "confidence": False}}, None),
        ({"n_steps": 0}, True),
        ({"n_steps": 4}, False),
        ({"edits": 0}, True),
        (
            {"cannot_tell": False, "mixing_percent": 50, "confidence_percent": 50},
            True,
        ),  # as H-Mix published it
        ({"cannot_tell": False, "mixing_percent": 50, "confidence_percent": 51}, False),
        ({"selected": 3, "n_changes": 0}, None),  # a picture must be chosen
    ],
)
def test_untouched_is_read_from_what_each_interface_tells(payload, said):
    assert flags.untouched(payload) is said


def test_who_never_steps_left_the_controls_untouched(make_study):
    study = make_study(interface="construct", lambdas_e4=(0, 2500, 5000, 7500, 10000))

    def stay(trial, share):
        start = 1 if trial.params["start"] == "low" else 3
        counts = {"n_steps": 0, "n_reversals": 0, "visited_min": start, "visited_max": start}
        return {"start_step": start, "final_step": start, "path": [], "hit_bound": False, **counts}

    person = answered(study, stay)
    assert person.measures["untouched"] == 1.0
    assert "untouched" in [one.rule.flag for one in flags_of(study)[person.pk]]


def test_too_fast_is_what_a_fifth_of_the_answers_took(study):
    def measured(times):
        process = flags._Process(rt_ms=times)
        return process.measures()["too_fast"]

    assert measured([200, 5000, 5000, 5000]) is None  # too few
    assert measured([5000, 200, 5000, 5000, 5000]) == 200
    assert measured([5000] * 9 + [200]) == 5000
    assert measured([5000] * 8 + [200, 300]) == 300
    person = answered(study, truth, rt_ms=400)
    assert [one.rule.flag for one in flags_of(study)[person.pk]] == ["too_fast"]


def test_where_no_times_are_recorded_nobody_is_too_fast(make_study):
    study = make_study(timing_reason="", trials_per_person=12)
    person = answered(study, truth, rt_ms=400)
    assert (person.measures["too_fast"], person.measures["focus_lost"]) == (None, None)


def test_leaving_the_window_is_counted_by_answers(study):
    stayed = answered(study, truth, blur_count=0, hidden_ms=0)
    assert stayed.measures["focus_lost"] == 0.0
    left = answered(study, truth, blur_count=1, hidden_ms=0)
    assert left.measures["focus_lost"] == 1.0
    assert answered(study, truth, blur_count=0, hidden_ms=700).measures["focus_lost"] == 1.0
    assert [one.rule.flag for one in flags_of(study)[left.pk]] == ["focus_lost"]


def test_failed_checks_are_counted_and_are_no_answers(make_study):
    study = make_study(trials_per_person=12, checks=2, check_images=(0, 1, 2, 3), answers_per_unit=6)

    def blind_in(n_checks):
        left = [n_checks]

        def say(trial, share):
            if trial.kind != Trial.Kind.CHECK:
                return PerceivedLambda(0.5, 0.5)
            left[0] -= 1
            sees = 1.0 if right_class(trial) == trial.pair.first_class else 0.0
            return PerceivedLambda(1 - sees if left[0] >= 0 else sees, 0.9)

        return say

    good, once, twice = (answered(study, blind_in(n)) for n in (0, 1, 2))
    assert [p.measures["failed_checks"] for p in (good, once, twice)] == [0.0, 1.0, 2.0]
    stand = {pk: [one.rule.flag for one in said] for pk, said in flags_of(study).items()}
    assert "failed_checks" in stand[twice.pk]
    assert "failed_checks" not in stand.get(once.pk, [])
    assert good.measures["one_key"] == 1.0  # the two checks, answered otherwise, are not among the answers


def test_few_answers_say_nothing(make_study):
    study = make_study(n_mixed_images=4, trials_per_person=4, lambdas_e4=UNEVEN)
    assert set(answered(study, turned).measures.values()) == {None}
    assert flags_of(study) == {}


# --- content measures


def test_disagreement_is_measured_without_ones_own_answer(study):
    people = [answered(study, the_same(value)) for value in (0.2, 0.4, 0.9)]
    measures = measures_of(study)
    said = [measures[person.pk]["disagreement"] for person in people]
    # Of others, the means are .65, .55 and .3.
    assert said == [pytest.approx(0.45), pytest.approx(0.15), pytest.approx(0.6)]


def test_answers_of_who_does_not_count_are_compared_but_not_compared_with(study):
    first, second, third = (answered(study, the_same(value)) for value in (0.2, 0.4, 0.9))
    third.invalid_at = timezone.now()
    third.save()
    measures = measures_of(study)
    assert measures[first.pk]["disagreement"] == pytest.approx(0.2)
    assert measures[second.pk]["disagreement"] == pytest.approx(0.2)
    assert measures[third.pk]["disagreement"] == pytest.approx(0.6)


def test_who_a_process_rule_leaves_out_is_not_compared_with(study):
    first, second = answered(study, the_same(0.2)), answered(study, the_same(0.4))
    answered(study, the_same(0.9), blur_count=3)
    assert measures_of(study)[first.pk]["disagreement"] == pytest.approx(0.45)
    rules_in_force(study, rule("focus_lost"))
    assert measures_of(study)[first.pk]["disagreement"] == pytest.approx(0.2)
    assert measures_of(study)[second.pk]["disagreement"] == pytest.approx(0.2)


def test_who_answers_alone_disagrees_with_nobody(study):
    person = answered(study, truth)
    assert measures_of(study)[person.pk]["disagreement"] is None


def test_classes_are_compared_by_how_much_mass_lies_elsewhere(make_study):
    study = make_study(interface="distribution", trials_per_person=12, answers_per_unit=3)
    one = answered(study, lambda trial, share: Distribution((1.0, 0.0, 0.0, 0.0)))
    other = answered(study, lambda trial, share: Distribution((0.4, 0.6, 0.0, 0.0)))
    measures = measures_of(study)
    assert [measures[p.pk]["disagreement"] for p in (one, other)] == [pytest.approx(0.6)] * 2
    study = make_study("masses", interface="categorical", trials_per_person=12, answers_per_unit=3)
    one = answered(study, lambda trial, share: ClassMass(((0, 1.0),), frozenset()))
    other = answered(study, lambda trial, share: ClassMass(((0, 0.5), (1, 0.2)), frozenset()))
    assert measures_of(study)[one.pk]["disagreement"] == pytest.approx(0.5)  # .3 went to no class at all


def test_answers_under_other_words_are_not_compared(study):
    first = answered(study, the_same(0.2))
    content = study.protocol.content
    texts = {**content["texts"], "wording": {**content["texts"]["wording"], "question": "How much?"}}
    changed = {**content, "texts": texts}
    Protocol.objects.create(study=study, version=2, content=changed, sha256=content_sha256(changed))
    second = answered(study, the_same(0.9))
    assert second.protocol.version == 2
    assert {m["disagreement"] for m in measures_of(study).values()} == {None}
    assert set(measures_of(study)) == {first.pk, second.pk}


@pytest.fixture
def repeating(make_study):
    return make_study(
        n_mixed_images=20, trials_per_person=20, repeats=2, lambdas_e4=UNEVEN, answers_per_unit=4
    )


def test_repeats_are_judged_by_ones_own_answers(repeating):
    exact = answered(repeating, truth)
    assert measures_of(repeating)[exact.pk]["repeat_difference"] == 0.0

    rng = np.random.default_rng(3)
    random = answered(repeating, lambda trial, share: PerceivedLambda(round(float(rng.random()), 2), 0.5))
    ratio = measures_of(repeating)[random.pk]["repeat_difference"]
    assert ratio > 0.2

    def forgets(trial, share):
        return (turned if trial.kind == Trial.Kind.REPEAT else truth)(trial, share)

    other = answered(repeating, forgets)
    assert measures_of(repeating)[other.pk]["repeat_difference"] > 1
    assert "repeat_difference" in [one.rule.flag for one in flags_of(repeating)[other.pk]]


def test_the_difference_of_repeats_is_what_the_formula_says(repeating):
    """First answers are 0.1 but for the repeated two, which are 0.5; repeats are 0.4."""
    repeated = []

    def say(trial, share):
        if trial.kind == Trial.Kind.REPEAT:
            return PerceivedLambda(0.4, 0.5)
        if not repeated:
            repeats = trial.participation.trials.filter(kind=Trial.Kind.REPEAT)
            repeated.extend(repeats.values_list("unit", flat=True))
        return PerceivedLambda(0.5 if trial.unit_id in repeated else 0.1, 0.5)

    person = answered(repeating, say)
    other = (18 * 0.3 + 0.1) / 19  # from one repeat to the first answers to everything else
    assert measures_of(repeating)[person.pk]["repeat_difference"] == pytest.approx(0.1 / other, abs=1e-4)


def test_who_says_the_same_of_everything_has_no_ratio(repeating):
    person = answered(repeating, the_same(0.5))
    assert measures_of(repeating)[person.pk]["repeat_difference"] is None


# --- rules


@pytest.mark.parametrize(
    ("flag", "below", "at", "above"),
    [
        ("untouched", False, False, True),
        ("too_fast", True, False, False),
        ("one_key", False, True, True),
        ("reversed", False, False, True),
        ("failed_checks", False, True, True),
        ("focus_lost", False, False, True),
        ("disagreement", False, False, True),
        ("repeat_difference", False, True, True),
    ],
)
def test_a_flag_stands_on_its_side_of_the_limit(flag, below, at, above):
    (one,) = [rule for rule in default_rules() if rule.flag == flag]
    (limit,) = one.params.values()
    stand = [bool(flagged({flag: limit + step}, [one])) for step in (-0.01, 0, 0.01)]
    assert stand == [below, at, above]
    assert flagged({flag: None}, [one]) == flagged({}, [one]) == []


def test_every_flag_is_measured_and_has_one_limit():
    assert set(flags.PROCESS) | set(flags.CONTENT) == set(FLAGS)
    assert all(len(flag.params) == 1 for flag in FLAGS.values())
    assert set(flags._Process().measures()) == set(flags.PROCESS)


def test_nothing_excludes_by_default(study):
    answered(study, turned, rt_ms=100)
    assert len(flags_of(study)) == 1
    assert excluded_participations(study) == {}


def test_a_rule_excludes_and_another_version_takes_it_back(study):
    person, careful = answered(study, turned), answered(study, truth)
    rules_in_force(study, rule("reversed"), rule("too_fast", excludes=False))
    excluded = excluded_participations(study)
    assert [(pk, one.rule.flag, one.measure) for pk, said in excluded.items() for one in said] == [
        (person.pk, "reversed", 1.0)
    ]
    rules_in_force(study, rule("reversed", share=1.0))
    assert excluded_participations(study) == {}
    assert careful.pk not in excluded


def test_a_content_rule_excludes_where_somebody_decided_so(study):
    odd = answered(study, the_same(0.9))
    for _ in range(3):
        answered(study, the_same(0.2))
    rules_in_force(study, rule("disagreement", deviation=0.5))
    assert list(excluded_participations(study)) == [odd.pk]


def test_people_of_a_pilot_are_measured_apart(study):
    person = answered(study, turned)
    person.mode = Mode.PILOT
    person.save()
    rules_in_force(study, rule("reversed"))
    assert excluded_participations(study) == flags_of(study) == measures_of(study) == {}
    assert list(flags_of(study, mode=Mode.PILOT)) == [person.pk]


def test_the_limits_of_a_rule_may_change_after_measuring(study):
    person = answered(study, truth, rt_ms=1500)
    assert flags_of(study) == {}
    rules_in_force(study, rule("too_fast", floor_ms=2000))
    assert list(flags_of(study)) == [person.pk]


# --- storing and reading


def test_what_is_stored_at_the_end_is_what_is_measured_later(study):
    finished, running = answered(study, turned), answered(study, turned, finish=False)
    assert finished.measures == process_measures(finished)
    assert running.measures == {}
    both = process_measures_of(study)
    assert both[finished.pk] == finished.measures
    assert both[running.pk] == process_measures(running)
    everything = measures_of(study)
    assert {name: everything[finished.pk][name] for name in flags.PROCESS} == finished.measures


def test_a_few_are_measured_as_they_are_among_all_by_reading_what_they_are_compared_with(make_study):
    study = make_study(
        lambdas_e4=UNEVEN, n_mixed_images=36, trials_per_person=18, repeats=1, answers_per_unit=4
    )
    said = [truth, turned, the_same(0.2), the_same(0.9)] * 2
    people = [answered(study, say, finish=n != 3) for n, say in enumerate(said)]
    rules_in_force(study, rule("reversed"), rule("disagreement", deviation=0.2))
    everything, flags_of_all = measures_of(study), flags_of(study)
    assert len({str(measures) for measures in everything.values()}) > 3
    for person in people:
        assert measures_of(study, only=[person.pk]) == {person.pk: everything[person.pk]}
        said = flags_of(study, only=[person.pk])
        assert said == {pk: stand for pk, stand in flags_of_all.items() if pk == person.pk}
    assert measures_of(study, only=[0]) == {}


def test_of_a_few_only_answers_about_what_they_were_asked_are_read(make_study, monkeypatch):
    study = make_study(lambdas_e4=UNEVEN, n_mixed_images=24, trials_per_person=12, answers_per_unit=4)
    people = [answered(study, truth) for _ in range(8)]
    batches = Counter(person.slot.batch_id for person in people)
    assert len(batches) == 2
    read = []
    of_interface = INTERFACES["infer"].judgement
    monkeypatch.setattr(
        INTERFACES["infer"], "judgement", lambda *said: read.append(said) or of_interface(*said)
    )
    measures_of(study, only=[people[0].pk])
    assert len(read) == 12 * batches[people[0].slot.batch_id] < 12 * len(people)


def queries(act):
    with CaptureQueriesContext(connection) as captured:
        act()
    return len(captured)


@pytest.mark.parametrize("act", [measures_of, process_measures_of, flags_of, excluded_participations])
def test_the_number_of_queries_does_not_grow_with_people(make_study, act):
    study = make_study(trials_per_person=12, checks=2, check_images=(0, 1, 2, 3), answers_per_unit=8)
    rules_in_force(study, rule("reversed"), rule("disagreement"))
    answered(study, truth, finish=False)
    act(study)
    before = queries(lambda: act(study))
    for _ in range(4):
        answered(study, truth, finish=False)
    assert queries(lambda: act(study)) == before <= 12


def test_finishing_takes_a_constant_number_of_queries(make_study):
    study = make_study(trials_per_person=12, checks=2, check_images=(0, 1, 2, 3), answers_per_unit=8)
    first = answered(study, truth, finish=False)
    small = queries(lambda: process_measures(first))
    for _ in range(3):
        last = answered(study, truth, finish=False)
    assert queries(lambda: process_measures(last)) == small <= 10


# --- one answer


def test_what_is_said_of_one_answer():
    pair = Pair(first_class=0, second_class=1)
    fifty = {"cannot_tell": False, "mixing_percent": 50, "confidence_percent": 50}
    given = Given(1, 0, False, 1, pair, 7500, PerceivedLambda(0.5, 0.5), fifty, None)
    assert flags_of_answer(given, Source.IMPORTED) == ["untouched", CANNOT_TELL]
    assert flags_of_answer(given, Source.PERSON) == ["untouched"]
    sure = given._replace(payload={**fifty, "confidence_percent": 51})
    assert flags_of_answer(sure, Source.IMPORTED) == []
    wrong = given._replace(judgement=PerceivedLambda(0.1), payload={"blur_count": 2})
    assert flags_of_answer(wrong, Source.PERSON) == ["reversed", "focus_lost"]


def test_every_interface_of_ours_tells_what_its_answer_is():
    """A new interface either has one of the fields that `one_key` compares, or is compared by its steps."""
    for name, interface in INTERFACES.items():
        columns = {column.name for column in interface.COLUMNS}
        assert columns & set(flags.ANSWER) or "start_step" in columns, name
