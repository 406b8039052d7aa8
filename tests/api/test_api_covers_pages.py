"""Whatever a researcher's page shows, a program can read, or docs/api.md says why it is left to the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilmix.accounts.roles import Action
from tests.security.routes import ROUTES, Open

OF_OTHERS = (Open.PUBLIC, Open.PARTICIPATING, Open.THIS_PARTICIPATION, Action.SIGN_IN, Action.TAKE_PART)
SHOWN = {
    name
    for name, route in ROUTES.items()
    if "GET" in route.verbs and route.needs not in OF_OTHERS and not name.startswith("api_")
} | {"home"}

IN_THE_API = {
    "home": ("api_studies", "api_releases", "api_experiments", "api_jobs"),
    "image_sets": ("api_image_sets",),
    "image_set": ("api_image_set",),
    "parent_image": ("api_parent_image",),
    "studies": ("api_studies",),
    "study": ("api_study", "api_monitor", "api_members"),
    "study_versions": ("api_protocols",),
    "study_version": ("api_protocol",),
    "study_toml": ("api_study_protocol",),
    "study_mixed_image": ("api_mixed_image_picture",),
    "study_mixed_images": ("api_mixed_images",),
    "mixed_image": ("api_mixed_image", "api_mixed_image_picture"),
    "study_monitor": ("api_monitor",),
    "study_participations": ("api_participations",),
    "study_participations_csv": ("api_participations",),
    "study_participation": ("api_participation", "api_responses"),
    "study_participation_picture": ("api_mixed_image_picture", "api_parent_image"),
    "study_problems": ("api_problems",),
    "study_responses": ("api_responses",),
    "study_exports": ("api_exports", "api_start_export"),
    "export_file": ("api_export_file",),
    "study_simulations": ("api_simulations", "api_simulate"),
    "simulation": ("api_simulations",),
    "study_analysis": ("api_analyses", "api_analysis", "api_analyse"),
    "analysis_figure": ("api_analysis",),
    "study_label_scores": ("api_analyses", "api_analysis", "api_score_labels"),
    "lineage": ("api_lineage",),
    "jobs": ("api_jobs", "api_queues"),
    "job": ("api_job", "api_job_cancel", "api_job_reorder"),
    "job_state": ("api_job",),
    "uploads": ("api_imports",),
    "upload": ("api_import",),
    "upload_report": ("api_import",),
    "releases": ("api_releases",),
    "release": ("api_release",),
    "release_changes": ("api_release_changes",),
    "release_file": ("api_release_file",),
    "freeze_release": ("api_freeze",),
    "experiments": ("api_experiments",),
    "experiment": ("api_experiment",),
    "report_part": ("api_experiment",),
    "experiment_report_json": ("api_experiment",),
    "experiment_report_markdown": ("api_experiment",),
    "experiment_figure": ("api_experiment",),
    "run": ("api_run",),
    "run_live": ("api_run",),
    "run_images": ("api_run", "api_parent_image"),
    "run_figure": ("api_run",),
    "experiment_over_time": ("api_experiment",),
    "diagnosis": ("api_experiment",),
    "robustness": ("api_experiment",),
    "robustness_image": ("api_parent_image",),
    "mixing": ("api_experiment", "api_follow_ups"),
    "follow_up": ("api_follow_up",),
    "experiment_choice": ("api_experiment", "api_choice"),
    "model_card": ("api_model_card",),
    "model_card_file": ("api_model_card",),
    "run_weights": ("api_run_weights",),
    "experiment_explanations": ("api_run_explanation",),
    "run_explanations": ("api_run_explanation",),
    "run_explanation_picture": ("api_run_explanation",),
    "run_explanation_figure": ("api_run_explanation",),
    "experiment_paper": ("api_experiment",),
    "experiment_report_html": ("api_experiment",),
    "experiment_report_pdf": ("api_experiment",),
    "experiment_reproduce": ("api_experiment",),
}
# By the words with which docs/api.md begins to say why.
LEFT_TO_PAGES = {
    "Accounts.": ("account", "people", "audit_trail"),
    "Who participants are.": ("study_recruitment", "study_submissions", "study_bonuses"),
    "A participation as it went.": ("study_replay",),
    "Writing a study.": (
        *("new_study", "import_study", "copy_study", "study_protocol", "study_texts", "study_planner"),
    ),
    "Rows as they were published.": ("source_rows",),
    "Bringing files.": ("upload_new",),
    "Planning an experiment.": ("new_experiment",),
}


def test_every_page_of_a_researcher_has_its_calls_or_a_reason_why_it_has_none():
    left = [name for names in LEFT_TO_PAGES.values() for name in names]
    assert sorted([*IN_THE_API, *left]) == sorted(SHOWN)


@pytest.mark.parametrize("reason", LEFT_TO_PAGES)
def test_what_is_left_to_pages_is_said_in_the_documentation(reason):
    assert f"- **{reason}** " in Path("docs/api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", IN_THE_API)
@pytest.mark.parametrize("who", ["viewer", "editor", "owner", "admin"])
def test_whoever_may_see_a_page_may_read_the_same_by_a_program(world, page, who):
    caller = world[who]
    if not ROUTES[page].allows(caller):
        return
    calls = [name for name in IN_THE_API[page] if "GET" in ROUTES[name].verbs]
    for name in calls or IN_THE_API[page]:
        if name != "api_members":  # which the page, too, shows to owners only
            assert ROUTES[name].allows(caller), name
