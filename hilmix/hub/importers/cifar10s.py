"""Imports CIFAR-10S: soft labels that people gave to plain CIFAR-10 images (Collins et al., HCOMP 2022).

The file is JSON: position of the image in the CIFAR-10 test split → `elicited`, what each person said of it (most
probable class and percent, second class and percent or "No", impossible classes), and optionally the published labels,
which are checked against the recipe `t2_clamp`. Who said what is not published: every answer counts as another person.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from django.db import transaction

from elicitation.images.models import ImageSet
from elicitation.interfaces import categorical
from elicitation.interfaces.base import Asked
from elicitation.studies.models import Study
from elicitation.studies.services import StudyPlan
from elicitation.trials.flags import store_measures
from hilmix.accounts import audit
from hilmix.accounts.roles import Actor, user_or_none
from hilmix.core import judgements
from hilmix.core.errors import DataError
from hilmix.core.judgements import Unit
from hilmix.core.softlabels import individual_labels
from hilmix.hub.importers.hmix_tables import CHOSEN_AND_EXCLUDED, CHOSEN_TWICE, OVER_100
from hilmix.hub.importers.report import Flaw, ImportReport, Problems, TableReport, Wrong
from hilmix.hub.importers.rows import Answer, Images, Row, read_json
from hilmix.hub.importers.writing import (
    asked_in_unknown_words,
    closed_study,
    design_of,
    keep_rows,
    mixed_images,
    participations_of,
    refuse_import,
    write_answers,
)
from hilmix.hub.models import Import
from hilmix.jobs.progress import Progress

KIND = "cifar10s"
TABLE = "cifar10s"
PUBLISHED = "published_labels"  # the table of source rows that keeps them
LABELS = "t2_clamp_gamma_0.1"
ORIGIN = "Collins, Bhatt, Weller: Eliciting and Learning with Soft Labels from Every Annotator, HCOMP 2022"
UNKNOWN_PEOPLE = (
    "Who gave which answer is not published: every answer counts as another participant. Nor are the words and the "
    "perspective of the question; it is taken as “what do you see”."
)
SECOND_MORE = "the second class has more than the most probable one"
FRACTION = "a percent is no whole number"
NOT_AS_PUBLISHED = "the published labels of image {} are not those that t2_clamp makes of its answers"
TOLERANCE = 1e-9
WHOLE = 10_000  # λ of an image alone, in ten-thousandths

MOST, PERCENT = "Most Probable Class", "Most Probable Class Prob"
SECOND, SECOND_PERCENT = "Second Most Probable Class", "Second Most Probable Class Prob"
IMPOSSIBLE = "Impossible Class(es)"
NOBODY = "No"  # what stands for no second class


def import_cifar10s(
    *,
    file: Path,
    image_set: ImageSet,
    actor: Actor,
    slug: str = "cifar10s",
    dry_run: bool = False,
    licence: str = "",
    progress: Progress | None = None,
) -> ImportReport:
    """Import `file` as the closed study `slug`. A dry run does all of it and takes it back.

    Raises:
        Conflict: there is a study of that name, or these answers were imported already.
        Refused: answers cannot be understood or do not fit the image set; all of them are named.
        DataError: it is no such file.
    """
    refuse_import(slugs=[slug], licence=licence, actor=actor)
    progress = progress or Progress()
    progress.update(0, 1, "checking")
    content = _read(file)
    problems = Problems()
    images = Images(image_set.open())
    rows = list(_rows(content, images, problems, progress))
    problems.refuse()
    labels = [
        Row(number, {"image": image, LABELS: said[LABELS]})
        for number, (image, said) in enumerate(content.items())
        if LABELS in said
    ]
    flaws = [Flaw(table=TABLE, row=row.row, flaw=flaw) for row in rows for flaw in row.flaws]
    flaws += _differences(content, rows, labels, images.classes)
    with transaction.atomic():
        study, n_images = _write(rows, labels, flaws, image_set, slug, licence, actor, progress)
        counts = {"participants": len(rows), "responses": len(rows), "mixed_images": n_images}
        audit.record(actor, "study.imported", study, kind=KIND, flaws=len(flaws), **counts)
        transaction.set_rollback(dry_run)
    progress.update(1, 1, "done")
    table = TableReport(slug, len(rows) + len(labels), flaws=flaws, **counts)
    return ImportReport(KIND, dry_run, {TABLE: table}, [study], n_images, [UNKNOWN_PEOPLE])


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        content = read_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path.name} is not readable as JSON ({error}).") from None
    shaped = isinstance(content, dict) and all(
        isinstance(said, dict) and isinstance(said.get("elicited"), list) for said in content.values()
    )
    if not shaped or not any(said["elicited"] for said in content.values()):
        raise DataError(f"{path.name} does not say of each image what was “elicited” about it.")
    return dict(content)


def _rows(
    content: Mapping[str, Any], images: Images, problems: Problems, progress: Progress
) -> Iterator[Row]:
    """Every answer as a row, numbered through the file; what cannot be understood goes to `problems`."""
    # Nobody's name is known. These are the same whenever the same answers are imported, so that they are found out.
    said_at_all = json.dumps({image: said["elicited"] for image, said in content.items()}, sort_keys=True)
    digest = hashlib.sha256(said_at_all.encode()).hexdigest()
    number = -1
    for image, said in content.items():
        progress.check()
        for place, one in enumerate(said["elicited"]):
            number += 1
            try:
                payload = _payload(one, images)
                index = _index(image, images)
            except Wrong as wrong:
                where = f"answer {place} to image {image}: {wrong.problem}"
                problems.add(TABLE, number, Wrong(wrong.column, where))
                continue
            name = hashlib.sha256(f"{digest}:{image}:{place}".encode()).hexdigest()[:14]
            answer = Answer(subject=f"a{name}", parents=(index, index), lambda_e4=WHOLE, payload=payload)
            yield Row(number, {"image": image, "elicited": one}, answer, tuple(_flaws(payload)))


def _index(image: str, images: Images) -> int:
    if re.fullmatch("0|[1-9][0-9]{0,8}", image) is None:  # so that no image has two names
        raise Wrong("image", f"{image!r} is no position of an image.")
    images.check_parent("image", int(image), None)
    return int(image)


def _payload(said: Any, images: Images) -> dict[str, Any]:
    """The answer as the interface `categorical` has it."""
    if not isinstance(said, dict):
        raise Wrong("elicited", f"{said!r} is no answer.")
    if missing := [name for name in (MOST, PERCENT, SECOND, SECOND_PERCENT, IMPOSSIBLE) if name not in said]:
        raise Wrong(missing[0], f"{missing[0]} is missing.")
    has_second = said[SECOND] != NOBODY
    if not isinstance(said[IMPOSSIBLE], list):
        raise Wrong(IMPOSSIBLE, f"{IMPOSSIBLE} is {said[IMPOSSIBLE]!r}, not a list of classes.")
    excluded = {_class(IMPOSSIBLE, name, images) for name in said[IMPOSSIBLE]}
    return {
        "most_probable": _class(MOST, said[MOST], images),
        "percent": _percent(PERCENT, said[PERCENT]),
        "second": _class(SECOND, said[SECOND], images) if has_second else None,
        "second_percent": _percent(SECOND_PERCENT, said[SECOND_PERCENT]) if has_second else None,
        "excluded": sorted(excluded),
    }


def _class(column: str, name: Any, images: Images) -> int:
    return images.class_index(column, name if isinstance(name, str) else repr(name))


def _percent(column: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise Wrong(column, f"{column} is {value!r}, not a number from 0 to 100.")
    return int(value) if float(value).is_integer() else value


def _flaws(payload: Mapping[str, Any]) -> Iterator[str]:
    percents = payload["percent"], payload["second_percent"] or 0
    if sum(percents) > 100:
        yield OVER_100
    if percents[1] > percents[0]:
        yield SECOND_MORE
    if payload["most_probable"] == payload["second"]:
        yield CHOSEN_TWICE
    if {payload["most_probable"], payload["second"]} & set(payload["excluded"]):
        yield CHOSEN_AND_EXCLUDED
    if any(percent != int(percent) for percent in percents):
        yield FRACTION


# --- the published labels


def _differences(
    content: Mapping[str, Any], rows: Sequence[Row], labels: Sequence[Row], classes: Sequence[str]
) -> Iterator[Flaw]:
    """The images whose published labels are not, in some order, what `t2_clamp` makes of the answers."""
    made = _made(content, rows, classes)
    for row in labels:
        image, published = row.values["image"], row.values[LABELS]
        if not _alike(made[image], published):
            yield Flaw(table=PUBLISHED, row=row.row, flaw=NOT_AS_PUBLISHED.format(image))


def _made(
    content: Mapping[str, Any], rows: Sequence[Row], classes: Sequence[str]
) -> dict[str, list[np.ndarray]]:
    """The label of every answer, by image."""
    asked = Asked(tuple(classes), 0, 0)  # nothing of it decides what such an answer says
    said: dict[str, list[judgements.Answer]] = {image: [] for image in content}
    for row in rows:
        assert row.answer is not None
        judged = categorical.judgement(dict(row.answer.payload), asked)
        said[row.values["image"]].append(judgements.Answer(row.answer.subject, judged))
    units = [Unit(image, WHOLE, 0, 0, tuple(answers)) for image, answers in said.items()]
    made: dict[str, list[np.ndarray]] = {image: [] for image in content}
    for label in individual_labels("t2_clamp", units, len(classes)):
        made[label.key].append(label.probabilities)
    return made


def _alike(made: list[np.ndarray], published: Any) -> bool:
    try:
        other = np.array(published, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    if other.shape != (len(made), len(made[0]) if made else 0):
        return False
    left = list(other)
    for label in made:  # each published label answers for one of ours
        near = [place for place, one in enumerate(left) if np.abs(one - label).max() <= TOLERANCE]
        if not near:
            return False
        left.pop(near[0])
    return True


# --- writing


def _write(
    rows: Sequence[Row],
    labels: Sequence[Row],
    flaws: list[Flaw],
    image_set: ImageSet,
    slug: str,
    licence: str,
    actor: Actor,
    progress: Progress,
) -> tuple[Study, int]:
    """The study, and how many images it is about."""
    answers = [row.answer for row in rows if row.answer is not None]
    plan = StudyPlan(
        slug=slug,
        title="CIFAR-10S: soft labels of plain images (published answers)",
        image_set=image_set,
        interface="categorical",
        design=design_of(answers, (WHOLE,)),
        perspective="you",
        texts={"origin": f"Asked as in CIFAR-10S ({ORIGIN}). {UNKNOWN_PEOPLE}"},
    )
    study = closed_study(plan, actor)
    imported = Import.objects.create(
        study=study, kind=KIND, licence=licence, origin=ORIGIN, flaws=flaws, created_by=user_or_none(actor)
    )
    mixed = mixed_images(image_set, answers, (WHOLE,))
    write_answers(
        imported,
        TABLE,
        rows,
        participations=participations_of(study, answers),
        conditions={"": asked_in_unknown_words(study)},
        mixed=mixed,
        progress=progress,
    )
    keep_rows(imported, PUBLISHED, labels)
    store_measures(study)
    return study, len(mixed)
