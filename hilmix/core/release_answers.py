"""What the people of a release said, as judgements again: for planning the next study from the last one.

Answers of several conditions are told apart by their name. Labels that a release does not hold are made of these
judgements, exactly as those that it holds were.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hilmix.core.errors import DataError
from hilmix.core.judgements import (
    Answer,
    CannotTell,
    ClassMass,
    Distribution,
    Judgement,
    PerceivedLambda,
    PerceivedMidpoint,
    Unit,
    share_of,
)
from hilmix.core.release_tables import pair_key
from hilmix.core.softlabels import (
    POLICIES,
    Evidence,
    IndividualLabel,
    LabelPolicy,
    LabelSet,
    asked_under,
    build_label_set,
    individual_labels,
    label_name,
    parse_label_name,
    policy_named,
)
from hilmix.core.softlabels.rows import Floats

if TYPE_CHECKING:
    from hilmix.core.release import Release

HALF_E4 = 5000


def perceived_share(judgement: Judgement, first_class: int, second_class: int) -> float | None:
    """The share (0–1) of the first of two classes that a person sees; None where the answer says none.

    Of named classes it is the first's part of what the two have together. A midpoint at λ = m is the answer of
    somebody who sees 1 − m in an even mix: whoever needs more of the first image sees less of it.
    """
    match judgement:
        case PerceivedLambda(value):
            return value
        case PerceivedMidpoint(value):
            return 1 - value
        case ClassMass() | Distribution():
            classes = first_class, second_class
            first, second = (share_of(judgement, index, *classes) or 0.0 for index in classes)
            return first / (first + second) if first + second > 0 and first_class != second_class else None
    return None


def condition_for(release: Release, interface: str = "") -> str:
    """The condition that most answers of the release were given under; one of `interface`, if it has any.

    Empty in a release of the first format, which had one way of asking.
    """
    if release.format < 2:
        return ""
    of_interface = {
        row["condition"]
        for row in release.table("conditions").to_pylist()
        if interface in (row["interface"], "")
    }
    given = Counter(release.table("responses")["condition"].to_pylist())
    return max(given, key=lambda name: (name in of_interface, given[name], name)) if given else ""


def units_of_release(release: Release, condition: str = "") -> list[Unit]:
    """The mixed images and pairs of a release with the answers that count, given under `condition` ("": under any).

    "I cannot tell" is among them; repeats, later answers and what the release says not to count are not. A pair stands
    at λ = 1/2.

    Raises:
        DataError: there is no such condition, or no answer.
    """
    if condition and condition not in release.conditions:
        raise DataError(f"The release {release.name} has no condition {condition!r}.")
    recipes: dict[str, tuple[int, int, int]] = {}
    for row in release.table("mixed_images").to_pylist():
        classes = row["first_class"], row["second_class"]
        recipes[row["key"]] = (row["lambda_e4"], *classes)
        recipes.setdefault(pair_key(row["first_index"], row["second_index"]), (HALF_E4, *classes))
    given: dict[str, list[Answer]] = {}
    for row in release.table("responses").to_pylist():
        said = row.get("condition", "")
        if _counts(row) and condition in (said, "") and (judgement := _judgement(row)) is not None:
            given.setdefault(row["key"], []).append(Answer(row["participant"], judgement, False, said))
    if not given:
        raise DataError(f"The release {release.name} has no answer that counts.")
    return [Unit(key, *recipes[key], tuple(answers)) for key, answers in given.items()]


def canonical_name(text: str) -> str:
    """The label policy in `text` with the parameters that are not its defaults: `human_lambda(statistic=mean)` is
    `human_lambda`. What is no policy of ours is left as it is."""
    name, params = parse_label_name(text)
    if name not in POLICIES:
        return text
    defaults = {param.name: param.default for param in POLICIES[name].params}
    return label_name(name, {key: value for key, value in params.items() if value != defaults.get(key)})


def is_policy(text: str) -> bool:
    """Whether labels of this name can be made."""
    return parse_label_name(text)[0] in POLICIES


def derived_labels(
    release: Release,
    text: str,
    condition: str | None,
    *,
    chosen: Callable[[Unit], Unit | None] | None = None,
    features: Floats | None = None,
) -> LabelSet:
    """The labels of a policy, made of the release's answers as those in the release were.

    Args:
        chosen: what of a mixed image or pair is used: itself, with fewer answers, or None to leave it out.
        features: float64 [n, 2, F], of both parents of each mixed image, in the order of the table: a release does not
            hold the parents' pixels.

    Raises DataError as `build_label_set`, where nobody said what the policy takes, and where `condition` would have to
    say which answers.
    """
    evidence = replace(_evidence(release, text, condition), features=features)
    if chosen is not None:
        evidence = _of_chosen(evidence, chosen)
    return build_label_set(
        text,
        evidence.units,
        evidence.n_classes,
        pairs=evidence.pairs,
        beside=evidence.beside,
        features=evidence.features,
    )


def _of_chosen(evidence: Evidence, chosen: Callable[[Unit], Unit | None]) -> Evidence:
    kept = [chosen(unit) for unit in evidence.units]
    there = np.array([unit is not None for unit in kept], dtype=np.bool_)
    pairs, beside = ([chosen(unit) for unit in units] for units in (evidence.pairs, evidence.beside))
    return Evidence(
        [unit for unit in kept if unit is not None],
        evidence.n_classes,
        [unit for unit in pairs if unit is not None and unit.answers],
        [unit for unit in beside if unit is not None and unit.answers],
        None if evidence.features is None else evidence.features[there],
    )


def derived_individual_labels(release: Release, text: str, condition: str | None) -> list[IndividualLabel]:
    """What every answer makes by itself; see `derived_labels`."""
    evidence = _evidence(release, text, condition)
    return individual_labels(text, evidence.units, evidence.n_classes)


def _evidence(release: Release, text: str, condition: str | None) -> Evidence:
    policy = policy_named(parse_label_name(text)[0])
    mixed, pairs = _every_unit(release)
    answered = _conditions_for(policy, pairs if policy.about == "pair" else mixed)
    if condition is None and len(answered) > 1:
        raise DataError(
            f"The release {release.name} has answers for {text!r} under {len(answered)} conditions, "
            f"{', '.join(answered)}: people were not all asked in the same way (table `conditions`). Name one."
        )
    if policy.accepts and not ({condition} & set(answered) if condition else answered):
        where = f" under the condition {condition!r}" if condition else ""
        raise DataError(
            f"The release {release.name} has no answers{where} that the label policy {text!r} takes."
        )
    chosen = condition or (answered[0] if answered else "")
    return evidence_under(chosen, mixed, pairs, len(release.classes))


def _conditions_for(policy: LabelPolicy, units: Sequence[Unit]) -> list[str]:
    """The conditions under which a policy finds answers that it takes, and none that it does not take."""
    said: dict[str, set[type[Judgement]]] = {}
    for unit in units:
        for answer in unit.answers:
            said.setdefault(answer.condition, set()).add(type(answer.judgement))
    return sorted(condition for condition, kinds in said.items() if kinds <= set(policy.accepts))


def evidence_under(condition: str, mixed: Sequence[Unit], pairs: Sequence[Unit], n_classes: int) -> Evidence:
    """What labels under `condition` are made of, from units with the answers of every condition."""
    others = [
        replace(unit, answers=tuple(answer for answer in unit.answers if _is_beside(answer, condition)))
        for unit in mixed
    ]
    return Evidence(
        asked_under(condition, mixed),
        n_classes,
        pairs=[unit for unit in asked_under(condition, pairs) if unit.answers],
        beside=[unit for unit in others if unit.answers],
    )


def _is_beside(answer: Answer, condition: str) -> bool:
    """Whether it was given in another way than `condition`, and says how classes share the mixed image."""
    return answer.condition != condition and isinstance(answer.judgement, ClassMass | Distribution)


def _every_unit(release: Release) -> tuple[list[Unit], list[Unit]]:
    """All mixed images, and all pairs, with the answers of every person who counts."""
    given: dict[tuple[str, str], list[Answer]] = {}
    for row in release.table("responses").to_pylist():
        if _is_of_who_counts(row) and (judgement := _judgement(row)) is not None:
            answer = Answer(row["participant"], judgement, row["repeat"], row.get("condition", ""))
            given.setdefault((row.get("unit", "mixed_image"), row["key"]), []).append(answer)
    mixed, pairs = [], {}
    for row in release.table("mixed_images").to_pylist():
        parents = row["first_index"], row["second_index"]
        classes, name = (row["first_class"], row["second_class"]), pair_key(*parents)
        mixed.append(
            _unit(row["key"], row["lambda_e4"], classes, given.get(("mixed_image", row["key"])), parents)
        )
        pairs[name] = _unit(name, HALF_E4, classes, given.get(("pair", name)), parents)
    return mixed, list(pairs.values())


def _unit(
    key: str, lambda_e4: int, classes: tuple[int, int], answers: list[Answer] | None, parents: tuple[int, int]
) -> Unit:
    return Unit(key, lambda_e4, *classes, tuple(answers or ()), parents)


def _is_of_who_counts(row: dict[str, Any]) -> bool:
    """Whether no rule and no researcher left the person out; formats before 3 left out nobody."""
    why = row.get("not_counted") or ""
    return why != "invalid" and not why.startswith("excluded")


def median_seconds(release: Release) -> float | None:
    """The median time on a trial, in seconds; None where the study kept no times."""
    times = sorted(time for time in release.table("responses")["rt_ms"].to_pylist() if time is not None)
    return times[len(times) // 2] / 1000 if times else None


def _counts(row: dict[str, Any]) -> bool:
    if row["counted"]:
        return True
    undecided = row["cannot_tell"] and not row["repeat"]
    return undecided and (row.get("not_counted") or "cannot tell").startswith("cannot")


def _judgement(row: dict[str, Any]) -> Judgement | None:
    if row["cannot_tell"]:
        return CannotTell()
    if row["perceived_lambda"] is not None:
        return PerceivedLambda(row["perceived_lambda"], row["confidence"])
    if row.get("perceived_midpoint") is not None:
        return PerceivedMidpoint(row["perceived_midpoint"], json.loads(row["drawn"]).get("start", ""))
    if row.get("probabilities") is not None:
        return Distribution(tuple(row["probabilities"]))
    if row.get("mass"):
        mass = json.loads(row["mass"])
        excluded = frozenset(json.loads(row["excluded"] or "[]"))
        return ClassMass(tuple((int(index), share) for index, share in mass.items()), excluded)
    return None
