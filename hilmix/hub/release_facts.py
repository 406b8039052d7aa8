"""What the manifest of a release says of its study: when and with whose consent it was asked, how far people agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Max, Min

from elicitation.studies.models import Mode, Source
from elicitation.studies.texts import PUBLISH, texts_of
from hilmix.core.agreement import one_way
from hilmix.core.judgements import Unit
from hilmix.core.softlabels import DEFAULT_POLICY, LabelSet, asked_under, conditions_of
from hilmix.core.softlabels.counting import perceived
from hilmix.hub.answers import Answers, releasable_answers


def collected(answers: Answers) -> dict[str, str | None]:
    """The days of the first and of the last answer; not known of imported ones."""
    if answers.study.source == Source.IMPORTED:
        return {"from": None, "to": None}
    received = releasable_answers(answers.study).filter(received_at__lte=answers.until)
    days = received.aggregate(first=Min("received_at"), last=Max("received_at"))
    return {"from": days["first"].date().isoformat(), "to": days["last"].date().isoformat()}


def consent(answers: Answers) -> list[str]:
    """What people agreed to, and how many did."""
    if answers.study.source == Source.IMPORTED:
        return ["The answers were published before, by whoever asked for them and for consent."]
    if answers.study.source == Source.SIMULATED:
        return ["Nobody was asked: the answers are simulated."]
    answered = answers.study.participations.filter(source=Source.PERSON, mode=Mode.LIVE)
    n_all = answered.filter(trials__response__received_at__lte=answers.until).distinct().count()
    boxes = {box.name: box.text for box in texts_of(answers.newest_protocol.content).boxes}
    said = f" by choosing “{boxes[PUBLISH]}”" if PUBLISH in boxes else ""
    return [
        f"Of {n_all} participants who answered, {answers.n_answered} agreed that their answers are published under a "
        f"pseudonym{said}; this release holds the answers of no others.",
        *(f"To take part, people agreed: “{text}”" for name, text in boxes.items() if name != PUBLISH),
    ]


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
