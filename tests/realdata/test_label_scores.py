"""Which labels predict people, on the published H-Mix answers: the numbers that decide the defaults."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from hilmix.core.features import features_of
from hilmix.core.judgements import Answer, PerceivedLambda, Unit
from hilmix.core.label_scores import LabelScores, score_labels
from hilmix.core.mixing import lambda_e4_from_text
from hilmix.core.softlabels import Evidence, PerceptualMixup, build_label_set

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def evidence(realdata: Path) -> Evidence:
    """The 2,070 mixed images of infer with their answers, parents and the parents' pixel features."""
    cifar10 = np.load(realdata / "cifar10_test.npz")
    images, labels = cifar10["images"], cifar10["labels"]
    answers: dict[tuple[int, int, int], list[Answer]] = defaultdict(list)
    with (realdata / "hmix" / "hmix_infer_mixing_factor.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            said = json.loads(row["responses"])
            judgement = PerceivedLambda(1 - said["mixingcoeff"] / 100, said["confidence"] / 100)
            lambda_e4 = lambda_e4_from_text(row["mixtureCoeff"])
            _, _, _, first, _, second = row["filename"].removesuffix(".png").split("_")
            answer = Answer(row["subject"], judgement, row["task"].startswith("rerun_"))
            answers[int(first), int(second), lambda_e4].append(answer)
    units = [
        Unit(
            f"{first}-{second}-{lambda_e4}",
            lambda_e4,
            int(labels[first]),
            int(labels[second]),
            tuple(given),
            (first, second),
        )
        for (first, second, lambda_e4), given in answers.items()
    ]
    parents = np.array([unit.parents for unit in units])
    return Evidence(units, 10, features=features_of(images)[parents])


@pytest.fixture(scope="module")
def scores(evidence: Evidence) -> LabelScores:
    return score_labels(evidence, repeats=4)


def test_the_answers_are_those_of_h_mix(scores):
    assert (scores.n_answers, scores.n_people, scores.n_units, scores.n_groups) == (4788, 81, 2070, 1251)


# As recomputed once from the published answers, over other folds: squared error and cross-entropy where others answered
# about the same image. Then what this code finds, which is the same each time, over all answers: where nobody else's is
# left, the label of single images is λ itself, which is better than their noise.
@pytest.mark.parametrize(
    ("name", "recomputed", "found"),
    [
        ("mixup", (0.0512, 0.541), (0.05105, 0.53995)),
        ("population_curve", (0.0498, 0.535), (0.04966, 0.53536)),
        ("class_pair_curve", (0.0480, 0.531), (0.04768, 0.53032)),
        ("human_lambda_shrunk", (0.0438, 0.520), (0.04507, 0.52379)),
        ("human_lambda", (0.0615, 0.617), (0.05920, 0.59795)),
        ("human_lambda(statistic=confidence_weighted)", (0.0643, 0.635), (0.05997, 0.60129)),
        ("hmix_weighted", (0.0904, 0.702), (0.08372, 0.66470)),
    ],
)
def test_each_label_predicts_people_left_out_as_well_as_was_recomputed(scores, name, recomputed, found):
    score = scores.score(name)
    others = score.others_answered
    assert (others.squared_error, others.cross_entropy) == pytest.approx(recomputed, rel=0.025)
    assert (score.overall.squared_error, score.overall.cross_entropy) == pytest.approx(found, abs=1e-4)


def test_the_raw_mean_is_worse_than_mixup_and_the_shrunk_mean_better_than_both(scores):
    raw, mixup, shrunk = (scores.of(name) for name in ("human_lambda", "mixup", "human_lambda_shrunk"))
    assert shrunk.squared_error < mixup.squared_error < raw.squared_error
    assert shrunk.cross_entropy < mixup.cross_entropy < raw.cross_entropy
    assert shrunk.bits_interval is not None
    assert raw.bits_interval is not None
    assert raw.bits_interval[1] < 0 < shrunk.bits_interval[0]


def test_the_perceptual_warp_beats_mixup_and_every_other_label_on_unseen_parents(scores):
    warp = scores.of("perceptual_warp", "parents")
    assert warp.bits_interval is not None
    assert warp.bits_interval[0] > 0.01
    others = [
        one.overall for one in scores.scores if one.unseen == "parents" and one.name != "perceptual_warp"
    ]
    assert all(warp.squared_error < one.squared_error for one in others)


def test_pixels_predict_a_quarter_of_what_images_reliably_differ_in(scores, evidence):
    """Of the variance of images about the curve, as hmix.md has it: six features × λ .25."""
    between = build_label_set("human_lambda_shrunk", evidence.units, 10).params["between"]
    curve, warp = (
        scores.of(name, "parents").squared_error for name in ("population_curve", "perceptual_warp")
    )
    assert (curve - warp) / between == pytest.approx(0.25, abs=0.04)


def test_people_set_a_ceiling_that_no_label_reaches(scores):
    best = scores.ceiling.overall
    assert best.squared_error == pytest.approx(
        0.0338, abs=0.0005
    )  # the variance within images of components_of
    assert all(best.squared_error < one.overall.squared_error for one in scores.scores)
    assert all(best.cross_entropy < one.overall.cross_entropy for one in scores.scores)


def test_busier_and_more_colourful_pictures_weigh_more_and_the_warp_says_how_well_it_predicts(evidence):
    params = build_label_set("perceptual_warp", evidence.units, 10, features=evidence.features).params
    weights = {name: row["b"] for name, row in params["features"].items()}
    assert weights["log_edge_energy"] == pytest.approx(0.318, abs=0.02)
    assert weights["log_edge_energy"] > weights["saturation"] > weights["mean"] > 0
    assert params["held_out"]["unseen parents"]["squared_error"] == pytest.approx(0.0456, abs=0.0003)
    assert params["held_out"]["unseen people"]["squared_error"] == pytest.approx(0.0458, abs=0.0003)
    grid = np.linspace(0, 1, 101)
    warp = PerceptualMixup.of(params)
    for pair in evidence.features[:200]:
        assert np.all(
            np.diff(warp.share_of(grid, np.tile(pair, (101, 1, 1)))) > 0
        )  # more of it, more is seen
