"""An experiment as configuration: what is compared, on which release, with how many seeds, trained how.

Read from TOML or from the form on the page, checked in full, and refused with every problem at once, each
beside its key. It holds names only; `material` turns them into the release and the image set of this
instance. `docs/experiments.md` explains every key.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hilmix.core.files import sha256_json
from hilmix.errors import Invalid
from training.engine.config import Augment, OnTheFly, TrainConfig, tune_grid
from training.evaluation.values import BY_KEY
from training.experiments.checking import Checker, Rule, is_a, repeated, without_none
from training.experiments.checking import did_you_mean as did_you_mean
from training.experiments.checking import problem_lines as problem_lines
from training.experiments.consistency import check_arms, check_contrasts, check_splits
from training.experiments.recipe import AUGMENT_RULES, MIXED_PLACES, TUNE_RULES, read_on_the_fly, read_train

MAX_SEED = 2**32 - 1
MAX_POINTS = 1_000  # of a grid
BASE_LABELS = ("hard", "human")
ROBUSTNESS = {
    "corruptions": "the 19 corruptions of CIFAR-10-C at 5 severities",
    "geometric": "mirrored, turned, moved and scaled images at 5 severities",
    "fgsm": "one step of the sign of the gradient, at most 4/255 a pixel",
    "pgd": "ten steps of it from a random start",
    "square": "Square attack, which needs no gradient: 300 queries on 500 images",
}
REPRODUCE = "reproduce"  # the table of a file that also has what came out, and is no configuration
EXCLUSIONS = {"diverged": "a run whose loss or weights are not finite any more"}
# Judged on nothing but agreement with λ, which is no end in itself.
# What arms can be compared by: of calibration errors differences are not estimated (`evaluation.resampling`).
PRIMARIES = tuple(
    key
    for key, metric in BY_KEY.items()
    if metric.group not in ("calibration", "mixup")
    and metric.higher_is_better is not None
    and key != "human_ece"
)


@dataclass(frozen=True)
class ArmConfig:
    """One of the things compared: what its models are trained on and how, beside what all arms share.

    Mixed images of the release have the labels of `policy`, made of what was said under `condition` (needed where
    people were asked in several ways), of `answers_per_image` of the answers to each image or of so many `people`;
    None for all. Without a policy the arm has no mixed image, and base images fill their places. `mixed_share` is the
    share of mixed images in what it sees, at most the experiment's. `start_from` is an arm of the experiment, whose run
    of the same seed gives the first weights, or the number of a finished run. `augment` holds what differs from the
    experiment's augmentation. `seeds` None: all of the experiment.
    """

    name: str
    policy: str | None = None
    condition: str | None = None
    answers_per_image: int | None = None
    people: int | None = None
    mixed_share: float | None = None
    base_labels: str = "hard"
    start_from: str | int | None = None
    augment: Mapping[str, Any] = field(default_factory=dict)
    on_the_fly: OnTheFly | None = None
    seeds: tuple[int, ...] | None = None

    @property
    def is_sampled(self) -> bool:
        """Whether its labels are of some of the answers only, drawn for each seed."""
        return self.answers_per_image is not None or self.people is not None

    def as_dict(self) -> dict[str, Any]:
        """As JSON, as a configuration has it under `arms`."""
        data = asdict(self)
        data["seeds"] = None if self.seeds is None else list(self.seeds)
        if self.on_the_fly:
            data["on_the_fly"]["share"] = self.on_the_fly.share or MIXED_PLACES
        return without_none(data)


@dataclass(frozen=True)
class Contrast:
    """A comparison planned before the first run: `arm` less `against`, and what the difference is `about`."""

    arm: str
    against: str
    about: str = ""


@dataclass(frozen=True)
class ExperimentConfig:
    """A checked configuration. Every arm is trained once for each of its seeds, for each fold where mixed images are
    held out, all by the same `train` but for what the arm says."""

    name: str
    release: str
    arms: tuple[ArmConfig, ...]
    seeds: tuple[int, ...]
    image_set: str | None = None
    train_on: str = "train"
    evaluate_on: str = "test"
    validation: int | str = 0
    primary: str | None = None
    contrasts: tuple[Contrast, ...] = ()
    resample_people: bool = False
    holdout_mixes: float = 0.0
    robustness: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    tune: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    train: TrainConfig = field(default_factory=TrainConfig)

    def as_dict(self) -> dict[str, Any]:
        """As JSON, defaults written out; `parse_config` reads it back."""
        data = asdict(self)
        data["arms"] = [arm.as_dict() for arm in self.arms]
        data["train"] = train_as_dict(self.train)
        data["tune"] = {key: list(values) for key, values in self.tune.items()}
        for key in ("seeds", "contrasts", "robustness", "exclude"):
            data[key] = list(data[key])
        return without_none(data)

    def recipe_sha256(self) -> str:
        """sha256 of all but the name and what it works on: equal for one recipe over several releases."""
        kept = {k: v for k, v in self.as_dict().items() if k not in ("name", "release", "image_set")}
        return sha256_json(kept)

    @property
    def numbered(self) -> list[tuple[int, ArmConfig]]:
        """The arms with their numbers, from 1."""
        return list(enumerate(self.arms, 1))

    def arm(self, name: str) -> ArmConfig:
        """The arm called `name`. Raises KeyError."""
        return {arm.name: arm for arm in self.arms}[name]

    def seeds_of(self, arm: ArmConfig) -> tuple[int, ...]:
        return self.seeds if arm.seeds is None else arm.seeds

    @property
    def arms_in_order(self) -> list[ArmConfig]:
        """The arms as written, but none before the one that it starts from."""
        ordered: list[ArmConfig] = []
        left = list(self.arms)
        while left:
            done = {arm.name for arm in ordered}
            ready = next(arm for arm in left if not isinstance(arm.start_from, str) or arm.start_from in done)
            ordered.append(ready)
            left.remove(ready)
        return ordered

    def trained_before(self, arm: ArmConfig) -> tuple[str | int, ...]:
        """What an arm's weights were trained by before its own training: arms, the first first, or a run's number."""
        if not isinstance(arm.start_from, str):
            return () if arm.start_from is None else (arm.start_from,)
        return (*self.trained_before(self.arm(arm.start_from)), arm.start_from)

    def equal_budget(self, one: str, other: str) -> bool:
        """Whether two arms were trained for as many steps, counted with those that they start from."""
        before = [self.trained_before(self.arm(name)) for name in (one, other)]
        runs = [[step for step in steps if isinstance(step, int)] for steps in before]
        return len(before[0]) == len(before[1]) and runs[0] == runs[1]

    def recipe(self, arm: ArmConfig) -> TrainConfig:
        """How an arm is trained, before anything is tuned."""
        augment = replace(self.train.augment, **arm.augment)
        return replace(self.train, augment=augment, on_the_fly=arm.on_the_fly)

    def candidates(self, arm: ArmConfig) -> list[TrainConfig]:
        """The points of the grid that an arm is tuned over, in the order written; none where nothing is tuned."""
        return tune_grid(self.recipe(arm), self.tune) if self.tune else []


def train_as_dict(train: TrainConfig) -> dict[str, Any]:
    """A training configuration as JSON; what was not given is left out."""
    data = asdict(train)
    data["milestones"] = list(train.milestones)
    return without_none(data)


def train_from_dict(data: Mapping[str, Any]) -> TrainConfig:
    """What `train_as_dict` wrote, the `train` of a run; keys that are no setting of a training are left alone."""
    known = {key: value for key, value in data.items() if key in TrainConfig.__dataclass_fields__}
    mixing = known.get("on_the_fly")
    return TrainConfig(
        **{
            **known,
            "milestones": tuple(known["milestones"]),
            "augment": Augment(**known["augment"]),
            # A share that is not there was None: `without_none` leaves it out.
            "on_the_fly": OnTheFly(**{"share": None, **mixing}) if mixing else None,
        }
    )


def read_config(path: Path) -> ExperimentConfig:
    """The configuration in the TOML file at `path`, which may be one that reproduces an experiment. Raises `Invalid`
    naming every problem."""
    data = {key: value for key, value in read_toml(path).items() if key != REPRODUCE}
    try:
        return parse_config(data)
    except Invalid as error:
        raise Invalid(f"{path.name} cannot be used.\n{error.message}", fields=error.fields) from None


def read_toml(path: Path) -> dict[str, Any]:
    """What the TOML file at `path` holds. Raises `Invalid` where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not TOML: {error}.") from None


