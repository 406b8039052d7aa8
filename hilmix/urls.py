"""Every address. Pages need a signed-in person unless a view says otherwise by name (`login_not_required`)."""

from __future__ import annotations

from django.urls import include, path

from elicitation.flow.urls import page_urls
from hilmix import api, home
from hilmix.hub.urls import study_urls, upload_urls

urlpatterns = [
    path("", home.home, name="home"),
    path("healthz", home.healthz, name="healthz"),
    path("readyz", home.readyz, name="readyz"),
    *page_urls,
    path("", include("hilmix.accounts.urls")),
    path("", include("elicitation.urls")),
    *study_urls,
    *upload_urls,
    path("jobs/", include("hilmix.jobs.urls")),
    path("releases/", include("hilmix.hub.urls")),
    path("experiments/", include("training.urls")),
    path("api/v1/", include(api.urlpatterns)),
    path("api/", include(api.documentation)),
]
handler403 = "hilmix.errors.forbidden"
handler404 = "hilmix.errors.not_found"
handler500 = "hilmix.errors.server_error"
