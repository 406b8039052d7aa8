"""Arms against each other: planned contrasts with their verdicts, everything else as exploratory, and which arm to
take. Pure: measured arms in, JSON out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from hilmix.core.errors import DataError
from hilmix.figures import number
from training.evaluation import inference, people
from training.evaluation.assessment import NO_HUMAN_LABELS
from training.evaluation.choice import choose
from training.evaluation.components import Drawn, Measured, Terms
from training.evaluation.inference import Estimate, Judged
from training.evaluation.resampling import measure
from training.evaluation.values import BY_KEY
from training.reports.inputs import ArmResult
from training.reports.tables import is_sure

MeasuredArm = Mapping[str, Measured]  # by metric
Pair = tuple[str, str]  # A − B, by name

MORE_SEEDS = (5, 10, 20, 40)  # in all, for which a report says what they would find

# What is compared beside the primary metric; more would only add comparisons that nobody can keep apart.
HEADLINE = (
    "accuracy",
    "log_loss",
    "brier",
    "macro_auroc",
    "human_cross_entropy",
    "human_kl",
    "human_total_variation",
    "entropy_correlation_pearson",
)


def measure_arm(arm: ArmResult) -> MeasuredArm:
    """The figures of an arm's runs on the test images; none where a run left no predictions."""
    models = [run.test for run in arm.runs if run.test is not None]
    return measure(models) if models and len(models) == len(arm.runs) else {}


def compare(
    arms: Sequence[ArmResult],
    measured: Mapping[str, MeasuredArm],
    *,
    planned: Sequence[Mapping[str, Any]],
    primary: str,
    reference: str,
    verdicts: bool,
) -> dict[str, Any]:
    """`planned` and `exploratory` comparisons, `n_exploratory`, and `impossible`: sentences about planned contrasts
    that could not be judged.

    `planned` are the configuration's contrasts; `verdicts` is False where the answers are simulated.
    """
    by_name = {arm.name: arm for arm in arms}
    about = {(one["arm"], one["against"]): str(one.get("about", "")) for one in planned}
    judged_as_planned: dict[str, Estimate] = {}
    others: dict[str, Estimate] = {}
    facts: dict[str, dict[str, Any]] = {}
    impossible = []
    for pair in about:
        found = _difference(by_name, measured, pair, primary)
        if isinstance(found, str):
            impossible.append(f"{pair[0]} − {pair[1]}: {found}")
            continue
        key = _key(pair, primary)
        facts[key] = _facts(by_name, pair, primary, about[pair], planned=True)
        judged_as_planned[key] = found
    for pair in _pairs(arms, reference, about):
        for metric in dict.fromkeys((primary, *HEADLINE)):
            key = _key(pair, metric)
            found = "planned" if key in facts else _difference(by_name, measured, pair, metric)
            if not isinstance(found, str):
                facts[key] = _facts(by_name, pair, metric, about.get(pair, ""), planned=False)
                others[key] = found
    better = BY_KEY[primary].higher_is_better
    if judged_as_planned and better is not None:
        judged = inference.judge(judged_as_planned, others, higher_is_better=better)
    else:
        others = {**judged_as_planned, **others}
        judged = [inference.exploratory_one(key, one, len(others)) for key, one in others.items()]
    told = [_told(one, facts[one.name], len(judged_as_planned), verdicts) for one in judged]
    return {
        "planned": [one for one in told if one["planned"]],
        "exploratory": [one for one in told if not one["planned"]],
        "n_exploratory": len(others),
        "impossible": impossible,
    }


