from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest

from hilmix.core.crowds import Crowd, calibrate, expected_share
from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, CannotTell, PerceivedLambda, Unit, share_of
from hilmix.core.observer_fit import fit_population
from hilmix.core.observers import H_MIX, Observer, Population, draw_image_effect
from hilmix.core.softlabels import fit_shrinkage
from tests.core.saying import numbers_by_lambda, numbers_of

LAMBDAS = (1000, 2500, 5000, 7500, 9000)


@pytest.fixture(scope="module")
def simulated() -> list[Unit]:
    """As the published study: 81 people, 2,070 images, about three answers each."""
    rng = np.random.default_rng(20)
    people = [Observer.draw(rng) for _ in range(81)]
    units = []
    for number in range(2070):
        lambda_e4, effect = LAMBDAS[number % 5], draw_image_effect(rng)
        asked = rng.choice(81, 3, replace=False)
        answers = tuple(Answer(str(p), people[p].answer(lambda_e4 / 1e4, rng, effect)) for p in asked)
        units.append(Unit(str(number), lambda_e4, 0, 1, answers))
    return units


def test_the_same_seed_gives_the_same_person_and_the_same_answers():
    def answers(seed: int) -> list[object]:
        rng = np.random.default_rng(seed)
        person = Observer.draw(rng)
        said = [person.answer(0.25, rng) for _ in range(20)]
        shared = person.class_mass(0.25, 0, 1, 10, rng), person.distribution(0.25, 0, 1, 10, rng)
        return [*said, *shared, person.midpoint((0.25, 0.5, 0.75), rng)]

    assert answers(1) == answers(1)
    assert answers(1) != answers(2)


def test_an_observer_sees_nothing_but_lambda_chance_the_images_effect_and_which_classes_there_are():
    sees = {
        "answer": ["lambda_true", "rng", "image_effect"],
        "midpoint": ["lambdas", "rng", "image_effect"],
        "class_mass": ["lambda_true", "first_class", "second_class", "n_classes", "rng", "image_effect"],
        "distribution": ["lambda_true", "first_class", "second_class", "n_classes", "rng", "image_effect"],
    }
    for name, expected in sees.items():
        assert list(inspect.signature(getattr(Observer, name)).parameters) == ["self", *expected]


def test_perception_is_s_shaped_like_the_published_answers(simulated):
    published_medians = (0.08, 0.14, 0.50, 0.83, 0.92)
    published_means = (0.138, 0.205, 0.478, 0.754, 0.829)
    for said, median, mean in zip(
        numbers_by_lambda(simulated), published_medians, published_means, strict=True
    ):
        values = [judgement.value for judgement in said]
        assert np.median(values) == pytest.approx(median, abs=0.05)
        assert np.mean(values) == pytest.approx(mean, abs=0.05)


def test_images_differ_and_people_hesitate_as_in_the_published_answers(simulated):
    assert fit_shrinkage(simulated).rho == pytest.approx(0.317, abs=0.06)
    judged = [judgement for unit in simulated for judgement in numbers_of(unit)]
    extremeness = [abs(judgement.value - 0.5) for judgement in judged]
    assert np.corrcoef(extremeness, [judgement.confidence for judgement in judged])[0, 1] == pytest.approx(
        0.59, abs=0.06
    )
    spread = np.std([j.value for u in simulated if u.lambda_e4 == 5000 for j in numbers_of(u)])
    assert spread == pytest.approx(0.25, abs=0.04)


def test_some_cannot_tell_mostly_at_even_mixes(simulated):
    undecided = [u.lambda_e4 for u in simulated for a in u.answers if isinstance(a.judgement, CannotTell)]
    assert 20 < len(undecided) < 300
    assert undecided.count(5000) > undecided.count(1000)


def test_answers_are_whole_percents(simulated):
    for unit in simulated[:100]:
        for answer in unit.answers:
            if isinstance(answer.judgement, PerceivedLambda):
                assert round(answer.judgement.value * 100) / 100 == answer.judgement.value
                assert 0 <= answer.judgement.confidence <= 1


# --- the other kinds of judgement -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people() -> list[Observer]:
    rng = np.random.default_rng(21)
    return [Observer.draw(rng) for _ in range(200)]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(22)


def test_a_midpoint_is_one_of_the_lambdas_shown_and_on_average_the_middle(people, rng):
    grid = tuple(k / 10 for k in range(11))
    said = [person.midpoint(grid, rng).value for person in people for _ in range(5)]
    assert set(said) <= set(grid)
    assert np.mean(said) == pytest.approx(0.5, abs=0.02)
    assert 0.05 < np.std(said) < 0.3


def test_an_image_that_shows_more_of_its_first_class_has_its_midpoint_lower(people, rng):
    grid = tuple(k / 10 for k in range(11))
    plain, strong = (
        np.mean([person.midpoint(grid, rng, image_effect=effect).value for person in people])
        for effect in (0.0, 1.5)
    )
    assert strong < plain - 0.1


