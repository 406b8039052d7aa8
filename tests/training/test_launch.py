"""What follows what: launching, queueing what is due, trying again, seeds and arms that come later. Nothing trains."""

from __future__ import annotations

import uuid
from datetime import timedelta
from itertools import chain

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from hilmix.accounts.models import AuditEvent
from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import DataError
from hilmix.errors import Conflict, Forbidden, Invalid
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.progress import JobCancelled
from tests.training.conftest import quick
from training.experiments import fitting
from training.experiments.config import parse_config
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.models import Report, Run
from training.reports.services import build_report, report_if_finished
from training.runs import keeping, services
from training.runs.external import add_arm

CHAIN = [
    {"name": "first", "policy": "mixup"},
    {"name": "second", "policy": "mixup", "start_from": "first"},
]


@pytest.fixture
def experiment(release):
    return create_experiment(config=parse_config(quick()), actor=OPERATOR)


def made(**change):
    return create_experiment(config=parse_config(quick(**change)), actor=OPERATOR)


def launched(experiment):
    """As after the launch's own work: its job is done, what is due is queued."""
    job = services.launch_experiment(experiment=experiment, actor=OPERATOR, publish=False)
    Job.objects.filter(pk=job.pk).update(state=JobState.DONE)
    services.queue_due(experiment=experiment, actor=OPERATOR)
    return Experiment.objects.get(pk=experiment.pk)


def waiting(kind=services.RUN_KIND):
    titles = {str(run.pk): run.title for run in Run.objects.all()} if kind == services.RUN_KIND else {}
    jobs = Job.objects.filter(kind=kind, state=JobState.QUEUED).order_by("created_at")
    return [titles.get(job.object_id, job.object_id) for job in jobs]


def finish(*runs):
    for run in runs:
        Job.objects.filter(pk=run.job_id).update(state=JobState.DONE)
        services.finish_run(run=run, actor=OPERATOR)


def end(run, state):
    Job.objects.filter(pk=run.job_id).update(state=state, error="it ended")


def runs(experiment):
    return services.runs_of(experiment)


def test_every_run_is_a_job_of_its_own_and_the_last_finished_one_queues_the_report(release):
    experiment = launched(made(seeds=[0, 1]))
    assert waiting() == [
        "mixup, seed 0", "human_lambda_shrunk, seed 0", "mixup, seed 1", "human_lambda_shrunk, seed 1",
    ]  # fmt: skip
    assert experiment.state == "queued"
    finish(*runs(experiment)[:3])
    assert waiting(services.REPORT_KIND) == []
    finish(runs(experiment)[3])
    assert waiting(services.REPORT_KIND) == [str(experiment.pk)]
    assert Job.objects.get(kind=services.REPORT_KIND).queue == "data"


def test_asking_twice_what_is_due_queues_nothing_twice(experiment):
    experiment = launched(experiment)
    services.queue_due(experiment=experiment, actor=OPERATOR)
    assert len(waiting()) == 2
    finish(*runs(experiment))
    services.queue_due(experiment=experiment, actor=OPERATOR)
    assert len(waiting(services.REPORT_KIND)) == 1


def test_a_run_waits_for_the_one_it_starts_from_and_is_queued_with_its_end(release):
    experiment = launched(made(arms=CHAIN, seeds=[0, 1]))
    assert waiting() == ["first, seed 0", "first, seed 1"]
    first = next(run for run in runs(experiment) if run.title == "first, seed 1")
    finish(first)
    assert waiting() == ["first, seed 0", "second, seed 1"]


def test_a_tuned_run_waits_for_all_its_candidates(release):
    grid = {"lr": [0.05, 0.1]}
    experiment = launched(made(tune=grid, validation=50, arms=[{"policy": "mixup"}], seeds=[3, 4]))
    assert waiting() == ["mixup, seed 3, candidate 1", "mixup, seed 3, candidate 2"]
    finish(runs(experiment)[0])
    assert waiting() == ["mixup, seed 3, candidate 2"]
    finish(runs(experiment)[1])
    assert waiting() == ["mixup, seed 3", "mixup, seed 4"]


