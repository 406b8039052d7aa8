"""What the people of a release said, as judgements again: for planning the next study from the last one.

Labels are made when a release is; nothing here makes one. Answers of several conditions are told apart by their name.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

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
from hilmix.core.release import Release, pair_key

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
        if _counts(row) and condition in (said, "") and (judgement := _judgement(row, release)) is not None:
            given.setdefault(row["key"], []).append(Answer(row["participant"], judgement, False, said))
    if not given:
        raise DataError(f"The release {release.name} has no answer that counts.")
    return [Unit(key, *recipes[key], tuple(answers)) for key, answers in given.items()]


def median_seconds(release: Release) -> float | None:
    """The median time on a trial, in seconds; None where the study kept no times."""
    times = sorted(time for time in release.table("responses")["rt_ms"].to_pylist() if time is not None)
    return times[len(times) // 2] / 1000 if times else None


def _counts(row: dict[str, Any]) -> bool:
    if row["counted"]:
        return True
    undecided = row["cannot_tell"] and not row["repeat"]
    return undecided and (row.get("not_counted") or "cannot tell").startswith("cannot")


def _judgement(row: dict[str, Any], release: Release) -> Judgement | None:
    if row["cannot_tell"]:
        return CannotTell()
    if row["perceived_lambda"] is not None:
        return PerceivedLambda(row["perceived_lambda"], row["confidence"])
    if row.get("perceived_midpoint") is not None:
        return PerceivedMidpoint(row["perceived_midpoint"])
    if row.get("probabilities") is not None:
        return Distribution(tuple(row["probabilities"]))
    if row.get("mass"):
        index = {name: position for position, name in enumerate(release.classes)}
        mass = json.loads(row["mass"])
        return ClassMass(tuple((index[name], share) for name, share in mass.items()), frozenset())
    return None