def chosen(arms: Sequence[ArmResult], primary: str, *, simulated: bool = False) -> dict[str, Any]:
    """Which arm validation images speak for, and how surely: `arm`, `order`, `values`, `first_share`, `metric`,
    `sentence`; or only a `sentence` that says why there is no choice."""
    usable = [arm for arm in arms if arm.runs and all(run.validation is not None for run in arm.runs)]
    left_out = [arm.name for arm in arms if arm not in usable]
    if len(usable) < 2:
        return {
            "arm": None,
            "sentence": "No arm is put first: that takes two arms with predictions of validation images, which are no "
            "test images. Name some with validation in the configuration.",
        }
    common = sorted(set.intersection(*(set(arm.seeds) for arm in usable)))
    if not common:
        return {"arm": None, "sentence": "No arm is put first: the arms have no seed in common."}
    found = {}
    try:
        for arm in usable:
            models = [run.validation for run in arm.runs if run.seed in common and run.validation is not None]
            found[arm.name] = measure(models)
        metric = primary if all(primary in one for one in found.values()) else "log_loss"
        higher = bool(BY_KEY[metric].higher_is_better)
        choice = choose({name: one[metric] for name, one in found.items()}, higher_is_better=higher)
    except DataError as error:
        n = len(models[0].labels)
        return {"arm": None, "sentence": f"No arm is put first by {_count(n, 'validation image')}: {error}."}
    name = BY_KEY[metric].name
    instead = "" if metric == primary else f" {BY_KEY[primary].name} could not be measured there."
    without = f" Without {', '.join(left_out)}: no predictions of validation images." if left_out else ""
    among = " among these trained models" if len(common) < inference.LEAST_SEEDS else ""
    if is_sure(choice.first_share[choice.arm]):
        taken = f"would be taken{among}" if simulated else f"is to be taken{among}"
    else:
        taken = f"{'would be' if simulated else 'is'} first{among}, but not surely"
    taken += ", were the answers people's" if simulated else ""
    equal = equal_budget(usable)
    spent = ", ".join(f"{arm.name} {_steps(arm)}" for arm in usable)
    unequal = (
        "" if equal else f"Unequal budget: the arms were not trained on as many steps or batches ({spent}). "
    )
    sentence = (
        f"{unequal}By {name} on validation images, mean over {_count(len(common), 'seed')}, {choice.arm} {taken}: "
        f"{choice.first_share[choice.arm]:.0%} of crossed draws of images and seeds have it first. Test images had no "
        f"part in this.{instead}{without}"
    )
    return {
        **asdict(choice),
        "arm": choice.arm,
        "metric": metric,
        "n_seeds": len(common),
        "unequal_budget": not equal,
        "sentence": sentence,
    }


def _steps(arm: ArmResult) -> str:
    """How many steps are behind the models of an arm."""
    n_steps = sorted({run.n_steps for run in arm.runs})
    return f"{' or '.join(map(str, n_steps))} steps"


def difference(a: ArmResult, b: ArmResult, one: Measured, other: Measured) -> Measured | str:
    """A − B over the seeds that both have, or why there is none. Predictions from elsewhere have no seed: the mean over
    the other arm's seeds is compared with them, for these models only."""
    if a.is_external or b.is_external:
        return _mean_model(one).minus(_mean_model(other))
    common = [seed for seed in a.seeds if seed in b.seeds]
    if not common:
        return "the two arms have no seed in common"
    return of_seeds(one, [a.seeds.index(seed) for seed in common]).minus(
        of_seeds(other, [b.seeds.index(seed) for seed in common])
    )


def _difference(
    arms: Mapping[str, ArmResult], measured: Mapping[str, MeasuredArm], pair: Pair, metric: str
) -> Estimate | str:
    first, second = pair
    if first not in arms or second not in arms:
        return "one of the two arms has no finished run"
    one, other = (measured[name].get(metric) for name in pair)
    if one is None or other is None:
        lacking = [name for name in pair if metric not in measured[name]]
        why = dict.fromkeys(_not_measured(arms[name], measured[name], metric) for name in lacking)
        return "; ".join(why)
    found = difference(arms[first], arms[second], one, other)
    return found if isinstance(found, str) else inference.estimate(found)


def _not_measured(arm: ArmResult, measured: MeasuredArm, metric: str) -> str:
    name = BY_KEY[metric].name
    if why := undefined_of(arm, metric):
        return f"{name} has no value for {arm.name}: {why}"
    if measured and all(metric in run.values for run in arm.runs):
        return f"{name} is not defined in too many draws of the test images of {arm.name}"
    return f"{name} was not measured"


def undefined_of(arm: ArmResult, metric: str) -> str:
    """Why a figure that was measured has no value for some runs of an arm, and for which; empty where all have one, and
    where none could, as there are no human labels."""
    said: dict[str, list[int]] = {}
    for run in arm.runs:
        one = run.evaluations.get("test", {}).get(metric)
        if metric not in run.values and isinstance(one, Mapping):
            for why in one.get("undefined", ()):
                if NO_HUMAN_LABELS not in why and why not in people.NO_CEILING:
                    said.setdefault(why, []).append(run.seed)
    return "; ".join(
        why if len(seeds) == len(arm.runs) else f"{why} (seed {', '.join(map(str, seeds))})"
        for why, seeds in said.items()
    )


def of_seeds(one: Measured, rows: Sequence[int]) -> Measured:
    """The same figure of some of the seeds, by their places."""
    if isinstance(one, Terms):
        return Terms(one.terms[list(rows)])
    return Drawn(one.values[list(rows)], one.draws[:, list(rows)], one.n_images)


def _mean_model(one: Measured) -> Measured:
    if isinstance(one, Terms):
        return Terms(one.terms.mean(axis=0, keepdims=True, dtype=np.float64))
    return Drawn(
        one.values.mean(keepdims=True), np.asarray(one.draws.mean(axis=1, keepdims=True)), one.n_images
    )


