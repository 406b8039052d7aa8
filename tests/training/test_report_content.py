"""What a report says and does not say, from made-up runs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from markdown_it import MarkdownIt

from hilmix.figures import markdown, show
from tests.training.reported import CURVE, arm, report, run
from training.reports.advice import arms_first
from training.reports.comparing import equal_budget
from training.reports.sections import sections_of
from training.reports.tables import score_table, spread_text
from training.reports.text import as_markdown, summary

CONTRAST = {"contrasts": [{"arm": "human_lambda", "against": "mixup", "about": "information"}]}


def content(*, seeds=(0, 1), source="person", plans=("p", "p"), human=False, config=None, better=2.5, luck=0):
    arms = [
        arm(name, [run(seed, strength, plan=plan, human=human, luck=luck * place) for seed in seeds])
        for place, (name, plan, strength) in enumerate(
            zip(("mixup", "human_lambda"), plans, (2.0, better), strict=True)
        )
    ]
    return report(arms, source=source, config=config)


@pytest.fixture(scope="module")
def planned():
    """Five seeds, human labels, one planned contrast of two arms that differ much."""
    return content(seeds=range(5), human=True, config=CONTRAST)


def words(made) -> str:
    return as_markdown(made)


def test_below_five_seeds_there_is_no_verdict_and_the_report_says_why():
    made = content(config=CONTRAST, human=True)
    assert "Too few seeds for a verdict: 2" in " ".join(made["notes"])
    (one,) = made["contrasts"]["planned"]
    assert (one["verdict"], one["better"], one["p_holm"], one["these_models"]) == (
        "no verdict",
        None,
        None,
        True,
    )
    assert "For these trained models" in one["sentence"]


def test_from_five_seeds_on_a_planned_contrast_has_a_verdict(planned):
    assert "Too few seeds" not in " ".join(planned["notes"])
    assert "No contrast was planned" not in " ".join(planned["notes"])
    (one,) = planned["contrasts"]["planned"]
    assert (one["metric"], one["about"], one["n_seeds"]) == ("human_cross_entropy", "information", 5)
    assert (one["verdict"], one["better"]) == ("human_lambda is better", "human_lambda")
    assert one["interval_holm"][1] < 0
    assert one["value"] == pytest.approx(
        planned["arms"][1]["summary"]["human_cross_entropy"]["mean"]
        - planned["arms"][0]["summary"]["human_cross_entropy"]["mean"]
    )
    assert "human_lambda is better" in words(planned)


def test_what_is_not_separable_stands_beside_the_difference_that_would_be_found():
    made = content(seeds=range(5), human=True, config=CONTRAST, better=2.0, luck=1)
    (one,) = made["contrasts"]["planned"]
    assert one["verdict"] == "not separable"
    assert one["detectable"] > abs(one["value"])
    assert "would be found with 80% power" in one["sentence"]
    assert "Were " in one["sentence"]


def test_simulated_answers_carry_a_watermark_and_no_verdict_however_many_the_seeds():
    made = content(source="simulated", seeds=range(5), human=True, config=CONTRAST)
    assert made["watermark"] == "Simulated participants"
    assert any("simulated" in note and "no verdict" in note for note in made["notes"])
    (one,) = made["contrasts"]["planned"]
    assert (one["verdict"], one["better"], one["p_holm"]) == ("no verdict", None, None)
    assert "human_lambda is better" not in words(made)
    assert "**SIMULATED PARTICIPANTS**" in summary(made)
    assert content()["watermark"] == ""


def test_everything_unplanned_is_exploratory_and_counted(planned):
    contrasts = planned["contrasts"]
    others = contrasts["exploratory"]
    assert contrasts["n_exploratory"] == len(others) > 3
    assert {one["verdict"] for one in others} == {"exploratory"}
    assert f"{len(others)} comparisons that nobody planned" in words(planned)
    alone = content()
    assert alone["contrasts"]["planned"] == []
    assert any("No contrast was planned" in note for note in alone["notes"])
    assert (
        f"one of {alone['contrasts']['n_exploratory']} such comparisons"
        in (alone["contrasts"]["exploratory"][0]["sentence"])
    )


def test_a_planned_contrast_that_cannot_be_judged_is_said():
    made = content(config={**CONTRAST, "primary": "human_cross_entropy"})
    assert made["contrasts"]["planned"] == []
    assert any("could not be judged" in note and "was not measured" in note for note in made["notes"])


def test_every_arm_has_mean_spread_and_interval_of_every_metric(planned):
    for one in planned["arms"]:
        assert {"accuracy", "macro_f1", "macro_auroc", "human_kl", "classwise_ece_15"} <= one[
            "summary"
        ].keys()
        assert one["summary"]["top_5_accuracy"]["undefined"] == ["there are only 3 classes"]
        for key, found in one["summary"].items():
            if found["mean"] is None:
                assert key == "top_5_accuracy"
                continue
            assert found["mean"] == pytest.approx(np.mean(found["values"])), key
            assert found["sd"] == pytest.approx(np.std(found["values"], ddof=1)), key
            assert found["interval"][0] <= found["interval"][1], key
    table = score_table(planned)
    assert [row[0] for row in table.rows] == ["mixup", "human_lambda"]
    assert table.columns[1] == "Accuracy ↑"
    assert "±" in table.rows[0][1]


def test_intervals_of_an_arm_hold_its_seeds_and_its_images(planned):
    accuracy = planned["arms"][0]["summary"]["accuracy"]
    low, high = accuracy["interval"]
    images = 1.96 * (accuracy["mean"] * (1 - accuracy["mean"]) / (5 * 240)) ** 0.5
    assert high - low > 2 * images  # as wide as if seeds were more images, and wider
    assert not accuracy["these_models"]


def test_people_stand_beside_the_floor_and_a_ceiling_that_is_not_assessed_without_counts(planned):
    (people,) = [one for one in sections_of(planned) if one.key == "people"]
    assert any("ceiling not assessed" in text.lower() for text in people.sentences)
    first = people.tables[0].rows[0]
    assert first[0] == "CE, human labels ↓"
    assert 0.1 < first[-2] < 0.7  # the entropy of the labels
    assert first[-1] is None


def test_without_human_labels_the_report_says_so_and_has_no_such_column():
    made = content()
    assert "human_cross_entropy" not in made["arms"][0]["summary"]
    assert made["primary"] == "log_loss"
    assert not any("human" in head for head in score_table(made).columns)
    assert any("no human labels" in note for note in made["notes"])
    assert "CE, human labels ↓" in score_table(content(human=True)).columns


def test_arms_that_did_not_see_the_same_batches_are_called_out():
    assert content()["budget"]["equal"]
    made = content(plans=("p", "q"))
    assert not made["budget"]["equal"]
    assert "do not compare" in made["budget"]["sentence"]
    assert all(one["unequal_budget"] for one in made["contrasts"]["exploratory"])


def test_an_arm_that_goes_on_from_another_is_marked_as_of_unequal_budget_and_the_others_are_not():
    runs = [run(seed) for seed in (0, 1)]
    longer = [run(seed, 2.2) for seed in (0, 1)]
    for one in longer:
        object.__setattr__(one, "n_steps", 20)
    arms = [
        arm("none", runs, policy="", params={}),
        arm("several", runs),
        arm("flips", longer, settings={"start_from": "several"}),
    ]
    made = report(arms)
    assert "Unequal budget: flips (20 steps in all)" in made["budget"]["sentence"]
    marked = {(one["arm"], one["against"]): one["unequal_budget"] for one in made["contrasts"]["exploratory"]}
    assert marked == {("several", "none"): False, ("flips", "none"): True}
    assert "Unequal budget" in made["contrasts"]["exploratory"][-1]["sentence"]
    assert made["reference"] == "none"
    assert "starts from the weights of several" in words(made)
    assert equal_budget(arms[:2])


def test_predictions_from_elsewhere_are_marked_in_every_place():
    ours = arm("mixup", [run(seed, human=True) for seed in range(5)])
    theirs = arm("theirs", [run(7, 4.0, human=True)], policy="", params={}, is_external=True)
    made = report([ours, theirs], config={"seeds": list(range(5))})
    assert made["budget"]["equal"]
    assert any("theirs was trained elsewhere" in note for note in made["notes"])
    assert made["seeds"] == [0, 1, 2, 3, 4]
    one = made["contrasts"]["exploratory"][0]
    assert (one["external"], one["unequal_budget"], one["these_models"]) == (["theirs"], False, True)
    assert made["arms"][1]["summary"]["accuracy"]["these_models"]
    assert score_table(made).columns[-1] == "Seeds"
    text = words(made)
    assert "theirs − mixup, trained elsewhere; for these models only" in text
    assert "T of the labels (theirs): not assessed, the model is not here" in text
    assert "T of the labels (mixup): not assessed, no validation images" in text
    for what in ("corruptions", "attacks"):
        why = {
            one["why"] for one in made["not_assessed"] if one["what"] == what and one["arms"] == ["theirs"]
        }
        assert why == {"the model is not here, only its predictions of the test images"}


def test_runs_left_out_by_a_rule_and_seeds_added_later_are_said():
    arms = [
        arm(
            "mixup",
            [run(0), run(1)],
            excluded=((2, 0, "the loss is not finite after step 3"), (0, 1, "likewise")),
        ),
        arm("human_lambda", [run(0), run(1), run(2)]),
    ]
    made = report(arms)
    why = "the loss is not finite after step 3"
    assert made["excluded"][0] == {"arm": "mixup", "seed": 2, "fold": 0, "why": why}
    assert any("mixup, seed 0, fold 1, is left out" in note for note in made["notes"])
    assert any("mixup, seed 2, is left out by a rule fixed before" in note for note in made["notes"])
    assert made["contrasts"]["exploratory"][0]["n_seeds"] == 2  # those that both have


def test_table_and_drawing_of_contrasts_hold_the_same_intervals(planned):
    figure = next(one for one in planned["figures"] if one["key"] == "contrasts")
    drawn = sorted(point[2:] for line in figure["series"] for point in line["points"])
    assert drawn == sorted(row[2:] for row in figure["table"]["rows"])
    assert drawn[0] == planned["contrasts"]["planned"][0]["interval_holm"]
    assert "allow for the number of planned contrasts (Holm)" in figure["table"]["caption"]


def test_curves_say_which_images_were_watched_and_judge_nothing_on_test_images():
    def made(validation):
        runs = [run(seed, validation=bool(validation)) for seed in (0, 1)]
        runs = [replace(one, curves=[dict(CURVE) for _ in range(30)]) for one in runs]
        return report([arm("mixup", runs)], config={"validation": validation})

    def said(content):
        figure = next(one for one in content["figures"] if one["key"] == "validation_loss")
        states = {one["rule"]: one["state"] for one in content["diagnosis"]["mixup"]}
        return figure["definition"], states["over_fitting"]

    definition, state = said(made(0))
    assert ("the 240 evaluation images" in definition, state) == (True, "not assessed")
    definition, state = said(made(120))
    assert ("the 120 validation images" in definition, state) == (True, "not found")


def test_a_metric_that_no_run_dared_an_interval_of_has_none():
    refused = {"value": 0.5, "interval": None, "n": 240, "undefined": ["too few draws hold every class"]}
    runs = []
    for one in (run(0), run(1)):
        tested = {**one.evaluations["test"], "macro_f1": refused}
        runs.append(replace(one, evaluations={**one.evaluations, "test": tested}))
    summary = report([arm("mixup", runs)])["arms"][0]["summary"]
    assert summary["macro_f1"]["interval"] is None
    assert summary["accuracy"]["interval"] is not None


def test_resampling_people_is_not_claimed_where_it_cannot_be_done():
    made = content(config={"resample_people": True})
    assert any("Resampling of participants was asked for and is not assessed" in one for one in made["notes"])


def test_every_figure_says_what_it_is_and_where_it_comes_from(planned):
    figures = planned["figures"]
    kinds = {figure["key"]: figure["kind"] for figure in figures}
    assert kinds == {
        "contrasts": "forest", "train_loss": "curve", "validation_loss": "curve", "validation_accuracy": "curve",
        "reliability": "reliability", "human_thirds": "bars", "confusion": "matrix",
    }  # fmt: skip
    for figure in figures:
        assert figure["definition"]
        assert figure["source"] == "Release demo@1.0.0; Image set digits; Configuration abc; Seeds 0, 1"
        assert all(len(row) == len(figure["table"]["columns"]) for row in figure["table"]["rows"])


def test_of_many_arms_the_baseline_what_was_found_and_what_was_compared_are_seen_first():
    planned = [
        {"arm": "curve", "against": "mixup", "better": None},
        {"arm": "shrunk", "against": "mixup", "better": "shrunk"},
    ]
    made = {
        "arms": [{"name": "base", "policy": "", "settings": {}}, {"name": "mixup", "policy": "mixup", "settings": {}}],
        "reference": "base", "contrasts": {"planned": planned}, "choice": {"arm": "raw"},
    }  # fmt: skip
    assert arms_first(made) == ["mixup", "shrunk", "raw", "curve"]


def test_the_training_curve_shows_the_entropy_floor_beside_the_mean_over_seeds():
    figure = next(one for one in content()["figures"] if one["key"] == "train_loss")
    styles = {line["name"]: line["style"] for line in figure["series"]}
    assert styles["mixup, floor"] == "dashed"
    assert styles["mixup, seed 0"] == "faint"
    mean = next(line for line in figure["series"] if line["name"] == "mixup")
    assert mean["points"] == [[1, 1.5], [2, 1.0]]


def test_the_markdown_holds_scores_checks_and_provenance():
    text = words(content())
    assert "0 of 540 evaluation images are parents of one of the 60 mixed images." in text
    assert "Near-duplicates across the splits were not looked for." in text
    assert "Release: demo@1.0.0" in text
    assert "mixup@1: what mixup means" in text


def test_one_seed_has_no_spread_and_nothing_says_it_has():
    assert spread_text({"mean": 0.5, "sd": None, "values": [0.5]}) == "0.5000"
    table = score_table(content(seeds=(0,)))
    assert table.caption.startswith("One seed, on 240 evaluation images")
    assert "±" not in table.caption
    assert "±" not in "".join(map(str, table.rows[0]))


def test_cells_are_shown_for_people():
    assert [show(cell) for cell in (None, 0.123456, 12, "a")] == ["–", "0.1235", "12", "a"]
    assert markdown(["a", "b"], [[1, None]]) == "| a | b |\n| - | - |\n| 1 | – |"


def test_in_markdown_whatever_somebody_named_is_text():
    name = "# a|*b* `c` _d_ [e](f) <b>g</b>\n\n- h &lt;"
    made = report([arm(name, [run(0)]), arm("human_lambda_shrunk", [run(0)])])
    made["name"] = name
    written = as_markdown(made)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(written)
    kinds = {one.type for token in tokens for one in [token, *(token.children or ())]}
    assert not kinds & {"html_inline", "html_block", "code_inline", "em_open", "link_open", "image"}
    headings = [after.children for token, after in pairwise(tokens) if token.type == "heading_open"]
    assert "".join(one.content for one in headings[0]) == " ".join(name.split())
    rows = [token for token in tokens if token.type == "tr_open"]
    assert len(rows) == sum(
        line.startswith("| ") and not line.startswith("| -") for line in written.split("\n")
    )
    assert "| human_lambda_shrunk " in written
    assert "human_lambda_shrunk" in summary(made)
