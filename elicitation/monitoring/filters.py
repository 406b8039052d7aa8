"""What the lists of participations and of reported problems can be filtered and ordered by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import ChoiceFilter

from elicitation.monitoring.words import in_words
from elicitation.participants.models import Participation, over_quota
from elicitation.studies.factors import cells_of
from elicitation.studies.models import Mode, Study
from elicitation.studies.protocol import settings_of
from elicitation.studies.rules import FLAGS
from hilmix.lists import Filters, SortedBy, TextFilter

EVERY_MODE = "all"
ANY_FLAG = "any"
MANY = QuerySet[Any]

VALIDITY = [
    ("counts", _("counts")),
    ("invalid", _("marked as not to count")),
    ("left_out", _("left out by a rule")),
    ("over_quota", _("over quota")),
]
REPORTED = [("open", _("not handled")), ("any", _("any"))]


class ModeFilter(ChoiceFilter):
    """Live participations unless others are asked for: pilot and preview are never mixed with them unseen."""

    def filter(self, qs: MANY, value: str) -> MANY:
        return qs if value == EVERY_MODE else qs.filter(**{self.field_name: value or Mode.LIVE})


class ProblemFilters(Filters):
    text = TextFilter(label=_("Text"))
    handled = ChoiceFilter(
        choices=[("no", _("not handled")), ("yes", _("handled"))],
        label=_("State"),
        empty_label=_("all"),
        method="of_state",
    )
    order = SortedBy({"oldest": (_("oldest first"), ("pk",)), "newest": (_("newest first"), ("-pk",))})

    def of_state(self, qs: MANY, name: str, value: str) -> MANY:
        return qs.filter(handled_at__isnull=value == "no")


def participation_filters(
    study: Study, flagged: Mapping[str, Collection[int]], left_out: Collection[int]
) -> type[Filters]:
    """The filters of one study's participations.

    Args:
        flagged: flag → keys of the participations that have it.
        left_out: keys of those that a rule leaves out of labels.
    """
    cells = cells_of(settings_of(study.protocol.content).factors)
    combinations = [(str(at), in_words(cell)) for at, cell in enumerate(cells) if cell]

    class ParticipationFilters(Filters):
        name = TextFilter(field_name="public_id", label=_("Participation"))
        mode = ModeFilter(
            choices=[*((m, m.label) for m in (Mode.PILOT, Mode.PREVIEW)), (EVERY_MODE, _("all"))],
            label=_("Mode"),
            empty_label=_("live"),
        )
        state = ChoiceFilter(choices=Participation.State.choices, label=_("State"), empty_label=_("all"))
        validity = ChoiceFilter(
            choices=VALIDITY, label=_("Counting"), empty_label=_("all"), method="of_validity"
        )
        flag = ChoiceFilter(
            choices=[(ANY_FLAG, _("any")), *((name, flag.meaning) for name, flag in FLAGS.items())],
            label=_("Flag"),
            empty_label=_("all"),
            method="of_flag",
        )
        problem = ChoiceFilter(
            choices=REPORTED, label=_("Problem reported"), empty_label=_("all"), method="of_problem"
        )
        order = SortedBy(
            {
                "oldest": (_("oldest first"), ("started_at",)),
                "answers": (_("most answers first"), ("-n_answers",)),
                "quick": (_("quickest first"), ("took",)),
                "slow": (_("slowest first"), ("-took",)),
                "rounds": (_("most rounds first"), ("-n_rounds",)),
            }
        )
        if combinations:
            levels = ChoiceFilter(
                choices=combinations, label=_("Levels"), empty_label=_("all"), method="of_levels"
            )

        def of_levels(self, qs: MANY, name: str, value: str) -> MANY:
            return qs.filter(levels=cells[int(value)])

        def of_flag(self, qs: MANY, name: str, value: str) -> MANY:
            every = {pk for keys in flagged.values() for pk in keys}
            return qs.filter(pk__in=every if value == ANY_FLAG else flagged.get(value, ()))

        def of_validity(self, qs: MANY, name: str, value: str) -> MANY:
            if value == "over_quota":
                return qs.filter(over_quota())
            if value == "left_out":
                return qs.filter(pk__in=left_out)
            if value == "invalid":
                return qs.filter(invalid_at__isnull=False)
            return qs.filter(invalid_at=None).exclude(pk__in=left_out)

        def of_problem(self, qs: MANY, name: str, value: str) -> MANY:
            reports = {"problem_reports__isnull": False}
            if value == "open":
                reports = {"problem_reports__handled_at__isnull": True, **reports}
            return qs.filter(**reports).distinct()

    return ParticipationFilters
