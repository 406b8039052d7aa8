"""The parts of a report that not every experiment asks for: choice, temperatures, robustness, held-out mixed images,
symptoms, and reports of earlier versions."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.training.reported import arm, report, run
from training.reports.sections import sections_of
from training.reports.tables import checks_of, choice_sentence, definitions_of, is_sure, score_table
from training.reports.text import as_markdown


def figure(value, n=50):
    return {"value": value, "interval": [value - 0.1, value + 0.1], "n": n, "undefined": []}


@pytest.fixture(scope="module")
def rich():
    """Two arms with validation images, human labels and corruptions; the second breaks half as often."""
    arms = [
        arm(
            name,
            [
                run(seed, strength, human=True, validation=True, breaks=breaks, evaluations=attacked())
                for seed in (0, 1)
            ],
        )
        for name, strength, breaks in (("mixup", 2.0, 0.4), ("human_lambda", 2.5, 0.2))
    ]
    return report(arms)


def attacked():
    accuracy = {"value": 0.25, "interval": [0.2, 0.3], "n": 240, "undefined": []}
    fgsm = {"n": 240, "epsilon": 4 / 255, "accuracy": accuracy, "loss": 2.5, "trajectory": []}
    masked = {"masked": True, "reasons": ["Square breaks 12 images that PGD does not."]}
    return {"robustness": {"attacks": {"fgsm": fgsm, "masked_gradients": masked}}}


def section(content, key):
    return next(one for one in sections_of(content) if one.key == key)


def test_an_arm_is_chosen_by_validation_images_with_how_often_it_is_first(rich):
    choice = rich["choice"]
    assert (choice["arm"], choice["metric"]) == ("human_lambda", "human_cross_entropy")
    assert sum(choice["first_share"].values()) == pytest.approx(1)
    assert "Test images had no part in this." in choice["sentence"]
    said = "is to be taken among these trained models"  # two seeds
    unsure = "is first among these trained models, but not surely"
    assert (said if is_sure(choice["first_share"]["human_lambda"]) else unsure) in choice["sentence"]


def test_an_arm_that_is_first_but_not_surely_is_not_to_be_taken():
    half = {"a": 0.51, "b": 0.49}
    old = {"arm": "a", "first_share": half, "sentence": "a is to be taken among these trained models: 51%"}
    assert choice_sentence(old) == "a is first among these trained models, but not surely: 51%"
    assert choice_sentence(old | {"first_share": {"a": 0.95}}) == old["sentence"]


def test_an_arm_chosen_by_simulated_answers_would_be_taken_were_they_peoples():
    made = report([arm(name, [run(0, validation=True)]) for name in ("a", "b")], source="simulated")
    assert (
        "would be first among these trained models, but not surely, were the answers people's:"
        in made["choice"]["sentence"]
    )


def test_without_validation_images_no_arm_is_chosen_and_no_temperature_is_fitted():
    made = report([arm("mixup", [run(0)]), arm("human_lambda", [run(0)])])
    assert made["choice"]["arm"] is None
    assert "No arm is put first" in as_markdown(made)
    ways = {one["key"]: one for one in made["calibration"]["mixup"]}
    assert "ece" in ways["none"]
    assert ways["hard"]["not_assessed"].startswith("no validation images")


def test_validation_images_without_human_labels_have_no_temperature_of_people():
    arms = [arm(name, [run(0, validation=True)]) for name in ("mixup", "human_lambda")]
    made = report(arms)
    ways = {one["key"]: one for one in made["calibration"]["mixup"]}
    assert ways["human"] == {
        "key": "human", "temperature": "T of people", "not_assessed": "the validation images have no human labels"
    }  # fmt: skip
    assert made["choice"]["metric"] == "log_loss"
    assert "not assessed, the validation images have no human labels" in as_markdown(made)


def test_the_temperature_of_labels_brings_the_error_of_calibration_down_and_leaves_accuracy(rich):
    ways = {one["key"]: one for one in rich["calibration"]["mixup"]}
    assert ways["hard"]["T"] < 1
    assert ways["hard"]["ece"] < ways["none"]["ece"]
    keys = [figure["key"] for figure in rich["figures"]]
    assert {"reliability", "reliability_hard", "reliability_human"} <= set(keys)


def test_a_risk_score_stands_beside_clean_accuracy_and_the_difference_has_a_paired_interval(rich):
    first, second = rich["robustness"]["arms"]
    assert rich["robustness"]["reference"] == "mixup"
    assert (first["band"], second["band"]) == ("yellow", "green")
    for one in (first, second):
        assert one["accuracy"]["interval"][0] <= one["accuracy"]["value"] <= one["accuracy"]["interval"][1]
        assert set(one["groups"]) == set(rich["robustness"]["groups"])
    assert first["mce_percent"]["value"] == pytest.approx(100)
    assert second["mce_percent"]["value"] < 80
    assert "against" not in first
    assert second["against"]["score"]["interval"][1] < 0
    assert second["against"]["score"]["value"] == pytest.approx(
        second["score"]["value"] - first["score"]["value"]
    )
    assert len(second["against"]["breaks"]) == 20
    assert "Clean accuracy ↑" in section(rich, "robustness").tables[0].columns


def test_a_seed_with_no_image_right_has_no_risk_score_and_neither_has_its_arm():
    good = run(0, breaks=0.2)
    bad = run(1, breaks=0.2)
    wrong = (bad.robustness.labels + 1) % 3
    bad = replace(bad, robustness=replace(bad.robustness, predicted=wrong))
    (told,) = report([arm("mixup", [good, bad])])["robustness"]["arms"]
    assert told["score"] is None
    assert told["accuracy"]["value"] > 0
    (told,) = report([arm("mixup", [bad])])["robustness"]["arms"]
    assert told["accuracy"]["value"] == 0
    assert told["accuracy"]["interval"] == [0, pytest.approx(0.0157, abs=1e-4)], "Wilson, 0 of 240"


def test_attacks_and_what_they_say_of_gradients_are_told(rich):
    text = as_markdown(rich)
    assert "FGSM, 240 images" in text
    assert (
        "gradients look masked, so what FGSM and PGD leave is no evidence of strength. Square breaks 12"
        in text
    )


def test_what_was_not_asked_for_is_said_to_be_not_assessed():
    made = report([arm("mixup", [run(0, evaluations={"not_assessed": {"people": "nobody was asked"}})])])
    said = {one["what"]: one["why"] for one in made["not_assessed"]}
    assert said["people"] == "nobody was asked"
    assert "name them with robustness" in said["corruptions"]
    assert "holdout_mixes" in said["held-out mixed images"]
    assert "Not assessed" in as_markdown(made)


def test_held_out_mixed_images_are_judged_over_all_folds_and_agreement_is_no_accuracy():
    def fold(number, value, n):
        mixed = {
            "n": n,
            "people": {"human_cross_entropy": figure(value, n)},
            "mixup": {"mixup_agreement_top1": figure(0.5, n)},
        }
        return replace(
            run(0), fold=number, evaluations={"mixed": mixed, "not_assessed": {"masks": "none were made"}}
        )

    made = report([arm("mixup", [run(0)], folds=(fold(1, 1.0, 30), fold(2, 2.0, 10)))])
    assert {"what": "masks", "why": "none were made", "arms": ["all arms"]} in made["not_assessed"]
    mixed = made["mixed"]["mixup"]
    assert mixed["n"] == 40
    assert mixed["people"]["human_cross_entropy"]["value"] == pytest.approx(1.25)
    text = " ".join(section(made, "mixed").sentences)
    assert "agreement with it is no accuracy" in text
    assert [table.caption.split(":")[0] for table in section(made, "mixed").tables] == [
        "Against people's answers", "Agreement with mixup",
    ]  # fmt: skip


def test_symptoms_are_told_with_evidence_and_remedy_and_what_could_not_be_judged(rich):
    findings = {one["rule"]: one for one in rich["diagnosis"]["mixup"]}
    assert findings["miscalibrated"]["state"] == "found"
    assert findings["miscalibrated"]["numbers"]["direction"] == "under-confident"
    assert (findings["miscalibrated"]["n_found"], findings["miscalibrated"]["n_seeds"]) == (2, 2)
    assert findings["over_fitting"]["state"] == "not assessed"
    assert findings["robustness_ignored"]["state"] == "not found"
    told = section(rich, "diagnosis")
    looked_for, evidence = told.tables
    states = {row[0]: row[2] for row in looked_for.rows}
    assert states["Miscalibrated"].startswith("found")
    assert states["Over-fitting"].startswith("not assessed (needs the loss curves")
    assert any(row[:2] == ("mixup", "Miscalibrated") for row in evidence.rows)


def test_a_report_of_an_earlier_version_is_shown_as_it_was():
    metric = {"key": "accuracy", "name": "Accuracy", "definition": "right", "higher_is_better": True}
    old = {
        "format": "hilmix-report/1", "name": "old", "watermark": "", "notes": ["Few seeds."], "seeds": [0, 1],
        "n_evaluation": 9, "metrics": [metric], "figures": [], "provenance": [["Release", "a@1"]],
        "arms": [{
            "name": "mixup", "policy": "mixup", "params": {"version": 1, "meaning": "λ itself."},
            "summary": {"accuracy": {"mean": 0.5, "sd": 0.1, "values": [0.4, 0.6]}},
        }],
        "leakage": {"sentences": ["None leaks."]}, "budget": {"sentence": "Alike."},
    }  # fmt: skip
    assert sections_of(old) == []
    assert score_table(old).rows == (("mixup", "0.5000 ± 0.1000"),)
    assert "over 2 seeds" in score_table(old).caption
    assert checks_of(old) == ["None leaks.", "Alike."]
    assert definitions_of(old)[-1] == ("mixup", "mixup@1: λ itself. Accuracy of each seed: 0.4000, 0.6000.")
    assert as_markdown(old).startswith("# old")


def test_a_report_is_made_without_torch():
    look = (
        "import django, sys; django.setup()\n"
        "import training.reports.services, training.reports.gathering, training.reports.content\n"
        "print('torch' in sys.modules)"
    )
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "hilmix.settings"}
    done = subprocess.run([sys.executable, "-c", look], env=env, text=True, capture_output=True, check=True)
    assert done.stdout.strip() == "False"
