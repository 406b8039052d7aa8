from __future__ import annotations

import inspect

import numpy as np
import pytest

from hilmix.core.agreement import deviation_curve
from hilmix.core.judgements import Answer, CannotTell, PerceivedLambda, Unit, counted_answers
from hilmix.core.observers import Observer, draw_image_effect
from hilmix.core.softlabels import fit_shrinkage

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
        return [person.answer(0.25, rng) for _ in range(20)]

    assert answers(1) == answers(1)
    assert answers(1) != answers(2)


def test_an_observer_sees_nothing_but_lambda_chance_and_the_images_effect():
    assert list(inspect.signature(Observer.answer).parameters) == [
        "self",
        "lambda_true",
        "rng",
        "image_effect",
    ]


def test_perception_is_s_shaped_like_the_published_answers(simulated):
    published_medians = (0.08, 0.14, 0.50, 0.83, 0.92)
    published_means = (0.138, 0.205, 0.478, 0.754, 0.829)
    for point, median, mean in zip(
        deviation_curve(simulated), published_medians, published_means, strict=True
    ):
        assert point.median == pytest.approx(median, abs=0.05)
        assert point.mean == pytest.approx(mean, abs=0.05)


def test_images_differ_and_people_hesitate_as_in_the_published_answers(simulated):
    assert fit_shrinkage(simulated).rho == pytest.approx(0.317, abs=0.06)
    judged = [judgement for unit in simulated for judgement in counted_answers(unit)]
    extremeness = [abs(judgement.value - 0.5) for judgement in judged]
    assert np.corrcoef(extremeness, [judgement.confidence for judgement in judged])[0, 1] == pytest.approx(
        0.59, abs=0.06
    )
    spread = np.std([j.value for u in simulated if u.lambda_e4 == 5000 for j in counted_answers(u)])
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
