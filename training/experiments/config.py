"""An experiment as configuration: what is compared, on which release, with how many seeds, trained how.

Read from TOML or from the form on the page, checked in full, and refused with every problem at once, each
beside its key. It holds names only; `resolve.py` turns them into the release and the image set of this
instance.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hilmix.errors import Invalid
from training.engine.config import NETS, PRECISIONS, TrainConfig

Problems = dict[str, list[str]]

MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class ArmConfig:
    """One of the things compared: models trained on the labels that `policy` made, of the answers given under
    `condition`, which must be named where people were asked in several ways."""

    name: str
    policy: str
    condition: str | None = None


@dataclass(frozen=True)
class ExperimentConfig:
    """A checked configuration. Every arm is trained once for each of `seeds`, all with the same `train`."""

    name: str
    release: str
    arms: tuple[ArmConfig, ...]
    seeds: tuple[int, ...]
    image_set: str | None = None
    train_on: str = "train"
    evaluate_on: str = "test"
    train: TrainConfig = field(default_factory=TrainConfig)

    def as_dict(self) -> dict[str, Any]:
        """As JSON, defaults written out; `parse_config` reads it back."""
        data = asdict(self)
        train = data["train"]
        train["augment"] = {"crop": train.pop("crop"), "flip": train.pop("flip")}
        data["arms"], data["seeds"] = [_without_none(arm) for arm in data["arms"]], list(data["seeds"])
        return _without_none(data)


def read_config(path: Path) -> ExperimentConfig:
    """The configuration in the TOML file at `path`. Raises `Invalid` naming every problem."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not TOML: {error}.") from None
    try:
        return parse_config(data)
    except Invalid as error:
        raise Invalid(f"{path.name} cannot be used.\n{error.message}", fields=error.fields) from None


def parse_config(data: Mapping[str, Any]) -> ExperimentConfig:
    """The configuration in `data`, as TOML or JSON gives it.

    Raises `Invalid` with all problems: one line each in the message, and by key (`train.epochs`) in `fields`.
    """
    check = _Checker()
    check.keys(data, "", _EXPERIMENT_KEYS)
    config = ExperimentConfig(
        name=check.text(data, "name"),
        release=check.text(data, "release"),
        image_set=check.text(data, "image_set") if "image_set" in data else None,
        arms=_arms(check, data.get("arms")),
        seeds=_seeds(check, data.get("seeds")),
        train_on=check.text(data, "train_on", default="train"),
        evaluate_on=check.text(data, "evaluate_on", default="test"),
        train=_train(check, data.get("train", {})),
    )
    if config.train_on and config.train_on == config.evaluate_on:
        check.refuse("evaluate_on", f"is {config.evaluate_on!r}, which is trained on; choose another")
    check.raise_if_any()
    return config


def _arms(check: _Checker, value: Any) -> tuple[ArmConfig, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(arm, dict) for arm in value):
        check.refuse("arms", "must be a list of at least one arm ([[arms]] in TOML), each with a policy")
        return ()
    arms = []
    for arm in value:
        check.keys(arm, "arms", _ARM_KEYS)
        policy = check.text(arm, "policy", where="arms")
        name = check.text(arm, "name", where="arms", default=policy)
        condition = check.text(arm, "condition", where="arms") if "condition" in arm else None
        arms.append(ArmConfig(name, policy, condition))
    for name in _repeated(arm.name.casefold() for arm in arms):
        check.refuse("arms", f"two arms are called {name!r}; give each its own name")
    return tuple(arms)