def test_runs_have_the_priority_and_the_time_of_their_launch(experiment):
    later = timezone.now() + timedelta(hours=3)
    job = services.launch_experiment(experiment=experiment, actor=OPERATOR, priority=7, not_before=later)
    Job.objects.filter(pk=job.pk).update(state=JobState.DONE)
    services.queue_due(experiment=experiment, actor=OPERATOR)
    found = set(Job.objects.filter(kind=services.RUN_KIND).values_list("priority", "not_before"))
    assert found == {(7, later)}


@pytest.mark.parametrize("state", ["lost", "failed", "cancelled"])
def test_starting_again_what_ended_early_is_the_same_job_again(experiment, state):
    """With a second job, both could be retried from their pages and train the same runs at once."""
    first = services.launch_experiment(experiment=experiment, actor=OPERATOR)
    Job.objects.filter(pk=first.pk).update(state=state)
    again = services.launch_experiment(experiment=experiment, actor=OPERATOR)
    assert (again.pk, again.state, again.attempt) == (first.pk, "queued", 2)
    assert Job.objects.count() == 1


def test_launching_again_tries_only_what_failed(experiment):
    experiment = launched(experiment)
    good, bad = runs(experiment)
    finish(good)
    end(bad, JobState.FAILED)
    assert Experiment.objects.get(pk=experiment.pk).state == "failed"
    services.launch_experiment(experiment=experiment, actor=OPERATOR)
    assert waiting() == [bad.title]
    assert Job.objects.get(pk=bad.job_id).attempt == 2
    assert Job.objects.get(pk=good.job_id).attempt == 1
    with pytest.raises(Conflict, match="already"):
        services.launch_experiment(experiment=experiment, actor=OPERATOR)


def test_what_failed_can_be_tried_again_while_the_rest_goes_on(experiment):
    experiment = launched(experiment)
    going, bad = runs(experiment)
    end(bad, JobState.LOST)
    assert Experiment.objects.get(pk=experiment.pk).state == "queued", "the other one still waits"
    services.launch_experiment(experiment=experiment, actor=OPERATOR)
    assert waiting() == [going.title, bad.title]


def test_cancelling_an_experiment_cancels_all_that_waits_of_it(release):
    experiment = launched(made(seeds=[0, 1]))
    finish(runs(experiment)[0])
    assert services.cancel_experiment(experiment=experiment, actor=OPERATOR) == 3
    assert waiting() == []
    assert Experiment.objects.get(pk=experiment.pk).state == "cancelled"
    with pytest.raises(Conflict, match="nothing to cancel"):
        services.cancel_experiment(experiment=experiment, actor=OPERATOR)


def test_only_admins_steer_an_experiment(experiment, researcher):
    for act, more in (
        (services.launch_experiment, {}),
        (services.cancel_experiment, {}),
        (services.add_seeds, {"seeds": [5]}),
        (add_arm, {"name": "theirs", "file": "x.npz", "seed": 0}),
    ):
        with pytest.raises(Forbidden):
            act(experiment=experiment, actor=researcher, **more)


def test_the_job_shown_is_one_that_runs_before_one_that_waits_before_one_that_failed(experiment):
    assert services.current_job(experiment) is None
    experiment = launched(experiment)
    first, second = runs(experiment)
    end(first, JobState.FAILED)
    assert services.current_job(experiment).pk == second.job_id
    end(second, JobState.CANCELLED)
    assert services.current_job(experiment).pk == first.job_id


def test_a_report_is_asked_for_again_where_a_run_was_added_since(experiment):
    """A report job that began before must not be taken for the one that is due now."""
    experiment = launched(experiment)
    finish(*runs(experiment))
    Job.objects.filter(kind=services.REPORT_KIND).update(state=JobState.DONE)
    services.add_seeds(experiment=experiment, seeds=[9], actor=OPERATOR)
    finish(*[run for run in runs(experiment) if not run.is_done])
    assert waiting(services.REPORT_KIND) == [str(experiment.pk)]


