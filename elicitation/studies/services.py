"""What happens to studies: they are created with a protocol, opened with a plan of slots, paused and closed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction
from django.utils import timezone

from elicitation.images.models import ImageSet
from elicitation.interfaces import interface_named
from elicitation.mixes.design import draw_design
from elicitation.mixes.models import MixedImage
from elicitation.mixes.services import create_mixed_images
from elicitation.studies.models import Batch, Protocol, Slot, Source, Study, Unit
from elicitation.studies.texts import default_texts
from hilmix.accounts import audit
from hilmix.accounts.models import Membership
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.errors import Conflict, Invalid


@dataclass(frozen=True)
class Design:
    """What is shown to how many: the numbers a researcher chooses.

    `seed` decides which parents are mixed; `answers_per_unit` is how many people answer each mixed image.
    """

    n_mixed_images: int = 60
    lambdas_e4: tuple[int, ...] = (1000, 2500, 5000, 7500, 9000)
    trials_per_person: int = 30
    repeats: int = 2
    answers_per_unit: int = 9
    seed: int = 1
    same_class: bool = False
    lease_minutes: int = 60

    def check(self) -> None:
        """Raise Invalid, naming the field, where the numbers do not fit together."""
        problems: dict[str, list[str]] = {}
        if not 1 <= self.n_mixed_images <= 100_000:
            problems["n_mixed_images"] = ["Between 1 and 100,000."]
        if not 1 <= self.trials_per_person <= min(self.n_mixed_images, 500):
            problems["trials_per_person"] = ["At least 1, and at most the number of mixed images or 500."]
        if not 0 <= self.repeats <= self.trials_per_person // 2:
            problems["repeats"] = ["Between 0 and half the trials a person answers."]
        if not 1 <= self.answers_per_unit <= 1000:
            problems["answers_per_unit"] = ["Between 1 and 1,000."]
        if not self.lambdas_e4 or not all(0 <= value <= 10_000 for value in self.lambdas_e4):
            problems["lambdas"] = ["At least one value, each from 0 to 1."]
        if len(set(self.lambdas_e4)) != len(self.lambdas_e4):
            problems["lambdas"] = ["A value is there twice."]
        if not 0 <= self.seed < 2**32:
            problems["seed"] = ["A whole number from 0 to 4,294,967,295."]
        if not 5 <= self.lease_minutes <= 24 * 60:
            problems["lease_minutes"] = ["Between 5 minutes and a day."]
        if problems:
            raise Invalid("The design does not fit together.", fields=problems)


@dataclass(frozen=True)
class StudyPlan:
    """Everything of a new study that its protocol will hold."""

    slug: str
    title: str
    image_set: ImageSet
    interface: str = "infer"
    design: Design = field(default_factory=Design)
    perspective: str = "you"  # or "100 others": whose view the question asks for
    enlargement: int | None = None  # whole multiple of the native size; None lets the window decide
    max_comprehension_rounds: int = 5
    texts: Mapping[str, Any] | None = None


def create_study(*, plan: StudyPlan, source: str = Source.PERSON, actor: Actor) -> Study:
    """Create a draft; its creator becomes its owner.

    Raises:
        Invalid: with messages per field, where the plan cannot be carried out.
    """
    require(actor, Action.CREATE_STUDY)
    _check_plan(plan)
    interface = interface_named(plan.interface)
    content = {
        "interface": {"name": interface.NAME, "version": interface.VERSION},
        "image_set": {"name": plan.image_set.name, "sha256": plan.image_set.sha256},
        "design": asdict(plan.design),
        "perspective": plan.perspective,
        "display": {"enlargement": plan.enlargement},
        "max_comprehension_rounds": plan.max_comprehension_rounds,
        "texts": dict(plan.texts or default_texts(plan.title)),
    }
    with transaction.atomic():
        study = Study.objects.create(
            slug=plan.slug,
            title=plan.title,
            image_set=plan.image_set,
            source=source,
            created_by=user_or_none(actor),
        )
        Protocol.objects.create(study=study, content=content, sha256=protocol_sha256(content))
        if creator := user_or_none(actor):
            Membership.objects.create(user=creator, study=study, part=Membership.Part.OWNER)
        audit.record(actor, "study.created", study, slug=study.slug)
    return study


def protocol_sha256(content: Mapping[str, Any]) -> str:
    """The hash of a protocol's content, independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def open_study(*, study: Study, actor: Actor) -> None:
    """Draw the design, make batches and slots, freeze the protocol, and let people in. Opens a paused study again.

    Raises:
        Conflict: the study is open or closed.
        DataError, Invalid: the image set cannot carry the design.
    """
    require(actor, Action.OPEN_STUDY, study.pk)
    if study.state == Study.State.PAUSED:
        _move(study, Study.State.PAUSED, Study.State.OPEN, actor)
        return
    if study.state != Study.State.DRAFT:
        raise Conflict(
            f"“{study.title}” is {study.get_state_display()}; only a draft or paused study can be opened."
        )
    design = design_of(study.protocol)
    opened = study.image_set.open()
    recipes = draw_design(
        labels=opened.labels,
        indices=opened.splits.get("train", ()),
        lambdas_e4=design.lambdas_e4,
        n=design.n_mixed_images,
        seed=design.seed,
        same_class=design.same_class,
    )
    with transaction.atomic():
        _move(study, Study.State.DRAFT, Study.State.OPEN, actor)
        mixed_images = create_mixed_images(image_set=study.image_set, recipes=recipes)
        _make_batches(study, mixed_images, design)
        Protocol.objects.filter(pk=study.protocol.pk).update(frozen_at=timezone.now())


