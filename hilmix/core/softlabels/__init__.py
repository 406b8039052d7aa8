"""Label policies: pure functions from the judgements of each mixed image to a probability vector.

`POLICIES` is the registry; `build_label_set` makes the labels of all units of a study at once. What a policy is, and
its checks, are in `base`; each other module holds the policies of one family.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from hilmix.core.errors import DataError
from hilmix.core.judgements import Answer, Unit
from hilmix.core.softlabels import base, classes, controls, crowd, curves, lambdas, smoothing, warp
from hilmix.core.softlabels.base import (
    NUMBERS,
    Evidence,
    Floats,
    IndividualLabel,
    LabelPolicy,
    LabelRow,
    LabelSet,
    Param,
    Rows,
    asked_under,
    conditions_of,
    described,
    label_set,
)
from hilmix.core.softlabels.lambdas import Shrinkage, fit_shrinkage
from hilmix.core.softlabels.names import label_name, parse_label_name
from hilmix.core.softlabels.warp import PerceptualMixup

__all__ = [
    "DEFAULT_POLICY", "NUMBERS", "POLICIES", "Answer", "Evidence", "IndividualLabel", "LabelPolicy",
    "LabelRow", "LabelSet", "Param", "PerceptualMixup", "Rows", "Shrinkage", "Unit", "asked_under",
    "build_label_set", "conditions_of", "fit_shrinkage", "individual_labels", "label_name",
    "parse_label_name", "policy_named",
]  # fmt: skip

DEFAULT_POLICY = "human_lambda_shrunk"

POLICIES: dict[str, LabelPolicy] = {
    policy.name: policy
    for family in (lambdas, curves, smoothing, classes, crowd, warp, controls)
    for policy in family.POLICIES
}


def policy_named(name: str) -> LabelPolicy:
    """The policy called `name`; DataError listing what there is."""
    if name not in POLICIES:
        raise DataError(f"There is no label policy {name!r}. Choose one of: {', '.join(POLICIES)}.")
    return POLICIES[name]


def build_label_set(
    policy: LabelPolicy | str,
    units: Sequence[Unit],
    n_classes: int,
    *,
    pool: Collection[str] = (),
    pairs: Sequence[Unit] = (),
    beside: Sequence[Unit] = (),
    features: Floats | None = None,
    **params: Any,
) -> LabelSet:
    """Make the labels of all units of a study at once: some policies estimate parameters from all of them.

    Args:
        policy: a policy, its name, or a name with parameters such as `human_lambda(statistic=median)`.
        units: the mixed images to label, each with what was said about it.
        pool: conditions (perspective, wording, bonus …) whose answers are used together; each must be named.
        pairs, beside, features: as in `Evidence`, for policies that use them.
        params: parameters of the policy, as it declares them.

    Raises DataError for an unknown policy or parameter, answers of several conditions that are not all named in
    `pool`, a judgement that the policy does not take, and evidence that it needs and is not given.
    """
    chosen, params = _chosen(policy, params)
    evidence = Evidence(units, n_classes, pairs, beside, features)
    return described(label_set(chosen, evidence, pool, params), chosen, evidence, params)


def individual_labels(
    policy: LabelPolicy | str, units: Sequence[Unit], n_classes: int, **params: Any
) -> list[IndividualLabel]:
    """What every single answer makes by itself (H-Mix's per-participant soft labels), repeats included and marked.

    Raises DataError as `build_label_set`, and where the policy has no label of one answer.
    """
    chosen, params = _chosen(policy, params)
    return base.individual_labels(chosen, Evidence(units, n_classes), params)


def _chosen(policy: LabelPolicy | str, params: dict[str, Any]) -> tuple[LabelPolicy, dict[str, Any]]:
    if isinstance(policy, LabelPolicy):
        return policy, params
    name, named = parse_label_name(policy)
    return policy_named(name), {**named, **params}
