"""The published H-Mix answers through the core's label policies, against the values published with them."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.mixing import lambda_e4_from_text
from hilmix.core.softlabels import build_label_set, fit_shrinkage
from hilmix.core.softlabels.counting import perceived

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def units(realdata: Path) -> list[Unit]:
    """The 2,070 mixed images with their 4,950 answers; class 0 is the first, class 1 the second."""
    answers: dict[str, list[Answer]] = defaultdict(list)
    lambdas: dict[str, int] = {}
    with (realdata / "hmix" / "hmix_infer_mixing_factor.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            said = json.loads(row["responses"])
            judgement = PerceivedLambda(1 - said["mixingcoeff"] / 100, said["confidence"] / 100)
            repeat = row["task"].startswith("rerun_")
            answers[row["filename"]].append(Answer(row["subject"], judgement, repeat))
            lambdas[row["filename"]] = lambda_e4_from_text(row["mixtureCoeff"])
    return [Unit(name, lambdas[name], 0, 1, tuple(given)) for name, given in answers.items()]


def test_all_published_answers_are_read(units):
    assert len(units) == 2070
    assert sum(len(unit.answers) for unit in units) == 4950
    assert perceived(units).sizes.sum() == 4788
    assert len({answer.participant for unit in units for answer in unit.answers}) == 81


def test_the_published_recipe_gives_the_published_values(units, realdata):
    published = json.loads((realdata / "hmix" / "processed_inferences_sample.json").read_text("utf-8"))
    assert len(published) == 207
    rows = dict(
        zip((unit.key for unit in units), build_label_set("hmix_weighted", units, 2).rows, strict=True)
    )
    for name, values in published.items():
        row = rows[name]
        assert row.n == len(values["Predicted Mixing Factor"])
        assert row.lambda_ == pytest.approx(values["Weighted Re-Label"], abs=1e-15)
        assert row.spread == pytest.approx(values["Std Dev"], abs=1e-15)


def test_image_specific_perception_is_real(units):
    fit = fit_shrinkage(units)
    assert fit.rho == pytest.approx(0.317, abs=5e-4)
    assert fit.weight(1) == pytest.approx(0.317, abs=5e-4)
    assert fit.weight(4788 / 2070) == pytest.approx(0.52, abs=0.005)  # reliability of a mean of 2.3 answers
    assert fit.weight(9) == pytest.approx(0.81, abs=0.01)
    assert (fit.n_answers, fit.n_units) == (4788, 2070)


def test_the_shrunk_label_predicts_a_person_left_out_better_than_the_raw_mean_and_mixup(units):
    """Five folds by person, five splits: squared error of each label made from the others' answers."""
    people = sorted({answer.participant for unit in units for answer in unit.answers})
    rng = np.random.default_rng(0)
    errors: dict[str, list[float]] = defaultdict(list)
    for _ in range(5):
        fold = dict(zip(people, rng.permutation(len(people)) % 5, strict=True))
        for left_out in range(5):
            for policy, error in prediction_errors(units, {p for p in people if fold[p] == left_out}).items():
                errors[policy].append(error)
    mean = {policy: float(np.mean(values)) for policy, values in errors.items()}
    assert mean["human_lambda_shrunk"] == pytest.approx(0.0438, abs=5e-4)
    assert mean["mixup"] == pytest.approx(0.0512, abs=5e-4)
    assert mean["human_lambda"] == pytest.approx(0.0615, abs=1e-3)
    # Our labels of the published recipe leave the left-out persons' repeats out too.
    assert mean["hmix_weighted"] == pytest.approx(0.0904, abs=2e-3)


def prediction_errors(units: list[Unit], left_out: set[str]) -> dict[str, float]:
    """Mean squared error for the first answers of `left_out` to images that others answered as well."""
    kept, targets = [], []
    for unit in units:
        mine = [a.judgement.value for a in unit.answers if a.participant in left_out and not a.repeat]
        others = tuple(a for a in unit.answers if a.participant not in left_out)
        kept.append(Unit(unit.key, unit.lambda_e4, 0, 1, others))
        targets.append(mine if others else [])
    counts = [len(mine) for mine in targets]
    values = np.concatenate(targets)
    errors = {}
    for policy in ("mixup", "human_lambda", "human_lambda_shrunk", "hmix_weighted"):
        labels = np.array([row.lambda_ for row in build_label_set(policy, kept, 2).rows])
        errors[policy] = float(np.mean((np.repeat(labels, counts) - values) ** 2))
    return errors
