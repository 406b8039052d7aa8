"""What the manifest of a release says of its study: when and with whose consent it was asked, how far people agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import Max, Min

from elicitation.studies.models import Mode, Source
from elicitation.studies.texts import PUBLISH, texts_of
from elicitation.trials.models import Response, Trial
from hilmix.core.agreement import one_way
from hilmix.core.judgements import Unit
from hilmix.core.softlabels import DEFAULT_POLICY, LabelSet, asked_under, conditions_of
from hilmix.core.softlabels.counting import perceived
from hilmix.hub.answers import Answers, releasable_answers
from hilmix.hub.release_options import import_of


def collected(answers: Answers) -> dict[str, str | None]:
    """The days of the first and of the last answer; not known of imported ones."""
    if import_of(answers.study) is not None:
        return {"from": None, "to": None}
    received = releasable_answers(answers.study).filter(received_at__lte=answers.until)
    days = received.aggregate(first=Min("received_at"), last=Max("received_at"))
    return {"from": days["first"].date().isoformat(), "to": days["last"].date().isoformat()}


def consent(answers: Answers) -> list[str]:
    """What people agreed to, and how many did: each of the words that one of them met."""
    if answers.study.source == Source.IMPORTED:
        return ["The answers were published before, by whoever asked for them and for consent."]
    if answers.study.source == Source.SIMULATED:
        return ["Nobody was asked: the answers are simulated."]
    return [
        f"Of {_n_answered(answers)} participants who answered, this release holds the answers of {answers.n_answered}, "
        "under pseudonyms, and of no others.",
        *_agreed_to(answers),
    ]


def _n_answered(answers: Answers) -> int:
    """How many people answered, as `Answers.n_answered` counts them, whether or not they agreed to publication."""
    live = {"trial__participation__source": Source.PERSON, "trial__participation__mode": Mode.LIVE}
    received = Response.objects.filter(
        trial__participation__study=answers.study, received_at__lte=answers.until, **live
    )
    people = received.exclude(trial__kind=Trial.Kind.CHECK).values("trial__participation")
    return people.distinct().count()


def _agreed_to(answers: Answers) -> Iterator[str]:
    """What the people whose answers are here had to agree to, or chose to, in the words of the version they met."""
    met = Counter(person.protocol_id for person in answers.people.values() if person.n_responses)
    published, required, unasked = Counter[str](), Counter[str](), 0
    for protocol, n in sorted(met.items()):
        boxes = {box.name: box for box in texts_of(answers.protocols[protocol].content).boxes}
        if PUBLISH in boxes:
            published[boxes.pop(PUBLISH).text] += n
        else:
            unasked += n
        required.update({box.text: n for box in boxes.values() if box.required})
    yield from (f"{n} of them agreed to publication by choosing “{text}”" for text, n in published.items())
    if unasked:
        yield f"No separate question about publication was asked of {unasked} of them."
    yield from (f"To take part, {n} of them agreed: “{text}”" for text, n in required.items())


def agreement(mixed: Sequence[Unit], label_sets: Iterable[LabelSet]) -> list[dict[str, Any]]:
    """How far people agree about the same mixed image, under each condition, where they say a share."""
    after_lambda = {labels.conditions: labels for labels in label_sets if labels.policy == DEFAULT_POLICY}
    found = []
    for condition in conditions_of(mixed):
        shares = perceived(asked_under(condition, mixed))
        raw = one_way(shares.values, shares.groups)
        if raw is not None:
            meaning = "share of the variance that is between mixed images"
            found.append(_measure(condition, "ICC(1) of perceived λ", raw.icc, raw.n_values, meaning))
        labels = after_lambda.get((condition,))
        if labels is not None and labels.params.get("rho") is not None:
            meaning = "the same of what is left after the mean answer at each λ"
            n = sum(row.n for row in labels.rows)
            found.append(
                _measure(condition, "ICC(1) of perceived λ − g(λ)", labels.params["rho"], n, meaning)
            )
    return found


def _measure(condition: str, measure: str, value: float, n: int, meaning: str) -> dict[str, Any]:
    return {"condition": condition, "measure": measure, "value": value, "n": n, "meaning": meaning}
