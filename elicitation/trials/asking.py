"""What a trial asks about, put together for its interface: the one place where stored rows become `Asked`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from elicitation.interfaces import interface_named
from elicitation.interfaces.base import Asked
from elicitation.studies.protocol import Settings
from elicitation.trials.models import Trial


def asked_of(trial: Trial, settings: Settings, classes: Sequence[str], person: Mapping[str, Any]) -> Asked:
    """What `trial` asks about; no query where its pair is loaded.

    Args:
        classes: names of the image set's classes.
        person: what was drawn for the participation (`Participation.drawn`).
    """
    by_pair = interface_named(settings.interface).UNIT == "pair"
    return Asked(
        classes=tuple(classes),
        first_class=trial.pair.first_class,
        second_class=trial.pair.second_class,
        lambdas_e4=tuple(sorted(settings.design.lambdas_e4)) if by_pair else (),
        options=settings.options,
        person=person,
        params=trial.params,
    )
