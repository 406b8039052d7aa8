"""What programs are told of studies."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from elicitation.studies.protocol import content_sha256
from elicitation.studies.services import change_texts
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import create_token
from tests.elicitation.test_study_changes import FULL


@pytest.fixture
def viewer(client, db):
    rosa = User.objects.create_user("rosa")
    token = create_token(person=rosa, name="a script", scope="read")
    client.defaults["HTTP_AUTHORIZATION"] = f"Token {token}"
    client.rosa = rosa
    return client


def shown_to(client, study):
    Membership.objects.create(user=client.rosa, study=study, part=Membership.Part.VIEWER)
    return study


def test_a_study_says_which_version_is_in_force_and_what_it_has_planned(viewer, make_study):
    study = shown_to(viewer, make_study(**FULL))
    texts = {**study.protocol.content["texts"], "thanks": "Bye."}
    change_texts(study=study, texts=texts, actor=OPERATOR)
    said = viewer.get(reverse("api_study", args=[study.slug])).json()
    assert (said["protocol_version"], said["frozen_at"]) == (2, None)
    assert said["protocol_sha256"] == study.protocol.sha256
    assert said["design"]["answers_per_unit"] == 2
    assert said["cells"] == [{"size": "small"}, {"size": "free"}]
    assert said["hypotheses"][0]["name"] == "h1"


def test_a_study_without_factors_has_one_cell(viewer, make_study):
    study = shown_to(viewer, make_study())
    said = viewer.get(reverse("api_study", args=[study.slug])).json()
    assert (said["cells"], said["hypotheses"]) == ([{}], [])


def test_the_protocol_is_given_as_it_is_hashed(viewer, make_study):
    study = shown_to(viewer, make_study(**FULL))
    reply = viewer.get(reverse("api_study_protocol", args=[study.slug]))
    assert reply.json() == study.protocol.content
    assert content_sha256(reply.json()) == study.protocol.sha256


def test_the_protocol_of_a_study_that_one_may_not_see_is_not_given(viewer, make_study):
    study = make_study()
    assert viewer.get(reverse("api_study_protocol", args=[study.slug])).status_code == 404


def test_many_studies_are_listed_with_as_many_queries_as_one(viewer, make_study):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as told:
            said = viewer.get(reverse("api_studies")).json()["results"]
        assert all(one["protocol_sha256"] and one["design"]["seed"] == 5 for one in said)
        return len(told)

    shown_to(viewer, make_study("one", opened=False))
    before = queries()
    for slug in ("two", "three", "four"):
        shown_to(viewer, make_study(slug, opened=False))
    assert queries() == before