@pytest.mark.parametrize("n_classes", [2, 3, 10, 1000])
def test_class_mass_fits_together_and_names_the_two_classes(people, rng, n_classes):
    for person in people:
        said = person.class_mass(0.25, 0, 1, n_classes, rng)
        named = [index for index, _mass in said.mass]
        assert set(named) <= {0, 1}
        assert sum(mass for _index, mass in said.mass) <= 1
        assert not said.excluded & set(named)
        assert said.excluded <= set(range(n_classes))


@pytest.mark.parametrize("n_classes", [2, 3, 10, 1000])
def test_a_distribution_gives_most_to_the_two_classes_that_were_mixed(people, rng, n_classes):
    for person in people:
        said = person.distribution(0.25, 0, 1, n_classes, rng)
        assert len(said.p) == n_classes
        assert said.p[0] + said.p[1] >= 0.85 - 1e-9


def test_all_kinds_of_judgement_see_the_same_share(people):
    """Person for person, from the same chance: the perceived λ, the mass of the first class, its probability."""
    for number, person in enumerate(people):
        seen = person.answer(0.75, np.random.default_rng(number))
        if isinstance(seen, CannotTell):
            continue
        for other in (
            person.class_mass(0.75, 0, 1, 10, np.random.default_rng(number)),
            person.distribution(0.75, 0, 1, 10, np.random.default_rng(number)),
        ):
            first, second = share_of(other, 0, 0, 1), share_of(other, 1, 0, 1)
            if first and second:
                assert first / (first + second) == pytest.approx(seen.value, abs=0.02)


def test_an_unmixed_image_is_mistaken_only_by_a_lapse(people, rng):
    for person in people:
        awake = replace(person, lapse=0.0)
        for lambda_true, shown, against in ((1.0, 0, -3.0), (0.0, 1, 3.0)):
            for said in (
                awake.answer(lambda_true, rng, against),
                awake.class_mass(lambda_true, 0, 1, 10, rng, against),
                awake.distribution(lambda_true, 0, 1, 10, rng, against),
            ):
                assert share_of(said, shown, 0, 1) > 0.75


def test_somebody_who_does_not_look_fails_unmixed_images(people, rng):
    asleep = [replace(person, lapse=1.0) for person in people]
    passed = [share_of(person.distribution(1.0, 0, 1, 10, rng), 0, 0, 1) > 0.75 for person in asleep]
    assert np.mean(passed) < 0.4


def test_two_images_of_one_class_are_one_class(people, rng):
    said = people[0].class_mass(0.3, 4, 4, 10, rng)
    assert [index for index, _mass in said.mass] == [4]
    assert people[0].distribution(0.3, 4, 4, 10, rng).p[4] >= 0.85 - 1e-9


# --- populations ------------------------------------------------------------------------------------------------


FLATTER = Population(
    seen=(0.05, 0.15, 0.3, 0.55, 0.75, 0.85, 0.95),
    person_bias_sd=0.5,
    image_effect_sd=0.4,
    noise_sd=0.6,
    lapse=0.1,
    cannot_tell=0.3,
    confidence=0.4,
    confidence_sd=0.15,
    confidence_slope=0.5,
)


def answered(population: Population, kind: str, n_units: int = 1000, seed: int = 0) -> list[Unit]:
    """1,000 images, four of 100 people each, answered in one way."""
    rng = np.random.default_rng(seed)
    people = [Observer.draw(rng, population) for _ in range(100)]
    units = []
    for number in range(n_units):
        lambda_e4, effect = LAMBDAS[number % 5], draw_image_effect(rng, population)
        share, answers = lambda_e4 / 1e4, []
        for who in rng.choice(100, 4, replace=False):
            said = {
                "answer": lambda person: person.answer(share, rng, effect),  # noqa: B023
                "midpoint": lambda person: person.midpoint(GRID, rng, effect),  # noqa: B023
                "class_mass": lambda person: person.class_mass(share, 0, 1, 10, rng, effect),  # noqa: B023
                "distribution": lambda person: person.distribution(share, 0, 1, 10, rng, effect),  # noqa: B023
            }[kind](people[who])
            answers.append(Answer(str(who), said))
        shown = 5000 if kind == "midpoint" else lambda_e4
        units.append(Unit(str(number), shown, 0, 1, tuple(answers)))
    return units


GRID = tuple(k / 10 for k in range(11))


@pytest.mark.parametrize("kind", ["answer", "class_mass", "distribution"])
@pytest.mark.parametrize("true", [H_MIX, FLATTER], ids=["H-Mix", "flatter"])
def test_whom_answers_came_from_is_found_again(true, kind):
    found = fit_population(answered(true, kind))
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        seen = np.interp(share, found.shown, found.seen)
        assert seen == pytest.approx(np.interp(share, true.shown, true.seen), abs=0.05), share
    assert found.person_bias_sd == pytest.approx(true.person_bias_sd, abs=0.12)
    assert found.image_effect_sd == pytest.approx(true.image_effect_sd, abs=0.1)
    assert found.noise_sd == pytest.approx(true.noise_sd, abs=0.12)
    assert found.lapse == pytest.approx(true.lapse, abs=0.03)


