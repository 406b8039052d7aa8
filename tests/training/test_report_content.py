"""What a report says and does not say, from made-up runs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hilmix.figures import markdown, show
from training.evaluation.leakage import Leakage
from training.evaluation.scores import METRICS, score
from training.reports.content import ArmResult, RunResult, report_content, score_table, spread_text
from training.reports.text import as_markdown, summary

PROVENANCE = [("Release", "demo@1.0.0"), ("Image set", "digits"), ("Configuration", "abc"), ("Seeds", "0, 1")]


def run(seed: int, *, plan: str = "p", human: bool = False) -> RunResult:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, 2, (60, 3)), rng.integers(0, 3, 60)
    curve = {"train_loss": 1.0 + seed, "train_floor": 0.1, "validation_loss": 0.5, "validation_accuracy": 0.9}
    return RunResult(
        seed=seed,
        curves=[curve, {**curve, "train_loss": 0.5 + seed}],
        metrics=score(logits, labels, np.full((60, 3), 1 / 3) if human else None),
        environment={"device": "cpu (x)", "torch": "2", "seconds": 1.5},
        n_steps=10,
        plan_sha256=f"{plan}{seed}",
    )


def content(*, seeds=(0, 1), source="person", plans=("p", "p"), human=False) -> dict:
    arms = [
        ArmResult(
            name=policy,
            policy=policy,
            params={"version": 1, "meaning": f"what {policy} means", "params": {}},
            runs=tuple(run(seed, plan=plan, human=human) for seed in seeds),
        )
        for policy, plan in zip(("mixup", "human_lambda"), plans, strict=True)
    ]
    made = report_content(
        name="trial",
        source=source,
        arms=arms,
        leakage=Leakage(540, 60, 100, 0, 0, 0),
        provenance=PROVENANCE,
        config={"seeds": list(seeds)},
    )
    return json.loads(json.dumps(made))  # what the database gives back


def test_below_five_seeds_there_is_no_verdict_and_the_report_says_why():
    assert "Too few seeds for a verdict: 2" in " ".join(content()["notes"])
    assert "Too few seeds" not in " ".join(content(seeds=range(5))["notes"])


def test_simulated_answers_carry_a_watermark_and_no_verdict_however_many_the_seeds():
    made = content(source="simulated", seeds=range(5))
    assert made["watermark"] == "Simulated participants"
    assert any("simulated" in note and "no verdict" in note for note in made["notes"])
    assert "**SIMULATED PARTICIPANTS**" in summary(made)
    assert content()["watermark"] == ""


def test_every_arm_has_mean_and_spread_of_every_metric():
    made = content(human=True)
    for arm in made["arms"]:
        for metric in METRICS:
            found = arm["summary"][metric.key]
            assert found["mean"] == pytest.approx(np.mean(found["values"]))
            assert found["sd"] == pytest.approx(np.std(found["values"], ddof=1))
    table = score_table(made)
    assert [row[0] for row in table.rows] == ["mixup", "human_lambda"]
    assert table.columns[1] == "Accuracy ↑"
    assert "±" in table.rows[0][1]


def test_without_human_labels_the_report_says_so_and_has_no_such_column():
    made = content()
    assert made["arms"][0]["summary"]["ce_human"] is None
    assert not any("human" in head for head in score_table(made).columns)
    assert "CE, human labels ↓" in score_table(content(human=True)).columns
    assert any("no human labels" in note for note in made["notes"])


def test_arms_that_did_not_see_the_same_batches_are_called_out():
    assert content()["budget"]["equal"]
    unequal = content(plans=("p", "q"))["budget"]
    assert not unequal["equal"]
    assert "do not compare" in unequal["sentence"]


def test_every_figure_says_what_it_is_and_where_it_comes_from():
    figures = content()["figures"]
    assert [figure["kind"] for figure in figures] == ["curve", "curve", "curve", "reliability"]
    for figure in figures:
        assert figure["definition"]
        assert figure["source"] == "Release demo@1.0.0; Image set digits; Configuration abc; Seeds 0, 1"
        assert all(len(row) == len(figure["table"]["columns"]) for row in figure["table"]["rows"])


def test_the_training_curve_shows_the_entropy_floor_beside_the_mean_over_seeds():
    figure = content()["figures"][0]
    styles = {line["name"]: line["style"] for line in figure["series"]}
    assert styles["mixup, floor"] == "dashed"
    assert styles["mixup, seed 0"] == "faint"
    mean = next(line for line in figure["series"] if line["name"] == "mixup")
    assert mean["points"] == [[1, 1.5], [2, 1.0]]


def test_the_markdown_holds_scores_checks_and_provenance():
    text = as_markdown(content())
    assert "0 of 540 evaluation images are parents of one of the 60 mixed images." in text
    assert "Release: demo@1.0.0" in text
    assert "mixup@1, what mixup means" in text


def test_one_seed_has_no_spread():
    assert spread_text({"mean": 0.5, "sd": None, "values": [0.5]}) == "0.5000"


def test_cells_are_shown_for_people():
    assert [show(cell) for cell in (None, 0.123456, 12, "a")] == ["–", "0.1235", "12", "a"]
    assert markdown(["a", "b"], [[1, None]]) == "| a | b |\n| - | - |\n| 1 | – |"
