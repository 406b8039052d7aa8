"""Simulated participants take part through the same services as people; their answers say what they are."""

from __future__ import annotations

import uuid

import numpy as np

from elicitation.flow import services
from elicitation.interfaces import interface_named
from elicitation.participants.models import Participation
from elicitation.studies.models import Source, Study
from elicitation.trials.models import Trial
from hilmix.core.observers import Observer, draw_image_effect
from hilmix.errors import Conflict


def simulate_participant(*, study: Study, seed: int) -> Participation:
    """One simulated person takes part in `study` from consent to completion code.

    The same study and `seed` give the same person; the plan they get is drawn like anybody's.

    Raises:
        Conflict: the study is not for simulated participants, not open, or full.
    """
    if study.source != Source.SIMULATED:
        raise Conflict(
            f"“{study.title}” is for {study.get_source_display()}, not for simulated participants."
        )
    boxes = {name: True for name, _text in study.protocol.content["texts"]["boxes"]}
    participation, _new = services.join_study(study=study, source=Source.SIMULATED, boxes=boxes)
    rng = np.random.default_rng([study.pk, seed])
    observer = Observer.draw(rng)
    answers = [_answer(trial, observer, rng) for trial in _plan(participation)]
    for start in range(0, len(answers), 20):
        services.save_responses(participation=participation, epoch=0, answers=answers[start : start + 20])
    services.complete(participation=participation)
    return services.finish(participation=participation, comments="")


def _plan(participation: Participation) -> list[Trial]:
    return list(participation.trials.select_related("unit__mixed_image", "participation__protocol"))


def _answer(trial: Trial, observer: Observer, rng: np.random.Generator) -> services.Incoming:
    mixed_image = trial.unit.mixed_image
    assert mixed_image is not None
    # The image's own effect is the same for everybody, so it is drawn from the image alone.
    effect = draw_image_effect(np.random.default_rng(int(mixed_image.sha256[:15], 16)))
    said = observer.answer(mixed_image.lambda_e4 / 10_000, rng, effect)
    interface = interface_named(trial.participation.protocol.content["interface"]["name"])
    return services.Incoming(
        id=uuid.UUID(bytes=rng.bytes(16), version=4),
        position=trial.position,
        payload=interface.payload_for(said, trial.params, rng),
        rt_ms=int(rng.lognormal(9.0, 0.4)),
    )
