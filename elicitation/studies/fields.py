"""The fields of researchers' forms that hold more than one line of text: how people write them, and what is read.

A field checks how values are written; whether they fit together is for the service, which names the fields it refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from elicitation.interfaces import INTERFACES
from elicitation.studies.texts import INFORMATION, REQUIRED_INFORMATION
from hilmix.core.errors import DataError
from hilmix.core.mixing import lambda_e4_from_text, lambda_text
from hilmix.errors import Invalid

PAGE_BREAK = "\n---\n"


class GroupedForm(forms.Form):
    """A form whose fields stand under headings, and that shows what a service refused."""

    groups: Sequence[tuple[Any, Sequence[str]]] = ()

    def grouped(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """Heading and fields of each group."""
        return [(title, [self[name] for name in names]) for title, names in self.groups]

    def refuse(self, error: Invalid) -> None:
        """Put the messages of `error` beside the fields that it names, and the others above the form."""
        for name, problems in error.fields.items():
            here = name in self.fields
            texts = [str(problem) for problem in problems]
            self.add_error(name if here else None, texts if here else [f"{name}: {text}" for text in texts])
        if not error.fields:
            self.add_error(None, error.message)


def number(initial: int, label: Any, help_text: Any = "") -> forms.IntegerField:
    return forms.IntegerField(initial=initial, label=label, help_text=help_text)


class LinesField(forms.CharField):
    """Text of several lines, which end in one way whatever the browser sends."""

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


def area(label: Any, help_text: Any = "", rows: int = 3, **options: Any) -> LinesField:
    return LinesField(
        label=label,
        help_text=help_text,
        required=False,
        widget=forms.Textarea(attrs={"rows": rows}),
        **options,
    )


def information_field(name: str) -> LinesField:
    """The field of a piece of information, by its name in texts.py."""
    help_text = _("Needed before people can take part.") if name in REQUIRED_INFORMATION else ""
    return area(INFORMATION[name], help_text, rows=2, max_length=1000)


class NumbersField(forms.CharField):
    """Whole numbers with spaces or commas between them, as a tuple; empty for none."""

    def clean(self, value: Any) -> tuple[int, ...]:
        try:
            return tuple(int(text) for text in super().clean(value).replace(",", " ").split())
        except ValueError:
            raise forms.ValidationError(_("Whole numbers with spaces between them.")) from None

    @staticmethod
    def written(value: Iterable[int]) -> str:
        return " ".join(map(str, value))


class LambdasField(forms.CharField):
    """Mixing coefficients as decimals from 0 to 1 with spaces or commas between them, as ten-thousandths."""

    def clean(self, value: Any) -> tuple[int, ...]:
        try:
            return tuple(lambda_e4_from_text(text) for text in super().clean(value).replace(",", " ").split())
        except DataError as error:
            raise forms.ValidationError(str(error)) from None

    @staticmethod
    def written(value: Iterable[int]) -> str:
        return " ".join(map(lambda_text, value))


class MixedImagesField(LinesField):
    """A mixed image a line, `12 345 0.25`: positions of both images and λ, with spaces, commas or tabs between them."""

    def clean(self, value: Any) -> tuple[tuple[int, int, int], ...]:
        return tuple(map(_mixed_image, filter(str.strip, super().clean(value).split("\n"))))

    @staticmethod
    def written(value: Iterable[tuple[int, int, int]]) -> str:
        return "\n".join(f"{first} {second} {lambda_text(share)}" for first, second, share in value)


def _mixed_image(line: str) -> tuple[int, int, int]:
    try:
        first, second, share = re.split(r"[\s,;]+", line.strip())
        return int(first), int(second), lambda_e4_from_text(share)
    except (ValueError, DataError):
        raise forms.ValidationError(
            _("“%(line)s”: each line is the positions of two images and λ, such as “12 345 0.25”."),
            params={"line": line.strip()[:60]},
        ) from None


class AmountField(forms.DecimalField):
    """Money with two decimals, as hundredths."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=8, decimal_places=2, required=False, **options)

    def clean(self, value: Any) -> int:
        return int((super().clean(value) or Decimal(0)) * 100)

    @staticmethod
    def written(value: int) -> str:
        return f"{value / 100:.2f}"


class NamedLinesField(LinesField):
    """Lines `name = value`, a name once each."""

    def clean(self, value: Any) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for line in filter(str.strip, super().clean(value).split("\n")):
            name, equals, text = (part.strip() for part in line.partition("="))
            if not equals or not name or name in said:
                raise forms.ValidationError(
                    _("“%(line)s”: each line is name=value, and a name is there once."),
                    params={"line": line},
                )
            said[name] = self.read(text)
        return said

    def read(self, text: str) -> Any:
        return text

    @staticmethod
    def written(value: Mapping[str, Any]) -> str:
        return "\n".join(f"{name} = {text}" for name, text in value.items())


