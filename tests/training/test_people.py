"""Figures against people, and whether ceiling and floor are what another panel, or somebody who knows, would reach."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hilmix.core.errors import DataError
from training.evaluation import people
from training.evaluation.assessment import against_mixup, assess
from training.evaluation.metrics import entropies
from training.evaluation.predictions import predictions
from training.evaluation.values import BY_KEY


def shares(n: int, seed: int = 0) -> np.ndarray:
    """What people would say of each image: half of the images clear, half not."""
    rng = np.random.default_rng(seed)
    clear = rng.dirichlet([0.02] * 5, n)
    unclear = rng.dirichlet([0.6] * 5, n)
    return np.where(rng.random((n, 1)) < 0.5, clear, unclear)


def votes(q: np.ndarray, n: int = 50, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).multinomial(n, q)


def test_a_hand_made_case_gives_the_numbers_on_paper():
    p, q = np.array([[0.5, 0.5], [0.8, 0.2]]), np.array([[0.75, 0.25], [1.0, 0.0]])
    found = people.terms(np.log(p), p, q)
    assert found["human_cross_entropy"].tolist() == pytest.approx([np.log(2), -np.log(0.8)])
    h = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert found["human_kl"].tolist() == pytest.approx([np.log(2) - h, -np.log(0.8)])
    assert found["human_brier"].tolist() == pytest.approx([0.125, 0.08])
    assert found["human_total_variation"].tolist() == pytest.approx([0.25, 0.2])


def test_kl_agrees_with_scipy():
    p, q = shares(50, 3) * 0.9 + 0.02, shares(50, 4)
    assert people.terms(np.log(p), p, q)["human_kl"] == pytest.approx(stats.entropy(q.T, p.T))


def test_naming_one_of_t_tied_classes_counts_one_in_t():
    p = np.array([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    q = np.array([[0.5, 0.5, 0.0], [0.4, 0.4, 0.2], [0.4, 0.3, 0.3]])
    assert people.agreement(p, q).tolist() == [0.5, 0.0, 1.0]


def test_human_ece_asks_how_many_people_say_the_same_not_whether_the_label_does():
    p = np.array([[0.7, 0.3]] * 10)
    q = np.array([[0.7, 0.3]] * 5 + [[0.5, 0.5]] * 5)
    found = people.human_ece(p, q)
    assert found.value == pytest.approx(0.1)
    # Right by every label, and 0.3 too little sure by them; by people it is 0.1 too sure.
    assert people.human_ece(np.array([[0.7, 0.3]] * 10), np.array([[0.7, 0.3]] * 10)).value == pytest.approx(
        0
    )


def test_the_floor_of_human_ece_is_what_scatter_leaves_of_a_model_that_is_right_on_average():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        top = rng.uniform(0.5, 1, 800)
        said = np.clip(top + rng.choice([-0.1, 0.1], 800) * (1 - top) * 2, 0, 1)
        found.append(people.human_ece(np.stack([top, 1 - top], 1), np.stack([said, 1 - said], 1)))
    assert np.mean([one.floor for one in found]) == pytest.approx(
        np.mean([one.value for one in found]), rel=0.1
    )


def test_halves_are_halves_of_the_votes_drawn_without_replacement():
    counts = votes(shares(400), 51)
    first, second = people.halves(counts, np.random.default_rng(0))
    assert (first + second == counts).all()
    assert (first >= 0).all()
    assert set(first.sum(axis=1)) == {25}
    assert first.sum(axis=0) == pytest.approx(counts.sum(axis=0) * 25 / 51, rel=0.05)


@pytest.mark.parametrize("n_votes", [20, 50])
def test_the_ceiling_is_what_another_panel_of_as_many_people_reaches(n_votes):
    q = shares(12_000)
    these, others = votes(q, n_votes, 1), votes(q, n_votes, 2)
    bounds = people.Panel(these).bounds()
    mine, theirs = these / n_votes, others / n_votes
    predicted = people.predict_from(others, mine)
    real = {key: each.mean() for key, each in people.terms(np.log(predicted), theirs, mine).items()}
    correlations = people.entropy_correlations(entropies(theirs), entropies(mine), np.ones((1, len(q))))
    real |= {key: each[0] for key, each in correlations.items()}
    for key, off in (
        ("human_brier", 0.03),  # the others' laws hold for many votes
        ("human_total_variation", 0.05),
        ("human_kl", 0.08),
        ("human_cross_entropy", 0.02),
        ("entropy_correlation_pearson", 0.015),
        ("entropy_correlation_spearman", 0.015),
    ):
        assert bounds[key].ceiling == pytest.approx(real[key], rel=off), key
    # Not corrected, and on the side that the table says.
    assert bounds["human_top1_agreement"].ceiling <= real["human_top1_agreement"]
    assert bounds["human_ece"].ceiling >= people.human_ece(theirs, mine).value


def nearly_unanimous(n: int, seed: int = 0) -> np.ndarray:
    """Like CIFAR-10H: half of the images leave nobody in doubt, and doubt is rare votes for one or two classes."""
    rng = np.random.default_rng(seed)
    doubt, top = rng.beta(0.25, 6, n), rng.integers(0, 10, n)
    q = rng.dirichlet(np.full(10, 0.3), n)
    q[np.arange(n), top] = 0
    q *= (doubt / q.sum(axis=1))[:, None]
    q[np.arange(n), top] = 1 - doubt
    return q


@pytest.mark.parametrize("n_votes", [20, 50])
def test_the_ceiling_is_another_panels_too_where_most_are_of_one_mind(n_votes):
    """There KL falls by less than half with twice as many people: rare answers are still unseen."""
    q = nearly_unanimous(6000)
    these, others = votes(q, n_votes, 1), votes(q, n_votes, 2)
    mine, theirs = these / n_votes, others / n_votes
    ceiling = people.Panel(these).bounds()
    real = people.terms(np.log(people.predict_from(others, mine)), theirs, mine)
    for key, off in (("human_kl", 0.12), ("human_total_variation", 0.08), ("human_brier", 0.08)):
        assert ceiling[key].ceiling == pytest.approx(real[key].mean(), rel=off), key


@pytest.mark.realdata
def test_half_of_the_people_of_cifar_10h_foresee_what_the_other_half_reaches(realdata):
    shares_of_all = np.load(realdata / "cifar10h-probs.npy")
    counts = np.zeros(shares_of_all.shape, np.int64)
    for n in range(63, 46, -1):  # the votes of each image, recovered from their shares
        times = shares_of_all * n
        whole = np.abs(times - np.rint(times)).max(axis=1) < 1e-6
        counts[whole] = np.rint(times[whole])
    these, others = people.halves(counts, np.random.default_rng(0))
    mine, theirs = (each / each.sum(axis=1, keepdims=True) for each in (these, others))
    real = people.terms(np.log(people.predict_from(others, mine)), theirs, mine)
    bounds = people.Panel(these).bounds()
    for key in ("human_kl", "human_total_variation", "human_brier"):
        assert bounds[key].ceiling == pytest.approx(real[key].mean(), rel=0.05), key


def test_a_third_has_no_ceiling_as_the_same_votes_chose_its_images():
    rng = np.random.default_rng(0)
    found = assess(
        predictions(logits=rng.normal(size=(90, 5)), labels=rng.integers(0, 5, 90), human=votes(shares(90))),
        draws=100,
    )
    assert found.values["human_kl"].ceiling is not None
    for _, figures in found.thirds:
        assert figures["human_kl"].ceiling is None
        assert people.TOO_CHOSEN in figures["human_kl"].undefined
        assert (
            figures["human_cross_entropy"].floor is not None
        )  # the entropy of the labels is one all the same


def test_the_debiased_human_ece_takes_off_the_scatter_of_shares_and_not_that_of_right_and_wrong():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        top = rng.uniform(0.5, 1, 1500)
        said = np.clip(top - 0.02 + rng.normal(0, 0.05, 1500), 0, 1)
        found.append(people.human_ece(np.stack([top, 1 - top], 1), np.stack([said, 1 - said], 1)).debiased)
    assert np.mean(found) == pytest.approx(0.02, abs=0.002)


def test_the_floor_is_what_knowing_everybodys_answers_reaches():
    q = shares(4000)
    these = votes(q)
    bounds = people.Panel(these).bounds()
    q = np.clip(q, 1e-12, 1)
    known = {
        key: each.mean()
        for key, each in people.terms(np.log(q), q / q.sum(1, keepdims=True), these / 50).items()
    }
    assert bounds["human_brier"].floor == pytest.approx(known["human_brier"], rel=0.03)
    assert bounds["human_total_variation"].floor == pytest.approx(known["human_total_variation"], rel=0.05)
    assert bounds["human_kl"].floor == pytest.approx(known["human_kl"], rel=0.3)
    assert bounds["human_cross_entropy"].floor <= known["human_cross_entropy"]


def test_a_constant_that_names_the_usual_answer_is_the_floor_of_agreement():
    q = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]])
    assert people.labels_alone(q)["human_top1_agreement"] == pytest.approx(2 / 3)


def test_thirds_go_by_entropy_and_equal_ones_keep_their_order():
    q = np.array([[0.5, 0.5], [1, 0], [1, 0], [0, 1], [0.9, 0.1], [0.7, 0.3]])
    low, middle, high = people.thirds(q)
    assert [np.flatnonzero(each).tolist() for each in (low, middle, high)] == [[1, 2], [3, 4], [0, 5]]


def test_one_vote_an_image_has_no_ceiling():
    with pytest.raises(DataError, match="two votes"):
        people.Panel(np.array([[1, 0], [2, 1]]))


def test_the_same_votes_give_the_same_ceiling():
    counts = votes(shares(100))
    assert people.Panel(counts).bounds() == people.Panel(counts).bounds()


# -- mixed images


def test_against_lambda_it_is_agreement_with_mixup_and_never_accuracy():
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])
    first, second, share = np.array([0, 0, 0]), np.array([1, 1, 1]), np.array([0.75, 0.9, 0.5])
    found = against_mixup(np.log(p), first, second, share)
    assert found["mixup_agreement_top1"].value == 0.5  # the half-and-half image does not count
    assert found["mixup_agreement_top1"].n == 2
    losses = [
        -(0.75 * np.log(0.7) + 0.25 * np.log(0.2)),
        -(0.9 * np.log(0.2) + 0.1 * np.log(0.7)),
        -0.5 * np.log(0.08),
    ]
    assert found["mixup_agreement_cross_entropy"].value == pytest.approx(np.mean(losses))
    for key in found:
        assert "accuracy" not in (key + BY_KEY[key].name + BY_KEY[key].definition).lower()
        assert BY_KEY[key].higher_is_better is None


def test_without_a_clear_mixture_there_is_no_agreement_to_count():
    found = against_mixup(np.log([[0.6, 0.4]]), np.array([0]), np.array([1]), np.array([0.5]))
    assert found["mixup_agreement_top1"].value is None
    assert "not assessed" in found["mixup_agreement_top1"].undefined[0]


@pytest.mark.parametrize(("ties", "words"), [(1, "on 1 image several"), (2, "on 2 images several")])
def test_ties_among_people_are_counted_in_words_that_fit(ties, words):
    human = np.tile([9, 1, 0], (40, 1))
    human[:ties] = [5, 5, 0]
    labels = np.arange(40) % 3
    logits = np.random.default_rng(0).normal(size=(40, 3))
    found = assess(predictions(labels=labels, logits=logits, human=human), draws=20)
    assert any(said.startswith(words) for said in found.values["human_top1_agreement"].undefined)
