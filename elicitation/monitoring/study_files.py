"""Studies as files and as copies, with how people come to them: what commands and pages share.

Completion codes and a study's id at a recruiter never come along: codes are drawn anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from elicitation.recruiters.services import recruitment_as_plan, seen_by, set_recruitment
from elicitation.studies.models import Source, Study
from elicitation.studies.pages import visible_study
from elicitation.studies.services import copy_study, create_study, plan_of_study
from elicitation.studies.toml import read_study
from elicitation.studies.toml_writing import study_file
from hilmix.accounts import audit
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, Actor, require
from hilmix.errors import Invalid


@dataclass(frozen=True)
class ImportedStudy:
    """The draft that was made of a file, and what whoever read it in should know."""

    study: Study
    notes: tuple[str, ...]


def export_study(*, study: Study, actor: Actor) -> str:
    """The file of what `study` asks now. Who may see the study may take it away."""
    require(actor, Action.VIEW_STUDY, study.pk)
    source = Source.PERSON if study.source == Source.IMPORTED else study.source
    recruitment = recruitment_as_plan(study, actor) if study.source == Source.PERSON else None
    return study_file(plan_of_study(study), source=source, recruitment=recruitment)


def import_study(*, text: str, actor: Actor, slug: str = "") -> ImportedStudy:
    """Make a draft of a file; its creator becomes its owner.

    Args:
        slug: the link to use instead of the file's.

    Raises:
        Invalid: the file cannot be read, or its plan cannot be carried out; `fields` says what is wrong, and where.
    """
    require(actor, Action.CREATE_STUDY)
    file = read_study(text, slug=slug)
    with transaction.atomic():
        study = create_study(plan=file.plan, source=file.source, actor=actor)
        audit.record(actor, "study.read_from_file", study)
        return ImportedStudy(study, file.notes + _recruit(study, file.recruitment, actor))


def copy_with_recruitment(*, study: Study, slug: str, title: str, actor: Actor) -> Study:
    """Copy a study with its recruiter and the studies that it excludes, as far as the actor may see them.

    Raises:
        Invalid: with messages per field, as for a new study.
    """
    with transaction.atomic():
        copy = copy_study(study=study, slug=slug, title=title, actor=actor)
        if study.source == Source.PERSON:
            _recruit(copy, recruitment_as_plan(study, actor), actor)
    return copy


def _recruit(study: Study, recruitment: Mapping[str, Any], actor: Actor) -> tuple[str, ...]:
    """Set how people come to the study; what of it is not here is said."""
    if not recruitment or study.source != Source.PERSON:
        return ()
    named, recruiter = recruitment.get("excludes", []), recruitment.get("recruiter", "direct")
    unknown = sorted(recruitment.keys() - {"recruiter", "excludes"})
    problems = [f"recruitment.{name}: nothing is called so here." for name in unknown]
    if (
        not isinstance(recruiter, str)
        or not isinstance(named, list)
        or not all(isinstance(s, str) for s in named)
    ):
        problems.append("recruitment: recruiter is a name, and excludes a list of links of studies.")
    if problems:
        raise Invalid("The file cannot be read as a study.", fields={"file": problems})
    excluded = list(seen_by(actor).filter(slug__in=named))
    set_recruitment(study=study, recruiter=recruiter, options={}, excludes=excluded, actor=actor)
    missing = sorted(set(named) - {other.slug for other in excluded})
    return tuple(f"The study {name!r}, whose participants were excluded, is not here." for name in missing)


@require_safe
def study_toml(request: HttpRequest, slug: str) -> HttpResponse:
    """The study as a file."""
    study = visible_study(request, slug)
    assert isinstance(request.user, User)
    return HttpResponse(
        export_study(study=study, actor=request.user),
        content_type="application/toml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{study.slug}.toml"'},
    )
