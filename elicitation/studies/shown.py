"""Which mixed images studies show: those that their units are about, and where people are asked about pairs, those of
every λ."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from elicitation.mixes.models import MixedImage
from elicitation.studies.models import Protocol, Source, Study, Unit
from elicitation.studies.protocol import Design, settings_of
from elicitation.studies.ways import needs_every_lambda


def mixed_images_of(study: Study, mode: str | None = None) -> QuerySet[MixedImage]:
    """The mixed images of one study, shown in any mode or in one."""
    return mixed_images_shown_in(Study.objects.filter(pk=study.pk), mode)


def mixed_images_shown_in(studies: QuerySet[Study], mode: str | None = None) -> QuerySet[MixedImage]:
    """The mixed images of any of `studies`; those of attention checks and examples are not among them."""
    units = _units_of(mode).filter(batch__study__in=studies.values("pk"))
    shown = Q(pk__in=units.exclude(mixed_image=None).values("mixed_image"))
    for study_id, design in _asked_about_pairs(studies).items():
        asked = units.filter(batch__study=study_id)
        if design is None:
            shown |= Q(pk__in=asked.values("trials__images__mixed_image"))
        else:
            shown |= Q(pair__in=asked.values("pair"), lambda_e4__in=design.lambdas_e4, method=design.method)
    return MixedImage.objects.filter(shown)


def studies_that_show(mixed_images: QuerySet[MixedImage], mode: str | None = None) -> QuerySet[Study]:
    """The other way: the studies that show one of a few mixed images."""
    units = _units_of(mode).filter(pair__in=mixed_images.values("pair"))
    shown = Q(pk__in=units.filter(mixed_image__in=mixed_images).values("batch__study"))
    about_pairs = _asked_about_pairs(Study.objects.filter(batches__units__in=units))
    for study_id, design in about_pairs.items():
        asked = units.filter(batch__study=study_id)
        if design is None:
            asked = asked.filter(trials__images__mixed_image__in=mixed_images)
        else:
            planned = mixed_images.filter(lambda_e4__in=design.lambdas_e4, method=design.method)
            asked = asked.filter(pair__in=planned.values("pair"))
        shown |= Q(pk__in=asked.values("batch__study"))
    return Study.objects.filter(shown)


def _units_of(mode: str | None) -> QuerySet[Unit]:
    return Unit.objects.all() if mode is None else Unit.objects.filter(batch__mode=mode)


def _asked_about_pairs(studies: QuerySet[Study]) -> dict[int, Design | None]:
    """Of the studies that ask about pairs, what says which mixed images each shows; None where only its trials do.

    An imported study was mixed by whichever method its authors used, and not every λ of a pair was published.
    """
    versions = Protocol.objects.filter(study__in=studies.values("pk")).order_by("version")
    newest = {study_id: said for study_id, *said in versions.values_list("study", "study__source", "content")}
    plans = {study_id: (source, settings_of(content)) for study_id, (source, content) in newest.items()}
    return {
        study_id: None if source == Source.IMPORTED else plan.design
        for study_id, (source, plan) in plans.items()
        if needs_every_lambda(plan)
    }
