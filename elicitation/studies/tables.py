"""Tables of a TOML file, taken key by key: what has another type than it must have, or is left over, is said by place.

A number with a point comes as a Decimal, so that 0.25 is exactly 0.25 wherever a hundredth or a ten-thousandth counts.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from decimal import Decimal
from typing import Any, TypeVar

from hilmix.errors import Invalid

T = TypeVar("T")
REQUIRED: Any = object()
NOTHING = "none"  # TOML has no null: an enlargement or exposure that is not limited
MAX_CHARACTERS = 2_000_000
LARGEST = 2**63 - 1  # a whole number that every database holds
# A key of a hundred parts, such as x.x.x…: none of ours has ten, and the time of the parser grows with their square.
LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""")


class Problems:
    """What is wrong with a file, each with its place."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def add(self, place: str, message: str) -> None:
        self.said.append(f"{place}: {message}")

    def refuse(self) -> None:
        """Raise Invalid with all that was said, if anything was."""
        if self.said:
            raise Invalid("The file cannot be read as a study.", fields={"file": self.said})


class Table:
    """One table at `place`. Take its keys, then say `done`: whatever is left is a key that nothing reads."""

    def __init__(self, values: Mapping[str, Any], place: str, problems: Problems) -> None:
        self.values = dict(values)
        self.place = place
        self.problems = problems

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def at(self, name: str) -> str:
        """The place of a key."""
        return f"{self.place}.{name}" if self.place else name

    def wrong(self, name: str, message: str) -> None:
        self.problems.add(self.at(name), message)

    def take(self, name: str, read: Callable[[Any], T], form: str, default: Any = REQUIRED) -> T:
        """The value of a key as `read` makes it; `default` where it is missing or is none of `form`."""
        fallback = None if default is REQUIRED else default
        if name not in self.values:
            if default is REQUIRED:
                self.wrong(name, f"this is missing. It is {form}.")
            return fallback  # type: ignore[return-value]  # the problem that was said is raised before it is used
        try:
            return read(self.values.pop(name))
        except (TypeError, ValueError, ArithmeticError, RecursionError, Invalid):
            self.wrong(name, f"this must be {form}.")
            return fallback  # type: ignore[return-value]

    def text(self, name: str, default: str = REQUIRED) -> str:
        return self.take(name, as_text, "text in quotation marks", default)

    def table(self, name: str) -> Table:
        """The table of a key; an empty one where it is missing."""
        return Table(self.take(name, as_table, "a table", {}), self.at(name), self.problems)

    def tables(self, name: str) -> list[Table]:
        """The tables of a key; none where it is missing."""
        found = self.take(name, as_tables, "a list of tables", [])
        return [
            Table(values, f"{self.at(name)}[{number}]", self.problems)
            for number, values in enumerate(found, 1)
        ]

    def part(self, kind: type[T], **special: tuple[str, Callable[[Any], Any], str]) -> T:
        """A dataclass whose fields are the keys; a field that is missing has its default.

        `special` names for a field its key, how to read it, and what form that has.
        """
        said = {}
        for field in fields(kind):  # type: ignore[arg-type]  # a dataclass
            key, read, form = special.get(field.name) or (field.name, *_form_of(field))
            default = _default_of(field)
            if key in self or default is REQUIRED:
                said[field.name] = self.take(key, read, form, default)
        self.done()
        return kind(**said)

    def done(self) -> None:
        """Say which keys nothing has taken."""
        for name in self.values:
            self.wrong(name, "nothing is called so here.")


def parsed(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        Invalid: it is no TOML; the message says in which line.
    """
    if len(text) > MAX_CHARACTERS:
        raise Invalid("The file is too long to be a study: at most 2,000,000 characters.")
    if LONG_KEY.search(text):
        message = "The file is no study: a key of it has a hundred parts or more."
        raise Invalid(message, fields={"file": [message]})
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        message = f"The file is no TOML: {error}."
        raise Invalid(message, fields={"file": [message]}) from None


# -- how a value is read: each raises TypeError or ValueError for what has another form


def as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    if "\0" in value:  # no database holds it in a text
        raise ValueError
    return value


def as_whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    if abs(value) > LARGEST:
        raise ValueError
    return value


def as_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def as_number(value: Any) -> float:
    """A number as it was written: whole, or with a point."""
    if not isinstance(value, Decimal):
        return as_whole(value)
    if not math.isfinite(number := float(value)):
        raise ValueError
    return number


def as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def as_wholes(value: Any) -> tuple[int, ...]:
    return tuple(map(as_whole, as_list(value)))


def as_texts(value: Any) -> list[str]:
    return list(map(as_text, as_list(value)))


def as_table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def as_tables(value: Any) -> list[dict[str, Any]]:
    return list(map(as_table, as_list(value)))


def as_texts_by_name(value: Any) -> dict[str, str]:
    return {as_text(name): as_text(text) for name, text in as_table(value).items()}


def as_numbers_by_name(value: Any) -> dict[str, float]:
    return {name: as_number(number) for name, number in as_table(value).items()}


def as_plain(value: Any) -> Any:
    """Text, numbers, truth, and lists and tables of them, as JSON has them."""
    if isinstance(value, dict):
        return as_plain_table(value)
    if isinstance(value, list):
        return [as_plain(one) for one in value]
    if isinstance(value, str):
        return as_text(value)
    return value if isinstance(value, bool) else as_number(value)


def as_plain_table(value: Any) -> dict[str, Any]:
    return {as_text(name): as_plain(one) for name, one in as_table(value).items()}


_FORMS: Mapping[type, tuple[Callable[[Any], Any], str]] = {
    bool: (as_flag, "true or false"),
    int: (as_whole, "a whole number"),
    float: (as_number, "a number"),
    str: (as_text, "text in quotation marks"),
    tuple: (as_wholes, "a list of whole numbers"),
}


def _form_of(field: Field[Any]) -> tuple[Callable[[Any], Any], str]:
    """How the values of a field are read, by the type of its default; a field without one holds text."""
    default = _default_of(field)
    return _FORMS[str if default is REQUIRED else type(default)]


def _default_of(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return REQUIRED if field.default_factory is MISSING else field.default_factory()
