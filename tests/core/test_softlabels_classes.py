"""Labels from answers about classes, Dawid–Skene and the controls, each against a case done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, CannotTell, ClassMass, Distribution, PerceivedLambda, Unit
from hilmix.core.softlabels import POLICIES, LabelSet, build_label_set, individual_labels

CAT, DOG, FROG, SHIP = range(4)


def asked(*said: ClassMass | Distribution | CannotTell, key: str = "a", lambda_e4: int = 5000) -> Unit:
    return Unit(key, lambda_e4, CAT, DOG, tuple(Answer(f"p{i}", one) for i, one in enumerate(said)))


def mass(shares: dict[int, float], *excluded: int) -> ClassMass:
    return ClassMass(tuple(shares.items()), frozenset(excluded))


def label(name: str, said: ClassMass) -> np.ndarray:
    return build_label_set(name, [asked(said)], 4).probabilities[0]


# --- one answer


CASES = {
    "less than all: the rest goes to what is left": (
        mass({CAT: 0.6, DOG: 0.2}, SHIP),
        {
            "t2_clamp": [0.6, 0.2, 0.2, 0],
            "hmix": [0.6, 0.2, 0.2, 0],
            "t1": [0.6, 0.2, 0.2, 0],
            "uniform_redistribution": [0.6, 0.2, 0.1, 0.1],
        },
    ),
    "all: γ goes to what is left": (
        mass({CAT: 0.7, DOG: 0.3}, SHIP),
        {
            "t2_clamp": [0.63, 0.27, 0.1, 0],
            "hmix": [0.7 / 1.1, 0.3 / 1.1, 0.1 / 1.1, 0],
            "t1": [0.7, 0.15, 0.15, 0],
            "uniform_redistribution": [0.7, 0.3, 0, 0],
        },
    ),
    "more than all": (
        mass({CAT: 0.9, DOG: 0.3}),
        {
            "t2_clamp": [0.9 * 0.9 / 1.2, 0.9 * 0.3 / 1.2, 0.05, 0.05],
            "hmix": [0.85 / 1.2, 0.25 / 1.2, 0.05 / 1.2, 0.05 / 1.2],
            "t1": [0.9, 0.1 / 3, 0.1 / 3, 0.1 / 3],
            "uniform_redistribution": [0.75, 0.25, 0, 0],
        },
    ),
    "nothing left: nothing is spread": (
        mass({CAT: 0.5, DOG: 0.3}, FROG, SHIP),
        {
            "t2_clamp": [0.625, 0.375, 0, 0],
            "hmix": [0.625, 0.375, 0, 0],
            "t1": [0.5, 0.5, 0, 0],
            "uniform_redistribution": [0.5, 0.3, 0.1, 0.1],
        },
    ),
    "chosen and excluded: k counts one too few, as published": (
        mass({CAT: 0.5, DOG: 0.3}, DOG, SHIP),
        {  # S is cat and frog, k = 0
            "t2_clamp": [0.625, 0.375, 0, 0],
            "hmix": [0.625, 0.375, 0, 0],
            "t1": [0.5, 0, 0.5, 0],
            "uniform_redistribution": [0.5, 0.3, 0.1, 0.1],
        },
    ),
    "two chosen and excluded: k is below nothing, and so is no probability": (
        mass({CAT: 0.5, DOG: 0.3}, CAT, DOG, SHIP),
        {  # S is frog, k = −1
            "t2_clamp": [0.625, 0.375, 0, 0],
            "hmix": [0.625, 0.375, 0, 0],
            "t1": [1, 0, 0, 0],  # k = 0
            "uniform_redistribution": [0.5, 0.3, 0.1, 0.1],
        },
    ),
    "a class of no percent is not chosen": (
        mass({CAT: 0.4, DOG: 0.0}, FROG, SHIP),
        {
            "t2_clamp": [0.4, 0.6, 0, 0],
            "hmix": [0.4, 0.6, 0, 0],
            "t1": [0.4, 0.6, 0, 0],
            "uniform_redistribution": [0.4, 0.2, 0.2, 0.2],
        },
    ),
    "percents whose floats fall short of 1": (
        mass({CAT: 0.1, DOG: 0.1 + 0.1 + 0.7 - 1e-16}),
        {
            "t2_clamp": [0.09, 0.81, 0.05, 0.05],
            "hmix": [0.1 / 1.1, 0.9 / 1.1, 0.05 / 1.1, 0.05 / 1.1],
            "t1": [0.1 / 3, 0.9, 0.1 / 3, 0.1 / 3],
            "uniform_redistribution": [0.1, 0.9, 0, 0],
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_recipes_by_hand(case):
    said, expected = CASES[case]
    for name, probabilities in expected.items():
        np.testing.assert_allclose(label(name, said), probabilities, atol=1e-12, err_msg=name)


def test_gamma_is_a_parameter():
    np.testing.assert_allclose(
        label("t2_clamp(gamma=0.5)", mass({CAT: 1.0}, SHIP)), [0.5, 0.25, 0.25, 0], atol=1e-12
    )
    assert build_label_set("hmix(gamma=0.2)", [], 4).chosen == {"gamma": 0.2}
    assert build_label_set("hmix(gamma=0.1)", [], 4).chosen == {}
    with pytest.raises(DataError, match="gamma is from 0 to 1, not 2"):
        build_label_set("t2_clamp(gamma=2)", [], 4)
    with pytest.raises(DataError, match=r"seed is a whole number, not 1\.5"):
        build_label_set("random(seed=1.5)", [], 4)


def test_an_answer_that_says_nothing_makes_no_label():
    nothing = mass({CAT: 0.0}, CAT, DOG, FROG, SHIP)
    units = [asked(nothing, lambda_e4=2500), asked(nothing, mass({CAT: 0.9, SHIP: 0.1}), key="b")]
    for name in ("t2_clamp", "hmix", "t1"):
        labels = build_label_set(name, units, 4)
        assert labels.rows[0].probabilities.tolist() == [0.25, 0.75, 0, 0]  # mixup's
        assert [row.n for row in labels.rows] == [0, 1]
        assert [one.key for one in individual_labels(name, units, 4)] == ["b"]


def test_two_classes_given_the_same_are_both_the_top():
    np.testing.assert_allclose(label("t1", mass({DOG: 0.4, CAT: 0.4})), [0.4, 0.4, 0.1, 0.1])


# --- many answers


def test_a_label_is_the_mean_of_first_answers_with_n_spread_and_interval():
    said = (
        Answer("ann", mass({CAT: 1.0}, DOG, FROG, SHIP)),
        Answer("ann", mass({DOG: 1.0}, CAT, FROG, SHIP), repeat=True),
        Answer("ben", mass({CAT: 0.5, DOG: 0.5}, FROG, SHIP)),
        Answer("cid", CannotTell()),
    )
    units = [Unit("a", 5000, CAT, DOG, said), asked(mass({CAT: 0.2, DOG: 0.8}, FROG, SHIP), key="b")]
    row = build_label_set("t2_clamp", units, 4).rows[0]
    np.testing.assert_allclose(row.probabilities, [0.75, 0.25, 0, 0])
    assert (row.n, row.lambda_, row.spread) == (2, pytest.approx(0.75), pytest.approx(0.25))
    half = 1.959964 * (0.125 / 2) ** 0.5
    assert row.interval == pytest.approx((0.75 - half, 1))
    published = build_label_set("hmix", units, 4).rows[0]
    np.testing.assert_allclose(published.probabilities, [0.5, 0.5, 0, 0])
    assert published.n == 3


def test_a_plain_image_has_labels_too():
    plain = Unit("a", 10_000, FROG, FROG, (Answer("ann", mass({FROG: 0.8, SHIP: 0.2}, CAT, DOG)),))
    for name in ("t2_clamp", "dawid_skene"):
        row = build_label_set(name, [plain], 4).rows[0]
        assert row.probabilities[FROG] == row.lambda_ > 0.5
    assert build_label_set(
        "matched_entropy", [Unit("a", 10_000, FROG, FROG, ())], 4
    ).probabilities.tolist() == [[0, 0, 1, 0]]


def test_distributions_are_averaged():
    units = [asked(Distribution((0.5, 0.5, 0, 0)), Distribution((0.1, 0.2, 0.3, 0.4)), CannotTell())]
    row = build_label_set("distribution", units, 4).rows[0]
    np.testing.assert_allclose(row.probabilities, [0.3, 0.35, 0.15, 0.2])
    assert row.n == 2


def test_classes_that_there_are_not_are_refused():
    with pytest.raises(DataError, match="names class 4, but there are 4 classes"):
        label("t2_clamp", mass({4: 0.5}))
    with pytest.raises(DataError, match="names class -1"):
        label("hmix", mass({CAT: 0.5}, -1))
    with pytest.raises(DataError, match="no distribution over 4 classes"):
        build_label_set("distribution", [asked(Distribution((0.5, 0.5)))], 4)


def test_every_label_of_single_answers_averages_to_the_label():
    categorical = [asked(mass({CAT: 0.6, DOG: 0.2}, SHIP), mass({DOG: 0.9, FROG: 0.3}))]
    shares = [Unit("a", 2500, CAT, DOG, tuple(Answer(p, PerceivedLambda(v, c)) for p, v, c in
                                              (("ann", 0.2, 0.9), ("ben", 0.7, 0.4))))]  # fmt: skip
    whole = [asked(Distribution((0.5, 0.5, 0, 0)), Distribution((0.1, 0.2, 0.3, 0.4)))]
    names = [name for name, policy in POLICIES.items() if policy.of_one is not None]
    assert names
    for name in [*names, "confidence_smoothing(to=endpoints)", "confidence_smoothing(to=constant)"]:
        taken = POLICIES[name.partition("(")[0]].accepts
        units = categorical if ClassMass in taken else whole if Distribution in taken else shares
        single = [one.probabilities for one in individual_labels(name, units, 4)]
        assert len(single) == 2
        np.testing.assert_allclose(
            np.mean(single, axis=0),
            build_label_set(name, units, 4).probabilities[0],
            atol=1e-12,
            err_msg=name,
        )
    with pytest.raises(DataError, match="mixup has no label of a single answer"):
        individual_labels("mixup", shares, 4)


# --- Dawid–Skene


def crowd(seed: int = 0, n: int = 60) -> tuple[list[Unit], list[int]]:
    """Images of three classes, each named by four people; "dan" takes cats for dogs and dogs for cats."""
    rng = np.random.default_rng(seed)
    units, truth = [], rng.integers(0, 3, n).tolist()
    for i, true in enumerate(truth):
        answers = []
        for person, right in (("ann", 0.9), ("ben", 0.8), ("cid", 0.8)):
            said = true if rng.random() < right else int(rng.integers(0, 3))
            answers.append(Answer(person, mass({said: 0.9})))
        answers.append(Answer("dan", mass({(DOG, CAT, FROG)[true]: 0.9})))
        units.append(Unit(str(i), 5000, CAT, DOG, tuple(answers)))
    return units, truth


def test_people_who_take_one_class_for_another_are_understood():
    units, truth = crowd()
    labels = build_label_set("dawid_skene", units, 4)
    assert labels.params["converged"]
    assert np.mean(labels.probabilities.argmax(axis=1) == truth) > 0.95
    assert labels.rows[0].n == 4


def test_votes_are_shares_of_people_and_a_tie_is_split():
    units = [
        asked(mass({CAT: 0.6, SHIP: 0.4}), mass({CAT: 0.9}), mass({SHIP: 0.2}), mass({CAT: 0.5, SHIP: 0.5})),
        asked(CannotTell(), lambda_e4=2500),
    ]
    labels = build_label_set("votes", units, 4)
    np.testing.assert_allclose(labels.probabilities[0][[CAT, SHIP]], [2.5 / 4, 1.5 / 4])
    assert (labels.rows[0].n, labels.rows[1].n) == (4, 0)
    np.testing.assert_allclose(labels.probabilities[1], build_label_set("mixup", units, 4).probabilities[1])


def test_dawid_skene_is_what_its_equations_say():
    units, _ = crowd(1, 12)
    labels = build_label_set("dawid_skene", units, 4)
    expected = dawid_skene_by_loops(units, 4, labels.params["iterations"])
    np.testing.assert_allclose(labels.probabilities, expected, atol=1e-9)


def dawid_skene_by_loops(units: list[Unit], k: int, iterations: int) -> np.ndarray:
    """The same equations, one answer after another."""
    votes = [(i, a.participant, a.judgement.mass[0][0]) for i, unit in enumerate(units) for a in unit.answers]
    posterior = np.zeros((len(units), k))
    for i, _, said in votes:
        posterior[i, said] += 1 / len(units[i].answers)
    for _ in range(iterations):
        frequencies = posterior.sum(axis=0) + 1 / k
        frequencies /= frequencies.sum()
        confusion = {person: (np.eye(k) + 1 / k) / 2 for _, person, _ in votes}
        for i, person, said in votes:
            confusion[person][:, said] += posterior[i]
        for table in confusion.values():
            table /= table.sum(axis=1, keepdims=True)
        posterior = np.tile(frequencies, (len(units), 1))
        for i, person, said in votes:
            posterior[i] *= confusion[person][:, said]
        posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior


def test_dawid_skene_without_a_vote_is_mixup():
    labels = build_label_set("dawid_skene", [asked(CannotTell(), lambda_e4=2500), asked(mass({CAT: 0.0}))], 4)
    assert labels.probabilities.tolist() == [[0.25, 0.75, 0, 0], [0.5, 0.5, 0, 0]]
    assert [row.n for row in labels.rows] == [0, 0]


def test_classes_given_the_same_share_a_vote():
    labels = build_label_set("dawid_skene", [asked(mass({CAT: 0.5, SHIP: 0.5}))], 4).probabilities[0]
    assert labels[CAT] == pytest.approx(labels[SHIP])
    assert labels[CAT] > labels[FROG]


# --- controls


def shown(n: int = 40) -> list[Unit]:
    """Images that differ in what is seen in them, as three people say."""
    rng = np.random.default_rng(5)
    units = []
    for i in range(n):
        said = np.clip(rng.uniform(0.1, 0.9) + rng.normal(0, 0.05, 3), 0, 1)
        answers = tuple(Answer(f"p{j}", PerceivedLambda(share, 0.5)) for j, share in enumerate(said))
        units.append(Unit(f"image {i}", (2500, 5000, 9000)[i % 3], i % 4, (i + 1) % 4, answers))
    return units


def build(name: str) -> LabelSet:
    return build_label_set(name, shown(), 4)


def test_a_random_label_is_drawn_once_an_image():
    labels = build("random").probabilities
    assert np.all((labels > 0) & (labels < 1))
    np.testing.assert_array_equal(build("random(seed=0)").probabilities, labels)
    np.testing.assert_array_equal(build_label_set("random", shown()[7:9], 4).probabilities, labels[7:9])
    assert not np.any(np.isclose(build("random(seed=1)").probabilities, labels).all(axis=1))
    # As good as independent: no class and no image is favoured.
    many = build_label_set("random", [Unit(str(i), 5000, 0, 1, ()) for i in range(4000)], 4).probabilities
    np.testing.assert_allclose(many.mean(axis=0), 0.25, atol=0.01)


def test_shuffled_labels_are_the_human_ones_of_other_images_of_the_same_lambda():
    human, shuffled = build("human_lambda_shrunk"), build("shuffled_within_lambda(seed=3)")
    units = shown()
    moved = 0
    for level in (2500, 5000, 9000):
        at = [i for i, unit in enumerate(units) if unit.lambda_e4 == level]
        before = [human.rows[i].lambda_ for i in at]
        after = [shuffled.rows[i].lambda_ for i in at]
        assert sorted(after) == pytest.approx(sorted(before))
        moved += sum(a != b for a, b in zip(before, after, strict=True))
    assert moved > 30
    assert [row.lambda_ for row in build("shuffled_within_lambda(seed=4)").rows] != [
        row.lambda_ for row in shuffled.rows
    ]


def test_matched_entropy_is_as_soft_as_people_and_sides_with_mixup():
    human, matched = build("human_lambda_shrunk").probabilities, build("matched_entropy").probabilities
    np.testing.assert_allclose(entropy(matched), entropy(human), atol=1e-12)
    sides = 0
    for unit, label in zip(shown(), matched, strict=True):
        if unit.lambda_e4 != 5000:
            first_larger = label[unit.first_class] >= label[unit.second_class]
            assert first_larger == (unit.lambda_e4 > 5000)
        else:
            sides += label[unit.first_class] > label[unit.second_class]
    assert 0 < sides < 13  # at λ = ½ a coin decides


def entropy(labels: np.ndarray) -> np.ndarray:
    return np.array([-sum(p * math.log(p) for p in row if p > 0) for row in labels])


def test_uniform_knows_nothing():
    np.testing.assert_array_equal(build("uniform").probabilities, np.full((40, 4), 0.25))


def test_controls_are_marked_as_such():
    assert {name for name, policy in POLICIES.items() if policy.is_control} == {
        "uniform", "random", "shuffled_within_lambda", "matched_entropy", "constant_smoothing",
    }  # fmt: skip
