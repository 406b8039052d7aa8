"""The report of an experiment is computed here, once, by the job that ends it."""

from __future__ import annotations

from hilmix.errors import Conflict
from training.evaluation.leakage import Leakage
from training.experiments.models import Arm, Experiment
from training.reports.content import ArmResult, RunResult, report_content
from training.reports.models import Report


def build_report(*, experiment: Experiment, leakage: Leakage) -> Report:
    """The stored report of a finished experiment, computed on the first call. Raises `Conflict` while a run
    is missing."""
    existing = Report.objects.filter(experiment=experiment).first()
    if existing:
        return existing
    arms = [_arm_result(arm) for arm in experiment.arms.prefetch_related("runs")]
    content = report_content(
        name=experiment.name,
        source=experiment.release.source,
        arms=arms,
        leakage=leakage,
        provenance=_provenance(experiment),
        config=experiment.config,
    )
    report, _ = Report.objects.get_or_create(experiment=experiment, defaults={"content": content})
    return report


def _arm_result(arm: Arm) -> ArmResult:
    runs = sorted(arm.runs.all(), key=lambda run: run.seed)
    if not all(run.is_done for run in runs):
        raise Conflict("A report needs every run; some are not finished.")
    return ArmResult(
        name=arm.name,
        policy=arm.policy,
        params=arm.params,
        runs=tuple(
            RunResult(run.seed, run.curves, run.metrics, run.environment, run.n_steps, run.plan_sha256)
            for run in runs
        ),
    )


def _provenance(experiment: Experiment) -> list[tuple[str, str]]:
    """What the numbers were computed from. Figures cite the first four."""
    release, image_set = experiment.release, experiment.image_set
    counts = release.counts
    human = image_set.human_labels_sha256
    return [
        ("Release", f"{release.name} ({release.sha256[:12]})"),
        ("Image set", f"{image_set.name} ({image_set.sha256[:12]})"),
        ("Configuration", experiment.config_sha256[:12]),
        ("Seeds", ", ".join(str(seed) for seed in experiment.config["seeds"])),
        ("Human labels of the image set", human[:12] if human else "none"),
        (
            "Answers",
            f"{counts['responses']} of {counts['participants']} participants on {counts['mixed_images']} "
            f"mixed images, source: {release.get_source_display()}",
        ),
    ]
