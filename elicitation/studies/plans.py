"""A study as it is planned: everything that its protocol will hold, whether it can be carried out, and what it becomes.

A plan is made from a form, a file or another study (`plan_of_study`); its content is what a protocol stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from django.conf import settings as project
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.utils import translation
from django.utils.translation import gettext

from elicitation.images.models import ImageSet
from elicitation.interfaces import INTERFACES, interface_named
from elicitation.interfaces.base import Interface
from elicitation.studies.carrying import completed_texts
from elicitation.studies.factors import Factor, factor_problems
from elicitation.studies.hypotheses import Hypothesis, hypothesis_problems
from elicitation.studies.level_checks import complete_factors, interface_problems, level_problems
from elicitation.studies.material import (
    check_class_pairs,
    check_images,
    check_mixed_images,
    draw_example_images,
)
from elicitation.studies.models import Source, Study
from elicitation.studies.payment import Payment, Stop
from elicitation.studies.protocol import (
    DEFAULT_TIMING_REASON,
    PERSPECTIVES,
    Design,
    Display,
    Flow,
    Problems,
    Settings,
    settings_of,
)
from elicitation.studies.rules import Rule, default_rules, rule_problems
from elicitation.studies.text_checks import check_texts
from elicitation.studies.texts import default_texts, is_of_v1, texts_of
from hilmix.errors import Invalid

TAKEN = ("new",)  # /studies/new/ is where studies are made


@dataclass(frozen=True)
class StudyPlan:
    """Everything of a study that its protocol holds. The fields are those of `Settings`.

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


def plan_of_study(study: Study) -> StudyPlan:
    """The plan that the protocol in force carries out; creating a study from it gives the same content.

    What an older version of hilmix did not ask for has its default. The words of imported answers are not ours to say
    again: their plan has none.
    """
    content = study.protocol.content
    settings = settings_of(content)
    names = {one.name for one in fields(StudyPlan)} & {one.name for one in fields(Settings)}
    said = {name: getattr(settings, name) for name in names}
    if "rules" not in content:  # before hilmix 0.3
        said["rules"] = default_rules()
    plan = StudyPlan(slug=study.slug, title=study.title, image_set=study.image_set, **said)
    if study.source == Source.IMPORTED:
        return plan
    if not is_of_v1(content):
        return replace(plan, texts=content["texts"])
    return replace(plan, texts=completed_texts(texts_of(content).as_content(), default_texts_of(plan)))


def check_plan(plan: StudyPlan, *, imported: bool = False, changed: Study | None = None) -> None:
    """Refuse a plan that cannot be carried out. `changed` is the study that it is to change, where it is no new one.

    Raises:
        Invalid: with messages per field.
    """
    problems = _naming_problems(plan, changed)
    if plan.perspective not in PERSPECTIVES:
        problems["perspective"] = ["Either 'you' or '100 others'."]
    if plan.language not in dict(project.LANGUAGES):
        problems["language"] = [f"One of {', '.join(dict(project.LANGUAGES))}."]
    for name in ("bonus", "timing_reason"):
        if len(getattr(plan, name)) > 2000:
            problems[name] = ["At most 2,000 characters."]
    ordered = imported or (changed is not None and changed.state != Study.State.DRAFT)
    problems |= plan.design.problems() or ({} if ordered else plan.design.order_problems())
    problems |= plan.display.problems() | plan.flow.problems() | plan.stop.problems()
    problems |= factor_problems(plan.factors) | rule_problems(plan.rules)
    problems |= hypothesis_problems(plan.hypotheses, plan.factors, plan.design.lambdas_e4)
    problems |= plan.payment.problems(
        perspective=plan.perspective, bonus_text=plan.bonus, trials=plan.design.trials_per_person
    )
    if plan.interface in INTERFACES:
        problems |= _interface_problems(plan, INTERFACES[plan.interface])
    else:
        problems["interface"] = [f"One of {', '.join(sorted(INTERFACES))}."]
    if problems:
        raise Invalid(
            "The study was not created." if changed is None else "Nothing was changed.", fields=problems
        )


def content_of_plan(plan: StudyPlan, *, imported: bool = False) -> dict[str, Any]:
    """What a protocol stores of a plan that was checked: with the images reserved for the instructions, and with the
    words that each level of a factor brings.

    Raises:
        Invalid: the image set, the texts or a combination of levels does not fit.
    """
    settings, texts = _settings(plan, imported), _texts(plan, imported)
    if not imported:
        factors = complete_factors(plan.factors, settings, texts, plan.language, plan.title)
        settings = replace(settings, factors=factors)
        if problems := level_problems(settings, texts, len(plan.image_set.classes)):
            raise Invalid("Some levels do not fit together.", fields=problems)
    return {
        **settings.as_content(),
        "image_set": {"name": plan.image_set.name, "sha256": plan.image_set.sha256},
        "texts": texts,
    }


def default_texts_of(plan: StudyPlan) -> dict[str, Any]:
    """The texts that a study of this plan starts with."""
    return default_texts(
        title=plan.title,
        interface=interface_named(plan.interface),
        perspective=plan.perspective,
        language=plan.language,
        information=plan.information,
    )


def _naming_problems(plan: StudyPlan, changed: Study | None) -> Problems:
    problems: Problems = {}
    try:
        validate_slug(plan.slug)
    except ValidationError:
        problems["slug"] = ["Letters, digits, hyphens and underscores only: it becomes the link."]
    if len(plan.slug) > 60:
        problems["slug"] = ["At most 60 characters."]
    if plan.slug in TAKEN:
        problems["slug"] = ["This is the address of another page."]
    others = Study.objects.exclude(pk=changed.pk) if changed else Study.objects.all()
    if others.filter(slug=plan.slug).exists():
        problems["slug"] = [f"There is a study at /s/{plan.slug}/ already."]
    if not plan.title.strip():
        problems["title"] = ["A title is needed: participants see it."]
    if len(plan.title) > 120:
        problems["title"] = ["At most 120 characters."]
    return problems


def _interface_problems(plan: StudyPlan, interface: Interface) -> Problems:
    """What this way of asking cannot do."""
    problems = interface_problems(interface, plan.design, plan.display)
    try:
        _options(plan, interface)
    except Invalid as error:
        problems |= error.fields or {"options": [error.message]}
    return problems


def _options(plan: StudyPlan, interface: Interface) -> dict[str, Any]:
    return interface.check_options(
        plan.options, n_classes=len(plan.image_set.classes), n_lambdas=len(plan.design.lambdas_e4)
    )


def _settings(plan: StudyPlan, imported: bool) -> Settings:
    """The plan as the protocol will say it, but for its factors."""
    design, interface = plan.design, interface_named(plan.interface)
    if not imported:
        opened = plan.image_set.open()
        check_class_pairs(opened, design)
        check_mixed_images(opened, design)
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


def _texts(plan: StudyPlan, imported: bool) -> dict[str, Any]:
    if plan.texts is None:
        texts = default_texts_of(plan)
    else:
        texts = dict(plan.texts)
        if plan.information is not None:
            texts["information"] = dict(plan.information)
    if not imported:
        check_texts(texts, interface_named(plan.interface))
    return texts
