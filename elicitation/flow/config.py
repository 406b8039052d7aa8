"""What a participant's browser is given: the configuration of the trials page, and the plan of what is left to do.

Nothing in either says λ, which trials are checks or repeats, or anything that these could be told from. What the study
compares has no name there: a person's ways of asking are numbered, and each trial has the number of its way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max
from django.db.models.functions import Coalesce, Least
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone, translation

from elicitation.flow.access import token_for
from elicitation.flow.events import comprehension_rounds, interruptions
from elicitation.flow.examples import examples
from elicitation.flow.services import answered_of
from elicitation.flow.wording import client_messages
from elicitation.interfaces.drawing import DRAWN
from elicitation.participants.models import Participation
from elicitation.studies.factors import Levels
from elicitation.studies.protocol import Settings
from elicitation.studies.reading import Reading, Way, reading_of
from elicitation.studies.texts import rendered
from elicitation.studies.ways import PERSPECTIVE, factors_within
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Response, Trial


def page_config(participation: Participation, link: str) -> dict[str, Any]:
    """The trials page's configuration, as JSON; `link` is the signed part of the person's private address."""
    reading = reading_of(participation.protocol)
    settings, ways = reading.settings, ways_told(participation)
    with translation.override(settings.language):
        return {
            "study": {"slug": participation.study.slug},
            "participation": participation.public_id,
            "token": token_for(participation),
            "epoch": participation.epoch,
            "api": reverse("participation_plan").removesuffix("plan/"),
            "next_url": reverse("participation_survey", args=[link]),
            "direction": "rtl" if translation.get_language_bidi() else "ltr",
            "ways": ways,
            "lists_classes": any("classes" in way["person"] for way in ways),
            "texts": {
                "comprehension": [
                    asdict(question) for question in reading.questions_of(participation.levels)
                ],
                "break": rendered(reading.texts.break_text),
            },
            "timing": bool(settings.timing_reason),
            "flow": {
                "max_comprehension_rounds": settings.flow.max_comprehension_rounds,
                "break_every": settings.flow.break_every,
            },
            "messages": client_messages(),
        }


def ways_told(participation: Participation) -> list[dict[str, Any]]:
    """Each way in which the person is asked, as the browser is told it; a trial's `way` is its place in this list.

    `lesson` is the first way with the same controls: examples and practice are for that one. Before a trial whose way
    has another `block` than the trial before, the person is told what changes.
    """
    reading = reading_of(participation.protocol)
    ways = reading.ways_of(participation.levels)
    blocks = _blocks(ways, reading.settings)
    return [
        {
            "plugin": static(f"elicitation/plugins/{way.interface.PLUGIN}.js"),
            "options": _options_told(way),
            "person": way.interface.shown_to_person(participation.drawn, reading.classes),
            "wording": dict(way.texts.wording),
            "display": asdict(way.settings.display),
            "instructions": [rendered(page) for page in way.texts.instructions],
            "short_instructions": rendered(way.texts.short_instructions),
            "bonus": rendered(way.settings.bonus),
            "lesson": lesson,
            "block": block,
        }
        for (_levels, way), lesson, block in zip(ways, _lessons(ways), blocks, strict=True)
    ]


def _options_told(way: Way) -> dict[str, Any]:
    """The options that the controls need. What fixes a draw is not told: the draw itself is."""
    options = {**way.interface.OPTIONS, **way.settings.options}
    return {name: value for name, value in options.items() if name not in DRAWN}


def _lessons(ways: Sequence[tuple[Levels, Way]]) -> list[int]:
    """For each way the first one that is asked with the same controls."""
    controls = [(way.interface.NAME, _options_told(way)) for _levels, way in ways]
    return [controls.index(one) for one in controls]


def _blocks(ways: Sequence[tuple[Levels, Way]], settings: Settings) -> list[int]:
    """The number of each way's block; blocks in which nothing else is said have one number."""
    factors = factors_within(settings, "blocks")
    keys = [tuple(levels[factor.name] for factor in factors) for levels, _way in ways]
    said: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for key, (_levels, way) in zip(keys, ways, strict=True):
        words = way.texts.short_instructions, way.texts.wording.get(PERSPECTIVE, ""), way.settings.bonus
        said.setdefault(key, []).append(words)
    numbers = list(said.values())
    return [numbers.index(said[key]) for key in keys]


