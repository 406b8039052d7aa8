"""One participation as researchers see it: its way, its answers in words, and what is to be said of how it answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils.functional import Promise

from elicitation.flow.events import COMPREHENSION
from elicitation.monitoring.words import answer_in_words, event_in_words, in_words, judgement_in_words
from elicitation.participants.models import Consent, Participation, ParticipationEvent, ProblemReport
from elicitation.studies.models import Source, Study, Unit
from elicitation.studies.protocol import settings_of
from elicitation.studies.reading import Reading, reading_of
from elicitation.studies.rules import FLAGS, OF_ANSWERS, Flag
from elicitation.studies.texts import Texts
from elicitation.trials.asking import asked_of
from elicitation.trials.checks import result_of
from elicitation.trials.flags import (
    Flagged,
    excluding,
    flagged,
    flags_of_answer,
    measures_of,
    rules_of,
)
from elicitation.trials.given import Given, answers_given
from elicitation.trials.models import Response, Trial, TrialImage
from hilmix.core.mixing import lambda_text

MOST_EVENTS = 300  # shown, of at most 2,000 that are kept
NO_TEXTS = Texts(consent="", information={}, boxes=(), instructions=(), comprehension=(), wording={})


@dataclass(frozen=True)
class Happened:
    """Something on the way, in words; `seconds` since the page was opened, None where no times are kept."""

    what: str
    at: ParticipationEvent
    seconds: float | None


@dataclass(frozen=True)
class Shown:
    """A trial with what it showed and asked, and its answer if there is one.

    `passed` is None for what is no attention check, or has no answer; `answer` holds name, value and meaning, `flags`
    what is to be said of it.
    """

    trial: Trial
    images: Sequence[TrialImage]
    lambdas: str
    classes: tuple[str, str]
    levels: str
    question: str
    response: Response | None
    answer: Sequence[tuple[str, str, str]]
    says: str
    passed: bool | None
    flags: Sequence[str | Promise]

    @property
    def seconds(self) -> float | None:
        """How long the answer took, where times are kept."""
        took = self.response.rt_ms if self.response else None
        return None if took is None else took / 1000


@dataclass(frozen=True)
class Passage:
    """All of one participation that a researcher may see."""

    person: Participation
    levels: str
    boxes: Sequence[tuple[str, bool]]
    events: Sequence[Happened]
    n_events: int
    rounds: Sequence[bool]
    trials: Sequence[Shown]
    measures: Sequence[tuple[Flag, float | None, Flagged | None]]
    left_out_by: Sequence[Flag]
    problems: Sequence[ProblemReport]
    survey: Sequence[tuple[str, str]]
    took: timedelta | None

    @property
    def n_answers(self) -> int:
        return sum(one.response is not None for one in self.trials)


def passage_of(study: Study, person: Participation) -> Passage:
    """Everything about `person`, who takes part in `study`."""
    rules = rules_of(study)
    measures = measures_of(study, mode=person.mode, only=[person.pk]).get(person.pk, {})
    stand = {one.rule.flag: one for one in flagged(measures, rules)}
    happened = list(person.events.order_by("received_at", "t_ms"))
    reading = _reading(person)
    timed = bool(reading.settings.timing_reason)
    took = person.completed_at - person.started_at if person.completed_at else None
    return Passage(
        person=person,
        levels=in_words(person.levels),
        boxes=_boxes(person, reading),
        events=[
            Happened(event_in_words(event.kind, event.data), event, event.t_ms / 1000 if timed else None)
            for event in happened[:MOST_EVENTS]
        ],
        n_events=len(happened),
        rounds=[bool(event.data.get("passed")) for event in happened if event.kind == COMPREHENSION],
        trials=_trials(study, person, reading),
        measures=[(flag, measures.get(name), stand.get(name)) for name, flag in FLAGS.items()],
        left_out_by=[FLAGS[one.rule.flag] for one in excluding(stand.values())],
        problems=list(person.problem_reports.all()),
        survey=_survey(person, reading),
        took=took,
    )


def _reading(person: Participation) -> Reading:
    """How `person` was asked; nobody knows the words that imported people read."""
    if person.source != Source.IMPORTED:
        return reading_of(person.protocol)
    return Reading(settings_of(person.protocol.content), tuple(person.study.image_set.classes), NO_TEXTS)


def _trials(study: Study, person: Participation, reading: Reading) -> list[Shown]:
    """Every planned trial in its order."""
    mine = Participation.objects.filter(pk=person.pk)
    units = Unit.objects.filter(trials__participation=person)
    given = {one.position: one for one in answers_given(study, mine, units=units)}
    trials = person.trials.select_related("pair", "response").prefetch_related("images__mixed_image")
    return [_shown(trial, person, given.get(trial.position), reading, study.source) for trial in trials]


def _shown(trial: Trial, person: Participation, given: Given | None, reading: Reading, source: str) -> Shown:
    """One trial; `given` is its answer, unless it has none or is an attention check."""
    way = reading.asking(trial.levels)
    trial.participation = person
    asked = asked_of(trial, way.settings, reading.classes, person.drawn)
    response = getattr(trial, "response", None)
    payload = response.payload if response else None
    is_check = trial.kind == Trial.Kind.CHECK
    images = list(trial.images.all())
    return Shown(
        trial=trial,
        images=images,
        lambdas=", ".join(lambda_text(image.mixed_image.lambda_e4) for image in images),
        classes=(reading.classes[trial.pair.first_class], reading.classes[trial.pair.second_class]),
        levels=in_words(trial.levels),
        question=_filled(way.texts.wording.get("question", ""), way.interface.shown(asked)),
        response=response,
        answer=answer_in_words(payload, way.interface) if payload else (),
        says=judgement_in_words(way.interface.judgement(payload, asked), asked) if payload else "",
        passed=result_of(trial, payload, way.settings, reading.classes).passed
        if payload and is_check
        else None,
        flags=[OF_ANSWERS[name] for name in flags_of_answer(given, source)] if given else (),
    )


def _filled(question: str, names: dict[str, object]) -> str:
    """The question with the names of the two classes, as the browser fills them in."""
    for side in ("left", "right"):
        question = question.replace(f"{{{side}}}", str(names.get(f"{side}_class", "")))
    return question


def _boxes(person: Participation, reading: Reading) -> list[tuple[str, bool]]:
    """What each box of the consent page says, and whether it was ticked."""
    said = {box.name: box.text for box in reading.texts.boxes}
    ticked = Consent.objects.filter(participation=person).values_list("boxes", flat=True).first() or {}
    return [(said.get(name, name), bool(value)) for name, value in ticked.items()]


def _survey(person: Participation, reading: Reading) -> list[tuple[str, str]]:
    prompts = {item.name: item.prompt for item in reading.texts.survey}
    return [(prompts.get(name, name), str(answer)) for name, answer in person.survey.items()]
