"""The words of a study, as Markdown and plain text: their defaults, and reading them back. Checks: text_checks.py.

They are part of the protocol's content, so they are versioned and hashed with it. No text says or shows the true λ, or
rewards guessing it: what an interface contributes is about its controls only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import translation
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from markdown_it import MarkdownIt

from elicitation.interfaces.base import Interface
from elicitation.studies.protocol import settings_of

# Raw HTML is shown as text, never passed on (checklist S6); pictures could only come from elsewhere, so there are none.
_markdown = MarkdownIt("commonmark", {"html": False}).disable("image")

# What people must be told before they consent, by name; shown in this order.
REQUIRED_INFORMATION: Mapping[str, Promise] = {
    "controller": gettext_lazy("Who is responsible"),
    "purpose": gettext_lazy("What for"),
    "legal_basis": gettext_lazy("Legal basis"),
    "retention": gettext_lazy("How long it is kept"),
    "recipients": gettext_lazy("Who receives it"),
    "ethics_approval": gettext_lazy("Ethics approval"),
    "contact": gettext_lazy("Questions and complaints"),
}
OPTIONAL_INFORMATION: Mapping[str, Promise] = {
    "duration": gettext_lazy("How long it takes"),
    "data": gettext_lazy("What is stored"),
}
INFORMATION: Mapping[str, Promise] = {**OPTIONAL_INFORMATION, **REQUIRED_INFORMATION}

AGREE, PUBLISH, CONTACT = "agree", "publish", "contact"  # boxes with a meaning of their own
MAX_ITEMS = 30  # boxes, pages, questions of a kind
BY_NAME = ("information", "wording")  # texts by name, each with a default of its own


@dataclass(frozen=True)
class Box:
    """A consent of its own; the required ones must be ticked to take part."""

    name: str
    text: str
    required: bool = True


@dataclass(frozen=True)
class Question:
    """A question about the controls. `correct` is the position of the answer in `options`."""

    prompt: str
    options: Sequence[str]
    correct: int
    explain: str = ""


@dataclass(frozen=True)
class SurveyItem:
    """A closing question: `likert` with `points` steps from `low` to `high`, or free `text`."""

    name: str
    kind: str
    prompt: str
    points: int = 5
    low: str = ""
    high: str = ""
    required: bool = False


@dataclass(frozen=True)
class Texts:
    """All words of a protocol. Markdown, but for `information`, `boxes`, questions and `wording`: plain text.

    `wording` is what every trial says, by name, and part of the condition. `break_text` is "break" in the content.
    """

    consent: str
    information: Mapping[str, str]
    boxes: tuple[Box, ...]
    instructions: tuple[str, ...]
    comprehension: tuple[Question, ...]
    wording: Mapping[str, str]
    declined: str = ""
    short_instructions: str = ""
    break_text: str = ""
    survey: tuple[SurveyItem, ...] = ()
    debrief: str = ""
    thanks: str = ""
    withdrawal: str = ""

    def as_content(self) -> dict[str, Any]:
        """The texts as they stand in a protocol's content."""
        content = {name: value for name, value in vars(self).items() if name != "break_text"}
        content["information"], content["wording"] = dict(self.information), dict(self.wording)
        content["instructions"] = list(self.instructions)
        for name in ("boxes", "survey"):
            content[name] = [dict(vars(item)) for item in content[name]]
        content["comprehension"] = [
            {**vars(question), "options": list(question.options)} for question in self.comprehension
        ]
        return content | {"break": self.break_text}


def rendered(markdown: str) -> SafeString:
    """HTML of a study text; safe to show because the renderer escapes raw HTML in it and refuses script links."""
    return SafeString(_markdown.render(markdown))


def texts_of(content: Mapping[str, Any]) -> Texts:
    """The texts that a stored protocol content holds, of hilmix 0.1 too."""
    texts = dict(content["texts"])
    return read_texts(_of_v1(texts) if is_of_v1(content) else texts)


def is_of_v1(content: Mapping[str, Any]) -> bool:
    """Whether the texts are in the form of hilmix 0.1."""
    return isinstance(content["texts"].get("information"), list)


