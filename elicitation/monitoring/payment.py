"""Bonuses: flat, or for agreement with other people's answers. The true λ never enters.

Agreement is 1 minus the mean difference between a person's answers and the mean of the other people's counted answers
to the same mixed image or pair under the same condition (`trials/likeness.py`), so 0 to 1. Only answers to the question
what 100 others would say are compared: whoever is asked what they see themselves is not paid for seeing what others
see. Whose answers count for comparing is as for labels, but for the one rule that knows λ, which decides nothing here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from django.db.models import QuerySet

from elicitation.participants.models import Identity, Participation
from elicitation.participants.services import decrypted
from elicitation.recruiters.models import Submission
from elicitation.recruiters.prolific import REJECTED, RETURNED
from elicitation.studies.models import Mode, Study
from elicitation.studies.payment import SECOND_ORDER, Payment
from elicitation.studies.protocol import Settings, settings_of
from elicitation.trials.flags import excluded_participations
from elicitation.trials.given import Ways, answers_given
from elicitation.trials.likeness import Likeness
from hilmix.accounts import audit
from hilmix.accounts.roles import Action, Actor, require

KNOWS_LAMBDA = frozenset({"reversed"})  # flags that compare an answer with λ
NOT_PAID = frozenset({REJECTED, RETURNED})  # statuses of a stay for which the recruiter pays nothing


@dataclass(frozen=True)
class Bonus:
    """What one person has earned beside the reward, in hundredths of the study's currency.

    `agreement` 0–1, None where the rule does not ask for it or too little can be compared (`too_few`).
    """

    participation_id: int
    public_id: str
    payment: Payment
    agreement: float | None
    too_few: bool
    invalid: bool
    paid_to: bool  # whether the recruiter's id is known
    typed: bool  # whether the person typed that id in
    refused: (
        str  # REJECTED or RETURNED, where the recruiter says that of all stays: then the list leaves them out
    )

    @property
    def amount_e2(self) -> int:
        if self.payment.bonus == "flat":
            return self.payment.bonus_e2
        if self.payment.bonus == "agreement" and self.agreement is not None:
            return int(self.payment.bonus_e2 * self.agreement + 1e-9)  # whole hundredths, rounded down
        return 0


def bonuses_of(study: Study) -> list[Bonus]:
    """The bonus of everybody live who finished, by the rule of the protocol that they agreed to."""
    people = study.participations.filter(mode=Mode.LIVE, state__in=Participation.FINISHED).order_by("pk")
    ways = Ways(study)
    promised = {settings_of(protocol.content).payment.bonus for protocol in ways.protocols.values()}
    agreement = agreement_of(study) if "agreement" in promised else {}
    typed = dict(Identity.objects.filter(study=study).values_list("participation", "typed"))
    refused = _refused(study)
    found = []
    for person in people.only("study", "public_id", "protocol", "levels", "invalid_at"):
        payment = _promised(ways.of(person.protocol_id, person.levels))
        asks = payment.bonus == "agreement"
        found.append(
            Bonus(
                participation_id=person.pk,
                public_id=person.public_id,
                payment=payment,
                agreement=agreement.get(person.pk) if asks else None,
                too_few=asks and person.pk not in agreement,
                invalid=person.invalid_at is not None,
                paid_to=person.pk in typed,
                typed=typed.get(person.pk, False),
                refused=refused.get(person.pk, ""),
            )
        )
    return found


def _refused(study: Study) -> dict[int, str]:
    """Of whom the recruiter says that every stay was rejected or returned: what of the last, by participation."""
    stays: defaultdict[int, list[str]] = defaultdict(list)
    said = Submission.objects.filter(study=study).order_by("pk").values_list("participation", "status")
    for pk, status in said:
        stays[pk].append(status)
    return {pk: statuses[-1] for pk, statuses in stays.items() if NOT_PAID.issuperset(statuses)}


def _promised(way: Settings) -> Payment:
    """The payment of somebody who is asked in this way: no bonus where no rule of one is told."""
    return way.payment if way.bonus.strip() else replace(way.payment, bonus="none")


def agreement_of(study: Study) -> dict[int, float]:
    """Everybody's agreement with the others, 0–1, by participation; who has too few answers to compare is left out."""
    live = study.participations.filter(mode=Mode.LIVE).exclude(state=Participation.State.WITHDRAWN)
    ways = Ways(study)
    asks_about_others = {
        pk
        for pk, content in study.conditions.values_list("pk", "content")
        if content.get("perspective") == SECOND_ORDER
    }
    likeness = Likeness(len(ways.classes))
    for given in answers_given(study, live, ways=ways):
        if given.condition_id in asks_about_others:
            likeness.add(given)
    differences = likeness.disagreement(_counted(study, live))
    return {pk: 1 - difference for pk, difference in differences.items()}


def _counted(study: Study, live: QuerySet[Participation]) -> set[int]:
    """Who others are compared with: valid, and left out by no excluding rule that knows nothing of λ."""
    left_out = excluded_participations(study, but=KNOWS_LAMBDA)
    return set(live.filter(invalid_at=None).values_list("pk", flat=True)) - set(left_out)


def bonus_list(*, study: Study, actor: Actor) -> list[tuple[str, int]]:
    """Recruiter's id and amount in hundredths of everybody who gets a bonus and whose id is known. Audited.

    Without those whose stays were all rejected or returned.
    """
    require(actor, Action.PAY_PARTICIPANTS, study.pk)
    amounts = {
        bonus.participation_id: bonus.amount_e2
        for bonus in bonuses_of(study)
        if bonus.amount_e2 and not bonus.refused
    }
    identities = Identity.objects.filter(study=study, participation__in=amounts).order_by("participation")
    rows = [(decrypted(one.pid_ciphertext), amounts[one.participation_id]) for one in identities]
    audit.record(actor, "study.bonuses_listed", study, n=len(rows))
    return rows
