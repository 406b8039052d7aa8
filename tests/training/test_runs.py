"""One run's work: trained from where it was, judged on what was asked for, files kept; what goes for lack of disk."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.numpy import load_file

from elicitation.images.services import import_human_labels
from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import DataError
from hilmix.errors import Invalid
from hilmix.jobs.models import Job
from hilmix.jobs.progress import JobCancelled, Progress
from tests.training.conftest import quick
from tests.training.doing import run_experiment
from training.engine.loop import TrainingDiverged
from training.engine.predict import load_model, predict
from training.engine.probe import Forecast, Probe
from training.evaluation.evidence import Evidence
from training.evaluation.metrics import cross_entropies, log_softmax
from training.evaluation.risk import risk
from training.evaluation.robustness import Assessment
from training.evaluation.symptoms import fails_on_mixed
from training.experiments import labels
from training.experiments.config import parse_config
from training.experiments.material import material_of
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.management.commands.runs import table_of_runs
from training.models import Run
from training.reports.gathering import _mixes
from training.reports.services import report_if_finished
from training.runs import judging, keeping, work
from training.runs.amounts import Amount, to_judge, to_store
from training.runs.services import LAUNCH_KIND, REPORT_KIND, RUN_KIND, launch_experiment

ONE = [{"policy": "mixup"}]


def made(**change):
    train = {**quick()["train"], "deterministic": True, **change.pop("train", {})}
    return create_experiment(config=parse_config(quick(train=train, **change)), actor=OPERATOR)


def trained(experiment, progress=None):
    """Its runs after training, without the report."""
    run_experiment(progress or Progress(), experiment.pk, kinds=(LAUNCH_KIND, RUN_KIND))
    return list(Run.objects.filter(arm__experiment=experiment).select_related("arm"))


def digest(run):
    return hashlib.sha256((run.directory / keeping.WEIGHTS).read_bytes()).hexdigest()


class Stopping(Progress):
    """Asks to stop once `words` were said, after so many `updates` of them."""

    def __init__(self, words, updates=1):
        self.words, self.left, self.lines = words, updates, []

    def update(self, done, total, text=""):
        self.left -= self.words in text

    def log(self, text):
        self.lines.append(text)

    @property
    def cancelled(self):
        return self.left <= 0


@pytest.fixture
def people(digits):
    """Human labels of all digits."""
    smooth = 0.9 * np.eye(10)[digits.open().labels] + 0.01
    import_human_labels(image_set=digits, labels=smooth, meaning="made up", actor=OPERATOR)


def test_before_the_first_run_it_is_measured_what_all_of_them_take(release):
    experiment = made(train={"precision": "auto", "threads": 1})
    run_experiment(Progress(), experiment.pk, kinds=(LAUNCH_KIND,))
    experiment.refresh_from_db()
    assert experiment.precision == "fp32"
    assert experiment.threads == 1
    assert experiment.forecast["n_runs"] == 2
    assert experiment.forecast["seconds"] > 0
    assert experiment.forecast["disk"] > 2e6, "the weights of two runs"
    assert experiment.forecast["seconds_judging"] > 0
    assert Job.objects.filter(kind=RUN_KIND).count() == 2


def test_what_cannot_fit_is_refused_before_anything_is_queued(release, monkeypatch):
    full = Forecast(1.0, 10, 5, 10, 5, ("2 runs need 10 bytes of disk; 5 are free.",))
    monkeypatch.setattr(work, "forecast", lambda *_, **__: full)
    experiment = made()
    with pytest.raises(Invalid, match="5 are free"):
        run_experiment(Progress(), experiment.pk)
    experiment.refresh_from_db()
    assert experiment.state == "failed"
    assert experiment.forecast["refusals"] == list(full.refusals)
    assert not Job.objects.filter(kind=RUN_KIND).exists()


def test_precision_and_threads_once_decided_are_those_of_every_run(release, monkeypatch):
    experiment = made(train={"deterministic": False, "precision": "auto"})
    experiment.precision, experiment.threads = "bf16", 1
    experiment.save()
    for run in trained(experiment):
        assert (run.environment["precision"], run.environment["threads"]) == ("bf16", 1)
        assert (run.train["precision"], run.train["threads"]) == ("bf16", 1)


@pytest.mark.parametrize(
    ("words", "updates"), [("epoch 1", 2), ("epoch 2", 1), ("judging on the test images", 1)]
)
def test_a_run_that_is_stopped_goes_on_where_it_was_to_the_same_bits(release, words, updates):
    train = {"epochs": 2, "ema": 0.9}
    experiment = made(arms=ONE, train=train)
    with pytest.raises(JobCancelled):
        trained(experiment, Stopping(words, updates))
    [run] = Run.objects.all()
    assert not run.is_done
    assert len(list(keeping.checkpoints(run).glob("step-*"))) == 1
    [again] = trained(experiment)
    [whole] = trained(made(name="undisturbed", arms=ONE, train=train))
    assert digest(again) == digest(whole)
    assert again.metrics == whole.metrics
    assert again.evaluations == whole.evaluations
    assert [curve["train_loss"] for curve in again.curves] == [curve["train_loss"] for curve in whole.curves]
    assert not keeping.checkpoints(again).exists()


def test_a_run_killed_before_its_row_was_written_is_judged_again_to_the_same_figures(release, monkeypatch):
    """The files are there, the row is not: as after kill -9 between the two."""
    experiment = made(arms=ONE)

    def killed(**_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(work, "finish_run", killed)
        with pytest.raises(KeyboardInterrupt):
            trained(experiment)
    [run] = Run.objects.all()
    assert not run.is_done
    before = digest(run)
    [run] = trained(experiment)
    assert run.is_done
    assert digest(run) == before
    assert run.metrics["accuracy"] >= 0


def test_a_finished_run_is_not_trained_again_but_asks_what_is_due(release):
    experiment = made(arms=ONE)
    [run] = trained(experiment)
    Job.objects.filter(kind=REPORT_KIND).delete()
    work.train_run(Progress(), run.pk)
    assert Run.objects.get().finished_at == run.finished_at
    assert Job.objects.filter(kind=REPORT_KIND).count() == 1


def test_test_and_validation_images_are_judged_with_three_temperatures(release, people):
    [run] = trained(made(arms=ONE, validation=60))
    found = run.evaluations
    assert found["validation"]["accuracy"]["n"] == 60
    assert found["test"]["accuracy"]["n"] == 539
    assert found["test"]["human_kl"]["interval"]
    for kind in ("hard", "human"):
        cooled = found["temperature"][kind]
        assert cooled["T"] > 0
        assert cooled["loss_after"] <= cooled["loss_before"]
        assert cooled["test"]["accuracy"] == found["test"]["accuracy"], "the most probable class stays"
    assert keeping.weights_sha256(run) == digest(run)
    kept = keeping.read_arrays(run, keeping.PREDICTIONS)
    assert len(kept["validation_logits"]) == len(kept["validation_indices"]) == 60
    assert not set(kept["validation_indices"]) & set(kept["indices"])
    assert "not_assessed" not in found


def test_accuracy_on_training_images_as_they_are_is_kept_of_a_sample_that_all_runs_share(
    release, monkeypatch
):
    monkeypatch.setattr(judging, "TRAINED", 100)
    arms = [*ONE, {"name": "flying", "on_the_fly": {"method": "mixup"}}]
    for run in trained(made(arms=arms, validation=60)):
        material = material_of(run.arm.experiment)
        sample = judging.trained_sample(material.training)
        assert len(sample) == 100
        assert set(sample) <= set(material.training) - set(material.validation)
        images = material.images
        model = load_model(
            run.directory / keeping.WEIGHTS,
            net=run.train["net"],
            image_shape=material.image_shape,
            n_classes=len(images.classes),
        )
        logits = predict(model, images.images[sample], device=torch.device("cpu"))
        right = logits.argmax(axis=1) == images.labels[sample]
        found = run.evaluations["training"]["accuracy"]
        assert (found["value"], found["n"]) == (right.mean(), 100)
        assert found["interval"][0] <= found["value"] <= found["interval"][1]


def test_a_fold_is_judged_on_no_more_than_is_read_of_it(release, people):
    whole, *folds = trained(made(arms=ONE, validation=60, holdout_mixes=0.5))
    assert {"test", "validation", "temperature", "training"} <= set(whole.evaluations)
    for run in folds:
        assert set(run.evaluations) == {"mixed"}
        assert run.metrics["n"] == 539
        assert run.accuracy is None, "validation images are set apart, so nobody is told of test images"
        kept = keeping.read_arrays(run, keeping.PREDICTIONS)
        assert set(kept) == {"indices", "labels", "logits", "mixed_rows", "mixed_logits"}


def test_candidates_are_told_apart_and_counted_and_training_accuracy_comes_to_the_report(release):
    experiment = made(arms=ONE, validation=60, tune={"lr": [0.05, 0.1]})
    run_experiment(Progress(), experiment.pk)
    lines = table_of_runs(experiment)
    said = {
        run.candidate: next(line for line in lines if f"{run.title}  " in line) for run in Run.objects.all()
    }
    assert all("on validation images" in said[number] for number in (0, 1, 2))
    content = Experiment.objects.get().report.content
    rules = {one["rule"]: one for one in content["diagnosis"]["mixup"]}
    assert rules["equal_accuracy"]["state"] != "not assessed"
    assert rules["equal_accuracy"]["numbers"]["train_accuracy"] > 0
    assert set(rules["unhealthy"]["numbers"]["classes"]) <= set(experiment.image_set.classes)
    computed = dict(content["provenance"])
    assert "for 3 runs (1 compared, 2 to tune by)" in computed["Training time"]
    assert "net resnet20; epochs 1" in computed["Recipe"]


def test_a_log_names_no_figure_of_test_images_where_there_are_validation_images(release):
    experiment = made(arms=ONE, validation=60)
    run_experiment(progress := Stopping("nothing that is said"), experiment.pk)
    [line] = [line for line in progress.lines if line.startswith("accuracy ")]
    [run] = Run.objects.filter(arm__experiment=experiment)
    assert line.startswith(
        f"accuracy {run.evaluations['validation']['accuracy']['value']:.3f} on validation images"
    )
    [row] = [line for line in table_of_runs(experiment) if run.title in line]
    assert f"accuracy {run.evaluations['validation']['accuracy']['value']:.4f} on validation images" in row


def test_what_could_not_be_measured_is_said(release):
    [run] = trained(made(arms=ONE, validation=60))
    assert "human labels" in run.evaluations["temperature"]["human"]["not_assessed"]
    assert run.evaluations["not_assessed"] == {"people": judging.NO_HUMAN}
    [run] = trained(made(arms=ONE, name="without"))
    assert run.evaluations["not_assessed"]["temperature"] == judging.NO_VALIDATION
    assert "temperature" not in run.evaluations


def test_held_out_mixed_images_are_judged_against_answers_and_agreement_with_mixup(release):
    experiment = made(arms=ONE, holdout_mixes=0.5)
    whole, *folds = trained(experiment)
    assert "mixed" not in whole.evaluations
    rows = []
    for run in folds:
        found = run.evaluations["mixed"]
        kept = keeping.read_arrays(run, keeping.PREDICTIONS)
        rows += list(kept["mixed_rows"])
        assert found["n"] == len(kept["mixed_logits"])
        assert found["people"]["human_cross_entropy"]["value"] > 0
        assert found["people"]["human_cross_entropy"]["floor"] > 0
        assert {"mixup_agreement_top1", "mixup_agreement_cross_entropy"} == set(found["mixup"])
    assert sorted(rows) == list(range(10)), "each is held out once"


def test_an_arm_without_a_condition_is_judged_by_the_one_that_other_arms_name(asked_in_two_ways):
    first, _ = asked_in_two_ways.opened.conditions
    arms = [*ONE, {"policy": "human_lambda", "condition": first}]
    made_of = {"release": "twice", "holdout_mixes": 0.5}
    with pytest.raises(Invalid, match="arms name 0 of those"):
        made(arms=ONE, **made_of)
    material = material_of(made(arms=arms, **made_of))
    assert material.judged_by == ("human_lambda", first)
    asked = np.isfinite(material.answers).all(axis=1)
    assert np.array_equal(material.answers[asked], material.data.labels("human_lambda", first)[asked])


def test_mixed_images_that_nobody_answered_are_not_judged_against_people(release, monkeypatch):
    experiment = made(arms=ONE, holdout_mixes=0.5)
    answers = material_of(experiment).answers.copy()
    answers[[0, 1, 2]] = np.nan
    monkeypatch.setattr(labels, "answers_to", lambda *_: answers)
    _, *folds = trained(experiment)
    for run in folds:
        found, rows = run.evaluations["mixed"], keeping.read_arrays(run, keeping.PREDICTIONS)["mixed_rows"]
        assert found["n_answered"] == np.sum(rows > 2)
        assert found["people"]["human_cross_entropy"]["n"] == found["n_answered"]
        assert np.isfinite(found["people"]["human_cross_entropy"]["value"])
    experiment = Experiment.objects.get()
    [judged] = [_mixes(arm, folds, material_of(experiment)) for arm in experiment.arms.all()]
    assert np.isnan(judged.human).all(axis=1).sum() <= 3
    assert isinstance(fails_on_mixed(Evidence(mixes=judged)).numbers["human_cross_entropy"], float)


def test_a_label_of_an_image_that_nobody_answered_is_no_answer(release):
    data = release.opened
    table = data.table("labels")
    n = [0 if row["key"] == table["key"][0].as_py() else row["n"] for row in table.to_pylist()]
    column = table.column_names.index("n")
    changed = table.set_column(column, table.schema.field("n"), pa.array(n, table.schema.field("n").type))

    class Unanswered:
        def __getattr__(self, name):
            return getattr(data, name)

        def table(self, name):
            return changed if name == "labels" else data.table(name)

    found = labels.answers_to(Unanswered(), "human_lambda", None)
    assert np.isnan(found).all(axis=1).sum() == 1
    assert not np.isnan(labels.answers_to(data, "human_lambda", None)).any()


def test_robustness_that_is_asked_for_is_measured_and_kept(release, settings, monkeypatch):
    monkeypatch.setattr(judging.attacks, "QUERIES", 5)
    monkeypatch.setattr(judging.attacks, "SQUARE_IMAGES", 40)
    experiment = made(arms=ONE, robustness=["corruptions", "geometric", "fgsm", "pgd", "square"])
    material = material_of(experiment)
    to_come = to_store(material)
    [run] = trained(experiment)
    stored = list((settings.VAR / "corrupted").rglob("*.npy"))
    assert to_come == pytest.approx(sum(path.stat().st_size for path in stored), rel=0.01)
    assert to_store(material) == 0, "another experiment on these images needs no more"
    kept = [run.directory / name for name in (keeping.PREDICTIONS, keeping.CORRUPTED)]
    foretold = to_judge(run, material).kept
    assert foretold == pytest.approx(sum(path.stat().st_size for path in kept), rel=0.05)
    experiment.refresh_from_db()
    assert experiment.forecast["disk"] > to_come + foretold
    found = run.evaluations["robustness"]
    assert len(found["corruptions"]) == 19
    assert all(len(rates) == 5 for rates in found["corruptions"].values())
    assert set(found["geometric"]) == {"flip_horizontal", "flip_vertical", "rotate", "translate", "scale"}
    assert found["clean_accuracy"]["value"] == run.metrics["accuracy"]
    attacked = found["attacks"]
    assert attacked["square"]["n"] == 40
    assert attacked["pgd"]["accuracy"]["value"] <= attacked["fgsm"]["accuracy"]["value"] + 0.02
    assert set(attacked["masked_gradients"]) == {"masked", "reasons"}
    of_images = keeping.read_arrays(run, keeping.PREDICTIONS)
    for name in ("fgsm", "pgd", "square"):
        rows = of_images[f"{name}_rows"]
        assert of_images[f"{name}_correct"].mean() == attacked[name]["accuracy"]["value"]
        assert of_images[f"{name}_loss"].mean() == pytest.approx(attacked[name]["loss"])
        clean = cross_entropies(log_softmax(of_images["logits"]), of_images["labels"])[rows]
        assert attacked[name]["loss_before"] == pytest.approx(clean.mean())
    assert len(of_images["square_rows"]) == 40
    assert attacked["pgd"]["loss"] > attacked["pgd"]["loss_before"]
    kept = keeping.read_arrays(run, keeping.CORRUPTED)
    again = Assessment(
        labels=kept["labels"],
        predicted=kept["clean_predicted"],
        p_label=kept["clean_p_label"],
        transforms=tuple(zip(map(str, kept["names"]), map(int, kept["severities"]), strict=True)),
        predicted_under=kept["predicted"].astype(np.int64),
        p_label_under=kept["p_label"].astype(np.float64),
    )
    assert risk(again).as_json() == found["risk"]
    rotated = kept["predicted"][list(kept["names"]).index("rotate")] != kept["labels"]
    assert rotated.mean() == pytest.approx(found["geometric"]["rotate"][0])


def test_an_arm_starts_from_the_weights_of_its_parents_run_and_has_its_steps_too(release, monkeypatch):
    arms = [
        {"name": "first", "policy": "mixup"},
        {"name": "second", "policy": "mixup", "start_from": "first"},
    ]
    begun = {}
    monkeypatch.setattr(work, "train", lambda *a, **k: begun.setdefault(len(begun), k) and real(*a, **k))
    first, second = trained(made(arms=arms))
    assert begun[0]["start"] is None
    weights = load_file(first.directory / keeping.WEIGHTS)
    assert all(np.array_equal(begun[1]["start"][name].numpy(), value) for name, value in weights.items())
    assert second.n_steps == 2 * first.n_steps
    assert "first, seed 0" in second.environment["started_from"]
    assert second.plan_sha256 == first.plan_sha256


real = work.train


def test_a_tuned_arm_is_trained_as_its_best_candidate(release):
    experiment = made(arms=ONE, validation=60, tune={"lr": [1e-6, 0.1]})
    runs = {run.candidate: run for run in trained(experiment)}
    losses = {number: runs[number].evaluations["validation"]["log_loss"]["value"] for number in (1, 2)}
    best = min(losses, key=losses.get)
    assert runs[0].train["lr"] == runs[best].train["lr"]
    assert set(runs[1].evaluations) == {"validation"}, "a candidate is judged on nothing else"
    assert "test" in runs[0].evaluations


@pytest.fixture
def diverging(monkeypatch):
    def train(config, data, **how):
        raise TrainingDiverged("the training diverged in epoch 1: its loss is not finite; lower lr")

    monkeypatch.setattr(work, "train", train)


def test_a_run_that_diverges_is_left_out_where_a_rule_said_so_before(release, diverging):
    [run] = trained(made(arms=ONE, exclude=["diverged"]))
    assert run.is_done
    assert "not finite" in run.excluded
    assert not run.metrics


def test_a_run_that_diverges_without_such_a_rule_is_a_failed_job_that_says_so(release, diverging):
    experiment = made(arms=ONE)
    with pytest.raises(DataError, match="lower lr"):
        trained(experiment)
    assert Experiment.objects.get().state == "failed"
    assert not Run.objects.get().is_done


def test_a_run_that_starts_from_one_left_out_is_left_out_too(release, diverging):
    arms = [{"name": "a", **ONE[0]}, {"name": "b", **ONE[0], "start_from": "a"}]
    first, second = trained(made(arms=arms, exclude=["diverged"]))
    assert "not finite" in first.excluded
    assert "a, seed 0, which it starts from, is left out" in second.excluded


def test_a_tuned_arm_that_never_converged_is_left_out_where_a_rule_said_so(release, diverging):
    experiment = made(arms=ONE, validation=60, tune={"lr": [1.0, 2.0]}, exclude=["diverged"])
    compared = next(run for run in trained(experiment) if not run.candidate)
    assert "every point of the grid diverged" in compared.excluded


def test_a_cancelling_during_the_launch_queues_no_run(release, monkeypatch):
    experiment, progress = made(arms=ONE), Stopping("nothing that is said")
    job = launch_experiment(experiment=experiment, actor=OPERATOR, publish=False)

    def probe(*found, **how):
        progress.left = 0
        return probed(*found, **how)

    monkeypatch.setattr(work, "probe", probe)
    with pytest.raises(JobCancelled):
        work.launch(progress, experiment.pk)
    # and where this process has not heard of it yet
    monkeypatch.setattr(work, "probe", probed)
    Job.objects.filter(pk=job.pk).update(cancel_requested=True)
    with pytest.raises(JobCancelled):
        work.launch(Progress(), experiment.pk)
    assert not Job.objects.filter(kind=RUN_KIND).exists()


probed = work.probe


def test_the_memory_forecast_is_that_of_the_largest_recipe(release, monkeypatch):
    probes = iter([Probe(1, 1, 9.0, 0, 10, 1, 1), Probe(1, 1, 1.0, 0, 70, 10**6, 5)])
    monkeypatch.setattr(work, "probe", lambda *_, **__: next(probes))
    experiment = made(arms=[*ONE, {"name": "flying", "on_the_fly": {"method": "mixup"}}])
    run_experiment(Progress(), experiment.pk, kinds=(LAUNCH_KIND,))
    experiment.refresh_from_db()
    assert (experiment.forecast["memory"], experiment.forecast["seconds_a_run"]) == (70, 9.0)
    assert experiment.forecast["disk"] > 2 * 10**6


def test_an_arm_with_augmentations_of_its_own_is_measured_too(release):
    turned = [
        {"name": f"turned {degrees}", "policy": "mixup", "augment": {"rotation": degrees}}
        for degrees in (5, 9)
    ]
    made(arms=[*ONE, {"name": "again", "policy": "mixup"}, *turned], seeds=[0, 1])
    measured = [run.arm.name for run in work._unlike(list(Run.objects.select_related("arm__experiment")))]
    assert measured == ["mixup", "turned 5", "turned 9"]


def test_what_there_is_to_judge_is_counted_as_it_is_judged(release, monkeypatch):
    """Of one run of each kind, every image that goes through the net is counted, and every gradient."""
    monkeypatch.setattr(judging.attacks, "QUERIES", 3)
    monkeypatch.setattr(judging.attacks, "SQUARE_IMAGES", 20)
    asked = ["corruptions", "geometric", "fgsm", "pgd", "square"]
    config = {"validation": 60, "holdout_mixes": 0.5, "robustness": asked, "tune": {"lr": [0.05, 0.1]}}
    experiment = made(arms=ONE, **config)
    material = material_of(experiment)
    found = {(run.candidate, run.fold): to_judge(run, material) for run in Run.objects.all()}
    a_logit = 8 * (1 + 10)  # and the number of its image
    assert found[1, 0] == Amount(60, 0, 60, 60 * a_logit)
    n = len(material.folds[0].held_out)
    assert found[0, 1] == Amount(539 + n, 0, n, (539 + n) * a_logit + 8 * 539)
    whole = found[0, 0]
    n_training = len(judging.trained_sample(material.training))
    transforms = 19 * 5 + 3 * 5 + 2  # a flip has one severity
    passes = 60 + n_training + 539 * (1 + (1 + transforms) + 2) + 20 * 3
    assert (whole.forward, whole.and_back, whole.figures) == (passes, 11 * 539, 60 + 2 * 539)
    assert whole.seconds(Probe(1, 1, 1, 1, 1, 1, 1, 0.5, 2.0), 0.25) == (
        0.5 * whole.forward + 2 * whole.and_back + 0.25 * whole.figures
    )


@pytest.mark.parametrize("with_people", [False, True])
def test_what_is_judged_is_as_much_as_was_counted(release, monkeypatch, with_people, request):
    """One run of each kind: images through the net, by whether a gradient follows, figures, and bytes that are kept."""
    monkeypatch.setattr(judging.attacks, "QUERIES", 3)
    monkeypatch.setattr(judging.attacks, "SQUARE_IMAGES", 20)
    if with_people:
        request.getfixturevalue("people")
    asked = ["geometric", "fgsm", "pgd", "square"]
    config = {"validation": 60, "holdout_mixes": 0.5, "robustness": asked, "tune": {"lr": [0.05]}}
    material = material_of(made(arms=ONE, **config))
    judge, assess, square = judging.judge, judging.assess, judging.attacks.square
    against, seen, kept = judging._against_people, Counter(), {}

    def counting(_model, inputs, output):
        seen["and_back" if output.requires_grad else "forward"] += len(inputs[0])

    def judged(model, run, *args, **options):
        seen.clear()
        hook = model.register_forward_hook(counting)
        found = judge(model, run, *args, **options)
        hook.remove()
        arrays = [*found.predictions.values(), *found.corrupted.values()]
        kept[run.candidate, run.fold] = Counter(seen), sum(one.nbytes for one in arrays)
        return found

    def assessed(predictions, *args, **options):
        seen["figures"] += len(predictions.labels)
        return assess(predictions, *args, **options)

    def compared(log_p, q):
        seen["figures"] += len(q)
        return against(log_p, q)

    def searched(*args, **options):
        before = seen["forward"]
        found = square(*args, **options)
        asked_less = 20 * 3 - (seen["forward"] - before)  # of an image that is broken it asks no more
        seen["saved"] += asked_less
        return found

    monkeypatch.setattr(work, "judge", judged)
    monkeypatch.setattr(judging, "assess", assessed)
    monkeypatch.setattr(judging, "_against_people", compared)
    monkeypatch.setattr(judging.attacks, "square", searched)
    runs = trained(Experiment.objects.get())
    assert set(kept) == {(1, 0), (0, 0), (0, 1), (0, 2)}
    for run in runs:
        counted, (found, n_bytes) = to_judge(run, material), kept[run.candidate, run.fold]
        assert counted.forward == found["forward"] + found["saved"]
        assert (counted.and_back, counted.figures) == (found["and_back"], found["figures"])
        assert n_bytes == pytest.approx(counted.kept, rel=0.02)
        assert 0 <= found["saved"] < 20 * 3


def test_a_checkpoint_that_cannot_be_read_is_removed_and_the_run_starts_anew(release):
    experiment = made(arms=ONE, train={"epochs": 2})
    with pytest.raises(JobCancelled):
        trained(experiment, Stopping("epoch 2"))
    [run] = Run.objects.all()
    [record] = keeping.checkpoints(run).glob("step-*/state.json")
    record.write_text(record.read_text().replace('"format": 1', '"format": 0'))
    progress = Stopping("nothing that is said")
    [run] = trained(experiment, progress)
    assert run.is_done
    assert any("starts anew" in line for line in progress.lines)


def test_what_other_workers_remove_meanwhile_takes_no_disk(tmp_path, monkeypatch):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_bytes(b"1234")
    real_bytes = keeping._bytes

    def the_other_goes(path):
        shutil.rmtree(tmp_path / ("a" if path.parent.name == "b" else "b"), ignore_errors=True)
        return real_bytes(path)

    with monkeypatch.context() as patched:
        patched.setattr(keeping, "_bytes", the_other_goes)
        assert keeping._size(tmp_path) == 4
    assert keeping._bytes(tmp_path / "gone") == 0
    assert keeping._written(tmp_path / "gone") == 0


def test_the_report_is_written_without_torch_once_every_run_is_finished(release):
    experiment = made(arms=ONE)
    assert not report_if_finished(experiment=experiment)
    trained(experiment)
    assert Job.objects.get(kind=REPORT_KIND).queue == "data"


def test_old_checkpoints_go_first_and_finished_runs_stay_whatever_the_budget(release, settings):
    made(arms=ONE, seeds=[0, 1])
    runs = list(Run.objects.all())
    for age, run in enumerate(runs):
        folder = keeping.checkpoints(run) / "step-00000001"
        folder.mkdir(parents=True)
        (folder / "state.safetensors").write_bytes(bytes(1000))
        keeping.write_arrays(run, keeping.PREDICTIONS, {"logits": np.zeros(10)})
        keeping.os.utime(keeping.checkpoints(run), (1000 - age, 1000 - age))
    settings.HILMIX_RUNS_GB = (keeping.used() - 500) / 1e9
    said = Stopping("")
    keeping.make_room(said)
    assert [keeping.checkpoints(run).exists() for run in runs] == [True, False], "the older one went"
    settings.HILMIX_RUNS_GB = 1e-9
    keeping.make_room(said)
    assert not keeping.checkpoints(runs[0]).exists()
    assert all((run.directory / keeping.PREDICTIONS).exists() for run in runs)
    assert "no checkpoint is left" in said.lines[-1]


def test_the_checkpoint_of_a_run_that_goes_on_is_never_removed(release, settings):
    experiment = made(arms=ONE)
    run_experiment(Progress(), experiment.pk, kinds=(LAUNCH_KIND,))
    [run] = Run.objects.all()
    (keeping.checkpoints(run) / "step-1").mkdir(parents=True)
    (keeping.checkpoints(run) / "step-1" / "x").write_bytes(bytes(10))
    settings.HILMIX_RUNS_GB = 1e-9
    keeping.make_room(Progress())
    assert keeping.checkpoints(run).exists()


def test_room_is_made_at_each_checkpoint_too_and_said_once_where_there_is_none(
    release, settings, monkeypatch
):
    """A run of another worker that is cancelled meanwhile leaves one behind."""
    experiment = made(arms=ONE, seeds=[0, 1], train={"epochs": 3})
    settings.HILMIX_RUNS_GB = 1e-9
    left = [run for run in Run.objects.all() if run.seed == 1]
    looks = []

    def look(progress, *, said=False):
        looks.append(said)
        full = room(progress, said=said)
        if len(looks) == 2:  # after the first epoch
            (keeping.checkpoints(left[0]) / "step-1").mkdir(parents=True)
            (keeping.checkpoints(left[0]) / "step-1" / "x").write_bytes(bytes(1000))
        return full

    room = keeping.make_room
    monkeypatch.setattr(keeping, "make_room", look)
    run_experiment(Progress(), experiment.pk, kinds=(LAUNCH_KIND,))
    first = Run.objects.get(seed=0)
    Job.objects.exclude(pk=first.job_id).update(state="cancelled")
    said = Stopping("nothing that is said")
    work.train_run(said, first.pk)
    assert looks == [False, False, True, True]
    assert not keeping.checkpoints(left[0]).exists()
    assert sum("no checkpoint is left" in line for line in said.lines) == 1


def test_a_file_of_a_run_is_whole_or_not_there(release):
    run = made(arms=ONE).arms.get().runs.get()

    def half(path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        keeping.write(run, keeping.WEIGHTS, half)
    assert not (run.directory / keeping.WEIGHTS).exists()
