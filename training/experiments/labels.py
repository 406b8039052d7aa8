"""Which labels an arm learns from: those of the release, or labels made of some of its answers.

An arm may learn from a part of the answers, to find out how many are needed. Which part is drawn for each seed, by
hashes of seed, mixed image and participant: the first n of one order, so that more answers are always fewer answers
and some more, on any machine. Where mixed images are held out, no label is made of what was said about them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from hilmix.core.features import features_of
from hilmix.core.judgements import Unit
from hilmix.core.release import Release
from hilmix.core.release_answers import (
    canonical_name,
    derived_individual_labels,
    derived_labels,
    is_policy,
    units_of_release,
)
from hilmix.core.softlabels import POLICIES, LabelSet, parse_label_name
from hilmix.hub.rows import of_label_set
from training.experiments.checking import did_you_mean
from training.experiments.config import ArmConfig

if TYPE_CHECKING:
    from training.evaluation.answers import Answers
    from training.evaluation.held_out import MixedImages
    from training.experiments.material import Material

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """What labels are made of: units without one of the `withdrawn` parents, and of each the answers of `people` (None:
    of all) and of the first `answers_per_image` (None: all) in the order of `seed`."""

    seed: int
    answers_per_image: int | None = None
    people: frozenset[str] | None = None
    withdrawn: frozenset[int] = frozenset()

    def __call__(self, unit: Unit) -> Unit | None:
        if self.withdrawn.intersection(unit.parents or ()):
            return None
        asked = {answer.participant for answer in unit.answers}
        if self.people is not None:
            asked &= self.people
        if self.answers_per_image is not None:
            asked = set(in_order(asked, self.seed, unit.key)[: self.answers_per_image])
        kept = tuple(answer for answer in unit.answers if answer.participant in asked)
        return unit if len(kept) == len(unit.answers) else replace(unit, answers=kept)


def in_order(people: set[str], seed: int, what: str = "") -> list[str]:
    """People in the order of a seed, another one for everything that is asked about."""
    return sorted(people, key=lambda one: blake2b(f"{seed} {what} {one}".encode(), digest_size=8).digest())


def label_record(data: Release, arm: ArmConfig, features: Callable[[], Floats]) -> dict[str, Any]:
    """What an arm's labels are: the entry of the release, or what its entry would be where it does not hold them.

    Raises `DataError` where they are neither held nor can be made.
    """
    policy = arm.policy or ""
    name = canonical_name(policy)
    if name in data.policies:
        return data.label_set(policy, arm.condition)
    if not is_policy(name):
        known = sorted({*data.policies, *POLICIES})
        raise DataError(f"{data.name} has no labels of policy {policy!r}{did_you_mean(policy, known)}")
    return {**of_label_set(_derived(data, name, arm.condition, features)), "derived": True}


def sampling_problem(data: Release, arm: ArmConfig, condition: str | None) -> str | None:
    """What is wrong with how many answers or people an arm asks for; None if nothing is."""
    labels = arm.on_the_fly.labels if arm.on_the_fly else "mixup"
    if arm.policy and not POLICIES[parse_label_name(arm.policy)[0]].accepts and labels == "mixup":
        return f"the policy {arm.policy} uses no answers, so none can be chosen for it"
    units = units_of_release(data, condition or "")
    asked = [{answer.participant for answer in unit.answers} for unit in units]
    most, people = max(map(len, asked)), set().union(*asked)
    if arm.answers_per_image is not None and arm.answers_per_image > most:
        return f"answers_per_image is {arm.answers_per_image}; no mixed image has more than {most}"
    if arm.people is not None and arm.people > len(people):
        return f"people is {arm.people}; only {len(people)} answered"
    return None


def mixed_labels(material: Material, arm: ArmConfig, *, seed: int, fold: int) -> Floats:
    """The labels of the mixed images that are trained on in a fold, float64 [n, K], as an arm has them for a seed."""
    policy = canonical_name(arm.policy or "")
    if not arm.is_sampled and not fold and policy in material.data.policies:
        return material.data.labels(policy, arm.condition)
    return label_set(material, arm, policy, seed=seed, fold=fold).probabilities


def label_set(material: Material, arm: ArmConfig, policy: str, *, seed: int, fold: int) -> LabelSet:
    """The labels of `policy`, made of what an arm learns from: its condition, its part of the answers, its fold."""
    withdrawn = material.folds[fold - 1].withdrawn.tolist() if fold else ()
    chosen = Chosen(seed, arm.answers_per_image, _people(material, arm, seed), frozenset(withdrawn))
    return _derived(material.data, policy, arm.condition, lambda: material.features, chosen)


def fitted(material: Material, arm: ArmConfig, policy: str, *, seed: int, fold: int) -> dict[str, Any]:
    """The parameters of `policy` as an arm has them: the release's, or estimated on its part of the answers."""
    if not arm.is_sampled and not fold and policy in material.data.policies:
        return dict(material.data.label_set(policy, arm.condition)["params"])
    return label_set(material, arm, policy, seed=seed, fold=fold).params


