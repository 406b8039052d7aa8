from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hilmix.core.clustering import two_way_interval
from hilmix.core.errors import DataError
from hilmix.core.held_out import given_of, predicted, split
from hilmix.core.judgements import (
    Answer,
    CannotTell,
    ClassMass,
    Distribution,
    PerceivedLambda,
    PerceivedMidpoint,
    Unit,
)
from hilmix.core.label_ceiling import ceiling_of, digamma, mean_entropy
from hilmix.core.label_scores import LabelScores, names_to_score, score_labels, steps
from hilmix.core.observers import H_MIX, Observer, draw_image_effect
from hilmix.core.softlabels import POLICIES, Evidence, build_label_set
from hilmix.core.softlabels.classes import class_probabilities
from hilmix.core.softlabels.counting import two_hot
from hilmix.core.softlabels.warp import LEVELLED

LAMBDAS_E4 = (1000, 2500, 5000, 7500, 9000)


def share(person: str, value: float, **said) -> Answer:
    return Answer(person, PerceivedLambda(value, 0.5), **said)


def unit(key: str, lambda_e4: int, *answers: Answer, parents: tuple[int, int] | None = None) -> Unit:
    return Unit(key, lambda_e4, 0, 1, answers, parents)


def alone(*answers: Answer, lambda_e4: int = 2500) -> Evidence:
    """One mixed image of each of these answers, no two of which share a parent."""
    units = [unit(f"u{i}", lambda_e4, one, parents=(2 * i, 2 * i + 1)) for i, one in enumerate(answers)]
    return Evidence(units, 3)


# --- one answer, by hand ---


def test_mixup_is_judged_by_squared_error_and_cross_entropy_of_the_two_shares():
    scores = score_labels(alone(share("ann", 0.4), share("ben", 0.1)), repeats=1)
    mixup = scores.of("mixup")
    assert mixup.n == 2
    assert mixup.squared_error == pytest.approx((0.15**2 + 0.15**2) / 2)
    low, high = (share * (1 - LEVELLED) + LEVELLED / 2 for share in (0.25, 0.75))
    said = [-(y * math.log(low) + (1 - y) * math.log(high)) for y in (0.4, 0.1)]
    assert mixup.cross_entropy == pytest.approx(sum(said) / 2)
    assert (mixup.squared_spared, mixup.bits) == (0, 0)


def test_an_answer_is_predicted_by_those_of_others_only():
    # Of the image that ann and ben saw, each is predicted by the other; cid's, whom nobody shares it with, by λ.
    units = [
        unit("a", 5000, share("ann", 0.9), share("ben", 0.6), parents=(0, 1)),
        unit("b", 2500, share("cid", 0.3), parents=(2, 3)),
    ]
    scores = score_labels(Evidence(units, 3), repeats=3)
    assert scores.of("human_lambda").squared_error == pytest.approx((0.3**2 + 0.3**2 + 0.05**2) / 3)
    assert scores.of("human_lambda", "parents").squared_error == scores.of("mixup").squared_error


def test_a_label_of_0_costs_much_but_not_without_end():
    units = [unit("a", 5000, share("ann", 0.0), share("ben", 1.0), parents=(0, 1))]
    raw = score_labels(Evidence(units, 3), repeats=1).of("human_lambda")
    assert raw.cross_entropy == pytest.approx(-math.log(LEVELLED / 2))
    assert raw.squared_error == 1


def test_bits_are_what_the_cross_entropy_of_mixup_is_higher_by():
    units = [unit("a", 2500, share("ann", 0.5), share("ben", 0.5), parents=(0, 1))]
    scores = score_labels(Evidence(units, 3), repeats=1)
    raw, mixup = scores.of("human_lambda"), scores.of("mixup")
    assert raw.bits == pytest.approx((mixup.cross_entropy - math.log(2)) / math.log(2))
    assert raw.squared_spared == pytest.approx(0.25**2)


