"""What a protocol settles beside its texts, as label and value for pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.conf import settings as project
from django.utils.translation import gettext

from elicitation.interfaces import interface_named
from elicitation.studies.factors import Factor
from elicitation.studies.fields import AmountField, written_class_pairs
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.labels import value_in_words, words_of
from elicitation.studies.models import Source, Study
from elicitation.studies.protocol import Settings
from elicitation.studies.rules import FLAGS, Rule
from hilmix.core.mixing import DEFAULT_METHOD, lambda_text

Facts = list[tuple[str, str]]


def facts_of(study: Study, settings: Settings) -> Facts:
    """What a protocol of `study` settles. Of an imported one only what was published: the rest is ours by default."""
    imported = study.source == Source.IMPORTED
    told = not imported or any(condition.content["wording"] for condition in study.conditions.all())
    way, course = _way(settings), _course(settings, study.image_set.classes)
    return [
        *_asked(settings),
        *(way if told else _not_known(way)),
        *(_not_known(course) if imported else course),
        (gettext("Left out of labels"), _excluding(settings.rules)),
        *[(gettext("Hypothesis %s") % one.name, _hypothesis(one)) for one in settings.hypotheses],
    ]


def _not_known(facts: Facts) -> Facts:
    return [(label, gettext("not known")) for label, _value in facts]


def _asked(settings: Settings) -> Facts:
    """What is asked, of how many: answers alone tell it."""
    interface, design = interface_named(settings.interface), settings.design
    per_person = [f"{design.trials_per_person}", f"{design.repeats} {gettext('repeats')}"]
    if interface.CHECKS:
        per_person.append(f"{design.checks} {gettext('attention checks')}")
    return [
        (
            gettext("Interface"),
            f"{gettext(interface.TITLE)} ({settings.interface}@{settings.interface_version})",
        ),
        (gettext("Perspective"), settings.perspective),
        *[(gettext("Factor %s") % factor.name, _factor(factor)) for factor in settings.factors],
        ("λ", ", ".join(lambda_text(value) for value in design.lambdas_e4)),
        *([(gettext("How images are mixed"), design.method)] if design.method != DEFAULT_METHOD else []),
        (gettext("Trials a person"), " + ".join(per_person)),
        (gettext("People per mixed image"), str(design.answers_per_unit)),
    ]


def _way(settings: Settings) -> Facts:
    """How it is asked: a release tells it, published tables do not."""
    return [
        *[(words_of(name).capitalize(), value_in_words(value)) for name, value in settings.options.items()],
        (gettext("Language"), dict(project.LANGUAGES).get(settings.language, settings.language)),
        (gettext("Bonus rule"), settings.bonus or gettext("none")),
        (gettext("Display"), _display(settings)),
    ]


def _course(settings: Settings, classes: Sequence[str]) -> Facts:
    """How it comes about: nobody publishes it with answers."""
    flow = settings.flow
    return [
        (gettext("Times"), settings.timing_reason or gettext("not recorded")),
        (gettext("Class pairs"), _class_pairs(settings, classes)),
        (gettext("Set apart"), _set_apart(settings)),
        (gettext("Comprehension check"), gettext("up to %d rounds") % flow.max_comprehension_rounds),
        (
            gettext("Breaks"),
            gettext("every %d trials") % flow.break_every if flow.break_every else gettext("none"),
        ),
        (
            gettext("Withdrawing"),
            gettext("within %(days)d days: %(how)s") % {"days": flow.withdraw_days, "how": flow.withdrawal},
        ),
        *_payment(settings),
    ]


def _factor(factor: Factor) -> str:
    levels = ", ".join(level.name for level in factor.levels)
    if factor.varies == "between":
        return gettext("between people: %s") % levels
    order = gettext("in blocks") if factor.order == "blocks" else gettext("mixed")
    return gettext("within people, %(order)s: %(levels)s") % {"order": order, "levels": levels}


def _class_pairs(settings: Settings, classes: Sequence[str]) -> str:
    if given := settings.design.mixed_images:
        return gettext("those of %d mixed images that were named") % len(given)
    if settings.design.class_pairs:
        return ", ".join(written_class_pairs(settings.design.class_pairs, classes).split("\n"))
    return gettext("all, of one class too") if settings.design.same_class else gettext("all")


def _set_apart(settings: Settings) -> str:
    examples, checks = settings.design.example_images, settings.design.check_images
    said = [gettext("%d images for instructions and practice") % len(examples)]
    if settings.design.checks:
        said.append(gettext("%d for checks") % len(checks) if checks else gettext("checks by agreement"))
    return ", ".join(said)


def _display(settings: Settings) -> str:
    display = settings.display
    size = f"{display.enlargement}× ({display.pixels})" if display.enlargement else gettext("fits the window")
    limit = f"{display.exposure_ms} ms" if display.exposure_ms else gettext("no time limit")
    return f"{size}, {display.resampling}, {limit}"


def _payment(settings: Settings) -> Iterator[tuple[str, str]]:
    payment, stop = settings.payment, settings.stop
    if payment.reward_e2 or payment.minutes:
        yield (
            gettext("Payment"),
            gettext("%(amount)s %(currency)s for some %(minutes)d minutes")
            % {
                "amount": AmountField.written(payment.reward_e2),
                "currency": payment.currency,
                "minutes": payment.minutes,
            },
        )
    if payment.bonus != "none":
        amount = f"{AmountField.written(payment.bonus_e2)} {payment.currency}"
        kind = gettext("flat") if payment.bonus == "flat" else gettext("by agreement")
        yield gettext("Bonus"), gettext("%(kind)s, at most %(amount)s") % {"kind": kind, "amount": amount}
    enough = gettext("every mixed image has its answers")
    if stop.rule == "interval":
        enough = gettext("95%% intervals of labels are at most %.2f wide on average") % stop.width
    yield gettext("Enough when"), enough


def _excluding(rules: Sequence[Rule]) -> str:
    said = [str(FLAGS[rule.flag].meaning) for rule in rules if rule.excludes and rule.flag in FLAGS]
    return "; ".join(said) or gettext("nobody by a rule")


def _hypothesis(hypothesis: Hypothesis) -> str:
    return f"{hypothesis.statement} ({gettext('primary')})" if hypothesis.primary else hypothesis.statement
