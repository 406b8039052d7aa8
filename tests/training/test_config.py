"""A configuration is read in full or refused with every reason."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hilmix.errors import Invalid
from training.experiments.config import parse_config, read_config

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


@pytest.mark.parametrize("name", ["demo", "hmix"])
def test_the_examples_are_good_and_hold_names_only(name):
    config = read_config(EXAMPLES / f"{name}.toml")
    assert len(config.seeds) == 2
    assert "mixup" in [arm.policy for arm in config.arms]
    text = (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8")
    assert "sha256" not in text
    assert "@" not in text


def test_a_configuration_written_out_and_read_back_is_the_same():
    config = parse_config(good())
    assert parse_config(config.as_dict()) == config
    assert config.arms[1].name == "human_lambda_shrunk"
    assert config.train.lr == 1.0


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        ({"seeds": []}, "seeds", "at least one"),
        ({"seeds": [1, 1]}, "seeds", "twice"),
        ({"seeds": [-1]}, "seeds", "whole numbers"),
        ({"seeds": [True]}, "seeds", "whole numbers"),
        ({"arms": []}, "arms", "at least one arm"),
        ({"arms": [{"name": "a", "policy": "x"}, {"name": "A", "policy": "y"}]}, "arms", "called 'a'"),
        ({"arms": [{"name": "a"}]}, "arms.policy", "missing"),
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
        ({"train": {"augment": {"rotate": 1}}}, "train.augment.rotate", "known are crop, flip"),
        ({"train": 3}, "train", "table"),
    ],
)
def test_what_is_wrong_is_said_beside_its_key(change, key, words):
    assert any(words in text for text in refusal(change)[key])


def test_all_problems_are_named_at_once():
    assert refusal({"seeds": [], "colour": 1, "train": {"lr": 0, "epochs": -1}}).keys() == {
        "seeds", "colour", "train.lr", "train.epochs",
    }  # fmt: skip


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
