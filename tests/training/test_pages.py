"""Pages and API of experiments: who sees what, what the form refuses, what a report shows."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from elicitation.trials.models import Response
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from training.experiments.models import Experiment
from training.experiments.services import create_experiment, launch_experiment
from training.runs.work import run_experiment

FORM = {
    "name": "from the form",
    "release": "small@1.0.0",
    "policies": ["mixup", "human_lambda"],
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
    client.post(reverse("new_experiment"), {**form, "condition": second})
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
        ("release", "other@1.0.0", "not one of the available choices"),
        ("policies", [], "required"),
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
        'class="watermark"', "Too few seeds for a verdict: 1", "gives no verdict", "Accuracy ↑", "ECE floor",
        "0 of 539 evaluation images are parents", "all arms of a seed saw the same batches", "small@1.0.0",
        "Precision", 'id="figures"',
    ):  # fmt: skip
        assert expected in page
    assert "style=" not in page


def test_the_report_is_there_as_json_and_markdown_once_it_is_written(client, admin, experiment):
    client.force_login(admin)
    addresses = [reverse(f"experiment_report_{kind}", args=[experiment.pk]) for kind in ("json", "markdown")]
    assert [client.get(address).status_code for address in addresses] == [404, 404]
    run_experiment(Progress(), experiment.pk)
    assert client.get(addresses[0]).json()["format"] == "hilmix-report/1"
    assert client.get(addresses[1]).content.decode().startswith("# quick")
