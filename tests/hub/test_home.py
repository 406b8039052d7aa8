"""The home page of the signed-in: what waits for whom, and what it costs to say so."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from elicitation.flow.simulation import simulate_participant
from elicitation.flow.withdrawal import withdraw
from elicitation.participants.services import report_problem
from elicitation.recruiters.services import set_recruitment
from elicitation.studies.models import Source, Study
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.home import RECENT
from hilmix.jobs.models import Job, JobState, Worker
from tests.hub.test_quality_in_releases import take_part
from tests.hub.test_withdrawn import agreed, freeze, report_on

NOTHING = "Nothing waits for you."


@pytest.fixture
def make_study(make_study):
    return partial(make_study, source=Source.PERSON)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def admin(db) -> Client:
    return signed_in(User.objects.create_user("admin", kind=User.Kind.ADMIN))


def member(study: Study, part: str) -> Client:
    person = User.objects.create_user(part)
    Membership.objects.create(user=person, study=study, part=part)
    return signed_in(person)


def steps(client: Client) -> str:
    page = client.get("/").text
    return page.partition("What to do next")[2].partition("</section>")[0]


def test_a_study_is_led_from_its_draft_to_an_experiment(make_study, admin):
    study = make_study()
    Study.objects.filter(pk=study.pk).update(state=Study.State.DRAFT)
    assert "is not open yet" in steps(admin)
    Study.objects.filter(pk=study.pk).update(state=Study.State.OPEN)
    assert NOTHING in steps(admin)
    for _ in range(4):
        agreed(study)
    assert "Every place of “Blends” is filled" in steps(admin)
    assert "has answers and no release" in steps(admin)
    release = freeze(study)
    assert "has answers and no release" not in steps(admin)
    assert f"No model has been trained on {release.name}" in steps(admin)
    report_on(release)
    Study.objects.filter(pk=study.pk).update(state=Study.State.CLOSED)
    assert NOTHING in steps(admin)


def test_answers_that_came_after_the_release_are_mentioned(make_study, admin):
    study = make_study()
    agreed(study)
    report_on(freeze(study))
    assert NOTHING in steps(admin)
    agreed(study)
    assert "has answers that no release holds" in steps(admin)


def test_answers_that_may_not_be_published_wait_for_no_release(make_study, admin):
    study = make_study()
    take_part(study)
    assert NOTHING in steps(admin)
    agreed(study)
    assert "has answers and no release" in steps(admin)


def test_the_public_is_offered_the_studies_with_an_open_link(make_study, client):
    make_study("by-link")
    panel = make_study("by-panel")
    set_recruitment(study=panel, recruiter="prolific", options={}, actor=OPERATOR)
    page = client.get("/").text
    assert reverse("study_entry", args=["by-link"]) in page
    assert reverse("study_entry", args=["by-panel"]) not in page
    set_recruitment(study=panel, recruiter="direct", options={}, actor=OPERATOR)
    assert reverse("study_entry", args=["by-panel"]) in client.get("/").text


def test_an_experiment_on_simulated_answers_is_marked(make_study, admin):
    study = make_study(source=Source.SIMULATED)
    simulate_participant(study=study, seed=1)
    report_on(freeze(study))
    experiments = admin.get("/").text.partition("Experiments</h2>")[2].partition("</section>")[0]
    assert "badge-simulated" in experiments


def test_withdrawn_data_in_the_newest_release_of_a_study_come_first(make_study, admin):
    study = make_study()
    goes, _stays = agreed(study), agreed(study)
    Study.objects.filter(pk=make_study("draft").pk).update(state=Study.State.DRAFT)
    release = freeze(study)
    withdraw(participation=goes)
    first = steps(admin).partition("</li>")[0]
    assert "step-urgent" in first
    assert f"{release.name} contains withdrawn data of 1 participant" in first
    assert reverse("release", args=[release.pk]) in first
    freeze(study)
    assert "contains withdrawn data" not in steps(admin)


def test_nobody_is_told_to_do_what_their_part_does_not_allow(make_study, admin):
    study = make_study()
    person = agreed(study)
    report_problem(study=study, participation=person, page="trials", text="It is grey.")
    owner, editor, viewer = (member(study, part) for part in ("owner", "editor", "viewer"))
    assert "1 problem was reported in “Blends”" in steps(owner)
    assert "Freeze a release" in steps(owner)
    assert "1 problem was reported" in steps(editor)
    assert "Freeze a release" not in steps(editor)
    assert NOTHING in steps(viewer)
    release_of_nobody = signed_in(User.objects.create_user("stranger"))
    assert "You are in no study yet" in steps(release_of_nobody)
    assert "Blends" not in release_of_nobody.get("/").text


def test_a_job_that_failed_is_mentioned_to_whom_it_belongs_for_a_week(db, admin):
    person = User.objects.create_user("researcher")
    job = Job.objects.create(
        kind="k", queue="data", object_id="1", label="Freeze it", state=JobState.FAILED, created_by=person,
        finished_at=timezone.now(),
    )  # fmt: skip
    mine = signed_in(person)
    assert "“Freeze it” failed" in steps(mine)
    assert job.get_absolute_url() in steps(mine)
    assert "Freeze it" in steps(admin)
    assert "Freeze it" not in steps(signed_in(User.objects.create_user("other")))
    Job.objects.update(finished_at=timezone.now() - RECENT)
    assert "Freeze it" not in steps(mine)


def test_each_queue_without_a_worker_is_named(admin):
    def said() -> str:
        banner = admin.get("/").text.partition("<ol")[0]
        return banner.partition("No worker is running")[2].partition("<code>")[0]

    def begin(queue: str) -> None:
        Worker.objects.create(name=queue, queue=queue, host="here", pid=1)

    assert said() == ": start one with "
    begin("data")
    assert said() == " for jobs of “training”: start one with "
    begin("train")
    assert "No worker is running" not in admin.get("/").text


def test_an_empty_instance_begins_with_images(db, admin):
    assert "There are no images yet" in steps(admin)


def test_the_page_costs_the_same_however_much_there_is(make_study, admin):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            admin.get("/")
        return len(captured)

    def add(slug: str) -> None:
        study = make_study(slug)
        goes = agreed(study)
        agreed(study)
        freeze(study)
        withdraw(participation=goes)

    add("first")
    queries()
    before = queries()
    assert before <= 12
    for slug in ("second", "third"):
        add(slug)
    assert queries() == before