def parse_config(data: Mapping[str, Any], *, stored: bool = False) -> ExperimentConfig:
    """The configuration in `data`, as TOML or JSON gives it; `stored` is that of an experiment that there is: it goes
    on under the rules that it was created by.

    Raises `Invalid` with all problems: one line each in the message, and by key (`train.epochs`) in `fields`.
    """
    check = Checker(stored=stored)
    check.keys(data, "", ExperimentConfig.__dataclass_fields__)
    settings = check.values(data, "", _RULES)
    config = ExperimentConfig(
        name=check.text(data, "name"),
        release=check.text(data, "release"),
        image_set=check.text_or_none(data, "image_set"),
        arms=_arms(check, data.get("arms")),
        seeds=_seeds(check, data.get("seeds"), "seeds"),
        train_on=check.text(data, "train_on", default="train"),
        evaluate_on=check.text(data, "evaluate_on", default="test"),
        validation=_validation(check, data.get("validation", 0)),
        primary=_primary(check, data),
        contrasts=_contrasts(check, data),
        robustness=_names(check, data, "robustness", ROBUSTNESS),
        exclude=_names(check, data, "exclude", EXCLUSIONS),
        tune=_tune(check, data),
        train=read_train(check, data.get("train", {})),
        **settings,
    )
    check_splits(check, config)
    check_arms(check, config)
    check_contrasts(check, config)
    check.raise_if_any()
    return config


