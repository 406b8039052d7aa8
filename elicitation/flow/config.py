"""What a participant's browser is given: the configuration of the trials page, and the plan of what is left to do.

Nothing in either says λ, which trials are checks or repeats, or anything that these could be told from.
"""

from __future__ import annotations

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
from elicitation.flow.reading import Reading, reading_of
from elicitation.flow.services import answered_of
from elicitation.flow.wording import client_messages
from elicitation.participants.models import Participation
from elicitation.studies.protocol import Settings
from elicitation.studies.texts import Texts, rendered, texts_of
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Response, Trial


def page_config(participation: Participation, link: str) -> dict[str, Any]:
    """The trials page's configuration, as JSON; `link` is the signed part of the person's private address."""
    reading = reading_of(participation.protocol)
    settings = reading.settings
    with translation.override(settings.language):
        return {
            "study": {"slug": participation.study.slug},
            "participation": participation.public_id,
            "token": token_for(participation),
            "epoch": participation.epoch,
            "api": reverse("participation_plan").removesuffix("plan/"),
            "next_url": reverse("participation_survey", args=[link]),
            "direction": "rtl" if translation.get_language_bidi() else "ltr",
            "plugin": static(f"elicitation/plugins/{reading.interface.PLUGIN}.js"),
            "options": {**reading.interface.OPTIONS, **settings.options},
            "person": reading.interface.shown_to_person(participation.drawn, reading.classes),
            "texts": _texts(texts_of(participation.protocol.content), settings),
            "display": asdict(settings.display),
            "timing": bool(settings.timing_reason),
            "flow": {
                "max_comprehension_rounds": settings.flow.max_comprehension_rounds,
                "break_every": settings.flow.break_every,
            },
            "messages": client_messages(),
        }


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
        "examples": _examples(participation, reading.settings),
        "trials": _trials(participation, reading, trials),
    }


def _passed(participation: Participation, answered: int) -> bool:
    """Whether the way goes on with the trials. Where there are no questions to pass, an answer shows that it does."""
    if participation.comprehension_passed_at is not None:
        return True
    return answered > 0 and not texts_of(participation.protocol.content).comprehension


# Whatever came late was given earlier: an answer may have waited in a closed browser.
_GIVEN_AT = Coalesce(Least("ended_at", "received_at"), "received_at")


def _trials(participation: Participation, reading: Reading, trials: list[Trial]) -> list[dict[str, Any]]:
    interrupted = interruptions(participation)
    return [
        {
            "position": trial.position,
            "images": [reverse("participation_image", args=[image.pk]) for image in trial.images.all()],
            "params": reading.interface.shown(
                asked_of(trial, reading.settings, reading.classes, participation.drawn)
            ),
            "attempt": 1 + interrupted[trial.position],
        }
        for trial in trials
    ]


def _examples(participation: Participation, settings: Settings) -> list[dict[str, Any]]:
    return [
        {
            "images": [
                reverse("participation_example", args=[number, order]) for order in range(example["images"])
            ],
            "params": example["params"],
        }
        for number, example in enumerate(examples(participation.study, settings))
    ]


def _was_away(participation: Participation, settings: Settings, last_answer: datetime | None) -> bool:
    """Whether it is so long since the last answer, or since the lesson, that the controls may be forgotten."""
    last = last_answer or participation.comprehension_passed_at
    gap = timedelta(minutes=settings.flow.resume_gap_minutes)
    return last is not None and timezone.now() - last > gap


def _texts(texts: Texts, settings: Settings) -> dict[str, Any]:
    return {
        "instructions": [rendered(page) for page in texts.instructions],
        "short_instructions": rendered(texts.short_instructions),
        "comprehension": [asdict(question) for question in texts.comprehension],
        "wording": dict(texts.wording),
        "bonus": rendered(settings.bonus),
        "break": rendered(texts.break_text),
    }
