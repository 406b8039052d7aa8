"""The figures of one configuration over releases, each with a sentence that says what is to be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilmix.figures import Cell, Figure, Series, Table, first_seen, show
from training.evaluation.values import BY_KEY

_SPOKEN = 3  # arms that a sentence names

Json = Mapping[str, Any]


def figures_of(
    releases: Sequence[Json], steps: Sequence[Json], metric: str, source: str, *, same_images: bool
) -> list[Figure]:
    """The metric against the number of answers; the differences to the release before; how far labels moved.
    `same_images`: whether all were judged on the same test images."""
    images = f"the same {releases[-1]['n_tested']} test images" if same_images else "the test images of each"
    found = [first_seen(_course(releases, metric, images, source), ())]
    if rows := _rows(steps, metric):
        found.append(_differences(rows, metric, source))
    if any(arm["labels"] for step in steps for arm in step["arms"].values()):
        found.append(first_seen(_labels(steps, source), ()))
    return found


def _course(releases: Sequence[Json], metric: str, images: str, source: str) -> Figure:
    name = BY_KEY[metric].name
    arms = list(dict.fromkeys(arm for one in releases for arm in one["arms"]))
    series, rows = [], []
    for group, arm in enumerate(arms):
        known = [one for one in releases if metric in one["arms"].get(arm, {})]
        points = tuple(
            (float(one["answers"]), one["arms"][arm][metric]["value"], *one["arms"][arm][metric]["interval"])
            for one in sorted(known, key=lambda one: int(one["answers"]))
        )
        series.append(Series(arm, points, group))
        rows += [_row(one, arm, metric) for one in known]
    scores = [
        one["arms"][arm][metric] for one in releases for arm in one["arms"] if metric in one["arms"][arm]
    ]
    columns = ("Release", "Answers", "Arm", name, "from", "to", "Seeds")
    return Figure(
        "over_time", "curve", f"{name} over releases",
        f"Mean over seeds on {images}, of one configuration trained anew on each release; bands: 95 % intervals, "
        f"{_scope(scores)}. {_direction(metric)}",
        "answers in the release, with repeats", name, tuple(series),
        Table(f"{name} on each release", columns, tuple(rows)), source, reading=_course_read(releases, arms, metric),
    )  # fmt: skip


def _scope(scores: Sequence[Json]) -> str:
    """What the intervals are for."""
    these = [one["these_models"] for one in scores]
    if not any(these):
        return "for other images and other seeds"
    fewer = "for other images with these trained models, as there are fewer than 5 seeds"
    return fewer if all(these) else f"for other images and other seeds; below 5 seeds {fewer.split(',')[0]}"


def _row(one: Json, arm: str, metric: str) -> tuple[Cell, ...]:
    found = one["arms"][arm][metric]
    return one["release"], one["answers"], arm, found["value"], *found["interval"], found["n_seeds"]


def _course_read(releases: Sequence[Json], arms: Sequence[str], metric: str) -> str:
    name = BY_KEY[metric].name
    if len(releases) < 2:
        return (
            f"There is one release with a report so far: {_listed(_at(releases[-1], arms, metric))}."
            if releases
            else ""
        )
    first, last = releases[0], releases[-1]
    both = [arm for arm in arms if all(metric in one["arms"].get(arm, {}) for one in (first, last))]
    went = [
        f"{arm} {show(first['arms'][arm][metric]['value'])} → {show(last['arms'][arm][metric]['value'])}"
        for arm in both
    ]
    if not went:
        return f"No arm has {name} on both {first['release']} and {last['release']}."
    return (
        f"From {first['release']} ({first['answers']:,} answers) to {last['release']} ({last['answers']:,}), "
        f"{name} went: {_listed(went)}."
    )  # fmt: skip


def _at(one: Json, arms: Sequence[str], metric: str) -> list[str]:
    known = [arm for arm in arms if metric in one["arms"].get(arm, {})]
    return [f"{arm} {show(one['arms'][arm][metric]['value'])}" for arm in known]


def _listed(words: Sequence[str]) -> str:
    more = f", and {len(words) - _SPOKEN} more in the table" if len(words) > _SPOKEN else ""
    return ", ".join(words[:_SPOKEN]) + more


def _rows(steps: Sequence[Json], metric: str) -> list[tuple[Json, str, Json]]:
    return [
        (step, name, arm["differences"][metric])
        for step in steps
        for name, arm in step["arms"].items()
        if metric in arm["differences"]
    ]


def _differences(rows: Sequence[tuple[Json, str, Json]], metric: str, source: str) -> Figure:
    name = BY_KEY[metric].name
    labels = tuple(f"{arm}: {_version(step['before'])} → {_version(step['after'])}" for step, arm, _ in rows)
    points = tuple((float(place), one["value"], *one["interval"]) for place, (_, _, one) in enumerate(rows))
    table = Table(
        f"{name}: each release less the one before; 95 % intervals {_scope([one for _, _, one in rows])}, not adjusted",
        ("Arm", "After", "Before", "Difference", "from", "to", "Seeds"),
        tuple(
            (arm, step["after"], step["before"], one["value"], *one["interval"], one["n_seeds"])
            for step, arm, one in rows
        ),
    )  # fmt: skip
    apart = [
        label
        for label, (_, _, one) in zip(labels, rows, strict=True)
        if one["interval"][0] * one["interval"][1] > 0
    ]
    exact = sum(one["value"] == 0 and one["interval"][0] == one["interval"][1] for _, _, one in rows)
    told = (
        f"{len(apart)} of {len(rows)} intervals exclude{'s' if len(apart) == 1 else ''} 0 ({_listed(apart)})"
        if apart
        else f"None of {len(rows)} interval{'s' if len(rows) > 1 else ''} excludes 0"
    )
    equal = (
        f" {exact} difference{'s are' if exact > 1 else ' is'} exactly 0: the same models again."
        if exact
        else ""
    )
    return Figure(
        "release_steps", "forest", f"{name}: difference to the release before",
        f"After less before, paired by test image and seed, of the same configuration. {_direction(metric)} Unplanned, "
        "so exploratory.",
        f"difference in {name}", "", (Series(f"difference in {name}", points, 0),), table, source,
        reading=f"{told}; exploratory.{equal}", y_categories=labels, reference=0.0,
    )  # fmt: skip


def _labels(steps: Sequence[Json], source: str) -> Figure:
    arms = list(dict.fromkeys(name for step in steps for name, arm in step["arms"].items() if arm["labels"]))
    known = {
        (place, name): step["arms"][name]["labels"]
        for place, step in enumerate(steps)
        for name in arms
        if step["arms"].get(name, {}).get("labels")
    }
    series = tuple(
        Series(
            name,
            tuple((float(place), one["mean"]) for (place, of), one in known.items() if of == name),
            group,
        )
        for group, name in enumerate(arms)
    )  # fmt: skip
    table = Table(
        "How far the labels of each arm moved",
        ("After", "Before", "Arm", "Mixed images in both", "Moved", "Mean", "95th percentile", "Most", "Came", "Gone"),
        tuple(
            (steps[place]["after"], steps[place]["before"], name, one["n"], one["n_moved"], one["mean"], one["p95"],
             one["most"], steps[place]["came"], steps[place]["gone"])
            for (place, name), one in known.items()
        ),
    )  # fmt: skip
    (place, arm), most = max(known.items(), key=lambda item: float(item[1]["mean"]))
    told = (
        f"Most moved the labels of {arm} from {steps[place]['before']} to {steps[place]['after']}: "
        f"{most['n_moved']} of {most['n']}, by {show(float(most['mean']))} on average and "
        f"{show(float(most['most']))} at most"
        if most["n_moved"]
        else "No label of a mixed image that two releases share moved"
    )
    return Figure(
        "labels_moved", "bars", "How far labels moved since the release before",
        "Half the summed absolute difference of the two soft labels of a mixed image, mean over the images of both "
        "releases. Labels without answers, such as mixup's, do not move.",
        "from release to release", "mean distance, 0–1", series, table, source, reading=f"{told}.",
        x_categories=tuple(f"{_version(step['before'])} → {_version(step['after'])}" for step in steps),
    )  # fmt: skip


def _version(release: str) -> str:
    """Of a release's name what differs within a study."""
    return release.rpartition("@")[2]


def _direction(metric: str) -> str:
    higher = BY_KEY[metric].higher_is_better
    return "" if higher is None else f"{'Higher' if higher else 'Lower'} is better."
