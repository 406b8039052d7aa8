"""A study carried out by simulated participants before people are asked: what would it find?

Observers are fitted on a release. Once they take part in a copy of the study, through the services that people use;
then the design is repeated in memory (`rehearsing`), with the effect that each hypothesis expects and without it, for
several numbers of answers a unit. The study itself is not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from elicitation.flow.simulation import take_every_place
from elicitation.studies.factors import levels_within
from elicitation.studies.models import Mode, Slot, Source, Study
from elicitation.studies.opening import close_study, open_study
from elicitation.studies.protocol import Settings, settings_of
from elicitation.studies.services import copy_study
from elicitation.trials.models import Response
from hilmix.accounts import audit
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.core.errors import DataError
from hilmix.core.observer_fit import fit_population
from hilmix.core.observers import Population
from hilmix.core.planning import components_of, reliability
from hilmix.core.release_answers import condition_for, units_of_release
from hilmix.errors import Conflict, Invalid
from hilmix.hub.hypotheses import answers_of, test_hypothesis
from hilmix.hub.models import Release, Simulation
from hilmix.hub.power import Steps, power_of
from hilmix.hub.rehearsing import design_of
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from hilmix.jobs.services import queue_job

JOB_KIND = "simulate_study"
REPETITIONS = 200
MOST_REPETITIONS = 2000
MOST_ANSWERS = 200
MOST_NUMBERS = 8


def queue_simulation(
    *,
    study: Study,
    release: Release,
    actor: User,
    repetitions: int = REPETITIONS,
    answers: Sequence[int] = (),
    seed: int = 1,
) -> Job:
    """Queue a simulation of `study`; arguments as `prepare_simulation`."""
    with transaction.atomic():
        simulation = prepare_simulation(
            study=study, release=release, actor=actor, repetitions=repetitions, answers=answers, seed=seed
        )
        return queue_job(
            kind=JOB_KIND,
            object_id=str(simulation.pk),
            label=f"Simulate “{study.title}”"[:200],
            actor=actor,
        )


def prepare_simulation(
    *,
    study: Study,
    release: Release,
    actor: Actor,
    repetitions: int = REPETITIONS,
    answers: Sequence[int] = (),
    seed: int = 1,
) -> Simulation:
    """Write down what is to be simulated; `run_simulation` does it.

    Args:
        release: whose answers observers are fitted on.
        repetitions: of the design in memory, for every hypothesis and number of answers.
        answers: numbers of answers a unit, in each cell; a few around the study's own where there are none.

    Raises:
        Conflict: the study's answers were imported.
        Invalid: a number is out of range (fields name it).
    """
    require(actor, Action.EDIT_STUDY, study.pk)
    require(actor, Action.CREATE_STUDY)
    require(actor, Action.VIEW_RELEASE, release.study_id)
    if study.source == Source.IMPORTED:
        raise Conflict(f"“{study.title}” holds imported answers: there is no design to carry out.")
    chosen = settings_of(study.protocol.content).design.answers_per_unit
    numbers = tuple(sorted(set(answers or (2, 4, 9, chosen))))
    problems = {}
    if not 20 <= repetitions <= MOST_REPETITIONS:
        problems["repetitions"] = [f"Between 20 and {MOST_REPETITIONS:,}."]
    if len(numbers) > MOST_NUMBERS or not 1 <= numbers[0] <= numbers[-1] <= MOST_ANSWERS:
        problems["answers"] = [f"At most {MOST_NUMBERS} numbers, each between 1 and {MOST_ANSWERS}."]
    if not 0 <= seed < 2**32:
        problems["seed"] = ["A whole number from 0 to 4,294,967,295."]
    if problems:
        raise Invalid("The simulation was not started.", fields=problems)
    with transaction.atomic():
        simulation = Simulation.objects.create(
            study=study,
            release=release,
            options={"repetitions": repetitions, "answers": list(numbers), "seed": seed},
            created_by=user_or_none(actor),
        )
        audit.record(actor, "study.simulated", study, simulation=simulation.pk, release=release.name)
    return simulation


def run_simulation(*, simulation: Simulation, actor: Actor, progress: Progress) -> Simulation:
    """Do it; what was done before a stop is not done again.

    Raises:
        DataError, Invalid: the release has too few answers to fit observers on, or the design cannot be opened.
    """
    require(actor, Action.EDIT_STUDY, simulation.study_id)
    if simulation.finished_at is not None:
        return simulation
    settings = settings_of((simulation.copy or simulation.study).protocol.content)
    fitted = _fit(simulation.release, settings.interface)
    copy = _opened_copy(simulation, actor, progress)
    settings = settings_of(copy.protocol.content)
    places = Slot.objects.filter(batch__study=copy, batch__mode=Mode.LIVE).count()
    worlds = [
        (hypothesis, with_effect) for hypothesis in settings.hypotheses for with_effect in (True, False)
    ]
    total = places + len(simulation.options["answers"]) * len(worlds) * simulation.options["repetitions"]
    _take_part(copy, fitted.population, actor, Steps(progress, total, "simulated participants"))
    steps = Steps(progress, total, "repetitions of the design", done=places)
    rows = power_of(design_of(copy), fitted.population, settings, simulation.options, steps)
    ways = len(levels_within(settings.factors))
    simulation.result |= {
        "hypotheses": [asdict(hypothesis) for hypothesis in settings.hypotheses],
        "population": asdict(fitted.population),
        "condition": fitted.condition,
        "n_answers": fitted.n_answers,
        "rho": fitted.rho,
        "copy": _of_copy(copy, settings),
        "power": rows,
        "ways": ways,  # that everybody is asked in: a label is of the answers to one of them
        "reliability": {
            str(k): None if fitted.rho is None else reliability(fitted.rho, k / ways)
            for k in simulation.options["answers"]
        },
    }
    simulation.finished_at = timezone.now()
    simulation.save(update_fields=["result", "finished_at"])
    progress.log(f"The design was carried out by {places} simulated participants, and repeated in memory.")
    return simulation


# --- observers ---


@dataclass(frozen=True)
class _Fitted:
    population: Population
    condition: str
    n_answers: int
    rho: float | None


def _fit(release: Release, interface: str) -> _Fitted:
    """Observers like the people of one condition of the release, of this interface if there is one."""
    opened = release.opened
    condition = condition_for(opened, interface)
    units = units_of_release(opened, condition)
    try:
        rho = components_of(opened, interface).rho
    except DataError:  # observers can be fitted all the same
        rho = None
    return _Fitted(fit_population(units), condition, sum(len(unit.answers) for unit in units), rho)


# --- once, through the services ---


def _opened_copy(simulation: Simulation, actor: Actor, progress: Progress) -> Study:
    """The copy that simulated people take part in; the one of a run that was stopped, if there is one."""
    copy = simulation.copy or _new_copy(simulation, actor)
    if copy.state == Study.State.DRAFT:
        open_study(study=copy, actor=actor, progress=progress)
    return copy


def _new_copy(simulation: Simulation, actor: Actor) -> Study:
    """A copy of the study as it is now; which protocol that was is kept, since a draft's is changed in place."""
    study = simulation.study
    with transaction.atomic():
        protocol = study.protocol
        copy = copy_study(
            study=study,
            slug=f"{study.slug[:40]}-simulated-{simulation.pk}",
            title=f"{study.title[:105]} (simulated)",
            actor=actor,
            source=Source.SIMULATED,
        )
        simulation.copy = copy
        simulation.result = {"protocol": {"version": protocol.version, "sha256": protocol.sha256}}
        simulation.save(update_fields=["copy", "result"])
    return copy


def _take_part(copy: Study, population: Population, actor: Actor, steps: Steps) -> None:
    if copy.state == Study.State.OPEN:  # closed it is where all of this was done before a stop
        take_every_place(study=copy, population=population, on_place=lambda taken, _: steps.to(taken))
        close_study(study=copy, actor=actor)


def _of_copy(copy: Study, settings: Settings) -> dict[str, Any]:
    answers = answers_of(copy)
    tests = [asdict(test_hypothesis(hypothesis, answers)) for hypothesis in settings.hypotheses]
    return {
        "participants": copy.participations.count(),
        "responses": Response.objects.filter(trial__participation__study=copy).count(),
        "tests": tests,
    }
