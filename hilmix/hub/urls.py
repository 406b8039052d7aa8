from __future__ import annotations

from django.urls import path

from hilmix.hub import pages, simulation_pages

urlpatterns = [
    path("", pages.release_list, name="releases"),
    path("freeze/<slug:slug>/", pages.freeze, name="freeze_release"),
    path("<int:release_id>/", pages.release_detail, name="release"),
    path("<int:release_id>/files/<path:path>", pages.release_file, name="release_file"),
]

# Among the pages of a study.
study_urls = [
    path("studies/<slug:slug>/simulations/", simulation_pages.study_simulations, name="study_simulations"),
    path("studies/<slug:slug>/simulations/start/", simulation_pages.simulate_study, name="simulate_study"),
    path(
        "studies/<slug:slug>/simulations/<int:simulation_id>/",
        simulation_pages.simulation_detail,
        name="simulation",
    ),
]
