"""What a recruiter is: where participants come from, what it calls them, and which code it is told how a stay ended.

A recruiter is an object without state. What it has to know of one study are its options, kept in `Recruitment`; a code
among them is shown only to somebody whose way has ended like that.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from elicitation.participants.services import Arrival

Options = Mapping[str, Any]

# What a link holds where nobody filled it in: nothing, a template's hole, or a program's word for nothing.
HOLE = re.compile(r"[{}%<>$]")
NOTHING = frozenset({"", "undefined", "null", "none", "nan"})
MAX_ID = 100  # characters of an id that a link may bring


class Outcome(StrEnum):
    """How somebody's stay ends."""

    COMPLETED = "completed"
    NO_CONSENT = "no_consent"
    FAILED_CHECK = "failed_check"
    WRONG_DEVICE = "wrong_device"
    FULL = "full"
    EXCLUDED = "excluded"
    DATA_PROBLEM = "data_problem"
    ENDED = "ended"
    WITHDRAWN = "withdrawn"

    @property
    def label(self) -> Promise:
        """In words, for researchers."""
        return LABELS[self]


LABELS: Mapping[Outcome, Promise] = {
    Outcome.COMPLETED: _("finished"),
    Outcome.NO_CONSENT: _("did not consent"),
    Outcome.FAILED_CHECK: _("did not pass the questions about the controls"),
    Outcome.WRONG_DEVICE: _("the device was not fit for it"),
    Outcome.FULL: _("no place was free, or the study was not open"),
    Outcome.EXCLUDED: _("took part in a study that this one excludes"),
    Outcome.DATA_PROBLEM: _("answers could not be saved"),
    Outcome.ENDED: _("the study was closed while they answered"),
    Outcome.WITHDRAWN: _("withdrew before the end"),
}


class Recruiter(ABC):
    """The contract. `NAME` is stored; `TITLE` is what people read."""

    NAME: ClassVar[str]
    TITLE: ClassVar[Promise | str]
    # Options beside the codes: name → what it means.
    OPTIONS: ClassVar[Mapping[str, str]] = {}
    # Whether the recruiter is told by a code of the study how a stay ended; else everybody who finishes has one's own.
    HAS_CODES: ClassVar[bool] = False
    # Whether somebody whose link says no id is asked for it.
    ASKS_FOR_ID: ClassVar[bool] = False
    # The least an hour is paid, in hundredths, by currency; empty where the recruiter sets none.
    MINIMUM_HOURLY_E2: ClassVar[Mapping[str, int]] = {}
    # What the recruiter takes, as a share of what is paid.
    FEE_SHARE: ClassVar[float] = 0.0

    @abstractmethod
    def check_options(self, options: Options) -> dict[str, Any]:
        """The options as they are stored, with codes drawn where there are none.

        Raises:
            Invalid: an option is unknown or has a value it cannot have (fields name it).
        """

    @abstractmethod
    def arrival(self, params: Mapping[str, str]) -> Arrival:
        """Who comes, as the parameters of the link say it. What nobody filled in is empty."""

    def check_id(self, text: str) -> str:
        """An id that somebody typed in, as the recruiter writes it.

        Raises:
            Invalid: it is none, with a message for the person.
        """
        return text.strip()

    @abstractmethod
    def parameters(self) -> str:
        """What is added to the address that the recruiter is given, with its own holes; empty for none."""

    def code(self, options: Options, outcome: Outcome) -> str:
        """The study's code for an outcome; empty where it has none."""
        return ""

    def completion_url(self, options: Options, outcome: Outcome) -> str:
        """Where somebody goes back to with an outcome; empty where there is no such place."""
        return ""


def told(params: Mapping[str, str], name: str) -> str:
    """The value of a link's parameter; empty where nobody filled it in."""
    value = params.get(name, "").strip()[:MAX_ID]
    return "" if value.lower() in NOTHING or HOLE.search(value) else value