def test_confidence_and_cannot_tell_are_found_again():
    found = fit_population(answered(FLATTER, "answer"))
    for name in ("cannot_tell", "confidence", "confidence_sd", "confidence_slope", "confidence_noise_sd"):
        assert getattr(found, name) == pytest.approx(getattr(FLATTER, name), abs=0.03), name


def test_midpoints_tell_how_much_people_and_images_differ():
    found = fit_population(answered(H_MIX, "midpoint"))
    assert found.image_effect_sd == pytest.approx(H_MIX.image_effect_sd, abs=0.12)
    assert found.person_bias_sd == pytest.approx(H_MIX.person_bias_sd, abs=0.12)
    assert found.noise_sd == pytest.approx(H_MIX.noise_sd, abs=0.15)
    assert np.interp(0.5, found.shown, found.seen) == pytest.approx(0.5, abs=0.03)


def test_observers_of_a_fitted_population_answer_as_the_people_did():
    before = answered(FLATTER, "answer")
    after = answered(fit_population(before), "answer", seed=1)
    for old, new in zip(numbers_by_lambda(before), numbers_by_lambda(after), strict=True):
        for what in ("value", "confidence"):
            means = [np.mean([getattr(judgement, what) for judgement in said]) for said in (old, new)]
            assert means[1] == pytest.approx(means[0], abs=0.04)
    assert fit_shrinkage(after).rho == pytest.approx(fit_shrinkage(before).rho, abs=0.08)


def test_too_few_answers_fit_nobody():
    with pytest.raises(DataError, match="12 answers are too few"):
        fit_population(answered(H_MIX, "distribution", n_units=3))


def test_answers_that_nobody_shares_leave_images_as_in_h_mix():
    alone = [replace(unit, answers=unit.answers[:1]) for unit in answered(H_MIX, "distribution", 200)]
    assert fit_population(alone).image_effect_sd == H_MIX.image_effect_sd


def test_unmixed_images_and_repeats_are_left_out_of_a_fit():
    units = answered(H_MIX, "distribution", 200)
    again = [
        replace(unit, answers=(*unit.answers, *(replace(answer, repeat=True) for answer in unit.answers)))
        for unit in units
    ]
    unmixed = Unit("whole", 10_000, 0, 1, (Answer("1", PerceivedLambda(0.0)),) * 3)
    assert fit_population([*again, unmixed]) == fit_population(units)


# --- crowds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("population", [H_MIX, FLATTER], ids=["H-Mix", "flatter"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.75])
def test_a_crowd_answers_as_so_many_observers_do(population, share):
    rng, n = np.random.default_rng(4), 20_000
    crowd = Crowd.draw(rng, n, population)
    perceived, confidence = crowd.answers(np.arange(n), np.full(n, population.evidence(share)), rng)
    singly = [Observer.draw(rng, population).answer(share, rng) for _ in range(5000)]
    told = [said for said in singly if isinstance(said, PerceivedLambda)]
    assert np.mean(np.isnan(perceived)) == pytest.approx(1 - len(told) / 5000, abs=0.015)
    assert np.nanmean(perceived) == pytest.approx(np.mean([said.value for said in told]), abs=0.015)
    assert np.nanstd(perceived) == pytest.approx(np.std([said.value for said in told]), abs=0.015)
    assert np.nanmean(confidence) == pytest.approx(np.mean([said.confidence for said in told]), abs=0.015)


def test_a_crowd_finds_midpoints_as_so_many_observers_do():
    rng, n = np.random.default_rng(4), 20_000
    crowd = Crowd.draw(rng, n, H_MIX)
    said = crowd.midpoints(np.arange(n), np.full(n, 0.7), GRID, rng)
    singly = [Observer.draw(rng).midpoint(GRID, rng, 0.7).value for _ in range(5000)]
    assert set(said) <= set(GRID)
    assert (np.mean(said), np.std(said)) == pytest.approx((np.mean(singly), np.std(singly)), abs=0.015)


@pytest.mark.parametrize("target", [0.1, 0.42, 0.5, 0.8])
@pytest.mark.parametrize("midpoints_of", [(), GRID], ids=["shares", "midpoints"])
def test_an_effect_is_put_in_exactly_as_large_as_it_was_asked_for(target, midpoints_of):
    rng, n = np.random.default_rng(9), 40_000
    effects = rng.normal(0, 0.8, 50)
    evidence, mean = calibrate(FLATTER, effects, target, midpoints_of)
    assert mean == pytest.approx(target, abs=0.01)
    crowd, looks = Crowd.draw(rng, n, FLATTER), evidence + effects[np.arange(n) % 50]
    if midpoints_of:
        said = 1 - crowd.midpoints(np.arange(n), looks, midpoints_of, rng)
    else:
        said = crowd.answers(np.arange(n), looks, rng)[0]
    assert np.nanmean(said) == pytest.approx(target, abs=0.012)


def test_lapses_keep_the_mean_from_the_ends_and_calibrating_says_so():
    _evidence, mean = calibrate(FLATTER, np.zeros(3), 1.0)
    assert 0.9 < mean < 0.97
    assert expected_share(FLATTER, np.full(3, 9.0)) == pytest.approx(mean, abs=0.005)
