"""The API for programs: what each app offers, and its documentation. Version 1 lives under /api/v1/."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.urls import URLPattern, path
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page
from django.views.decorators.vary import vary_on_headers
from drf_spectacular.views import SpectacularAPIView

from elicitation.flow.urls import api_urls as participation
from elicitation.images.api import api_urls as image_sets
from elicitation.monitoring.api import api_urls as participations
from elicitation.monitoring.monitor_api import api_urls as monitor
from elicitation.studies.api import api_urls as studies
from elicitation.studies.members_api import api_urls as members
from hilmix.api_docs import docs
from hilmix.hub.answers_api import api_urls as answers
from hilmix.hub.api import api_urls as releases
from hilmix.hub.changes_api import api_urls as changes
from hilmix.hub.lineage_api import api_urls as lineage
from hilmix.hub.start_api import api_urls as starts
from hilmix.hub.study_api import api_urls as of_studies
from hilmix.hub.uploads_api import api_urls as imports
from hilmix.jobs.api import api_urls as jobs
from training.choices.api import api_urls as choices
from training.experiments.api import api_urls as experiments
from training.explanations.api import api_urls as explanations
from training.followups.api import api_urls as follow_ups
from training.reports.run.api import api_urls as runs


def revalidated(pattern: URLPattern) -> URLPattern:
    """The same call, with an ETag on what it gives: whoever has it already is sent nothing but 304."""
    whose = vary_on_headers("Authorization")(pattern.callback)
    pattern.callback = conditional_page(cache_control(private=True, no_cache=True)(whose))
    return pattern


programs = [
    *image_sets,
    *studies,
    *members,
    *answers,
    *participations,
    *monitor,
    *of_studies,
    *starts,
    *releases,
    *changes,
    *imports,
    *experiments,
    *runs,
    *explanations,
    *choices,
    *follow_ups,
    *lineage,
    *jobs,
]
urlpatterns = [*participation, *map(revalidated, programs)]

documentation = [
    path("schema/", login_not_required(SpectacularAPIView.as_view()), name="schema"),
    path("docs/", docs, name="api_docs"),
]
