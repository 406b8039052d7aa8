"""What a report says, as data: numbers, figures, definitions and where they come from, and no verdict that is
not earned.

Pure: finished runs as plain values in, one JSON dictionary out (`hilmix-report/2`). The page, the Markdown and the
command line all show this, by the tables of `training.reports.tables`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hilmix.figures import first_seen
from training.evaluation.inference import LEAST_SEEDS
from training.evaluation.leakage import Leakage
from training.evaluation.near_duplicates import NearDuplicates
from training.evaluation.values import BY_KEY, METRICS
from training.reports import attacked, comparing, confusion, cooling, costs, drawing, examining, mixed, robust
from training.reports.advice import arms_first
from training.reports.diagnosis import figures as diagnosis_figures
from training.reports.inputs import ELSEWHERE, ArmResult, RunResult
from training.reports.readings import with_readings
from training.reports.words import about_arm, recipe_words

FORMAT = "hilmix-report/2"
_PAIRS = 50  # near-duplicates that are listed


def report_content(
    *,
    name: str,
    source: str,
    arms: Sequence[ArmResult],
    leakage: Leakage,
    provenance: Sequence[tuple[str, str]],
    config: dict[str, Any],
    near_duplicates: NearDuplicates | None = None,
    added_later: Sequence[str] = (),
    added_before: Sequence[str] = (),
    classes: Sequence[str] = (),
    answers: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The report of an experiment whose runs are all finished.

    `source` is the release's (person, simulated or imported); `provenance` pairs of label and value that name
    release, image set, configuration and code; `added_later` names what was added after the first report,
    `added_before` what was added before there was one; `classes` are the names of the classes, in order;
    `answers` is what more answers would give and cost (`costs.answers_of`).
    """
    judged = [arm for arm in arms if arm.runs]
    apart = bool(config.get("validation"))
    n = _n_evaluation(judged)
    cited = "; ".join(f"{label} {value}" for label, value in provenance[:4])
    measured = {arm.name: comparing.measure_arm(arm) for arm in judged}
    scores = {arm.name: examining.scores_of(arm, measured[arm.name]) for arm in judged}
    known = {key for one in scores.values() for key, found in one.items() if found["mean"] is not None}
    primary = _primary(config, known)
    metrics = [metric for metric in METRICS if metric.key in known]
    reference = _reference(judged)
    contrasts = comparing.compare(
        judged,
        measured,
        planned=config.get("contrasts", []),
        primary=primary,
        reference=reference,
        verdicts=source != "simulated",
    )
    calibration = {arm.name: cooling.calibration_of(arm) for arm in judged}
    thirds = {arm.name: examining.thirds_of(arm) for arm in judged}
    robustness = robust.robustness_of(judged, reference, classes)
    participants = mixed.people_of(judged, config)
    choice = comparing.chosen(judged, primary, simulated=source == "simulated")
    told = [_arm(arm, scores.get(arm.name, {})) for arm in arms]
    diagnosis = {
        arm.name: examining.diagnosis_of(arm, leakage, near_duplicates, apart=apart, classes=classes)
        for arm in judged
    }
    figures = [
        *drawing.contrasts_of(contrasts, primary, cited),
        *costs.answers_figure(told, primary, answers or {}, cited),
        *drawing.curves_of(judged, n, cited, apart=apart, n_apart=_n_validation(judged)),
        *drawing.reliability_of(calibration, n, cited),
        *drawing.thirds_of(thirds, cited),
        *confusion.figures_of(judged, classes, n, cited),
        *drawing.robustness_of(robustness, cited),
        *attacked.figures_of(robustness, cited),
    ]
    first = arms_first({"arms": told, "reference": reference, "contrasts": contrasts, "choice": choice})
    seeds = sorted({seed for arm in judged if not arm.is_external for seed in arm.seeds})
    return {
        "format": FORMAT,
        "name": name,
        "source": source,
        "watermark": "Simulated participants" if source == "simulated" else "",
        "notes": _notes(source, judged, config, primary, contrasts, participants, added_later, added_before),
        "seeds": seeds,
        "n_evaluation": n,
        "primary": primary,
        "reference": reference,
        "metrics": [asdict(metric) for metric in metrics],
        "arms": told,
        "contrasts": contrasts,
        "choice": choice,
        "calibration": calibration,
        "human_thirds": thirds,
        "per_class": {arm.name: examining.classes_of(arm, classes) for arm in judged},
        "mixed": {
            arm.name: found
            for arm in judged
            if (found := mixed.mixed_of(arm, resample_people=mixed.drawn_again(participants)))
        },
        "mixed_differences": mixed.differences_of(
            judged,
            planned=config.get("contrasts", []),
            reference=reference,
            resample_people=mixed.drawn_again(participants),
        ),
        "participants": participants,
        "robustness": robustness,
        "diagnosis": diagnosis,
        "diagnosis_figures": diagnosis_figures.figures_of(judged, diagnosis, classes, cited),
        "not_assessed": _not_assessed(judged, config, robustness, scores),
        "excluded": [
            {"arm": arm.name, "seed": seed, "fold": fold, "why": why}
            for arm in arms
            for seed, fold, why in arm.excluded
        ],
        "figures": [first_seen(figure, first).as_dict() for figure in with_readings(figures)],
        "leakage": {**asdict(leakage), "sentences": list(leakage.sentences)},
        "near_duplicates": _near(near_duplicates),
        "budget": _budget(judged),
        "costs": {**costs.costs_of(judged), "answers": dict(answers or {})},
        "provenance": [list(pair) for pair in (*provenance, *_trained(config), *_environment(judged))],
        "config": config,
    }


