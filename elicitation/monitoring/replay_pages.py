"""A participation replayed: the pages it read and the trials it answered, as the person saw them.

The participant's own plugins show it, with the protocol, levels, order, sides, words and display that are stored, and
act out what was recorded. The page has no participant's token and sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from elicitation.flow.config import numbers_of_ways, params_told, ways_told
from elicitation.flow.wording import client_messages
from elicitation.monitoring.participations import participation_at
from elicitation.monitoring.words import judgement_in_words
from elicitation.participants.models import Participation
from elicitation.studies.models import Source
from elicitation.studies.reading import Reading, reading_of
from elicitation.studies.texts import information_rows, rendered
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Trial
from hilmix.errors import NotFound


@dataclass(frozen=True)
class Step:
    """A page of the replay: `at` names it in the address; it is a page to read, or the trial at `position`."""

    at: str
    name: str
    page: SafeString | None = None
    position: int | None = None


@require_safe
def study_replay(request: HttpRequest, slug: str, public_id: str) -> HttpResponse:
    """One page of a participation as its person saw it; `?at=` says which, the first trial where it says none."""
    study, person = participation_at(request, slug, public_id)
    if study.source == Source.IMPORTED:
        raise NotFound("These answers were imported: what their people saw was another program's.")
    reading = reading_of(person.protocol)
    steps = _steps(person, reading)
    if not steps:
        raise NotFound("There is nothing to replay: no trial was planned.")
    named = {step.at: number for number, step in enumerate(steps)}
    first_trial = next((n for n, step in enumerate(steps) if step.position is not None), 0)
    number = named.get(request.GET.get("at", ""), first_trial)
    step = steps[number]
    with translation.override(reading.settings.language):
        direction = "rtl" if translation.get_language_bidi() else "ltr"
    context: dict[str, Any] = {
        "study": study,
        "person": person,
        "steps": steps,
        "at": step.at,
        "name": step.name,
        "before": steps[number - 1] if number else None,
        "after": steps[number + 1] if number + 1 < len(steps) else None,
        "language": reading.settings.language,
        "direction": direction,
        "html": step.page,
    }
    if step.position is not None:
        after = context["after"]
        next_url = f"{request.path}?at={after.at}" if after else ""
        context |= _replayed(person, reading, step.position, {"direction": direction, "next_url": next_url})
    return render(request, "elicitation/replay.html", context)


def _steps(person: Participation, reading: Reading) -> list[Step]:
    """What this person read (consent, instructions, bonus rules, questions), each once, and every trial in order."""
    ways = [way for _levels, way in reading.ways_of(person.levels)]
    pages = dict.fromkeys(
        page for way in ways for page in (*way.texts.instructions, way.settings.bonus) if page
    )
    instructions = [
        Step(f"page-{number}", _("Instructions, page %d") % number, page=rendered(page))
        for number, page in enumerate(pages, 1)
    ]
    positions = person.trials.values_list("position", flat=True)
    trials = [
        Step(f"{position}", _("Trial %d") % (position + 1), position=position) for position in positions
    ]
    return [_consent(person, reading), *instructions, *_questions(person, reading), *trials] if trials else []


def _consent(person: Participation, reading: Reading) -> Step:
    with translation.override(reading.settings.language):
        context = {
            "title": person.study.title,
            "text": rendered(reading.texts.consent),
            "information": information_rows(reading.texts),
            "boxes": reading.texts.boxes,
        }
        page = render_to_string("elicitation/_replay_consent.html", context)
    return Step("consent", _("Consent"), page=page)


def _questions(person: Participation, reading: Reading) -> list[Step]:
    """The comprehension check as a page to read; none where nothing was asked."""
    if not (questions := reading.questions_of(person.levels)):
        return []
    with translation.override(reading.settings.language):
        context = {"questions": questions, "words": client_messages()}
        page = render_to_string("elicitation/_replay_questions.html", context)
    return [Step("questions", _("Comprehension check"), page=page)]


def _replayed(person: Participation, reading: Reading, position: int, more: dict[str, Any]) -> dict[str, Any]:
    """What the page is told of one trial: as the browser of its person was told, and what was answered."""
    trials = person.trials.select_related("pair", "response").prefetch_related("images")
    trial = trials.get(position=position)
    response = getattr(trial, "response", None)
    address = [person.study.slug, person.public_id]
    images = [
        reverse("study_participation_picture", args=[*address, image.pk]) for image in trial.images.all()
    ]
    with translation.override(reading.settings.language):
        ways, words = ways_told(person), client_messages()
    title = words["round" if len(images) > 1 else "picture"]
    config = {
        **more,
        "messages": words,
        "ways": ways,
        "lists_classes": any("classes" in way["person"] for way in ways),
        "timing": bool(reading.settings.timing_reason),
        "trial": {
            "title": title.format(number=position + 1, total=trials.count()),
            "images": images,
            "params": params_told(trial, person, reading),
            "way": numbers_of_ways(person, reading)[frozenset(trial.levels.items())],
            "answer": {"payload": response.payload, "rt": response.rt_ms} if response else None,
        },
    }
    took = response.rt_ms if response else None
    payload = response.payload if response else {}
    return {
        "config": config,
        "window": payload.get("viewport"),
        "enlarged": payload.get("enlargement"),
        "says": _says(trial, person, reading) if response else "",
        "seconds": None if took is None else took / 1000,
    }


def _says(trial: Trial, person: Participation, reading: Reading) -> str:
    way = reading.asking(trial.levels)
    asked = asked_of(trial, way.settings, reading.classes, person.drawn)
    return judgement_in_words(way.interface.judgement(trial.response.payload, asked), asked)
