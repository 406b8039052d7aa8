"""What every saved answer needs of its protocol, read once a process: its settings and the names of the classes.

A protocol's content never changes while answers refer to it, and its hash names it, so what was read stays right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from elicitation.interfaces import interface_named
from elicitation.interfaces.base import Interface
from elicitation.studies.factors import Levels
from elicitation.studies.models import Protocol
from elicitation.studies.protocol import Settings, settings_of
from elicitation.studies.texts import Texts, texts_of
from elicitation.studies.ways import settings_with


@dataclass(frozen=True)
class Reading:
    """A protocol's settings, and the image set's class names in the order of their indices."""

    settings: Settings
    classes: tuple[str, ...]
    texts: Texts

    @property
    def interface(self) -> Interface:
        return interface_named(self.settings.interface)

    def way(self, levels: Levels) -> Settings:
        """The settings as the levels of a trial or a person have them."""
        return settings_with(self.settings, levels) if levels else self.settings


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
