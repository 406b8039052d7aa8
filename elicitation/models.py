"""Every model of the slices, where Django looks for them. A test asserts that none is missing."""

from __future__ import annotations

from elicitation.images.models import ImageSet
from elicitation.mixes.models import MixedImage, Pair
from elicitation.participants.models import (
    Consent,
    Departure,
    Identity,
    Participation,
    ParticipationEvent,
    ProblemReport,
)
from elicitation.recruiters.models import Recruitment, Submission
from elicitation.studies.models import Batch, CheckImage, Condition, Protocol, Slot, Study, Unit
from elicitation.trials.models import Response, Trial, TrialImage

__all__ = [
    "Batch",
    "CheckImage",
    "Condition",
    "Consent",
    "Departure",
    "Identity",
    "ImageSet",
    "MixedImage",
    "Pair",
    "Participation",
    "ParticipationEvent",
    "ProblemReport",
    "Protocol",
    "Recruitment",
    "Response",
    "Slot",
    "Study",
    "Submission",
    "Trial",
    "TrialImage",
    "Unit",
]
