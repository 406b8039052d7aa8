from __future__ import annotations

from django.urls import path

from hilmix.hub import (
    analysis_pages,
    export_pages,
    freeze_pages,
    lineage_pages,
    mixed_image_pages,
    origin,
    pages,
    response_pages,
    score_pages,
    simulation_pages,
    upload_pages,
)

urlpatterns = [
    path("", pages.release_list, name="releases"),
    path("freeze/<slug:slug>/", freeze_pages.freeze, name="freeze_release"),
    path("<int:release_id>/", pages.release_detail, name="release"),
    path("<int:release_id>/changes/", pages.release_changes, name="release_changes"),
    path("<int:release_id>/files/<path:path>", pages.release_file, name="release_file"),
]

upload_urls = [
    path("imports/", upload_pages.upload_list, name="uploads"),
    path("imports/new/<slug:kind>/", upload_pages.upload_new, name="upload_new"),
    path("imports/<uuid:upload_id>/", upload_pages.upload_detail, name="upload"),
    path("imports/<uuid:upload_id>/report.json", upload_pages.upload_report, name="upload_report"),
    path("imports/<uuid:upload_id>/import/", upload_pages.upload_import, name="upload_import"),
]

# Among the pages of a study.
study_urls = [
    path(
        "studies/<slug:slug>/mixed-images/", mixed_image_pages.study_mixed_images, name="study_mixed_images"
    ),
    path(
        "studies/<slug:slug>/mixed-images/<int:mixed_image_id>/",
        mixed_image_pages.mixed_image,
        name="mixed_image",
    ),
    path("studies/<slug:slug>/source-rows.csv", origin.source_rows, name="source_rows"),
    path("studies/<slug:slug>/exports/", export_pages.study_exports, name="study_exports"),
    path("exports/<uuid:export_id>/", export_pages.export_file, name="export_file"),
    path("studies/<slug:slug>/responses/", response_pages.study_responses, name="study_responses"),
    path("lineage/<slug:kind>/<str:node>/", lineage_pages.lineage, name="lineage"),
    path("studies/<slug:slug>/label-scores/", score_pages.study_label_scores, name="study_label_scores"),
    path(
        "studies/<slug:slug>/label-scores/start/", score_pages.score_study_labels, name="score_study_labels"
    ),
    path("studies/<slug:slug>/simulations/", simulation_pages.study_simulations, name="study_simulations"),
    path("studies/<slug:slug>/simulations/start/", simulation_pages.simulate_study, name="simulate_study"),
    path(
        "studies/<slug:slug>/simulations/<int:simulation_id>/",
        simulation_pages.simulation_detail,
        name="simulation",
    ),
    path("studies/<slug:slug>/analysis/", analysis_pages.study_analysis, name="study_analysis"),
    path("studies/<slug:slug>/analysis/start/", analysis_pages.analyse_study, name="analyse_study"),
    path(
        "analyses/<int:analysis_id>/figures/<slug:key>.<str:extension>",
        analysis_pages.analysis_figure,
        name="analysis_figure",
    ),
]
