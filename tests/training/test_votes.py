"""The human ceiling of an experiment, from votes of its image set: also of runs judged before there were any."""

from __future__ import annotations

import numpy as np
import pytest

from elicitation.images.services import import_human_labels
from hilmix.accounts.roles import OPERATOR
from hilmix.jobs.progress import Progress
from tests.training.conftest import quick
from tests.training.doing import run_experiment
from tests.training.reported import CLASSES, N, arm, report, run
from training.evaluation import people
from training.experiments.config import parse_config
from training.experiments.material import resolve
from training.experiments.services import create_experiment
from training.models import Report, Run
from training.reports.gathering import arm_result
from training.reports.sections import sections_of
from training.reports.services import report_if_finished

ALL = list(people.reach(np.array([[3, 1], [1, 3], [4, 0]])).bounds)


def votes_on(labels: np.ndarray, n: int = 20, classes: int = 10) -> np.ndarray:
    rng = np.random.default_rng(0)
    q = 0.8 * np.eye(classes)[labels] + 0.2 * rng.dirichlet(np.ones(classes), len(labels))
    return rng.multinomial(n, q)


def attach(digits, labels):
    import_human_labels(image_set=digits, labels=labels, meaning="made up", actor=OPERATOR)


def test_runs_judged_before_there_were_votes_have_a_ceiling_in_the_next_report_and_their_experiment_is_the_same(
    config, digits
):
    votes = votes_on(digits.open().labels)
    attach(digits, votes / votes.sum(axis=1, keepdims=True))
    experiment = create_experiment(config=config, actor=OPERATOR)
    run_experiment(Progress(), experiment.pk)
    judged = Run.objects.first()
    assert "ceiling" not in judged.evaluations["test"]["human_kl"]
    first = experiment.arms.first()
    old = Report.objects.get().content
    assert "ceiling" not in old["arms"][0]["summary"]["human_kl"]

    attach(digits, votes)
    assert create_experiment(config=config, actor=OPERATOR) == experiment
    Report.objects.all().delete()
    new = report_if_finished(experiment=experiment).content
    test = digits.open().splits["test"]
    expected = people.Panel(votes[test]).bounds()
    for one in new["arms"]:
        for key in ALL:
            told = one["summary"][key]
            assert told["ceiling"] == pytest.approx(expected[key].ceiling), key
            assert not any("ceiling" in said for said in told["undefined"]), key
        assert one["summary"]["human_kl"]["floor"] == pytest.approx(expected["human_kl"].floor)
    for before, after in zip(old["arms"], new["arms"], strict=True):
        assert after["summary"]["human_kl"]["mean"] == before["summary"]["human_kl"]["mean"]
    (said,) = [one for one in sections_of(new) if one.key == "people"]
    assert not any("needs counts" in text for text in said.sentences)
    assert said.tables[0].rows[0][-1] == pytest.approx(expected["human_cross_entropy"].ceiling)
    assert arm_result(first, None).reach is None


def test_a_run_is_judged_beside_the_ceiling_where_there_are_votes(config, digits):
    votes = votes_on(digits.open().labels)
    attach(digits, votes)
    experiment = create_experiment(config=config, actor=OPERATOR)
    run_experiment(Progress(), experiment.pk)
    expected = people.Panel(votes[digits.open().splits["test"]]).bounds()
    tested = Run.objects.first().evaluations["test"]
    assert tested["human_brier"]["ceiling"] == expected["human_brier"].ceiling
    assert tested["human_kl"]["undefined"] == []
    assert "ceiling" not in tested["human_thirds"][0]["human_kl"]


def test_one_vote_on_a_test_image_leaves_no_ceiling_and_the_report_says_which_reason(release, digits):
    votes = votes_on(digits.open().labels)
    votes[digits.open().splits["test"][0]] = np.eye(10, dtype=int)[3]
    attach(digits, votes)
    reach = resolve(parse_config(quick())).reach
    assert (dict(reach.bounds), reach.why) == ({}, people.TOO_FEW)
    made = report([arm("a", [run(0, human=True)], reach=reach)])
    told = made["arms"][0]["summary"]["human_kl"]
    assert "ceiling" not in told
    assert told["undefined"] == [people.TOO_FEW]


def test_a_report_of_runs_that_nobody_looked_into_keeps_what_they_say():
    told = report([arm("a", [run(0, human=True)])])["arms"][0]["summary"]
    assert people.NO_COUNTS in told["human_kl"]["undefined"]
    votes = votes_on(np.random.default_rng(1).integers(0, CLASSES, N), classes=CLASSES)
    reached = report([arm("a", [run(0, human=True)], reach=people.reach(votes))])["arms"][0]["summary"]
    assert reached["human_ece"]["floor"] == told["human_ece"]["floor"]
    assert reached["human_ece"]["ceiling"] == people.Panel(votes).bounds()["human_ece"].ceiling
    assert reached["accuracy"] == told["accuracy"]
