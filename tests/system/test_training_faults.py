"""Trainings whose processes are killed: they go on, and end with the bits of one that nobody disturbed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
from functools import partial

import pytest

RELEASE = """
from elicitation.flow.simulation import simulate_participant
from elicitation.images.models import ImageSet
from elicitation.studies.models import Source
from elicitation.studies.opening import close_study, open_study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, create_study
from hilmix.accounts.roles import OPERATOR
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress
design = Design(n_mixed_images=10, trials_per_person=10, repeats=0, answers_per_unit=2)
plan = StudyPlan(slug="small", title="small", image_set=ImageSet.objects.get(name="digits"), design=design)
study = create_study(plan=plan, source=Source.SIMULATED, actor=OPERATOR)
open_study(study=study, actor=OPERATOR)
for seed in range(2):
    simulate_participant(study=study, seed=seed)
close_study(study=study, actor=OPERATOR)
freeze_release(study=study, actor=OPERATOR, progress=Progress())
"""
LAUNCH = """
import json
from hilmix.accounts.roles import OPERATOR
from training.experiments.config import parse_config
from training.experiments.services import create_experiment
from training.runs.services import launch_experiment
experiment = create_experiment(config=parse_config(json.loads({config!r})), actor=OPERATOR)
launch_experiment(experiment=experiment, actor=OPERATOR)
print(experiment.pk)
"""


@pytest.fixture(scope="module")
def trainer(start_instance):
    def prepare(instance):
        instance.manage("import_images", "digits", "--name", "digits")
        instance.python(RELEASE)

    return start_instance(prepare, HILMIX_LOST_AFTER="6")


def launch(instance, name, **change):
    """Create an experiment of one arm, or launch it again; its number."""
    config = {
        "name": name,
        "release": "small",
        "seeds": [0],
        "arms": [{"policy": "mixup"}],
        "train": {
            "epochs": 12, "batch_size": 32, "deterministic": True, "threads": 1, "ema": 0.9,
            "augment": {"crop": 1, "flip": False},
        },
        **change,
    }  # fmt: skip
    return int(instance.python(LAUNCH.format(config=json.dumps(config))))


def run_of(instance, experiment):
    [run] = instance.rows(
        "select training_run.id, training_run.job_id, training_run.finished_at from training_run "
        "join training_arm on training_arm.id = training_run.arm_id where experiment_id = ?",
        experiment,
    )
    return run


def is_far(instance, job, step):
    """Whether a job runs and has done as many steps."""
    now = instance.job(job)
    return now["state"] == "running" and now["progress_done"] >= step


def wait_for_report(instance, experiment):
    def there():
        return instance.rows("select id from training_report where experiment_id = ?", experiment)

    instance.wait_until(there, 240, lambda: f"{instance.rows('select kind, state, error from jobs_job')}")


def weights(instance, experiment):
    path = instance.var / "runs" / str(run_of(instance, experiment)["id"]) / "weights.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.faults
def test_a_training_killed_at_three_random_steps_ends_with_the_same_bits(trainer):
    whole = launch(trainer, "undisturbed")
    wait_for_report(trainer, whole)
    experiment, steps = launch(trainer, "killed"), random.Random(6)
    # 12 epochs of 39 steps: once in the first, before there is a checkpoint; twice later, well before the end.
    for low, high in ((2, 30), (45, 120), (130, 300)):
        trainer.wait_until(lambda: run_of(trainer, experiment)["job_id"], 60, trainer.said)
        job, step = run_of(trainer, experiment)["job_id"], steps.randint(low, high)
        trainer.wait_until(partial(is_far, trainer, job, step), 120, lambda job=job: f"{trainer.job(job)}")
        os.kill(trainer.job(job)["pid"], signal.SIGKILL)
        failed = trainer.wait_for_state(job, "failed")
        assert "was killed (SIGKILL)" in failed["error"]
        assert not run_of(trainer, experiment)["finished_at"]
        assert launch(trainer, "killed") == experiment
    wait_for_report(trainer, experiment)
    assert trainer.job(run_of(trainer, experiment)["job_id"])["attempt"] == 4
    assert weights(trainer, experiment) == weights(trainer, whole)


@pytest.mark.faults
def test_a_cancelled_training_stops_within_a_step_and_leaves_a_checkpoint(trainer):
    experiment = launch(trainer, "cancelled", seeds=[1])
    trainer.wait_until(lambda: run_of(trainer, experiment)["job_id"], 60, trainer.said)
    job = run_of(trainer, experiment)["job_id"]
    trainer.wait_until(lambda: trainer.job(job)["progress_done"] > 5, 120, lambda: f"{trainer.job(job)}")
    trainer.steer("request_cancel", job)
    assert trainer.wait_for_state(job, "cancelled", within=15)["error"] == "", "it stopped by itself"
    folder = trainer.var / "runs" / str(run_of(trainer, experiment)["id"]) / "checkpoints"
    assert [path.name for path in folder.iterdir() if path.name.startswith("step-")]
    assert launch(trainer, "cancelled", seeds=[1]) == experiment
    wait_for_report(trainer, experiment)