def test_only_first_answers_judge_and_no_cannot_tell():
    answers = (
        share("ann", 0.4),
        share("ann", 0.9, repeat=True),
        Answer("ben", CannotTell()),
        share("cid", 0.4),
    )
    scores = score_labels(Evidence([unit("a", 4000, *answers, parents=(0, 1))], 3), repeats=1)
    assert (scores.n_answers, scores.n_people) == (2, 2)
    assert scores.of("mixup").squared_error == 0


def test_what_a_label_gives_to_other_classes_is_no_matter_where_two_shares_were_asked_for():
    given = given_of(alone(share("ann", 0.4), share("ben", 0.1)))
    labels = np.array([[0.2, 0.6, 0.2], [0.0, 0.0, 1.0]])
    seen = predicted(labels, given, alone(share("ann", 0.4), share("ben", 0.1)).units)
    assert seen.tolist() == [pytest.approx([0.25, 0.75]), [0.5, 0.5]]


def test_scores_are_split_by_lambda_and_by_class_pair_whichever_class_is_first():
    units = [
        Unit("a", 2500, 0, 1, (share("ann", 0.25),), (0, 1)),
        Unit("b", 7500, 1, 0, (share("ben", 0.65),), (2, 3)),
        Unit("c", 7500, 1, 2, (share("cid", 0.75),), (4, 5)),
    ]
    (mixup,) = [
        one
        for one in score_labels(Evidence(units, 3), repeats=1).scores
        if (one.name, one.unseen) == ("mixup", "people")
    ]
    assert {key: part.n for key, part in mixup.by_lambda.items()} == {2500: 1, 7500: 2}
    assert {key: part.n for key, part in mixup.by_class_pair.items()} == {(0, 1): 2, (1, 2): 1}
    assert mixup.by_class_pair[0, 1].squared_error == pytest.approx(0.1**2 / 2)
    assert mixup.by_class_pair[1, 2].bits_interval is None  # one person


# --- answers of other kinds ---


def test_classes_are_judged_as_whole_distributions():
    answers = (
        Answer("ann", Distribution((0.5, 0.25, 0.25))),
        Answer("ben", ClassMass(((2, 0.6),), frozenset({0}))),
    )
    mixup = score_labels(alone(*answers, lambda_e4=5000), repeats=1).of("mixup")
    assert mixup.squared_error == pytest.approx((0.0625 + 0.0625 + 0.5**2 + 0.1**2 + 0.6**2) / 4)
    half, none = math.log(0.5 * (1 - LEVELLED) + LEVELLED / 3), math.log(LEVELLED / 3)
    # Of what ben gave, the rest is spread over class 1, which he neither ruled out nor named.
    assert mixup.cross_entropy == pytest.approx(-(0.75 * half + 0.25 * none + 0.4 * half + 0.6 * none) / 2)


def test_a_midpoint_says_how_much_is_seen_in_an_even_mix():
    people = [f"p{i}" for i in range(8)]
    pairs = [
        unit(
            key,
            5000,
            *(Answer(one, PerceivedMidpoint(middle + 0.01 * i)) for i, one in enumerate(people)),
            parents=parents,
        )
        for key, middle, parents in (("a", 0.7, (0, 1)), ("b", 0.3, (2, 3)), ("c", 0.5, (4, 5)))
    ]
    scores = score_labels(Evidence(pairs, 3, pairs=pairs), repeats=1)
    offsets = [middle + 0.01 * i - 0.5 for middle in (0.7, 0.3, 0.5) for i in range(8)]
    assert scores.of("mixup").squared_error == pytest.approx(sum(x**2 for x in offsets) / 24)
    assert scores.of("perceived_midpoint").squared_error < 0.1 * scores.of("mixup").squared_error
    assert scores.refused["people"]["human_lambda"] == "Made of answers of another kind."


def test_a_policy_that_cannot_be_made_says_why():
    scores = score_labels(alone(share("ann", 0.4), share("ben", 0.1)), repeats=1)
    refused = scores.refused["people"]
    assert refused["distribution"] == "Made of answers of another kind."
    assert refused["perceived_midpoint"] == "Nobody was asked for midpoints of these pairs."
    assert refused["fitted"] == "Nobody said which classes are in these mixed images."
    assert "needs the pixel features" in refused["perceptual_warp"]
    assert {one.name for one in scores.scores if one.unseen == "people"} | set(refused) == set(
        names_to_score()
    )


