"""The page on metrics lists what the code has: every metric of the one table, in its words."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.evaluation import calibration, intervals, selective
from training.evaluation.values import GROUPS, INTERVALS, METRICS, USE_WHEN, Metric

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text("utf-8")
BETTER = {True: "higher", False: "lower", None: "–"}


def row(metric: Metric) -> str:
    """A metric's line on the page."""
    ends = (f"{metric.low:g}", "∞" if metric.high is None else f"{metric.high:g}")
    span = " to ".join(ends).replace("-", "−") + (f" {metric.unit}" if metric.unit else "")
    cells = [
        f"`{metric.key}`",
        metric.name,
        metric.definition,
        span,
        BETTER[metric.higher_is_better],
        metric.interval,
    ]
    if metric.group == "people":
        cells += [metric.floor or "–", metric.ceiling]
    return "| " + " | ".join(cell.replace("|", "│") for cell in cells) + " |"


@pytest.mark.parametrize("group", GROUPS)
def test_every_metric_is_on_the_page_in_the_words_of_the_table(group):
    section = PAGE.partition(f"\n## {GROUPS[group]}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    assert lines == [row(metric) for metric in METRICS if metric.group == group]


def test_when_to_use_which_is_on_the_page_in_the_words_of_the_code():
    by_words: dict[str, list[str]] = {}
    for key, words in USE_WHEN.items():
        by_words.setdefault(words, []).append(f"`{key}`")
    for words, keys in by_words.items():
        assert f"| {', '.join(keys)} | {words} |" in PAGE
    assert USE_WHEN.keys() <= {metric.key for metric in METRICS}


def test_every_interval_is_explained_in_the_words_of_the_code():
    for name, words in INTERVALS.items():
        assert f"| {name} | {words} |" in PAGE
    assert {metric.interval for metric in METRICS} == set(INTERVALS)


def test_the_numbers_in_the_text_are_those_of_the_code():
    assert f"fewer than {calibration.THIN} images" in PAGE
    assert f"same {intervals.DRAWS:,} draws" in PAGE
    assert "50, 70, 80, 90, 95 and 100 %" in PAGE
    assert [100 * coverage for coverage in selective.COVERAGES] == [50, 70, 80, 90, 95, 100]


def test_keys_and_names_are_there_once():
    assert len({metric.key for metric in METRICS}) == len({metric.name for metric in METRICS}) == len(METRICS)
