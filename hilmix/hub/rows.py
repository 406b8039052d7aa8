"""The rows of a release's tables, made from a study's answers. What each column means is said in the core, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import islice
from typing import Any

import orjson
import pyarrow as pa

from elicitation.studies.factors import Levels
from elicitation.trials.flags import flagged
from hilmix.core.files import sha256_json
from hilmix.core.judgements import (
    CannotTell,
    ClassMass,
    Distribution,
    Judgement,
    PerceivedLambda,
    PerceivedMidpoint,
)
from hilmix.core.release_tables import BATCH_ROWS, level_column, schema
from hilmix.core.softlabels import POLICIES, LabelSet, label_name
from hilmix.core.softlabels.base import Rows
from hilmix.hub.answers import PARENTS, Answers, Person, Planned, Said, Stored, as_text

Row = dict[str, Any]
Columns = Mapping[str, Any]  # a table's values by column, of many rows

ROWS_AT_ONCE = 100
SAID = ("perceived_lambda", "confidence", "perceived_midpoint", "mass", "excluded", "probabilities")


def of_mixed_images(answers: Answers) -> Iterator[Row]:
    split_of = {
        index: name for name, indices in answers.image_set.splits.items() for index in indices.tolist()
    }
    for mixed_image in answers.mixed_images:
        pair = mixed_image.pair
        splits = {split_of.get(index) for index in (pair.first_index, pair.second_index)}
        yield {
            "key": mixed_image.key,
            "first_index": pair.first_index,
            "second_index": pair.second_index,
            "first_class": pair.first_class,
            "second_class": pair.second_class,
            "lambda_e4": mixed_image.lambda_e4,
            "method": mixed_image.method,
            "sha256": mixed_image.sha256,
            "split": splits.pop() if len(splits) == 1 else None,
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
            **{name: as_text(content[name]) for name in ("options", "wording", "display")},
            **_by_column(answers.levels_of(condition)),
        }


def of_responses(answers: Answers) -> Iterator[pa.RecordBatch]:
    """In batches of columns: there may be a million answers."""
    return _in_batches(answers, "responses", answers.stored(), _columns_of_responses)


def _columns_of_responses(answers: Answers, rows: Sequence[tuple[Said, Stored]]) -> Columns:
    said, stored = zip(*rows, strict=True)
    one, given = _transposed(Said, said), _transposed(Stored, stored)
    drawn, drawn_text = zip(*map(_alike, given["params"]), strict=True)
    return {
        **{name: one[name] for name in ("position", "unit", "key", "condition", "repeat", "not_counted")},
        **{name: given[name] for name in ("payload", "rt_ms", "trial_index", "time_elapsed_ms", "attempt")},
        **_columns_of_people(answers, one["person"]),
        **_columns_of_levels(answers, given["levels"]),
        **_columns_of(one["judgement"]),
        "counted": [why is None for why in one["not_counted"]],
        "flags": list(map(_flags, one["flags"])),
        "left": [params.get("left") for params in drawn],
        "drawn": drawn_text,
        "source_row": [as_text(row) if row else None for row in given["source_row"]],
    }


def of_trials(answers: Answers) -> Iterator[pa.RecordBatch]:
    """In batches of columns, every planned trial, also of who has not answered yet."""
    return _in_batches(answers, "trials", _with_the_one_before(answers.trials()), _columns_of_trials)


def _with_the_one_before(trials: Iterable[Planned]) -> Iterator[tuple[Planned, float | None]]:
    """Each trial with the share of the first image that the same person saw in the trial answered before."""
    before: float | None = None
    person = None
    for trial in trials:
        if trial.person is not person:
            person, before = trial.person, None
        yield trial, before
        if trial.judgement is not None:
            before = trial.judgement.value if isinstance(trial.judgement, PerceivedLambda) else None


def _columns_of_trials(answers: Answers, rows: Sequence[tuple[Planned, float | None]]) -> Columns:
    trials, before = zip(*rows, strict=True)
    one = _transposed(Planned, trials)
    judgements, drawn = one["judgement"], [_alike(text)[0] for text in one["params"]]
    said = _columns_of(judgements)
    return {
        **{
            name: one[name]
            for name in ("position", "kind", "unit", "key", "condition", "lambda_e4", "not_counted")
        },
        **_columns_of_people(answers, one["person"]),
        **_columns_of_levels(answers, [_alike(text)[0] for text in one["levels"]]),
        **dict(zip(PARENTS, zip(*one["parents"], strict=True), strict=True)),
        **{name: said[name] for name in ("perceived_lambda", "confidence", "perceived_midpoint")},
        "left": [params.get("left") for params in drawn],
        "start": [params.get("start") for params in drawn],
        "answered": [judgement is not None for judgement in judgements],
        "counted": [why is None for why in one["not_counted"]],
        "flags": list(map(_flags, one["flags"])),
        "cannot_tell": [
            None if judgement is None else isinstance(judgement, CannotTell) for judgement in judgements
        ],
        "rt_ms": one["rt_ms"],
        "previous_lambda": before,
    }


def _transposed(
    kind: type[Said | Stored | Planned], rows: Sequence[tuple[Any, ...]]
) -> dict[str, tuple[Any, ...]]:
    """The fields of rows of a kind as columns."""
    return dict(zip(kind._fields, zip(*rows, strict=True), strict=True))


def _columns_of_people(answers: Answers, people: Sequence[Person]) -> Columns:
    sha256 = {pk: protocol.sha256 for pk, protocol in answers.protocols.items()}
    return {
        "participant": [person.name for person in people],
        "protocol_sha256": [sha256[person.protocol_id] for person in people],
    }


def _columns_of_levels(answers: Answers, levels: Sequence[Levels]) -> Columns:
    return {level_column(factor.name): [one.get(factor.name) for one in levels] for factor in answers.factors}


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
    for participation in answers.participations():
        person, measures = answers.people[participation.pk], answers.measures[participation.pk]
        yield {
            "participant": person.name,
            "source": participation.source,
            "protocol_sha256": answers.protocol_of(person).sha256,
            **_by_column(participation.levels),
            "over_quota": person.over_quota,
            "invalid": person.invalid,
            "measures": as_text(measures),
            "flags": as_text([one.rule.flag for one in flagged(measures, answers.rules)]),
            "excluded_by": as_text(person.excluded_by),
            "n_responses": person.n_responses,
            "checks_shown": shown[person.name],
            "checks_failed": failed[person.name],
            "drawn": as_text(participation.drawn),
            "survey": as_text(participation.points),
        }


def of_labels(answers: Answers, label_sets: Iterable[LabelSet]) -> Iterator[pa.RecordBatch]:
    """A batch for each label set."""
    keys = [mixed_image.key for mixed_image in answers.mixed_images]
    columns = schema("labels", answers.n_classes, of_factors(answers))
    for labels in label_sets:
        rows = Rows.of(labels.rows, answers.n_classes)
        soft_labels = pa.FixedSizeListArray.from_arrays(rows.probabilities.ravel(), answers.n_classes)
        yield _record_batch(
            columns,
            {
                "key": keys,
                "policy": [label_name(labels.policy, labels.chosen)] * len(keys),
                "condition": [_condition(labels)] * len(keys),
                "n": rows.n,
                **{
                    name: pa.array(values, from_pandas=True)  # where there is none, NaN: nothing in a table
                    for name, values in (
                        ("lambda", rows.lambdas),
                        ("spread", rows.spreads),
                        ("low", rows.lows),
                        ("high", rows.highs),
                    )
                },
                "soft_label": soft_labels,
                "predicted": [rows.predicted] * len(keys),
            },
        )


def of_label_set(labels: LabelSet) -> Row:
    """The entry of the manifest."""
    policy = POLICIES[labels.policy]
    return {
        "policy": policy.name,
        "name": label_name(policy.name, labels.chosen),
        "condition": _condition(labels),
        "version": labels.version,
        "params": labels.params,
        "chosen": labels.chosen,
        "meaning": policy.meaning,
        "number": policy.number,
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
    return [
        {"name": factor.name, "varies": factor.varies, "levels": [level.name for level in factor.levels]}
        for factor in answers.factors
    ]


def _by_column(levels: Levels) -> Row:
    return {level_column(factor): level for factor, level in levels.items()}


def _condition(labels: LabelSet) -> str | None:
    (condition,) = labels.conditions or (None,)
    return condition


def _in_batches(
    answers: Answers, table: str, rows: Iterable[Any], columns_of: Callable[[Answers, Sequence[Any]], Columns]
) -> Iterator[pa.RecordBatch]:
    """The rows in batches as large as a table is written in, each made of small ones: where many objects live at once,
    Python spends as much time on looking for garbage among them as the work takes."""
    columns = schema(table, answers.n_classes, of_factors(answers))
    iterator = iter(rows)
    small: list[pa.RecordBatch] = []
    while batch := list(islice(iterator, ROWS_AT_ONCE)):
        small.append(_record_batch(columns, columns_of(answers, batch)))
        if len(small) * ROWS_AT_ONCE >= BATCH_ROWS:
            yield _joined(small)
            small = []
    if small:
        yield _joined(small)


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    (joined,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return joined


def _record_batch(columns: pa.Schema, values: Columns) -> pa.RecordBatch:
    arrays = [pa.array(values[field.name], field.type) for field in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)


def _columns_of(judgements: Sequence[Judgement | None]) -> dict[str, list[Any]]:
    """What was said, each in the columns of its kind; the others stay empty."""
    columns: dict[str, list[Any]] = {name: [None] * len(judgements) for name in SAID}
    shares, confidences = columns["perceived_lambda"], columns["confidence"]
    for place, judgement in enumerate(judgements):
        match judgement:
            case PerceivedLambda():
                shares[place], confidences[place] = judgement.value, judgement.confidence
            case PerceivedMidpoint():
                columns["perceived_midpoint"][place] = judgement.value
            case ClassMass():
                columns["mass"][place] = as_text({str(index): share for index, share in judgement.mass})
                columns["excluded"][place] = as_text(sorted(judgement.excluded))
            case Distribution():
                columns["probabilities"][place] = judgement.p
    columns["cannot_tell"] = [isinstance(judgement, CannotTell) for judgement in judgements]
    return columns


_flags = lru_cache(maxsize=256)(as_text)


@lru_cache(maxsize=4096)
def _alike(text: str) -> tuple[Row, str]:
    """JSON of which many trials have the same: what it says, and as it stands in a release."""
    value = orjson.loads(text)
    return value, as_text(value)
