"""Reading a configuration: everything that is wrong is collected, each beside its key, and refused at once."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hilmix.errors import Invalid

Problems = dict[str, list[str]]


class Problem(str):
    """What is wrong, in words. `bare` are those words without what they are of, and `number` is that of the arm or the
    contrast (from 1) that they are of: a name may read like anything, so it is not told from the words."""

    bare: str
    number: int | None

    def __new__(cls, bare: str, of: str = "", number: int | None = None) -> Problem:
        made = super().__new__(cls, f"{bare} ({of})" if of else bare)
        made.bare, made.number = bare, number
        return made


@dataclass(frozen=True)
class Rule:
    """What a value must be: its type, the test it must pass, and the words for it."""

    kind: type
    test: Any
    words: str


class Checker:
    """Collects what is wrong, so that a person mends it all in one go.

    What is `stored` was accepted once: rules that came later, for what is entered, are not applied to it.
    """

    def __init__(self, *, stored: bool = False) -> None:
        self.problems: Problems = {}
        self.stored = stored

    def refuse(self, key: str, problem: str, *, of: str = "", number: int | None = None) -> None:
        """`of` names the arm or contrast in the words for people, `number` (from 1) to the form."""
        self.problems.setdefault(key, []).append(Problem(problem, of, number))

    def take(self, other: Checker, *, of: str, number: int) -> None:
        """Refuse what another refused of the arm or contrast `number`."""
        for key, problems in other.problems.items():
            for problem in problems:
                self.refuse(key, problem, of=of, number=number)

    def raise_if_any(self) -> None:
        if self.problems:
            raise Invalid(problem_lines(self.problems), fields=self.problems)

    def keys(self, table: Mapping[str, Any], where: str, known: Iterable[str]) -> None:
        """Refuse keys that mean nothing here: a misspelt one would silently leave a default in place."""
        for key in table:
            if key not in known:
                self.refuse(joined(where, key), f"is not known here{did_you_mean(key, known)}")

    def text(self, table: Mapping[str, Any], key: str, *, where: str = "", default: str | None = None) -> str:
        value = table.get(key, default)
        if isinstance(value, str) and value.strip() and len(value) <= 120 and self._may_be(value.strip()):
            return value.strip()
        problem = "is missing" if value is None else "must be a text of 1 to 120 characters on one line"
        self.refuse(joined(where, key), problem)
        return ""

    def _may_be(self, text: str) -> bool:
        return self.stored or _is_one_line(text)

    def text_or_none(self, table: Mapping[str, Any], key: str, *, where: str = "") -> str | None:
        return self.text(table, key, where=where) if key in table else None

    def one_of(self, value: Any, key: str, known: Iterable[str]) -> None:
        """Refuse a name that is not among `known`."""
        if not isinstance(value, str) or value not in (known := list(known)):
            self.refuse(key, f"is {value!r}{did_you_mean(str(value), known)}")

    def values(self, table: Mapping[str, Any], where: str, rules: Mapping[str, Rule]) -> dict[str, Any]:
        """The values of a table that follow their rule; the others are refused."""
        good: dict[str, Any] = {}
        for key in (key for key in rules if key in table):
            rule, value = rules[key], table[key]
            if is_a(value, rule.kind) and rule.test(value):
                good[key] = rule.kind(value)
            else:
                self.refuse(joined(where, key), f"is {value!r}; it {rule.words}")
        return good

    def tables(self, data: Mapping[str, Any], key: str, words: str) -> list[Mapping[str, Any]]:
        """The list of tables under `key`, empty where there is none; anything else is refused with `words`."""
        value = data.get(key, [])
        if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
            return value
        self.refuse(key, words)
        return []

    def table(self, data: Mapping[str, Any], key: str, words: str, *, where: str = "") -> Mapping[str, Any]:
        """The table under `key`, empty where there is none; anything else is refused with `words`."""
        value = data.get(key, {})
        if isinstance(value, Mapping):
            return value
        self.refuse(joined(where, key), words)
        return {}


def problem_lines(problems: Mapping[str, Iterable[str]]) -> str:
    """One line a problem, such as `train.epochs: is 0; it must be …`."""
    return "\n".join(f"{key}: {text}" for key, texts in problems.items() for text in texts)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to append to a refusal: the known word that is closest, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known) or 'none'}"


def is_a(value: Any, kind: type) -> bool:
    """Whether `value` is of `kind`; a whole number is a number, true and false are not."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, (int, float)) if kind is float else isinstance(value, kind)


def _is_one_line(text: str) -> bool:
    """Whether nothing in `text` breaks a line, is a control character, or is half of a character."""
    return not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in text)


def repeated(values: Iterable[Any]) -> list[Any]:
    """The values that stand there a second time."""
    seen: set[Any] = set()
    return [value for value in values if value in seen or seen.add(value)]  # type: ignore[func-returns-value]


def joined(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def without_none(data: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null: what was not given is left out."""
    return {
        key: without_none(value) if isinstance(value, Mapping) else value
        for key, value in data.items()
        if value is not None
    }
