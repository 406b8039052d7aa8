"""Imports a release, of this instance or another: its answers become a closed study of imported answers.

What a release does not hold cannot come back: texts, times of day, answers to attention checks. Answers, conditions,
levels, measures and rules do, so a release made of the study has the same answers and labels. Answers of simulated
participants stay simulated: they become a study that says so everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone

from elicitation.images.models import ImageSet
from elicitation.participants.models import Participation
from elicitation.studies.models import Condition, Protocol, Slot, Source, Study
from elicitation.studies.protocol import content_sha256
from elicitation.studies.services import StudyPlan
from elicitation.trials.flags import store_measures
from hilmix.accounts import audit
from hilmix.accounts.roles import Actor, user_or_none
from hilmix.core.errors import DataError
from hilmix.core.mixing import DEFAULT_METHOD
from hilmix.core.release import Release
from hilmix.hub.importers.release_answers import TABLE, Answers
from hilmix.hub.importers.release_reading import Cells, Facts, People, Person, Pictures, each, opened
from hilmix.hub.importers.release_ways import Way, Ways, protocols_met, ways_of_protocols
from hilmix.hub.importers.report import ImportReport, Problems, TableReport, Wrong
from hilmix.hub.importers.rows import Answer, Row
from hilmix.hub.importers.writing import (
    BATCH_SIZE,
    Mixed,
    asked_in_unknown_words,
    closed_study,
    design_of,
    mixed_images,
    refuse_import,
    refuse_known,
    write_answers,
)
from hilmix.hub.models import Import
from hilmix.hub.models import Release as FrozenRelease
from hilmix.jobs.progress import Progress

T = TypeVar("T")

KIND = "release"
LEFT_OUT = "Texts, times of day, answers to attention checks, trials without an answer and free text do not come back."


@dataclass(frozen=True)
class Content:
    """All that is stored of a release; every row of it was checked."""

    facts: Facts
    pictures: Sequence[Cells]
    conditions: Mapping[str, Way]
    people: Mapping[str, Person]
    rows: Sequence[Row]


def import_release(
    *,
    directory: Path,
    slug: str,
    image_set: ImageSet,
    actor: Actor,
    dry_run: bool = False,
    licence: str = "",
    progress: Progress | None = None,
) -> ImportReport:
    """Import the release in `directory`, of any format, as the closed study `slug`. A dry run takes all of it back.

    Args:
        licence: of the answers, where the release states none.

    Raises:
        Conflict: there is a study of that name, or its people are here already.
        Refused: rows cannot be understood or do not fit the image set; all of them are named.
        DataError: it is no whole release, or the image set is another one.
    """
    refuse_import(slugs=[slug], licence=licence, actor=actor)
    progress = progress or Progress()
    progress.update(0, 1, "checking")
    release, facts = opened(directory)
    content = _read(release, facts, image_set, progress)
    people = content.people.values()
    with transaction.atomic():
        study = _study(content, slug, image_set, actor)
        imported = Import.objects.create(
            study=study,
            kind=KIND,
            licence=facts.licence or licence,
            origin=facts.origin[:300],
            created_by=user_or_none(actor),
        )
        participations = _participations(facts, study, people)
        write_answers(
            imported,
            TABLE,
            content.rows,
            participations=participations,
            conditions=_conditions(content, study),
            mixed=_mixed(content.pictures, image_set),
            progress=progress,
        )
        if study.source == Source.SIMULATED:
            _fill_places(study, people, participations)
        store_measures(study)  # of whom the release does not say how they answered
        n = len(content.rows)
        counts = {"participants": len(people), "responses": n, "mixed_images": len(content.pictures)}
        audit.record(actor, "study.imported", study, kind=KIND, sha256=release.sha256, **counts)
        transaction.set_rollback(dry_run)
    progress.update(n, n, "done")
    table = TableReport(slug, n, len(people), n, len(content.pictures))
    notes = [LEFT_OUT, *_made_here(release)]
    return ImportReport(KIND, dry_run, {TABLE: table}, [study], len(content.pictures), notes)


def _made_here(release: Release) -> list[str]:
    """That the release comes back to the instance that made it, if so."""
    own = FrozenRelease.objects.filter(sha256=release.sha256).select_related("study").first()
    if own is None:
        return []
    return [f"{own.name} was made here: it comes in as a copy of {own.study.slug!r}, “{own.study.title}”."]


# --- does it fit the image set, and itself


def _read(release: Release, facts: Facts, image_set: ImageSet, progress: Progress) -> Content:
    """Everything that the release holds. Raises Refused naming every row that cannot be."""
    _check_classes(release, image_set)
    n_classes, problems = len(release.classes), Problems()

    def rows_of(table: str, read: Callable[[Cells], T]) -> list[tuple[int, T]]:
        return list(each(release, table, read, problems, progress))

    pictures = [one for _row, one in rows_of("mixed_images", Pictures(image_set.open()).read)]
    people = {one.name: one for _row, one in rows_of("participants", People(facts, n_classes).read)}
    conditions = {"": Way.of_format_1()}
    if release.format > 1:
        ways = Ways(n_classes, n_lambdas=len({one["lambda_e4"] for one in pictures}))
        conditions = dict(way for _row, way in rows_of("conditions", ways.read))
    problems.refuse()  # answers are read against these
    answers = Answers(facts, release.classes, pictures, conditions, people)
    rows = [Row(row, published, answer) for row, (published, answer) in rows_of(TABLE, answers.read)]
    problems.refuse()
    return Content(facts, pictures, conditions, people, rows)


def _check_classes(release: Release, image_set: ImageSet) -> None:
    if [name.casefold() for name in release.classes] != [name.casefold() for name in image_set.classes]:
        raise DataError(
            f"The release is about the classes {', '.join(release.classes)}; image set {image_set.name!r} has "
            f"{', '.join(image_set.classes)}. Choose the image set that it was made of."
        )


def _mixed(pictures: Sequence[Cells], image_set: ImageSet) -> Mixed:
    """The mixed images, made of the image set's own pixels, which must be those that people were shown."""
    mixed: dict[tuple[int, int, int], Any] = {}
    for method in dict.fromkeys(row["method"] for row in pictures):
        about = [
            Answer(
                subject="",
                parents=(row["first_index"], row["second_index"]),
                lambda_e4=row["lambda_e4"],
                payload={},
            )
            for row in pictures
            if row["method"] == method
        ]
        mixed |= mixed_images(image_set, about, (), method)
    problems = Problems()
    for number, row in enumerate(pictures):
        image = mixed[row["first_index"], row["second_index"], row["lambda_e4"]]
        if image.sha256 != row["sha256"]:
            other = (
                f"image set {image_set.name!r} mixes to other pixels than people were shown ({row['key']})."
            )
            problems.add("mixed_images", number, Wrong("sha256", other))
    problems.refuse()
    return mixed


