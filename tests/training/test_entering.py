"""What is entered as an experiment: one identity for one content, what is refused in words, and in which field."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from django.utils import timezone

from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Invalid
from tests.training.conftest import quick
from tests.training.test_config import good, refusal
from training.engine.plan import Budget
from training.experiments import fitting
from training.experiments.arm_forms import ArmForm
from training.experiments.checking import Checker
from training.experiments.config import parse_config
from training.experiments.fitting import check_limits
from training.experiments.forms import ExperimentForm
from training.experiments.material import material_of, resolve
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.models import Run

FORM = {
    "name": "quick", "arms-TOTAL_FORMS": "3", "arms-INITIAL_FORMS": "0", "arms-0-policy": "mixup",
    "arms-1-policy": "human_lambda", "contrasts-TOTAL_FORMS": "3", "contrasts-INITIAL_FORMS": "0",
    "validation": "0", "schedule": "cosine", "momentum": "0.9", "rotation": "0", "blur": "0", "noise": "0",
    "brightness": "0", "contrast": "0", "seeds": "0", "net": "resnet20", "epochs": "1", "batch_size": "256",
    "lr": "0.1", "weight_decay": "0.0005", "warmup_epochs": "1", "crop": "1", "precision": "fp32",
    "threads": "1", "train_on": "train", "evaluate_on": "test",
}  # fmt: skip


# -- one identity for one content


@pytest.fixture
def ways(config, release, digits):
    """The same experiment, its release and image set named in every way."""
    releases, image_sets = ("small", release.name), (None, digits.name)
    return [replace(config, release=one, image_set=other) for one in releases for other in image_sets]


def test_one_experiment_however_its_release_and_image_set_are_named(ways):
    assert len({resolve(config).identity() for config in ways}) == 1
    created = [create_experiment(config=config, actor=OPERATOR) for config in ways]
    assert Experiment.objects.get() == created[0]


# -- what a file says


@pytest.mark.parametrize("name", ["a\u0000b", "a\nb", "a\u2028b", "a\ud800b"])
def test_a_name_is_one_line_of_whole_characters(name):
    assert "on one line" in refusal({"name": name})["name"][0]
    assert "on one line" in refusal({"arms": [{"name": name}]})["arms.name"][0]


def test_a_name_may_be_in_any_script():
    assert parse_config({**good(), "name": " Übung 数字 no-break\u00a0space "}).name.startswith("Übung 数字")


def test_one_bad_value_of_a_grid_is_said_once():
    assert refusal({"tune": {"lr": [0.1, "fast"]}, "validation": 9}) == {
        "tune.lr": ["is 'fast'; it must be a number above 0 to 10"]
    }
    assert refusal({"tune": {"lr": [[1], [1]]}, "validation": 9}).keys() == {"tune.lr"}  # no crash either
    assert len(refusal({"tune": {"warmup_epochs": [9]}, "validation": 9})["tune"]) == 1


def test_a_grid_of_too_many_points_is_refused_before_it_is_enumerated():
    keys = "lr", "momentum", "factor", "ema", "clip_norm"
    grid = {key: [n / 1000 for n in range(1, 100)] for key in keys}
    assert "9,509,900,499 combinations" in refusal({"tune": grid, "validation": 9})["tune"][0]


def test_a_problem_of_one_of_several_contrasts_says_which():
    pairs = [("mixup", "human_lambda_shrunk"), ("mixup", "mixp"), ("mixup", "mixup")]
    found = refusal({"contrasts": [{"arm": one, "against": other} for one, other in pairs]})
    assert [text[-12:] for text in found["contrasts.against"]] == ["(contrast 2)", "(contrast 3)"]


# -- what a new experiment may be


def said(material, budgets, **change):
    check = Checker()
    check_limits(check, replace(material, config=replace(material.config, **change)), budgets)
    return check.problems


def test_too_much_is_refused_in_words_and_what_would_silently_be_something_else(config, monkeypatch):
    monkeypatch.setattr(fitting.os, "cpu_count", lambda: 2)
    material, budgets = resolve(config), [Budget(300, 10), Budget(250, 5)]
    assert said(material, budgets) == {"train.batch_size": [
        "is 256, but only 255 images are trained on here; take at most that"]}  # fmt: skip
    budgets = budgets[:1]
    assert not said(material, budgets)
    train = config.train
    assert (
        "is 3; this machine has 2"
        in said(material, budgets, train=replace(train, threads=3))["train.threads"][0]
    )
    assert not said(material, budgets, train=replace(train, threads=2))
    assert not said(material, budgets, train=replace(train, batch_size=310))
    assert not said(
        material, budgets, train=replace(train, batch_size=400, mixed_share=0.5)
    )  # make_plan's to say
    assert not said(material, budgets, seeds=tuple(range(1000)))
    (problem,) = said(material, budgets, seeds=tuple(range(1001)))["seeds"]
    assert "2 arms, 1,001 seeds and 0 folds make 2,002 runs" in problem
    arms = tuple(replace(config.arms[0], name=str(n)) for n in range(11))
    (problem,) = said(material, budgets, seeds=tuple(range(1000)), arms=arms)["seeds"]
    assert "make 11,000 runs" in problem
    limited = tuple(replace(arm, seeds=(0,)) for arm in arms)
    assert not said(material, budgets, seeds=tuple(range(1000)), arms=limited)


@pytest.mark.parametrize("share", [0.5, 1 / 3, 0.33, 0.25, 0.2, 0.17, 0.14, 0.1, 0])
def test_a_share_that_folds_can_hold_out_is_taken(config, share):
    assert not said(resolve(config), [Budget(300, 10)], holdout_mixes=share)


@pytest.mark.parametrize(
    ("share", "words"), [(0.3, "3 folds would hold out 0.333"), (0.4, "2 folds"), (0.45, "2 folds")]
)
def test_a_share_that_no_folds_hold_out_is_refused_saying_what_it_would_become(config, share, words):
    assert words in said(resolve(config), [Budget(300, 10)], holdout_mixes=share)["holdout_mixes"][0]


@pytest.mark.parametrize("key", ["evaluate_on", "validation"])
def test_a_split_of_one_image_is_not_judged_on(config, key):
    material = resolve(config)
    splits = {**material.images.splits, "one": np.array([1])}
    material = replace(material, images=SimpleNamespace(splits=splits))
    words = "is 'one', which holds 1 image; figures with intervals take 2 or more"
    assert said(material, [Budget(300, 10)], **{key: "one"}) == {key: [words]}


STORED = {
    "name": {"name": "a\tb"},
    "arm": {"arms": [{"name": "a\tb", "policy": "mixup"}], "contrasts": []},
    "validation": {"validation": 1},
    "grid": {"validation": 9, "tune": {"lr": [n / 2000 for n in range(1, 1002)]}},
}


@pytest.mark.parametrize("name", STORED)
def test_what_a_new_experiment_may_not_be_one_that_there_is_goes_on_with(config, name):
    """Earlier versions took a name with a tab: such an experiment took new seeds that could not be trained."""
    experiment = create_experiment(config=config, actor=OPERATOR)
    experiment.config = experiment.config | STORED[name]
    experiment.save()
    with pytest.raises(Invalid):
        parse_config(experiment.config)
    material = material_of(experiment)
    assert material.config == replace(experiment.parsed, release="small@1.0.0", image_set="digits")


def test_limits_stop_a_new_experiment_and_none_that_there_is(config, monkeypatch):
    experiment = create_experiment(config=config, actor=OPERATOR)
    monkeypatch.setattr(fitting, "MAX_RUNS", 1)
    assert create_experiment(config=config, actor=OPERATOR) == experiment
    with pytest.raises(Invalid, match="2 arms, 1 seeds and 0 folds make 2 runs"):
        create_experiment(config=replace(config, name="another"), actor=OPERATOR)


def test_a_run_that_was_left_out_is_no_start(config):
    create_experiment(config=config, actor=OPERATOR)
    why = "the loss is not finite"
    Run.objects.update(finished_at=timezone.now(), evaluations={"excluded": {"rule": "diverged", "why": why}})
    run = Run.objects.first()
    with pytest.raises(Invalid, match=f"run {run.pk} was left out: {why}; it has no weights"):
        resolve(parse_config(quick(name="on", arms=[{"name": "on", "start_from": run.pk}])))


# -- what the form says


def test_an_arm_called_by_a_number_is_no_run():
    rows = [ArmForm({"name": "3", "policy": "mixup"}), ArmForm({"name": "on", "start_from": "3"})]
    assert all(row.is_valid() for row in rows)
    assert rows[1].as_config({"3", "on"})["start_from"] == "3"
    assert rows[1].as_config({"first", "on"})["start_from"] == 3


@pytest.mark.parametrize("text", ["flip", "flip = true} \n x = {y=1", "flip = true}\n[other]\na = {"])
def test_augmentation_of_an_arm_is_one_table_or_refused(text):
    row = ArmForm({"policy": "mixup", "augment": text})
    assert "write it as flip = true" in row.errors["augment"][0]
    row = ArmForm({"policy": "mixup", "augment": "flip = true, blur = 1"})
    assert row.is_valid()
    assert row.as_config(())["augment"] == {"flip": True, "blur": 1}
    assert not (empty := ArmForm({})).errors
    assert not empty.is_filled()


@pytest.fixture
def refused(release, admin):
    """The form with changes, refused."""

    def make(**change):
        form = ExperimentForm(admin, release, {**FORM, **change})
        assert form.create() is None
        return form

    return make


@pytest.mark.parametrize(
    ("change", "row", "field", "words"),
    [
        ({"contrasts-1-arm": "mixup", "contrasts-1-against": "mixp"}, 1, "against", "did you mean 'mixup'"),
        ({"contrasts-1-arm": "mixup"}, 1, "against", "Is missing"),
        (
            {"contrasts-0-arm": "mixup", "contrasts-0-against": "human_lambda", "contrasts-2-arm": "mixp",
             "contrasts-2-against": "mixup"},
            2, "arm", "did you mean 'mixup'",
        ),
        (
            {"contrasts-0-arm": "mixup", "contrasts-0-against": "human_lambda", "contrasts-2-arm": "human_lambda",
             "contrasts-2-against": "mixup"},
            2, "against", "compared twice",
        ),
    ],
)  # fmt: skip
def test_what_is_refused_of_a_contrast_is_said_in_its_row(refused, change, row, field, words):
    form = refused(**change)
    assert words in form.contrasts[row].errors[field][0]
    assert not form.non_field_errors()
    assert not any(form.contrasts[other].errors for other in range(3) if other != row)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"tune_momentum": "0.5, 0.9"}, "tune_momentum", "say how many under validation"),
        (
            {"tune_lr": "0.1", "tune_warmup_epochs": "9", "validation": "9"},
            "tune_warmup_epochs",
            "9 of 1 epochs",
        ),
        ({"schedule": "steps", "milestones": "0.7, 0.5"}, "milestones", "larger than the one before"),
        ({"warmup_epochs": "2"}, "warmup_epochs", "2 of 1 epochs"),
        ({"batch_size": "8192"}, "batch_size", "take at most that"),
        ({"holdout_mixes": "0.4"}, "holdout_mixes", "2 folds would hold out 0.500"),
    ],
)
def test_what_is_refused_of_several_settings_is_said_beside_one_of_them(refused, change, field, words):
    form = refused(**change)
    assert words in form.errors[field][0]
    assert not form.non_field_errors()


def test_an_arm_called_as_a_row_is_numbered_is_not_taken_for_it(refused):
    form = refused(
        **{"arms-0-name": "arm 9", "arms-0-people": "-7", "arms-1-name": "arm 1", "arms-1-people": "-8"}
    )
    assert [row.errors.get("people", [""])[0][:6] for row in form.arms][:2] == ["Is -7;", "Is -8;"]


@pytest.mark.parametrize("name", ["human (arm 9)", "human (contrast 9)", "human (mixup)", "is 'zzz', no arm"])
def test_no_name_steers_where_a_refusal_is_shown(refused, name):
    """Refusals end with what names there are, or begin with one."""
    change = {"arms-1-name": name, "contrasts-1-arm": "mixup", "contrasts-1-against": "zzz"}
    form = refused(**change)
    assert "no arm of this experiment" in form.contrasts[1].errors["against"][0]
    assert not form.non_field_errors()
    form = refused(**{"arms-1-name": name, "arms-0-start_from": "zzz"})
    assert "no arm of this experiment" in form.arms[0].errors["start_from"][0]
    assert not form.arms[1].errors
    form = refused(**{"arms-1-name": name, "arms-1-policy": "zzz"})
    assert "zzz" in form.arms[1].errors["policy"][0]
    assert not form.arms[0].errors


def test_of_rows_that_are_not_all_filled_in_the_one_that_is_refused_shows_it(refused):
    form = refused(**{"arms-1-policy": "", "arms-2-name": "two\tfold", "arms-2-policy": "mixup"})
    assert "on one line" in form.arms[2].errors["name"][0]