def _pairs(arms: Sequence[ArmResult], reference: str, planned: Iterable[Pair]) -> list[Pair]:
    """The planned pairs, and every arm against the reference."""
    against = [(arm.name, reference) for arm in arms if arm.name != reference]
    known = list(planned)
    return known + [pair for pair in against if pair not in known and pair[::-1] not in known]


def _key(pair: Pair, metric: str) -> str:
    return f"{pair[0]}\n{pair[1]}\n{metric}"


def _facts(
    arms: Mapping[str, ArmResult], pair: Pair, metric: str, about: str, *, planned: bool
) -> dict[str, Any]:
    external = [name for name in pair if arms[name].is_external]
    return {
        "arm": pair[0],
        "against": pair[1],
        "about": about,
        "metric": metric,
        "as_planned": planned,
        "external": external,
        "unequal_budget": not external and not equal_budget([arms[name] for name in pair]),
    }


def budget_of(arm: ArmResult) -> dict[int, tuple[str, int]]:
    """By seed, the plan of batches and the steps behind a model, those of the model that it began with among them."""
    return {run.seed: (run.plan_sha256, run.n_steps) for run in arm.runs}


def equal_budget(arms: Sequence[ArmResult]) -> bool:
    """Whether all that were trained here took the same steps on the same batches, seed by seed."""
    by_seed: dict[int, set[tuple[str, int]]] = {}
    for arm in arms:
        for seed, spent in budget_of(arm).items():
            if not arm.is_external:
                by_seed.setdefault(seed, set()).add(spent)
    steps = {n for spent in by_seed.values() for _, n in spent}
    return len(steps) <= 1 and all(len(spent) == 1 for spent in by_seed.values())


def _told(one: Judged, facts: dict[str, Any], n_planned: int, verdicts: bool) -> dict[str, Any]:
    estimate, components = one.estimate, one.estimate.components
    verdict = verdicts and one.p_holm is not None
    better = {"a": facts["arm"], "b": facts["against"]}.get(one.better or "") if verdict else None
    needed, more = None, ""
    if verdict and better is None and estimate.value:
        needed = inference.seeds_needed(
            components, abs(estimate.value), alpha=inference.ALPHA / max(n_planned, 1)
        )
        more = (
            f" Were {number(abs(estimate.value))} the true difference, {needed} seeds in all would find it with "
            f"{inference.POWER:.0%} power."
            if needed
            else f" Were {number(abs(estimate.value))} the true difference, no number of seeds would find it: the test "
            "images are too few."
        )
    sentence = one.sentence.replace("The first arm", facts["arm"]).replace("The second arm", facts["against"])
    if not verdicts and one.p_holm is not None:
        low, high = estimate.interval()
        sentence = (
            f"No verdict, as the answers were simulated: difference {number(estimate.value)} "
            f"(95 % interval {number(low)} to {number(high)})."
        )
    if facts["unequal_budget"]:
        sentence = f"Unequal budget: the arms were not trained on as many steps or batches. {sentence}"
    if facts["external"]:
        sentence = (
            f"{', '.join(facts['external'])}: trained elsewhere, with a budget not known here. {sentence}"
        )
    return {
        **{key: value for key, value in facts.items() if key != "as_planned"},
        "planned": one.planned,
        "value": estimate.value,
        "interval": list(estimate.interval()),
        "n_seeds": components.n_seeds,
        "these_models": estimate.these_models,
        "p": estimate.p,
        "p_holm": one.p_holm if verdict else None,
        "interval_holm": list(one.interval_holm) if one.interval_holm and verdict else None,
        "better": better,
        "verdict": _verdict(one, better, verdicts),
        "detectable": (one.detectable or None) if verdict else None,
        "seeds_needed": needed,
        "detectable_with": _detectable_with(one, n_planned),
        "sentence": sentence + more,
    }


def _detectable_with(one: Judged, n_planned: int) -> list[list[float]]:
    """The least true difference that would be found, had more seeds been trained: [seeds in all, difference] for each
    of `MORE_SEEDS`; empty where nothing was planned, or one seed says nothing of others."""
    components = one.estimate.components
    if not one.planned or components.n_seeds < 2:
        return []
    alpha = inference.ALPHA / max(n_planned, 1)
    more = (n for n in MORE_SEEDS if n > components.n_seeds)
    return [[n, inference.detectable(components, alpha=alpha, seeds=n)] for n in more]


def _verdict(one: Judged, better: str | None, verdicts: bool) -> str:
    """In two or three words, for a table."""
    if not one.planned:
        return "exploratory"
    if not verdicts or one.p_holm is None:
        return "no verdict"
    return f"{better} is better" if better else "not separable"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
