"""What the page on inference says of rules and limits is what the code does."""

from __future__ import annotations

from pathlib import Path

from training.evaluation import near_duplicates
from training.evaluation.diagnosis import RULES
from training.evaluation.inference import LEAST_SEEDS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "inference.md").read_text("utf-8")


def test_the_page_lists_exactly_the_rules_of_the_diagnosis():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{rule.key}` | {rule.name} | {rule.level} | {rule.threshold.replace('|', chr(92) + '|')} | {rule.remedy} |"
        for rule in RULES
    ]


def test_the_page_names_the_limits_of_near_duplicates_and_seeds():
    said = " ".join(PAGE.split())
    assert f"Candidates correlate by {near_duplicates.COARSE:g}" in said
    assert f"pixels correlate by at least {near_duplicates.PIXELS:g}" in said
    assert f"neighbouring pixels by at least {near_duplicates.EDGES:g}" in said
    assert f"Images under {near_duplicates.LEAST_SIDE} pixels a side" in said
    assert LEAST_SEEDS == 5
    assert "Below five seeds there is no verdict" in said