# --- how was asked


def _conditions(content: Content, study: Study) -> dict[str, Condition]:
    """How was asked, by the name in the release; format 1 does not say it."""
    if "" in content.conditions:
        return {"": asked_in_unknown_words(study)}
    return {
        name: Condition.objects.create(study=study, content=way.content, sha256=content_sha256(way.content))
        for name, way in content.conditions.items()
    }


def _study(content: Content, slug: str, image_set: ImageSet, actor: Actor) -> Study:
    """The closed study, with a version of its protocol for each that people met."""
    facts = content.facts
    ways = ways_of_protocols(facts, content.conditions, content.people, content.rows)
    newest = list(ways.values())[-1]
    simulated = facts.source == Source.SIMULATED
    answers = [row.answer for row in content.rows if row.answer is not None]
    methods = {one["method"] for one in content.pictures}
    plan = StudyPlan(
        slug=slug,
        title=facts.title,
        image_set=image_set,
        interface=newest.interface,
        options=newest.options,
        design=design_of(
            answers,
            (one["lambda_e4"] for one in content.pictures),
            methods.pop() if len(methods) == 1 else DEFAULT_METHOD,  # a design has one
        ),
        perspective=newest.perspective,
        language=newest.language,
        bonus=newest.bonus,
        display=newest.display,
        rules=facts.rules,
        texts=None if simulated else {"origin": f"Imported from {facts.origin}, which holds no texts."},
    )
    study = closed_study(plan, actor)
    if simulated:
        study.source = Source.SIMULATED
        study.save(update_fields=["source"])
    last = study.protocol
    for version, way in enumerate(ways.values(), start=1):
        said = last.content | {
            "interface": {"name": way.interface, "version": way.version, "options": dict(way.options)},
            "language": way.language,
            "perspective": way.perspective,
            "bonus": way.bonus,
            "display": asdict(way.display),
            "factors": json.loads(json.dumps([asdict(factor) for factor in way.factors])),
        }
        stored = {"content": said, "sha256": content_sha256(said), "frozen_at": timezone.now()}
        Protocol.objects.update_or_create(study=study, version=version, defaults=stored)
    return study


# --- people


def _participations(facts: Facts, study: Study, people: Collection[Person]) -> dict[str, Participation]:
    """Everybody of the release, under the pseudonym that they have there."""
    refuse_known([person.name for person in people])
    versions = study.protocols.order_by("version")
    protocols = dict(zip(protocols_met(facts.protocol_sha256, people), versions, strict=True))
    now = timezone.now()
    made = Participation.objects.bulk_create(
        [
            Participation(
                public_id=person.name,
                study=study,
                protocol=protocols[person.protocol_sha256],
                source=study.source,
                state=Participation.State.COMPLETED,
                seed=0,
                levels=person.levels,
                drawn=person.drawn,
                survey=person.survey,
                measures=person.measures,
                invalid_at=now if person.invalid else None,
                invalid_reason="marked so where it was released" if person.invalid else "",
            )
            for person in people
        ],
        batch_size=BATCH_SIZE,
    )
    return {one.public_id: one for one in made}


def _fill_places(
    study: Study, people: Collection[Person], participations: Mapping[str, Participation]
) -> None:
    """A place for each simulated participant who had one: whoever has none is one too many."""
    batch = study.batches.latest("ordinal")
    seated = [participations[person.name] for person in people if not person.over_quota]
    places = [
        Slot(batch=batch, ordinal=place, state=Slot.State.FILLED) for place, _person in enumerate(seated)
    ]
    for person, slot in zip(seated, Slot.objects.bulk_create(places, batch_size=BATCH_SIZE), strict=True):
        person.slot = slot
    Participation.objects.bulk_update(seated, ["slot"], batch_size=BATCH_SIZE)
