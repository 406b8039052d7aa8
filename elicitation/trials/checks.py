"""Attention checks: an unmixed image among the mixed ones, to see afterwards whether somebody looked.

Results are for researchers only: no participant learns of them, nothing is rewarded, no label is made of them, and one
failure only flags.
"""

from __future__ import annotations

from dataclasses import dataclass

from elicitation.interfaces import interface_named
from elicitation.interfaces.base import Payload
from elicitation.studies.protocol import Settings
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Trial
from hilmix.core.judgements import Judgement, share_of

PASS_ABOVE = 0.75  # of the whole, given to the class of the image


@dataclass(frozen=True)
class CheckResult:
    """An answered check: the class of its image, the share (0–1) the answer gave to it, if it gave any, and all that
    the answer says."""

    trial: Trial
    class_index: int
    share: float | None
    judgement: Judgement

    @property
    def passed(self) -> bool:
        return self.share is not None and self.share > PASS_ABOVE


def right_class(trial: Trial) -> int:
    """The class of the image that a check shows: the pair's first where λ is 1, the second where it is 0."""
    (shown,) = trial.images.all()
    return trial.pair.first_class if shown.mixed_image.lambda_e4 == 10_000 else trial.pair.second_class


def result_of(trial: Trial, payload: Payload, settings: Settings, classes: tuple[str, ...]) -> CheckResult:
    """What a stored answer to a check says. Its participation, pair and image are best loaded with it.

    `settings` are as the levels of the trial have them.
    """
    asked = asked_of(trial, settings, classes, trial.participation.drawn)
    judgement = interface_named(settings.interface).judgement(payload, asked)
    right = right_class(trial)
    share = share_of(judgement, right, trial.pair.first_class, trial.pair.second_class)
    return CheckResult(trial, right, share, judgement)
