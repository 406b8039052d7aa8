"""A configuration is read in full or refused with every reason."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from hilmix.errors import Invalid
from training.engine.config import OnTheFly
from training.experiments.config import (
    Contrast,
    parse_config,
    read_config,
    train_as_dict,
    train_from_dict,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def good() -> dict:
    return {
        "name": "trial",
        "release": "demo",
        "arms": [{"name": "mixup", "policy": "mixup"}, {"policy": "human_lambda_shrunk"}],
        "seeds": [0, 1],
        "train": {"epochs": 2, "lr": 1, "augment": {"crop": 1, "flip": False}},
    }


def refusal(change: dict) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as caught:
        parse_config({**good(), **change})
    return caught.value.fields


@pytest.mark.parametrize("name", ["demo", "hmix", "hmix_arms", "augmentation"])
def test_the_examples_are_good_and_hold_names_only(name):
    config = read_config(EXAMPLES / f"{name}.toml")
    assert parse_config(config.as_dict()) == config
    text = (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8")
    assert "sha256" not in text
    assert "@" not in text


def test_a_configuration_written_out_and_read_back_is_the_same():
    config = parse_config(good())
    assert parse_config(config.as_dict()) == config
    assert config.arms[1].name == "human_lambda_shrunk"
    assert config.train.lr == 1.0


def full() -> dict:
    """Every key that a configuration has."""
    return {
        **good(),
        "image_set": "digits",
        "validation": 100,
        "primary": "log_loss",
        "contrasts": [{"arm": "few", "against": "mixup", "about": "answers"}],
        "resample_people": True,
        "holdout_mixes": 0.2,
        "robustness": ["corruptions", "pgd"],
        "exclude": ["diverged"],
        "tune": {"lr": [0.05, 0.1], "weight_decay": [0]},
        "arms": [
            {"name": "mixup", "policy": "mixup", "mixed_share": 0.1},
            {
                "name": "few",
                "policy": "human_lambda",
                "condition": "abc",
                "answers_per_image": 1,
                "seeds": [1],
            },
            {"name": "fly", "people": 3, "on_the_fly": {"labels": "population_curve", "share": "mixed"}},
            {"name": "on", "base_labels": "human", "start_from": "fly", "augment": {"flip": True, "blur": 1}},
            {"name": "late", "start_from": 7, "on_the_fly": {"method": "cutmix", "alpha": 0.5}},
        ],
        "train": {"mixed_share": 0.25, "schedule": "steps", "milestones": [0.3]},
    }


def test_all_keys_survive_being_written_out_and_read_back():
    config = parse_config(full())
    assert parse_config(json.loads(json.dumps(config.as_dict()))) == config
    mixup, few, fly, on, late = config.arms
    assert fly.on_the_fly == OnTheFly(labels="population_curve", share=None)
    assert (late.start_from, late.on_the_fly.method, few.seeds) == (7, "cutmix", (1,))
    assert config.recipe(on).augment == replace(config.train.augment, flip=True, blur=1.0)
    assert config.recipe(mixup) == config.train
    assert [train.lr for train in config.candidates(few)] == [0.05, 0.1]
    assert config.contrasts == (Contrast("few", "mixup", "answers"),)


@pytest.mark.parametrize("arm", range(5))
def test_a_recipe_survives_being_stored_with_a_run(arm):
    config = parse_config(full())
    recipe = config.recipe(config.arms[arm])
    stored = json.loads(json.dumps({**train_as_dict(recipe), "arm": config.arms[arm].as_dict()}))
    assert train_from_dict(stored) == recipe


def test_an_arm_comes_after_the_one_that_it_starts_from():
    arms = [
        {"name": "c", "start_from": "b"},
        {"name": "a"},
        {"name": "b", "start_from": "a"},
    ]
    config = parse_config({**good(), "arms": arms})
    assert [arm.name for arm in config.arms_in_order] == ["a", "b", "c"]
    assert config.trained_before(config.arms[0]) == ("a", "b")


def test_an_arm_that_starts_from_another_has_had_more_training_than_one_that_does_not():
    arms = [
        {"name": "a"},
        {"name": "b"},
        {"name": "c", "start_from": "a"},
        {"name": "d", "start_from": "b"},
        {"name": "run", "start_from": 3},
    ]
    config = parse_config({**good(), "arms": arms})
    assert config.equal_budget("a", "b")
    assert config.equal_budget("c", "d")
    assert not config.equal_budget("a", "c")
    assert not config.equal_budget("c", "run")  # of so many steps as nobody here knows
    assert config.equal_budget("run", "run")


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"seeds": []}, "seeds", "at least one"),
        ({"seeds": [1, 1]}, "seeds", "twice"),
        ({"seeds": [-1]}, "seeds", "whole numbers"),
        ({"seeds": [True]}, "seeds", "whole numbers"),
        ({"arms": []}, "arms", "at least one arm"),
        ({"arms": [{"name": "a", "policy": "x"}, {"name": "A", "policy": "y"}]}, "arms", "called 'a'"),
        ({"arms": [{"condition": "a"}]}, "arms.name", "missing"),
        ({"arms": [{"policy": "x", "polciy": 1}]}, "arms.polciy", "did you mean 'policy'"),
        ({"release": ""}, "release", "1 to 120"),
        ({"relaese": "demo"}, "relaese", "did you mean 'release'"),
        ({"evaluate_on": "train"}, "evaluate_on", "trained on"),
        ({"train": {"net": "resnet21"}}, "train.net", "resnet20"),
        ({"train": {"epochs": 0}}, "train.epochs", "from 1 to 1000"),
        ({"train": {"epochs": 2.5}}, "train.epochs", "whole number"),
        ({"train": {"lr": True}}, "train.lr", "above 0"),
        ({"train": {"epoch": 3}}, "train.epoch", "did you mean 'epochs'"),
        ({"train": {"mixed_share": 1}}, "train.mixed_share", "between 0 and 1"),
        ({"train": {"augment": {"flip": 1}}}, "train.augment.flip", "true or false"),
        ({"train": {"augment": {"zoom": 1}}}, "train.augment.zoom", "known are crop, flip"),
        ({"train": 3}, "train", "table"),
        ({"train": {"precision": "bf16", "deterministic": True}}, "train", "computes in fp32"),
        ({"validation": True}, "validation", "number of images"),
        ({"validation": 1}, "validation", "take 2 images or more"),
        ({"validation": "test"}, "validation", "judged on"),
        ({"primary": "human_crossentropy"}, "primary", "did you mean 'human_cross_entropy'"),
        ({"primary": "mixup_agreement_top1"}, "primary", "'mixup_agreement_top1'"),
        ({"primary": "ece_equal_width_15"}, "primary", "arms are not compared by one: take log_loss"),
        ({"primary": "human_ece"}, "primary", "'human_ece'; chance raises"),
        ({"primary": ["log_loss"]}, "primary", "['log_loss']"),
        ({"contrasts": [{"arm": "mixup"}]}, "contrasts.against", "missing"),
        ({"contrasts": [{"arm": "mixup", "against": "mixup"}]}, "contrasts.against", "itself"),
        ({"contrasts": [{"arm": "mixup", "against": "mixp"}]}, "contrasts.against", "did you mean 'mixup'"),
        ({"contrasts": 3}, "contrasts", "must be a list"),
        ({"contrasts": 2 * [{"arm": "mixup", "against": "human_lambda_shrunk"}]}, "contrasts", "twice"),
        ({"resample_people": 1}, "resample_people", "true or false"),
        ({"holdout_mixes": 0.6}, "holdout_mixes", "at most 0.5"),
        ({"holdout_mixes": 0.2, "arms": [{"name": "base"}]}, "holdout_mixes", "needs an arm with a policy"),
        ({"robustness": ["fog"]}, "robustness", "known are corruptions"),
        ({"exclude": "diverged"}, "exclude", "must be a list"),
        ({"exclude": ["worst"]}, "exclude", "known are diverged"),
        ({"tune": {"lr": [0.1]}}, "tune", "validation images"),
        ({"tune": {"epochs": [1, 2]}, "validation": 9}, "tune.epochs", "not known here"),
        ({"tune": {"lr": []}, "validation": 9}, "tune.lr", "at least one value"),
        ({"tune": {"lr": [0.1, 0]}, "validation": 9}, "tune.lr", "above 0"),
        ({"tune": {"warmup_epochs": [9]}, "validation": 9}, "tune", "9 of 2 epochs"),
        ({"arms": [{"name": "a", "start_from": "b"}]}, "arms.start_from", "no arm of this experiment"),
        ({"arms": [{"name": "a", "start_from": "a"}]}, "arms.start_from", "circle"),
        (
            {"arms": [{"name": "a", "start_from": "b"}, {"name": "b", "start_from": "a"}]},
            "arms.start_from",
            "circle",
        ),
        (
            {"arms": [{"name": "a", "seeds": [0]}, {"name": "b", "start_from": "a"}]},
            "arms.start_from",
            "not trained with seed 1",
        ),
        ({"arms": [{"name": "a", "seeds": [9]}]}, "arms.seeds", "not among the experiment's"),
        (
            {
                "arms": [{"name": "a", "seeds": [0]}, {"name": "b", "seeds": [1]}],
                "contrasts": [{"arm": "a", "against": "b"}],
            },
            "contrasts",
            "no seed in common",
        ),
        ({"arms": [{"policy": "x", "people": 3, "answers_per_image": 1}]}, "arms.people", "choose one"),
        ({"arms": [{"policy": "x", "people": 0}]}, "arms.people", "at least 1"),
        ({"arms": [{"name": "a", "people": 3}]}, "arms.policy", "no answers are used"),
        ({"arms": [{"name": "a", "mixed_share": 0.5}]}, "arms.mixed_share", "needs a policy"),
        (
            {"arms": [{"policy": "x", "mixed_share": 0.5}], "train": {"mixed_share": 0.2}},
            "arms.mixed_share",
            "more than the 0.2",
        ),
        ({"arms": [{"name": "a", "base_labels": "soft"}]}, "arms.base_labels", "one of hard, human"),
        ({"arms": [{"name": "a", "augment": {"flip": 1}}]}, "arms.augment.flip", "true or false"),
        ({"arms": [{"name": "a", "on_the_fly": True}]}, "arms.on_the_fly", "table"),
        ({"arms": [{"name": "a", "on_the_fly": {"share": 2}}]}, "arms.on_the_fly.share", "'mixed'"),
        (
            {"arms": [{"name": "a", "on_the_fly": {"method": "cutmix", "labels": "population_curve"}}]},
            "arms.on_the_fly",
            "people judged pictures",
        ),
    ],
)
def test_what_is_wrong_is_said_beside_its_key(change, key, words):
    assert any(words in text for text in refusal(change)[key])


def test_all_problems_are_named_at_once():
    assert refusal({"seeds": [], "colour": 1, "train": {"lr": 0, "epochs": -1}}).keys() == {
        "seeds", "colour", "train.lr", "train.epochs",
    }  # fmt: skip


def test_a_problem_of_one_of_several_arms_names_the_arm():
    arms = [{"name": "a", "augment": {"blur": 9}}, {"name": "b", "people": 0, "policy": "x"}]
    found = refusal({"arms": arms})
    assert found["arms.augment.blur"] == ["is 9; it must be a number of pixels from 0 to 8 (a)"]
    assert found["arms.people"][0].endswith("(b)")


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path):
    with pytest.raises(Invalid, match="cannot be read"):
        read_config(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ", encoding="utf-8")
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(broken.read_text(encoding="utf-8"))
    with pytest.raises(Invalid, match="is not TOML"):
        read_config(broken)


def test_a_file_with_problems_is_named_with_them(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "x"\n', encoding="utf-8")
    with pytest.raises(Invalid, match=r"mine\.toml(.|\n)*release: is missing"):
        read_config(path)
