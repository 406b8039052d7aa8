"""The versions of a study's protocol: which there are, what each changed, and everything that one says."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from elicitation.studies.facts import facts_of
from elicitation.studies.labels import text_label
from elicitation.studies.models import Protocol, Source
from elicitation.studies.pages import steering_of, visible_study
from elicitation.studies.protocol import settings_of
from elicitation.studies.texts import Texts, rendered, texts_of
from elicitation.studies.versions import changes_in, versions_of
from elicitation.studies.ways import combinations_of, texts_with, written_levels

AFTER_CONSENT = ("declined", "short_instructions", "break", "debrief", "thanks", "withdrawal")


@require_safe
def study_versions(request: HttpRequest, slug: str) -> HttpResponse:
    """The versions, newest first, each with the live participations under it."""
    study = visible_study(request, slug)
    versions = versions_of(study).order_by("-version")
    context = {"study": study, "versions": versions, **steering_of(request, study)}
    return render(request, "elicitation/study_versions.html", context)


@require_safe
def study_version(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """What a version says, and what it says otherwise than the one before."""
    study = visible_study(request, slug)
    newest = study.protocol
    protocol = get_object_or_404(study.protocols, version=version)
    before, differences = changes_in(protocol)
    settings = settings_of(protocol.content)
    context = {
        "study": study,
        "protocol": protocol,
        "before": before,
        "is_newest": protocol == newest,
        "differences": differences,
        "facts": facts_of(study, settings),
        "rules": settings.rules,
        "texts": [] if study.source == Source.IMPORTED else _texts(texts_of(protocol.content)),
        "levels": _levels(protocol),
        "json": json.dumps(protocol.content, indent=2, ensure_ascii=False, sort_keys=True),
        **steering_of(request, study),
    }
    return render(request, "elicitation/study_version.html", context)


def _texts(texts: Texts) -> list[tuple[str, list[Any]]]:
    """The texts by what they are called, each as pages or lines to show."""
    content = texts.as_content()
    said: list[tuple[str, list[Any]]] = [(text_label("consent"), [rendered(content["consent"])])]
    said += [(text_label("information", name), [text]) for name, text in content["information"].items()]
    said += [(text_label("boxes", box["name"]), [box["text"]]) for box in content["boxes"]]
    said.append((text_label("instructions"), [rendered(page) for page in content["instructions"]]))
    said += [(question["prompt"], _answers(question)) for question in content["comprehension"]]
    said += [(text_label("wording", name), [text]) for name, text in content["wording"].items()]
    said += [(text_label(name), [rendered(content[name])]) for name in AFTER_CONSENT if content[name]]
    said += [(text_label("survey", item["name"]), [item["prompt"]]) for item in content["survey"]]
    return said


def _answers(question: dict[str, Any]) -> list[str]:
    marked = [
        f"✓ {option}" if number == question["correct"] else f"– {option}"
        for number, option in enumerate(question["options"])
    ]
    return marked + ([question["explain"]] if question["explain"] else [])


def _levels(protocol: Protocol) -> list[tuple[str, dict[str, str]]]:
    """Every combination of levels, with what is said at each of its trials."""
    settings = settings_of(protocol.content)
    if not settings.factors:
        return []
    texts = texts_of(protocol.content)
    return [
        (
            written_levels(levels),
            dict(texts_with(texts, settings, levels).wording),
        )
        for levels in combinations_of(settings)
    ]
