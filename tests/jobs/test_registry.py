"""Kinds of work."""

from __future__ import annotations

import pytest

from hilmix.jobs.registry import KINDS, job_kind


def test_two_handlers_of_one_kind_are_refused():
    with pytest.raises(ValueError, match="'count'"):
        job_kind("count", queue="data")(print)


def test_an_unknown_queue_is_refused_when_the_kind_is_registered():
    with pytest.raises(ValueError, match="'fast'"):
        job_kind("another", queue="fast")(print)
    assert "another" not in KINDS


def test_work_that_only_waits_is_not_registered_in_a_real_instance(settings):
    assert not settings.HILMIX_TEST_JOBS
    assert "wait" not in KINDS
