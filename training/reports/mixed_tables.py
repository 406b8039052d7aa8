"""What a report says of held-out mixed images, as sentences and tables.

Reports stored before differences and ceilings were in them show what they have. Nothing is computed but words and
rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilmix.figures import Cell, Table, show
from training.evaluation.values import BY_KEY
from training.reports.tables import ARROWS, pair_words, within

Arm = Mapping[str, Any]
Part = tuple[tuple[str, ...], tuple[Table, ...]]

MANY = 10  # differences, from which one in twenty is to be expected by chance
TITLES = {"people": "Against people's answers", "mixup": "Agreement with mixup"}


def overview(
    arms: Mapping[str, Arm], differences: Sequence[Mapping[str, Any]], participants: Mapping[str, Any] | None
) -> Part:
    """`arms` in their order, `differences` and `participants` as the report's content has them."""
    if not arms:
        return (), ()
    tables = [table for part in TITLES if (table := _figures(arms, part))]
    said = [_images(next(iter(arms.values()))), *_intervals(arms, participants), *_remarks(arms)]
    if differences:
        said.append(_how_many(len(differences)))
        tables.append(_between(differences))
    return tuple(said), tuple(tables)


def _how_many(n: int) -> str:
    if n == 1:
        return "1 difference between arms here, exploratory: its interval is not adjusted."
    by_chance = ", and with so many some leave 0 out by chance alone" if n >= MANY else ""
    return f"{n} differences between arms here, all exploratory: no interval is adjusted{by_chance}."


def _figures(arms: Mapping[str, Arm], part: str) -> Table | None:
    keys = [key for key in BY_KEY if any(key in one[part] for one in arms.values())]
    bounds = ("floor", "ceiling") if part == "people" else ("floor",)
    rows: list[tuple[Cell, ...]] = []
    for key in keys:
        each = [one[part].get(key) for one in arms.values()]
        first: Mapping[str, Any] = next((one for one in each if one), {})
        rows.append((_name(key), *(_value(one) for one in each), *(first.get(bound) for bound in bounds)))
    heads = ("Metric", *arms, "Floor", *(["Human ceiling"] if part == "people" else []))
    caption = f"{TITLES[part]}: held-out mixed images, mean over seeds{_what_spread(arms)}"
    return Table(caption, heads, tuple(rows)) if rows else None


def _what_spread(arms: Mapping[str, Arm]) -> str:
    if all("n_seeds" in one for one in arms.values()):
        return " with 95 % interval"
    return (
        " ± standard deviation, or with an interval" if any("n_seeds" in one for one in arms.values()) else ""
    )


def _value(one: Mapping[str, Any] | None) -> Cell:
    if one is None or one["value"] is None:
        return None
    if one["interval"]:
        return within(one["value"], one["interval"])
    return show(one["value"]) if one["sd"] is None else f"{show(one['value'])} ± {show(one['sd'])}"


def _between(differences: Sequence[Mapping[str, Any]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            pair_words(one),
            f"{TITLES[one['part']]}: {_name(one['metric'])}",
            within(one["value"], one["interval"]),
            one["n_seeds"],
        )
        for one in differences
    ]
    caption = "Held-out mixed images, first arm less second: exploratory, 95 % intervals, not adjusted"
    return Table(caption, ("Contrast", "Metric", "Difference", "Seeds"), tuple(rows))


def _images(first: Arm) -> str:
    answered = f" People answered {first['n_answered']} of them." if "n_answered" in first else ""
    return (
        f"{first['n']} mixed images, each judged by models that saw neither it nor its parents.{answered} λ is what "
        "was mixed, not what can be seen: agreement with it is no accuracy."
    )


def _intervals(arms: Mapping[str, Arm], participants: Mapping[str, Any] | None) -> list[str]:
    """What the intervals are for, where there are any over images and seeds."""
    known = {name: one for name, one in arms.items() if one.get("n_seeds")}
    if not known:
        return []
    few = [name for name, one in known.items() if one["these_models"]]
    which = "all arms" if len(few) == len(arms) else ", ".join(few)
    these = f"; with so few seeds ({which}), for other mixed images and these trained models" if few else ""
    people = " They are for these people."
    if participants and "draws" in participants:
        people = " Those of means against answers are for other people too, those of correlations for these people."
    return [
        "All folds of a seed together are one model's predictions. Intervals are for other mixed images and seeds"
        f"{these}.{people} Several mixed images of the same parents count as so many images, though they are alike."
    ]


def _remarks(arms: Mapping[str, Arm]) -> list[str]:
    said = [_left_out(name, one) for name, one in arms.items() if one.get("left_out")]
    reasons = dict.fromkeys(
        str(why) for one in arms.values() for part in TITLES if (why := one[part].get("not_assessed"))
    )
    said += [f"Against people's answers not assessed: {why}." for why in reasons]
    figures = [one for arm in arms.values() for one in arm["people"].values() if isinstance(one, Mapping)]
    if any(one.get("ceiling") is not None for one in figures):
        said.append(
            "Human ceiling: one half of the people who answered an image against the other half, where two or more "
            "did; Brier, total variation and correlations are corrected to as many people against as many, "
            "cross-entropy, KL and agreement are not, so that people are somewhat better than that."
        )
    return said


def _left_out(name: str, arm: Arm) -> str:
    seeds = ", ".join(map(str, arm["left_out"]))
    if not arm["n_seeds"]:
        return f"{name}: no figures, as a fold of every seed is missing ({seeds})."
    return f"{name}: without seed {seeds}, of which a fold is missing."


def _name(key: str) -> str:
    return f"{BY_KEY[key].name}{ARROWS[BY_KEY[key].higher_is_better]}"
