"""What to do after a report: which arm to take, what more seeds and more answers would give and cost, and what to mend
first.

Words only: every number is stored with the report. Reports written before hilmix knew costs lack some; that is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hilmix.figures import Cell, Table, number
from training.evaluation.values import BY_KEY
from training.reports.headline import LEAST_SEEDS, WITH_POWER, difference_words, short
from training.reports.tables import is_sure, share_words

RENEW = "Not in this report: write it anew to see it."
_MORE_ANSWERS = 1.5  # times the answers there are: the least that is worth a proposal
_LISTED = 3  # symptoms that are named


@dataclass(frozen=True)
class Advice:
    """One thing to do: what it is about, a sentence, single `points` of it, and a table behind it where there is
    one."""

    key: str
    title: str
    sentence: str
    points: tuple[str, ...] = ()
    table: Table | None = None


def advice_of(content: Mapping[str, Any], *, with_test: bool = True) -> list[Advice]:
    """What to do, the most important first; for reports of format 2. Without `with_test` nothing that only the test
    images say, but for the planned contrasts."""
    told = _arm(content), _mend(content, with_test), _seeds(content), _answers(content)
    return [one for one in told if one is not None]


# --- which arm ---


def _arm(content: Mapping[str, Any]) -> Advice:
    title = "Which arm"
    planned = content["contrasts"]["planned"]
    if content["source"] == "simulated":
        return Advice("use", title, "None: simulated answers are no reason to take an arm. Ask people first.")
    if not content["config"].get("primary"):
        return Advice(
            "use", title, "None by this: no primary metric was frozen, so nothing here is a finding."
        )
    baseline = baseline_of(content)
    against = [one for one in planned if baseline in (one["arm"], one["against"])]
    suggested = _suggested(content)
    winners = [one for one in against if one["better"] and one["better"] != baseline]
    if winners:
        chosen = content["choice"].get("arm")
        best = next((one for one in winners if one["better"] == chosen), winners[0])
        name = best["better"]
        agree = " Validation images put it first as well." if name == chosen else suggested
        return Advice("use", title, f"Use {name}: {difference_words(best)}.{agree}")
    worse = [one for one in against if one["better"] == baseline]
    open_ones = [one for one in against if one["p_holm"] is not None and not one["better"]]
    if worse and not open_ones:
        return Advice("use", title, f"Keep {baseline}: {difference_words(worse[0])}.{suggested}")
    if open_ones:
        names = _listed([one["arm"] if one["against"] == baseline else one["against"] for one in open_ones])
        least = max(one["detectable"] or 0.0 for one in open_ones)
        found = f" A true difference of {short(least)} {WITH_POWER}." if least else ""
        return Advice("use", title, f"Keep {baseline}: {names} cannot be told from it.{found}{suggested}")
    if against:
        return Advice("use", title, f"Nothing yet: a verdict takes {LEAST_SEEDS} seeds.{suggested}")
    if planned:
        said = f"No planned contrast has {baseline} on one side, so none says to leave it or to keep it."
    elif content["contrasts"]["impossible"]:
        said = f"No planned contrast could be judged, so nothing says to leave {baseline}."
    else:
        said = f"No contrast was planned, so nothing says to leave {baseline}. Plan one before the next first run."
    return Advice("use", title, said + suggested)


def baseline_of(content: Mapping[str, Any]) -> str:
    """The arm that others have to beat: mixup's labels on all else as usual, where there is one, else the
    reference."""
    arms = content["arms"]
    plain = [arm["name"] for arm in arms if is_plain_mixup(arm["policy"], arm["settings"])]
    return str(next(iter(plain), content["reference"]))


def arms_first(content: Mapping[str, Any]) -> list[str]:
    """Whom to look at first where arms are many: the baseline, what was found better, what validation images put
    first, then the arms of the planned contrasts."""
    planned = content["contrasts"]["planned"]
    found = [one["better"] for one in planned]
    compared = [name for one in planned for name in (one["arm"], one["against"])]
    names = [baseline_of(content), *found, content["choice"]["arm"], *compared]
    return [name for name in dict.fromkeys(names) if name]


def is_plain_mixup(policy: str, settings: Mapping[str, Any]) -> bool:
    """Whether an arm has mixup's labels on mixed images, and all else as usual."""
    return policy == "mixup" and settings.get("base_labels") != "human"


