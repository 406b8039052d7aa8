from __future__ import annotations

from django.urls import path

from hilmix.hub import pages

urlpatterns = [
    path("", pages.release_list, name="releases"),
    path("freeze/<slug:slug>/", pages.freeze, name="freeze_release"),
    path("<int:release_id>/", pages.release_detail, name="release"),
    path("<int:release_id>/files/<path:path>", pages.release_file, name="release_file"),
]
