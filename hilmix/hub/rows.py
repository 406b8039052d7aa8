"""The rows of a release's tables, made from a study's answers. What each column means is said in the core, once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from elicitation.studies.factors import Levels
from elicitation.studies.protocol import settings_of
from hilmix.core.files import sha256_json
from hilmix.core.judgements import (
    CannotTell,
    ClassMass,
    Distribution,
    Judgement,
    PerceivedLambda,
    PerceivedMidpoint,
)
from hilmix.core.release_tables import level_column
from hilmix.core.softlabels import POLICIES, LabelSet
from hilmix.hub.answers import Answers

Row = dict[str, Any]


def of_mixed_images(answers: Answers) -> Iterator[Row]:
    for mixed_image in answers.mixed_images:
        pair = mixed_image.pair
        yield {
            "key": mixed_image.key,
            "first_index": pair.first_index,
            "second_index": pair.second_index,
            "first_class": pair.first_class,
            "second_class": pair.second_class,
            "lambda_e4": mixed_image.lambda_e4,
            "method": mixed_image.method,
            "sha256": mixed_image.sha256,
        }


def of_conditions(answers: Answers) -> Iterator[Row]:
    for condition in answers.conditions():
        content = condition.content
        yield {
            "condition": condition.key,
            **{
                name: content[name]
                for name in ("interface", "interface_version", "language", "perspective", "bonus")
            },
            **{name: _json(content[name]) for name in ("options", "wording", "display")},
            **_by_column(answers.levels_of(condition)),
        }


def of_responses(answers: Answers) -> Iterator[Row]:
    for said, stored in answers.stored():
        protocol = answers.protocols[said.person.participation.protocol_id]
        levels, _text = _alike(stored.levels)
        params, drawn = _alike(stored.params)
        yield {
            "key": said.key,
            "unit": said.unit,
            "condition": said.condition,
            "participant": said.participant,
            "protocol_sha256": protocol.sha256,
            **_by_column(levels),
            "position": said.position,
            "trial_index": stored.trial_index,
            "repeat": said.repeat,
            "counted": said.counted,
            "not_counted": said.not_counted,
            "flags": _flags(said.flags),
            "cannot_tell": isinstance(said.judgement, CannotTell),
            **_columns_of(said.judgement),
            "left": params.get("left"),
            "drawn": drawn,
            "rt_ms": None if stored.rt_ms is None else float(stored.rt_ms),
            "time_elapsed_ms": stored.time_elapsed_ms,
            "attempt": stored.attempt,
            "payload": _json(stored.payload),
            "source_row": _json(stored.source_row) if stored.source_row else None,
        }


def of_checks(answers: Answers) -> Iterator[Row]:
    for person, check in answers.checks():
        yield {
            "participant": person.name,
            "position": check.position,
            "class_index": check.class_index,
            "share": check.share,
            "passed": check.passed,
        }


def of_participants(answers: Answers, checks: Sequence[Row]) -> Iterator[Row]:
    shown = Counter(row["participant"] for row in checks)
    failed = Counter(row["participant"] for row in checks if not row["passed"])
    for person in answers.people.values():
        participation = person.participation
        yield {
            "participant": person.name,
            "source": participation.source,
            "protocol_sha256": answers.protocols[participation.protocol_id].sha256,
            **_by_column(participation.levels),
            "over_quota": person.over_quota,
            "invalid": participation.invalid_at is not None,
            "measures": _json(person.measures),
            "flags": _json([one.rule.flag for one in person.flags]),
            "excluded_by": _json(person.excluded_by),
            "n_responses": person.n_responses,
            "checks_shown": shown[person.name],
            "checks_failed": failed[person.name],
            "drawn": _json(participation.drawn),
            "survey": _json(_points(participation.survey)),
        }


def of_labels(answers: Answers, label_sets: Sequence[LabelSet]) -> Iterator[Row]:
    for labels in label_sets:
        for mixed_image, row in zip(answers.mixed_images, labels.rows, strict=True):
            low, high = row.interval or (None, None)
            yield {
                "key": mixed_image.key,
                "policy": labels.policy,
                "condition": _condition(labels),
                "n": row.n,
                "lambda": row.lambda_,
                "spread": row.spread,
                "low": low,
                "high": high,
                "soft_label": row.probabilities.tolist(),
            }


def of_label_set(labels: LabelSet) -> Row:
    """The entry of the manifest."""
    return {
        "policy": labels.policy,
        "condition": _condition(labels),
        "version": labels.version,
        "params": labels.params,
        "meaning": POLICIES[labels.policy].meaning,
    }


def of_rules(answers: Answers) -> Row:
    """The entry of the manifest: the rules that were applied, and the version of the protocol that has them."""
    rules = [asdict(rule) for rule in answers.rules]
    return {
        "protocol_sha256": answers.protocol_of_rules.sha256,
        "sha256": sha256_json(rules),
        "rules": rules,
    }


def of_factors(answers: Answers) -> list[Row]:
    """The entry of the manifest: what varies, which was fixed before anybody answered."""
    factors = settings_of(answers.newest_protocol.content).factors
    return [
        {"name": factor.name, "varies": factor.varies, "levels": [level.name for level in factor.levels]}
        for factor in factors
    ]


def _by_column(levels: Levels) -> Row:
    return {level_column(factor): level for factor, level in levels.items()}


def _condition(labels: LabelSet) -> str | None:
    (condition,) = labels.conditions or (None,)
    return condition


def _columns_of(judgement: Judgement) -> Row:
    """What was said, in the columns of its kind; the others stay empty."""
    match judgement:
        case PerceivedLambda(value, confidence):
            return {"perceived_lambda": value, "confidence": confidence}
        case PerceivedMidpoint(value):
            return {"perceived_midpoint": value}
        case ClassMass(mass, excluded):
            return {"mass": _json(dict(mass)), "excluded": _json(sorted(excluded))}
        case Distribution(p):
            return {"probabilities": p}
    return {}


def _points(survey: Row) -> Row:
    """The answers on scales: free text might say who wrote it."""
    return {name: answer for name, answer in survey.items() if isinstance(answer, int)}


_json = json.JSONEncoder(sort_keys=True).encode
_flags = lru_cache(maxsize=256)(_json)


@lru_cache(maxsize=4096)
def _alike(text: str) -> tuple[Row, str]:
    """JSON of which many trials have the same: what it says, and as it stands in a release."""
    value = json.loads(text)
    return value, _json(value)
