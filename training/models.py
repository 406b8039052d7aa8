"""Every model of the slices, where Django looks for them. A test asserts that none is missing."""

from __future__ import annotations

from training.choices.models import Choice, Prediction
from training.experiments.models import Arm, Experiment
from training.explanations.models import Explanation
from training.followups.models import FollowUp, FollowUpImage
from training.reports.models import Report, RunReport
from training.runs.models import Run

__all__ = [
    "Arm",
    "Choice",
    "Experiment",
    "Explanation",
    "FollowUp",
    "FollowUpImage",
    "Prediction",
    "Report",
    "Run",
    "RunReport",
]