def _n_evaluation(arms: Sequence[ArmResult]) -> int:
    runs = [run for arm in arms for run in arm.runs]
    return int(next((run.metrics["n"] for run in runs if "n" in run.metrics), 0)) or next(
        (len(run.test.labels) for run in runs if run.test is not None), 0
    )


def _n_validation(arms: Sequence[ArmResult]) -> int | None:
    found = (run.validation for arm in arms for run in arm.runs)
    return next((len(one.labels) for one in found if one is not None), None)


def _primary(config: Mapping[str, Any], known: set[str]) -> str:
    """The metric that contrasts are judged by: the configuration's, else that of people, else that of the labels."""
    given = config.get("primary")
    if given:
        return str(given)
    return "human_cross_entropy" if "human_cross_entropy" in known else "log_loss"


def _reference(arms: Sequence[ArmResult]) -> str:
    """The arm that robustness is measured against: the one without any mixed image, else the first."""
    return next((arm.name for arm in arms if arm.is_base_only), arms[0].name if arms else "")


def _notes(
    source: str,
    arms: Sequence[ArmResult],
    config: Mapping[str, Any],
    primary: str,
    contrasts: Mapping[str, Any],
    participants: Mapping[str, Any] | None,
    added_later: Sequence[str],
    added_before: Sequence[str],
) -> list[str]:
    """Why there is no verdict, and what else a reader must know first."""
    notes = []
    if source == "simulated":
        notes.append(
            "The answers were simulated, not given by people: this report shows that the way works, "
            "and gives no verdict."
        )
    few = {len(arm.runs) for arm in arms if not arm.is_external and len(arm.runs) < LEAST_SEEDS}
    if few:
        some = "" if all(len(arm.runs) < LEAST_SEEDS for arm in arms) else " for some arms"
        counts = ", ".join(str(n) for n in sorted(few))
        notes.append(
            f"Too few seeds for a verdict{some}: {counts}, where at least {LEAST_SEEDS} are needed. Their "
            "intervals are for these trained models only."
        )
    if not config.get("contrasts"):
        notes.append("No contrast was planned before the first run, so every difference here is exploratory.")
    notes += [f"A planned contrast could not be judged. {one}." for one in contrasts["impossible"]]
    if arms and not any("human_cross_entropy" in run.values for arm in arms for run in arm.runs):
        notes.append("The image set has no human labels, so cross-entropy against them was not measured.")
    if participants is not None:
        notes.append(mixed.about_participants(participants))
    for one in arms:
        if one.is_external:
            notes.append(
                f"{one.name} was trained elsewhere: its predictions were brought in, its budget is not known."
            )
        for seed, fold, why in one.excluded:
            which = f"seed {seed}, fold {fold}" if fold else f"seed {seed}"
            notes.append(f"{one.name}, {which}, is left out by a rule fixed before the first run: {why}")
    if added_later:
        notes.append(
            f"Added after the first report: {'; '.join(added_later)}. A report without them had been there to see "
            "before, so how many seeds there are may have depended on what it said."
        )
    if added_before:
        notes.append(f"Added to what was planned, before there was a report: {'; '.join(added_before)}.")
    return notes


def _arm(arm: ArmResult, summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": arm.name,
        "policy": arm.policy,
        "params": arm.params,
        "settings": dict(arm.settings),
        "about": about_arm(arm),
        "is_external": arm.is_external,
        "seeds": list(arm.seeds),
        "summary": dict(summary),
    }