def default_texts(
    *,
    title: str,
    interface: Interface,
    perspective: str,
    language: str,
    information: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The words that a study starts with, in `language`: those that every study needs, and the interface's own.

    Args:
        perspective: "you" or "100 others"; decides the sentence that every trial says.
        information: what is known of INFORMATION; the rest is left empty, and a study for people opens only
            when nothing required is missing (`missing_information`).
    """
    with translation.override(language):
        words = interface.texts()
        content = {
            **_generic(title),
            **words,
            "information": {"data": _what_is_stored(), **(information or {})},
            "wording": {**words["wording"], "perspective": _perspective(perspective)},
        }
        return read_texts(content).as_content()


def demonstration_information() -> dict[str, str]:
    """What a demonstration says where a real study names people."""
    nobody = _("nobody: a demonstration")
    return {
        "controller": nobody,
        "purpose": _("trying hilmix"),
        "legal_basis": _("your consent"),
        "retention": _("until whoever tries it deletes it"),
        "recipients": nobody,
        "ethics_approval": _("none: a demonstration"),
        "contact": nobody,
    }


def missing_information(texts: Texts) -> list[str]:
    """Names of the required information that is still empty, in the order of REQUIRED_INFORMATION."""
    return [name for name in REQUIRED_INFORMATION if not texts.information.get(name, "").strip()]


def information_rows(texts: Texts) -> list[tuple[str, str]]:
    """Label and text of each piece of information there is; labels of hilmix 0.1 that we lack stand as written."""
    known = [(str(label), texts.information.get(name, "")) for name, label in INFORMATION.items()]
    own = [(name, text) for name, text in texts.information.items() if name not in INFORMATION]
    return [(label, text) for label, text in known + own if text.strip()]


def text_hashes(content: Mapping[str, Any]) -> dict[str, str]:
    """sha256 of each text by name. "consent" covers all that the consent page says: text, information, boxes, why times
    are recorded, and until when one may withdraw."""
    texts, settings = texts_of(content), settings_of(content)
    shown = texts.as_content()
    boxes, information = shown.pop("boxes"), shown.pop("information")
    conditions = [settings.timing_reason, settings.flow.withdraw_days, settings.flow.withdrawal]
    shown["consent"] = [shown["consent"], information, boxes, conditions]
    return {name: _sha256(text) for name, text in shown.items()}


def read_texts(content: Mapping[str, Any]) -> Texts:
    """Texts as this version stores them in a content."""
    values = dict(content)
    values["break_text"] = values.pop("break", "")
    values["instructions"] = tuple(values["instructions"])
    values["boxes"] = tuple(Box(**box) for box in values["boxes"])
    values["comprehension"] = tuple(Question(**question) for question in values["comprehension"])
    values["survey"] = tuple(SurveyItem(**item) for item in values.get("survey", ()))
    return Texts(**values)


def _of_v1(texts: Mapping[str, Any]) -> dict[str, Any]:
    """Texts of hilmix 0.1: pairs instead of named fields, two questions, a box for comments at the end."""
    words = ("question", "confidence_question")
    labels = {
        "How long": "duration",
        "What is stored": "data",
        "What for": "purpose",
        "Who is responsible": "controller",
    }
    return {
        "consent": texts["consent"],
        "information": {labels.get(label, label): text for label, text in texts["information"]},
        "boxes": [{"name": name, "text": text} for name, text in texts["boxes"]],
        "instructions": texts["instructions"],
        "short_instructions": texts["instructions"][0] if texts["instructions"] else "",
        "comprehension": texts["comprehension"],
        "wording": {name: texts[name] for name in words if name in texts},
        "survey": [_comments()],
        "thanks": texts.get("thanks", ""),
    }


def _generic(title: str) -> dict[str, Any]:
    """What no interface has to do with, in the active language."""
    return {
        "consent": _(
            "You are invited to take part in **%(title)s**.\n\n"
            "You will look at pictures that are blends of two pictures, and say what is to be seen in them. There are"
            " no right or wrong answers.\n\n"
            "Taking part is voluntary. You can stop at any time by closing the window, without giving a reason; what"
            " you answered until then is kept, unless you withdraw."
        )
        % {"title": title},
        "boxes": [
            {"name": "adult", "text": _("I am 18 years or older."), "required": True},
            {
                "name": AGREE,
                "text": _("I have read and understood the information above, and I want to take part."),
                "required": True,
            },
            {
                "name": PUBLISH,
                "text": _("My answers may be published for research, without saying who gave them."),
                "required": False,
            },
            {
                "name": CONTACT,
                "text": _("I may be contacted about this research later."),
                "required": False,
            },
        ],
        "declined": _(
            "That is fine, and you need not say why. If you came from a recruiting site, please return your place"
            " there."
        ),
        "break": _("You may rest for a moment. Go on when you are ready."),
        "survey": [
            {
                "name": "clear",
                "kind": "likert",
                "prompt": _("It was clear to me what I should do."),
                "points": 5,
                "low": _("not at all"),
                "high": _("completely"),
                "required": False,
            },
            {
                "name": "attention",
                "kind": "likert",
                "prompt": _("I looked at the pictures attentively until the end."),
                "points": 5,
                "low": _("not at all"),
                "high": _("completely"),
                "required": False,
            },
            _comments(),
        ],
        "debrief": _(
            "Computers are often taught with blended pictures. Your answers help to find out how people see them."
        ),
        "thanks": _("Thank you for taking part."),
        "withdrawal": _("You may take back what you gave, and you need not say why."),
    }


def _comments() -> dict[str, Any]:
    prompt = _("Is there anything you would like to tell us?")
    return {"name": "comments", "kind": "text", "prompt": prompt, "required": False}


def _what_is_stored() -> str:
    return _(
        "your answers, and the sizes of your window and of the pictures in it; no name and no address. If a recruiting"
        " site sent you, what it calls you is kept apart from your answers, encrypted. Nothing is left in your browser"
        " but answers that could not be sent yet."
    )


def _perspective(perspective: str) -> str:
    """The sentence that says whose view is asked for."""
    if perspective == "you":
        return _("Say what you see yourself.")
    return _("Say what you think 100 other people would see.")


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