def test_every_policy_is_tried_and_every_choice_of_one():
    names = names_to_score()
    assert set(POLICIES) <= set(names)
    assert "human_lambda(statistic=median)" in names
    assert len(names) == len(set(names))


def test_one_person_is_nobody_to_be_left_out():
    with pytest.raises(DataError, match="at least two must have answered"):
        score_labels(alone(share("ann", 0.4), share("ann", 0.1)), repeats=1)


def test_images_that_are_all_connected_leave_no_parents_unseen():
    units = [unit(f"u{i}", 5000, share("ann", 0.4), share("ben", 0.5), parents=(0, i + 1)) for i in range(6)]
    scores = score_labels(Evidence(units, 3), repeats=1)
    assert scores.n_groups == 1
    assert {one.unseen for one in scores.scores} == {"people"}
    assert set(scores.refused["parents"].values()) == {"All mixed images are connected by their parents."}


# --- folds ---


def crowd(n_units: int = 40, n_people: int = 12) -> Evidence:
    """Units in pairs that share a parent, with answers beside and about pairs of the same people and parents."""
    rng = np.random.default_rng(0)
    units, pairs, beside = [], [], []
    for i in range(n_units):
        people = [f"p{person}" for person in rng.choice(n_people, 3, replace=False)]
        parents = (2 * (i // 2), 1000 + i)
        units.append(unit(f"u{i}", 2500, *(share(name, rng.uniform()) for name in people), parents=parents))
        pairs.append(
            unit(
                f"pair{i}", 5000, *(Answer(name, PerceivedMidpoint(0.4)) for name in people), parents=parents
            )
        )
        said = Distribution((0.5, 0.5, 0.0))
        beside.append(
            unit(f"u{i}", 2500, *(Answer(name, said, condition="b") for name in people), parents=parents)
        )
    return Evidence(units, 3, pairs=pairs, beside=beside)


def test_nothing_of_a_person_left_out_is_left_anywhere():
    evidence = crowd()
    given = given_of(evidence)
    times = np.zeros(len(given.unit))
    for held, left in split("people", given, evidence, np.random.default_rng(0)):
        times += held
        gone = {given.people[person] for person in given.person[held]}
        rest = {
            a.participant for some in (left.units, left.pairs, left.beside) for u in some for a in u.answers
        }
        assert gone
        assert not gone & rest
        assert len(left.units) == len(evidence.units)
    assert times.tolist() == [1] * len(given.unit)


def test_nothing_about_the_pictures_left_out_is_left_anywhere():
    evidence = crowd()
    given = given_of(evidence)
    times = np.zeros(len(given.unit))
    for held, left in split("parents", given, evidence, np.random.default_rng(0)):
        times += held
        gone = {parent for place in given.unit[held] for parent in evidence.units[place].parents or ()}
        rest = {
            p
            for some in (left.units, left.pairs, left.beside)
            for u in some
            if u.answers
            for p in u.parents or ()
        }
        assert gone
        assert not gone & rest
    assert times.tolist() == [1] * len(given.unit)


def test_the_same_seed_gives_the_same_scores_and_steps_are_counted():
    taken: list[int] = []
    evidence = replace(crowd(), beside=())
    first = score_labels(evidence, repeats=2, seed=3, step=lambda: taken.append(1))
    assert len(taken) == steps(2)
    assert score_labels(evidence, repeats=2, seed=3) == first
    assert score_labels(evidence, repeats=2, seed=4) != first


# --- intervals ---


def test_an_interval_is_wider_where_answers_go_together_and_counts_either_way_once():
    values = np.repeat([0.0, 1.0, 0.0, 1.0], 25)
    alone_, together = np.arange(100), np.repeat(np.arange(4), 25)
    wide = two_way_interval(values, together, alone_)
    narrow = two_way_interval(values, alone_, alone_)
    assert wide is not None
    assert narrow is not None
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])
    assert two_way_interval(values, alone_, together) == pytest.approx(wide)
    assert narrow == pytest.approx((0.5 - 1.984 * 0.0502519, 0.5 + 1.984 * 0.0502519), abs=1e-4)
    assert two_way_interval(values, np.zeros(100, dtype=np.int64), alone_) is None


