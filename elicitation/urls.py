"""Pages of researchers: image sets and studies. Participants' pages are in flow."""

from __future__ import annotations

from django.urls import path

from elicitation.images import pages as images
from elicitation.studies import pages as studies
from elicitation.studies import text_pages

urlpatterns = [
    path("imagesets/", images.image_set_list, name="image_sets"),
    path("imagesets/<slug:name>/", images.image_set_detail, name="image_set"),
    path("imagesets/<slug:name>/<int:index>.png", images.parent_image, name="parent_image"),
    path("studies/", studies.study_list, name="studies"),
    path("studies/new/", studies.new_study, name="new_study"),
    path("studies/<slug:slug>/", studies.study_detail, name="study"),
    path("studies/<slug:slug>/texts/", text_pages.study_texts, name="study_texts"),
    path("studies/<slug:slug>/mixed/<int:mixed_image_id>.png", studies.mixed_image, name="study_mixed_image"),
    path("studies/<slug:slug>/move/<slug:move>/", studies.move_study, name="move_study"),
    path("studies/<slug:slug>/members/", studies.members, name="study_members"),
]
