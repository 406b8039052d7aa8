"""The page of a study's responses: which of them count, why others do not, and what can be asked of the list."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from elicitation.studies.models import Source, Study
from elicitation.trials.models import Response, Trial
from hilmix.accounts.models import User
from hilmix.accounts.services import create_token
from hilmix.hub.answers_shown import RELATED, Counting, answers_shown
from tests.hub.conftest import DESIGN
from tests.hub.test_quality_in_releases import TURNED, new_rules, rows, rule, take_part
from tests.hub.test_withdrawn import agreed, freeze

N_UNITS = 18  # of a study with a repeat for everybody
REPEATING = replace(DESIGN, n_mixed_images=N_UNITS, trials_per_person=N_UNITS, repeats=1, answers_per_unit=5)


@pytest.fixture
def make_study(make_study):
    return partial(make_study, source=Source.PERSON)


@pytest.fixture
def look(client, db):
    """`look(study, **asked)`: the text of each row of the page."""
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))

    def get(study: Study, **asked: object) -> list[str]:
        reply = client.get(reverse("study_responses", args=[study.slug]), asked)
        assert reply.status_code == 200
        body = reply.text.partition("<tbody>")[2].partition("</tbody>")[0]
        return [" ".join(unescape(re.sub(r"<[^>]*>", " ", row)).split()) for row in body.split("<tr>")[1:]]

    return get


def counted(study: Study) -> set[tuple[str, int]]:
    counting = Counting(study)
    found = counting.answers().filter(counting.counted)
    return set(found.values_list("trial__participation__public_id", "trial__position"))


def test_what_the_page_says_to_count_is_what_a_release_counts(make_study):
    study = make_study(design=REPEATING)
    people = [agreed(study) for _ in range(2)]
    unsure = take_part(study, "cannot tell")
    silent, invalid = take_part(study), agreed(study)
    unsure.consent.publish, silent.consent.publish = True, False
    unsure.consent.save()
    silent.consent.save()
    invalid.invalid_at = timezone.now()
    invalid.save()
    in_release = [row for row in rows(freeze(study).opened, "responses") if row["counted"]]
    said = counted(study)
    assert len(said) == len(in_release) == 2 * N_UNITS
    assert {name for name, _position in said} == {person.public_id for person in people}
    counting = Counting(study)
    shown = answers_shown(counting, counting.answers().select_related(*RELATED))
    assert len(shown) == 5 * (N_UNITS + 1)
    assert {(one.person.public_id, one.trial.position) for one in shown if not one.not_counted} == said


def test_each_answer_that_does_not_count_says_why(make_study, look):
    study = make_study(design=REPEATING)
    agreed(study)
    unsure, silent, invalid = take_part(study, "cannot tell"), take_part(study), agreed(study)
    unsure.consent.publish, silent.consent.publish = True, False
    unsure.consent.save()
    silent.consent.save()
    invalid.invalid_at = timezone.now()
    invalid.save()
    assert len(look(study, counted="yes")) == N_UNITS
    of = {person: look(study, person=person.public_id, counted="no") for person in (unsure, silent, invalid)}
    assert sum(row.endswith("cannot tell lineage") for row in of[unsure]) == N_UNITS
    assert all("not to be published" in row for row in of[silent])
    assert all("marked as not to count" in row for row in of[invalid])
    assert sum(row.endswith("repeat lineage") for row in look(study, kind=Trial.Kind.REPEAT)) == 2


def test_whom_a_rule_leaves_out_does_not_count_and_the_rule_is_named(make_study, look):
    study = make_study()
    agreed(study)
    turned = take_part(study, TURNED)
    turned.consent.publish = True
    turned.consent.save()
    new_rules(study, rule("reversed"))
    left_out = look(study, counted="no")
    assert len(left_out) == 6
    assert all(turned.public_id in row and "left out by a rule" in row for row in left_out)


def test_a_second_answer_to_the_same_does_not_count(make_study):
    study = make_study(design=REPEATING)
    person = agreed(study)
    Trial.objects.filter(participation=person, kind=Trial.Kind.REPEAT).update(kind=Trial.Kind.MAIN)
    counting = Counting(study)
    shown = answers_shown(counting, counting.answers().select_related(*RELATED))
    assert [one.not_counted for one in shown if one.not_counted] == ["a later answer to the same"]
    assert len(counted(study)) == N_UNITS


@pytest.mark.parametrize("asked", [{}, {"counted": "yes"}, {"page": 3}])
def test_a_page_is_found_along_an_index_before_anything_is_read_of_its_rows(make_study, look, asked):
    study = make_study()
    agreed(study)
    with CaptureQueriesContext(connection) as captured:
        look(study, **asked)
    assert_found_along_an_index(captured)


@pytest.mark.parametrize("asked", [{}, {"counted": "true"}, {"counted": "false"}, {"limit": 10}])
def test_a_page_of_the_api_is_found_so_too(make_study, client, asked):
    study = make_study()
    agreed(study)
    admin = User.objects.create_user("admin", kind=User.Kind.ADMIN)
    client.defaults["HTTP_AUTHORIZATION"] = f"Token {create_token(person=admin, name='t', scope='read')}"
    address = reverse("api_responses", args=[study.slug])
    with CaptureQueriesContext(connection) as captured:
        reply = client.get(address, asked).json()
    assert_found_along_an_index(captured)
    n = len(reply["results"])
    while reply["next"]:
        reply = client.get(reply["next"]).json()
        n += len(reply["results"])
    assert n == (0 if asked.get("counted") == "false" else DESIGN.n_mixed_images)


def assert_found_along_an_index(captured: CaptureQueriesContext) -> None:
    """The keys of a page of answers come in order without sorting; then those rows alone are read."""
    table = '"elicitation_response"'
    said = [query["sql"] for query in captured if f"FROM {table}" in query["sql"] and "LIMIT" in query["sql"]]
    keys = [sql for sql in said if sql.startswith(f'SELECT {table}."id" AS ')]
    assert len(keys) == 1
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {keys[0]}")
        plan = [row[-1] for row in cursor.fetchall()]
    assert not any("TEMP B-TREE" in step for step in plan), plan
    rows = [q["sql"] for q in captured if q["sql"].startswith(f'SELECT {table}."id", ')]
    assert len(rows) <= 1
    assert all(f'{table}."id" IN (' in sql for sql in rows)


def test_the_list_is_narrowed_by_what_is_declared_and_by_nothing_else(make_study, look):
    study = make_study()
    first, second = agreed(study), agreed(study)
    assert len(look(study)) == 12
    assert len(look(study, person=first.public_id)) == 6
    at_a_quarter = Trial.objects.filter(
        participation__study=study, images__mixed_image__lambda_e4=2500
    ).distinct()
    assert len(look(study, shown=2500)) == at_a_quarter.count() > 0
    assert look(study, mode="pilot") == []
    assert len(look(study, trial__participation__identity__pid_hmac="x", payload__cannot_tell="1")) == 12
    newest = look(study, order="newest")
    assert second.public_id in newest[0]


def test_answers_about_pairs_name_no_mixed_image(make_study, look):
    study = make_study(interface="construct", design=replace(DESIGN, lambdas_e4=(2500, 5000, 7500)))
    agreed(study)
    shown = look(study, counted="yes")
    assert len(shown) == 6
    assert all("the pair" in row and "at λ 0.5" in row for row in shown)


def test_the_number_of_queries_does_not_depend_on_the_number_of_answers(make_study, look):
    study = make_study()
    agreed(study)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            look(study)
        return len(captured)

    queries()
    before = queries()
    for _ in range(3):
        agreed(study)
    assert Response.objects.count() == 24
    assert queries() == before
