"""The mixed model finds what was put into answers, and says what answers cannot tell apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hilmix.core.analysis.table import NO_LAMBDA
from hilmix.hub import mixed_models
from hilmix.hub.mixed_models import fit_model
from tests.core.test_analysis import table

CLASSES = ["ant", "bee", "cat", "dog"]
COLUMNS = ("person", "unit", "first_class", "second_class", "lambda_e4", "position", "side", "value")
SIDE, BEFORE, POSITION = (
    "side: first class on the left, against right",
    "answer before (0 to 1)",
    "position (first to last)",
)
PULL = np.array([0.06, -0.06, 0.02, -0.02])


def answered(
    people: int = 40, each: int = 40, batches: int = 10, *, seed: int = 0, turned: bool = True, **effects
):
    """Answers of `people` in `batches`, each to its batch's images; `effects` of side, the answer before, position.

    `turned`: sides and the order of classes are drawn; else the class of lower index is first and on the left.
    """
    rng = np.random.default_rng(seed)
    effects = {
        "side": 0.0,
        "before": 0.0,
        "position": 0.0,
        "image": 0.05,
        "person": 0.05,
        "noise": 0.08,
    } | effects
    first = rng.integers(0, 4, (batches, each))
    second = (first + rng.integers(1, 4, (batches, each))) % 4
    if not turned:
        first, second = np.minimum(first, second), np.maximum(first, second)
    shown = rng.choice([0.3, 0.5, 0.7], (batches, each))
    image = rng.normal(0, effects["image"], (batches, each))
    rows = {
        name: []
        for name in (
            "person",
            "unit",
            "first_class",
            "second_class",
            "lambda_e4",
            "position",
            "side",
            "value",
        )
    }
    for person in range(people):
        batch, bias, before = person % batches, rng.normal(0, effects["person"]), 0.5
        for position, place in enumerate(rng.permutation(each)):
            side = rng.choice([-1.0, 1.0]) if turned else 1.0
            a, b = first[batch, place], second[batch, place]
            on_left = before if side > 0 else 1 - before  # what was answered is a place on the screen
            value = (
                shown[batch, place] + PULL[a] - PULL[b] + bias + image[batch, place] + effects["side"] * side / 2
                + effects["before"] * (on_left - 0.5) + effects["position"] * (position / (each - 1) - 0.5)
                + rng.normal(0, effects["noise"])
            )  # fmt: skip
            given = (
                person,
                batch * each + place,
                a,
                b,
                round(10_000 * shown[batch, place]),
                position,
                side,
                value,
            )
            for name, cell in zip(rows, given, strict=True):
                rows[name].append(cell)
            before = value if side > 0 else 1 - value
    return table(people * each, **rows)


def fitted(answers, **options):
    model = fit_model([("infer", answers)], CLASSES, np.random.default_rng(0), **options)
    assert not isinstance(model, str), model
    return model, {term.name: term for term in model.terms}


def test_what_was_put_into_answers_is_found_with_its_interval():
    truth = {"side": 0.05, "before": 0.15, "position": -0.06}
    model, terms = fitted(answered(seed=1, **truth))
    expected = {
        SIDE: 0.05,
        BEFORE: 0.15,
        POSITION: -0.06,
        **{f"class {name}": pull for name, pull in zip(CLASSES, PULL, strict=True)},
    }
    for name, value in expected.items():
        assert terms[name].low < value < terms[name].high, name
        assert terms[name].high - terms[name].low < 0.1, name
    spread = dict(model.components)
    assert spread["people"] == pytest.approx(0.05, abs=0.02)
    assert spread["images"] == pytest.approx(0.05, abs=0.015)
    assert spread["residual"] == pytest.approx(0.08, abs=0.01)
    assert (model.n, model.n_people, model.n_units) == (40 * 39, 40, 400)
    assert "40 answers are left out because the same person gave no number" in model.notes[0]


def test_people_who_do_not_differ_do_not_stop_the_fit_short():
    model, terms = fitted(answered(20, 30, 5, person=0.0))
    assert not any("did not converge" in note for note in model.notes)
    assert terms[BEFORE].high - terms[BEFORE].low == pytest.approx(0.067, abs=0.005)


def test_a_fit_goes_as_far_as_it_can_and_one_that_stops_short_is_refused(monkeypatch):
    # Gradients stop short here, at a likelihood of 67.0 instead of 68.4 and ten times the variance of slopes.
    model, _ = fitted(answered(20, 30, 5, seed=0, noise=0.2))
    expected = {
        "people": 0.00380807,
        "people's slopes on λ": 0.00237582,
        "images": 0.00189882,
        "residual": 0.03879281,
    }
    assert {name: sd**2 for name, sd in model.components} == pytest.approx(expected, rel=0.01)
    monkeypatch.setattr(mixed_models, "OPTIMISERS", ("lbfgs",))
    assert "did not converge" in fit_model([("infer", answered(20, 30, 5, noise=0.2))], CLASSES, None)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_a_variance_of_0_leaves_every_term_its_interval_and_is_told(seed):
    model, terms = fitted(answered(6, 20, 1, seed=seed, noise=0.2))
    assert all(0.01 < term.high - term.low < 1 for term in terms.values())
    spread = dict(model.components)
    nil = [name for name, sd in model.components if sd < 1e-3 * spread["residual"]]
    assert nil
    assert [note for note in model.notes if "is estimated as 0" in note] == [
        f"The variance of {name} is estimated as 0: these answers show none." for name in nil
    ]


def test_intervals_are_those_of_generalised_least_squares():
    import statsmodels.api as sm

    answers = answered(8, 12, 2, seed=3)
    model, terms = fitted(answers)
    sd = dict(model.components)
    used = answers.where(answers.position > 0)
    alike = lambda column: np.equal.outer(column, column)  # noqa: E731
    shown = np.multiply.outer(used.lambda_ - 0.5, used.lambda_ - 0.5)
    among = (
        sd["people"] ** 2 * alike(used.person) + sd["people's slopes on λ"] ** 2 * alike(used.person) * shown
        + sd["images"] ** 2 * alike(used.unit) + sd["residual"] ** 2 * np.eye(len(used))
    )  # fmt: skip
    root = np.linalg.inv(np.linalg.cholesky(among))
    before = answers.where(answers.position < 11)
    turned = used.side * before.side < 0
    pull = np.equal.outer(range(4), used.first_class) * 1.0 - np.equal.outer(range(4), used.second_class)
    columns = [
        np.ones(len(used)), used.lambda_e4 == 3000, used.lambda_e4 == 7000, used.side / 2, *(pull[:3] - pull[3]),
        np.where(turned, 1 - before.value, before.value) - 0.5, used.position / 11 - 0.5,
    ]  # fmt: skip
    least = sm.OLS(root @ used.deviation, root @ np.stack(columns, axis=1).astype(float)).fit()
    found = [term for name, term in terms.items() if name != "class dog"]  # minus the sum of the others
    assert [term.estimate for term in found] == pytest.approx(list(least.params))
    errors = np.sqrt(np.diag(least.normalized_cov_params))  # for errors of variance 1, as root makes them
    assert [(term.high - term.low) / 2 for term in found] == pytest.approx(list(1.959964 * errors))


def test_the_terms_of_classes_sum_to_0():
    _, terms = fitted(answered(8, 20, 2))
    assert sum(term.estimate for name, term in terms.items() if name.startswith("class ")) == pytest.approx(0)


def test_nothing_is_found_where_nothing_was_put_in():
    clear = 0
    for seed in range(10):
        _, terms = fitted(answered(20, 30, 5, seed=seed))
        for name in (
            "side: first class on the left, against right",
            "answer before (0 to 1)",
            "position (first to last)",
        ):
            clear += not terms[name].low < 0 < terms[name].high
    assert clear <= 5  # of 30; 1.5 are expected


def test_side_and_class_are_not_told_apart_where_one_class_of_each_pair_is_always_on_the_left():
    model, terms = fitted(answered(8, 20, 2, turned=False))
    assert not [name for name in terms if name.startswith("side")]
    assert [note for note in model.notes if note.startswith("Side and class cannot be separated")]


def test_images_are_left_out_where_all_people_and_images_are_connected(monkeypatch):
    monkeypatch.setattr(mixed_models, "MOST_TOGETHER", 100)
    model, terms = fitted(answered(side=0.05))
    assert "images" not in dict(model.components)
    assert [note for note in model.notes if note.startswith("Images have no random effect")]
    assert terms[SIDE].low > 0


def test_of_very_many_answers_whole_batches_are_drawn(monkeypatch):
    monkeypatch.setattr(mixed_models, "MOST_ANSWERS", 500)
    model, _ = fitted(answered())
    assert model.n == 3 * 4 * 39  # three batches of four people
    assert [note for note in model.notes if "drawn at random" in note]


def test_a_term_that_answers_cannot_tell_from_the_others_is_left_out_and_named():
    answers = answered()
    alone = answers.where(answers.lambda_e4 == 5000)
    _, terms = fitted(alone)
    assert not [name for name in terms if name.startswith("λ")]
    two = answers.where((answers.first_class < 2) & (answers.second_class < 2))
    _, terms = fitted(two)
    assert {name for name in terms if name.startswith("class")} == {"class ant", "class bee"}


def test_midpoints_have_a_term_for_the_start_and_none_for_lambda():
    rng = np.random.default_rng(0)
    answers = answered(turned=False)
    n = len(answers)
    start = rng.choice([-1.0, 1.0], n)
    made = table(
        n, person=answers.person, unit=answers.unit, first_class=answers.first_class, second_class=answers.second_class,
        position=answers.position, lambda_e4=np.full(n, NO_LAMBDA), start=start,
        value=0.5 + 0.03 * start + rng.normal(0, 0.05, n),
    )  # fmt: skip
    model, terms = fitted(made)
    term = terms["start: high end of λ, against low"]
    assert term.low < 0.06 < term.high
    assert model.outcome == "perceived midpoint − ½"
    assert {name for name, _ in model.components} == {"people", "pairs", "residual"}
    assert "There is no term for the side" in " ".join(model.notes)


def test_a_condition_has_a_term():
    answers = answered(16, 20, 2)
    some = answers.person % 4 < 2
    other = answers.where(~some)
    shifted = table(
        len(other), **{name: getattr(other, name) for name in ("person", "unit", "first_class", "second_class",
        "lambda_e4", "position", "side")}, value=other.value + 0.1,
    )  # fmt: skip
    model = fit_model([("one", answers.where(some)), ("other", shifted)], CLASSES, np.random.default_rng(0))
    term = next(term for term in model.terms if term.name == "other, against one")
    assert term.low < 0.1 < term.high


@pytest.mark.parametrize(
    "said", [lambda answers: answers.lambda_, lambda answers: np.full(len(answers), 0.5)]
)
def test_answers_that_do_not_vary_have_no_model(said):
    answers = answered(8, 20, 2)
    why = fit_model([("a", replace(answers, value=said(answers)))], CLASSES, None)
    assert "explain these answers wholly" in why


def test_too_few_answers_have_no_model():
    answers = answered()
    assert "it needs 40 answers" in fit_model([("a", answers.where(answers.person < 3))], CLASSES, None)
    assert "it needs 40 answers" in fit_model([("a", answers.where(answers.position < 1))], CLASSES, None)
