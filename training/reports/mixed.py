"""Held-out mixed images: each arm against people's answers and its agreement with mixup, and what lies between arms.

All folds of a seed together are one model's predictions: every mixed image is judged by the one fold that held it out.
Images and seeds are crossed, as on test images; where participants are resampled, intervals of means against answers
are for other people too. Everything here is exploratory.

Pure: arms in, JSON out. Runs whose files are gone, so that only their rows are known, are summarised by their folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from training.evaluation.answers import DRAWS, with_participants
from training.evaluation.components import Measured, Terms
from training.evaluation.held_out import HeldOut, MixedImages
from training.evaluation.inference import LEAST_SEEDS, Estimate, estimate
from training.evaluation.metrics import Floats
from training.evaluation.scores import summarise
from training.evaluation.values import BY_KEY
from training.reports.comparing import equal_budget, of_seeds
from training.reports.inputs import ArmResult

# What is compared: of what differs by the same between arms (KL and cross-entropy) one only.
COMPARED = {
    "people": ("human_cross_entropy", "human_total_variation", "entropy_correlation_pearson"),
    "mixup": ("mixup_agreement_top1", "mixup_agreement_cross_entropy"),
}
NOT_SINGLE = "the labels they are judged by are not the mean of single answers that the release holds"
NO_LABELS = "the release has no labels that are the mean of answers"
TOO_FEW = "people answered fewer than two of the mixed images that were held out"


def people_of(arms: Sequence[ArmResult], config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Whether participants are resampled: `draws` and `n_people`, or `not_assessed` with the reason; None where it was
    not asked for."""
    if not config.get("resample_people"):
        return None
    images = next((arm.held_out.images for arm in arms if arm.held_out), None)
    if images is None:
        return {"not_assessed": "no mixed images were held out, of which alone single answers are known"}
    if why := _unanswered(images):
        return {"not_assessed": why}
    if images.answers is None:
        return {"not_assessed": NOT_SINGLE}
    if why := images.answers.why_not_drawn:
        return {"not_assessed": why}
    return {"draws": DRAWS, "n_people": len(np.unique(images.answers.people))}


def _unanswered(images: MixedImages) -> str | None:
    """Why nothing can be judged by people's answers, if so."""
    if images.labels is None:
        return NO_LABELS
    return TOO_FEW if images.answered.sum() < 2 else None


def drawn_again(participants: Mapping[str, Any] | None) -> bool:
    """Whether participants are drawn again, of what `people_of` says."""
    return participants is not None and "draws" in participants


def about_participants(found: Mapping[str, Any]) -> str:
    """What was resampled, of what `people_of` says, and what was not."""
    others = (
        "Test images are not in this: who said what of them is not known, only shares or counts, so all other "
        "intervals are for these people."
    )
    if "not_assessed" in found:
        return (
            f"Resampling of participants was asked for and is not assessed: {found['not_assessed']}. {others}"
        )
    return (
        f"Participants were resampled, {found['draws']} times all {found['n_people']} who answered held-out mixed "
        "images, all answers of one together: there, intervals of means against answers are for other people too. "
        f"Models were not trained again on what others would have said. {others}"
    )


def mixed_of(arm: ArmResult, *, resample_people: bool = False) -> dict[str, Any] | None:
    """On mixed images that were held out: against answers (`people`) and agreement with mixup (`mixup`), by metric."""
    held = arm.held_out
    if held is None:
        return _from_rows(arm)
    told: dict[str, Any] = {
        "n": len(held.images.rows),
        "n_answered": int(held.images.answered.sum()),
        "n_seeds": len(held.seeds),
        "these_models": 0 < len(held.seeds) < LEAST_SEEDS,
        "left_out": list(held.left_out),
        "people": {},
        "mixup": {},
    }
    if held.seeds:
        again = _means_again(held, held.seeds) if resample_people else {}
        for part, figures in held.measured.items():
            told[part] = {key: _figure(held, key, one, again.get(key)) for key, one in figures.items()}
    if why := _unanswered(held.images):
        told["people"]["not_assessed"] = why
    return told


def differences_of(
    arms: Sequence[ArmResult],
    *,
    planned: Sequence[Mapping[str, Any]],
    reference: str,
    resample_people: bool = False,
) -> list[dict[str, Any]]:
    """Every planned pair, and each arm less the reference, over the seeds that both have: all exploratory."""
    held = {arm.name: arm for arm in arms if arm.held_out and arm.held_out.seeds}
    pairs = [(str(one["arm"]), str(one["against"])) for one in planned]
    pairs += [(name, reference) for name in held if name != reference and (reference, name) not in pairs]
    told = []
    for pair in dict.fromkeys(pairs):
        if pair[0] not in held or pair[1] not in held:
            continue
        for part, key, one in _between(held[pair[0]], held[pair[1]], resample_people):
            told.append(
                {
                    "arm": pair[0],
                    "against": pair[1],
                    "part": part,
                    "metric": key,
                    "value": one.value,
                    "interval": list(one.interval()),
                    "n_seeds": one.components.n_seeds,
                    "these_models": one.these_models,
                    "people_resampled": bool(one.components.people_df),
                    "unequal_budget": not equal_budget([held[name] for name in pair]),
                    "external": [],
                }
            )
    return told


