"""All of hilmix, and the baselines that are measured behind the same server and middleware."""

from __future__ import annotations

from django.urls import path

from bench.baselines.bare_view import BareView
from bench.baselines.plain_page import plain_page
from hilmix import urls

urlpatterns = [
    path("bench/responses/", BareView.as_view()),
    path("bench/experiments/<int:experiment_id>/", plain_page),
    *urls.urlpatterns,
]
handler403, handler404, handler500 = urls.handler403, urls.handler404, urls.handler500