# --- what can be reached ---


def test_digamma_and_the_mean_entropy_have_known_values():
    euler = 0.5772156649015329
    assert digamma(np.array([1.0, 0.5, 2.0])).tolist() == pytest.approx(
        [-euler, -euler - 2 * math.log(2), 1 - euler]
    )
    # True shares anywhere alike (Beta(1, 1), variance 1/12 of each of the two) have a mean entropy of one half.
    assert mean_entropy(np.array([0.5, 0.5]), 1 / 6) == pytest.approx(0.5)
    assert mean_entropy(np.array([0.5, 0.5]), 0.0) == pytest.approx(math.log(2))
    assert mean_entropy(np.array([1.0, 0.0]), 0.0) == 0
    assert mean_entropy(np.array([0.5, 0.5]), 0.5) == pytest.approx(
        0, abs=1e-9
    )  # every image is one or the other


def test_the_least_squared_error_is_the_variance_of_answers_to_one_image():
    units = [unit("a", 5000, share("ann", 0.4), share("ben", 0.6)), unit("b", 5000, share("ann", 0.9))]
    evidence = Evidence(units, 3)
    ceiling = ceiling_of(given_of(evidence), units, 3)
    assert ceiling.overall.squared_error == pytest.approx(
        0.02
    )  # n − 1 = 1; who is alone with an image says nothing
    assert ceiling.by_lambda[5000].n == 3


def test_where_nobody_shares_an_image_nothing_is_said_of_the_best_label():
    evidence = alone(share("ann", 0.4), share("ben", 0.1))
    assert ceiling_of(given_of(evidence), evidence.units, 3).overall.squared_error is None


# --- simulated people: the truth is known ---


@pytest.fixture(scope="module")
def simulated() -> tuple[LabelScores, Evidence]:
    """60 observers like the people of H-Mix, three of whom judge each of 900 images; the true label is known."""
    rng = np.random.default_rng(5)
    observers = [Observer.draw(rng) for _ in range(60)]
    units, shares = [], []
    for i in range(900):
        lambda_e4 = LAMBDAS_E4[i % 5]
        effect = draw_image_effect(rng)
        seen = {
            f"p{p}": observers[p].answer(lambda_e4 / 10_000, rng, effect)
            for p in rng.choice(60, 3, replace=False)
        }
        units.append(
            unit(f"u{i}", lambda_e4, *(Answer(*one) for one in seen.items()), parents=(2 * i, 2 * i + 1))
        )
        shares.append(H_MIX.expected_share(lambda_e4 / 10_000, effect))
    evidence = Evidence(units, 2)
    truth = two_hot(units, np.array(shares), 2)
    return score_labels(evidence, repeats=4, known={"true observer": truth}), evidence


def test_the_label_that_made_the_answers_is_the_best_and_as_good_as_a_label_can_be(simulated):
    scores, _ = simulated
    truth = scores.of("true observer")
    others = [one.overall for one in scores.scores if one.name != "true observer"]
    assert all(truth.cross_entropy < one.cross_entropy for one in others)
    assert all(truth.squared_error < one.squared_error for one in others)
    best = scores.ceiling.overall
    assert truth.squared_error == pytest.approx(best.squared_error, rel=0.06)
    assert truth.cross_entropy == pytest.approx(best.cross_entropy, rel=0.02)
    assert scores.of("true observer", "parents") == truth  # nobody's answers made it


