"""What every join and every saved answer needs of its protocol, read once a process: settings, texts, class names.

A protocol's content never changes while answers refer to it, and its hash names it, so what was read stays right.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

from elicitation.interfaces import interface_named
from elicitation.interfaces.base import Interface
from elicitation.interfaces.drawing import BALANCED
from elicitation.studies.factors import Levels, levels_within
from elicitation.studies.models import Protocol
from elicitation.studies.protocol import Settings, condition_content, content_sha256, settings_of
from elicitation.studies.texts import Question, Texts, texts_of
from elicitation.studies.ways import settings_with, texts_with


@dataclass(frozen=True)
class Way:
    """One way in which a study asks: its settings and texts under some levels."""

    settings: Settings
    texts: Texts

    @property
    def interface(self) -> Interface:
        return interface_named(self.settings.interface)

    @cached_property
    def condition(self) -> tuple[str, dict[str, Any]]:
        """The sha256 and the content of the condition under which this way asks.

        The interface asks as this version of hilmix has it, also in a study whose protocol an earlier version wrote.
        Options that say "balanced" are left out: before there were such options, everything was, and answers from
        before and after were asked for alike.
        """
        options = {name: value for name, value in self.settings.options.items() if value != BALANCED}
        asking = replace(self.settings, interface_version=self.interface.VERSION, options=options)
        content = condition_content(asking, self.texts.wording)
        return content_sha256(content), content


@dataclass(frozen=True)
class Reading:
    """A protocol's settings and texts, and the image set's class names in the order of their indices."""

    settings: Settings
    classes: tuple[str, ...]
    texts: Texts
    _ways: dict[frozenset[tuple[str, str]], Way] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def interface(self) -> Interface:
        return interface_named(self.settings.interface)

    def way(self, levels: Levels) -> Settings:
        """The settings as the levels of a trial or a person have them."""
        return self.asking(levels).settings

    def asking(self, levels: Levels) -> Way:
        """The way of asking under `levels`."""
        key = frozenset(levels.items())
        if key not in self._ways:
            texts = texts_with(self.texts, self.settings, levels)
            self._ways[key] = Way(settings_with(self.settings, levels), texts)
        return self._ways[key]

    def ways_of(self, levels: Levels) -> list[tuple[Levels, Way]]:
        """Every way in which a person with `levels` (of factors between people) is asked, with the levels of all
        factors."""
        met: list[Levels] = [{**levels, **within} for within in levels_within(self.settings.factors)]
        return [(every, self.asking(every)) for every in met]

    def questions_of(self, levels: Levels) -> list[Question]:
        """The comprehension questions for a person with `levels`: those of all their ways, each once."""
        once: list[Question] = []
        for _levels, way in self.ways_of(levels):
            once += [question for question in way.texts.comprehension if question not in once]
        return once


def reading_of(protocol: Protocol) -> Reading:
    """The reading of `protocol`, whose content need not be loaded."""
    return _read(protocol.sha256)


@lru_cache(maxsize=256)
def _read(sha256: str) -> Reading:
    # Two studies may share a content and its hash; then they share the image set that it names, too.
    protocol = Protocol.objects.filter(sha256=sha256).select_related("study__image_set")[0]
    return Reading(
        settings_of(protocol.content), tuple(protocol.study.image_set.classes), texts_of(protocol.content)
    )