def _not_assessed(
    arms: Sequence[ArmResult],
    config: Mapping[str, Any],
    robustness: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """What was not measured, for which arms, and why: nothing is left out without a word."""
    found: dict[tuple[str, str], list[str]] = {}

    def say(what: str, why: str, arm: str) -> None:
        names = found.setdefault((what, why), [])
        if arm not in names:
            names.append(arm)

    for arm in arms:
        for run in (*arm.runs, *arm.folds):
            for what, why in (run.evaluations.get("not_assessed") or {}).items():
                say(what, str(why), arm.name)
            if run.test is None and not run.fold:
                say("intervals over images", "the predictions of its runs are not here", arm.name)
        for key, one in scores[arm.name].items():
            if one["mean"] is None:
                say(BY_KEY[key].name, "; ".join(one["undefined"]), arm.name)
    elsewhere = {arm.name for arm in arms if arm.is_external}
    for one in robustness["arms"]:
        if "not_assessed" in one:
            say("corruptions", one["not_assessed"], one["name"])
        if not one["attacks"]:
            why = ELSEWHERE if one["name"] in elsewhere else attacked.NO_ATTACKS
            say("attacks", why, one["name"])
    if not config.get("holdout_mixes"):
        say("held-out mixed images", "none were held out: set holdout_mixes", "all arms")
    everybody = [arm.name for arm in arms]
    return [
        {"what": what, "why": why, "arms": ["all arms"] if sorted(names) == sorted(everybody) else names}
        for (what, why), names in found.items()
    ]


def _near(found: NearDuplicates | None) -> dict[str, Any]:
    if found is None:
        return {"sentence": "Near-duplicates across the splits were not looked for.", "pairs": []}
    return {
        "sentence": found.sentence,
        "n_images": found.n_images,
        "assessed": found.assessed,
        "pairs": [asdict(pair) for pair in found.pairs[:_PAIRS]],
    }


def _budget(arms: Sequence[ArmResult]) -> dict[str, Any]:
    """Whether every arm of a seed saw the same batches with the same augmentation, by the hash of each run's
    plan."""
    own = [arm for arm in arms if not arm.is_external]
    going_on = [arm for arm in own if arm.start]
    equal = comparing.equal_budget(own)
    fresh = comparing.equal_budget([arm for arm in own if not arm.start])
    steps = {arm.name: sorted({run.n_steps for run in arm.runs}) for arm in own}
    if equal and own:
        sentence = (
            f"Every run took {own[0].runs[0].n_steps} steps; all arms of a seed saw the same batches, augmented from "
            "the same draws."
        )
    elif fresh and going_on:
        named = ", ".join(f"{arm.name} ({arm.runs[0].n_steps} steps in all)" for arm in going_on)
        sentence = (
            f"Unequal budget: {named} went on from another arm's weights, whose steps count as well. All other arms of "
            "a seed took the same steps on the same batches."
        )
    else:
        sentence = "The arms did NOT see the same batches: do not compare them." if own else ""
    plans = [run.plan_sha256 for arm in own[:1] for run in arm.runs]
    return {"equal": equal, "sentence": sentence, "plans": plans, "steps": steps}


def _environment(arms: Sequence[ArmResult]) -> list[tuple[str, str]]:
    """Device, precision and versions; where runs differ (a resumed experiment), all values are named."""
    own = [arm for arm in arms if not arm.is_external]
    parts = {
        "compared": [run for arm in own for run in arm.runs],
        "that held mixed images out": [run for arm in own for run in arm.folds],
        "to tune by": [run for arm in own for run in arm.candidates],
    }
    runs = [run for part in parts.values() for run in part]
    labels = {
        "device": "Device", "threads": "Threads", "precision": "Precision", "python": "Python", "torch":
        "torch", "numpy": "numpy", "code": "Code that trained",
    }  # fmt: skip
    pairs = [(label, _values(runs, key)) for key, label in labels.items()]
    seconds = sum(run.environment.get("seconds", 0.0) for run in runs)
    each = ", ".join(f"{len(part)} {what}" for what, part in parts.items() if part)
    apart = f" ({each})" if len(parts["compared"]) < len(runs) else ""
    left_out = sum(len(arm.excluded) for arm in own)
    without = f"; without {left_out} left out by a rule" if left_out else ""
    return [*pairs, ("Training time", f"{seconds:.0f} s for {_count(len(runs), 'run')}{apart}{without}")]


def _trained(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The recipe that all arms share."""
    words = recipe_words(config)
    return [("Recipe", words)] if words else []


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _values(runs: Iterable[RunResult], key: str) -> str:
    return ", ".join(sorted({str(run.environment[key]) for run in runs if key in run.environment}))
