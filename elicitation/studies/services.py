"""What happens to studies: they are created with a protocol, opened with a plan of slots, paused and closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings as project
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext

from elicitation.images.models import ImageSet
from elicitation.interfaces import INTERFACES, interface_named
from elicitation.interfaces.base import Interface
from elicitation.studies.factors import Factor, factor_problems
from elicitation.studies.hypotheses import Hypothesis, hypothesis_problems
from elicitation.studies.material import (
    check_images,
    draw_example_images,
)
from elicitation.studies.models import Protocol, Source, Study
from elicitation.studies.payment import Payment, Stop
from elicitation.studies.protocol import (
    DEFAULT_TIMING_REASON,
    PERSPECTIVES,
    Design,
    Display,
    Flow,
    Problems,
    Settings,
    content_sha256,
    settings_of,
)
from elicitation.studies.rules import Rule, default_rules, rule_problems
from elicitation.studies.text_checks import check_texts
from elicitation.studies.texts import default_texts, missing_information, texts_of
from hilmix.accounts import audit
from hilmix.accounts.models import Membership
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.errors import Conflict, Invalid


@dataclass(frozen=True)
class StudyPlan:
    """Everything of a new study that its protocol will hold. The fields are those of `Settings`.

    `texts` are the defaults of the interface in `language` where they are None; `information` is what people must be
    told before they consent (texts.py), and replaces that of `texts`.
    """

    slug: str
    title: str
    image_set: ImageSet
    interface: str = "infer"
    options: Mapping[str, Any] = field(default_factory=dict)
    design: Design = field(default_factory=Design)
    perspective: str = "you"
    language: str = "en-gb"
    bonus: str = ""
    timing_reason: str = DEFAULT_TIMING_REASON
    display: Display = field(default_factory=Display)
    flow: Flow = field(default_factory=Flow)
    factors: tuple[Factor, ...] = ()
    rules: tuple[Rule, ...] = field(default_factory=default_rules)
    hypotheses: tuple[Hypothesis, ...] = ()
    payment: Payment = field(default_factory=Payment)
    stop: Stop = field(default_factory=Stop)
    texts: Mapping[str, Any] | None = None
    information: Mapping[str, str] | None = None


def create_study(*, plan: StudyPlan, source: str = Source.PERSON, actor: Actor) -> Study:
    """Create a draft; its creator becomes its owner.

    Raises:
        Invalid: with messages per field, where the plan cannot be carried out.
    """
    require(actor, Action.CREATE_STUDY)
    imported = source == Source.IMPORTED  # what others asked is taken as it was
    _check_plan(plan, imported)
    interface = interface_named(plan.interface)
    settings = _settings(plan, interface, imported)
    content = {
        **settings.as_content(),
        "image_set": {"name": plan.image_set.name, "sha256": plan.image_set.sha256},
        "texts": _texts(plan, interface, imported),
    }
    with transaction.atomic():
        study = Study.objects.create(
            slug=plan.slug,
            title=plan.title,
            image_set=plan.image_set,
            source=source,
            created_by=user_or_none(actor),
        )
        Protocol.objects.create(study=study, content=content, sha256=content_sha256(content))
        if creator := user_or_none(actor):
            Membership.objects.create(user=creator, study=study, part=Membership.Part.OWNER)
        audit.record(actor, "study.created", study, slug=study.slug)
    return study


def change_texts(
    *, study: Study, texts: Mapping[str, Any], actor: Actor, based_on: int | None = None
) -> Protocol:
    """Make a version of the protocol with other `texts`; it is in force for whoever joins from then on.

    Texts that are the same as before change nothing. `based_on` is the version that was read before changing it, where
    somebody else may have made another one meanwhile. Returns the version in force.

    Raises:
        Conflict: the study is closed, or `based_on` is no longer in force.
        Invalid: with messages per text, where a participant could not be shown it, or where an open study would no
            longer say what people must be told.
    """
    require(actor, Action.EDIT_STUDY, study.pk)
    with transaction.atomic():
        current = Study.objects.select_for_update().get(pk=study.pk)
        if current.state == Study.State.CLOSED:
            raise Conflict(f"“{study.title}” is closed; its texts stay as they were.")
        before = current.protocol
        if based_on not in (None, before.version):
            raise Conflict("Somebody else saved these texts meanwhile. Open the page again to see theirs.")
        content = {**before.content, "texts": dict(texts)}
        check_texts(texts, interface_named(settings_of(content).interface))
        opened = current.state != Study.State.DRAFT
        if opened:
            refuse_uninformed(current, content)
        sha256 = content_sha256(content)
        if sha256 == before.sha256:
            return before
        protocol = Protocol.objects.create(
            study=current,
            version=before.version + 1,
            content=content,
            sha256=sha256,
            frozen_at=timezone.now() if opened else None,
        )
        audit.record(actor, "study.texts_changed", study, version=protocol.version)
    return protocol


def _check_plan(plan: StudyPlan, imported: bool) -> None:
    problems: Problems = {}
    try:
        validate_slug(plan.slug)
    except ValidationError:
        problems["slug"] = ["Letters, digits, hyphens and underscores only: it becomes the link."]
    if Study.objects.filter(slug=plan.slug).exists():
        problems["slug"] = [f"There is a study at /s/{plan.slug}/ already."]
    if not plan.title.strip():
        problems["title"] = ["A title is needed: participants see it."]
    if plan.perspective not in PERSPECTIVES:
        problems["perspective"] = ["Either 'you' or '100 others'."]
    if plan.language not in dict(project.LANGUAGES):
        problems["language"] = [f"One of {', '.join(dict(project.LANGUAGES))}."]
    for name in ("bonus", "timing_reason"):
        if len(getattr(plan, name)) > 2000:
            problems[name] = ["At most 2,000 characters."]
    problems |= plan.design.problems() or ({} if imported else plan.design.order_problems())
    problems |= plan.display.problems() | plan.flow.problems() | plan.stop.problems()
    problems |= factor_problems(plan.factors) | rule_problems(plan.rules)
    problems |= hypothesis_problems(plan.hypotheses, plan.factors, plan.design.lambdas_e4)
    problems |= plan.payment.problems(perspective=plan.perspective, bonus_text=plan.bonus)
    if plan.interface in INTERFACES:
        problems |= _interface_problems(plan, INTERFACES[plan.interface])
    else:
        problems["interface"] = [f"One of {', '.join(sorted(INTERFACES))}."]
    if problems:
        raise Invalid("The study was not created.", fields=problems)


def _interface_problems(plan: StudyPlan, interface: Interface) -> Problems:
    """What this way of asking cannot do."""
    problems: Problems = {}
    if plan.design.checks and not interface.CHECKS:
        problems["checks"] = [f"'{interface.NAME}' has no attention checks: it asks about no single image."]
    if plan.display.exposure_ms is not None and interface.UNIT == "pair":
        problems["exposure_ms"] = [
            f"'{interface.NAME}' shows several images to choose among, without a limit."
        ]
    try:
        _options(plan, interface)
    except Invalid as error:
        problems |= error.fields or {"options": [error.message]}
    return problems


def _options(plan: StudyPlan, interface: Interface) -> dict[str, Any]:
    return interface.check_options(
        plan.options, n_classes=len(plan.image_set.classes), n_lambdas=len(plan.design.lambdas_e4)
    )


def _settings(plan: StudyPlan, interface: Interface, imported: bool) -> Settings:
    """The plan as the protocol will say it, with the images reserved for the instructions."""
    design = plan.design
    if not imported:
        opened = plan.image_set.open()
        design = replace(design, example_images=draw_example_images(opened, design))
        check_images(opened, design)
    return Settings(
        interface=interface.NAME,
        interface_version=interface.VERSION,
        options=_options(plan, interface),
        language=plan.language,
        perspective=plan.perspective,
        bonus=plan.bonus.strip(),
        timing_reason=_timing_reason(plan),
        display=plan.display,
        flow=plan.flow,
        design=design,
        factors=plan.factors,
        rules=plan.rules,
        hypotheses=plan.hypotheses,
        payment=plan.payment,
        stop=plan.stop,
    )


def _timing_reason(plan: StudyPlan) -> str:
    """The reason as given; ours in the language of the study, because its consent page says it."""
    reason = plan.timing_reason.strip()
    if reason != DEFAULT_TIMING_REASON:
        return reason
    with translation.override(plan.language):
        return gettext(DEFAULT_TIMING_REASON)


def _texts(plan: StudyPlan, interface: Interface, imported: bool) -> dict[str, Any]:
    if plan.texts is None:
        texts = default_texts(
            title=plan.title,
            interface=interface,
            perspective=plan.perspective,
            language=plan.language,
            information=plan.information,
        )
    else:
        texts = dict(plan.texts)
        if plan.information is not None:
            texts["information"] = dict(plan.information)
    if not imported:
        check_texts(texts, interface)
    return texts


def refuse_uninformed(study: Study, content: Mapping[str, Any]) -> None:
    """People are told who asks, what for, and what becomes of their answers, or they are not asked."""
    missing = missing_information(texts_of(content)) if study.source == Source.PERSON else []
    if missing:
        raise Invalid(
            "Before people can take part, the consent page must say: "
            + ", ".join(missing).replace("_", " ")
            + ".",
            fields={name: ["People must be told this before they consent."] for name in missing},
        )
