"""Pages of researchers: image sets and studies. Participants' pages are in flow."""

from __future__ import annotations

from django.urls import path

from elicitation.flow.modes import preview_study
from elicitation.images import pages as images
from elicitation.monitoring import (
    copy_pages,
    participations,
    payment_pages,
    recruitment_pages,
    replay_pages,
    upload_pages,
)
from elicitation.monitoring import pages as monitoring
from elicitation.monitoring.planner_pages import study_planner
from elicitation.monitoring.study_files import study_toml
from elicitation.studies import edit_pages, text_pages, version_pages
from elicitation.studies import pages as studies

urlpatterns = [
    path("imagesets/", images.image_set_list, name="image_sets"),
    path("imagesets/<slug:name>/", images.image_set_detail, name="image_set"),
    path("imagesets/<slug:name>/<int:index>.png", images.parent_image, name="parent_image"),
    path("studies/", studies.study_list, name="studies"),
    path("studies/new/", edit_pages.new_study, name="new_study"),
    path("studies/new/planner/", study_planner, name="study_planner"),
    path("studies/new/import/", upload_pages.import_study, name="import_study"),
    path("studies/<slug:slug>/", studies.study_detail, name="study"),
    path("studies/<slug:slug>/export.toml", study_toml, name="study_toml"),
    path("studies/<slug:slug>/settings/", edit_pages.study_protocol, name="study_protocol"),
    path("studies/<slug:slug>/copy/", copy_pages.copy_study, name="copy_study"),
    path("studies/<slug:slug>/versions/", version_pages.study_versions, name="study_versions"),
    path("studies/<slug:slug>/versions/<int:version>/", version_pages.study_version, name="study_version"),
    path("studies/<slug:slug>/texts/", text_pages.study_texts, name="study_texts"),
    path("studies/<slug:slug>/mixed/<int:mixed_image_id>.png", studies.mixed_image, name="study_mixed_image"),
    path("studies/<slug:slug>/move/<slug:move>/", studies.move_study, name="move_study"),
    path("studies/<slug:slug>/preview/", preview_study, name="preview_study"),
    path("studies/<slug:slug>/members/", studies.members, name="study_members"),
    path("studies/<slug:slug>/monitor/", monitoring.study_monitor, name="study_monitor"),
    path(
        "studies/<slug:slug>/participations/",
        participations.study_participations,
        name="study_participations",
    ),
    path(
        "studies/<slug:slug>/participations.csv",
        participations.participations_csv,
        name="study_participations_csv",
    ),
    path(
        "studies/<slug:slug>/participations/<slug:public_id>/",
        participations.study_participation,
        name="study_participation",
    ),
    path(
        "studies/<slug:slug>/participations/<slug:public_id>/judge/",
        participations.judge_participation,
        name="judge_participation",
    ),
    path(
        "studies/<slug:slug>/participations/<slug:public_id>/<int:image_id>.png",
        participations.participation_picture,
        name="study_participation_picture",
    ),
    path("studies/<slug:slug>/recruitment/", recruitment_pages.study_recruitment, name="study_recruitment"),
    path("studies/<slug:slug>/submissions/", payment_pages.study_submissions, name="study_submissions"),
    path("studies/<slug:slug>/bonuses/", payment_pages.study_bonuses, name="study_bonuses"),
    path(
        "studies/<slug:slug>/participations/<slug:public_id>/replay/",
        replay_pages.study_replay,
        name="study_replay",
    ),
    path("studies/<slug:slug>/problems/", monitoring.study_problems, name="study_problems"),
    path(
        "studies/<slug:slug>/problems/<int:report_id>/",
        monitoring.handle_problem,
        name="handle_problem",
    ),
]