def _between(a: ArmResult, b: ArmResult, resample_people: bool) -> Iterator[tuple[str, str, Estimate]]:
    """Each figure that is compared, of a less b, with its part."""
    one, other = a.held_out, b.held_out
    assert one is not None
    assert other is not None
    common = tuple(seed for seed in one.seeds if seed in other.seeds)
    if not common:
        return
    again = [_means_again(held, common) if resample_people else {} for held in (one, other)]
    for part, keys in COMPARED.items():
        for key in keys:
            if key not in one.measured.get(part, {}) or key not in other.measured.get(part, {}):
                continue
            measured = [
                of_seeds(held.measured[part][key], [held.seeds.index(seed) for seed in common])
                for held in (one, other)
            ]
            drawn = again[0][key] - again[1][key] if key in again[0] else None
            yield part, key, _estimate(one, measured[0].minus(measured[1]), drawn)


def _means_again(held: HeldOut, seeds: Sequence[int]) -> dict[str, Floats]:
    """What each answered image adds to each mean against answers, mean over `seeds`, by the labels of each draw of
    participants: float64 [draws, n] by metric."""
    answers = held.images.answers
    if answers is None or answers.why_not_drawn or "people" not in held.measured:
        return {}
    rows = [held.seeds.index(seed) for seed in seeds]
    some = HeldOut(held.images, tuple(seeds), held.log_p[rows])
    answered = held.images.answered
    drawn: dict[str, list[Floats]] = {}
    for labels in answers.drawn():
        for key, terms in some.mean_terms(labels[answered]).items():
            drawn.setdefault(key, []).append(terms)
    return {key: np.stack(each) for key, each in drawn.items()}


def _estimate(held: HeldOut, measured: Measured, again: Floats | None) -> Estimate:
    """The mean over seeds with its interval: for other people too where there are draws of them."""
    found = estimate(measured)
    if again is None or not isinstance(measured, Terms):
        return found
    assert held.images.answers is not None
    makes_up = held.images.answers.makes_up[held.images.answered]
    terms = measured.terms.mean(axis=0)
    return Estimate(with_participants(found.components, terms, again, makes_up), found.these_models)


def _figure(held: HeldOut, key: str, measured: Measured, again: Floats | None) -> dict[str, Any]:
    found = _estimate(held, measured, again)
    spread = summarise(measured.values.tolist())
    low, high = found.interval()
    least, most = BY_KEY[key].low, BY_KEY[key].high
    return {
        "value": found.value,
        "sd": spread.sd if spread else None,
        "n": measured.n_images,
        "interval": [low if least is None else max(low, least), high if most is None else min(high, most)],
        "people_resampled": bool(found.components.people_df),
        "floor": held.bounds.get(key, {}).get("floor"),
        "ceiling": held.bounds.get(key, {}).get("ceiling"),
    }


def _from_rows(arm: ArmResult) -> dict[str, Any] | None:
    """From the rows of the folds alone: means weighted by their images, then over seeds, without an interval of their
    own unless there is one fold only."""
    stored = [(run.seed, one) for run in (*arm.runs, *arm.folds) if (one := run.evaluations.get("mixed"))]
    if not stored:
        return None
    told: dict[str, Any] = {"n": sum(one["n"] for seed, one in stored if seed == stored[0][0])}
    for part in ("people", "mixup"):
        keys = dict.fromkeys(key for _, one in stored for key in one.get(part) or {} if key in BY_KEY)
        told[part] = {key: _over_folds(stored, part, key) for key in keys}
        for _, one in stored:
            if isinstance(why := (one.get(part) or {}).get("not_assessed"), str):
                told[part]["not_assessed"] = why
    return told


def _over_folds(stored: Sequence[tuple[int, Mapping[str, Any]]], part: str, key: str) -> dict[str, Any]:
    values = []
    for seed in dict.fromkeys(seed for seed, _ in stored):
        folds = [one[part][key] for of, one in stored if of == seed and key in (one.get(part) or {})]
        known = [(one["value"], one["n"]) for one in folds if one["value"] is not None]
        if known:
            values.append(float(np.average([v for v, _ in known], weights=[n for _, n in known])))
    found = summarise(values)
    first = next(one[part][key] for _, one in stored if key in (one.get(part) or {}))
    return {
        "value": found.mean if found else None,
        "sd": found.sd if found else None,
        "interval": first["interval"] if len(stored) == 1 else None,
        "floor": first.get("floor"),
        "ceiling": first.get("ceiling"),
    }
