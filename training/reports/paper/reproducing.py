"""One file that does an experiment again: its configuration with all that was decided on the way, what it was of by
hash, and every number that came out; and, when it was done again, whether the numbers are the same.

`manage.py run_experiment FILE` reads it like any configuration, does it as a new experiment, and compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from hilmix.errors import Invalid
from training.experiments.config import REPRODUCE, ExperimentConfig, read_config, read_toml
from training.experiments.models import Arm, Experiment
from training.experiments.naming import find_release
from training.runs.models import Run

FORMAT = "hilmix-reproduce/1"
AGAIN = ", again"  # so that it is an experiment of its own
JUDGED = ("validation", "test", "mixed")  # what of a run's evaluations is compared
VERSIONS = ("device", "instructions", "threads", "precision", "python", "torch", "numpy", "code")
SHOWN = 5  # differences that are printed

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """How far an experiment that was done again is the same; `lines` are what to print."""

    same: bool
    lines: tuple[str, ...]


def reproduction_file(experiment: Experiment) -> str:
    """The file of an experiment, as TOML. Arms that were trained elsewhere are not in it, nor runs without an end."""
    runs = _runs(experiment)
    release, images = experiment.release, experiment.image_set
    record = {
        "format": FORMAT,
        "experiment": experiment.name,
        "config_sha256": experiment.config_sha256,
        "release": {"name": release.name, "sha256": release.sha256},
        "image_set": {"name": images.name, "sha256": images.sha256},
        "human_labels_sha256": images.human_labels_sha256,
        "computed_with": _versions(runs),
        "runs": [_record(run) for run in runs],
    }
    config = tomli_w.dumps({**_resolved(experiment, runs), REPRODUCE: record})
    return f"{_head(experiment)}\n{config}"


def is_promised(experiment: Experiment) -> bool:
    """Whether the same numbers are promised on the same machine: trained in deterministic mode."""
    return bool(experiment.config["train"].get("deterministic"))


def read_reproduction(path: Path) -> tuple[ExperimentConfig, dict[str, Any] | None]:
    """The configuration in a file, and what is to come out of it where it is such a file; else None."""
    config, record = read_config(path), read_toml(path).get(REPRODUCE)
    if record is not None and (not isinstance(record, dict) or record.get("format") != FORMAT):
        raise Invalid(f"{path.name} has a table [{REPRODUCE}] that is not of the format {FORMAT}.")
    if record is not None and not _is_whole(record):
        raise Invalid(
            f"The table [{REPRODUCE}] of {path.name} was changed: something is missing in it, or of another kind. Take "
            "the file anew, or remove the table and what follows it to train without comparing."
        )
    return config, record


def _is_whole(record: Mapping[str, Any]) -> bool:
    """Whether a record has all that is read of it."""
    try:
        texts = [record["config_sha256"], record["release"]["sha256"], record["human_labels_sha256"]]
        for one in record["runs"]:
            texts += [one["arm"], one["plan_sha256"], *one["numbers"]]
            whole = [one["seed"], one["fold"], one["candidate"]]
            if not all(isinstance(number, int) for number in whole):
                return False
        return all(isinstance(text, str) for text in [*texts, *record["computed_with"]])
    except (KeyError, TypeError):
        return False


def check_content(config: ExperimentConfig, record: Mapping[str, Any]) -> None:
    """Raise `Invalid` where the release of this name is another one here, before anything is trained."""
    release = find_release(config)
    if release.sha256 != record["release"]["sha256"]:
        raise Invalid(
            f"{release.name} is another release here: its sha256 is {release.sha256[:12]}…, and the file is of "
            f"{record['release']['sha256'][:12]}…. The same release is in the instance that the file is of, and in "
            "copies restored from its backup; one that was imported from a published release is frozen anew. Remove "
            f"the table [{REPRODUCE}] and what follows it to train on this one without comparing."
        )


def original_of(record: Mapping[str, Any]) -> Experiment | None:
    """The experiment that the file is of, if it is here."""
    return Experiment.objects.filter(config_sha256=record["config_sha256"]).first()


def compare(experiment: Experiment, record: Mapping[str, Any]) -> Comparison:
    """What came out of `experiment` beside what the file says, number by number: equal means equal to the last bit."""
    runs = _runs(experiment)
    found = {_key(run): run for run in runs}
    n, differences = 0, []
    for one in record["runs"]:
        key = (one["arm"], one["seed"], one["fold"], one["candidate"])
        run = found.get(key)
        if run is None:
            differences.append(f"{_title(one)}: there is no such run")
            continue
        if run.plan_sha256 != one["plan_sha256"]:
            differences.append(f"{run.title}: other batches or augmentation (plan {run.plan_sha256[:12]}…)")
        now = _numbers(run)
        for name, before in one["numbers"].items():
            n += 1
            if now.get(name) != before:
                differences.append(f"{run.title}: {name} was {before!r}, is {now.get(name)!r}")
    if not n and not differences:
        return Comparison(True, ("The file holds no numbers to compare with: no run had finished.",))
    of = f"{len(record['runs'])} run{'s' if len(record['runs']) != 1 else ''}"
    if not differences:
        return Comparison(True, (f"The same numbers: all {n} of {of} are equal to the last bit.",))
    lines = [f"NOT the same: {len(differences)} of {n} numbers of {of} differ.", *differences[:SHOWN]]
    lines += [f"… and {len(differences) - SHOWN} more"] if len(differences) > SHOWN else []
    images = experiment.image_set
    if images.human_labels_sha256 != record["human_labels_sha256"]:
        lines.append("The human labels of the image set are others here.")
    own = _versions(runs)
    lines += [
        f"{name} was {record['computed_with'].get(name, '–')}, is {own.get(name, '–')}"
        for name in VERSIONS
        if record["computed_with"].get(name) != own.get(name)
    ]
    if not experiment.config["train"].get("deterministic"):
        lines.append(
            "It was not trained in deterministic mode (deterministic = true under [train]), without which a GPU does "
            "not promise the same numbers."
        )
    return Comparison(False, tuple(lines))


def _head(experiment: Experiment) -> str:
    external = [arm.name for arm in experiment.arms.all() if arm.is_external]
    lines = [
        f"Experiment {experiment.pk} of hilmix, to be done again:",
        "    .venv/bin/python manage.py run_experiment THIS_FILE",
        "It says at the end whether the numbers are the same. The very release must be there:",
        "in this instance, or in one restored from its backup.",
        "Trained in deterministic mode: on the same machine and versions all numbers are the same."
        if is_promised(experiment)
        else "Not trained in deterministic mode: the same are to be expected on a processor, not on a GPU.",
    ]
    if external:
        lines.append(f"Without {', '.join(external)}: trained elsewhere.")
    return "".join(f"# {' '.join(line.split()) if line[0] != ' ' else line}\n" for line in lines)


def _resolved(experiment: Experiment, runs: list[Run]) -> dict[str, Any]:
    """The configuration with release, precision and threads as they were decided, and with the seeds added since."""
    config: dict[str, Any] = {**experiment.config, "train": dict(experiment.config["train"])}
    config["name"] = f"{experiment.name}{AGAIN}"
    config["release"] = experiment.release.name
    if experiment.precision:
        config["train"]["precision"] = experiment.precision
    if experiment.threads:
        config["train"]["threads"] = experiment.threads
    known = set(config["seeds"])
    added = sorted({run.seed for run in runs} - known)
    config["seeds"] = [*config["seeds"], *added]
    config["arms"] = [
        {**arm, "seeds": [*arm["seeds"], *added]} if arm.get("seeds") and added else arm
        for arm in config["arms"]
    ]
    return config


def _runs(experiment: Experiment) -> list[Run]:
    """The finished runs of arms that were trained here."""
    own = Arm.objects.filter(experiment=experiment, is_external=False)
    return list(Run.objects.filter(arm__in=own).exclude(finished_at=None).select_related("arm"))


def _record(run: Run) -> dict[str, Any]:
    return {
        "arm": run.arm.name,
        "seed": run.seed,
        "fold": run.fold,
        "candidate": run.candidate,
        "plan_sha256": run.plan_sha256,
        **({"excluded": run.excluded} if run.excluded else {}),
        "numbers": dict(_numbers(run)),
    }


def _numbers(run: Run) -> Numbers:
    """What a run scored, by name: `score.accuracy`, `test.human_cross_entropy`, `mixed.…`."""
    return {
        **{f"score.{key}": float(value) for key, value in run.metrics.items() if _is_known(value)},
        **{name: value for what in JUDGED for name, value in _values(what, run.evaluations.get(what) or {})},
    }


def _values(name: str, table: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, one in sorted(table.items()):
        if isinstance(one, Mapping) and _is_known(one.get("value")):
            yield f"{name}.{key}", one["value"]


def _is_known(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _versions(runs: list[Run]) -> dict[str, str]:
    """On what and by which versions they were computed; where runs differ, all values."""
    return {
        name: ", ".join(sorted({str(run.environment[name]) for run in runs if name in run.environment}))
        for name in VERSIONS
        if any(name in run.environment for run in runs)
    }


def _key(run: Run) -> tuple[str, int, int, int]:
    return run.arm.name, run.seed, run.fold, run.candidate


def _title(one: Mapping[str, Any]) -> str:
    return f"{one['arm']}, seed {one['seed']}, fold {one['fold']}, candidate {one['candidate']}"