def test_seeds_are_added_to_every_arm_as_it_was_frozen_and_known_as_later(experiment):
    experiment = launched(experiment)
    finish(*runs(experiment))
    Report.objects.create(experiment=experiment, content={})
    assert Experiment.objects.get(pk=experiment.pk).state == "done"
    added = services.add_seeds(experiment=experiment, seeds=[5, 6], actor=OPERATOR)
    assert [(run.arm.name, run.seed) for run in added] == [
        ("mixup", 5), ("human_lambda_shrunk", 5), ("mixup", 6), ("human_lambda_shrunk", 6),
    ]  # fmt: skip
    assert [run.train for run in added[:2]] == [run.train for run in runs(experiment)[:2]]
    assert len(waiting()) == 4
    experiment = Experiment.objects.get(pk=experiment.pk)
    assert experiment.config["seeds"] == [0]
    assert [services.added_later(run) for run in runs(experiment)] == [False] * 2 + [True] * 4
    assert AuditEvent.objects.filter(action="experiment.seeds_added").exists()


def test_a_report_stays_while_it_is_renewed_and_the_experiment_is_as_far_as_its_new_runs(experiment):
    experiment = launched(experiment)
    finish(*runs(experiment))
    report = Report.objects.create(experiment=experiment, content={"of": "the first seed"})
    services.add_seeds(experiment=experiment, seeds=[5], actor=OPERATOR)
    assert Report.objects.get() == report
    one, other = report.without(runs(experiment))
    assert (one.seed, other.seed) == (5, 5)
    assert Experiment.objects.get().state == "queued"
    end(one, JobState.FAILED)
    end(other, JobState.CANCELLED)
    assert Experiment.objects.get().state == "failed"
    services.launch_experiment(experiment=experiment, actor=OPERATOR)
    assert len(waiting()) == 2
    finish(*[run for run in runs(experiment) if not run.is_done])
    assert Experiment.objects.get().state == "queued", "the new report is to be written"
    assert waiting(services.REPORT_KIND) == [str(experiment.pk)]
    assert report.without(runs(experiment)) == [one, other], "they ended after it was written"


def without_pictures(monkeypatch):
    """Reports whose arms are made up have nothing to keep beside their row."""
    monkeypatch.setattr("training.reports.robustness.comparing.compare_arms", lambda _: None)
    monkeypatch.setattr("training.reports.mixing.keeping.mixing_of", lambda *_: {"arms": {}, "folder": ""})


def test_a_written_report_takes_the_place_of_the_one_before_and_is_of_all_runs(
    experiment, outside, monkeypatch, capsys
):
    experiment = launched(experiment)
    finish(*runs(experiment))
    content = iter({"of": number, "robustness": {}} for number in range(3))
    monkeypatch.setattr("training.reports.content.report_content", lambda **_: next(content))
    monkeypatch.setattr("training.reports.gathering.arm_result", lambda *_: None)
    without_pictures(monkeypatch)
    first = build_report(experiment=experiment, leakage=None)
    assert build_report(experiment=experiment, leakage=None) == first, "nothing was added"
    add_arm(experiment=experiment, name="theirs", file=outside, seed=0, actor=OPERATOR)
    assert Experiment.objects.get().state == "queued"
    call_command("runs", experiment.pk)
    out = capsys.readouterr().out
    assert "is without 1 run added since. It is being renewed, and stays until a new one is written." in out
    assert Report.objects.get().content["of"] == 0
    second = build_report(experiment=experiment, leakage=None)
    assert second.pk == first.pk
    assert second.content["of"] == 1
    assert Experiment.objects.get().state == "done"
    # the clock of the host that writes may be behind that of the host that trained
    later = timezone.now() + timedelta(minutes=5)
    Run.objects.filter(arm__name="theirs").update(finished_at=later)
    assert build_report(experiment=experiment, leakage=None).created_at == later
    assert Experiment.objects.get().state == "done"
    services.add_seeds(experiment=experiment, seeds=[7], actor=OPERATOR)
    assert report_if_finished(experiment=experiment) is None


