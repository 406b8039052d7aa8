"""The page of a run: what it shows while it trains and afterwards, the images behind its figures, who may do what."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import create_token
from hilmix.errors import Conflict
from hilmix.jobs.models import Job
from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.jobs.registry import KINDS
from hilmix.jobs.services import queue_job
from tests.training.conftest import quick
from tests.training.doing import do
from training.choices.services import has_seen
from training.engine.config import TrainConfig
from training.evaluation import people
from training.evaluation.predictions import predictions
from training.evaluation.scores import score
from training.experiments.config import parse_config
from training.experiments.material import material_of
from training.experiments.services import create_experiment
from training.models import Run
from training.reports.models import RunReport
from training.reports.run.behind import ORDERS, Judged, behind
from training.reports.run.content import metric_rows, run_content
from training.reports.run.curves import figures_of
from training.reports.run.live import baseline_of
from training.reports.run.services import DESCRIBE_KIND, describe_run, queue_descriptions
from training.reports.words import TRAINED, trained_words
from training.runs import keeping
from training.runs.amounts import to_show
from training.runs.services import RUN_KIND

CLASSES = ("ant", "bee", "cat")
N = 200


def made_up(human: bool = True) -> Judged:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, N)
    logits = rng.normal(0, 1, (N, 3)) + 1.5 * np.eye(3)[labels]
    said = rng.dirichlet(np.ones(3), N) if human else None
    return Judged("test", np.arange(100, 100 + N), predictions(labels=labels, logits=logits, human=said), {})


def content(judged: Judged, **change) -> dict:
    options = {
        "title": "mixup, seed 0", "classes": CLASSES, "scores": {"accuracy": 0.5, "n": N}, "training": None,
        "source": "Release", "watermark": "", "address": lambda place: f"/imagesets/x/{place}.png", **change,
    }  # fmt: skip
    return dict(json.loads(json.dumps(run_content(judged, behind(judged), **options))))


# -- what is computed


def test_every_image_is_behind_its_cell_and_its_bin_the_surest_first():
    judged = made_up()
    found, shown = judged.predictions, behind(judged)
    predicted, confidence = found.p.argmax(axis=1), found.p.max(axis=1)
    for actual in range(3):
        for said in range(3):
            cell = 3 * actual + said
            rows = shown.orders[0][shown.cells[cell] : shown.cells[cell + 1]]
            assert sorted(rows) == list(np.flatnonzero((found.labels == actual) & (predicted == said)))
            assert (np.diff(confidence[rows]) <= 0).all()
    for number in range(15):
        rows = shown.orders[1][shown.bins[number] : shown.bins[number + 1]]
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        assert sorted(rows) == list(np.flatnonzero(inside))


def test_the_lists_are_in_the_order_that_they_name():
    judged = made_up()
    found, shown = judged.predictions, behind(judged)
    order = dict(zip(ORDERS, shown.orders, strict=True))
    wrong = found.p.argmax(axis=1) != found.labels
    mistakes = order["mistakes"][: wrong.sum()]
    assert set(mistakes) == set(np.flatnonzero(wrong))
    assert (order["mistakes"][wrong.sum() :] == -1).all()
    assert (np.diff(found.p.max(axis=1)[mistakes]) <= 0).all()
    entropies = -(found.p * found.log_p).sum(axis=1)
    assert (np.diff(entropies[order["uncertain"]]) <= 1e-9).all()
    apart = np.abs(found.p - found.human).sum(axis=1) / 2
    assert (np.diff(apart[order["people"]]) <= 1e-9).all()
    assert (behind(made_up(human=False)).orders[4] == -1).all()


def test_the_figures_agree_with_the_predictions_and_each_has_a_reading():
    judged = made_up()
    told = content(judged)
    figures = {figure["key"]: figure for figure in told["figures"]}
    assert list(figures) == ["confusion", "reliability", "mistakes", "uncertain", "people"]
    assert all(figure["reading"] for figure in figures.values())
    assert np.sum(told["confusion"]) == N
    points = figures["confusion"]["series"][0]["points"]
    assert {(row, column): n for column, row, n, _rate in points} == {
        (i, j): n for i, line in enumerate(told["confusion"]) for j, n in enumerate(line) if n
    }
    assert len(told["bins"]) == len(figures["reliability"]["series"][0]["points"])
    assert len(figures["mistakes"]["items"]) == 12
    assert told["n_mistakes"] == N - np.trace(told["confusion"])
    assert "people" not in {figure["key"] for figure in content(made_up(human=False))["figures"]}


def test_a_model_that_is_always_right_has_no_gallery_of_mistakes():
    judged = made_up()
    right = predictions(labels=judged.predictions.labels, logits=9 * np.eye(3)[judged.predictions.labels])
    told = content(Judged("test", judged.numbers, right, {}))
    assert "mistakes" not in {figure["key"] for figure in told["figures"]}
    assert "All 200 test images are right." in told["figures"][0]["reading"]


def test_the_human_ceiling_is_by_the_votes_that_are_known_now():
    """A run that was judged before its votes were imported has none with it."""
    judged, votes = made_up(), np.random.default_rng(1).multinomial(20, (0.5, 0.3, 0.2), N)
    told = judged.predictions
    known = predictions(labels=told.labels, logits=told.log_p, human=votes)
    before = {
        "human_kl": {"value": 0.4, "interval": None, "floor": None, "undefined": [people.NO_COUNTS, "else"]}
    }
    groups = metric_rows(Judged("test", judged.numbers, known, before), {}, None)
    [row] = groups[0]["rows"]
    assert row["ceiling"] == people.reach(votes).bounds["human_kl"].ceiling
    assert row["undefined"] == ["else"]
    [row] = metric_rows(Judged("test", judged.numbers, told, before), {}, None)[0]["rows"]
    assert (row["ceiling"], row["undefined"]) == (None, [people.NO_COUNTS, "else"])


def test_curves_have_the_floor_and_the_baseline_behind():
    epochs = [
        {"epoch": n, "train_loss": 2 / n, "train_floor": 0.2, "train_accuracy": n / 10, "validation_loss": loss,
         "validation_accuracy": n / 9, "lr": 0.1}
        for n, loss in ((1, 1.0), (2, 0.5), (3, 0.7))
    ]  # fmt: skip
    loss, accuracy, rate = figures_of(epochs, epochs[:2], behind="base", watched="validation", source="")
    assert [one.name for one in loss.series] == [
        "training",
        "floor of the training targets",
        "validation",
        "base: validation",
    ]
    assert loss.series[3].points == ((1, 1.0), (2, 0.5))
    assert [one.style for one in loss.series] == ["line", "dashed", "line", "behind"]
    assert "0.4667 above the floor" in loss.reading
    assert "least after epoch 2 (0.5)" in loss.reading
    assert [one.name for one in accuracy.series] == ["training", "validation", "base: validation"]
    assert [one.name for one in rate.series] == ["learning rate"]
    assert figures_of([], [], behind="", watched="validation", source="") == []
    # Runs of before 0.6 know of no accuracy while training, and those of the first versions of no rate.
    old = [{"train_loss": 1.0, "train_floor": 0.1, "validation_loss": 0.5, "validation_accuracy": 0.9}]
    assert [one.key for one in figures_of(old, [], behind="", watched="evaluation", source="")] == [
        "loss",
        "accuracy",
    ]


# -- pages


@pytest.fixture
def experiment(release):
    return create_experiment(
        config=parse_config(quick(train={**quick()["train"], "epochs": 2})), actor=OPERATOR
    )


def test_the_baseline_behind_is_mixup_with_its_own_labels_else_the_reference(release):
    arms = [{"name": "base"}, {"policy": "human_lambda_shrunk"}, {"policy": "mixup"}]
    config = parse_config(quick(arms=arms, seeds=[0, 1]))
    base, human, mixup = create_experiment(config=config, actor=OPERATOR).arms.order_by("ordinal")
    of = {(run.arm_id, run.seed): run for run in Run.objects.select_related("arm__experiment")}
    assert baseline_of(of[human.pk, 1]) == of[mixup.pk, 1]
    assert baseline_of(of[base.pk, 0]) == of[mixup.pk, 0]
    assert baseline_of(of[mixup.pk, 0]) is None
    mixup.settings = {**mixup.settings, "base_labels": "human"}
    mixup.save()
    assert baseline_of(of[mixup.pk, 0]) == of[base.pk, 0]
    assert baseline_of(of[base.pk, 0]) is None


@pytest.fixture
def run(experiment):
    """A run whose predictions are made up."""
    run = Run.objects.select_related("arm__experiment__release", "arm__experiment__image_set").first()
    images = experiment.image_set.open()
    rows = images.splits["test"]
    labels = images.labels[rows]
    logits = np.random.default_rng(0).normal(0, 1, (len(rows), 10)) + 2 * np.eye(10)[labels]
    keeping.write_arrays(run, keeping.PREDICTIONS, {"indices": rows, "labels": labels, "logits": logits})
    run.curves = [{"epoch": 1, "train_loss": 1.0, "train_floor": 0.1, "validation_loss": 0.5, "lr": 0.1}]
    run.metrics = score(logits, labels)
    run.finished_at = timezone.now()
    run.save()
    return run


@pytest.fixture
def described(run):
    describe_run(run=run, images=run.arm.experiment.image_set.open())
    return run


def of_run(name: str, run: Run, **more) -> str:
    return reverse(name, kwargs={"run_id": run.pk, **more})


def test_a_finished_run_is_shown_in_few_queries_and_few_bytes(client, researcher, described):
    rows = described.report.content["metrics"][0]["rows"]
    rows += [
        {**rows[0], "key": key, "name": key} for key in ("macro_f1", "macro_precision", "top_5_accuracy")
    ]
    described.report.save()
    client.force_login(researcher)
    with CaptureQueriesContext(connection) as asked:
        page = client.get(of_run("run", described))
    assert len(asked) < 10
    assert len(page.content) < 300_000
    for words in (
        "share of images whose most probable class is the label",
        "Most confident mistakes",
        "Each number leads to its images",
        "Use it when classes are of unequal frequency",
        "good: above 0.85 (ours)",
    ):
        assert words in page.text
    first = [row["key"] for row in page.context["scores"]["rows"]]
    assert first[:3] == ["accuracy", "top_5_accuracy", "macro_f1"], "as is reported of most models"
    assert "log_loss" in first
    assert page.text.index('id="scores"') < page.text.index('data-figure="confusion"')
    for key in ("cells", "metrics", "mistakes", "uncertain"):
        opened = page.text.partition(f'<section class="card fold" id="{key}">')[2]
        assert opened.lstrip().startswith("<details><summary>"), key
    assert "Cancel this run" not in page.text
    assert "Simulated participants" in page.text
    assert "<dt>epochs of warm-up</dt>" in page.text
    assert "warmup_epochs" not in page.text


def test_how_a_run_is_trained_is_said_in_words_and_what_is_not_used_is_left_out():
    augment = {"flip": True, "rotation": 0.0, "crop": 2}
    steps = {"schedule": "cosine", "factor": 0.1, "ema": None, "deterministic": False}
    said = dict(trained_words({"lr": 0.1, "augment": augment, "new_key": 3, **steps}))
    assert said == {
        "learning rate": "0.1",
        "augmentation": "mirrored at random; random crop, pixels 2",
        "new key": "3",
        "how the rate falls": "cosine",
        "deterministic": "no",
    }
    assert dict(trained_words({"augment": {"flip": False, "rotation": 0.0}})) == {"augmentation": "none"}
    assert all(field.name in TRAINED for field in fields(TrainConfig))


def test_a_click_leads_to_the_images_of_a_cell(client, researcher, described):
    client.force_login(researcher)
    counts = np.array(RunReport.objects.get().content["confusion"])
    actual, predicted = np.unravel_index(np.argmax(counts - 1000 * np.eye(10)), counts.shape)
    with CaptureQueriesContext(connection) as asked:
        page = client.get(
            of_run("run_images", described), {"of": "cell", "actual": actual, "predicted": predicted}
        )
    assert len(asked) < 10
    assert page.text.count('<li class="card') == counts[actual, predicted]
    assert "wrong" in page.text
    first = page.context["shown"][0]
    assert {name: share for name, share, _ in first.shares}[first.predicted] == pytest.approx(
        max(share for _, share, _ in first.shares)
    )


@pytest.mark.parametrize("of", ["mistakes", "uncertain", "bin&bin=14"])
def test_lists_come_48_at_a_time(client, researcher, described, of):
    client.force_login(researcher)
    page = client.get(f"{of_run('run_images', described)}?of={of}")
    assert page.text.count('<li class="card') == min(48, page.context["listing"]["page"].paginator.count)


@pytest.mark.parametrize(
    "query",
    [
        "of=people",
        "of=all",
        "of=cell",
        "of=cell&actual=0&predicted=10",
        "of=bin&bin=15",
        "of=bin&bin=-1",
        "of=bin&bin=²",
    ],
)
def test_images_that_there_are_not_are_not_found(client, researcher, described, query):
    client.force_login(researcher)
    assert client.get(f"{of_run('run_images', described)}?{query}").status_code == 404


def test_figures_are_files(client, researcher, described):
    client.force_login(researcher)
    rows = client.get(of_run("run_figure", described, key="confusion", extension="csv")).text
    assert "Simulated participants" in rows
    assert client.get(of_run("run_figure", described, key="loss", extension="csv")).status_code == 200
    drawn = client.get(of_run("run_figure", described, key="uncertain", extension="png"))
    assert drawn.content.startswith(b"\x89PNG")
    assert client.get(of_run("run_figure", described, key="nothing", extension="csv")).status_code == 404


@pytest.mark.parametrize("name", ["run", "run_images"])
def test_test_figures_of_a_run_stay_folded_until_they_are_asked_for(client, researcher, described, name):
    """From the first finished run on: its experiment has no report yet, but will rank arms by validation images."""
    experiment = described.arm.experiment
    experiment.config["validation"] = 100
    experiment.save()
    client.force_login(researcher)
    folded = client.get(of_run(name, described), {"of": "uncertain"})
    assert "Until an arm is chosen" in folded.text
    assert "cells" not in folded.text
    assert 'class="pixels"' not in folded.text
    assert 'data-figure="confusion"' not in folded.text
    assert '"confusion"' not in folded.text, "nor is it in the data of the figures"
    assert not has_seen(experiment, researcher)
    assert 'href="?of=uncertain&amp;test=shown"' in folded.text
    with CaptureQueriesContext(connection) as asked:
        shown = client.get(of_run(name, described), {"of": "uncertain", "test": "shown"})
    assert len(asked) < 14, "with what writes it down"
    assert "That you looked here is written down" in shown.text
    assert has_seen(experiment, researcher)
    for page in ("run", "run_images"):  # who has unfolded one is not asked again at each
        with CaptureQueriesContext(connection) as asked:
            text = client.get(of_run(page, described)).text
        assert len(asked) < 10
        assert ">Show them<" not in text
        assert "/imagesets/" in text


@pytest.mark.parametrize(
    ("name", "more", "writes"),
    [
        ("run_figure", {"key": "confusion", "extension": "csv"}, True),
        ("run_figure", {"key": "loss", "extension": "csv"}, False),
        ("api_run", {}, True),
        ("run_live", {}, False),
    ],
)
def test_test_figures_that_leave_otherwise_are_written_down(
    client, researcher, described, name, more, writes
):
    experiment = described.arm.experiment
    experiment.config["validation"] = 100
    experiment.save()
    client.force_login(researcher)
    token = create_token(person=researcher, name="a program", scope="read")
    program = {"Authorization": f"Token {token}"} if name.startswith("api") else {}
    reply = client.get(of_run(name, described, **more), headers=program)
    assert reply.status_code == 200
    assert has_seen(experiment, researcher) is writes
    if more:
        assert ("had before an arm was chosen" in reply.text) is writes


def test_a_candidate_is_shown_by_validation_images_and_not_folded(client, researcher, described):
    Run.objects.filter(pk=described.pk).update(candidate=1)
    report = described.report
    report.content["where"] = "validation"
    report.save()
    experiment = described.arm.experiment
    experiment.config["validation"] = 100
    experiment.save()
    client.force_login(researcher)
    assert ">Show them<" not in client.get(of_run("run", described)).text
    token = create_token(person=researcher, name="a program", scope="read")
    program = {"Authorization": f"Token {token}"}
    assert client.get(of_run("api_run", described), headers=program).json()["report"]["where"] == "validation"
    assert not has_seen(experiment, researcher)


def test_what_is_kept_for_the_pages_of_a_run_is_forecast(described):
    kept = [path.stat().st_size for path in described.directory.glob("shown-*.npy")]
    assert sum(kept) == pytest.approx(to_show(described, material_of(described.arm.experiment)), rel=0.05)


def test_an_older_run_is_described_when_an_admin_asks(client, admin, researcher, run):
    client.force_login(researcher)
    assert "An admin can have it computed" in client.get(of_run("run", run)).text
    assert client.get(of_run("run_images", run)).status_code == 404
    client.force_login(admin)
    assert "Compute it" in client.get(of_run("run", run)).text
    client.post(of_run("run_describe", run))
    [job] = Job.objects.filter(kind=DESCRIBE_KIND)
    assert "It is being computed" in client.get(of_run("run", run)).text
    with pytest.raises(Conflict, match="on their way"):
        queue_descriptions(experiment=run.arm.experiment, actor=admin)
    do(job, Progress())
    assert "Most uncertain" in client.get(of_run("run", run)).text
    with pytest.raises(Conflict, match="is described"):
        queue_descriptions(experiment=run.arm.experiment, actor=admin)


@pytest.mark.usefixtures("one_thread")
def test_a_run_is_followed_while_it_trains_cancelled_and_gone_on_with(client, admin, experiment):
    run = Run.objects.get(arm__policy="human_lambda_shrunk")
    run.job = queue_job(kind=RUN_KIND, object_id=str(run.pk), label="a run", actor=admin)
    run.save()
    client.force_login(admin)
    seen = []

    class Watched(Progress):
        """Looks at the page at each step, and stops in the second epoch."""

        def update(self, done: int, total: int, text: str = "") -> None:
            Job.objects.filter(pk=run.job.pk).update(state="running", claim=run.job.pk, progress_text=text)
            seen.append((text, client.get(of_run("run_live", run), {"version": "0-0"}).json()))

        @property
        def cancelled(self) -> bool:
            return bool(seen) and "epoch 2" in seen[-1][0]

    assert "The curves are here once" in client.get(of_run("run", run)).text
    with pytest.raises(JobCancelled):
        KINDS[RUN_KIND].handler(Watched(), str(run.pk))
    Job.objects.filter(pk=run.job.pk).update(state="cancelled", claim=None, finished_at=timezone.now())
    first, last = seen[0][1], seen[-1][1]
    assert (first["figures"], first["stats"]["epoch"]) == ([], "0 / 2")
    assert first["state"] == "running"
    assert last["stats"]["epoch"] == "1 / 2"
    assert [figure["key"] for figure in last["figures"]] == ["loss", "accuracy", "rate"]
    assert re.search(r"about .+ left", last["text"])
    assert "left" not in last["stats"], "it is told once"
    assert float(last["stats"]["pace"].replace(",", "")) > 0
    news = client.get(of_run("run_live", run), {"version": last["version"]}).json()
    assert (news["state"], news["figures"]) == ("cancelled", [])
    page = client.get(of_run("run", run)).text
    assert "Resume from the last checkpoint" in page
    assert "1 epoch is done: it goes on from its last checkpoint" in page
    client.post(of_run("run_resume", run))
    run.refresh_from_db()
    assert run.job.state == "queued"
    assert 0 < run.curves[0]["train_accuracy"] < 1
    do(run.job, Progress())
    run.refresh_from_db()
    assert [one["epoch"] for one in run.curves] == [1, 2]
    assert "Most uncertain" in client.get(of_run("run", run)).text
    assert run.report.content["metrics"][0]["rows"][1]["name"] == "Accuracy, training"


def test_only_admins_steer_a_run(client, admin, researcher, experiment):
    run = Run.objects.first()
    run.job = queue_job(kind=RUN_KIND, object_id=str(run.pk), label="a run", actor=admin)
    run.save()
    client.force_login(researcher)
    assert client.post(of_run("run_cancel", run)).status_code == 403
    client.force_login(admin)
    assert "Cancel this run" in client.get(of_run("run", run)).text
    client.post(of_run("run_cancel", run))
    run.job.refresh_from_db()
    assert run.job.state == "cancelled"
    assert client.post(of_run("run_cancel", run), follow=True).status_code == 200  # and says that it is over
    client.force_login(researcher)  # who may not see the job
    page = client.get(of_run("run", run)).text
    assert "data-over" in page, "nobody asks every two seconds about what is over"
    assert "data-done" not in page, "somebody may let it go on"
    assert "Its job" not in page
