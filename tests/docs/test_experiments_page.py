"""The page on experiments has every key that a configuration may have, its default and its words."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from training.experiments.config import (
    BASE_LABELS,
    EXCLUSIONS,
    ROBUSTNESS,
    ArmConfig,
    Contrast,
    ExperimentConfig,
)
from training.experiments.recipe import MIXED_PLACES, TUNE_RULES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "experiments.md").read_text("utf-8")
NOTHING = ("None", "()", "")


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def table(heading: str, head: str) -> dict[str, list[str]]:
    """The cells after the first of a section's table, by the code in the first."""
    rows = section(heading).partition(f"\n| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {first.strip("`"): rest for first, *rest in cells}


@pytest.mark.parametrize(("heading", "of"), [("The experiment", ExperimentConfig), ("Arms", ArmConfig)])
def test_every_key_is_on_the_page_with_its_default(heading, of):
    said = table(heading, "key")
    assert said.keys() == {field.name for field in fields(of)}
    for name, (_meaning, default) in said.items():
        value = str(of.__dataclass_fields__[name].default)
        if default.startswith("`") and name not in ("primary", "name"):
            assert default == f"`{value.lower()}`", name
        elif "MISSING" not in value:
            assert value in NOTHING, name


def test_the_words_of_a_contrast_and_of_base_labels_are_said():
    for name in Contrast.__dataclass_fields__:
        assert f"`{name}`" in table("The experiment", "key")["contrasts"][0]
    for name in BASE_LABELS:
        assert f"`{name}`" in table("Arms", "key")["base_labels"][0]
    assert f'share = "{MIXED_PLACES}"' in table("Arms", "key")["on_the_fly"][0]


def test_what_may_be_tuned_tested_and_left_out_is_said_in_the_words_of_the_code():
    assert re.findall(r"`(\w+)`", section("Tuning").partition(". ")[0]) == list(TUNE_RULES)
    heading = "Robustness and exclusions"
    assert table(heading, "test") == {name: [words] for name, words in ROBUSTNESS.items()}
    assert table(heading, "rule") == {name: [words] for name, words in EXCLUSIONS.items()}


def test_every_example_of_an_experiment_is_listed():
    examples = {path.name for path in (ROOT / "examples").glob("*.toml")} - {"study.toml"}
    assert set(re.findall(r"\[(\w+\.toml)\]", PAGE)) == examples
