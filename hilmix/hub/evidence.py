"""What label policies may use beside the answers they make labels of: midpoints of the same pairs, what was said of the
same mixed images as classes, pixel features of the parents; of a study and of those imported together with it.

A release holds labels of its own study's answers only (`labels`). What is gathered here is for judging policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from elicitation.participants.models import Identity
from elicitation.studies.models import Study
from hilmix.accounts.roles import Action, Actor, allowed
from hilmix.core.judgements import ClassMass, Distribution, Unit
from hilmix.core.softlabels import Evidence, asked_under, conditions_of
from hilmix.hub.answers import Answers
from hilmix.hub.labels import features_of_parents, units_and_pairs
from hilmix.hub.models import Import


def evidence_of(study: Study, actor: Actor) -> dict[str, Evidence]:
    """For each condition under which the study was answered: the units asked about, and what may be used beside.

    Where people were asked about pairs, the pairs are the units, at λ = 1/2, and nothing is used that was asked in
    another way; mixed images have the pairs of every other way of asking beside, each under its name. Studies imported
    together with this one count in as far as `actor` may see them. Answers are those that a release may hold, of people
    who count; whoever answered in several studies has one name in all of them.
    """
    mixed, pairs = _units_and_pairs(study)
    every_mixed, every_pair = list(mixed), list(pairs)
    for other in _together(study, actor):
        others_mixed, others_pairs = _units_and_pairs(other)
        every_mixed += others_mixed
        every_pair += _asked_in(other, others_pairs)
    images = study.image_set.open()
    found = {}
    for condition in conditions_of([*mixed, *pairs]):
        units, beside = asked_under(condition, mixed), every_pair
        if not any(unit.answers for unit in units):
            units = beside = [unit for unit in asked_under(condition, pairs) if unit.answers]
        found[condition] = Evidence(
            units,
            len(study.image_set.classes),
            pairs=[unit for unit in beside if unit.answers],
            beside=list(_beside(condition, units, every_mixed)),
            features=features_of_parents(images, units),
        )
    return found


def _units_and_pairs(study: Study) -> tuple[list[Unit], list[Unit]]:
    """As `units_and_pairs`, with people named by who they are at the recruiter; by the name of their participation
    where nobody knows, which of imported answers is the one that was published."""
    answers = Answers(study)
    known = dict(Identity.objects.filter(study=study).values_list("participation_id", "pid_hmac"))
    names = {one.name: known.get(one.pk, one.public_id) for one in answers.people.values()}

    def named(unit: Unit) -> Unit:
        return replace(
            unit, answers=tuple(replace(one, participant=names[one.participant]) for one in unit.answers)
        )

    mixed, pairs = units_and_pairs(answers)
    return list(map(named, mixed)), list(map(named, pairs))


def _asked_in(study: Study, pairs: Sequence[Unit]) -> list[Unit]:
    """The pairs with ways of asking named after the study that asked, with their keys where it asked in several."""
    ways = conditions_of(pairs)
    names = {way: study.slug if len(ways) == 1 else f"{study.slug} {way}" for way in ways}
    return [
        replace(pair, answers=tuple(replace(one, condition=names[one.condition]) for one in pair.answers))
        for pair in pairs
    ]


def _beside(condition: str, units: Sequence[Unit], every: Sequence[Unit]) -> Iterator[Unit]:
    """What was said of the same mixed images as classes, in other ways."""
    keys = {unit.key for unit in units}
    for unit in every:
        answers = tuple(
            answer
            for answer in unit.answers
            if answer.condition != condition and isinstance(answer.judgement, ClassMass | Distribution)
        )
        if answers and unit.key in keys:
            yield replace(unit, answers=answers)


def _together(study: Study, actor: Actor) -> list[Study]:
    """The other studies that one call imported together with this one."""
    group = Import.objects.filter(study=study).values("together")
    others = Study.objects.filter(imported_by__together__in=group).exclude(pk=study.pk).order_by("pk")
    return [
        other for other in others.select_related("image_set") if allowed(actor, Action.VIEW_STUDY, other.pk)
    ]
