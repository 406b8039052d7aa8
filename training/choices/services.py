"""Which arm is taken: recorded once, with its reason; and until then, which figures of the test images are folded.

Whoever compares arms on the test images and then takes the best has chosen by them, and their figures flatter what was
chosen. So until a choice is recorded a page shows figures of validation images and the planned contrasts only. Nothing
is kept from anybody: who opens or downloads the rest is written down, and a choice says whether that was before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.template.defaultfilters import date
from django.utils.translation import gettext as _

from hilmix.accounts import audit
from hilmix.accounts.models import AuditEvent
from hilmix.accounts.roles import Action, Actor, require, user_or_none
from hilmix.errors import Conflict, Invalid
from training.choices.models import Choice
from training.experiments.models import Experiment

SEEN = "experiment.test_seen"  # in the audit trail: somebody saw figures of the test images before a choice
_KIND = "training.experiment"
LONGEST_REASON = 2000


@dataclass(frozen=True)
class Opening:
    """What is shown of an experiment's test images: with `opened` everything, else the planned contrasts alone, and the
    rest when it is unfolded. `sentence` is the rule in words, `seen` whether this person has unfolded it before."""

    opened: bool
    sentence: str
    seen: bool = False

    @property
    def shows(self) -> bool:
        """Whether a page that is about test images shows them: nobody unfolds page after page of one experiment."""
        return self.opened or self.seen


def opened_to(experiment: Experiment, person: Actor) -> Opening:
    """Whether figures of the test images are open to `person` or folded: the one rule of all pages."""
    if hasattr(experiment, "choice"):
        said = _("An arm was chosen on %(date)s, so all figures of the test images are open.")
        return Opening(True, said % {"date": date(experiment.choice.created_at, "j M Y")})
    if not can_be_chosen_by_validation(experiment):
        return Opening(
            True,
            _(
                "There are no validation figures to choose an arm by, so figures of the test images are not folded. An "
                "arm that is taken here is taken by them."
            ),
        )
    said = _(
        "Until an arm is chosen, by validation figures and with a reason, figures of the test images are folded, all "
        "but the planned contrasts: who picks the arm that does best on them has picked its luck as well. Whoever "
        "unfolds or downloads them before is written down, and their choice says so."
    )
    if seen := has_seen(experiment, person):
        said += " " + _("You have done so.")
    return Opening(False, said, seen)


def can_be_chosen_by_validation(experiment: Experiment) -> bool:
    """Whether the report ranks arms by validation images; before there is one, whether it could."""
    if hasattr(experiment, "report"):
        return bool(experiment.report.content.get("choice", {}).get("arm"))
    config = experiment.config
    return bool(config.get("validation")) and len(config.get("arms", ())) > 1


def has_seen(experiment: Experiment, person: Actor) -> bool:
    """Whether this person opened or downloaded figures of the test images before there was a choice."""
    return _seen(experiment).filter(actor=user_or_none(person)).exists()


def n_seen(experiment: Experiment) -> int:
    """How many people did."""
    return _seen(experiment).values("actor").distinct().count()


def see_test(*, experiment: Experiment, actor: Actor, by: str) -> Opening:
    """Write down, once, that somebody sees figures of the test images of an experiment of which no arm is chosen yet;
    `by` says where, such as "report.json". Nothing is written where they are open to everybody. Returns the rule as it
    was before."""
    require(actor, Action.VIEW_EXPERIMENT, experiment.release.study_id)
    opening = opened_to(experiment, actor)
    if not opening.opened and not opening.seen:
        with transaction.atomic():
            audit.record(actor, SEEN, experiment, by=by)
    return opening


def unfold(*, experiment: Experiment, actor: Actor, asked: bool, by: str) -> Opening:
    """The rule for a page that is about test images: it stays folded until this person has `asked` to see it, which is
    written down. Returns the rule as it is then."""
    if not asked:
        return opened_to(experiment, actor)
    opening = see_test(experiment=experiment, actor=actor, by=by)
    return opening if opening.shows else replace(opening, seen=True)


def unfold_all(*, experiments: Sequence[Experiment], actor: Actor, asked: bool, by: str) -> bool:
    """For a page with test figures of several `experiments`, of each of which an arm is still to be chosen: whether
    this person has seen those of all, or has `asked` to see them, which is written down of each."""
    keys = [str(one.pk) for one in experiments]
    events = AuditEvent.objects.filter(action=SEEN, object_kind=_KIND, object_id__in=keys)
    seen = set(events.filter(actor=user_or_none(actor)).values_list("object_id", flat=True))
    unseen = [one for one in experiments if str(one.pk) not in seen]
    if asked and unseen:
        for study_id in {one.release.study_id for one in unseen}:
            require(actor, Action.VIEW_EXPERIMENT, study_id)
        with transaction.atomic():
            audit.record_each(actor, SEEN, unseen, by=by)
    return asked or not unseen


def with_rule(content: Mapping[str, Any], *, experiment: Experiment, actor: Actor, by: str) -> dict[str, Any]:
    """The content of a report as it leaves hilmix, in a file or for a program: with a note of the rule where no arm is
    chosen yet; that it was seen is written down."""
    see_test(experiment=experiment, actor=actor, by=by)
    return {**content, "notes": [*content["notes"], *rule_notes(experiment)]}


def rule_notes(experiment: Experiment, *, short: bool = False) -> list[str]:
    """What a file with figures of the test images says of the rule; nothing once an arm is chosen."""
    if hasattr(experiment, "choice") or not can_be_chosen_by_validation(experiment):
        return []
    if short:
        return [_("had before an arm was chosen")]
    return [
        _(
            "No arm was chosen yet when this was downloaded. An arm is to be chosen by validation figures, and on the "
            "page figures of the test images stay folded until then, all but the planned contrasts. That they were "
            "downloaded is written down, and a choice by the same person says that they had been seen."
        )
    ]


def choose_arm(*, experiment: Experiment, arm: str, reason: str, actor: Actor) -> Choice:
    """Record that the arm called `arm` is taken, and why. Made once.

    Raises:
        Conflict: an arm was chosen before, or there is no report yet.
        Invalid: there is no such arm with a finished run, or no reason was given.
    """
    require(actor, Action.CHOOSE_ARM, experiment.release.study_id)
    reason = reason.strip()
    problems: dict[str, list[str]] = {}
    if not reason:
        problems["reason"] = [_("Say why: whoever reads this later has nothing else to go by.")]
    elif len(reason) > LONGEST_REASON:
        problems["reason"] = [
            _("The reason has %(n)d characters; %(most)d are the most.")
            % {"n": len(reason), "most": LONGEST_REASON}
        ]
    with transaction.atomic():
        locked = Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
        if Choice.objects.filter(experiment=locked).exists():
            raise Conflict(_("An arm of this experiment was chosen already. A choice is made once."))
        if not hasattr(locked, "report"):
            raise Conflict(_("There is no report yet; an arm is chosen when every run is finished."))
        found = locked.arms.filter(name=arm, runs__finished_at__isnull=False).first()
        if found is None:
            problems["arm"] = [_("Choose one of the arms that have a finished run.")]
        if problems or found is None:
            said = " ".join(text for texts in problems.values() for text in texts)
            raise Invalid(said, fields=problems)
        suggested = locked.report.content.get("choice", {})
        by_validation = can_be_chosen_by_validation(locked)
        choice = Choice.objects.create(
            experiment=locked,
            arm=found,
            metric=suggested.get("metric") or "",
            suggested=suggested.get("arm") or "",
            reason=reason,
            seen_test=not by_validation or has_seen(locked, actor),
            chosen_by=user_or_none(actor),
        )
        audit.record(actor, "experiment.chosen", locked, arm=arm, seen_test=choice.seen_test)
    return choice


def _seen(experiment: Experiment) -> Any:
    return AuditEvent.objects.filter(action=SEEN, object_kind=_KIND, object_id=str(experiment.pk))