def test_a_report_that_nothing_renews_is_not_said_to_be_renewed(experiment, capsys):
    experiment = launched(experiment)
    finish(*runs(experiment))
    Report.objects.create(experiment=experiment, content={})
    services.add_seeds(experiment=experiment, seeds=[5], actor=OPERATOR)
    assert services.is_worked_on(experiment)
    services.cancel_experiment(experiment=experiment, actor=OPERATOR)
    assert not services.is_worked_on(experiment)
    call_command("runs", experiment.pk)
    assert "is without 2 runs added since. It is not being renewed now" in capsys.readouterr().out
    services.launch_experiment(experiment=experiment, actor=OPERATOR)
    finish(*[run for run in runs(experiment) if not run.is_done])
    assert services.is_worked_on(experiment), "the report itself waits to be written"


def test_a_run_that_is_added_while_a_report_is_written_is_in_it_or_is_known_to_be_missing(
    experiment, monkeypatch
):
    """Whatever the moment: before each of the questions that are asked of the database, up to the lock."""
    finish(*runs(launched(experiment)))
    monkeypatch.setattr(
        "training.reports.content.report_content",
        lambda arms, **_: {"runs": [*chain(*arms)], "robustness": {}},
    )
    monkeypatch.setattr(
        "training.reports.gathering.arm_result", lambda arm, _: [run.pk for run in arm.runs.all()]
    )
    without_pictures(monkeypatch)

    class Adding:
        def __init__(self, at):
            self.left, self.adding, self.added = at, False, None

        def __call__(self, execute, sql, params, many, context):
            if not self.adding and not self.added and "SAVEPOINT" not in sql:
                self.left -= 1
                if self.left < 0:
                    self.adding = True
                    arm = experiment.arms.first()
                    self.added = Run.objects.create(arm=arm, seed=7, finished_at=timezone.now())
            self.adding = self.adding or "SAVEPOINT" in sql  # locked from there
            return execute(sql, params, many, context)

    ended = []
    for at in range(100):
        adding = Adding(at)
        with connection.execute_wrapper(adding):
            try:
                report = build_report(experiment=experiment, leakage=None)
            except Conflict:
                ended.append("anew")
                report = build_report(experiment=experiment, leakage=None)
        if adding.added is None:
            break
        assert adding.added.pk in report.content["runs"]
        ended.append("written")
        report.delete()
        adding.added.delete()
    assert ended.count("written") > 5
    assert "anew" in ended


@pytest.mark.parametrize(("folds", "most"), [(0, 4), (2, 10)])
def test_added_seeds_make_an_experiment_no_larger_than_a_new_one_may_be(release, monkeypatch, folds, most):
    experiment = made(holdout_mixes=1 / folds if folds else 0)
    monkeypatch.setattr(fitting, "MAX_RUNS", most)
    seeds = [5] if folds else [5, 6]
    with pytest.raises(
        Invalid, match=f"{folds} folds make {12 if folds else 6} runs, tuning included; an exp"
    ):
        services.add_seeds(experiment=experiment, seeds=seeds, actor=OPERATOR)
    monkeypatch.setattr(fitting, "MAX_SEEDS", 1)
    with pytest.raises(Invalid, match="at most 1 seeds"):
        services.add_seeds(experiment=experiment, seeds=[5], actor=OPERATOR)
    monkeypatch.setattr(fitting, "MAX_SEEDS", 3)
    monkeypatch.setattr(fitting, "MAX_RUNS", 12)
    assert len(services.add_seeds(experiment=experiment, seeds=seeds, actor=OPERATOR)) == (6 if folds else 4)


@pytest.mark.parametrize(
    ("seeds", "words"), [([0], "trained already"), ([], "at least one"), ([-1], "whole"), ([3, 3], "twice")]
)
def test_seeds_that_cannot_be_added_are_refused(experiment, seeds, words):
    with pytest.raises(Invalid, match=words):
        services.add_seeds(experiment=experiment, seeds=seeds, actor=OPERATOR)
    assert Run.objects.count() == 2