def features_of_parents(material: Material) -> Floats:
    """Pixel features of both parents of each mixed image, float64 [n, 2, F]; each image is looked at once."""
    indices, places = np.unique(material.parents, return_inverse=True)
    return features_of(np.asarray(material.images.images[indices]))[places.reshape(-1, 2)]


def made_by(arm: ArmConfig) -> str | None:
    """The policy of the release by which an arm labels the mixtures that it makes while it trains, if there is one."""
    if arm.on_the_fly is None or arm.on_the_fly.labels == "mixup":
        return None
    return "population_curve" if arm.on_the_fly.labels == "population_curve" else "perceptual_warp"


def condition_of(material: Material, arm: ArmConfig) -> str:
    """Under which condition the answers were given that an arm learns from; empty for any."""
    record = material.records.get(arm.name, {})
    if not arm.policy and (policy := made_by(arm)):
        record = label_record(material.data, replace(arm, policy=policy), lambda: material.features)
    return record.get("condition") or arm.condition or ""


def answers_to(data: Release, policy: str, condition: str | None) -> Floats:
    """What people said of each mixed image, float64 [n, K] of the labels of `policy`; NaN where nobody answered, where
    a label is no more than the policy's default."""
    found, table = data.labels(policy, condition), data.table("labels")
    if "n" not in table.column_names:  # format 1 does not tell
        return found
    columns = [name for name in ("key", "policy", "condition", "n") if name in table.column_names]
    name, of = canonical_name(policy), data.label_set(policy, condition)["condition"]
    counted = {
        row["key"]: row["n"]
        for row in table.select(columns).to_pylist()
        if row["policy"] == name and of in (None, row.get("condition"))
    }
    asked = np.array([bool(counted.get(key)) for key in data.table("mixed_images")["key"].to_pylist()])
    return np.where(asked[:, None], found, np.nan)


def held_out(material: Material) -> MixedImages:
    """The mixed images that some fold holds out, with what people said of them."""
    from training.evaluation.held_out import MixedImages

    rows = np.sort(np.concatenate([fold.held_out for fold in material.folds]))
    first, second = material.images.labels[material.parents[rows]].T
    said, answers = material.answers, None
    if said is not None and material.judged_by is not None:
        said = said[rows]
        answers = single_answers(material.data, *material.judged_by, rows, said)
    return MixedImages(rows, first, second, material.data.lambdas()[rows], said, answers)


def single_answers(
    data: Release, policy: str, condition: str | None, rows: NDArray[np.int64], said: Floats
) -> Answers | None:
    """The answers that the labels `said` float64 [n, K] of the mixed images `rows` int64 [n] are the mean of, each
    person's first to an image; None where they are the mean of nothing that the release holds."""
    from training.evaluation.answers import Answers

    keys = data.table("mixed_images")["key"].to_pylist()
    place_of = {keys[row]: place for place, row in enumerate(rows)}
    try:
        every = derived_individual_labels(data, policy, condition)
    except DataError:
        return None
    firsts = {(one.key, one.participant): one for one in reversed(every) if not one.repeat}
    kept = [one for (key, _), one in sorted(firsts.items()) if key in place_of]
    if not kept:
        return None
    answers = Answers(
        np.stack([one.probabilities for one in kept]),
        np.array([place_of[one.key] for one in kept]),
        np.unique([one.participant for one in kept], return_inverse=True)[1],
        len(rows),
    )
    return answers if np.allclose(answers.means, said, atol=1e-6, equal_nan=True) else None


def _people(material: Material, arm: ArmConfig, seed: int) -> frozenset[str] | None:
    if arm.people is None:
        return None
    units = units_of_release(material.data, condition_of(material, arm))
    everybody = {answer.participant for unit in units for answer in unit.answers}
    return frozenset(in_order(everybody, seed)[: arm.people])


def _derived(
    data: Release,
    policy: str,
    condition: str | None,
    features: Callable[[], Floats],
    chosen: Chosen | None = None,
) -> LabelSet:
    name, _ = parse_label_name(policy)
    needed = features() if "features" in POLICIES[name].needs else None
    return derived_labels(data, policy, condition, chosen=chosen, features=needed)
