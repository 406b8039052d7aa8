"""Pages of the hub: releases with what is in them, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe
from django_filters import ChoiceFilter

from elicitation.studies.labels import words_of
from elicitation.studies.models import Source
from elicitation.studies.rules import FLAGS, SENSES
from hilmix.accounts.models import User
from hilmix.accounts.roles import Action, allowed
from hilmix.core.release_card import labels_call
from hilmix.hub.answers_shown import WORDS, condition_in_words
from hilmix.hub.downloads import file_of
from hilmix.hub.models import Release
from hilmix.hub.release_parts import parts_of
from hilmix.hub.withdrawn import count_withdrawn, n_withdrawn
from hilmix.lists import Filters, SortedBy, TextFilter, listing


class ReleaseFilters(Filters):
    study = TextFilter(field_name="study__slug", label=_("Study"))
    source = ChoiceFilter(choices=Source.choices, label=_("Answers from"), empty_label=_("all"))
    order = SortedBy(
        {
            "oldest": (_("oldest first"), ("created_at",)),
            "study": (_("by study"), ("study__slug", "-number")),
        }
    )


@require_safe
def release_list(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    releases = Release.objects.visible_to(request.user).select_related("study")
    found = listing(request, releases, ReleaseFilters)
    count_withdrawn(found.page.object_list)
    return render(request, "hub/releases.html", {"listing": found})


@require_safe
def release_detail(request: HttpRequest, release_id: int) -> HttpResponse:
    """What the release holds: counts, how was asked, label sets, files with their hashes; and whether somebody
    in it has withdrawn since."""
    assert isinstance(request.user, User)
    release = _visible(request, release_id)
    opened = release.opened
    manifest = opened.manifest
    files = [{"path": p, **facts} for p, facts in manifest["files"].items() if not p.startswith("images/")]
    study = release.study
    context = {
        "release": release,
        "study": study,
        "manifest": manifest,
        "label_sets": opened.label_sets,
        "conditions": opened.table("conditions").to_pylist() if opened.conditions else [],
        "labels_call": labels_call(opened.label_sets),
        "left_out": manifest.get("left_out"),  # not said before format 3
        "rules": [{**rule, **_in_words(rule)} for rule in opened.rules],
        "n_withdrawn": n_withdrawn(release),
        "may_freeze": allowed(request.user, Action.FREEZE_RELEASE, study.pk),
        "files": files,
        "n_images": len(manifest["files"]) - len(files),
        "parts": parts_of(release, request.user),
    }
    return render(request, "hub/release.html", context)


@require_safe
def release_file(request: HttpRequest, release_id: int, path: str) -> FileResponse:
    return file_of(_visible(request, release_id), path)


@require_safe
def release_changes(request: HttpRequest, release_id: int) -> HttpResponse:
    """What differs from the release before, as it was found when the release was made."""
    release = _visible(request, release_id)
    asked = {one.key: condition_in_words(one) for one in release.study.conditions.all()}
    context = {
        "release": release,
        "study": release.study,
        "previous": release.previous,
        "change": release.change,
        "labels": [
            {**moved, "asked": asked.get(moved["condition"], moved["condition"])}
            for moved in release.change.get("labels", [])
        ],
        "tables": [
            {"name": words_of(name), **records} for name, records in release.change.get("tables", {}).items()
        ],
        "left_out": [
            {"why": _why_in_words(why), "before": before, "now": now}
            for why, (before, now) in sorted(release.change.get("left_out", {}).items())
        ],
    }
    return render(request, "hub/release_changes.html", context)


def _why_in_words(why: str) -> str:
    """Why answers are in no label, as `not_counted` of a release has it."""
    left_out, excluded, flags = why.partition("excluded: ")
    if excluded and not left_out:
        meant = (str(FLAGS[flag].meaning) if flag in FLAGS else flag for flag in flags.split(", "))
        return str(WORDS["rule"]) % {"flags": ", ".join(meant)}
    return str(WORDS.get(why, why))


def _in_words(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The flag of a rule and its limit in words; their names where this version of hilmix has no such flag."""
    if (flag := FLAGS.get(rule["flag"])) is None:
        return {"meaning": rule["flag"], "limit": rule["params"]}
    limit = f"{SENSES[flag.sense]} {rule['params'][flag.param]:g}"
    return {"meaning": flag.meaning, "measure": flag.measure, "limit": limit}


def _visible(request: HttpRequest, release_id: int) -> Release:
    assert isinstance(request.user, User)
    visible = Release.objects.visible_to(request.user).select_related("study", "previous__study")
    return get_object_or_404(visible, pk=release_id)
