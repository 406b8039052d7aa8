"""The parts of a stored report as sentences and tables: what the page, the Markdown and the command line show alike.

Nothing is computed but words and rounding. Nothing depends on the order of a dictionary, which a database may change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hilmix.figures import Cell, Table
from training.evaluation.values import BY_KEY
from training.evaluation.values import GROUPS as METRIC_GROUPS
from training.reports import arm_tables, mixed_tables, robust_tables
from training.reports.advice import advice_of
from training.reports.diagnosis.told import summary, symptoms_of
from training.reports.headline import headline_of
from training.reports.tables import (
    ARROWS,
    Content,
    choice_sentence,
    is_first_format,
    pair_words,
    share_words,
    which_interval,
    within,
)

_THIRDS = "Against people, by how much they disagreed"


@dataclass(frozen=True)
class Section:
    """A part of a report: sentences, then tables. `folded` is shown when asked for."""

    key: str
    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: bool = False


def sections_of(content: Content) -> list[Section]:
    """Everything but scores, figures and checks, in the order in which it is read; empty parts are left out."""
    if is_first_format(content):
        return []
    found = [
        _verdict(content),
        _advice(content),
        _contrasts(content),
        _choice(content),
        _calibration(content),
        _people(content),
        _mixed(content),
        _robustness(content),
        _by_transform(content),
        _diagnosis(content),
        _all_metrics(content),
        Section("classes", "By class", *arm_tables.by_class(_by_arm(content, "per_class")), folded=True),
        Section("thirds", _THIRDS, *arm_tables.by_entropy(_by_arm(content, "human_thirds")), folded=True),
        _exploratory(content),
        _missing(content),
    ]
    return [one for one in found if one.sentences or one.tables]


def _verdict(content: Content) -> Section:
    told = headline_of(content)
    return Section("verdict", "Verdict", (told.sentence, *([told.first] if told.first else []), *told.more))


def _advice(content: Content) -> Section:
    told = advice_of(content)
    tables = tuple(one.table for one in told if one.table is not None)
    said = tuple(" ".join((f"{one.title}: {one.sentence}", *one.points)) for one in told)
    return Section("advice", "What to do", said, tables)


def _contrasts(content: Content) -> Section:
    contrasts, metric = content["contrasts"], BY_KEY[content["primary"]]
    planned = contrasts["planned"]
    rows: list[tuple[Cell, ...]] = [
        (
            pair_words(one),
            one["about"] or None,
            within(one["value"], one["interval_holm"] or one["interval"]),
            one["p_holm"],
            one["verdict"],
            one["detectable"] if one["verdict"] == "not separable" else None,
            one["seeds_needed"],
            one["n_seeds"],
        )
        for one in planned
    ]
    columns = (
        "Contrast", "About", "Difference", "Holm p", "Verdict", "Would be found (80 % power)",
        "Seeds needed (80 % power)", "Seeds",
    )  # fmt: skip
    table = Table(
        f"Planned contrasts of the primary metric, {metric.name}{ARROWS[metric.higher_is_better]}: first arm less "
        f"second. {which_interval(planned)}",
        columns,
        tuple(rows),
    )
    sentences = [f"{one['arm']} − {one['against']}: {one['sentence']}" for one in planned]
    return Section("contrasts", "Planned contrasts", tuple(sentences), (table,) if rows else ())


def _choice(content: Content) -> Section:
    choice = content["choice"]
    if not choice["arm"]:
        return Section("choice", "Which arm to take", (choice_sentence(choice),))
    rows = tuple(
        (name, choice["values"][name], share_words(choice["first_share"][name])) for name in choice["order"]
    )
    name = BY_KEY[choice["metric"]].name
    table = Table(
        f"Validation images, mean over {choice['n_seeds']} seeds"
        if choice["n_seeds"] > 1
        else "Validation images",
        ("Arm", name, "First among draws"),
        rows,
    )
    return Section("choice", "Which arm to take", (choice_sentence(choice),), (table,))


def _calibration(content: Content) -> Section:
    return Section("calibration", "Calibration", *arm_tables.calibration(_by_arm(content, "calibration")))


def _by_arm(content: Content, key: str) -> list[tuple[str, Any]]:
    """What is stored for each arm, in their order: a database may keep a dictionary in another."""
    return [
        (arm["name"], found[arm["name"]])
        for found in (content.get(key, {}),)
        for arm in content["arms"]
        if arm["name"] in found
    ]


def _people(content: Content) -> Section:
    tables = []
    keys = [metric["key"] for metric in content["metrics"] if metric["group"] == "people"]
    rows: list[tuple[Cell, ...]] = []
    for key in keys:
        each = [arm["summary"].get(key) for arm in content["arms"]]
        first: Mapping[str, Any] = next((one for one in each if one and one["mean"] is not None), {})
        rows.append(
            (
                f"{BY_KEY[key].name}{ARROWS[BY_KEY[key].higher_is_better]}",
                *(within(one["mean"], one["interval"]) if one else None for one in each),
                first.get("floor") if key != "human_ece" else None,
                first.get("ceiling"),
            )
        )
    if rows:
        heads = ("Against people", *(arm["name"] for arm in content["arms"]), "Floor", "Human ceiling")
        caption = (
            "Mean over seeds with 95 % interval. The human ceiling is what other people reach; a dash means not "
            "assessed."
        )
        tables.append(Table(caption, heads, tuple(rows)))
    undefined = dict.fromkeys(
        said for arm in content["arms"] for key in keys for said in _said_of(arm["summary"].get(key))
    )
    return Section(
        "people",
        "Against people",
        tuple(said[0].upper() + said[1:] + "." for said in undefined),
        tuple(tables),
    )


def _said_of(one: Mapping[str, Any] | None) -> Iterable[str]:
    """What is to be said of a figure; where it has no value, *Not assessed* says why."""
    return one.get("undefined", ()) if one and one["mean"] is not None else ()


def _mixed(content: Content) -> Section:
    told = mixed_tables.overview(
        dict(_by_arm(content, "mixed")), content.get("mixed_differences", ()), content.get("participants")
    )
    return Section("mixed", "Held-out mixed images", *told)


def _robustness(content: Content) -> Section:
    return Section("robustness", "Robustness", *robust_tables.overview(content["robustness"]))


def _by_transform(content: Content) -> Section:
    title = "Robustness by transform, and what failed"
    return Section(
        "robustness-by-transform", title, *robust_tables.in_detail(content["robustness"]), folded=True
    )


def _diagnosis(content: Content) -> Section:
    """Every symptom that was looked for, with what became of it in which arms; then the evidence of each that was
    found."""
    symptoms = symptoms_of(content)
    if not symptoms:
        return Section("diagnosis", "Diagnosis")
    rows = tuple(
        (
            one.name,
            one.level if one.is_found else None,
            "; ".join(f"{state}: {arms}" if arms else state for state, arms in one.states),
            one.threshold,
            one.cause or None,
            one.remedy,
        )
        for one in symptoms
    )
    heads = ("Symptom", "Level", "State", "Found where", "Likely cause", "What to do")
    caption = "Every symptom that was looked for; where no arm is named, it is so in all of them"
    tables = [Table(caption, heads, rows)]
    evidence = tuple(
        (one.arm, symptom.name, one.many, one.evidence) for symptom in symptoms for one in symptom.shown
    )
    if evidence:
        caption = "What was found, with the numbers of the first seed in which it was"
        tables.append(Table(caption, ("Arm", "Symptom", "Seeds", "Evidence"), evidence))
    return Section("diagnosis", "Diagnosis", (summary(symptoms),), tuple(tables))


def _all_metrics(content: Content) -> Section:
    tables = []
    for group, title in METRIC_GROUPS.items():
        if group == "people":
            continue  # those stand beside floor and ceiling
        keys = [metric["key"] for metric in content["metrics"] if metric["group"] == group]
        rows = tuple(
            (
                f"{BY_KEY[key].name}{ARROWS[BY_KEY[key].higher_is_better]}",
                *(_mean(arm["summary"].get(key)) for arm in content["arms"]),
            )
            for key in keys
        )
        if rows:
            tables.append(Table(title, ("Metric", *(arm["name"] for arm in content["arms"])), rows))
    sentences = (
        "Mean over seeds with a 95 % interval: for other images and seeds from five seeds on, below that for other "
        "images and these trained models; of calibration errors the mean of each model's own.",
    )
    return Section("metrics", "All metrics", sentences if tables else (), tuple(tables), folded=True)


def _mean(one: Mapping[str, Any] | None) -> Cell:
    return None if one is None else within(one["mean"], one["interval"])


def _exploratory(content: Content) -> Section:
    contrasts = content["contrasts"]
    rows = tuple(
        (
            pair_words(one),
            f"{BY_KEY[one['metric']].name}{ARROWS[BY_KEY[one['metric']].higher_is_better]}",
            within(one["value"], one["interval"]),
            one["n_seeds"],
        )
        for one in contrasts["exploratory"]
    )
    n = contrasts["n_exploratory"]
    sentence = (
        f"{n} comparisons that nobody planned, none adjusted: with so many, some intervals leave 0 out by chance "
        "alone. They are reasons to look again, no findings."
    )
    table = Table("95 % intervals, not adjusted", ("Contrast", "Metric", "Difference", "Seeds"), rows)
    return Section(
        "exploratory", "Exploratory", (sentence,) if rows else (), (table,) if rows else (), folded=True
    )


def _missing(content: Content) -> Section:
    return Section(
        "not-assessed",
        "Not assessed",
        tuple(f"{one['what']} ({', '.join(one['arms'])}): {one['why']}." for one in content["not_assessed"]),
    )
