"""Experiments as services and jobs: what is refused, what is kept, what the report holds."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from django.apps import apps
from django.conf import settings as project
from django.core.management import CommandError, call_command
from safetensors.numpy import load_file

from elicitation.images.services import import_human_labels, import_images
from hilmix.accounts.models import AuditEvent
from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import DataError
from hilmix.errors import Conflict, DomainError, Forbidden, Invalid
from hilmix.hub.release_options import proposed_options
from hilmix.hub.releases import freeze_release
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from tests.training.doing import run_experiment
from training.experiments.config import parse_config
from training.experiments.material import data_of, resolve
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.models import Report, Run
from training.runs import work
from training.runs.services import finish_experiment, launch_experiment
from training.runs.work import duration

QUICK = """
name = "quick"
release = "small"
seeds = [0]
arms = [{policy = "mixup"}, {policy = "human_lambda_shrunk"}]
[train]
epochs = 1
batch_size = 256
precision = "fp32"
threads = 1
augment = {crop = 1, flip = false}
"""


def refused(config, **change) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as caught:
        create_experiment(config=replace(config, **change), actor=OPERATOR)
    return caught.value.fields


class Watched(Progress):
    """Remembers what was said, and asks to stop after `limit` updates."""

    def __init__(self, limit: float = float("inf")) -> None:
        self.updates, self.lines, self.limit = [], [], limit

    def update(self, done, total, text=""):
        self.updates.append((done, total, text))

    def log(self, text):
        self.lines.append(text)

    @property
    def cancelled(self):
        return len(self.updates) >= self.limit


@pytest.fixture
def experiment(config):
    return create_experiment(config=config, actor=OPERATOR)


def test_names_are_resolved_to_content_when_the_experiment_is_created(experiment, release, digits):
    assert experiment.release == release
    assert experiment.image_set == digits
    assert [arm.policy for arm in experiment.arms.all()] == ["mixup", "human_lambda_shrunk"]
    assert "rho" in experiment.arms.last().params["params"]
    assert Run.objects.count() == 2
    assert AuditEvent.objects.filter(action="experiment.created", object_id=str(experiment.pk)).exists()


def test_the_same_configuration_twice_is_one_experiment_and_another_is_another(experiment, config):
    assert create_experiment(config=config, actor=OPERATOR) == experiment
    assert create_experiment(config=replace(config, seeds=(1,)), actor=OPERATOR) != experiment


def test_human_labels_added_later_make_another_experiment(experiment, config, digits):
    labels = np.full((digits.n_images, 10), 0.1)
    import_human_labels(image_set=digits, labels=labels, meaning="made up", actor=OPERATOR)
    assert create_experiment(config=config, actor=OPERATOR) != experiment


def test_an_unknown_release_is_refused_naming_those_there_are(config):
    assert "small@1.0.0" in refused(config, release="smal")["release"][0]


def test_a_policy_without_labels_in_the_release_is_refused(config):
    arm = replace(config.arms[0], policy="human_lambda_shrnk")
    assert "did you mean 'human_lambda_shrunk'" in refused(config, arms=(arm,))["arms"][0]


def test_labels_asked_for_in_two_ways_must_be_told_apart(config, asked_in_two_ways):
    first, second = asked_in_two_ways.opened.conditions
    refusal = refused(config, release="twice")["arms"]
    assert len(refusal) == 1  # mixup uses no answer
    assert f"under 2 conditions, {first}, {second}" in refusal[0]
    arm = replace(config.arms[1], condition="0123456789ab")
    assert "no condition '0123456789ab'" in refused(config, release="twice", arms=(arm,))["arms"][0]


def test_an_arm_learns_from_the_condition_it_names(config, asked_in_two_ways):
    opened = asked_in_two_ways.opened
    arms = [
        replace(config.arms[1], name=f"asked {number}", condition=condition)
        for number, condition in enumerate(opened.conditions)
    ]
    config = replace(config, release="twice", arms=(config.arms[0], *arms))
    assert parse_config(config.as_dict()) == config
    experiment = create_experiment(config=config, actor=OPERATOR)
    assert [arm.params["condition"] for arm in experiment.arms.all()] == [None, *opened.conditions]
    material = resolve(config)
    learnt = [mixed_labels(material, arm.name) for arm in experiment.arms.all()]
    assert np.array_equal(learnt[0], opened.labels("mixup"))
    for labels, condition in zip(learnt[1:], opened.conditions, strict=True):
        assert np.array_equal(labels, opened.labels("human_lambda_shrunk", condition))
    assert not np.array_equal(learnt[1], learnt[2])


def mixed_labels(material, arm):
    data = data_of(material, arm, seed=0, fold=0)
    return data.targets[data.n_parents :]


def test_a_split_that_is_not_there_is_refused(config):
    assert "no split 'validation'" in refused(config, evaluate_on="validation")["evaluate_on"][0]


def test_another_image_set_than_the_releases_is_refused(config):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    splits = {"train": np.arange(10), "test": np.arange(10, 20)}
    classes = [str(number) for number in range(10)]
    labels = np.arange(20) % 10
    import_images(
        name="other", kind="npz", images=images, labels=labels, classes=classes, splits=splits, actor=OPERATOR
    )
    assert "holds other images" in refused(config, image_set="other")["image_set"][0]
    assert "not here" in refused(config, image_set="none")["image_set"][0]


def test_a_crop_larger_than_the_images_is_refused(config):
    train = replace(config.train, augment=replace(config.train.augment, crop=8))
    assert "8 pixels" in refused(config, train=train)["train.augment.crop"][0]


def test_being_judged_on_parents_of_mixed_images_is_refused(config):
    """Parents come from the training split, so judging on it would be judging on what was trained on."""
    problem = refused(config, train_on="test", evaluate_on="train")["evaluate_on"][0]
    assert "evaluation images are parents" in problem


def test_only_admins_launch(config, experiment, researcher):
    with pytest.raises(Forbidden):
        create_experiment(config=config, actor=researcher)
    with pytest.raises(Forbidden):
        launch_experiment(experiment=experiment, actor=researcher)


def test_an_experiment_that_is_being_worked_on_is_not_queued_again(experiment):
    launch_experiment(experiment=experiment, actor=OPERATOR)
    with pytest.raises(Conflict, match="already"):
        launch_experiment(experiment=experiment, actor=OPERATOR)
    assert Job.objects.get().queue == "train"


def test_an_experiment_is_trained_judged_and_reported_once(experiment):
    progress = Watched()
    run_experiment(progress, experiment.pk)
    done, total, text = next(update for update in progress.updates[::-1] if "epoch" in update[2])
    assert done == total == Run.objects.first().n_steps
    assert "epoch 1" in text
    content = Report.objects.get(experiment=experiment).content
    assert [arm["name"] for arm in content["arms"]] == ["mixup", "human_lambda_shrunk"]
    assert content["budget"]["equal"]
    assert content["leakage"]["n_leaked"] == 0
    assert content["watermark"] == "Simulated participants"
    assert dict(content["provenance"])["Release"].startswith("small@1.0.0")

    before = [run.finished_at for run in Run.objects.all()]
    run_experiment(Watched(), experiment.pk)
    assert [run.finished_at for run in Run.objects.all()] == before
    assert Report.objects.count() == 1
    with pytest.raises(Conflict, match="finished"):
        launch_experiment(experiment=Experiment.objects.get(), actor=OPERATOR)


def test_a_release_of_recipes_trains_as_one_with_pictures_does(experiment, config, release):
    options = replace(proposed_options(release.study), images="recipe-only")
    recipes = freeze_release(study=release.study, actor=OPERATOR, progress=Progress(), options=options)
    other = create_experiment(config=replace(config, release=recipes.name), actor=OPERATOR)
    scores = []
    for made in (experiment, other):
        run_experiment(Progress(), made.pk)
        scores.append(
            [run.metrics for run in Run.objects.filter(arm__experiment=made).order_by("arm__ordinal")]
        )
    assert scores[0] == scores[1]


def test_files_of_a_run_hold_weights_and_the_predictions_that_were_scored(experiment):
    run_experiment(Progress(), experiment.pk)
    run = Run.objects.first()
    weights = load_file(run.directory / "weights.safetensors")
    assert weights["mean"].shape == (1, 1, 1, 1)
    with np.load(run.directory / "predictions.npz") as predictions:
        accuracy = np.mean(predictions["logits"].argmax(1) == predictions["labels"])
        assert len(predictions["indices"]) == run.metrics["n"]
    assert accuracy == run.metrics["accuracy"]


def test_human_labels_are_scored_against_where_there_are_some(config, digits):
    opened = digits.open()
    smooth = 0.9 * np.eye(10)[opened.labels] + 0.01
    import_human_labels(image_set=digits, labels=smooth, meaning="made up", actor=OPERATOR)
    experiment = create_experiment(config=config, actor=OPERATOR)
    run_experiment(Progress(), experiment.pk)
    assert Run.objects.first().metrics["ce_human"] > 0


def test_arms_differ_in_their_labels_only(experiment):
    run_experiment(Progress(), experiment.pk)
    mixup, human = Run.objects.order_by("arm__ordinal")
    assert mixup.plan_sha256 == human.plan_sha256
    assert mixup.n_steps == human.n_steps
    assert mixup.curves[0]["train_floor"] != human.curves[0]["train_floor"]
    weights = [load_file(run.directory / "weights.safetensors") for run in (mixup, human)]
    assert not np.array_equal(weights[0]["net.0.weight"], weights[1]["net.0.weight"])


def test_a_precision_once_decided_is_kept(config):
    experiment = create_experiment(
        config=replace(config, train=replace(config.train, precision="auto")), actor=OPERATOR
    )
    experiment.precision = "bf16"
    experiment.save()
    run_experiment(Progress(), experiment.pk)
    assert {run.environment["precision"] for run in Run.objects.all()} == {"bf16"}


def test_a_release_changed_since_is_refused_naming_the_file(experiment, release):
    table = release.directory / "data" / "labels.parquet"
    table.write_bytes(table.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"labels\.parquet"):
        run_experiment(Progress(), experiment.pk)


def test_a_newer_release_of_the_name_changes_nothing_for_an_experiment_that_exists(experiment, release):
    release.pk, release.number, release.version, release.sha256 = None, 2, "2.0.0", "0" * 64
    release.save()  # its directory does not exist: opening it would fail
    run_experiment(Progress(), experiment.pk)
    assert Report.objects.exists()


@pytest.mark.django_db(transaction=True)  # the job's heartbeat has a connection of its own
def test_the_command_prints_the_table_writes_the_report_and_repeats_nothing(release, tmp_path):
    path = tmp_path / "quick.toml"
    path.write_text(QUICK, encoding="utf-8")
    said = [StringIO(), StringIO()]
    for out in said:
        call_command("run_experiment", path, out=tmp_path / "out", stdout=out)
    assert said[0].getvalue() == said[1].getvalue()
    assert "| human_lambda_shrunk |" in said[0].getvalue()
    assert "0 of 539 evaluation images are parents" in said[0].getvalue()
    assert set(Job.objects.values_list("kind", "state")) == {
        (kind, "done") for kind in ("run_experiment", "train_run", "report_experiment")
    }
    written = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert written == Report.objects.get().content
    assert (tmp_path / "out" / "report.md").read_text(encoding="utf-8").startswith("# quick\n")


@pytest.mark.django_db(transaction=True)
def test_the_command_repeats_an_experiment_on_another_release(release, tmp_path):
    path = tmp_path / "quick.toml"
    path.write_text(QUICK, encoding="utf-8")
    options = replace(proposed_options(release.study), images="recipe-only")
    other = freeze_release(study=release.study, actor=OPERATOR, progress=Progress(), options=options)
    call_command("run_experiment", path, release=release.name, stdout=StringIO())
    call_command("run_experiment", path, release=other.name, stdout=StringIO())
    first, second = Experiment.objects.order_by("pk")
    assert (first.release, second.release) == (release, other)
    assert {**first.config, "release": ""} == {**second.config, "release": ""}


@pytest.mark.django_db(transaction=True)
def test_the_command_does_all_it_can_and_then_says_what_failed(experiment, monkeypatch):
    real = work.train

    def train(config, data, **how):
        if how["budget"] and len(done) == 0:
            done.append("failed")
            raise DataError("no luck")
        return real(config, data, **how)

    done = []
    monkeypatch.setattr(work, "train", train)
    with pytest.raises(DomainError, match=r"1 of the experiment's jobs failed.*mixup, seed 0: no luck"):
        finish_experiment(experiment=experiment, actor=OPERATOR, progress=Progress())
    assert [run.is_done for run in Run.objects.all()] == [False, True]
    assert not Report.objects.exists()
    finish_experiment(experiment=experiment, actor=OPERATOR, progress=Progress())
    assert Report.objects.exists()
    assert sorted(Job.objects.filter(kind="train_run").values_list("attempt", flat=True)) == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_a_command_that_is_stopped_leaves_nothing_behind_that_a_worker_would_begin(experiment, monkeypatch):
    def train(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "train", train)
    with pytest.raises(KeyboardInterrupt):
        finish_experiment(experiment=experiment, actor=OPERATOR, progress=Progress())
    assert not Job.objects.filter(state="queued").exists()
    assert Experiment.objects.get().state == "cancelled"
    monkeypatch.undo()
    finish_experiment(experiment=experiment, actor=OPERATOR, progress=Progress())
    assert Experiment.objects.get().state == "done"


def test_the_command_refuses_a_bad_configuration_in_words(release, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text('name = "x"\nrelease = "small"\nseeds = []\n', encoding="utf-8")
    with pytest.raises(CommandError, match=r"bad\.toml(.|\n)*seeds: must be"):
        call_command("run_experiment", path)


def test_every_model_of_the_slices_is_registered():
    assert {model.__name__ for model in apps.get_app_config("training").get_models()} == {
        "Arm", "Choice", "Experiment", "Explanation", "FollowUp", "FollowUpImage", "Prediction", "Report", "Run",
        "RunReport",
    }  # fmt: skip


def test_the_web_process_does_not_load_torch():
    code = (
        "import django; django.setup(); import sys; from django.urls import get_resolver; "
        "get_resolver().url_patterns; import training.tasks; "
        "print([name for name in ('torch', 'sklearn') if name in sys.modules])"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "hilmix.settings", "HILMIX_VAR": str(project.VAR)}
    command = [sys.executable, "-c", code]
    said = subprocess.check_output(command, cwd=project.BASE_DIR, env=environment, text=True)
    assert said.strip() == "[]"


def test_durations_are_said_for_people():
    assert [duration(seconds) for seconds in (5, 200, 7500)] == ["5 s", "3 min", "2 h 5 min"]
