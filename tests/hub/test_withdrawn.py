"""After somebody has withdrawn: every place that shows a release says so, and asks the database once."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from elicitation.flow.withdrawal import withdraw
from elicitation.studies.models import Source, Study
from elicitation.studies.protocol import Flow
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import create_token
from hilmix.hub.models import Release
from hilmix.hub.releases import freeze_release
from hilmix.hub.withdrawn import count_withdrawn
from hilmix.jobs.progress import Progress
from tests.hub.test_quality_in_releases import take_part
from training.experiments.models import Experiment
from training.reports.models import Report

SAYS_SO = "contains withdrawn data of 1"


@pytest.fixture
def make_study(make_study):
    return partial(make_study, source=Source.PERSON)


@pytest.fixture
def admin(client) -> User:
    admin = User.objects.create_user("admin", kind=User.Kind.ADMIN)
    client.force_login(admin)
    token = create_token(person=admin, name="notebook", scope="read")
    client.defaults["HTTP_AUTHORIZATION"] = f"Token {token}"
    return admin


def freeze(study: Study) -> Release:
    return freeze_release(study=study, actor=OPERATOR, progress=Progress())


def agreed(study: Study):
    participation = take_part(study)
    participation.consent.publish = True
    participation.consent.save()
    return participation


def report_on(release: Release) -> Experiment:
    experiment = Experiment.objects.create(
        name="comparison",
        config={},
        config_sha256="0" * 64,
        release=release,
        image_set=release.study.image_set,
        precision="fp32",
    )
    Report.objects.create(experiment=experiment, content={"notes": ["Exploratory."], "title": "A report"})
    return experiment


def test_every_page_that_shows_the_release_says_so(make_study, client, admin):
    study = make_study()
    agreed(study)
    goes = agreed(study)
    release = freeze(study)
    experiment = report_on(release)
    pages = [
        reverse("releases"),
        reverse("study", args=[study.slug]),
        reverse("experiments"),
    ]
    for page in pages:
        assert SAYS_SO not in client.get(page).text, page
    withdraw(participation=goes)
    for page in pages:
        assert SAYS_SO in client.get(page).text, page
    assert (
        "1 participant whose answers are in this release"
        in client.get(reverse("release", args=[release.pk])).text
    )
    report = client.get(reverse("experiment_report_json", args=[experiment.pk])).json()
    assert report["notes"][0] == "Exploratory."
    assert "Contains withdrawn data: 1 participant of the release" in report["notes"][1]
    freeze(study)  # the new one is without these answers
    assert client.get(reverse("releases")).text.count(SAYS_SO) == 1


def test_programs_are_told_too(make_study, client, admin):
    study = make_study()
    goes = agreed(study)
    agreed(study)
    release = freeze(study)
    experiment = report_on(release)

    def told() -> list[int]:
        (of_list,) = client.get(reverse("api_releases")).json()["results"]
        of_one = client.get(reverse("api_release", args=[release.pk])).json()
        of_experiment = client.get(reverse("api_experiment", args=[experiment.pk])).json()
        return [one["n_withdrawn"] for one in (of_list, of_one, of_experiment)]

    assert told() == [0, 0, 0]
    withdraw(participation=goes)
    assert told() == [1, 1, 1]


def test_answers_that_stay_without_a_name_are_not_withdrawn_data(make_study, client, admin):
    study = make_study(flow=Flow(withdrawal="anonymise"))
    goes = agreed(study)
    release = freeze(study)
    withdraw(participation=goes)
    assert [one.n_withdrawn for one in count_withdrawn([release])] == [0]
    assert SAYS_SO not in client.get(reverse("releases")).text


def test_who_withdrew_before_the_release_was_made_is_not_in_it(make_study):
    study = make_study()
    withdraw(participation=agreed(study))
    agreed(study)
    assert [one.n_withdrawn for one in count_withdrawn([freeze(study)])] == [0]


def test_nothing_of_how_somebody_answered_is_left_when_they_withdraw(make_study):
    study = make_study()
    goes = agreed(study)
    assert goes.measures
    withdraw(participation=goes)
    goes.refresh_from_db()
    assert goes.measures == {}


@pytest.mark.parametrize("name", ["releases", "experiments", "api_releases"])
def test_a_list_asks_once_however_many_releases_it_shows(make_study, client, admin, name):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse(name)).status_code == 200
        return len(captured)

    def add(slug: str) -> None:
        study = make_study(slug)
        goes = agreed(study)
        agreed(study)
        experiment = report_on(freeze(study))
        Experiment.objects.filter(pk=experiment.pk).update(config_sha256=slug)
        withdraw(participation=goes)

    add("first")
    queries()
    before = queries()
    add("second")
    add("third")
    assert queries() == before
