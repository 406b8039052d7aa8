"""Every model of the slices, where Django looks for them. A test asserts that none is missing."""

from __future__ import annotations

from training.experiments.models import Arm, Experiment
from training.reports.models import Report
from training.runs.models import Run

__all__ = ["Arm", "Experiment", "Report", "Run"]