@pytest.fixture
def outside(experiment, tmp_path):
    """Predictions of the test images by some other program."""
    images = experiment.image_set.open()
    labels = images.labels[images.splits["test"]]
    probs = np.full((len(labels), 10), 0.02)
    probs[np.arange(len(labels)), labels] = 0.82
    path = tmp_path / "theirs.npz"
    np.savez(path, probs=probs, labels=labels)
    return path


def test_predictions_from_elsewhere_become_an_arm_marked_external(experiment, outside):
    run = add_arm(experiment=experiment, name="theirs", file=outside, seed=0, actor=OPERATOR)
    assert run.arm.is_external
    assert run.is_done
    assert run.metrics["accuracy"] == 1
    assert run.evaluations["test"]["accuracy"]["value"] == 1
    assert "robustness" in run.evaluations["not_assessed"]
    kept = keeping.read_arrays(run, keeping.PREDICTIONS)
    assert np.allclose(np.exp(kept["logits"]).max(axis=1), 0.82)
    assert not services.added_later(run)
    again = add_arm(experiment=experiment, name="theirs", file=outside, seed=1, actor=OPERATOR)
    assert again.arm == run.arm
    for name, words in (("theirs", "seed 1 already"), ("mixup", "trained here")):
        with pytest.raises(Conflict, match=words):
            add_arm(experiment=experiment, name=name, file=outside, seed=1, actor=OPERATOR)


def test_predictions_of_other_images_are_refused(experiment, outside, tmp_path):
    with np.load(outside) as found:
        np.savez(tmp_path / "other.npz", probs=found["probs"], labels=found["labels"][::-1])
        np.savez(
            tmp_path / "few.npz", probs=np.full((len(found["labels"]), 2), 0.5), labels=found["labels"] % 2
        )
    with pytest.raises(DataError, match="not those of the 539 test images"):
        add_arm(experiment=experiment, name="theirs", file=tmp_path / "other.npz", seed=0, actor=OPERATOR)
    with pytest.raises(DataError, match="2 classes"):
        add_arm(experiment=experiment, name="theirs", file=tmp_path / "few.npz", seed=0, actor=OPERATOR)
    with pytest.raises(CommandError, match="no experiment 99"):
        call_command("add_arm", 99, predictions=outside, name="theirs")
    assert not Experiment.objects.get().arms.filter(is_external=True).exists()


def test_an_external_arm_of_an_unfinished_experiment_waits_for_its_report(experiment, outside, capsys):
    call_command("add_arm", experiment.pk, predictions=outside, name="theirs")
    said = capsys.readouterr().out
    assert "accuracy 1.0000 on test images" in said
    assert "when the last run is finished" in said
    assert Job.objects.filter(kind=services.REPORT_KIND).count() == 0
    Experiment.objects.update(config={**experiment.config, "validation": 0.1})
    call_command("add_arm", experiment.pk, predictions=outside, name="theirs", seed=1)
    assert "accuracy" not in capsys.readouterr().out, "by which an arm is not to be chosen"


def test_the_terminal_shows_experiments_and_the_runs_of_one(experiment, capsys):
    experiment = launched(experiment)
    first, second = runs(experiment)
    first.metrics = {"accuracy": 0.5}
    finish(first)
    end(second, JobState.FAILED)
    services.add_seeds(experiment=experiment, seeds=[8], actor=OPERATOR)
    call_command("runs")
    assert f"{experiment.pk}           quick  queued  1/4" in capsys.readouterr().out
    call_command("runs", experiment.pk)
    said = capsys.readouterr().out
    assert "mixup, seed 0                done    accuracy 0.5000" in said
    assert "human_lambda_shrunk, seed 0  failed" in said
    assert "human_lambda_shrunk, seed 0: it ended" in said
    assert "mixup, seed 8                queued" in said
    assert "added later" in said
    assert "No worker is running for trainings" in said