def _seeds(check: _Checker, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        check.refuse("seeds", "must be a list of at least one whole number, such as [0, 1]")
        return ()
    if not all(_is(seed, int) and 0 <= seed <= MAX_SEED for seed in value):
        check.refuse("seeds", f"must be whole numbers from 0 to {MAX_SEED}")
        return ()
    for seed in _repeated(value):
        check.refuse("seeds", f"{seed} stands there twice; the same seed gives the same model")
    return tuple(value)


def _train(check: _Checker, value: Any) -> TrainConfig:
    if not isinstance(value, dict):
        check.refuse("train", "must be a table ([train] in TOML)")
        return TrainConfig()
    augment = value.get("augment", {})
    if not isinstance(augment, dict):
        check.refuse("train.augment", "must be a table with crop and flip")
        augment = {}
    check.keys(value, "train", [*_TRAIN_RULES, "augment"])
    check.keys(augment, "train.augment", _AUGMENT_RULES)
    settings = check.values(value, "train", _TRAIN_RULES)
    settings |= check.values(augment, "train.augment", _AUGMENT_RULES)
    return TrainConfig(**settings)


@dataclass(frozen=True)
class _Rule:
    """What a value must be: its type, the test it must pass, and the words for it."""

    kind: type
    test: Any
    words: str


_EXPERIMENT_KEYS = ("name", "release", "image_set", "train_on", "evaluate_on", "arms", "seeds", "train")
_ARM_KEYS = ("name", "policy", "condition")
_TRAIN_RULES = {
    "net": _Rule(str, NETS.__contains__, f"must be one of {', '.join(NETS)}"),
    "epochs": _Rule(int, lambda v: 1 <= v <= 1000, "must be a whole number from 1 to 1000"),
    "batch_size": _Rule(int, lambda v: 2 <= v <= 8192, "must be a whole number from 2 to 8192"),
    "lr": _Rule(float, lambda v: 0 < v <= 10, "must be a number above 0, at most 10"),
    "momentum": _Rule(float, lambda v: 0 <= v < 1, "must be a number from 0 to below 1"),
    "weight_decay": _Rule(float, lambda v: 0 <= v <= 1, "must be a number from 0 to 1"),
    "warmup_epochs": _Rule(float, lambda v: 0 <= v <= 1000, "must be a number of epochs, 0 or more"),
    "mixed_share": _Rule(
        float, lambda v: 0 < v < 1, "must be between 0 and 1; leave it out for the natural share"
    ),
    "precision": _Rule(str, PRECISIONS.__contains__, f"must be one of {', '.join(PRECISIONS)}"),
    "threads": _Rule(int, lambda v: 1 <= v <= 1024, "must be a whole number of at least 1"),
}
_AUGMENT_RULES = {
    "crop": _Rule(int, lambda v: 0 <= v <= 64, "must be a whole number of pixels from 0 to 64"),
    "flip": _Rule(bool, lambda v: True, "must be true or false"),
}


class _Checker:
    """Collects what is wrong, so that a person mends it all in one go."""

    def __init__(self) -> None:
        self.problems: Problems = {}

    def refuse(self, key: str, problem: str) -> None:
        self.problems.setdefault(key, []).append(problem)

    def raise_if_any(self) -> None:
        if self.problems:
            raise Invalid(problem_lines(self.problems), fields=self.problems)

    def keys(self, table: Mapping[str, Any], where: str, known: Iterable[str]) -> None:
        """Refuse keys that mean nothing here: a misspelt one would silently leave a default in place."""
        for key in table:
            if key not in known:
                self.refuse(_join(where, key), f"is not known here{did_you_mean(key, known)}")

    def text(self, table: Mapping[str, Any], key: str, *, where: str = "", default: str | None = None) -> str:
        value = table.get(key, default)
        if isinstance(value, str) and value.strip() and len(value) <= 120:
            return value.strip()
        problem = "is missing" if value is None else "must be a text of 1 to 120 characters"
        self.refuse(_join(where, key), problem)
        return ""

    def values(self, table: Mapping[str, Any], where: str, rules: Mapping[str, _Rule]) -> dict[str, Any]:
        """The values of a table that follow their rule; the others are refused."""
        good: dict[str, Any] = {}
        for key in rules.keys() & table.keys():
            rule, value = rules[key], table[key]
            if _is(value, rule.kind) and rule.test(value):
                good[key] = rule.kind(value)
            else:
                self.refuse(_join(where, key), f"is {value!r}; it {rule.words}")
        return good


def problem_lines(problems: Mapping[str, Iterable[str]]) -> str:
    """One line a problem, such as `train.epochs: is 0; it must be …`."""
    return "\n".join(f"{key}: {text}" for key, texts in problems.items() for text in texts)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to append to a refusal: the known word that is closest, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known) or 'none'}"


def _is(value: Any, kind: type) -> bool:
    """Whether `value` is of `kind`; a whole number is a number, true and false are not."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, (int, float)) if kind is float else isinstance(value, kind)


def _repeated(values: Iterable[Any]) -> list[Any]:
    seen: set[Any] = set()
    return [value for value in values if value in seen or seen.add(value)]  # type: ignore[func-returns-value]


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _without_none(data: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: what was not given is left out."""
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in data.items()
        if value is not None
    }
