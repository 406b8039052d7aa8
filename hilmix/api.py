"""The API for programs: what each app offers, and its documentation. Version 1 lives under /api/v1/."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from elicitation.flow.urls import api_urls as participation
from elicitation.studies.api import api_urls as studies
from hilmix.api_docs import docs
from hilmix.hub.api import api_urls as releases
from training.experiments.api import api_urls as experiments

urlpatterns = [*participation, *studies, *releases, *experiments]

documentation = [
    path("schema/", login_not_required(SpectacularAPIView.as_view()), name="schema"),
    path("docs/", docs, name="api_docs"),
]
