"""How the people of a release were asked, put together from its conditions and the levels of its answers.

A release says under which condition each answer was given and which level of each factor its trial had; here becomes of
that which level sets what, as a protocol has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.conf import settings as project

from elicitation.interfaces import interface_named
from elicitation.studies.factors import Factor, Level
from elicitation.studies.protocol import PERSPECTIVES, Display, content_sha256
from hilmix.core.errors import DataError
from hilmix.errors import Invalid
from hilmix.hub.importers.release_reading import Cells, Facts, Person, once
from hilmix.hub.importers.report import Wrong
from hilmix.hub.importers.rows import Row, object_in

Levels = tuple[tuple[str, str], ...]  # factor and level, sorted

WHOLE = ("interface", "perspective", "bonus")  # what a level sets as a whole
PARTS = ("options", "display")  # of these it sets single entries
MOST_CHARACTERS = 2000  # of one text that people read


@dataclass(frozen=True)
class Way:
    """A way of asking, and what varies in it."""

    interface: str
    version: int
    options: Mapping[str, Any]
    language: str
    perspective: str
    bonus: str
    display: Display
    wording: Mapping[str, str] = field(default_factory=dict)
    factors: tuple[Factor, ...] = ()

    @classmethod
    def of_format_1(cls) -> Way:
        """Releases of hilmix 0.1 do not say how was asked; there was one interface."""
        return cls("infer", 1, {}, "en-gb", "100 others", "", Display())

    @property
    def content(self) -> dict[str, Any]:
        """As a condition stores it; equal contents have equal names."""
        return {
            "interface": self.interface,
            "interface_version": self.version,
            "options": dict(self.options),
            "language": self.language,
            "perspective": self.perspective,
            "wording": dict(self.wording),
            "bonus": self.bonus,
            "display": asdict(self.display),
        }


class Ways:
    """Reads the rows of the table `conditions`."""

    def __init__(self, n_classes: int, n_lambdas: int) -> None:
        self._n_classes = n_classes
        self._n_lambdas = n_lambdas
        self._names: set[str] = set()
        self._contents: set[str] = set()

    def read(self, cells: Cells) -> tuple[str, Way]:
        """The name of a condition, and how was asked under it."""
        name = once("condition", cells["condition"], self._names)
        if not name:
            raise Wrong("condition", "condition is empty.")
        try:
            interface = interface_named(cells["interface"])
        except Invalid as error:
            raise Wrong("interface", error.message) from None
        version = cells["interface_version"]
        if not 1 <= version <= interface.VERSION:
            raise Wrong("interface_version", f"{interface.NAME} has no version {version} here.")
        options = object_in("options", cells["options"])
        try:
            interface.check_options(options, n_classes=self._n_classes, n_lambdas=self._n_lambdas)
        except Invalid as error:
            raise Wrong("options", error.message) from None
        way = Way(
            interface=interface.NAME,
            version=version,
            options=options,
            language=_one_of("language", cells["language"], tuple(dict(project.LANGUAGES))),
            perspective=_one_of("perspective", cells["perspective"], PERSPECTIVES),
            bonus=_text("bonus", cells["bonus"]),
            display=_display(object_in("display", cells["display"])),
            wording={
                text: _text("wording", said) for text, said in object_in("wording", cells["wording"]).items()
            },
        )
        once("condition", content_sha256(way.content), self._contents)
        return name, way


def _one_of(column: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise Wrong(column, f"{column} is {value!r}, none of {', '.join(known)}.")
    return value


def _text(column: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS or "\0" in value:
        raise Wrong(column, f"{column} says {value!r}, not a text of at most {MOST_CHARACTERS:,} characters.")
    return value


def _display(said: Mapping[str, Any]) -> Display:
    try:
        display = Display(**said)
        problems = display.problems()
    except TypeError as error:
        raise Wrong("display", f"The display is {said!r}, which is none ({error}).") from None
    for name, problem in problems.items():
        raise Wrong("display", f"{name} is {said[name]!r}. {' '.join(problem)}")
    return display


def protocols_met(newest: str, people: Iterable[Person]) -> list[str]:
    """The versions of the protocol that people met, by sha256 in the release, the `newest` last."""
    return sorted({one.protocol_sha256 for one in people}, key=lambda sha256: (sha256 == newest, sha256))


def ways_of_protocols(
    facts: Facts, conditions: Mapping[str, Way], people: Mapping[str, Person], rows: Iterable[Row]
) -> dict[str, Way]:
    """How each version of the protocol asked, in the order of `protocols_met`.

    Raises DataError where the release does not say which trial was asked in which way, or how a version asked.
    """
    asked: dict[str, dict[Levels, str]] = {
        sha256: {} for sha256 in protocols_met(facts.protocol_sha256, people.values())
    }
    for row in rows:
        if (answer := row.answer) is None:
            continue
        levels = tuple(sorted(answer.levels.items()))
        known = asked[people[answer.subject].protocol_sha256].setdefault(levels, answer.condition)
        if known != answer.condition:
            raise DataError(
                f"The answers of one version of the protocol were given under {known!r} and {answer.condition!r}, and "
                "the release does not say which trial was asked in which way."
            )
    if not asked or not all(asked.values()):
        raise DataError(
            "The release holds no answers under a version of the protocol: nobody knows how it asked."
        )
    return {
        sha256: _way_of_protocol({levels: conditions[name] for levels, name in said.items()}, facts.factors)
        for sha256, said in asked.items()
    }


def _way_of_protocol(asked: Mapping[Levels, Way], factors: Sequence[Factor]) -> Way:
    """One version of a protocol: its first way of asking, and in `factors` what the others have differently.

    Raises DataError where no factor explains a difference.

    Args:
        asked: levels → how was asked at them.
    """
    ways = list(asked.values())
    sets: dict[str, dict[str, dict[str, Any]]] = {factor.name: {} for factor in factors}
    for setting, part, values in _differences(ways):
        name = _explaining(asked, values, sets)
        if name is None:
            raise DataError(f"The release does not say why its conditions differ in {part or setting}.")
        for levels, value in zip(asked, values, strict=True):
            of_level = sets[name].setdefault(dict(levels)[name], {})
            if part is None:
                of_level[setting] = value
            elif value is not None:
                of_level.setdefault(setting, {})[part] = value
    setting_levels = [
        replace(
            factor,
            levels=tuple(Level(one.name, sets[factor.name].get(one.name, {})) for one in factor.levels),
        )
        for factor in factors
    ]
    return replace(ways[0], factors=tuple(setting_levels))


def _differences(ways: Sequence[Way]) -> Iterator[tuple[str, str | None, list[Any]]]:
    """What the ways have differently: the setting, the entry of it, and what each way has there."""
    contents = [way.content for way in ways]
    for setting in WHOLE:
        if len({content[setting] for content in contents}) > 1:
            yield setting, None, [content[setting] for content in contents]
    for setting in PARTS:
        for part in sorted({part for content in contents for part in content[setting]}):
            values = [content[setting].get(part) for content in contents]
            if any(value != values[0] for value in values):
                yield setting, part, values


def _explaining(asked: Mapping[Levels, Way], values: Sequence[Any], factors: Mapping[str, Any]) -> str | None:
    """The factor whose level decides which of `values` there is."""
    for factor in factors:
        decided: dict[str | None, Any] = {}
        pairs = [(dict(levels).get(factor), value) for levels, value in zip(asked, values, strict=True)]
        if all(level is not None and decided.setdefault(level, value) == value for level, value in pairs):
            return factor
    return None
