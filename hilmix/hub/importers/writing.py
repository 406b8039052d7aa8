"""Writes published answers as a closed study of imported answers, with the rows that they came from.

Whoever calls it holds the transaction. The rows were checked; nothing is repaired here.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from django.utils import timezone

from elicitation.images.models import ImageSet
from elicitation.mixes.design import Recipe
from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import create_mixed_images
from elicitation.participants.models import Participation
from elicitation.studies.models import Batch, Condition, Protocol, Source, Study, Unit
from elicitation.studies.protocol import Design, condition_content, content_sha256, settings_of
from elicitation.studies.services import StudyPlan, create_study
from elicitation.trials.models import Response, Trial
from elicitation.trials.planning import IMAGES, TRIALS
from hilmix.accounts.roles import Action, Actor, require
from hilmix.core.errors import DataError
from hilmix.core.licences import licence_named
from hilmix.core.mixing import DEFAULT_METHOD
from hilmix.errors import Conflict, Invalid
from hilmix.hub.importers.rows import Answer, Row
from hilmix.hub.models import Import, SourceRow
from hilmix.jobs.progress import Progress
from hilmix.rows import insert_many

BATCH_SIZE = 1000

Mixed = Mapping[tuple[int, int, int], MixedImage]  # by both parents and λ


def refuse_import(*, slugs: Sequence[str], licence: str, actor: Actor) -> None:
    """Raise Forbidden, DataError or Conflict where `actor` may not import, where the licence (may be "") is not known,
    or where there is a study called one of `slugs`."""
    require(actor, Action.IMPORT_ANSWERS)
    licence_named(licence)
    if known := Study.objects.filter(slug__in=slugs).order_by("pk").first():
        raise Conflict(f"There is a study {known.slug!r} already (“{known.title}”). Nothing was changed.")


def design_of(answers: Sequence[Answer], lambdas_e4: Iterable[int], method: str = DEFAULT_METHOD) -> Design:
    """What was shown to how many, as far as the answers tell; `method` is how it was mixed."""
    first = Counter(answer.subject for answer in answers if not answer.repeat)
    repeats = Counter(answer.subject for answer in answers if answer.repeat)
    asked = Counter(answer.about for answer in answers if not answer.repeat)
    most = max(first.values(), default=1)
    return Design(
        n_mixed_images=max(len(asked), most),
        lambdas_e4=tuple(sorted(set(lambdas_e4))),
        trials_per_person=most,
        repeats=min(max(repeats.values(), default=0), most // 2),
        answers_per_unit=min(asked.values(), default=1),
        seed=0,
        method=method,
    )


def closed_study(plan: StudyPlan, actor: Actor) -> Study:
    """A closed study of imported answers, whose protocol says what was asked as far as that is known.

    Raises DataError saying why there cannot be such a study.
    """
    try:
        study = create_study(plan=plan, source=Source.IMPORTED, actor=actor)
    except Invalid as error:
        said = [f"{name}: {message}" for name, messages in error.fields.items() for message in messages]
        raise DataError(" ".join([error.message, *said])) from None
    now = timezone.now()
    study.state, study.closed_at = Study.State.CLOSED, now
    study.save(update_fields=["state", "closed_at"])
    Protocol.objects.filter(study=study).update(frozen_at=now)
    return study


def mixed_images(
    image_set: ImageSet, answers: Iterable[Answer], lambdas_e4: Sequence[int], method: str = DEFAULT_METHOD
) -> Mixed:
    """What the answers are about, in the order in which they first name it; of a pair, its mixed images at every λ."""
    recipes = dict.fromkeys(
        (*answer.parents, lambda_e4)
        for answer in answers
        for lambda_e4 in (lambdas_e4 if answer.lambda_e4 is None else (answer.lambda_e4,))
    )
    made = create_mixed_images(
        image_set=image_set, recipes=[Recipe(*recipe) for recipe in recipes], method=method
    )
    return dict(zip(recipes, made, strict=True))


def asked_in_unknown_words(study: Study) -> Condition:
    """The one way in which everybody was asked; its words are not published."""
    content = condition_content(settings_of(study.protocol.content), wording={})
    return Condition.objects.create(study=study, content=content, sha256=content_sha256(content))


def participations_of(study: Study, answers: Iterable[Answer]) -> dict[str, Participation]:
    """One completed participation for each subject, under the name that was published."""
    protocol = study.protocol
    subjects = list(dict.fromkeys(answer.subject for answer in answers))
    refuse_known(subjects)
    made = Participation.objects.bulk_create(
        [
            Participation(
                public_id=subject,
                study=study,
                protocol=protocol,
                source=Source.IMPORTED,
                state=Participation.State.COMPLETED,
                seed=0,
            )
            for subject in subjects
        ],
        batch_size=BATCH_SIZE,
    )
    return dict(zip(subjects, made, strict=True))


def refuse_known(subjects: Sequence[str]) -> None:
    """Raise Conflict where somebody of that name is here: these answers would come in twice."""
    for start in range(0, len(subjects), BATCH_SIZE):
        some = subjects[start : start + BATCH_SIZE]
        if known := Participation.objects.filter(public_id__in=some).select_related("study").first():
            raise Conflict(
                f"The participant {known.public_id} is here already, in study {known.study.slug!r}: the same answers "
                "are not imported twice. Nothing was changed."
            )


def write_answers(
    imported: Import,
    table: str,
    rows: Sequence[Row],
    *,
    participations: Mapping[str, Participation],
    conditions: Mapping[str, Condition],
    mixed: Mixed,
    progress: Progress,
) -> None:
    """Write trials, what they showed, answers, and every row as it was published beside what was read from it.

    It says how far it is, and stops when it should, after each `BATCH_SIZE` rows.
    """
    units = _make_units(imported.study, [row.answer for row in rows if row.answer is not None], mixed)
    shown = _shown(mixed)
    next_position: Counter[str] = Counter()
    for start in range(0, len(rows), BATCH_SIZE):
        progress.update(start, len(rows), f"{table}: answers")
        progress.check()
        some = rows[start : start + BATCH_SIZE]
        answers = {row.row: row.answer for row in some if row.answer is not None}
        trials = {}
        for row, answer in answers.items():
            unit = units[answer.about]
            trials[row] = (
                participations[answer.subject].pk,
                next_position[answer.subject] if answer.position is None else answer.position,
                str(Trial.Kind.REPEAT if answer.repeat else Trial.Kind.MAIN),
                unit.pair_id,
                unit.pk,
                conditions[answer.condition].pk,
                json.dumps(dict(answer.levels)),
                json.dumps(dict(answer.params)),
            )
            next_position[answer.subject] += 1
        made = insert_many(TRIALS, list(trials.values()), returning="participation_id, position, id")
        key_at = {(person, position): key for person, position, key in made}
        keys = {row: key_at[trial[:2]] for row, trial in trials.items()}
        images = [
            (keys[row], order, image)
            for row, answer in answers.items()
            for order, image in enumerate(shown[answer.about])
        ]
        insert_many(IMAGES, images)
        responses = {
            row: _response(imported, table, row, answer, trial_id=keys[row], position=trials[row][1])
            for row, answer in answers.items()
        }
        Response.objects.bulk_create(responses.values())
        keep_rows(imported, table, some, {row: response.pk for row, response in responses.items()})


def keep_rows(
    imported: Import, table: str, rows: Sequence[Row], responses: Mapping[int, uuid.UUID] | None = None
) -> None:
    """Keep rows as they were published; `responses` are the keys of those read from them, by row."""
    SourceRow.objects.bulk_create(
        [
            SourceRow(
                imported_by_id=imported.pk,
                table=table,
                row=row.row,
                values=row.values,
                response_id=(responses or {}).get(row.row),
            )
            for row in rows
        ],
        batch_size=BATCH_SIZE,
    )


def _make_units(
    study: Study, answers: Sequence[Answer], mixed: Mixed
) -> dict[tuple[int, int, int | None], Unit]:
    """One batch for each published one, and one unit for each thing asked about, in the batch that showed it first."""
    batch_of = {answer.about: answer.batch for answer in reversed(answers)}  # the first answer to each wins
    pairs = {image[:2]: one.pair_id for image, one in mixed.items()}
    abouts = dict.fromkeys(answer.about for answer in answers)
    by_batch = sorted(abouts, key=lambda about: (len(batch_of[about]), batch_of[about]))
    units = []
    for ordinal, (_, some) in enumerate(groupby(by_batch, key=batch_of.__getitem__)):
        batch = Batch.objects.create(study=study, ordinal=ordinal)
        units += [
            Unit(
                batch_id=batch.pk,
                ordinal=place,
                pair_id=pairs[first, second],
                mixed_image_id=None if lambda_e4 is None else mixed[first, second, lambda_e4].pk,
            )
            for place, (first, second, lambda_e4) in enumerate(some)
        ]
    Unit.objects.bulk_create(units, batch_size=BATCH_SIZE)
    return dict(zip(by_batch, units, strict=True))


def _shown(mixed: Mixed) -> dict[tuple[int, int, int | None], list[int]]:
    """The keys of what a trial about each mixed image and each pair showed; of a pair, from λ = 0 upwards."""
    shown: dict[tuple[int, int, int | None], list[int]] = {}
    for (first, second, lambda_e4), image in sorted(mixed.items()):
        shown[first, second, lambda_e4] = [image.pk]
        shown.setdefault((first, second, None), []).append(image.pk)
    return shown


def _response(
    imported: Import, table: str, row: int, answer: Answer, *, trial_id: int, position: int
) -> Response:
    payload: dict[str, Any] = dict(answer.payload)
    digest = hashlib.sha256(json.dumps([position, payload], sort_keys=True).encode()).hexdigest()
    return Response(
        id=uuid.uuid5(uuid.NAMESPACE_URL, f"hilmix:import:{imported.study.slug}:{table}:{row}"),
        trial_id=trial_id,
        payload=payload,
        payload_sha256=digest,
        rt_ms=answer.rt_ms,
        trial_index=answer.trial_index,
        time_elapsed_ms=answer.time_elapsed_ms,
        attempt=answer.attempt,
    )