_RULES = {
    "resample_people": Rule(bool, lambda v: True, "must be true or false"),
    "holdout_mixes": Rule(
        float, lambda v: 0 <= v <= 0.5, "must be a share above 0, at most 0.5; 0 holds none out"
    ),
}
_ARM_RULES = {
    "answers_per_image": Rule(int, lambda v: v >= 1, "must be a whole number of at least 1"),
    "people": Rule(int, lambda v: v >= 1, "must be a whole number of at least 1"),
    "mixed_share": Rule(float, lambda v: 0 < v < 1, "must be between 0 and 1"),
    "base_labels": Rule(str, BASE_LABELS.__contains__, f"must be one of {', '.join(BASE_LABELS)}"),
}


def _arms(check: Checker, value: Any) -> tuple[ArmConfig, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(arm, Mapping) for arm in value):
        check.refuse("arms", "must be a list of at least one arm ([[arms]] in TOML)")
        return ()
    arms = []
    for number, data in enumerate(value, 1):
        own = Checker(stored=check.stored)
        arms.append(_arm(own, data))
        of = (arms[-1].name or f"arm {number}") if len(value) > 1 else ""
        check.take(own, of=of, number=number)
    for name in repeated(arm.name.casefold() for arm in arms if arm.name):
        check.refuse("arms", f"two arms are called {name!r}; give each its own name")
    return tuple(arms)


def _arm(check: Checker, data: Mapping[str, Any]) -> ArmConfig:
    check.keys(data, "arms", ArmConfig.__dataclass_fields__)
    policy = check.text_or_none(data, "policy", where="arms")
    augment = check.table(data, "augment", "must be a table such as {flip = true}", where="arms")
    check.keys(augment, "arms.augment", AUGMENT_RULES)
    start = data.get("start_from")
    if start is not None and not is_a(start, int):
        start = check.text(data, "start_from", where="arms")
    return ArmConfig(
        name=check.text(data, "name", where="arms", default=policy),
        policy=policy,
        condition=check.text_or_none(data, "condition", where="arms"),
        start_from=start,
        augment=check.values(augment, "arms.augment", AUGMENT_RULES),
        on_the_fly=read_on_the_fly(check, data.get("on_the_fly")),
        seeds=_seeds(check, data["seeds"], "arms.seeds") if "seeds" in data else None,
        **check.values(data, "arms", _ARM_RULES),
    )