def is_base_only(policy: str, settings: Mapping[str, Any], *, is_external: bool) -> bool:
    """Whether an arm sees no mixed image of any kind."""
    return not (policy or is_external or settings.get("on_the_fly") or settings.get("start_from") is not None)


def _suggested(content: Mapping[str, Any]) -> str:
    choice = content["choice"]
    if not choice["arm"]:
        return ""
    share = choice["first_share"][choice["arm"]]
    sure = "" if is_sure(share) else ", but not surely"
    seeds = _count(choice["n_seeds"], "seed")
    return f" Validation images ({seeds}) put {choice['arm']} first{sure}: in {share_words(share)} of draws."


# --- what to mend ---


def _mend(content: Mapping[str, Any], with_test: bool) -> Advice | None:
    """The gravest symptoms that most arms show, with their remedies; None where nothing was found. Of what test images
    show while they are folded, only how many symptoms."""
    found: dict[str, list[str]] = {}
    rules: dict[str, Mapping[str, Any]] = {}
    hidden: set[str] = set()
    for arm in content["arms"]:
        for one in content["diagnosis"].get(arm["name"], ()):
            if one["state"] != "found" or one["level"] == "note":
                continue
            if not with_test and one.get("of_test", True):
                hidden.add(one["name"])
            else:
                found.setdefault(one["name"], []).append(arm["name"])
                rules.setdefault(one["name"], one)
    if not found and not hidden:
        return None
    order = sorted(found, key=lambda name: (rules[name]["level"] != "red", -len(found[name])))
    n = len(content["arms"])
    points = tuple(
        f"{name} ({_in_arms(found[name], n)}): {str(rules[name]['remedy']).rstrip('.')}."
        for name in order[:_LISTED]
    )
    more = f" {len(order) - _LISTED} more are under Diagnosis." if len(order) > _LISTED else ""
    where = "" if with_test else " without the test images"
    folded = f" By test images {len(hidden)}: in which arms is folded until a choice." if hidden else ""
    said = f"{_count(len(order), 'symptom')} found{where}.{more}{folded}"
    return Advice("mend", "Mend first", said, points)


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _in_arms(names: Sequence[str], n: int) -> str:
    if len(names) == n:
        return "every arm" if n > 1 else names[0]
    return names[0] if len(names) == 1 else f"{len(names)} of {n} arms"


# --- further seeds ---


def _seeds(content: Mapping[str, Any]) -> Advice | None:
    """What more seeds would find, for planned contrasts without a finding."""
    if content["source"] == "simulated":
        return None
    left = [one for one in content["contrasts"]["planned"] if not one["better"]]
    if not left:
        return None
    costs = content.get("costs")
    if costs is None or not all("detectable_with" in one for one in left):
        return Advice("seeds", "More seeds", _needed(left) or RENEW)
    rows: list[tuple[Cell, ...]] = []
    for one in left:
        for n, least in one["detectable_with"][:2]:
            more = int(n) - one["n_seeds"]
            rows.append((f"{one['arm']} − {one['against']}", int(n), more, hours_of(costs, more), least))
    if not rows:
        return None
    first = left[0]
    (n, least), *_ = first["detectable_with"] or [(None, None)]
    unit = unit_of(costs)
    sentence = _needed(left)
    if n is not None:
        more = int(n) - first["n_seeds"]
        hours = hours_of(costs, more)
        price = f" ({_hours(hours)} {unit} for all arms)" if hours is not None else ""
        now = f", instead of {short(first['detectable'])} now" if first["detectable"] else ""
        sentence = (
            f"{more} more {'seed' if more == 1 else 'seeds'}{price} would detect {short(least)} between {first['arm']} "
            f"and {first['against']} with 80 % power{now}. {sentence}"
        ).strip()
    table = Table(
        "The least true difference that would be found, 80 % power, allowing for all planned contrasts",
        ("Contrast", "Seeds in all", "More", unit[0].upper() + unit[1:], "Would be found"),
        tuple(rows),
    )
    return Advice("seeds", "More seeds", sentence, table=table)


