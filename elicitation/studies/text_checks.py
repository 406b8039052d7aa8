"""What texts a study cannot have, said beside the text that is meant. Called before any version of them is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from elicitation.interfaces.base import Interface
from elicitation.studies.protocol import Problems
from elicitation.studies.texts import (
    AGREE,
    CONTACT,
    INFORMATION,
    MAX_ITEMS,
    PUBLISH,
    Box,
    SurveyItem,
    Texts,
    read_texts,
)
from hilmix.errors import Invalid

MAX_MARKDOWN, MAX_LINE = 20_000, 1_000  # characters
RESERVED = ("token", "decision")  # fields of the forms in which boxes and questions stand
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
PLACEHOLDER = re.compile(r"{([^{}]*)}")


def check_texts(texts: Mapping[str, Any], interface: Interface) -> None:
    """Refuse texts that a participant could not be shown.

    Raises:
        Invalid: `fields` has messages per text, by its name in the content.
    """
    problems = _Collected()
    for name, kind in _kinds(texts).items():
        if not isinstance(texts.get(name), kind):
            problems.add(name, _("This text is missing, or not of the form that it has."))
    if problems.found:
        raise Invalid("The texts were not saved.", fields=problems.found)
    try:
        read = read_texts(texts)
    except (KeyError, TypeError) as error:  # a name too many or too few, which Python's message tells
        raise Invalid(f"The texts are not complete: {error}.", fields={"texts": [str(error)]}) from None
    _check_markdown(read, problems)
    _check_information(read, problems)
    _check_boxes(read, problems)
    _check_comprehension(read, problems)
    _check_wording(read, interface, problems)
    _check_survey(read, problems)
    if problems.found:
        raise Invalid("The texts were not saved.", fields=problems.found)


@dataclass
class _Collected:
    found: Problems = field(default_factory=dict)

    def add(self, name: str, message: str) -> None:
        self.found.setdefault(name, []).append(message)


def _kinds(texts: Mapping[str, Any]) -> dict[str, type]:
    """Of which type each text is in a protocol's content."""
    kinds: dict[str, type] = dict.fromkeys(texts, str)
    kinds |= dict.fromkeys(("information", "wording"), dict)
    return kinds | dict.fromkeys(("boxes", "instructions", "comprehension", "survey"), list)


def _check_markdown(texts: Texts, problems: _Collected) -> None:
    content = texts.as_content()
    for name in ("consent", "thanks"):
        if not content[name].strip():
            problems.add(name, _("This text cannot be empty."))
    if not texts.instructions or not all(page.strip() for page in texts.instructions):
        problems.add("instructions", _("At least one page, and none of them empty."))
    for name, value in content.items():
        pages = [value] if isinstance(value, str) else value if name == "instructions" else []
        if len(pages) > MAX_ITEMS or any(len(page) > MAX_MARKDOWN for page in pages):
            problems.add(name, _("Too long: at most 20,000 characters a text, and 30 pages."))


def _check_information(texts: Texts, problems: _Collected) -> None:
    for name, text in texts.information.items():
        if name not in INFORMATION:
            problems.add("information", _("There is no information called “%(name)s”.") % {"name": name})
        if len(text) > MAX_LINE:
            problems.add(name, _("At most 1,000 characters."))


def _check_boxes(texts: Texts, problems: _Collected) -> None:
    _check_names("boxes", texts.boxes, problems)
    if not any(box.name == AGREE and box.required for box in texts.boxes):
        problems.add("boxes", _("There must be a required box “agree”: it is the consent to take part."))
    names = {box.name for box in texts.boxes}
    for name in (PUBLISH, CONTACT):
        if name not in names:
            problems.add(
                "boxes",
                _("There must be a box “%(name)s”: it asks for a consent of its own.") % {"name": name},
            )
    for box in texts.boxes:
        if box.name in (PUBLISH, CONTACT) and box.required:
            problems.add(
                "boxes",
                _("The box “%(name)s” cannot be required: taking part goes without it.") % {"name": box.name},
            )
        if not box.text.strip():
            problems.add("boxes", _("The box “%(name)s” has no text.") % {"name": box.name})


def _check_comprehension(texts: Texts, problems: _Collected) -> None:
    if len(texts.comprehension) > MAX_ITEMS:
        problems.add("comprehension", _("At most 30 questions."))
    for question in texts.comprehension:
        if not question.prompt.strip():
            problems.add("comprehension", _("A question has no text."))
        elif len(question.options) < 2 or len(set(question.options)) < len(question.options):
            problems.add(
                "comprehension",
                _("“%(prompt)s” needs at least two answers, all different.") % {"prompt": question.prompt},
            )
        elif not 0 <= question.correct < len(question.options):
            problems.add(
                "comprehension",
                _("“%(prompt)s” does not say which answer is meant.") % {"prompt": question.prompt},
            )


def _check_wording(texts: Texts, interface: Interface, problems: _Collected) -> None:
    default = {"perspective": "", **interface.texts()["wording"]}
    for name in default.keys() | texts.wording.keys():
        text = texts.wording.get(name, "")
        unknown = set(PLACEHOLDER.findall(text)) - set(PLACEHOLDER.findall(default.get(name, "")))
        if name not in default:
            problems.add("wording", _("Nothing in the trials is called “%(name)s”.") % {"name": name})
        elif not text.strip() or len(text) > MAX_LINE:
            problems.add(
                "wording", _("“%(name)s” needs a text of at most 1,000 characters.") % {"name": name}
            )
        elif unknown:
            problems.add(
                "wording",
                _("“%(name)s” holds {%(unknown)s}, which nothing fills in.")
                % {"name": name, "unknown": "}, {".join(sorted(unknown))},
            )


def _check_survey(texts: Texts, problems: _Collected) -> None:
    _check_names("survey", texts.survey, problems)
    for item in texts.survey:
        if not item.prompt.strip():
            problems.add("survey", _("The question “%(name)s” has no text.") % {"name": item.name})
        if item.kind not in ("likert", "text"):
            problems.add(
                "survey", _("The question “%(name)s” is either likert or text.") % {"name": item.name}
            )
        if not 2 <= item.points <= 11:
            problems.add("survey", _("The question “%(name)s” has 2 to 11 points.") % {"name": item.name})


def _check_names(field_name: str, items: Sequence[Box | SurveyItem], problems: _Collected) -> None:
    names = [item.name for item in items]
    if len(names) > MAX_ITEMS:
        problems.add(field_name, _("At most 30."))
    for name in names:
        if not NAME.fullmatch(name) or name in RESERVED:
            problems.add(
                field_name,
                _("“%(name)s” is no name: small letters, digits and _, at most 40.") % {"name": name},
            )
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(field_name, _("The name “%(name)s” is there twice.") % {"name": name})
