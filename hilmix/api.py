"""The API for programs: what each app offers, and its documentation. Version 1 lives under /api/v1/."""

from __future__ import annotations

from csp.decorators import csp_replace
from django.contrib.auth.decorators import login_not_required
from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from elicitation.flow.urls import api_urls as participation
from elicitation.studies.api import api_urls as studies
from hilmix.hub.api import api_urls as releases
from hilmix.security import STYLE_ATTRIBUTES
from training.experiments.api import api_urls as experiments

urlpatterns = [*participation, *studies, *releases, *experiments]

# A page has nothing to say to OPTIONS; the REST framework would look for a template to say it with.
docs = SpectacularSwaggerSplitView.as_view(url_name="schema", metadata_class=None)

documentation = [
    path("schema/", login_not_required(SpectacularAPIView.as_view()), name="schema"),
    path("docs/", login_not_required(csp_replace(STYLE_ATTRIBUTES)(docs)), name="api_docs"),
]
