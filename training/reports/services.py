"""The report of an experiment is computed here, by the job that ends it; without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from hilmix.accounts import audit
from hilmix.accounts.models import AuditEvent
from hilmix.accounts.roles import Action, Actor, require
from hilmix.errors import Conflict
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.services import queue_job
from training.experiments.models import REPORT_KIND, Experiment
from training.reports.models import Report
from training.reports.tables import cited
from training.runs.models import Run

if TYPE_CHECKING:
    from training.evaluation.leakage import Leakage
    from training.evaluation.near_duplicates import NearDuplicates
    from training.experiments.material import Material

RENEW_KIND = "renew_report"  # of the job that writes the report of a finished experiment anew


def renew_report(*, experiment: Experiment, actor: Actor) -> Job:
    """Have the report of a finished experiment computed anew, as this version of hilmix does it; the present one stays
    until then. Raises `Conflict` where there is none yet, and while one is being written."""
    require(actor, Action.LAUNCH_EXPERIMENT)
    with transaction.atomic():
        Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
        if not Report.of_all_runs(experiment):
            raise Conflict("There is no report of all runs yet; it is written when the last of them ends.")
        writing = Job.objects.filter(kind__in=(REPORT_KIND, RENEW_KIND), object_id=str(experiment.pk))
        if writing.filter(state__in=(JobState.QUEUED, JobState.RUNNING)).exists():
            raise Conflict("This report is being written already.")
        label = f"Report of “{experiment.name}”, anew"[:200]
        job = queue_job(kind=RENEW_KIND, object_id=str(experiment.pk), label=label, actor=actor)
        audit.record(actor, "experiment.report_renewed", experiment, job=str(job.pk))
    return job


def report_if_finished(*, experiment: Experiment, anew: bool = False) -> Report | None:
    """The stored report, computed now if there is none of all its runs, or `anew`; None while a run is missing."""
    if not _is_finished(experiment):
        return None
    if not anew and (existing := Report.of_all_runs(experiment)):
        return existing
    from training.experiments.material import material_of

    material = material_of(experiment)
    return build_report(
        experiment=experiment,
        leakage=material.leakage,
        near_duplicates=material.near_duplicates,
        material=material,
        anew=anew,
    )


def build_report(
    *,
    experiment: Experiment,
    leakage: Leakage,
    near_duplicates: NearDuplicates | None = None,
    material: Material | None = None,
    anew: bool = False,
) -> Report:
    """The stored report of a finished experiment, computed on the first call, again where runs were added since, and
    `anew` where that is asked for.
    Raises `Conflict` while a run is missing. Without `material` what a run left in its folder is not looked
    at: only what its row says."""
    # Imported here: the web process loads this module, and has no need of what a report is computed with.
    from training.reports.asked import answers_for
    from training.reports.content import report_content
    from training.reports.diagnosis.figures import copies
    from training.reports.gathering import arm_result
    from training.reports.mixing import keeping
    from training.reports.robustness import storing
    from training.reports.robustness.comparing import compare_arms

    # First of all, so that a run added while the rest is read is missed by the look at the end, and not by the report.
    counted = _runs(experiment)
    if any(run.finished_at is None for run in counted):
        raise Conflict("A report needs every run; some are not finished.")
    if not anew and (existing := Report.of_all_runs(experiment)):
        return existing
    later, before = _added(experiment)
    arms = [arm_result(arm, material) for arm in experiment.arms.prefetch_related("runs")]
    content = report_content(
        name=experiment.name,
        source=experiment.release.source,
        arms=arms,
        leakage=leakage,
        near_duplicates=near_duplicates,
        provenance=_provenance(experiment, sorted({seed for _, seed in (*later, *before)})),
        config=experiment.config,
        added_later=_by_arm(later),
        added_before=_by_arm(before),
        classes=experiment.image_set.classes,
        answers=answers_for(experiment.release),
    )
    compared = compare_arms(arms)
    kept = "" if compared is None else storing.store(experiment.pk, compared)
    content["robustness"]["compared"] = kept
    content["mixing"] = keeping.mixing_of(experiment.pk, arms)
    if material is not None and near_duplicates is not None and near_duplicates.pairs:
        content["diagnosis_figures"]["near_duplicate"] = copies(
            near_duplicates.pairs,
            material.learnt,
            material.evaluation,
            cited(content),
            lambda place: reverse("parent_image", args=[experiment.image_set.name, place]),
        )
    with transaction.atomic():
        Experiment.objects.select_for_update(of=("self",)).get(pk=experiment.pk)
        runs = _runs(experiment)
        if runs != counted:
            raise Conflict("A run was added while the report was written; it is written anew when that ends.")
        if not anew and (existing := Report.of_all_runs(experiment)):
            return existing
        report, _ = Report.objects.update_or_create(experiment=experiment, defaults={"content": content})
        # Not before a run that it tells of, whatever the clocks of two hosts say.
        report.created_at = max([timezone.now(), *(run.finished_at for run in runs if run.finished_at)])
        report.save(update_fields=["created_at"])
    storing.keep_only(experiment.pk, kept)
    keeping.forget_others(experiment.pk, content["mixing"]["folder"])
    return report


def _runs(experiment: Experiment) -> list[Run]:
    return list(Run.objects.filter(arm__experiment=experiment).only("finished_at").order_by("pk"))


def _is_finished(experiment: Experiment) -> bool:
    return not Run.objects.filter(arm__experiment=experiment, finished_at=None).exists()


def _added(experiment: Experiment) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Arm and seed of what the configuration did not freeze: added when all that was planned was finished, so that a
    report may have been seen, and added before that."""
    runs = Run.objects.filter(arm__experiment=experiment, arm__is_external=False).select_related(
        "arm__experiment"
    )
    planned = {run.pk: run for run in runs if run.seed in run.arm.frozen_seeds}
    ends = [run.finished_at for run in planned.values() if run.finished_at is not None]
    events = AuditEvent.objects.filter(
        action="experiment.seeds_added", object_kind="training.experiment", object_id=str(experiment.pk)
    )
    early = {
        seed for event in events if ends and event.at < max(ends) for seed in event.detail.get("seeds", ())
    }
    others = list(dict.fromkeys((run.arm.name, run.seed) for run in runs if run.pk not in planned))
    return [one for one in others if one[1] not in early], [one for one in others if one[1] in early]


def _by_arm(added: list[tuple[str, int]]) -> list[str]:
    """ "mixup, seed 5, 6"."""
    names = dict.fromkeys(name for name, _ in added)
    return [f"{name}, seed {', '.join(str(seed) for of, seed in added if of == name)}" for name in names]


def _provenance(experiment: Experiment, added: list[int]) -> list[tuple[str, str]]:
    """What the numbers were computed from. Figures cite the first four."""
    release, image_set = experiment.release, experiment.image_set
    counts = release.counts
    human = image_set.human_labels_sha256
    seeds = ", ".join(str(seed) for seed in experiment.config["seeds"])
    return [
        ("Release", f"{release.name} ({release.sha256[:12]})"),
        ("Image set", f"{image_set.name} ({image_set.sha256[:12]})"),
        ("Configuration", experiment.config_sha256[:12]),
        ("Seeds", f"{seeds}; added: {', '.join(map(str, added))}" if added else seeds),
        ("Human labels of the image set", human[:12] if human else "none"),
        (
            "Answers",
            f"{counts['responses']} of {counts['participants']} participants on {counts['mixed_images']} "
            f"mixed images, source: {release.get_source_display()}",
        ),
    ]
