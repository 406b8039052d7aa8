"""What every way of asking declares. An interface is a module with these names; only it knows its answers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from hilmix.core.judgements import Judgement

Params = dict[str, Any]
Payload = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A field of a cleaned answer, described once for exports and documentation.

    `timing` marks times and focus events: they are kept only where the study states why it needs them. `steps` marks
    a list of `[milliseconds, …]`: kept in any case, and without the milliseconds where times are not.
    """

    name: str
    description: str
    timing: bool = False
    steps: bool = False


@dataclass(frozen=True)
class Asked:
    """What a trial asks about, as far as an interface may know it.

    `classes` names of the image set's classes · `first_class`, `second_class` indices of the pair's classes ·
    `lambdas_e4` the study's λ in ascending order where the unit is a pair; empty for a mixed image, whose λ is not
    known here · `options` the study's for this interface · `person` drawn once for the participation · `params` drawn
    for the trial (empty while they are being drawn).
    """

    classes: tuple[str, ...]
    first_class: int
    second_class: int
    lambdas_e4: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    person: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


class Interface(Protocol):
    """The contract of an interface module."""

    NAME: str
    VERSION: int
    TITLE: str  # for researchers, translatable: what it asks, in a few words
    UNIT: Literal["mixed_image", "pair"]
    PLUGIN: str  # the jsPsych plugin under static/elicitation/plugins/
    JUDGEMENT: type[Judgement]  # what its answers say; some may take `CannotTell` as well
    CHECKS: bool  # may be asked about an unmixed image, to see whether somebody looks
    COLUMNS: tuple[Column, ...]
    OPTIONS: Mapping[str, Any]  # name → default

    def check_options(self, options: Mapping[str, Any], *, n_classes: int, n_lambdas: int) -> dict[str, Any]:
        """The options with defaults filled in.

        Raises:
            Invalid: an option is unknown or has a value it cannot have (fields name it).
        """

    def texts(self) -> dict[str, Any]:
        """Default words, translated into the active language: `wording` {name: plain text} said at each trial,
        `instructions` [Markdown], `short_instructions` Markdown, `comprehension` [{prompt, options, correct, explain}].
        All are about the controls; none says or shows what was mixed in which share."""

    def draw_person(self, rng: random.Random, *, classes: Sequence[str]) -> Params:
        """What stays the same for a person, such as the order of the classes.

        Somebody who meets several interfaces keeps what these draw under one name, as the first of them drew it.
        """

    def draw_params(self, rng: random.Random, asked: Sequence[Asked]) -> list[Params]:
        """What differs between the trials of one participant (sides, orders, starts), balanced, drawn once."""

    def shown_order(self, asked: Asked) -> Sequence[int]:
        """Positions in `lambdas_e4` in the order in which the images are shown; (0,) for a mixed image."""

    def shown_to_person(self, person: Params, classes: Sequence[str]) -> dict[str, Any]:
        """What the browser is told once."""

    def shown(self, asked: Asked) -> dict[str, Any]:
        """What the browser is told of a trial. Never λ, and nothing that λ could be computed from."""

    def clean(self, payload: Mapping[str, Any], asked: Asked) -> Payload:
        """The answer in its stored form.

        Raises:
            Invalid: with a message for the person, if it is no answer this interface takes.
        """

    def judgement(self, payload: Payload, asked: Asked) -> Judgement:
        """What a cleaned answer says about its unit."""

    def payload_for(self, judgement: Judgement, asked: Asked, rng: np.random.Generator) -> Payload:
        """The answer a simulated participant sends to express `judgement`."""
