"""From rows and files to what is compared over releases. Only the job imports this."""

from __future__ import annotations

from collections.abc import Sequence

from hilmix.core.errors import DataError
from hilmix.errors import DomainError
from training.experiments.labels import mixed_labels
from training.experiments.material import Material, material_of
from training.experiments.models import Arm, Experiment
from training.reports.inputs import on_test
from training.runs.keeping import PREDICTIONS, read_arrays
from training.runs.models import Run
from training.trends.comparing import ArmOnRelease, Labels, OnRelease

_PEOPLE = "Human labels of the image set"  # as the provenance of a report has it


def on_releases(series: Sequence[Experiment]) -> tuple[list[OnRelease], list[str]]:
    """What is known of each experiment, and sentences about those that cannot be read any more."""
    found, left_out = [], []
    for experiment in series:
        try:
            found.append(_on_release(experiment, material_of(experiment)))
        except (DomainError, DataError) as error:
            left_out.append(f"{experiment.release.name} is left out: {error}")
    return found, left_out


def _on_release(experiment: Experiment, material: Material) -> OnRelease:
    release, keys = experiment.release, _keys(material)
    rows = experiment.arms.filter(is_external=False).prefetch_related("runs")
    runs = {
        arm.name: [
            run for run in arm.runs.all() if run.is_done and not (run.fold or run.candidate or run.excluded)
        ]
        for arm in rows
    }
    report = experiment.report
    people = (experiment.image_set.human_labels_sha256 or "none")[:12]
    return OnRelease(
        facts={
            "experiment": experiment.pk,
            "release": release.name,
            "number": release.number,
            "answers": release.counts["responses"],
            "participants": release.counts["participants"],
            "mixed_images": release.counts["mixed_images"],
            "reported": report.created_at.isoformat(),
        },
        arms={arm.name: _on_arm(arm, runs[arm.name], material, keys) for arm in rows},
        keys=frozenset(keys),
        tested=material.evaluation,
        base=material.training,
        validation=material.validation,
        trained_with=_trained_with([run for each in runs.values() for run in each]),
        other_people=_people_then(experiment) not in (None, people),
    )


def _on_arm(arm: Arm, runs: Sequence[Run], material: Material, keys: tuple[str, ...]) -> ArmOnRelease:
    judged = []
    for run in sorted(runs, key=lambda run: run.seed):
        test = on_test(read_arrays(run, PREDICTIONS), material.images.human)
        if test is not None:
            judged.append((run, test))
    own, labels = material.config.arm(arm.name), None
    if own.policy:
        seed = material.config.seeds_of(own)[0]
        values = mixed_labels(material, own, seed=seed, fold=0)
        labels = Labels(keys, values, seed if own.is_sampled else None)
    return ArmOnRelease(
        seeds=tuple(run.seed for run, _ in judged),
        test=tuple(test for _, test in judged),
        n_steps=tuple(run.n_steps for run, _ in judged),
        labels=labels,
    )


def _keys(material: Material) -> tuple[str, ...]:
    return tuple(material.data.table("mixed_images")["key"].to_pylist())


def _trained_with(runs: Sequence[Run]) -> str:
    """Device, precision and versions, each as often as it differs."""
    said = []
    for key, words in (("device", "{}"), ("precision", "{}"), ("torch", "torch {}"), ("code", "hilmix {}")):
        known = sorted({str(run.environment[key]) for run in runs if key in run.environment})
        said += [words.format(" and ".join(known))] if known else []
    return ", ".join(said)


def _people_then(experiment: Experiment) -> str | None:
    """The human labels that its report was written with, by the beginning of their hash."""
    return next(
        (value for key, value in experiment.report.content.get("provenance", ()) if key == _PEOPLE), None
    )
