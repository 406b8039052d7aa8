"""Experiments, runs and reports in the lineage of the data they were made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import F, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hilmix.accounts.models import User
from hilmix.core.files import sha256_json
from hilmix.hub.lineage import Kind, Node, by_many, by_one, register
from hilmix.hub.lineage_kinds import withdrawn_words
from hilmix.hub.models import Release
from hilmix.hub.withdrawn import count_withdrawn
from training.experiments.models import Experiment
from training.reports.models import Report
from training.runs.models import Run


def _experiments(person: User) -> QuerySet[Any]:
    return Experiment.objects.visible_to(person).with_state().select_related("release__study")


def _runs(person: User) -> QuerySet[Any]:
    mine = Run.objects.filter(arm__experiment__in=Experiment.objects.visible_to(person))
    return mine.select_related("arm__experiment__release__study")


def _reports(person: User) -> QuerySet[Any]:
    mine = Report.objects.filter(experiment__in=Experiment.objects.visible_to(person))
    return mine.select_related("experiment__release__study")


def _of_experiments(experiments: Sequence[Experiment]) -> Iterator[Node]:
    warnings = _warnings(one.release for one in experiments)
    for one in experiments:
        yield Node(
            kind="experiment",
            key=str(one.pk),
            title=one.name,
            url=one.get_absolute_url(),
            sha256=one.config_sha256,
            hash_of=_("of the configuration and all it was given"),
            facts=(one.state,),
            warning=warnings[one.release_id],
            watermark=one.release.study.watermark,
        )


def _of_runs(runs: Sequence[Run]) -> Iterator[Node]:
    warnings = _warnings(one.arm.experiment.release for one in runs)
    for one in runs:
        experiment = one.arm.experiment
        yield Node(
            kind="run",
            key=str(one.pk),
            title=f"{one.arm.name}, {_('seed')} {one.seed}",
            url=experiment.get_absolute_url(),
            sha256=one.plan_sha256,
            hash_of=_("of batches and augmentation draws"),
            facts=(_("finished") if one.is_done else _("not finished"),),
            warning=warnings[experiment.release_id],
            watermark=experiment.release.study.watermark,
        )


def _of_reports(reports: Sequence[Report]) -> Iterator[Node]:
    warnings = _warnings(one.experiment.release for one in reports)
    for one in reports:
        experiment = one.experiment
        yield Node(
            kind="report",
            key=str(one.pk),
            title=experiment.name,
            url=experiment.get_absolute_url(),
            sha256=sha256_json(one.content),
            hash_of=_("of the report"),
            facts=(f"{one.created_at:%Y-%m-%d %H:%M} UTC",),
            warning=warnings[experiment.release_id],
            watermark=experiment.release.study.watermark,
        )


def _warnings(releases: Iterable[Release]) -> dict[int, str]:
    """By release: what is to be said of whatever was made of it."""
    different = {release.pk: release for release in releases}
    return {one.pk: withdrawn_words(one.n_withdrawn) for one in count_withdrawn(different.values())}


register(
    Kind(
        name="experiment",
        words=gettext_lazy("Experiments"),
        visible=_experiments,
        describe=_of_experiments,
        steps={"release": by_one("release"), "run": by_many("arms__runs"), "report": by_one("report")},
    )
)
register(
    Kind(
        name="run",
        words=gettext_lazy("Runs"),
        visible=_runs,
        describe=_of_runs,
        steps={
            "experiment": by_one("arm__experiment"),
            "report": by_one(
                "arm__experiment__report", finished_at__lte=F("arm__experiment__report__created_at")
            ),
        },
    )
)
register(
    Kind(
        name="report",
        words=gettext_lazy("Reports"),
        visible=_reports,
        describe=_of_reports,
        # A report that was written before a run was finished is not made of it.
        steps={
            "run": by_many(
                "experiment__arms__runs", experiment__arms__runs__finished_at__lte=F("created_at")
            ),
            "experiment": by_one("experiment"),
        },
    )
)