def plan_of(participation: Participation, epoch: int) -> dict[str, Any]:
    """What is left to do, for the window of `epoch`: the trials without an answer in their stored order, where their
    pictures are, and what a timeline needs to go on where another one stopped."""
    reading = reading_of(participation.protocol)
    trials = list(
        participation.trials.filter(response=None).select_related("pair").prefetch_related("images")
    )
    answers = Response.objects.filter(trial__participation=participation)
    said = answers.aggregate(index=Max("trial_index"), elapsed=Max("time_elapsed_ms"), last=Max(_GIVEN_AT))
    answered, total = answered_of(participation)
    return {
        "epoch": epoch,
        "answered": answered,
        "total": total,
        "next_index": 0 if said["index"] is None else said["index"] + 1,
        "elapsed_ms": said["elapsed"] or 0,
        "long_gap": _was_away(participation, reading.settings, said["last"]),
        "comprehension_passed": _passed(participation, answered),
        "comprehension_rounds": comprehension_rounds(participation),
        "examples": _examples(participation, reading),
        "trials": _trials(participation, reading, trials),
    }


def _passed(participation: Participation, answered: int) -> bool:
    """Whether the way goes on with the trials. Where there are no questions to pass, an answer shows that it does."""
    if participation.comprehension_passed_at is not None:
        return True
    return answered > 0 and not reading_of(participation.protocol).questions_of(participation.levels)


# Whatever came late was given earlier: an answer may have waited in a closed browser.
_GIVEN_AT = Coalesce(Least("ended_at", "received_at"), "received_at")


def _trials(participation: Participation, reading: Reading, trials: list[Trial]) -> list[dict[str, Any]]:
    interrupted = interruptions(participation)
    numbers = numbers_of_ways(participation, reading)
    return [
        {
            "position": trial.position,
            "images": [reverse("participation_image", args=[image.pk]) for image in trial.images.all()],
            "params": params_told(trial, participation, reading),
            "way": numbers[frozenset(trial.levels.items())],
            "attempt": 1 + interrupted[trial.position],
        }
        for trial in trials
    ]


def numbers_of_ways(
    participation: Participation, reading: Reading
) -> Mapping[frozenset[tuple[str, str]], int]:
    """The place in `ways_told` of the way of a trial, by the trial's levels as a set of factor and level."""
    ways = reading.ways_of(participation.levels)
    return {frozenset(levels.items()): number for number, (levels, _way) in enumerate(ways)}


def params_told(trial: Trial, participation: Participation, reading: Reading) -> dict[str, Any]:
    """What the browser is told of a trial whose pair is loaded."""
    way = reading.asking(trial.levels)
    return way.interface.shown(asked_of(trial, way.settings, reading.classes, participation.drawn))


def _examples(participation: Participation, reading: Reading) -> list[dict[str, Any]]:
    """Examples of every lesson, each with the number of its first way."""
    ways = reading.ways_of(participation.levels)
    return [
        {
            "images": [
                reverse("participation_example", args=[lesson, number, order])
                for order in range(example["images"])
            ],
            "params": example["params"],
            "way": lesson,
        }
        for lesson in dict.fromkeys(_lessons(ways))
        for number, example in enumerate(examples(participation.study, ways[lesson][1].settings))
    ]


def _was_away(participation: Participation, settings: Settings, last_answer: datetime | None) -> bool:
    """Whether it is so long since the last answer, or since the lesson, that the controls may be forgotten."""
    last = last_answer or participation.comprehension_passed_at
    gap = timedelta(minutes=settings.flow.resume_gap_minutes)
    return last is not None and timezone.now() - last > gap