def test_of_labels_made_of_answers_the_shrunk_mean_comes_nearest_to_the_true_one(simulated):
    scores, _ = simulated
    by_bits = {
        name: scores.of(name).bits
        for name in ("human_lambda", "mixup", "population_curve", "human_lambda_shrunk")
    }
    assert sorted(by_bits, key=lambda name: by_bits[name]) == list(by_bits)


def test_a_true_label_of_distributions_is_as_good_as_a_label_can_be():
    rng = np.random.default_rng(2)
    truth = rng.dirichlet((3.0, 1.0, 0.5, 0.5), size=600)
    units = [
        Unit(
            f"u{i}",
            7500,
            0,
            1,
            tuple(Answer(f"p{p}", Distribution(tuple(rng.dirichlet(12 * mean + 1e-3)))) for p in range(3)),
            (2 * i, 2 * i + 1),
        )
        for i, mean in enumerate(truth)
    ]
    scores = score_labels(Evidence(units, 4), repeats=1, known={"truth": truth})
    best = scores.ceiling.overall
    assert scores.of("truth").squared_error == pytest.approx(best.squared_error, rel=0.05)
    assert scores.of("truth").cross_entropy == pytest.approx(best.cross_entropy, rel=0.04)


def test_plain_images_are_judged_too():
    plain = [
        Unit(
            f"u{i}",
            10_000,
            i % 3,
            i % 3,
            (Answer("ann", Distribution((0.2, 0.3, 0.5))), Answer("ben", Distribution((0.1, 0.3, 0.6)))),
            (i, i),
        )
        for i in range(6)
    ]
    scores = score_labels(Evidence(plain, 3), repeats=1)
    assert scores.of("distribution").bits > 0


def test_a_share_of_two_images_of_one_class_judges_nothing():
    units = [
        unit("a", 2500, share("ann", 0.4), share("ben", 0.1), parents=(0, 1)),
        Unit("b", 5000, 2, 2, (share("ann", 0.9), share("ben", 1.0)), (2, 3)),
    ]
    scores = score_labels(Evidence(units, 3), repeats=1)
    assert (scores.n_answers, scores.n_units, scores.n_one_class) == (2, 1, 2)
    assert scores.of("mixup").squared_error == pytest.approx(0.15**2)


# --- what is read, and what is left out ---


def test_an_answer_about_classes_has_one_reading():
    said = [
        Distribution((0.5, 0.25, 0.25, 0.0)),
        ClassMass(((2, 0.6),), frozenset({0})),
        ClassMass(((0, 0.9), (1, 0.6)), frozenset()),
        ClassMass((), frozenset({3})),
        ClassMass(((0, 0.5),), frozenset({0, 1})),
        ClassMass((), frozenset(range(4))),
        CannotTell(),
    ]
    third = pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    read = class_probabilities(said, 4)
    assert read[0].tolist() == [0.5, 0.25, 0.25, 0]
    assert read[1].tolist() == pytest.approx([0, 0.2, 0.6, 0.2])
    assert read[2].tolist() == pytest.approx([0.6, 0.4, 0, 0])
    assert read[3].tolist() == third
    assert read[4].tolist() == pytest.approx([0.5, 0, 0.25, 0.25])
    assert np.isnan(read[5:]).all()
    units = [unit(f"u{i}", 2500, Answer(f"p{i}", one)) for i, one in enumerate(said)]
    np.testing.assert_array_equal(given_of(Evidence(units, 4)).said, read[:5])


def test_what_was_said_beside_of_an_image_of_unknown_parents_is_left_out_with_it():
    units = [unit(f"u{i}", 5000, share("ann", 0.4), share("ben", 0.6)) for i in range(10)]
    said = Distribution((0.5, 0.5, 0.0))
    beside = [replace(one, answers=(Answer("zoe", said, condition="b"),)) for one in units]
    evidence = Evidence(units, 3, beside=beside)
    for held, left in split("parents", given_of(evidence), evidence, np.random.default_rng(0)):
        gone = {units[place].key for place in given_of(evidence).unit[held]}
        assert not gone & {one.key for one in left.beside}


