"""What commands about a study share: which one is meant."""

from __future__ import annotations

from django.core.management.base import CommandError

from elicitation.studies.models import Study


def study_named(slug: str) -> Study:
    """The study with that link; CommandError listing those there are."""
    study = Study.objects.filter(slug=slug).select_related("image_set").first()
    if study is None:
        known = ", ".join(Study.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no study {slug!r}. Studies here: {known}.")
    return study
