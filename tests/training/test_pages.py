"""Pages and API of experiments: who sees what, what the form refuses, what a report shows."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIRequestFactory, force_authenticate

from elicitation.trials.models import Response
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from hilmix.jobs.runner import run_in_foreground
from tests.training.conftest import quick
from tests.training.doing import run_experiment
from training.experiments.api import ExperimentList
from training.experiments.config import parse_config
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.models import Run
from training.runs.services import add_seeds, launch_experiment

FORM = {
    "name": "from the form",
    "release": "small@1.0.0",
    "arms-TOTAL_FORMS": "3",
    "arms-INITIAL_FORMS": "0",
    "arms-0-policy": "mixup",
    "arms-1-policy": "human_lambda",
    "contrasts-TOTAL_FORMS": "1",
    "contrasts-INITIAL_FORMS": "0",
    "validation": "0",
    "schedule": "cosine",
    "momentum": "0.9",
    "rotation": "0",
    "blur": "0",
    "noise": "0",
    "brightness": "0",
    "contrast": "0",
    "seeds": "0, 1",
    "net": "resnet20",
    "epochs": "1",
    "batch_size": "256",
    "lr": "0.1",
    "weight_decay": "0.0005",
    "warmup_epochs": "1",
    "crop": "1",
    "precision": "fp32",
    "train_on": "train",
    "evaluate_on": "test",
}


@pytest.fixture
def experiment(config):
    return create_experiment(config=config, actor=OPERATOR)


@pytest.fixture
def reported(experiment):
    run_experiment(Progress(), experiment.pk)
    return Experiment.objects.get(pk=experiment.pk)


def test_an_admin_launches_an_experiment_with_the_form(client, admin, release):
    client.force_login(admin)
    page = client.get(reverse("new_experiment"), {"release": "small@1.0.0"})
    assert b'value="small@1.0.0" selected' in page.content
    reply = client.post(reverse("new_experiment"), FORM)
    experiment = Experiment.objects.get()
    assert reply["Location"] == experiment.get_absolute_url()
    assert experiment.created_by == admin
    assert experiment.config["seeds"] == [0, 1]
    assert Job.objects.get().state == "queued"
    page = client.get(reply["Location"]).content.decode()
    assert "0 of 4 runs are finished" in page
    assert "Cancel the training" in page
    assert "No worker is running" in page


def test_the_form_names_the_condition_where_there_are_several(client, admin, asked_in_two_ways):
    client.force_login(admin)
    form = {**FORM, "release": "twice@1.0.0"}
    assert "under 2 conditions" in client.post(reverse("new_experiment"), form).text
    second = asked_in_two_ways.opened.conditions[1]
    client.post(reverse("new_experiment"), {**form, "arms-0-condition": second, "arms-1-condition": second})
    assert [arm.params["condition"] for arm in Experiment.objects.get().arms.all()] == [None, second]


def test_an_experiment_says_that_somebody_took_their_answers_back(client, admin, experiment, release):
    client.force_login(admin)
    assert b"Contains withdrawn data" not in client.get(experiment.get_absolute_url()).content
    gone = release.study.participations.first()
    Response.objects.filter(trial__participation=gone).delete()
    release.study.participations.filter(pk=gone.pk).update(state="withdrawn", withdrawn_at=timezone.now())
    page = client.get(experiment.get_absolute_url()).text
    assert "Contains withdrawn data: 1 participant of this release" in page


def test_the_same_form_sent_twice_is_one_experiment_and_one_job(client, admin, release):
    client.force_login(admin)
    for _ in range(2):
        client.post(reverse("new_experiment"), FORM)
    assert Experiment.objects.count() == Job.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("seeds", "0, 0", "twice"),
        ("seeds", "zero", "whole numbers"),
        ("epochs", "0", "from 1 to 1000"),
        ("crop", "9", "too much for images of 8 pixels"),
        ("evaluate_on", "validation", "has no split"),
        ("lr", "-1", "above 0"),
        ("validation", "many", "has no split"),
        ("holdout_mixes", "0.9", "at most 0.5"),
        ("tune_lr", "0.1, fast", "above 0"),
    ],
)
def test_what_the_form_refuses_is_said_beside_the_field(client, admin, release, field, value, words):
    client.force_login(admin)
    reply = client.post(reverse("new_experiment"), {**FORM, field: value})
    assert reply.status_code == 400
    assert any(words in text for text in reply.context["form"].errors[field])
    assert words in reply.content.decode()
    assert not Experiment.objects.exists()


def test_a_form_without_any_release_says_where_to_get_one(client, admin):
    client.force_login(admin)
    assert b"There is no release to learn from yet" in client.get(reverse("new_experiment")).content


def test_a_researcher_reads_reports_of_own_studies_but_launches_nothing(client, researcher, reported):
    client.force_login(researcher)
    assert client.get(reverse("experiments")).status_code == 200
    assert client.get(reported.get_absolute_url()).status_code == 200
    assert client.get(reverse("new_experiment")).status_code == 403
    assert client.post(reverse("new_experiment"), FORM).status_code == 403
    assert client.post(reverse("experiment_launch", args=[reported.pk])).status_code == 403


@pytest.mark.parametrize(
    "name", ["experiment", "experiment_report_json", "experiment_report_markdown", "api_experiment"]
)
def test_somebody_elses_experiment_is_not_there(client, reported, name):
    stranger = User.objects.create_user("stranger", kind=User.Kind.RESEARCHER)
    client.force_login(stranger)
    assert client.get(reverse(name, args=[reported.pk])).status_code in {401, 403, 404}
    assert reported.name not in client.get(reverse("experiments")).content.decode()


def test_a_researcher_sees_how_far_it_is_without_another_persons_job(client, researcher, experiment, admin):
    launch_experiment(experiment=experiment, actor=admin)
    client.force_login(researcher)
    page = client.get(experiment.get_absolute_url()).content.decode()
    assert "queued" in page
    assert "Cancel the training" not in page
    assert "data-job=" not in page


def test_a_report_shows_scores_watermark_checks_and_provenance(client, admin, reported):
    client.force_login(admin)
    page = client.get(reported.get_absolute_url()).content.decode()
    for expected in (
        'class="watermark"', "Too few seeds for a verdict: 1", "gives no verdict", "No verdict: the answers were",
        "0 of 539 evaluation images are parents", "all arms of a seed saw the same batches", "small@1.0.0",
        "Precision", 'id="figures"',
    ):  # fmt: skip
        assert expected in page
    assert "style=" not in page
    part = client.get(reverse("report_part", args=[reported.pk, "metrics"])).text
    assert all(expected in part for expected in ('class="watermark"', "Accuracy ↑", "ECE ↓", 'id="figures"'))


def test_a_report_is_written_anew_by_a_job_and_not_twice_at_once(client, admin, researcher, reported):
    address = reverse("report_renew", args=[reported.pk])
    client.force_login(researcher)
    assert client.post(address).status_code == 403
    client.force_login(admin)
    assert "Write the report anew" in client.get(reported.get_absolute_url()).text
    before = reported.report
    content = before.content
    before.content = {key: value for key, value in content.items() if key != "costs"}
    before.save(update_fields=["content"])
    assert "is being written anew" in client.post(address, follow=True).text
    assert "This report is being written already." in client.post(address, follow=True).text
    job = Job.objects.get(kind="renew_report")
    run_in_foreground(job, Progress())
    report = Experiment.objects.get(pk=reported.pk).report
    assert report.created_at > before.created_at
    assert report.content == content
    assert "is being written anew" in client.post(address, follow=True).text
    assert AuditEvent.objects.filter(action="experiment.report_renewed").count() == 2


def test_there_is_nothing_to_write_anew_before_all_runs_are_in_a_report(client, admin, experiment):
    client.force_login(admin)
    page = client.post(reverse("report_renew", args=[experiment.pk]), follow=True).text
    assert "There is no report of all runs yet" in page
    assert not Job.objects.filter(kind="renew_report").exists()


def test_what_is_folded_is_a_page_of_its_own_and_the_report_stays_small(client, admin, reported):
    client.force_login(admin)
    with CaptureQueriesContext(connection) as queries:
        page = client.get(reported.get_absolute_url()).text
    assert len(queries) < 10
    assert len(page) < 100_000
    assert "There are no validation figures to choose an arm by" in page
    parts = re.findall(r'data-part="([^"]+)"', page)
    assert [address.split("/")[-2] for address in parts[:2]] == ["metrics", "calibration"]
    assert f'data-part="{parts[0]}" open' in page
    assert f'data-part="{parts[1]}" data-wide' in page
    for address in parts:
        with CaptureQueriesContext(connection) as queries:
            assert 'id="part"' in client.get(address).text
        assert len(queries) < 10, address
    assert client.get(reverse("report_part", args=[reported.pk, "nothing"])).status_code == 404
    client.force_login(User.objects.create_user("stranger", kind=User.Kind.RESEARCHER))
    assert client.get(parts[0]).status_code == 404


def test_the_report_is_there_as_json_and_markdown_once_it_is_written(client, admin, experiment):
    client.force_login(admin)
    addresses = [reverse(f"experiment_report_{kind}", args=[experiment.pk]) for kind in ("json", "markdown")]
    assert [client.get(address).status_code for address in addresses] == [404, 404]
    run_experiment(Progress(), experiment.pk)
    assert client.get(addresses[0]).json()["format"] == "hilmix-report/2"
    assert client.get(addresses[1]).content.decode().startswith("# quick")


@pytest.mark.parametrize(
    ("change", "row", "field", "words"),
    [
        ({"arms-1-policy": "humanlambda"}, 1, "policy", "did you mean"),
        ({"arms-0-people": "0"}, 0, "people", "at least 1"),
        ({"arms-0-start_from": "nobody"}, 0, "start_from", "no arm of this experiment"),
        ({"arms-1-augment": "flip"}, 1, "augment", "write it as"),
        ({"arms-1-augment": "flip = true, spin = 3"}, 1, "augment", "s not known here"),
        (
            {"arms-0-fly_method": "cutmix", "arms-0-fly_labels": "population_curve"},
            0,
            "fly_method",
            "side by side",
        ),
        ({"arms-1-fly_alpha": "0.4"}, 1, "fly_method", "Say how they are mixed"),
        ({"arms-1-mixed_share": "3"}, 1, "mixed_share", "between 0 and 1"),
    ],
)
def test_what_is_refused_of_an_arm_is_said_in_its_row(client, admin, release, change, row, field, words):
    client.force_login(admin)
    reply = client.post(reverse("new_experiment"), {**FORM, **change})
    assert reply.status_code == 400
    assert any(words in text for text in reply.context["form"].arms[row].errors[field])
    assert words in reply.text


def test_the_form_takes_all_that_a_configuration_says(client, admin, release):
    client.force_login(admin)
    rich = {
        **FORM,
        "contrasts-0-arm": "several", "contrasts-0-against": "mixup", "contrasts-0-about": "answers",
        "arms-1-name": "several", "arms-1-answers_per_image": "1", "arms-1-augment": "flip = true, noise = 0.1",
        "arms-2-name": "own mixes", "arms-2-fly_method": "mixup", "arms-2-fly_share": "0.5", "arms-2-seeds": "1",
        "robustness": ["corruptions"], "exclude": ["diverged"], "validation": "50", "primary": "log_loss",
        "schedule": "steps", "milestones": "0.5 0.75", "ema": "0.9", "threads": "1", "tune_lr": "0.05, 0.1",
    }  # fmt: skip
    reply = client.post(reverse("new_experiment"), rich)
    assert reply.status_code == 302, reply.context["form"].errors
    config = Experiment.objects.get().config
    assert config["contrasts"] == [{"arm": "several", "against": "mixup", "about": "answers"}]
    mixup, several, own = config["arms"]
    assert (mixup["name"], several["answers_per_image"], own["seeds"]) == ("mixup", 1, [1])
    assert several["augment"] == {"flip": True, "noise": 0.1}
    assert own["on_the_fly"]["share"] == 0.5
    assert (config["validation"], config["primary"], config["exclude"]) == (50, "log_loss", ["diverged"])
    assert (config["train"]["schedule"], config["train"]["milestones"]) == ("steps", [0.5, 0.75])
    assert config["tune"] == {"lr": [0.05, 0.1]}
    page = client.get(Experiment.objects.get().get_absolute_url()).text
    for words in (
        "several − mixup (answers)",
        "1 answers an image",
        "lr 0.05, 0.1",
        "mixes made while training",
    ):
        assert words in page


def test_more_rows_are_shown_without_anything_being_judged(client, admin, release):
    client.force_login(admin)
    reply = client.post(reverse("new_experiment"), {**FORM, "seeds": "zero", "do": "more"})
    assert reply.status_code == 200
    assert (len(reply.context["form"].arms.forms), len(reply.context["form"].contrasts.forms)) == (5, 3)
    assert 'value="human_lambda"' in reply.text
    assert not Experiment.objects.exists()


def test_the_form_offers_what_the_pictures_and_the_release_allow(client, admin, release):
    client.force_login(admin)
    form = client.get(reverse("new_experiment")).context["form"]
    assert (form["crop"].value(), form["flip"].value()) == (1, False)
    nets = [name for name, _words in form.fields["net"].choices]
    assert "resnet20" in nets
    assert "vgg11" not in nets  # from 32 pixels a side on
    names = [name for name, _meaning in form.policies]
    assert {"mixup", "human_lambda_shrunk", "population_curve"} <= set(names)
    assert "votes" not in names  # nobody was asked about classes


def test_looking_at_another_release_keeps_what_was_typed(client, admin, release):
    client.force_login(admin)
    reply = client.post(
        reverse("new_experiment"), {**FORM, "name": "typed", "seeds": "zero", "do": "release"}
    )
    assert (reply.status_code, len(reply.context["form"].arms.forms)) == (200, 3)
    assert 'value="typed"' in reply.text
    assert reply.text.count("formnovalidate") == 2


def test_a_number_of_rows_that_is_none_is_refused_in_words(client, admin, release):
    client.force_login(admin)
    reply = client.post(reverse("new_experiment"), {**FORM, "arms-TOTAL_FORMS": "many", "do": "more"})
    assert reply.status_code == 200
    assert not Experiment.objects.exists()


def test_an_arm_without_a_name_is_refused_in_the_row_where_it_stands(client, admin, release):
    client.force_login(admin)
    form = {**FORM, "arms-1-policy": "", "arms-2-answers_per_image": "0"}
    rows = client.post(reverse("new_experiment"), form).context["form"].arms
    (said,) = rows[2].errors["answers_per_image"]
    assert "at least 1" in said
    assert not any(row.errors for row in rows[:2])


def test_an_arm_called_hard_is_an_arm(client, admin, release):
    client.force_login(admin)
    client.post(reverse("new_experiment"), {**FORM, "arms-2-name": "hard"})
    assert [one["name"] for one in Experiment.objects.get().config["arms"]] == [
        "mixup",
        "human_lambda",
        "hard",
    ]


def test_the_number_of_queries_does_not_grow_with_the_experiments(client, admin, release):
    def asked(number):
        config = parse_config(quick(name=f"number {number}"))
        launch_experiment(experiment=create_experiment(config=config, actor=OPERATOR), actor=OPERATOR)
        Job.objects.update(state="done")
        if not number % 2:  # all runs done, no report yet: its state is that of the job that writes it
            Run.objects.filter(arm__experiment__name=config.name).update(finished_at=timezone.now())
        counts = []
        for name in ("experiments", "home"):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(reverse(name)).status_code == 200
            counts.append(len(queries))
        request = APIRequestFactory().get("/")
        force_authenticate(request, admin)
        with CaptureQueriesContext(connection) as queries:
            assert len(ExperimentList.as_view()(request).data["results"]) == Experiment.objects.count()
        return [*counts, len(queries)]

    client.force_login(admin)
    asked(0)
    first = asked(1)
    assert asked(2) == first
    assert asked(4) == asked(6) == first


def test_a_release_that_is_gone_is_said(client, admin, release):
    client.force_login(admin)
    reply = client.post(reverse("new_experiment"), {**FORM, "release": "other@1.0.0"})
    assert reply.status_code == 400
    assert "There is no release other@1.0.0 any more" in reply.text
    assert not Experiment.objects.exists()


def test_the_figures_of_a_report_are_there_as_files_for_who_may_see_it(client, admin, reported):
    addresses = {
        extension: reverse("experiment_figure", args=[reported.pk, "train_loss", extension])
        for extension in ("csv", "png", "pdf")
    }
    client.force_login(admin)
    assert addresses["csv"] in client.get(reverse("report_part", args=[reported.pk, "curves"])).text
    table = client.get(addresses["csv"]).text
    assert table.startswith("# Training loss\n")
    assert "Simulated participants" in table
    assert "mixup, floor" in table
    assert client.get(addresses["png"]).content.startswith(b"\x89PNG")
    assert client.get(addresses["pdf"]).content.startswith(b"%PDF")
    assert client.get(reverse("experiment_figure", args=[reported.pk, "none", "csv"])).status_code == 404
    client.force_login(User.objects.create_user("stranger", kind=User.Kind.RESEARCHER))
    assert client.get(addresses["csv"]).status_code == 404


WRITTEN = "markdown", "json"


def test_further_seeds_are_trained_from_the_page_and_said_in_the_report(client, admin, reported):
    client.force_login(admin)
    address = reverse("experiment_seeds", args=[reported.pk])
    reply = client.post(address, {"seeds": "one"}, follow=True)
    assert "Seeds are whole numbers" in reply.text
    assert "0 is trained already" in client.post(address, {"seeds": "0"}, follow=True).text
    page = client.post(address, {"seeds": "5"}, follow=True).text
    assert "2 of 4 runs are finished" in page
    assert "Cancel the training" in page
    assert 'id="verdict"' in page, "the report before stays"
    said = "This report is without 2 runs that were added since it was written, 0 of them finished."
    written = [
        page,
        *(client.get(reverse(f"experiment_report_{kind}", args=[reported.pk])).text for kind in WRITTEN),
    ]
    assert all(f"{said} It is being renewed" in text for text in written)
    page = client.post(reverse("experiment_cancel", args=[reported.pk]), follow=True).text
    written = [
        page,
        *(client.get(reverse(f"experiment_report_{kind}", args=[reported.pk])).text for kind in WRITTEN),
    ]
    assert all(f"{said} Nothing renews it now" in text for text in written)
    assert "is being renewed" not in page
    assert "Try again" in page
    client.post(reverse("experiment_launch", args=[reported.pk]))
    run_experiment(Progress(), reported.pk)
    page = client.get(reported.get_absolute_url()).text
    assert "being renewed" not in page
    assert "runs are finished" not in page
    report = Experiment.objects.get(pk=reported.pk).report
    assert report.content["seeds"] == [0, 5]
    assert any("Added after the first report: mixup, seed 5" in note for note in report.content["notes"])
    assert any("had been there to see before" in note for note in report.content["notes"])
    assert ["Seeds", "0; added: 5"] in report.content["provenance"]


def test_seeds_that_are_added_before_there_is_a_report_are_not_said_to_come_after_one(experiment):
    add_seeds(experiment=experiment, seeds=[5], actor=OPERATOR)
    run_experiment(Progress(), experiment.pk)
    notes = " ".join(Experiment.objects.get(pk=experiment.pk).report.content["notes"])
    assert "Added to what was planned, before there was a report: mixup, seed 5" in notes
    assert "after the first report" not in notes


def test_an_admin_cancels_all_of_an_experiment(client, admin, experiment):
    client.force_login(admin)
    client.post(reverse("experiment_launch", args=[experiment.pk]))
    assert "Cancel the training" in client.get(experiment.get_absolute_url()).text
    page = client.post(reverse("experiment_cancel", args=[experiment.pk]), follow=True).text
    assert Job.objects.get().state == "cancelled"
    assert "Try again" in page
    assert (
        "nothing to cancel"
        in client.post(reverse("experiment_cancel", args=[experiment.pk]), follow=True).text
    )
