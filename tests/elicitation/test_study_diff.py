"""What differs between two versions of a protocol, as a researcher reads it."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from elicitation.studies.diff import differences
from elicitation.studies.factors import Factor, Level
from elicitation.studies.payment import Payment
from elicitation.studies.protocol import settings_of
from elicitation.studies.rules import default_rules
from tests.elicitation.test_studies import V1
from tests.elicitation.test_study_changes import FULL


@pytest.fixture
def content(make_study):
    return make_study(opened=False, **FULL).protocol.content


def with_settings(content, **said):
    return {**content, **replace(settings_of(content), **said).as_content()}


def with_texts(content, **said):
    return {**content, "texts": {**content["texts"], **said}}


def the_one(before, after):
    (difference,) = differences(before, after)
    return difference


def test_the_same_content_has_no_differences(content):
    assert differences(content, copy.deepcopy(content)) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"perspective": "you"}, ("Perspective", "100 others", "you")),
        ({"bonus": ""}, ("Bonus rule", "One pound for agreeing with others.", "none")),
        ({"payment": Payment("EUR", 300, 12, "agreement", 100)}, ("Reward", "2.50", "3.00")),
        ({"hypotheses": ()}, ("Hypothesis h1", "Larger pictures are judged otherwise.", None)),
    ],
)
def test_a_setting_is_told_by_its_name_with_what_it_was_and_is(content, said, told):
    found = differences(content, with_settings(content, **said))
    assert [(one.label, one.before, one.after) for one in found] == [told]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"lambdas_e4": (2500, 10_000)}, ("Mixing coefficients λ", "0.25, 0.5, 0.75", "0.25, 1.0")),
        ({"same_class": True}, ("Also mix images of one class", "no", "yes")),
        ({"class_pairs": ((0, 1), (2, 2))}, ("Class pairs", "all", "ant–bee, cat–cat")),
        ({"check_images": (3, 4)}, ("Images for attention checks", "none", "3, 4")),
        ({"mixed_images": ((12, 345, 2500),)}, ("Named mixed images", "none", "12 345 0.25")),
    ],
)
def test_the_design_is_told_in_numbers_that_people_read(content, said, told):
    design = replace(settings_of(content).design, **said)
    (one,) = differences(content, with_settings(content, design=design), ["ant", "bee", "cat", "dog"])
    assert (one.label, one.before, one.after) == told


def test_what_a_level_does_is_told_with_its_factor(content):
    (factor,) = settings_of(content).factors
    levels = (factor.levels[0], Level("free", {"display": {"enlargement": 3}}))
    one = the_one(content, with_settings(content, factors=(replace(factor, levels=levels),)))
    assert (one.label, one.before, one.after) == ("Factor size, free: Enlargement", "none", "3")
    more = (factor, Factor("view", "within", (Level("a"), Level("b", {"perspective": "you"})), "mixed"))
    told = {one.label: one.after for one in differences(content, with_settings(content, factors=more))}
    assert told["Factors"] == "size, view"
    assert told["Factor view: varies"] == "within"
    assert told["Factor view: levels"] == "a, b"
    assert told["Factor view, b: Perspective"] == "you"
    gone = differences(with_settings(content, factors=more), content)
    assert [(one.label, one.before) for one in gone] == [("Factors", "size, view"), ("Factor view", "a, b")]


def test_a_rule_is_told_with_its_limits_and_what_it_does(content):
    rules = tuple(
        replace(rule, excludes=True, reason="They agreed to it.") if rule.flag == "disagreement" else rule
        for rule in settings_of(content).rules
    )
    one = the_one(content, with_settings(content, rules=rules))
    assert one.label == "Rule disagreement"
    assert one.before.endswith("; flags only")
    assert one.after.endswith("; leaves out of labels; They agreed to it.")
    assert the_one(content, with_settings(content, rules=default_rules())).label == "Rule failed checks"


def test_of_a_long_text_the_lines_that_differ_are_told_with_those_beside_them(content):
    before = with_texts(content, consent="one\ntwo\nthree\nfour\nfive\nsix")
    after = with_texts(content, consent="one\ntwo\nthree\n4\nfive\nsix")
    one = the_one(before, after)
    assert one.label == "Consent"
    assert [(line.kind, line.text) for line in one.lines] == [
        ("same", "…"), ("same", "three"), ("removed", "four"), ("added", "4"), ("same", "five"), ("same", "…"),
    ]  # fmt: skip
    assert the_one(content, with_texts(content, thanks="Bye.")).lines == ()


def test_texts_of_several_pieces_are_told_piece_by_piece(content):
    texts = content["texts"]
    boxes = [{**texts["boxes"][0], "required": False}, *texts["boxes"][1:]]
    assert the_one(content, with_texts(content, boxes=boxes)).label == "Consent box: adult"
    assert "in order" in the_one(content, with_texts(content, boxes=texts["boxes"][::-1])).label
    survey = texts["survey"][1:]
    gone = {one.label: one.after for one in differences(content, with_texts(content, survey=survey))}
    assert gone["Closing question: clear"] is None
    wording = {**texts["wording"], "question": "How much?"}
    one = the_one(content, with_texts(content, wording=wording))
    assert (one.label, one.after) == ("Said at each trial: question", "How much?")
    one = the_one(content, with_texts(content, information={**texts["information"], "contact": "Ada"}))
    assert (one.label, one.after) == ("Questions and complaints", "Ada")
    questions = copy.deepcopy(texts["comprehension"])
    questions[0]["correct"] = 0
    one = the_one(content, with_texts(content, comprehension=questions))
    assert ("added", "* At the left end") in [(line.kind, line.text) for line in one.lines]


def test_what_an_older_version_did_not_say_is_compared_as_what_it_stood_for(content):
    found = {one.label: one for one in differences(V1, content)}
    assert found["Rounds of the comprehension check"].before == "3"
    assert found["Rule too fast"].before is None
    assert "Seed" not in found  # the same in both
    without = {name: value for name, value in content.items() if name not in ("stop", "payment")}
    assert {one.label for one in differences(without, content)} == {
        "Currency", "Reward", "Estimated minutes", "Kind of bonus", "Bonus, at most", "Enough when",
        "Width of the interval of a label",
    }  # fmt: skip


def test_the_words_of_imported_answers_are_compared_as_they_stand(content):
    theirs = {**content, "texts": {"origin": "Elsewhere."}}
    assert the_one(theirs, {**theirs, "texts": {"origin": "Here."}}).after == "Here."


def leaves(value, path=()):
    """Every value in a content that is no container, by its path."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(one, (*path, name))
    elif isinstance(value, list) and value:
        for number, one in enumerate(value):
            yield from leaves(one, (*path, number))
    else:
        yield path, value


def changed_at(content, path, value):
    changed = copy.deepcopy(content)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_can_change_without_being_told(content, data):
    path, was = data.draw(st.sampled_from(list(leaves(content))))
    other = {
        bool: st.booleans(), int: st.integers(0, 10_000), float: st.floats(0, 10), str: st.text("abc–", max_size=200),
    }.get(type(was), st.just("nothing"))  # fmt: skip
    value = data.draw(other)
    if isinstance(was, list):
        value = {"class_pairs": [[0, 1]], "mixed_images": [[0, 1, 2500]]}.get(path[-1], [value])
    assume(value != was)
    found = differences(content, changed_at(content, path, value))
    assert found, path
    assert all(one.label.strip() for one in found)