def test_answers_about_pairs_asked_in_two_ways_make_two_labels():
    people = [f"p{i}" for i in range(6)]
    units = [
        unit(
            f"u{i}", 5000, *(share(one, 0.3, condition="infer") for one in people), parents=(2 * i, 2 * i + 1)
        )
        for i in range(4)
    ]
    pairs = [
        unit(
            f"pair{i}",
            5000,
            *(Answer(one, PerceivedMidpoint(0.7), condition="construct") for one in people[:3]),
            *(Answer(one, PerceivedMidpoint(0.2), condition="select") for one in people[3:]),
            parents=(2 * i, 2 * i + 1),
        )
        for i in range(4)
    ]
    scores = score_labels(Evidence(units, 3, pairs=pairs), repeats=1)
    construct, select = (
        scores.of(f"perceived_midpoint of {name}").squared_error for name in ("construct", "select")
    )
    assert construct == pytest.approx(0, abs=1e-6)  # at m = .7 an even mix is seen as .3
    assert select == pytest.approx(0.5**2, abs=1e-6)
    assert scores.score("perceived_midpoint of select").label == "perceived_midpoint"


def test_answers_are_told_apart_by_whether_others_answered_about_the_same_image():
    units = [
        unit("a", 5000, share("ann", 0.9), share("ben", 0.6), parents=(0, 1)),
        unit("b", 2500, share("cid", 0.3), parents=(2, 3)),
    ]
    scores = score_labels(Evidence(units, 3), repeats=3)
    others = scores.score("human_lambda").others_answered
    assert others is not None
    assert (others.n, others.squared_error) == (2, pytest.approx(0.3**2))
    assert scores.score("human_lambda", "parents").others_answered is None


def test_which_label_leads_is_told_with_how_far_it_is_ahead_and_of_labels_made_of_answers_only(simulated):
    scores, _ = simulated
    lead = scores.leads["people"]
    losses = {name: scores.of(name).bits for name in (lead.best, *lead.ahead)}
    assert lead.best == max(losses, key=lambda name: losses[name])
    assert not {"mixup", "label_smoothing", "uniform", "true observer"} & set(losses)
    for name, (ahead, interval) in lead.ahead.items():
        assert ahead == pytest.approx(losses[lead.best] - losses[name])
        assert interval is not None
        assert interval[0] < ahead < interval[1]
        assert (name in lead.tied) == (interval[0] <= 0)
    assert "human_lambda" not in lead.tied


def test_of_all_classes_a_label_closer_to_the_answers_is_better_whatever_part_is_spread():
    """Bits turn with the part that is spread where answers rule classes out; squared error does not."""
    rng = np.random.default_rng(0)
    units = [
        Unit(
            f"u{i}",
            5000,
            0,
            1,
            tuple(
                Answer(
                    f"p{p}",
                    ClassMass(
                        ((0, 0.7 if (i + p) % 2 else 0.5), (int(rng.integers(2, 10)), 0.3)), frozenset()
                    ),
                )
                for p in range(2)
            ),
            (2 * i, 2 * i + 1),
        )
        for i in range(40)
    ]
    scores = score_labels(Evidence(units, 10), repeats=1)
    assert scores.of_classes
    best = min(
        (one.overall.squared_error, one.name)
        for one in scores.scores
        if one.from_answers and one.unseen == "people"
    )
    assert scores.leads["people"].best == best[1]
    human = scores.of("t2_clamp")
    assert human.squared_spared > 0
    assert human.bits != pytest.approx(human.bits_less_levelled, abs=0.1)


def test_how_well_a_warp_predicts_is_not_asked_again_for_every_fold(monkeypatch):
    asked: list[int] = []
    monkeypatch.setitem(
        POLICIES,
        "human_lambda",
        replace(POLICIES["human_lambda"], describe=lambda evidence, params: {"asked": asked.append(1)}),
    )
    score_labels(alone(share("ann", 0.4), share("ben", 0.1)), repeats=1)
    assert asked == []
    assert build_label_set("human_lambda", [unit("a", 5000, share("ann", 0.4))], 2).params["asked"] is None
    assert asked == [1]
