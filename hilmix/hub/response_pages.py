"""The page of a study's responses: every answer with what it says, and whether labels use it or why not."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from django_filters import ChoiceFilter

from elicitation.monitoring.filters import EVERY_MODE, ModeFilter
from elicitation.studies.models import Mode, Study
from elicitation.studies.pages import visible_study
from elicitation.studies.protocol import settings_of
from elicitation.trials.models import Trial, TrialImage
from hilmix.accounts.roles import Action, allowed
from hilmix.core.mixing import lambda_text
from hilmix.hub.answers_shown import RELATED, Counting, answers_shown, condition_in_words
from hilmix.lists import Filters, SortedBy, TextFilter, listing

Many = QuerySet[Any]


@require_safe
def study_responses(request: HttpRequest, slug: str) -> HttpResponse:
    """The answers of a study, by participation and trial unless asked for in another order."""
    study = visible_study(request, slug)
    counting = Counting(study)
    responses = counting.answers().select_related(*RELATED).prefetch_related("trial__images__mixed_image")
    in_order = responses.order_by("trial__participation_id", "trial__position")
    found = listing(request, in_order, response_filters(study, counting))
    context = {
        "study": study,
        "listing": found,
        "answers": answers_shown(counting, found.page),
        "has_conditions": len(counting.conditions) > 1,
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    return render(request, "hub/responses.html", context)


def response_filters(study: Study, counting: Counting) -> type[Filters]:
    """The filters of one study's responses: the ways of asking and the λ are its own."""
    conditions = [(str(pk), condition_in_words(one)) for pk, one in counting.conditions.items()]

    class ResponseFilters(Filters):
        person = TextFilter(field_name="trial__participation__public_id", label=_("Participation"))
        mode = ModeFilter(
            field_name="trial__participation__mode",
            choices=[*((mode, mode.label) for mode in (Mode.PILOT, Mode.PREVIEW)), (EVERY_MODE, _("all"))],
            label=_("Mode"),
            empty_label=_("live"),
        )
        if len(conditions) > 1:
            condition = ChoiceFilter(
                field_name="trial__condition", choices=conditions, label=_("Asked"), empty_label=_("all")
            )
        shown = ChoiceFilter(
            choices=lambda_choices(study), label=_("λ shown"), empty_label=_("all"), method="by_lambda"
        )
        kind = ChoiceFilter(
            field_name="trial__kind", choices=Trial.Kind.choices, label=_("Trial"), empty_label=_("all")
        )
        counted = ChoiceFilter(
            choices=[("yes", _("counts")), ("no", _("does not count"))],
            label=_("Counting"),
            empty_label=_("all"),
            method="by_counting",
        )
        order = SortedBy(
            {
                "newest": (_("newest first"), ("-received_at",)),
                "oldest": (_("oldest first"), ("received_at",)),
                "slow": (_("slowest first"), ("-rt_ms",)),
            }
        )

        def by_lambda(self, queryset: Many, name: str, value: str) -> Many:
            shown = TrialImage.objects.filter(trial=OuterRef("trial"), mixed_image__lambda_e4=value)
            return queryset.filter(Exists(shown))

        def by_counting(self, queryset: Many, name: str, value: str) -> Many:
            return queryset.filter(Counting.counted if value == "yes" else ~Counting.counted)

    return ResponseFilters


def lambda_choices(study: Study) -> list[tuple[str, str]]:
    """The λ of a study's design, for a filter."""
    lambdas_e4 = settings_of(study.protocol.content).design.lambdas_e4
    return [(str(lambda_e4), lambda_text(lambda_e4)) for lambda_e4 in sorted(lambdas_e4)]
