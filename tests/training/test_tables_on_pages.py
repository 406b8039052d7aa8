"""How the tables of reports are laid out on pages."""

from __future__ import annotations

import pytest
from django.template.loader import render_to_string

from hilmix.figures import Table
from training.reports.tables import within
from training.templatetags.tables import keyed, laid_out

NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("cell", "value", "interval"),
    [
        (within(0.7165, (0.696, 0.7259)), "0.7165", f"0.696{NBSP}to 0.7259"),
        (within(-0.25, (-0.5, 0.0)), "-0.25", f"-0.5{NBSP}to 0"),
        (within(0.00001, (-0.00002, 0.3)), None, None),
        (0.5, "0.5", ""),
        ("0.9120 ± 0.0040", "0.9120 ± 0.0040", ""),
        ("<1 %", "<1 %", ""),
        (None, "–", ""),
    ],
)
def test_a_number_stands_to_the_right_and_its_interval_below_it(cell, value, interval):
    laid = laid_out(Table("c", ("Arm", "Score ↓"), (("mixup", cell), ("curve", 1.0))))
    shown = laid.rows[0][1]
    assert shown.is_number
    assert laid.of_figures
    assert laid.heads[1] == (f"Score{NBSP}↓", True)
    if value is not None:
        assert (shown.text.replace("−", "-"), shown.interval.replace("−", "-")) == (value, interval)
    else:
        assert shown.interval


def test_what_is_said_behind_an_interval_stays_with_the_value():
    page = render_to_string(
        "training/_table.html",
        {"table": Table("c", ("", "A"), (("Risk score", "14.5 (12.9 to 16.2), green"),))},
    )
    assert f'14.5, green <span class="interval">12.9{NBSP}to 16.2</span>' in page
    assert 'class="table numbers"' in page


def test_a_table_of_words_stacks_and_says_its_intervals_in_the_line():
    rows = (("curve − mixup", "0.1 (0 to 0.2)", "a verdict in many words, as verdicts are"),)
    laid = laid_out(Table("c", ("Contrast", "Difference", "Verdict"), rows))
    assert not laid.of_figures
    assert [is_number for _, is_number in laid.heads] == [False, True, False]


def test_figures_come_in_the_order_in_which_they_are_named():
    figures = [{"key": key} for key in "abc"]
    assert [one["key"] for one in keyed(figures, "c x a")] == ["c", "a"]