def pause_study(*, study: Study, actor: Actor) -> None:
    """Let nobody new in; whoever has begun may finish."""
    require(actor, Action.OPEN_STUDY, study.pk)
    _move(study, Study.State.OPEN, Study.State.PAUSED, actor)


def close_study(*, study: Study, actor: Actor) -> None:
    """End the study: nobody new, and no further answers."""
    require(actor, Action.OPEN_STUDY, study.pk)
    if study.state not in (Study.State.OPEN, Study.State.PAUSED):
        raise Conflict(f"“{study.title}” is {study.get_state_display()}; it cannot be closed.")
    _move(study, study.state, Study.State.CLOSED, actor)


def design_of(protocol: Protocol) -> Design:
    """The design as its dataclass."""
    stored = dict(protocol.content["design"])
    return replace(Design(), **{**stored, "lambdas_e4": tuple(stored["lambdas_e4"])})


def _check_plan(plan: StudyPlan) -> None:
    problems: dict[str, list[str]] = {}
    try:
        validate_slug(plan.slug)
    except ValidationError:
        problems["slug"] = ["Letters, digits, hyphens and underscores only: it becomes the link."]
    if Study.objects.filter(slug=plan.slug).exists():
        problems["slug"] = [f"There is a study at /s/{plan.slug}/ already."]
    if not plan.title.strip():
        problems["title"] = ["A title is needed: participants see it."]
    if plan.perspective not in ("you", "100 others"):
        problems["perspective"] = ["Either 'you' or '100 others'."]
    if plan.enlargement is not None and not 1 <= plan.enlargement <= 64:
        problems["enlargement"] = ["A whole number from 1 to 64, or empty."]
    try:
        plan.design.check()
    except Invalid as error:
        problems.update(error.fields)
    if problems:
        raise Invalid("The study was not created.", fields=problems)
    interface_named(plan.interface)


def _make_batches(study: Study, mixed_images: Sequence[MixedImage], design: Design) -> None:
    """Deal the mixed images into batches of `trials_per_person`; the last batch wraps round to be full as well."""
    n, size = len(mixed_images), design.trials_per_person
    for ordinal in range(-(-n // size)):
        batch = Batch.objects.create(study=study, ordinal=ordinal)
        members = [mixed_images[(ordinal * size + place) % n] for place in range(size)]
        Unit.objects.bulk_create(
            Unit(batch=batch, ordinal=place, pair=member.pair, mixed_image=member)
            for place, member in enumerate(members)
        )
        Slot.objects.bulk_create(Slot(batch=batch, ordinal=place) for place in range(design.answers_per_unit))


def _move(study: Study, before: str, after: str, actor: Actor) -> None:
    """Change the state if it is still `before`, so that of two people who press a button one is told."""
    now = timezone.now()
    changes: dict[str, Any] = {"state": after}
    if after == Study.State.CLOSED:
        changes["closed_at"] = now
    elif before == Study.State.DRAFT:
        changes["opened_at"] = now
    if not Study.objects.filter(pk=study.pk, state=before).update(**changes):
        study.refresh_from_db()
        raise Conflict(f"“{study.title}” is {study.get_state_display()} already; nothing was changed.")
    study.refresh_from_db()
    audit.record(actor, f"study.{after}", study)
