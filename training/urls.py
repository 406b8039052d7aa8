"""Addresses of the experiment pages, under /experiments/."""

from __future__ import annotations

from django.urls import path

from training.choices.urls import urlpatterns as choices
from training.experiments import pages
from training.explanations import pages as explanations
from training.followups import pages as follow_ups
from training.reports import pages as report_pages
from training.reports.diagnosis import pages as diagnosis
from training.reports.mixing import pages as mixing
from training.reports.paper import pages as paper
from training.reports.robustness import pages as robustness_pages
from training.reports.run import pages as run
from training.trends import pages as trends

urlpatterns = [
    *choices,
    path("", pages.experiment_list, name="experiments"),
    path("new/", pages.new_experiment, name="new_experiment"),
    path("<int:experiment_id>/", pages.experiment_detail, name="experiment"),
    path("<int:experiment_id>/launch/", pages.experiment_launch, name="experiment_launch"),
    path("<int:experiment_id>/cancel/", pages.experiment_cancel, name="experiment_cancel"),
    path("<int:experiment_id>/renew/", report_pages.report_renew, name="report_renew"),
    path("<int:experiment_id>/parts/<slug:key>/", report_pages.report_part, name="report_part"),
    path("<int:experiment_id>/diagnosis/", diagnosis.diagnosis_page, name="diagnosis"),
    path("<int:experiment_id>/robustness/", robustness_pages.robustness_page, name="robustness"),
    path(
        "<int:experiment_id>/robustness/images/<int:number>/<slug:change>/<int:severity>.png",
        robustness_pages.robustness_image,
        name="robustness_image",
    ),
    path("<int:experiment_id>/over-time/", trends.over_time, name="experiment_over_time"),
    path("<int:experiment_id>/over-time/compare/", trends.compare, name="compare_releases"),
    path("<int:experiment_id>/retrain/", trends.retrain, name="experiment_retrain"),
    path("<int:experiment_id>/mixed/", mixing.mixing_page, name="mixing"),
    path("follow-ups/<int:follow_up_id>/", follow_ups.follow_up_page, name="follow_up"),
    path("follow-ups/<int:follow_up_id>/estimate/", follow_ups.estimate, name="follow_up_estimate"),
    path("<int:experiment_id>/seeds/", pages.experiment_seeds, name="experiment_seeds"),
    path("runs/<int:run_id>/", run.run_page, name="run"),
    path("runs/<int:run_id>/live.json", run.run_live, name="run_live"),
    path("runs/<int:run_id>/images/", run.run_images, name="run_images"),
    path("runs/<int:run_id>/figures/<slug:key>.<str:extension>", run.run_figure, name="run_figure"),
    path("runs/<int:run_id>/cancel/", run.run_cancel, name="run_cancel"),
    path("runs/<int:run_id>/resume/", run.run_resume, name="run_resume"),
    path("runs/<int:run_id>/describe/", run.run_describe, name="run_describe"),
    path("<int:experiment_id>/report.json", pages.report_json, name="experiment_report_json"),
    path("<int:experiment_id>/report.md", pages.report_markdown, name="experiment_report_markdown"),
    path("<int:experiment_id>/paper/", paper.experiment_paper, name="experiment_paper"),
    path("<int:experiment_id>/report.html", paper.report_html, name="experiment_report_html"),
    path("<int:experiment_id>/report.pdf", paper.report_pdf, name="experiment_report_pdf"),
    path("<int:experiment_id>/reproduce.toml", paper.reproduce_toml, name="experiment_reproduce"),
    path("<int:experiment_id>/explanations/", explanations.of_experiment, name="experiment_explanations"),
    path("runs/<int:run_id>/explanations/", explanations.run_explanations, name="run_explanations"),
    path("runs/<int:run_id>/explanations/make/", explanations.explain, name="explain_run"),
    path(
        "runs/<int:run_id>/explanations/<slug:album>/<int:place>.png",
        explanations.picture,
        name="run_explanation_picture",
    ),
    path(
        "runs/<int:run_id>/explanations/figures/<slug:key>.<str:extension>",
        explanations.figure,
        name="run_explanation_figure",
    ),
    path(
        "<int:experiment_id>/figures/<slug:key>.<str:extension>",
        pages.report_figure,
        name="experiment_figure",
    ),
]
