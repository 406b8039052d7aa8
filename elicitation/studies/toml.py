"""Reads a study's plan from a TOML file (toml_writing.py), with the place of everything that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from django.conf import settings

from elicitation.images.models import ImageSet
from elicitation.interfaces import INTERFACES
from elicitation.studies import tables
from elicitation.studies.factors import Factor, Level
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.labels import TEXTS
from elicitation.studies.models import Source
from elicitation.studies.payment import Payment, Stop
from elicitation.studies.plans import StudyPlan, default_texts_of
from elicitation.studies.protocol import Design, Display, Flow
from elicitation.studies.rules import Rule, default_rules
from elicitation.studies.tables import NOTHING, Problems, Table, parsed
from elicitation.studies.texts import BY_NAME, Box, Question, SurveyItem
from hilmix.core.errors import DataError
from hilmix.core.mixing import lambda_e4_from_text

ITEMS: Mapping[str, type] = {"boxes": Box, "comprehension": Question, "survey": SurveyItem}


@dataclass(frozen=True)
class StudyFile:
    """What a file says: a plan, where its answers come from, how people are recruited (none of our business here), and
    what whoever reads it in should know."""

    plan: StudyPlan
    source: str
    recruitment: Mapping[str, Any]
    notes: tuple[str, ...]


def read_study(text: str, *, slug: str = "") -> StudyFile:
    """What a file says. Whether it can be carried out, the services find out when a study is made of it.

    Args:
        slug: the link to use instead of the file's.

    Raises:
        Invalid: with the place of everything that has another form than it must have, of every key that nothing reads,
            and of an image set that is not here or is another one.
    """
    problems = Problems()
    file = Table(parsed(text), "", problems)
    image_set = _image_set(file.table("image_set"))
    interface, options, notes = _interface(file.table("interface"))
    recruitment = file.take("recruitment", tables.as_plain_table, "a table", {})
    texts = file.take("texts", tables.as_table, "a table") if "texts" in file else None
    source = file.text("source", Source.PERSON)
    if source not in (Source.PERSON, Source.SIMULATED):
        file.wrong("source", "answers come from 'person' or are 'simulated'.")
    own_slug = file.text("slug", slug or tables.REQUIRED)
    said: dict[str, Any] = {
        "slug": slug or own_slug,
        "title": file.text("title"),
        "interface": interface,
        "options": options,
        "design": _design(file.table("design"), image_set),
        "display": _display(file.table("display")),
        "flow": file.table("flow").part(Flow),
        "factors": tuple(map(_read_factor, file.tables("factors"))),
        "hypotheses": tuple(map(_read_hypothesis, file.tables("hypotheses"))),
        "payment": _payment(file.table("payment")),
        "stop": file.table("stop").part(Stop),
        "rules": tuple(map(_read_rule, file.tables("rules"))) if "rules" in file else default_rules(),
    }
    for name in ("language", "perspective", "bonus", "timing_reason"):
        if name in file:
            said[name] = file.text(name)
    read_texts = None if texts is None else _texts(Table(texts, "texts", problems))
    file.done()
    problems.refuse()
    assert image_set is not None
    plan = StudyPlan(image_set=image_set, **said)
    return StudyFile(_with_texts(plan, read_texts), source, recruitment, notes)


def _image_set(table: Table) -> ImageSet | None:
    name, sha256 = table.text("name"), table.text("sha256", "")
    table.done()
    image_set = ImageSet.objects.filter(name=name or "").first()
    if image_set is None:
        known = ", ".join(ImageSet.objects.values_list("name", flat=True)) or "none yet"
        table.wrong("name", f"there is no image set {name!r} here. Image sets here: {known}.")
    elif sha256 and sha256 != image_set.sha256:
        table.wrong(
            "sha256",
            f"the image set {name!r} of the file is another one than that of this name here: its pictures would not be"
            f" the same ({sha256[:12]}… there, {image_set.sha256[:12]}… here).",
        )
    return image_set


def _interface(table: Table) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    name = table.text("name", "infer")
    options = table.take("options", tables.as_plain_table, "a table", {})
    version = table.take("version", tables.as_whole, "a whole number", 0)
    table.done()
    if name not in INTERFACES:
        table.wrong("name", f"one of {', '.join(sorted(INTERFACES))}.")
    elif version and version != (now := INTERFACES[name].VERSION):
        return (
            name,
            options,
            (f"The file was written for {name}@{version}; the study asks with {name}@{now}.",),
        )
    return name, options, ()


def _design(table: Table, image_set: ImageSet | None) -> Design:
    classes = list(image_set.classes) if image_set else []

    def pairs(value: Any) -> tuple[tuple[int, int], ...]:
        read = []
        for pair in tables.as_list(value):
            first, second = tables.as_texts(pair)
            read.append((classes.index(first), classes.index(second)))
        return tuple(read)

    if image_set is None:
        table.values.pop("class_pairs", None)  # which classes there are is not known
    known = f"a list of pairs of class names; the classes are {', '.join(classes)}"
    given = ("mixed_images", _recipes, "a list of [first, second, λ in ten-thousandths], all whole numbers")
    return table.part(
        Design, lambdas_e4=LAMBDAS, class_pairs=("class_pairs", pairs, known), mixed_images=given
    )


def _recipes(value: Any) -> tuple[tuple[int, int, int], ...]:
    read = []
    for one in tables.as_list(value):
        first, second, share = map(tables.as_whole, tables.as_list(one))
        read.append((first, second, share))
    return tuple(read)


def _display(table: Table) -> Display:
    form = (_whole_or_nothing, f"a whole number, or {NOTHING!r}")
    return table.part(Display, enlargement=("enlargement", *form), exposure_ms=("exposure_ms", *form))


def _payment(table: Table) -> Payment:
    form = (_hundredths, "an amount with at most two digits after the point")
    return table.part(Payment, reward_e2=("reward", *form), bonus_e2=("bonus_at_most", *form))


def _read_factor(table: Table) -> Factor:
    levels = tuple(map(_read_level, table.tables("levels")))
    factor = Factor(
        name=table.text("name"),
        varies=table.text("varies"),
        levels=levels,
        order=table.text("order", "blocks"),
    )
    table.done()
    return factor


def _read_level(table: Table) -> Level:
    name, own = table.text("name"), table.table("set")
    table.done()
    said: dict[str, Any] = {}
    for text in ("interface", "perspective", "bonus", "short_instructions"):
        if text in own:
            said[text] = own.text(text)
    if "options" in own:
        said["options"] = own.take("options", tables.as_plain_table, "a table", {})
    if "display" in own:
        given = own.table("display")
        names = list(given.values)
        display = asdict(_display(given))
        said["display"] = {name: display[name] for name in names if name in display}
    if "wording" in own:
        said["wording"] = own.take("wording", tables.as_texts_by_name, "texts by name", {})
    if "instructions" in own:
        said["instructions"] = own.take("instructions", tables.as_texts, "a list of texts", [])
    if "comprehension" in own:
        said["comprehension"] = [_item(question, Question) for question in own.tables("comprehension")]
    own.done()
    return Level(name, said)


def _read_rule(table: Table) -> Rule:
    params = ("params", tables.as_numbers_by_name, "numbers by name")
    return table.part(Rule, params=params)


def _read_hypothesis(table: Table) -> Hypothesis:
    return table.part(
        Hypothesis,
        levels=("levels", lambda value: tuple(tables.as_texts(value)), "a list of names of levels"),
        lambdas_e4=LAMBDAS,
    )


def _texts(table: Table) -> dict[str, Any]:
    """The texts that a file gives, in the form that a content has."""
    said: dict[str, Any] = {}
    for name in list(table.values):
        if name in BY_NAME:
            said[name] = table.take(name, tables.as_texts_by_name, "texts by name", {})
        elif name == "instructions":
            said[name] = table.take(name, tables.as_texts, "a list of texts", [])
        elif name in ITEMS:
            said[name] = [_item(one, ITEMS[name]) for one in table.tables(name)]
        elif name in TEXTS:
            said[name] = table.text(name)
    table.done()
    return said


def _item(table: Table, kind: type) -> dict[str, Any]:
    """A consent box or a question as the file has it: the keys that it names, and no others."""
    given = set(table.values)
    options = ("options", tables.as_texts, "a list of answers")
    correct = ("correct", tables.as_whole, "the position of the answer that is meant, from 0")
    item = vars(table.part(kind, options=options, correct=correct))
    return {name: value for name, value in item.items() if name in given}


def _with_texts(plan: StudyPlan, texts: dict[str, Any] | None) -> StudyPlan:
    """The plan with the texts of its file; those that the file leaves out are the defaults."""
    if texts is None or TEXTS.keys() <= texts.keys() or plan.language not in dict(settings.LANGUAGES):
        return replace(plan, texts=texts)
    whole = default_texts_of(plan)
    for name, value in texts.items():
        whole[name] = {**whole[name], **value} if name in BY_NAME else value
    return replace(plan, texts=whole)


def _lambdas(value: Any) -> tuple[int, ...]:
    try:
        return tuple(lambda_e4_from_text(str(_decimal(one))) for one in tables.as_list(value))
    except DataError as error:
        raise ValueError from error


LAMBDAS = ("lambdas", _lambdas, "a list of decimals from 0 to 1 with at most four digits")


def _hundredths(value: Any) -> int:
    hundredths = _decimal(value) * 100
    if hundredths != hundredths.to_integral_value():
        raise ValueError
    return int(hundredths)


def _decimal(value: Any) -> Decimal:
    decimal = value if isinstance(value, Decimal) else Decimal(tables.as_whole(value))
    if not decimal.is_finite() or abs(decimal) > 1_000_000:
        raise ValueError
    return decimal


def _whole_or_nothing(value: Any) -> int | None:
    return None if value == NOTHING else tables.as_whole(value)