def test_the_terminal_steers(experiment, capsys):
    experiment = launched(experiment)
    call_command("runs", experiment.pk, pause=True, priority=4, not_before="2040-01-01T10:00", add_seeds="5")
    said = capsys.readouterr().out
    assert "paused: nothing more begins" in said
    assert "priority 4, not before 01 Jan 10:00" in said
    assert set(Job.objects.filter(kind=services.RUN_KIND).values_list("priority", flat=True)) == {4}
    services.cancel_experiment(experiment=experiment, actor=OPERATOR)
    call_command("runs", experiment.pk, retry=True, resume=True)
    assert len(waiting()) == 4
    assert "paused" not in capsys.readouterr().out
    call_command("runs", experiment.pk, cancel=True)
    assert waiting() == []
    for options, words in (
        ({"add_seeds": "five"}, "whole numbers"), ({"not_before": "soon"}, "2026-12-01T22:00"),
    ):  # fmt: skip
        with pytest.raises(CommandError, match=words):
            call_command("runs", experiment.pk, **options)
    with pytest.raises(CommandError, match=r"^seeds: 0 is trained already$"):  # and not twice
        call_command("runs", experiment.pk, add_seeds="0")
    with pytest.raises(CommandError, match="which experiment"):
        call_command("runs", retry=True)


def test_runs_that_are_queued_later_have_the_new_place_too(release):
    experiment = launched(made(arms=CHAIN))
    services.reorder_experiment(experiment=experiment, actor=OPERATOR, priority=3)
    finish(runs(experiment)[0])
    assert Job.objects.get(kind=services.RUN_KIND, state=JobState.QUEUED).priority == 3


def test_a_cancelling_that_comes_while_a_run_ends_queues_nothing_after_it(release):
    experiment = launched(made(arms=CHAIN))
    first = runs(experiment)[0]
    Job.objects.filter(pk=first.job_id).update(state=JobState.RUNNING, claim=uuid.uuid4())
    services.cancel_experiment(experiment=experiment, actor=OPERATOR)
    with pytest.raises(JobCancelled):
        services.finish_run(run=first, actor=OPERATOR)
    assert waiting() == []
    assert not runs(experiment)[0].is_done


def test_seeds_added_while_the_launch_ends_are_queued_but_none_before_its_forecast(experiment):
    job = services.launch_experiment(experiment=experiment, actor=OPERATOR, publish=False)
    Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING, claim=uuid.uuid4())
    services.add_seeds(experiment=experiment, seeds=[5], actor=OPERATOR)
    assert waiting() == []
    services.queue_due(experiment=experiment, actor=OPERATOR)
    services.add_seeds(experiment=experiment, seeds=[6], actor=OPERATOR)
    assert len(waiting()) == 6


def test_a_report_that_failed_is_the_state_of_its_experiment_and_says_why(experiment, capsys):
    experiment = launched(experiment)
    finish(*runs(experiment))
    assert Experiment.objects.get().state == "queued"
    Job.objects.filter(kind=services.REPORT_KIND).update(state=JobState.FAILED, error="A file is missing.")
    assert Experiment.objects.get().state == "failed"
    call_command("runs", experiment.pk)
    said = capsys.readouterr().out
    assert "A file is missing." in said
    assert f"manage.py runs {experiment.pk} --retry tries again what is not done" in said


def test_what_does_not_fit_its_column_is_refused(experiment, outside):
    for options, words in (({"seed": -1}, "whole number from 0"), ({"name": 121 * "a"}, "121 characters")):
        with pytest.raises(Invalid, match=words):
            add_arm(
                **{
                    "experiment": experiment,
                    "name": "far",
                    "file": outside,
                    "seed": 0,
                    "actor": OPERATOR,
                    **options,
                }
            )
    for act in (services.launch_experiment, services.reorder_experiment):
        with pytest.raises(Invalid, match="from -1000 to 1000"):
            act(experiment=experiment, actor=OPERATOR, priority=99_999)
