"""What a report says of changed and attacked images, as sentences and tables: risk scores, corruption error and attacks
for everybody, each transform and the failures for whoever asks.

Nothing is computed but words and rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hilmix.figures import Cell, Table, show
from training.reports.tables import within
from training.reports.telling import ATTACKS, share_of_255

Arm = Mapping[str, Any]
Part = tuple[tuple[str, ...], tuple[Table, ...]]


def overview(told: Mapping[str, Any]) -> Part:
    """What the arms are worth on changed and on attacked images; `told` is the report's robustness."""
    arms, reference = told["arms"], told["reference"]
    scored = [one for one in arms if "accuracy" in one]
    said, tables = [], []
    if scored:
        said.append(
            f"Reference of corruption errors and differences: {reference}. The risk score is 100 times the mean break "
            "rate of five groups of changes (0 best; up to 20 green, up to 40 yellow, above red); it says nothing "
            "without the clean accuracy beside it. mCE is the mean over 15 corruptions of the arm's errors divided by "
            "the reference's; relative mCE is the same of the errors that a corruption adds to those made without it, "
            "so it can be low where the arm errs much on undisturbed images."
        )
        said += _for_arms((one["name"], f"{text.rstrip('.')}.") for one in scored for text in _remarks(one))
        tables.append(_scores(scored, reference))
        if any(one["groups"] for one in scored):
            rows = tuple(
                (one["name"], *(_of(one["groups"].get(group)) for group in told["groups"])) for one in scored
            )
            caption = (
                f"Break rates by group: of the images that are right as they are, the share that is wrong under the "
                f"group's changes. {_which(one['groups'] for one in scored)}"
            )
            tables.append(Table(caption, ("Arm", *told["groups"]), rows))
    about_attacks, of_attacks = attacks(told)
    said += about_attacks
    tables += of_attacks
    return tuple(said), tuple(tables)


def attacks(told: Mapping[str, Any]) -> Part:
    """What is left of accuracy under each attack; nothing where none was made."""
    attacked = [one for one in told["arms"] if one["attacks"]]
    tables = tuple(
        _attack(name, attacked, told["reference"])
        for name in ATTACKS
        if any(name in one["attacks"] for one in attacked)
    )
    said = _for_arms((one["name"], text) for one in attacked for text in _of_attacks(one["attacks"]))
    return tuple(said), tables


def in_detail(told: Mapping[str, Any]) -> Part:
    """Each transform and the worst failures, arm by arm."""
    scored = [one for one in told["arms"] if "accuracy" in one]
    tables = []
    for one in scored:
        tables += _transforms(one, told["reference"])
        tables += _failures(one)
    said = (
        "Break rate: of the images that are right as they are, the share that is wrong under a transform. Instability: "
        "of all images, the share that gets another class than without it, right or wrong. Both are means over the "
        "transform's severities and the seeds.",
    )
    notes = _for_arms(
        (row["name"], f"{row['note']}.") for one in scored[:1] for row in one["transforms"] if row["note"]
    )
    return ((*said, *notes) if tables else ()), tuple(tables)


def _remarks(one: Arm) -> list[str]:
    against = one.get("against") or {}
    why = [f"no difference from {against['arm']}: {against['why']}"] if "why" in against else []
    return [*one["warnings"], *one["missing"], *why]


def _of_attacks(attacks: Mapping[str, Any]) -> list[str]:
    """Why differences are missing, and what is said of gradients."""
    against = {name: attacks.get(name, {}).get("against") or {} for name in ATTACKS}
    why = [
        f"no difference from {one['arm']} under {ATTACKS[name]}: {one['why']}."
        for name, one in against.items()
        if "why" in one
    ]
    return [*why, *attacks.get("masked_gradients", ())]


def _for_arms(said: Iterable[tuple[str, str]]) -> list[str]:
    """Each text once, behind the names of the arms that it is about."""
    arms: dict[str, list[str]] = {}
    for name, text in said:
        arms.setdefault(text, []).append(name)
    return [f"{', '.join(names)}: {text}" for text, names in arms.items()]


def _scores(scored: Sequence[Arm], reference: str) -> Table:
    rows = []
    # Undefined for every arm, it has no column; why is among the remarks.
    relative = any(one.get("relative_mce_percent") for one in scored)
    for one in scored:
        against = one.get("against") or {}
        is_reference = one["name"] == reference
        rows.append(
            (
                one["name"],
                _of(one["accuracy"]),
                f"{_of(one['score'])}, {one['band']}" if one["score"] else None,
                "reference" if is_reference else _of(against.get("score")),
                "reference" if is_reference else _of(against.get("accuracy")),
                _of(one["mean_error"]),
                "100 (reference)" if is_reference and one["mce_percent"] else _of(one["mce_percent"]),
                *([_relative(one, is_reference)] if relative else []),
            )
        )
    heads = (
        "Arm", "Clean accuracy ↑", "Risk score ↓", f"Risk score less {reference}'s",
        f"Clean accuracy less {reference}'s", "Mean error under corruptions ↓",
        f"mCE, percent of {reference}'s errors ↓",
        *([f"Relative mCE, percent of {reference}'s ↓"] if relative else []),
    )  # fmt: skip
    caption = f"{scored[0]['n']} corrupted and turned test images. {_which(scored)}"
    return Table(caption, heads, tuple(rows))


