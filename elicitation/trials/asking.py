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
        settings: as the levels of the trial have them (`Reading.way(trial.levels)`).
        classes: names of the image set's classes.
        person: what was drawn for the participation (`Participation.drawn`).
    """
    of_pair = trial.pair.first_class, trial.pair.second_class
    return asked_about(of_pair, settings, classes, person, trial.params)


def asked_about(
    class_pair: tuple[int, int],
    settings: Settings,
    classes: Sequence[str],
    person: Mapping[str, Any],
    params: Mapping[str, Any],
) -> Asked:
    """What a trial about a pair of these classes asks about, also while its `params` are being drawn."""
    by_pair = interface_named(settings.interface).UNIT == "pair"
    return Asked(
        classes=tuple(classes),
        first_class=class_pair[0],
        second_class=class_pair[1],
        lambdas_e4=tuple(sorted(settings.design.lambdas_e4)) if by_pair else (),
        options=settings.options,
        person=person,
        params=params,
    )