def _needed(left: Sequence[Mapping[str, Any]]) -> str:
    """How many seeds the differences that were seen would take."""
    judged = [one for one in left if one["p_holm"] is not None]
    hopeless = [one for one in judged if one["seeds_needed"] is None and one["value"]]
    said = []
    if hopeless:
        names = _listed([f"{one['arm']} − {one['against']}" for one in hopeless])
        said.append(
            f"No number of seeds would find differences as small as seen in {names}; that takes more test images."
        )
    reachable = [one for one in judged if one["seeds_needed"]]
    if reachable:
        least = min(reachable, key=lambda one: one["seeds_needed"])
        said.append(
            f"The difference seen between {least['arm']} and {least['against']} ({short(abs(least['value']))}) would "
            f"take {least['seeds_needed']} seeds in all."
        )
    return " ".join(said)


def hours_of(costs: Mapping[str, Any], seeds: int) -> float | None:
    """Hours of training that so many further seeds of every arm take; None where nothing was timed."""
    seconds = costs["seconds"].values()
    return seeds * sum(seconds) / 3600 if seconds else None


def _hours(hours: float) -> str:
    """ "0.42", "120": two figures."""
    return number(hours, 2) if hours < 10 else f"{hours:,.0f}"


def unit_of(costs: Mapping[str, Any]) -> str:
    """ "GPU-hours", or on what else the runs were timed."""
    return "GPU-hours" if costs["device"].startswith(("cuda", "mps")) else "hours on the processor"


# --- further answers ---


def _answers(content: Mapping[str, Any]) -> Advice | None:
    if content["source"] == "simulated":
        return None
    answers = (content.get("costs") or {}).get("answers")
    title = "More answers"
    if not answers:
        return Advice("answers", title, RENEW) if "costs" not in content else None
    if "rows" not in answers:
        return Advice("answers", title, f"Not known: {answers['why']}.")
    now, *more = answers["rows"]
    asked = answers["asked"]
    paid = bool(asked["reward_e2"] or asked["bonus_e2"])
    wanted = next((row for row in more if row["k"] >= _MORE_ANSWERS * now["k"]), None)
    if wanted is None:
        return None
    extra = wanted["people"] - now["people"]
    price = f", {_money(wanted['total_e2'] - now['total_e2'], asked['currency'])}" if paid else ""
    sentence = (
        f"{_how_many(now['k'])} → {wanted['k']} answers an image: the expected error of a label falls from "
        f"{now['label_error']:.3f} to {wanted['label_error']:.3f} (share, 0–1; reliability {now['reliability']:.2f} → "
        f"{wanted['reliability']:.2f}), for about {max(extra, 0)} more people{price}."
        f"{'' if paid else ' The study names no payment.'}{_gave(content)}"
    )
    rows: list[tuple[Cell, ...]] = [
        (
            _how_many(row["k"]),
            f"{row['label_error']:.3f}",
            f"{row['width']:.2f}",
            f"{row['reliability']:.2f}",
            row["people"],
            *((_money(row["total_e2"], asked["currency"]),) if paid else ()),
        )
        for row in answers["rows"]
    ]
    heads = (
        "Answers an image",
        "Error of a label",
        "Interval, wide",
        "Reliability",
        "People",
        *(("Paid",) if paid else ()),
    )
    caption = (
        f"What k answers a mixed image give, from the variance components of {answers['source']}, labels shrunk to the "
        f"curve; {asked['units']} mixed images, {asked['trials_per_person']} a person"
    )
    return Advice("answers", title, sentence, table=Table(caption, heads, tuple(rows)))


def _gave(content: Mapping[str, Any]) -> str:
    """That arms with other numbers of answers were trained, where there are such."""
    shown = any(figure["key"] == "answers" for figure in content["figures"])
    name = BY_KEY[content["primary"]].name
    return f" What more answers did to {name} here is drawn below." if shown else ""


def _how_many(k: float) -> str:
    """A number of answers: whole, or to one decimal where it is a mean."""
    return f"{k:.1f}".removesuffix(".0")


def _money(e2: int, currency: str) -> str:
    return f"{e2 / 100:,.2f} {currency}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
