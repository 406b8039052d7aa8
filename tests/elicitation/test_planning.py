"""The order of one person's trials, and the plan that is written down of it."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicitation.flow.services import join_study
from elicitation.studies.models import Condition, Source
from elicitation.studies.protocol import Design
from elicitation.studies.shown import mixed_images_of, studies_that_show
from elicitation.trials.models import Trial, TrialImage
from elicitation.trials.ordering import Planned, order_of_trials
from hilmix.errors import Invalid

PAIRS = list(combinations("abcdefgh", 2))
BOXES = {"adult": True, "agree": True}
PLANS = st.tuples(
    st.integers(1, 80), st.integers(0, 12), st.sampled_from([0, 2, 3, 6]), st.integers(2, 28), st.integers()
)


def may_be_planned(n, repeats, checks):
    design = Design(n_mixed_images=n, trials_per_person=n, repeats=repeats, checks=checks)
    return not design.problems() and not design.order_problems()


def order(n, repeats=0, checks=0, n_pairs=28, seed=0):
    """A drawn order, and the class pair at each position."""
    units = [PAIRS[i % n_pairs] for i in range(n)]
    unmixed = [PAIRS[-1 - i % n_pairs] for i in range(checks)]
    planned = order_of_trials(units, unmixed, repeats, random.Random(seed))
    return planned, [(unmixed if p.kind == "check" else units)[p.place] for p in planned]


@given(PLANS)
@settings(max_examples=200, deadline=None)
def test_what_every_order_has_in_common(drawn):
    n, repeats, checks, n_pairs, seed = drawn
    if not may_be_planned(n, repeats, checks):
        return
    planned, _pairs = order(n, repeats, checks, n_pairs, seed)
    kinds = [p.kind for p in planned]
    assert Counter(kinds) == {
        k: v for k, v in zip(("main", "repeat", "check"), (n, repeats, checks), strict=True) if v
    }
    assert sorted(p.place for p in planned if p.kind == "main") == list(range(n))
    assert sorted(p.place for p in planned if p.kind == "check") == list(range(checks))
    repeated = [p.place for p in planned if p.kind == "repeat"]
    assert len(set(repeated)) == repeats
    for place in repeated:
        assert planned.index(Planned("repeat", place)) - planned.index(Planned("main", place)) >= 16
    assert kinds[-1] == "main"
    at = [position for position, kind in enumerate(kinds) if kind == "check"]
    assert all(later - earlier >= 5 for earlier, later in pairwise(at))
    assert not at or at[0] > 0


@given(st.integers(12, 60), st.integers(4, 28), st.integers())
@settings(max_examples=100, deadline=None)
def test_no_two_trials_of_one_class_pair_follow_each_other(n, n_pairs, seed):
    repeats, checks = (2, 2) if n >= 20 else (0, 2)
    _planned, pairs = order(n, repeats, checks, n_pairs, seed)
    assert all(one != other for one, other in pairwise(pairs))


def test_one_pair_that_is_half_of_a_batch_takes_every_second_place():
    units = ["ab"] * 10 + [PAIRS[i] for i in range(1, 10)]
    for seed in range(20):
        planned = order_of_trials(units, [], 0, random.Random(seed))
        assert all(units[one.place] != units[other.place] for one, other in pairwise(planned))


def test_two_classes_have_one_pair_and_their_trials_are_ordered_all_the_same():
    planned, pairs = order(30, 2, 2, n_pairs=1)
    assert len(planned) == 34
    assert len(set(pairs)) == 2  # the checks' and the units'


@given(n=st.integers(1, 30), seed=st.integers())
@settings(deadline=None)
def test_a_design_of_the_first_version_that_has_no_room_for_the_gap_is_still_ordered(n, seed):
    for repeats in range(n // 2 + 1):
        planned, _pairs = order(n, repeats, seed=seed)
        first = {p.place: position for position, p in enumerate(planned) if p.kind == "main"}
        again = {p.place: position for position, p in enumerate(planned) if p.kind == "repeat"}
        assert (len(first), len(again)) == (n, repeats)
        assert all(first[place] < position for place, position in again.items())


def test_the_same_seed_gives_the_same_order_and_another_seed_another():
    assert order(30, 2, 2, seed=1) == order(30, 2, 2, seed=1)
    assert order(30, 2, 2, seed=1) != order(30, 2, 2, seed=2)


def test_repeats_and_checks_are_spread():
    """Over many plans, each quarter of the room holds about a quarter of them."""
    at = {"repeat": Counter(), "check": Counter()}
    for seed in range(200):
        planned, _pairs = order(60, 4, 4, seed=seed)
        for position, p in enumerate(planned):
            if p.kind in at:
                start = 16 if p.kind == "repeat" else 0
                at[p.kind][(position - start) * 4 // (68 - start)] += 1
    for counted in at.values():
        assert min(counted[quarter] for quarter in range(4)) > 150
        assert max(counted.values()) < 250


# -- what is written down


def plan_of(study):
    participation, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    trials = list(
        participation.trials.select_related("pair", "unit").prefetch_related("images__mixed_image__pair")
    )
    return participation, trials


def shown_in(trial):
    return [image.mixed_image for image in trial.images.all()]


def test_a_mixed_image_is_asked_about_alone(study):
    _participation, trials = plan_of(study)
    assert len(trials) == 6
    for trial in trials:
        assert [image.pk for image in shown_in(trial)] == [trial.unit.mixed_image_id]
        assert trial.pair == trial.unit.pair
        assert trial.params["left"] in ("first", "second")


def test_a_pair_is_shown_as_the_design_mixes(make_study):
    make_study("usual", interface="construct", lambdas_e4=(1000, 5000, 9000))  # of the same pairs
    study = make_study(interface="construct", lambdas_e4=(1000, 5000, 9000), method="hmix@1")
    _participation, trials = plan_of(study)
    assert {image.method for trial in trials for image in shown_in(trial)} == {"hmix@1"}
    shown = mixed_images_of(study)
    assert {image.method for image in shown} == {"hmix@1"}
    assert set(studies_that_show(shown.filter(pk=shown[0].pk))) == {study}


def test_a_method_that_does_not_mix_at_a_lambda_is_refused_before_anything_is_made(make_study):
    with pytest.raises(Invalid) as refused:
        make_study(lambdas_e4=(1234, 5000), method="hmix@1")
    assert "hmix@1 is defined for λ" in refused.value.fields["lambdas"][0]


@pytest.mark.parametrize("interface", ["select_shuffled", "construct"])
def test_a_pair_is_shown_at_every_lambda_in_the_order_of_the_interface(make_study, interface):
    lambdas = (9000, 1000, 5000, 3000)
    _participation, trials = plan_of(make_study(interface=interface, lambdas_e4=lambdas))
    for trial in trials:
        shown = shown_in(trial)
        assert trial.unit.mixed_image is None
        assert {image.pair for image in shown} == {trial.pair}
        assert sorted(image.lambda_e4 for image in shown) == sorted(lambdas)
    if interface == "construct":
        for trial in trials:
            descending = trial.params["left"] == "first"  # what is named on the left is strongest there
            assert [i.lambda_e4 for i in shown_in(trial)] == sorted(lambdas, reverse=descending)
    else:
        for trial in trials:
            assert [sorted(lambdas)[i] for i in trial.params["order"]] == [
                i.lambda_e4 for i in shown_in(trial)
            ]


def test_a_repeat_shows_what_its_first_trial_showed(make_study):
    study = make_study(n_mixed_images=18, trials_per_person=18, repeats=1)
    _participation, trials = plan_of(study)
    (repeat,) = [trial for trial in trials if trial.kind == Trial.Kind.REPEAT]
    (first,) = [trial for trial in trials if trial.unit == repeat.unit and trial.kind == Trial.Kind.MAIN]
    assert [i.pk for i in shown_in(repeat)] == [i.pk for i in shown_in(first)]
    assert repeat.position - first.position >= 16


def test_nobody_sees_a_parent_in_two_trials_checks_included(make_study):
    study = make_study(checks=2, check_images=(0, 1, 2, 3), trials_per_person=12, answers_per_unit=4)
    for _ in range(4):
        _participation, trials = plan_of(study)
        parents = [i for t in trials for i in (t.pair.first_index, t.pair.second_index)]
        assert len(parents) == len(set(parents)) == 28
        assert [trial.kind for trial in trials].count(Trial.Kind.CHECK) == 2
        assert set(parents).isdisjoint(study.protocol.content["design"]["example_images"])


def test_a_check_is_about_no_unit(make_study):
    _participation, trials = plan_of(make_study(checks=2, check_images=(0, 1, 2), trials_per_person=12))
    checks = [trial for trial in trials if trial.kind == Trial.Kind.CHECK]
    for check in checks:
        (image,) = shown_in(check)
        assert check.unit is None
        assert image.pair == check.pair
        assert image.lambda_e4 in (0, 10_000)


def test_everybody_of_a_protocol_is_asked_under_one_condition(study):
    for _ in range(2):
        plan_of(study)
    (condition,) = Condition.objects.all()
    assert condition.trials.count() == 12
    assert condition.content["interface"] == "infer"
    assert condition.content["wording"]


def test_two_people_of_a_batch_do_not_get_the_same_order(study):
    orders = []
    for _ in range(4):
        participation, trials = plan_of(study)
        orders.append((participation.slot.batch_id, [trial.unit_id for trial in trials]))
    of_first = [order for batch, order in orders if batch == orders[0][0]]
    assert len(of_first) == 2
    assert of_first[0] != of_first[1]
    assert sorted(of_first[0]) == sorted(of_first[1])


def test_a_plan_is_written_with_few_queries_however_long_it_is(make_study, django_assert_max_num_queries):
    study = make_study(interface="construct", n_mixed_images=18, trials_per_person=18, repeats=1)
    plan_of(study)  # the condition exists from the first on
    with django_assert_max_num_queries(30):
        join_study(study=study, source=Source.PERSON, boxes=BOXES)
    assert TrialImage.objects.count() == 2 * 19 * 3
