"""What every way of asking declares. An interface is a module with these names; only it knows its answers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from hilmix.core.judgements import Judgement

Params = dict[str, Any]
Payload = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A field of a cleaned answer, described once for exports and documentation."""

    name: str
    description: str


class Interface(Protocol):
    """The contract of an interface module."""

    NAME: str
    VERSION: int
    UNIT: Literal["mixed_image", "pair"]
    PLUGIN: str  # the jsPsych plugin under static/elicitation/plugins/
    COLUMNS: tuple[Column, ...]

    def draw_params(self, rng: random.Random, n: int) -> list[Params]:
        """What differs between `n` trials of one participant (sides, orders, starts), balanced, drawn once."""

    def shown(self, params: Params, first_class: str, second_class: str) -> dict[str, Any]:
        """What the browser is told of a trial. Never λ, and nothing that λ could be computed from."""

    def clean(self, payload: Mapping[str, Any]) -> Payload:
        """The answer in its stored form.

        Raises:
            Invalid: with a message for the person, if it is no answer this interface takes.
        """

    def judgement(self, payload: Payload, params: Params) -> Judgement:
        """What a cleaned answer says about its unit."""

    def payload_for(self, judgement: Judgement, params: Params, rng: np.random.Generator) -> Payload:
        """The answer a simulated participant sends to express `judgement`."""
