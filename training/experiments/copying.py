"""A configuration as the rows and fields of its form, and what of it no field can hold.

`filled` is what fields are filled with; what then comes back of a form that nobody touched is compared with the
configuration (`lost`), and put back where the person left the field as it was (`put_back`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from training.engine.config import OnTheFly, TrainConfig
from training.experiments.config import BASE_LABELS, ExperimentConfig, train_as_dict
from training.experiments.recipe import MIXED_PLACES

ROWS = ("arms", "contrasts")
_MISSING = object()

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Filled:
    """Values by field: of the form itself, and of each of its rows."""

    fields: dict[str, Any]
    arms: list[dict[str, Any]]
    contrasts: list[dict[str, Any]]


@dataclass(frozen=True)
class Lost:
    """A setting at `path` of which the form shows `shown` (`_MISSING` where it shows none), and that is `kept`;
    `of_a_row` that the form shows otherwise."""

    path: Path
    shown: Any
    kept: Any
    of_a_row: bool

    def words(self, config: ExperimentConfig) -> str:
        """Such as `tune.lr: [0.1]`, an arm by its name."""
        named = list(self.path)
        if named[0] == "arms":
            named[:2] = [config.arms[int(named[1])].name]
        elif named[0] == "contrasts":
            named[1] = int(named[1]) + 1
        return f"{'.'.join(map(str, named))}: {json.dumps(self.kept, ensure_ascii=False)}"


def filled(config: ExperimentConfig) -> Filled:
    """What the fields of the form say of a configuration."""
    data = config.as_dict()
    train = data["train"]
    usual = train_as_dict(TrainConfig())
    fields: dict[str, Any] = {
        key: value for key, value in data.items() if key not in (*ROWS, "train", "tune", "release", "seeds")
    }
    fields |= {key: value for key, value in train.items() if key not in ("augment", "milestones", "factor")}
    fields |= train["augment"]
    # Empty means the usual ones, which say nothing where the rate does not fall in steps.
    if train["milestones"] != usual["milestones"]:
        fields["milestones"] = _listed(train["milestones"])
    if train["factor"] != usual["factor"]:
        fields["factor"] = train["factor"]
    if not fields["holdout_mixes"]:
        del fields["holdout_mixes"]
    fields["seeds"] = _listed(data["seeds"])
    fields |= {f"tune_{key}": _listed(values) for key, values in data["tune"].items()}
    return Filled(fields, [_arm(arm) for arm in data["arms"]], [dict(one) for one in data["contrasts"]])


def _arm(data: Mapping[str, Any]) -> dict[str, Any]:
    row = {key: value for key, value in data.items() if key not in ("augment", "on_the_fly", "seeds")}
    if "seeds" in data:
        row["seeds"] = _listed(data["seeds"])
    # JSON writes true, false and numbers as TOML does.
    row["augment"] = ", ".join(f"{key} = {json.dumps(value)}" for key, value in data["augment"].items())
    return row | {f"fly_{key}": value for key, value in data.get("on_the_fly", {}).items()}


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))


def lost(shown: Mapping[str, Any], config: ExperimentConfig) -> list[Lost]:
    """What of a configuration a form that nobody touched does not give back: `shown` is what it gives, rows by their
    number."""
    there, wanted = _flat(_whole(shown)), _flat(_whole(_numbered(config.as_dict())))
    paths = [*wanted, *sorted(there.keys() - wanted.keys(), key=str)]
    return [
        Lost(
            path,
            there.get(path, _MISSING),
            wanted.get(path),
            of_a_row=path[0] in ROWS and path[1] in shown[str(path[0])],
        )
        for path in paths
        if path != ("release",) and there.get(path, _MISSING) != wanted.get(path, _MISSING)
    ]


def put_back(given: Mapping[str, Any], lost: Sequence[Lost]) -> dict[str, Any]:
    """What a form gives, rows by their number, with what it could not show where the person left it as it was."""
    kept: dict[str, Any] = deepcopy(dict(given))
    there = _flat(_whole(given))
    for one in lost:
        taken_out = one.of_a_row and one.path[1] not in given[str(one.path[0])]
        if not taken_out and there.get(one.path, _MISSING) == one.shown:
            _set(kept, one.path, one.kept)
    return kept


def _numbered(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, **{rows: dict(enumerate(data[rows])) for rows in ROWS}}


def _whole(data: Mapping[str, Any]) -> dict[str, Any]:
    """With the defaults written out, rows by their number."""
    usual = ExperimentConfig(name="", release="", arms=(), seeds=()).as_dict()
    train = data.get("train", {})
    train = {**usual["train"], **train, "augment": {**usual["train"]["augment"], **train.get("augment", {})}}
    arms = {number: _whole_arm(arm) for number, arm in data.get("arms", {}).items()}
    contrasts = {number: {"about": "", **one} for number, one in data.get("contrasts", {}).items()}
    return {**usual, **data, "train": train, "arms": arms, "contrasts": contrasts}


def _whole_arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    whole = {"base_labels": BASE_LABELS[0], "name": arm.get("policy", ""), **arm}
    if fly := arm.get("on_the_fly"):
        usual = {key: getattr(OnTheFly(), key) for key in ("method", "alpha", "labels", "share")}
        whole["on_the_fly"] = {**usual, **fly, "share": fly.get("share", usual["share"]) or MIXED_PLACES}
    return whole


def _flat(data: Mapping[str, Any], at: Path = ()) -> dict[Path, Any]:
    """Each setting by its path; a list is one setting, a table that is empty none."""
    found: dict[Path, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= _flat(value, (*at, key))
        elif value is not None:
            found[(*at, key)] = value
    return found


def _set(data: dict[Any, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {})
    if value is None:
        data.pop(path[-1], None)
    else:
        data[path[-1]] = value