def _relative(one: Arm, is_reference: bool) -> str:
    known = one.get("relative_mce_percent")
    return "100 (reference)" if is_reference and known else _of(known)


def _attack(name: str, attacked: Sequence[Arm], reference: str) -> Table:
    """Accuracy and loss before and after an attack. Of runs that kept means alone there is no more."""
    rows: list[tuple[Cell, ...]] = []
    known = [(one["name"], one["attacks"][name]) for one in attacked if name in one["attacks"]]
    for arm, found in known:
        measured, against = found.get("measured") or {}, found.get("against") or {}
        cells = [
            _of(measured.get("accuracy_before")),
            _of(measured.get("accuracy")) if measured else show(found["accuracy"]),
            "reference" if arm == reference else _of(against.get("accuracy")),
            _of(measured.get("loss_before")),
            _of(measured.get("loss")) if measured else show(found["loss"]),
            "reference" if arm == reference else _of(against.get("loss")),
        ]
        rows.append((arm, *cells))
    first = known[0][1]
    heads = (
        "Arm", "Accuracy before", "Accuracy after ↑", f"Accuracy less {reference}'s", "Loss before, nats",
        "Loss after, nats ↓", f"Loss less {reference}'s",
    )  # fmt: skip
    caption = (
        f"{ATTACKS[name]}, {first['n']} images: attacked by at most {share_of_255(first.get('epsilon'))} a pixel "
        f"value, mean over seeds. {_which(found.get('measured') for _, found in known)}"
    )
    return Table(caption.strip(), heads, tuple(rows))


def _transforms(one: Arm, reference: str) -> list[Table]:
    against = one.get("against") or {}
    breaks = {row["key"]: row for row in against.get("breaks", ())}
    rows: list[tuple[Cell, ...]] = []
    for row in one["transforms"]:
        cells: list[Cell] = [row["name"], row["group"], _of(row["break_rate"]), _of(row["instability"])]
        if breaks:
            pair = breaks.get(row["key"]) or {}
            cells += [pair.get("ours"), pair.get("theirs"), _of(pair or None)]
        rows.append(tuple(cells))
    heads = ["Transform", "Group", "Break rate ↓", "Instability ↓"]
    if breaks:
        heads += [f"{one['name']}, where both are right", f"{reference}, likewise", "Difference"]
    caption = f"{one['name']}, by transform. {_which(row['instability'] for row in one['transforms'])}"
    return [Table(caption.strip(), tuple(heads), tuple(rows))] if rows else []


def _failures(one: Arm) -> list[Table]:
    rows = tuple(
        (
            str(row["number"]),
            row["class"],
            row["transform_name"],
            row["severity"],
            _share(row["p_label"]),
            _share(row["p_label_under"]),
            row["class_under"],
        )
        for row in one["failures"]
    )
    heads = (
        "Image", "Its class", "Transform", "Severity", "Its class's probability before", "after",
        "Class named instead",
    )  # fmt: skip
    caption = (
        f"{one['name']}, seed {one['failures_of_seed']}: images whose own class lost most probability, by their "
        "numbers in the image set; each once, at most two a transform."
    )
    return [Table(caption, heads, rows)] if rows else []


def _share(p: float) -> str:
    """A probability to three places, never rounded to what is certain."""
    return "> 0.999" if p > 0.9995 else "< 0.001" if p < 0.0005 else f"{p:.3f}"


def _which(found: Iterable[Mapping[str, Any] | None]) -> str:
    """What the intervals of these figures allow for; nothing where there are none."""
    flags = set(_flags(found))
    if not flags:
        return ""
    if flags == {False}:
        return "95 % intervals: for other images and seeds."
    if flags == {True}:
        return "95 % intervals: for other images and these trained models."
    return (
        "95 % intervals: for other images and seeds; of arms with fewer than five seeds for other images and these "
        "trained models."
    )


def _flags(found: Iterable[Any]) -> Iterable[bool]:
    for one in found:
        if isinstance(one, Mapping):
            if one.get("interval") and "these_models" in one:
                yield bool(one["these_models"])
            else:
                yield from _flags(value for value in one.values() if isinstance(value, Mapping))


def _of(one: Mapping[str, Any] | None) -> str:
    return "–" if one is None else within(one["value"], one["interval"])
