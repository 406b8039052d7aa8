"""The page of diagnosis: what is drawn beside a finding, what is said of it, and what stays folded."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from hilmix.accounts.models import AuditEvent
from hilmix.accounts.roles import OPERATOR
from tests.training.reported import arm, report, run
from training.choices.services import SEEN
from training.evaluation.evidence import HeldOutMixes
from training.evaluation.near_duplicates import Pair
from training.experiments.services import create_experiment
from training.models import Run
from training.reports.diagnosis.figures import copies, figures_of
from training.reports.diagnosis.told import summary, symptoms_of
from training.reports.models import Report
from training.reports.sections import sections_of

EPOCHS = 20
TROUBLESHOOTING = {
    "over_fitting": "by heart",
    "conservative": "conservative",
    "noisy_labels": "noisy labels",
    "too_small": "too small",
}


def curves(train, validation, accuracy):
    return [
        {
            "epoch": k + 1, "train_loss": float(a), "train_floor": 0.0, "validation_loss": float(b),
            "validation_accuracy": float(c),
        }
        for k, (a, b, c) in enumerate(zip(train, validation, accuracy, strict=True))
    ]  # fmt: skip


def healthy():
    falling = np.linspace(2.0, 0.1, EPOCHS)
    return curves(falling, falling + 0.02, np.linspace(0.5, 0.9, EPOCHS))


def over_fitted():
    falling = np.linspace(2.0, 0.1, EPOCHS)
    rising = np.concatenate([falling[:10], falling[9] + 0.05 * np.arange(1, 11)])
    return curves(falling, rising, 0.8 + 0.08 * (-1.0) ** np.arange(EPOCHS))


def matrix(run_, counts):
    """The run, as if its test images had been confused so."""
    said = json.loads(json.dumps(dict(run_.evaluations)))
    said["test"]["confusion"] = counts
    return replace(run_, evaluations=said)


GOOD = [[79, 1, 0], [1, 79, 0], [0, 0, 80]]
POOR = [[40, 40, 0], [0, 80, 0], [0, 0, 80]]  # of class 0 half is taken for class 1
LOST = [[10, 35, 35], [35, 10, 35], [0, 0, 80]]


def runs(made, counts, strength=4.0):
    return [matrix(replace(run(seed, strength, validation=True), curves=made), counts) for seed in range(2)]


CLASSES = ("cat", "dog", "bird")
NAMES = ("mixup", "human_lambda", "B")


def made_arms(names=NAMES):
    """The first is healthy, the second over-fits and confuses two classes, the third knows two classes badly."""
    each = ((healthy(), GOOD), (over_fitted(), POOR), (healthy(), LOST))
    return [arm(name, runs(*how)) for name, how in zip(names, each, strict=False)]


@pytest.fixture(scope="module")
def content():
    return report(made_arms(), config={"validation": 120}, classes=CLASSES)


def told(content):
    return {one.rule: one for one in symptoms_of(content)}


def test_the_troubleshooting_table_is_there_with_cause_and_remedy(content):
    found = told(content)
    for rule, cause in TROUBLESHOOTING.items():
        assert cause in found[rule].cause
        assert found[rule].threshold
        assert found[rule].remedy
    assert "larger net or more epochs" in found["too_small"].remedy
    assert "train for fewer epochs" in found["over_fitting"].remedy


@pytest.mark.parametrize(
    ("rule", "arms"),
    [
        ("over_fitting", ["human_lambda"]),
        ("fluctuating", ["human_lambda"]),
        ("conservative", ["human_lambda"]),
        ("noisy_labels", ["human_lambda", "B"]),
        ("too_small", ["B"]),
        ("accuracy_paradox", []),
        ("leakage", []),
        ("robustness_ignored", ["mixup", "human_lambda", "B"]),
    ],
)
def test_a_symptom_is_found_on_stored_curves_and_figures_where_it_is_and_nowhere_else(content, rule, arms):
    assert [one.arm for one in told(content)[rule].shown] == arms
    assert all(one.seeds == (0, 1) for one in told(content)[rule].shown)


def test_what_was_not_computed_is_not_assessed(content):
    found = told(content)
    for rule in ("fails_on_mixed", "near_duplicate", "equal_accuracy"):
        ((state, arms),) = found[rule].states
        assert state.startswith("not assessed (needs ")
        assert arms == ""
    bare = told(report([arm("mixup", runs(over_fitted(), GOOD))]))  # watched were the test images
    assert bare["over_fitting"].states[0][0].startswith("not assessed (needs the loss curves")
    assert bare["fluctuating"].states[0][0].startswith("not assessed")
    assert "could not be assessed in any" in summary(list(bare.values()))


def test_each_finding_has_a_figure_of_a_run_that_shows_it(content):
    drawn = content["diagnosis_figures"]
    losses = drawn["over_fitting"]
    assert (losses["arm"], losses["seed"]) == ("human_lambda", 0)
    assert [one["name"] for one in losses["figure"]["series"]] == ["training, less its floor", "validation"]
    assert len(losses["figure"]["table"]["rows"]) == EPOCHS
    assert "after epoch 20 it is" in losses["figure"]["reading"]
    classes = drawn["conservative"]["figure"]
    assert classes["x_categories"][0] == "cat"
    assert "cat: precision 1.000, recall 0.500" in classes["reading"]
    assert classes["table"]["rows"][0][-1] == "dog (40)"
    assert drawn["noisy_labels"]["figure"]["x_categories"][0] == "dog"
    assert "most of all cat: precision 0.222, recall 0.125" in drawn["too_small"]["figure"]["reading"]
    assert "fluctuates by" in drawn["fluctuating"]["figure"]["reading"]
    found = {rule for rule, one in told(content).items() if one.is_found}
    assert set(drawn) == found - {"robustness_ignored"}
    assert all(one["figure"]["reading"] and one["figure"]["table"]["rows"] for one in drawn.values())
    assert len(json.dumps(drawn)) < 60_000


def test_an_over_confident_model_has_its_reliability_curve(content):
    one = run(0, 1.0, validation=True)
    sure = replace(one, test=replace(one.test, log_p=_sharpened(one.test.log_p)))
    figure = report([arm("mixup", [sure])])["diagnosis_figures"]["miscalibrated"]["figure"]
    assert figure["kind"] == "reliability"
    assert "It is over-confident" in figure["reading"]
    assert [series["name"] for series in figure["series"]] == ["as trained", "after T of the labels"]


def _sharpened(log_p):
    sharp = 4 * log_p
    return sharp - np.log(np.exp(sharp).sum(axis=1, keepdims=True))


def test_a_paradox_and_a_failure_on_mixed_images_are_drawn():
    rare = [[200, 0, 0], [0, 200, 0], [22, 0, 3]]  # accuracy 0.948, recall of the rare class 0.12
    wrong = HeldOutMixes(
        np.tile([0.1, 0.8, 0.1], (40, 1)), np.zeros(40, int), np.ones(40, int), np.full(40, 9000)
    )  # fmt: skip
    made = [replace(one, mixes=wrong) for one in runs(healthy(), rare)]
    drawn = report([arm("mixup", made)], classes=("cat", "dog", "bird"))["diagnosis_figures"]
    assert "recall of bird is 0.120" in drawn["accuracy_paradox"]["figure"]["reading"]
    assert "the top class is that parent's in 0%" in drawn["fails_on_mixed"]["figure"]["reading"]
    assert drawn["fails_on_mixed"]["figure"]["diagonal"]


def test_leakage_is_drawn_by_how_training_saw_the_images():
    seen = {"rule": "leakage", "state": "found", "seed": 0, "n_found": 1, "n_seeds": 1}
    seen["numbers"] = {"trained_on": 0, "parents": 0, "identical": 7}
    one = arm("mixup", [run(0)])
    figure = figures_of([one], {"mixup": [seen]}, CLASSES, "s")["leakage"]["figure"]
    assert figure["table"]["rows"][2] == ("pixels of a training image", 7)
    assert figure["reading"] == "Most often: pixels of a training image, 7 images."
    seen["numbers"] = {"trained_on": 1, "parents": 0, "identical": 0}
    figure = figures_of([one], {"mixup": [seen]}, CLASSES, "s")["leakage"]["figure"]
    assert figure["reading"] == "Most often: trained on, 1 image."


def test_near_duplicates_are_a_gallery_of_both_images():
    pairs = [Pair(1, 0, 0.98, 0.9, True, (0, 1))] * 14
    drawn = copies(pairs, np.array([7, 8]), np.array([3]), "s", lambda place: f"/p/{place}.png")
    figure = drawn["figure"]
    assert len(figure["items"]) == 12
    assert [one["address"] for one in figure["items"][0]["images"]] == ["/p/3.png", "/p/8.png"]
    assert "14 pairs found, 12 shown" in figure["reading"]


def test_the_text_of_the_report_has_the_same_findings(content):
    section = next(one for one in sections_of(content) if one.key == "diagnosis")
    assert section.tables[0].columns[4] == "Likely cause"
    assert len(section.tables[0].rows) == len(told(content))


# -- the page


@pytest.fixture
def experiment(config, content):
    made = create_experiment(config=config, actor=OPERATOR)
    Run.objects.filter(arm__experiment=made).update(finished_at=timezone.now())
    Report.objects.create(experiment=made, content=deepcopy(content))
    return made


def shown(client, experiment, **asked):
    return client.get(reverse("diagnosis", args=[experiment.pk]), asked)


def test_the_page_shows_thresholds_and_states_and_folds_test_images_until_asked(client, admin, experiment):
    client.force_login(admin)
    with CaptureQueriesContext(connection) as queries:
        reply = shown(client, experiment)
    page = reply.content.decode()
    assert len(queries) < 10
    assert len(reply.content) < 1_000_000
    assert "precision − recall &gt; 0.15 for a class" in page
    assert "not assessed (needs predictions on held-out mixed images)" in page
    assert 'data-figure="over_fitting"' in page
    assert 'data-figure="conservative"' not in page
    assert "least precision" not in page
    card = page.split('id="conservative"')[1].split("</section>")[0]
    assert "are folded until a choice" in card
    assert not any(name in card for name in ("human_lambda", "/runs/", "seed 0"))
    assert 'id="too_small"' in page
    assert "of them by test images: in which arms is folded until a choice" in page
    assert "found in some arm; in which is folded until a choice" in page
    assert "found: human_lambda" in page  # over-fitting, by validation images
    assert page.index('id="over_fitting"') < page.index('id="others"') < page.index('id="symptoms"')
    others = page.split('id="others"')[1].split("</section>")[0]
    assert "Leakage" in others
    assert "Over-fitting" not in others
    assert 'id="folded"' in page
    assert not AuditEvent.objects.filter(action=SEEN).exists()
    with CaptureQueriesContext(connection) as queries:
        page = shown(client, experiment, test="shown").content.decode()
    assert len(queries) < 10, [one["sql"][:120] for one in queries]
    assert 'data-figure="conservative"' in page
    assert "least precision" in page
    assert "in which is folded" not in page
    assert AuditEvent.objects.filter(action=SEEN).count() == 1


def test_a_finding_leads_to_the_pages_of_its_runs(client, admin, experiment):
    client.force_login(admin)
    page = shown(client, experiment).content.decode()
    for one in Run.objects.filter(
        arm__experiment=experiment, arm__name="human_lambda", fold=0, seed__in=(0, 1)
    ):
        assert f'<a href="{reverse("run", args=[one.pk])}">seed {one.seed}</a>' in page


def test_figures_are_sent_as_files_and_those_of_test_images_are_written_down(client, admin, experiment):
    client.force_login(admin)
    reply = shown(client, experiment, figure="over_fitting.csv")
    assert reply.content.decode().count("\n") == EPOCHS + 5
    assert not AuditEvent.objects.filter(action=SEEN).exists()
    assert shown(client, experiment, figure="conservative.csv").status_code == 200
    assert AuditEvent.objects.filter(action=SEEN).count() == 1
    for odd in ("over_fitting", "leakage.csv", "x.csv", "over_fitting.exe"):
        assert shown(client, experiment, figure=odd).status_code == 404


def test_an_older_report_says_what_it_lacks_and_one_that_is_missing_too(client, admin, experiment):
    client.force_login(admin)
    stored = experiment.report
    del stored.content["diagnosis_figures"]
    for findings in stored.content["diagnosis"].values():
        for one in findings:
            for key in ("seeds_found", "cause", "of_test"):
                del one[key]
    stored.save()
    page = shown(client, experiment, test="shown").content.decode()
    assert 'id="old"' in page
    assert "seed 0" in page
    stored.delete()
    assert "There is no report yet" in shown(client, experiment).content.decode()
