"""A link that is handed out: in a lecture, a mail, a laboratory. Everybody who finishes gets a code of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from elicitation.participants.services import Arrival
from elicitation.recruiters.base import Options, Outcome, Recruiter, told
from hilmix.errors import Invalid

PROBLEM = "DATA_PROBLEM"  # instead of a code of one's own, where answers could not be saved


class Direct(Recruiter):
    """`?pid=…` in the link says who comes, where whoever hands links out wants to know; nobody is asked for it."""

    NAME = "direct"
    TITLE = _("a link that you hand out")

    def check_options(self, options: Options) -> dict[str, Any]:
        if options:
            raise Invalid("A direct link has no options.", fields={name: ["Unknown."] for name in options})
        return {}

    def arrival(self, params: Mapping[str, str]) -> Arrival:
        return Arrival(pid=told(params, "pid"))

    def parameters(self) -> str:
        return ""

    def code(self, options: Options, outcome: Outcome) -> str:
        return PROBLEM if outcome == Outcome.DATA_PROBLEM else ""
