"""The order of trials and where repeats stand among them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elicitation.trials.planning import Planned, order_with_repeats


@given(n=st.integers(2, 80), repeats=st.integers(0, 6), seed=st.integers(0, 10_000))
def test_every_main_trial_comes_once_and_repeats_come_later(n, repeats, seed):
    repeats = min(repeats, n // 2)
    plan = order_with_repeats(n, repeats, random.Random(seed))
    assert [p.main for p in plan if not p.repeat] == list(range(n))
    assert sum(p.repeat for p in plan) == repeats
    for position, planned in enumerate(plan):
        if planned.repeat:
            first = plan.index(Planned(planned.main, False))
            assert position - first > min(15, n // 2)


@pytest.mark.parametrize("seed", range(20))
def test_no_trial_is_repeated_twice_and_repeats_are_spread(seed):
    plan = order_with_repeats(60, 4, random.Random(seed))
    repeated = [p.main for p in plan if p.repeat]
    assert len(set(repeated)) == 4
    assert not all(planned.repeat for planned in plan[-4:])