def _seeds(check: Checker, value: Any, key: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        check.refuse(key, "must be a list of at least one whole number, such as [0, 1]")
        return ()
    if not all(is_a(seed, int) and 0 <= seed <= MAX_SEED for seed in value):
        check.refuse(key, f"must be whole numbers from 0 to {MAX_SEED}")
        return ()
    for seed in repeated(value):
        check.refuse(key, f"{seed} stands there twice; the same seed gives the same model")
    return tuple(value)


def _validation(check: Checker, value: Any) -> int | str:
    if is_a(value, int) and value == 1 and not check.stored:
        check.refuse("validation", "is 1; figures with intervals take 2 images or more (0: none)")
        return 0
    if is_a(value, int) and value >= 0:
        return int(value)
    if isinstance(value, str) and value.strip():
        return value.strip()
    check.refuse("validation", f"is {value!r}; it must be a number of images, or the name of a split")
    return 0


def _primary(check: Checker, data: Mapping[str, Any]) -> str | None:
    if "primary" not in data:
        return None
    metric = BY_KEY.get(data["primary"]) if isinstance(data["primary"], str) else None
    if metric is not None and metric.key not in PRIMARIES and metric.interval == "norm":
        check.refuse(
            "primary",
            f"is {metric.key!r}; chance raises an error of calibration, most where it is small, so arms are not "
            "compared by one: take log_loss or brier",
        )
    else:
        check.one_of(data["primary"], "primary", PRIMARIES)
    return str(data["primary"])


def _contrasts(check: Checker, data: Mapping[str, Any]) -> tuple[Contrast, ...]:
    tables = check.tables(data, "contrasts", "must be a list of [[contrasts]], each with arm and against")
    found = []
    for number, table in enumerate(tables, 1):
        own = Checker(stored=check.stored)
        own.keys(table, "contrasts", Contrast.__dataclass_fields__)
        about = own.text(table, "about", where="contrasts") if table.get("about") else ""
        arm, against = (own.text(table, key, where="contrasts") for key in ("arm", "against"))
        found.append(Contrast(arm, against, about))
        check.take(own, of=f"contrast {number}" if len(tables) > 1 else "", number=number)
    return tuple(found)


def _names(check: Checker, data: Mapping[str, Any], key: str, known: Iterable[str]) -> tuple[str, ...]:
    value = data.get(key, [])
    if not isinstance(value, list):
        check.refuse(key, f"must be a list of some of {', '.join(known)}")
        return ()
    for name in value:
        check.one_of(name, key, known)
    return tuple(dict.fromkeys(str(name) for name in value))


def _tune(check: Checker, data: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    grid = check.table(data, "tune", "must be a table of lists, such as lr = [0.05, 0.1]")
    check.keys(grid, "tune", TUNE_RULES)
    good = {}
    for key in (key for key in TUNE_RULES if key in grid):
        values = grid[key]
        if not isinstance(values, list) or not values:
            check.refuse(f"tune.{key}", "must be a list of at least one value")
            continue
        found = [check.values({key: value}, "tune", TUNE_RULES) for value in values]
        if read := tuple(one[key] for one in found if key in one):
            good[key] = read
        if repeated(read):
            check.refuse(f"tune.{key}", "a value stands there twice")
    n_points = math.prod(len(values) for values in good.values())
    if n_points > MAX_POINTS and not check.stored:
        check.refuse(
            "tune", f"has {n_points:,} combinations, each a run of every arm; at most {MAX_POINTS:,}"
        )
        return {}
    return good
