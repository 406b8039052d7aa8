"""Addresses of the experiment pages, under /experiments/."""

from __future__ import annotations

from django.urls import path

from training.experiments import pages

urlpatterns = [
    path("", pages.experiment_list, name="experiments"),
    path("new/", pages.new_experiment, name="new_experiment"),
    path("<int:experiment_id>/", pages.experiment_detail, name="experiment"),
    path("<int:experiment_id>/launch/", pages.experiment_launch, name="experiment_launch"),
    path("<int:experiment_id>/cancel/", pages.experiment_cancel, name="experiment_cancel"),
    path("<int:experiment_id>/seeds/", pages.experiment_seeds, name="experiment_seeds"),
    path("<int:experiment_id>/report.json", pages.report_json, name="experiment_report_json"),
    path("<int:experiment_id>/report.md", pages.report_markdown, name="experiment_report_markdown"),
    path(
        "<int:experiment_id>/figures/<slug:key>.<str:extension>",
        pages.report_figure,
        name="experiment_figure",
    ),
]
