"""What going on would cost: further seeds in hours of training, further answers in people and money. Pure.

Seconds are those measured while the runs were trained; what answers would give is the arithmetic of
`hilmix.core.planning` on the components of the release itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hilmix.core import planning
from hilmix.core.planning import Components, Effort, Price
from hilmix.figures import Cell, Figure, Series, Table, number
from training.evaluation.values import BY_KEY
from training.reports.inputs import ArmResult


@dataclass(frozen=True)
class Asked:
    """What a study asked and paid: `answers` in all, about `units` mixed images by `people`. `reward_e2` and `bonus_e2`
    in hundredths of `currency` (both 0: nobody was paid, or not here)."""

    answers: int
    units: int
    people: int
    trials_per_person: int
    reward_e2: int = 0
    bonus_e2: int = 0
    currency: str = ""

    @property
    def k(self) -> float:
        """Answers a mixed image, on average."""
        return self.answers / self.units


def costs_of(arms: Sequence[ArmResult]) -> dict[str, Any]:
    """`seconds` that one further seed of each arm takes, its folds among them, and `device`, on which it was measured;
    only of arms that were trained here and timed."""
    seconds, devices = {}, set()
    for arm in arms:
        timed = [run for run in (*arm.runs, *arm.folds) if run.environment.get("seconds")]
        if arm.is_external or not timed:
            continue
        by_seed: dict[int, float] = {}
        for run in timed:
            by_seed[run.seed] = by_seed.get(run.seed, 0.0) + float(run.environment["seconds"])
            devices.add(str(run.environment.get("device", "")))
        seconds[arm.name] = float(np.mean(list(by_seed.values())))
    return {"seconds": seconds, "device": ", ".join(sorted(devices - {""}))}


def answers_of(components: Components | str, asked: Asked) -> dict[str, Any]:
    """What k answers a mixed image would give and cost, for those there are and for more; `why` where it cannot
    be said."""
    if isinstance(components, str):
        return {"why": components}
    now = asked.k
    effort = Effort(asked.units, max(asked.trials_per_person, 1))
    price = Price(asked.reward_e2, asked.bonus_e2)
    rows = []
    for k in (now, *(k for k in planning.PROPOSED if k > now)):
        reliability = planning.reliability(components.rho, k)
        people = asked.people if k == now else effort.people(int(k))
        rows.append(
            {
                "k": k,
                "reliability": reliability,
                "label_error": float(np.sqrt(components.between * (1 - reliability))),
                "width": planning.shrunk_width(components, k),
                "people": people,
                "total_e2": price.total_e2(people),
            }
        )
    return {"rows": rows, "source": components.source, "asked": asdict(asked)}


def answers_figure(
    arms: Sequence[Mapping[str, Any]], primary: str, answers: Mapping[str, Any], source: str
) -> list[Figure]:
    """The primary metric against what the answers cost, or where no payment is known against answers a mixed image, of
    arms that differ in nothing else; `arms` as the report has them. None where there is no such pair of arms."""
    asked = answers.get("asked")
    lines: dict[str, list[tuple[float, Mapping[str, Any], str]]] = {}
    for arm in arms:
        own = {
            key: one
            for key, one in arm["settings"].items()
            if key not in ("name", "answers_per_image", "seeds")
        }
        k = arm["settings"].get("answers_per_image") or (asked and asked["answers"] / asked["units"])
        one = arm["summary"].get(primary)
        if arm["policy"] and k and one and one["mean"] is not None:
            key = str(sorted((name, str(value)) for name, value in own.items()))
            lines.setdefault(key, []).append((float(k), one, arm["name"]))
    found = [sorted(line, key=lambda point: point[0]) for line in lines.values()]
    found = [line for line in found if len({k for k, _, _ in line}) > 1]
    if not found:
        return []
    metric = BY_KEY[primary]
    e2 = asked["reward_e2"] + asked["bonus_e2"] if asked else 0
    rows: list[tuple[Cell, ...]] = []
    series = []
    for group, line in enumerate(found):
        points = []
        for k, one, name in line:
            low, high = one["interval"] or (None, None)
            in_all = round(k * asked["units"]) if asked else None
            cost = in_all / max(asked["trials_per_person"], 1) * e2 / 100 if asked and in_all and e2 else None
            points.append((round(k, 1) if cost is None else cost, one["mean"], low, high))
            rows.append((name, round(k, 1), in_all, cost, one["mean"], low, high))
        series.append(Series(_common([name for _, _, name in line]), tuple(points), group))
    money = f"cost, {asked['currency']}" if asked else "cost"
    table = Table(
        f"{metric.name} by answers a mixed image",
        ("Arm", "Answers an image", "Answers in all", money.capitalize(), metric.name, "from", "to"),
        tuple(rows),
    )
    best, least = found[0][-1], found[0][0]
    gained = best[1]["mean"] - least[1]["mean"]
    reading = (
        f"From {round(least[0], 1):g} to {round(best[0], 1):g} answers an image {metric.name} "
        f"changes by {'+' * (gained > 0)}{number(gained, 3)} ({best[2]}); whether that is more than chance a planned "
        "contrast says."
    )
    definition = (
        f"{metric.name} on the test images, mean over seeds with its interval, of arms that differ in the number of "
        "answers a mixed image alone. How many answers that is stands in the table."
    )
    return [
        Figure(
            "answers", "curve", "What more answers gave", definition, money if e2 else "answers an image", metric.name,
            tuple(series), table, source, reading=reading,
        )
    ]  # fmt: skip


def _common(names: Sequence[str]) -> str:
    return " · ".join(dict.fromkeys(names))