class OptionsField(NamedLinesField):
    """Lines `name = value`; a value that is JSON (true, 3) is read as such, any other is text."""

    def read(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    @staticmethod
    def written(value: Mapping[str, Any]) -> str:
        return "\n".join(
            f"{name} = {one if isinstance(one, str) else json.dumps(one)}" for name, one in value.items()
        )


# What forms offer for a setting of few values, of the study and of a level alike.
PERSPECTIVES = [("you", _("what do you see")), ("100 others", _("what would 100 other people see"))]
PIXELS = [("css", _("CSS pixels")), ("device", _("pixels of the screen"))]
METHODS = [
    ("mixup@1", _("mixup@1: rounded")),
    ("hmix@1", _("hmix@1: rounded down")),
]
RESAMPLING = [("nearest", _("nearest neighbour")), ("bicubic", _("bicubic"))]


def interface_choices() -> list[tuple[str, str]]:
    return [(name, f"{name}: {gettext(interface.TITLE)}") for name, interface in INTERFACES.items()]


def options_help() -> str:
    """Which options there are, with their defaults."""
    told = [
        f"{name}: "
        + ", ".join(f"{option}={json.dumps(value)}" for option, value in interface.OPTIONS.items())
        for name, interface in INTERFACES.items()
        if interface.OPTIONS
    ]
    return gettext("A line name=value each; empty for the defaults. %s") % "; ".join(told).replace('"', "")


class ClassPairsField(LinesField):
    """A pair of classes a line, `cat / dog`, as names; which classes there are is known with the image set."""

    def clean(self, value: Any) -> list[str]:
        return [line.strip() for line in super().clean(value).split("\n") if line.strip()]


def read_class_pairs(lines: Iterable[str], classes: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """The indices of the classes that lines `cat / dog` name.

    Raises:
        ValidationError: a line names no pair of `classes`.
    """
    index = {name.strip().casefold(): number for number, name in enumerate(classes)}
    return tuple(_class_pair(line, index, classes) for line in lines)


def _class_pair(line: str, index: Mapping[str, int], classes: Sequence[str]) -> tuple[int, int]:
    parts = line.split("/")
    for cut in range(1, len(parts)):  # a name may hold a stroke itself
        first, second = ("/".join(names).strip().casefold() for names in (parts[:cut], parts[cut:]))
        if first in index and second in index:
            return index[first], index[second]
    known = ", ".join(classes[:30]) + (", …" if len(classes) > 30 else "")
    raise forms.ValidationError(
        _("“%(line)s” is no pair such as “%(first)s / %(second)s”. The classes are: %(known)s."),
        params={"line": line, "first": classes[0], "second": classes[-1], "known": known},
    )


def written_class_pairs(pairs: Iterable[tuple[int, int]], classes: Sequence[str]) -> str:
    return "\n".join(f"{classes[first]} / {classes[second]}" for first, second in pairs)


def pages(text: str) -> list[str]:
    """The pages of a text, which lines of --- part."""
    return [page.strip() for page in f"\n{text}\n".split(PAGE_BREAK) if page.strip()]


def written_pages(value: Iterable[str]) -> str:
    return PAGE_BREAK.join(f"\n{page}\n" for page in value).strip()


class QuestionsField(LinesField):
    """Comprehension questions as text: a question, its answers with - and the right one with *, > explains."""

    def clean(self, value: Any) -> list[dict[str, Any]]:
        blocks = super().clean(value).split("\n\n")
        return [self._question(block) for block in blocks if block.strip()]

    def _question(self, block: str) -> dict[str, Any]:
        lines = [line.strip() for line in block.strip().split("\n")]
        options = [line for line in lines[1:] if line[:1] in ("*", "-")]
        explained = [line.removeprefix(">").strip() for line in lines[1:] if line.startswith(">")]
        right = [number for number, line in enumerate(options) if line.startswith("*")]
        if len(right) != 1 or len(options) + len(explained) != len(lines) - 1:
            raise forms.ValidationError(
                _(
                    "“%(line)s”: below a question each line is an answer, * the right one or - another, or > why."
                ),
                params={"line": lines[0]},
            )
        return {
            "prompt": lines[0],
            "options": [line[1:].strip() for line in options],
            "correct": right[0],
            "explain": " ".join(explained),
        }

    @staticmethod
    def written(value: Iterable[Mapping[str, Any]]) -> str:
        return "\n\n".join("\n".join(_question_lines(question)) for question in value)


def _question_lines(question: Mapping[str, Any]) -> Iterator[str]:
    yield str(question["prompt"])
    for number_, option in enumerate(question["options"]):
        yield f"{'*' if number_ == question['correct'] else '-'} {option}"
    if question.get("explain"):
        yield f"> {question['explain']}"
