"""What a report says of each arm by itself, and of the arm to take: temperatures, classes, thirds, figures without a
value, budgets, and how all of it was trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.reported import arm, judged, report, run
from training.evaluation.assessment import assess
from training.evaluation.metrics import entropies
from training.evaluation.predictions import predictions
from training.evaluation.temperature import fit_temperature, scaled
from training.evaluation.values import BY_KEY
from training.reports.arm_tables import by_entropy
from training.reports.sections import sections_of
from training.reports.text import as_markdown

CLASSES = ("cat", "sea lion", "dog")
NOT_DEFINED = "not defined on these images: a variation or a class is missing"


def tempered(seed: int, strength: float):
    """A run with its test figures at both temperatures, as judging keeps them."""
    made = run(seed, strength, human=True, validation=True)
    validation, test = made.validation, made.test
    found = {}
    for kind, targets in (("hard", validation.labels), ("human", validation.human)):
        fitted = fit_temperature(validation.log_p, targets)
        logits = scaled(test.log_p, fitted.value)
        cooled = predictions(labels=test.labels, logits=logits, human=test.human)
        found[kind] = {"T": fitted.value, "test": assess(cooled, draws=50).as_json()}
    return replace(made, evaluations={**made.evaluations, "temperature": found})


@pytest.fixture(scope="module")
def two():
    """Two arms with human labels, validation images and temperatures."""
    arms = [arm(name, [tempered(seed, s) for seed in (0, 1)]) for name, s in (("mixup", 1.0), ("human", 2.5))]
    return report(arms, classes=CLASSES)


def section(content, key):
    return next(one for one in sections_of(content) if one.key == key)


def diagnosed(made_run, rule, **more):
    return next(
        one for one in report([arm("mixup", [made_run])], **more)["diagnosis"]["mixup"] if one["rule"] == rule
    )


def without_value(made_run, key):
    """The run as if a figure were not defined for it."""
    tested = {
        **made_run.evaluations["test"],
        key: {"value": None, "interval": None, "n": 240, "undefined": [NOT_DEFINED]},
    }
    return replace(made_run, evaluations={**made_run.evaluations, "test": tested}, test=None)


# -- training accuracy


def test_accuracy_on_training_images_that_equals_that_on_test_images_is_found():
    made = run(0)
    test = made.values["accuracy"]
    assert test < 0.95

    def state(train):
        told = {**made.evaluations, "training": {"accuracy": {"value": train, "n": 300}}}
        return diagnosed(replace(made, evaluations=told), "equal_accuracy")["state"]

    assert (state(test + 0.0005), state(test + 0.01)) == ("found", "not found")
    assert diagnosed(made, "equal_accuracy")["state"] == "not assessed", "of older runs it is not known"


# -- the arm to take


def test_an_arm_of_more_steps_is_chosen_with_its_budget_said():
    runs = [run(seed, validation=True) for seed in (0, 1)]
    longer = [replace(run(seed, 3.0, validation=True), n_steps=20) for seed in (0, 1)]
    made = report([arm("base", runs), arm("on", longer, settings={"start_from": "base"})])
    assert (made["choice"]["arm"], made["choice"]["unequal_budget"]) == ("on", True)
    assert made["choice"]["sentence"].startswith("Unequal budget: ")
    assert "(base 10 steps, on 20 steps)" in made["choice"]["sentence"]
    equal = report([arm("base", runs), arm("other", [run(seed, 3.0, validation=True) for seed in (0, 1)])])
    assert equal["choice"]["unequal_budget"] is False
    assert "budget" not in equal["choice"]["sentence"]


def test_one_validation_image_chooses_no_arm_and_the_report_says_so():
    one = judged(0, 2.0, n=1, images=1)
    made = report([arm(name, [replace(run(0), validation=one)]) for name in ("a", "b")])
    assert made["choice"]["arm"] is None
    assert "No arm is put first by 1 validation image: " in made["choice"]["sentence"]
    assert made["choice"]["sentence"] in as_markdown(made)


def test_arms_that_are_equal_everywhere_would_not_be_found_apart_with_any_power():
    arms = [arm(name, [run(seed) for seed in range(5)]) for name in ("a", "b")]
    made = report(arms, config={"contrasts": [{"arm": "a", "against": "b"}]})
    (one,) = made["contrasts"]["planned"]
    assert (one["verdict"], one["value"], one["detectable"]) == ("not separable", 0, None)
    assert "equal on every image" in one["sentence"]
    assert "power" not in one["sentence"]


# -- figures without a value


def test_a_figure_that_one_seed_has_no_value_of_keeps_its_place_and_says_why():
    key = "entropy_correlation_pearson"
    good = [run(seed, human=True) for seed in (0, 1)]
    arms = [arm("constant", [good[0], without_value(good[1], key)]), arm("other", good)]
    made = report(arms, config={"primary": key, "contrasts": [{"arm": "constant", "against": "other"}]})
    summary = made["arms"][0]["summary"][key]
    assert (summary["mean"], summary["interval"]) == (None, None)
    assert [one is None for one in summary["values"]] == [False, True]
    assert made["arms"][1]["summary"][key]["mean"] is not None
    (told,) = [one for one in made["not_assessed"] if one["what"] == "Entropy correlation"]
    assert (told["why"], told["arms"]) == (f"{NOT_DEFINED} (seed 1)", ["constant"])
    (note,) = [one for one in made["notes"] if "could not be judged" in one]
    assert f"Entropy correlation has no value for constant: {NOT_DEFINED} (seed 1)" in note
    text = as_markdown(made)
    assert f"Entropy correlation (constant): {NOT_DEFINED} (seed 1)." in text
    assert "None" not in text


def test_what_nobody_could_measure_is_no_figure_without_a_value():
    made = report([arm("mixup", [run(0)])])
    assert "human_kl" not in made["arms"][0]["summary"]
    assert BY_KEY["human_kl"].name not in [one["what"] for one in made["not_assessed"]]


def test_an_accuracy_that_did_not_vary_has_the_interval_of_its_images():
    wrong = run(0, -50.0)
    assert wrong.values["accuracy"] == 0
    low, high = report([arm("mixup", [wrong])])["arms"][0]["summary"]["accuracy"]["interval"]
    assert (low, high) == (0, pytest.approx(0.0157, abs=1e-4))  # Wilson, 0 of 240


# -- temperatures


def test_what_a_temperature_was_fitted_for_stands_beside_the_error_of_calibration(two):
    ways = {one["key"]: one for one in two["calibration"]["human"]}
    kept = [tempered(seed, 2.5).evaluations["temperature"] for seed in (0, 1)]
    for key, way in (("log_loss", "hard"), ("human_cross_entropy", "human")):
        found = ways[way]["figures"][key]
        assert found == pytest.approx(sum(one[way]["test"][key]["value"] for one in kept) / 2)
        assert found < ways["none"]["figures"][key]
    assert all(one["figures"]["human_ece"] > 0 for one in ways.values())
    (table,) = section(two, "calibration").tables
    heads = ("Log loss ↓", "CE, human labels ↓", "Human-ECE ↓")
    assert set(heads) <= set(table.columns)
    row = table.rows[4]
    assert row[1] == "T of the labels"
    assert row[table.columns.index("Log loss ↓")] == ways["hard"]["figures"]["log_loss"]


def test_a_temperature_at_the_end_of_its_range_is_said():
    perfect = judged(0, 60.0, n=120, images=1)
    made = report([arm("mixup", [replace(run(0), validation=perfect)])])
    assert any("sharper is better" in said for said in section(made, "calibration").sentences)


def test_what_was_noted_of_one_seeds_temperature_is_not_told_of_the_whole_arm():
    ordinary = run(1, validation=True)
    runs = [replace(run(0), validation=judged(0, 60.0, n=120, images=1)), ordinary]
    made = report([arm("mixup", runs)])
    (note,) = next(one["notes"] for one in made["calibration"]["mixup"] if one["key"] == "hard")
    assert note.startswith("seed 0: ")
    assert "sharper is better" in note


def test_a_report_stored_without_these_figures_is_shown_without_them(two):
    ways = [
        {k: v for k, v in one.items() if k not in ("figures", "notes")} for one in two["calibration"]["mixup"]
    ]
    old = {key: value for key, value in two.items() if key != "per_class"}
    old |= {"calibration": {"mixup": ways}}
    (table,) = section(old, "calibration").tables
    assert table.rows[0][-1] is None
    assert not any(one.key == "classes" for one in sections_of(old))


# -- classes, and thirds


def test_classes_are_named_where_they_are_found():
    weak = run(0, 0.2)
    named = diagnosed(weak, "too_small", classes=CLASSES)
    assert set(named["numbers"]["classes"]) <= set(CLASSES)
    assert named["state"] == "found"
    assert all(one.isdigit() for one in diagnosed(weak, "too_small")["numbers"]["classes"])
    text = as_markdown(report([arm("mixup", [weak])], classes=CLASSES))
    assert "classes cat, sea lion, dog; least precision 0." in text


def test_every_class_has_precision_recall_and_f1_folded_away(two):
    found = section(two, "classes")
    assert found.folded
    assert [row[0] for row in found.tables[0].rows] == list(CLASSES)
    each = [tempered(seed, 1.0).evaluations["test"]["per_class"] for seed in (0, 1)]
    row = two["per_class"]["mixup"][1]
    for key in ("precision", "recall", "f1"):
        assert row[key] == pytest.approx(sum(one[key][1]["value"] for one in each) / 2)
    assert row["n"] == each[0]["recall"][1]["n"]


def test_thirds_of_entropy_have_every_figure_against_people_folded_away(two):
    found = section(two, "thirds")
    assert found.folded
    assert len(found.tables) == 3
    known = [one["key"] for one in two["metrics"] if one["group"] == "people"]
    for number, table in enumerate(found.tables):
        assert len(table.rows) == len(known) > 6
        assert table.columns[1:-1] == ("mixup", "human")
        first = two["human_thirds"]["human"][number]["human_cross_entropy"]
        assert table.rows[0][2] == first["value"]


def test_where_people_disagree_is_drawn_beside_the_floor_and_no_ceiling_is_promised(two):
    (figure,) = [one for one in two["figures"] if one["key"] == "human_thirds"]
    assert figure["table"]["columns"] == ["Third", "mixup", "human", "floor"]
    assert all(None not in row for row in figure["table"]["rows"])
    assert "ceiling" not in figure["definition"]


def test_no_entropy_is_less_than_nothing():
    thirds = [("mixup", [{"entropy": [-0.0, -0.0], "human_kl": {"value": 0.1, "floor": 0.0}}])]
    assert np.signbit(entropies(np.eye(2))).tolist() == [False, False]
    assert "entropy 0 to 0 nats" in by_entropy(thirds)[1][0].caption


# -- how it was trained


def test_the_recipe_and_every_run_that_took_time_are_in_the_report():
    recipe = {"net": "resnet20", "epochs": 30, "lr": 0.1, "schedule": "cosine", "milestones": []}
    recipe["augment"] = {"flip": True, "crop": 4}
    runs = [run(seed) for seed in (0, 1)]
    tried = tuple(run(0) for _ in range(3))
    one = arm("mixup", runs, candidates=tried, folds=(run(0),), excluded=((2, 0, "diverged"),))
    text = as_markdown(report([one], config={"train": recipe}))
    assert "Recipe: net resnet20; epochs 30; lr 0.1; schedule cosine; augment (crop 4, flip True)" in text
    assert (
        "Training time: 9 s for 6 runs (2 compared, 1 that held mixed images out, 3 to tune by); without 1 left out by"
        in text
    )
    assert "Training time: 3 s for 2 runs\n" in as_markdown(report([arm("mixup", runs)]))
