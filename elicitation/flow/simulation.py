"""Simulated participants take part through the same services as people; their answers say what they are."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from itertools import accumulate

import numpy as np
from django.db import transaction

from elicitation.flow import services
from elicitation.flow.saving import Incoming, save_responses
from elicitation.interfaces.base import Asked
from elicitation.mixes.models import MixedImage
from elicitation.participants.models import Participation
from elicitation.studies.models import Mode, Slot, Source, Study
from elicitation.studies.reading import Reading, reading_of
from elicitation.studies.texts import texts_of
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Trial
from hilmix.core.judgements import ClassMass, Judgement, PerceivedLambda, PerceivedMidpoint
from hilmix.core.observers import H_MIX, Observer, Population, draw_image_effect
from hilmix.errors import Conflict


def simulate_participant(*, study: Study, seed: int, population: Population = H_MIX) -> Participation:
    """One simulated person takes part in `study` from consent to completion code.

    The same study and `seed` give the same person of `population`; the plan they get is drawn like anybody's. They
    agree to everything, see the same however they are asked, and fail an attention check only where they do not look.

    Raises:
        Conflict: the study is not for simulated participants, not open, or full.
    """
    _refuse_people(study)
    boxes = {box.name: True for box in texts_of(study.protocol.content).boxes}
    participation, _new = services.join_study(study=study, source=Source.SIMULATED, boxes=boxes)
    rng = np.random.default_rng([study.pk, seed])
    observer = Observer.draw(rng, population)
    answers = _answers(participation, observer, rng)
    for start in range(0, len(answers), 20):
        save_responses(participation=participation, epoch=0, answers=answers[start : start + 20])
    services.complete(participation=participation)
    return services.finish(participation=participation, survey={})


def take_every_place(
    *,
    study: Study,
    population: Population = H_MIX,
    on_place: Callable[[int, int], None] = lambda taken, places: None,
) -> int:
    """Simulated participants take the places of `study` that nobody has yet, each in one transaction, so that nobody is
    left half-way when it is stopped; `on_place` is told how many of how many are taken. Returns how many took part now.

    Raises:
        Conflict: the study is not for simulated participants, or not open.
    """
    _refuse_people(study)
    if study.state != Study.State.OPEN:
        raise Conflict(f"“{study.title}” is not open ({study.get_state_display()}): open it first.")
    slots = Slot.objects.filter(batch__study=study, batch__mode=Mode.LIVE)
    places, free = slots.count(), slots.filter(state=Slot.State.FREE).count()
    known = study.participations.count()  # of a pilot and withdrawn too, so that no seed is used twice
    for number in range(free):
        on_place(places - free + number, places)
        with transaction.atomic():
            simulate_participant(study=study, seed=known + number, population=population)
    return free


def _refuse_people(study: Study) -> None:
    if study.source != Source.SIMULATED:
        raise Conflict(
            f"“{study.title}” is for {study.get_source_display()}, not for simulated participants."
        )


def _answers(participation: Participation, observer: Observer, rng: np.random.Generator) -> list[Incoming]:
    """An answer to every trial of the plan, in its order."""
    reading = reading_of(participation.protocol)
    trials = list(participation.trials.select_related("pair").prefetch_related("images__mixed_image"))
    rt_ms = [int(rng.lognormal(9.0, 0.4)) for _ in trials]
    return [
        Incoming(
            id=uuid.UUID(bytes=rng.bytes(16), version=4),
            position=trial.position,
            payload=_payload(trial, reading, participation, observer, rng),
            rt_ms=took,
            trial_index=index,
            time_elapsed_ms=elapsed,
        )
        for index, (trial, took, elapsed) in enumerate(zip(trials, rt_ms, accumulate(rt_ms), strict=True))
    ]


def _payload(
    trial: Trial,
    reading: Reading,
    participation: Participation,
    observer: Observer,
    rng: np.random.Generator,
) -> dict[str, object]:
    way = reading.asking(trial.levels)
    asked = asked_of(trial, way.settings, reading.classes, participation.drawn)
    said = _judged(trial, asked, way.interface.JUDGEMENT, observer, rng)
    return way.interface.payload_for(said, asked, rng)


def _judged(
    trial: Trial, asked: Asked, kind: type[Judgement], observer: Observer, rng: np.random.Generator
) -> Judgement:
    """What the observer sees in the images of a trial, as the kind of judgement that the interface takes."""
    # The effect of a pair or an image is the same for everybody, so it is drawn from that alone.
    if kind is PerceivedMidpoint:
        of_pair = np.random.default_rng([trial.pair.first_index, trial.pair.second_index])
        effect = draw_image_effect(of_pair, observer.population)
        return observer.midpoint([value / 10_000 for value in asked.lambdas_e4], rng, effect)
    shown = trial.images.all()[0].mixed_image
    share = shown.lambda_e4 / 10_000
    effect = image_effect(shown, observer.population)
    if kind is PerceivedLambda:
        return observer.answer(share, rng, effect)
    names = observer.class_mass if kind is ClassMass else observer.distribution
    return names(share, asked.first_class, asked.second_class, len(asked.classes), rng, effect)


def image_effect(shown: MixedImage, population: Population = H_MIX) -> float:
    """How a mixed image differs, to simulated participants, from the average image of its λ (logit scale)."""
    return draw_image_effect(np.random.default_rng(int(shown.sha256[:15], 16)), population)
