"""What the planner says of H-Mix, and observers fitted on it, against the published answers."""

from __future__ import annotations

import numpy as np
import pytest

from hilmix.core.judgements import Answer, Unit
from hilmix.core.observer_fit import fit_population
from hilmix.core.observers import Observer, draw_image_effect
from hilmix.core.planning import H_MIX_COMPONENTS
from hilmix.core.softlabels import fit_shrinkage
from tests.core.saying import numbers_by_lambda
from tests.realdata.test_core_hmix import units  # noqa: F401  (a fixture)

pytestmark = pytest.mark.realdata


def test_the_planners_components_are_those_of_the_published_answers(units):  # noqa: F811
    fit = fit_shrinkage(units)
    assert H_MIX_COMPONENTS.between == pytest.approx(fit.between, abs=1e-5)
    assert H_MIX_COMPONENTS.within == pytest.approx(fit.within, abs=1e-5)
    assert H_MIX_COMPONENTS.rho == pytest.approx(fit.rho, abs=1e-4)


def test_observers_fitted_on_the_published_answers_answer_like_them(units):  # noqa: F811
    population, rng = fit_population(units), np.random.default_rng(7)
    people = {answer.participant: Observer.draw(rng, population) for unit in units for answer in unit.answers}
    again = []
    for unit in units:
        effect = draw_image_effect(rng, population)
        given = tuple(
            Answer(
                answer.participant,
                people[answer.participant].answer(unit.lambda_, rng, effect),
                answer.repeat,
            )
            for answer in unit.answers
        )
        again.append(Unit(unit.key, unit.lambda_e4, 0, 1, given))
    for before, after in zip(numbers_by_lambda(units), numbers_by_lambda(again), strict=True):
        values = [[judgement.value for judgement in said] for said in (before, after)]
        sure = [np.mean([judgement.confidence for judgement in said]) for said in (before, after)]
        assert np.median(values[1]) == pytest.approx(np.median(values[0]), abs=0.05)
        assert np.mean(values[1]) == pytest.approx(np.mean(values[0]), abs=0.06)
        assert sure[1] == pytest.approx(sure[0], abs=0.06)
    assert fit_shrinkage(again).rho == pytest.approx(0.317, abs=0.06)
