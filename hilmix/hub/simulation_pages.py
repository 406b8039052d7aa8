"""Pages of a study's simulations: the list with the form that starts one, and what one found."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from elicitation.studies.fields import GroupedForm, NumbersField
from elicitation.studies.models import Source, Study
from elicitation.studies.pages import visible_study
from elicitation.studies.protocol import settings_of
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed, require
from hilmix.errors import Conflict, Invalid
from hilmix.figures import Table, show
from hilmix.hub.models import Release, Simulation
from hilmix.hub.simulating import JOB_KIND, MOST_REPETITIONS, REPETITIONS, queue_simulation
from hilmix.hub.simulation_tables import copy_table, hypotheses_of, notes_of, power_figure, power_table
from hilmix.jobs.models import Job
from hilmix.lists import Filters, listing


class SimulationForm(GroupedForm):
    """What is simulated, and how often. The fields are those of `queue_simulation`."""

    release = forms.ModelChoiceField(
        queryset=Release.objects.none(),
        label=_("People like those of the release"),
        help_text=_(
            "Simulated participants see and answer as its people did, on average and in their differences."
        ),
    )
    answers = NumbersField(
        required=False,
        label=_("Answers a unit to compare"),
        help_text=_("Such as 2 4 9. Empty: 2, 4, 9 and the study's own."),
    )
    repetitions = forms.IntegerField(
        initial=REPETITIONS,
        min_value=20,
        max_value=MOST_REPETITIONS,
        label=_("Repetitions in memory"),
        help_text=_("200 give power to about ± .07."),
    )
    seed = forms.IntegerField(
        initial=1, label=_("Seed"), help_text=_("The same seed gives the same numbers.")
    )

    def __init__(self, person: User, data: Any = None) -> None:
        super().__init__(data)
        releases = Release.objects.visible_to(person).select_related("study")
        self.fields["release"].queryset = releases  # type: ignore[attr-defined]
        self.fields["repetitions"].error_messages.update(
            dict.fromkeys(("min_value", "max_value"), f"Between 20 and {MOST_REPETITIONS:,}.")
        )


class SimulationFilters(Filters):
    """There is nothing to filter by; the list has pages."""


@require_safe
def study_simulations(request: HttpRequest, slug: str) -> HttpResponse:
    """The simulations of a study, and the form that starts one."""
    assert isinstance(request.user, User)
    return _list_page(request, visible_study(request, slug), SimulationForm(request.user))


@require_POST
def simulate_study(request: HttpRequest, slug: str) -> HttpResponse:
    """Queue a simulation; its page shows how far it is."""
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    require(request.user, Action.EDIT_STUDY, study.pk)
    form = SimulationForm(request.user, request.POST)
    if form.is_valid():
        try:
            job = queue_simulation(study=study, actor=request.user, **form.cleaned_data)
            return redirect("simulation", slug=slug, simulation_id=job.object_id)
        except (Conflict, Invalid) as error:
            form.refuse(Invalid(error.message, fields=error.fields))
    return _list_page(request, study, form, status=400)


def _list_page(
    request: HttpRequest, study: Study, form: SimulationForm, *, status: int = 200
) -> HttpResponse:
    simulations = study.simulations.select_related("release__study", "created_by")
    may_edit = allowed(request.user, Action.EDIT_STUDY, study.pk)
    context = {
        "study": study,
        "listing": listing(request, simulations, SimulationFilters),
        "form": form,
        "hypotheses": settings_of(study.protocol.content).hypotheses,
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
        "may_simulate": may_edit and study.source != Source.IMPORTED,
    }
    return render(request, "hub/simulations.html", context, status=status)


@require_safe
def simulation_detail(request: HttpRequest, slug: str, simulation_id: int) -> HttpResponse:
    """What a simulation found; until then, how far it is."""
    assert isinstance(request.user, User)
    study = visible_study(request, slug)
    wanted = study.simulations.select_related("release__study", "copy", "created_by")
    simulation = get_object_or_404(wanted, pk=simulation_id)
    jobs = Job.objects.visible_to(request.user).filter(kind=JOB_KIND, object_id=str(simulation.pk))
    context = {
        "study": study,
        "simulation": simulation,
        "job": jobs.first(),
        "copy": _seen(simulation.copy, request.user),
        "release_seen": Release.objects.visible_to(request.user).filter(pk=simulation.release_id).exists(),
        "watermark": str(_("simulated participants")),
        "may_open": allowed(request.user, Action.OPEN_STUDY, study.pk),
    }
    if simulation.finished_at is not None:
        context |= _found(simulation)
    return render(request, "hub/simulation.html", context)


def _found(simulation: Simulation) -> dict[str, Any]:
    figure = power_figure(simulation)
    return {
        "hypotheses": hypotheses_of(simulation),
        "power": _shown(power_table(simulation)),
        "tests": _shown(copy_table(simulation)),
        "notes": notes_of(simulation) if simulation.result["power"] else [],
        "reliability": simulation.result["reliability"],
        "result": simulation.result,
        "figures": [] if figure is None else [figure.as_dict()],
    }


def _shown(table: Table) -> dict[str, Any]:
    """The table with its cells as people read them."""
    return {
        "caption": table.caption,
        "columns": table.columns,
        "rows": [[show(cell) for cell in row] for row in table.rows],
    }


def _seen(copy: Study | None, person: User) -> Study | None:
    return None if copy is None else Study.objects.visible_to(person).filter(pk=copy.pk).first()
