"""The Python client against a real instance: lists through cursors, jobs that a worker does, releases that open."""

from __future__ import annotations

import re
from functools import reduce

import numpy as np
import pytest

from hilmix.core.client import Client
from hilmix.core.errors import DataError
from tests.system.conftest import ROOT

# The instance of the tests of security, and a token of its owner.
MAKE = """
from django.conf import settings
from hilmix.accounts.services import create_token
from tests.security.world import made_world
with made_world(settings.VAR) as world:
    owner, study = world["owner"].user, world.study
    print(create_token(person=owner, name="everything", scope="write"))
    print(create_token(person=owner, name="to read", scope="read"))
    print(create_token(person=owner, name="one study", scope="write", study=world.elsewhere))
"""
tokens: list[str] = []


@pytest.fixture(scope="module")
def made(start_instance):
    return start_instance(lambda instance: tokens.extend(instance.python(MAKE).split()))


@pytest.fixture(scope="module")
def hilmix(made) -> Client:
    return Client(made.url, tokens[0])


def test_a_list_is_gone_through_page_by_page(made, hilmix):
    everything = list(hilmix.rows("studies/theirs/mixed-images/"))
    assert list(hilmix.rows("studies/theirs/mixed-images/", limit=3)) == everything
    assert len(everything) > 3
    said = list(hilmix.rows("studies/theirs/responses/", limit=2, mode="all"))
    where = "trial_id in (select id from elicitation_trial where participation_id in (select p.id from"
    counted = made.rows(
        f"select count(*) n from elicitation_response where {where} elicitation_participation p"
        " join elicitation_study s on s.id = p.study_id where s.slug = 'theirs'))"
    )
    assert len({row["id"] for row in said}) == len(said) == counted[0]["n"]
    assert list(hilmix.rows("studies/theirs/responses/", since="2999-01-01T00:00:00Z")) == []


def test_a_release_is_fetched_checked_and_opened(hilmix, tmp_path):
    release = hilmix.download_release("theirs", tmp_path / "releases" / "theirs")
    assert release.name == "theirs"
    assert release.directory == tmp_path / "releases" / "theirs"
    assert release.images().shape[0] == release.n
    np.testing.assert_allclose(release.labels("mixup").sum(axis=1), 1)
    with pytest.raises(DataError, match="already exists"):
        hilmix.download_release("theirs@1.0.0", tmp_path / "releases" / "theirs")
    with pytest.raises(DataError, match=r"no release 'theirs@9.9.9'.*theirs@1.0.0"):
        hilmix.download_release("theirs@9.9.9", tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["releases"]


def test_work_is_queued_waited_for_and_its_result_asked_for(hilmix):
    job = hilmix.post("studies/theirs/analyse/")
    done = hilmix.wait(job, timeout=120)
    assert (done["state"], done["kind"]) == ("done", "analyse_study")
    found = hilmix.get(done["result"])
    assert (found["study"], found["kind"]) == ("theirs", "answers")
    assert found["content"]["figures"]


def test_nothing_new_to_freeze_leads_to_the_release_that_is_there(hilmix):
    for job in [one for one in hilmix.rows("jobs/") if one["kind"] == "freeze_release"]:
        hilmix.wait(job, timeout=60)
    again = hilmix.wait(hilmix.post("studies/theirs/freeze/"), timeout=60)
    release = hilmix.get(again["result"])["name"]
    assert any(f"Nothing has changed since release {release};" in line["text"] for line in again["lines"])


def test_work_that_fails_says_why(hilmix):
    job = hilmix.post("studies/theirs/score-labels/")
    with pytest.raises(DataError, match="at least two must have answered"):
        hilmix.wait(job, timeout=60)


@pytest.mark.parametrize(
    ("token", "path", "why"),
    [
        (0, "studies/nothing/", "404: There is no such thing"),
        (0, "studies/?limit=0", r'400: {"limit": \["A page has 1 to 1000 rows."\]}'),
        (0, "nowhere/", "404: There is no such address"),
        (2, "studies/theirs/", "404"),
        (None, "studies/", "401: Invalid token"),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_instance(made, token, path, why):
    text = "hilmix_" + "0" * 64 if token is None else tokens[token]
    with pytest.raises(DataError, match=f"GET /api/v1/{path.partition('?')[0]} was answered {why}"):
        Client(made.url, text).get(path)


def test_a_token_that_may_only_read_starts_nothing(made):
    with pytest.raises(DataError, match="was answered 403: This token may only read"):
        Client(made.url, tokens[1]).post("studies/theirs/analyse/")


def test_a_token_of_one_study_sees_that_study(made):
    assert [row["slug"] for row in Client(made.url, tokens[2]).rows("studies/")] == ["elsewhere"]


def test_the_example_of_the_documentation_runs(made, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    code, *_others = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN", tokens[0])
    here = {"http://127.0.0.1:8000": made.url, "demo-simulated": "theirs", "human_lambda_shrunk": "mixup"}
    exec(reduce(lambda text, old: text.replace(old, here[old]), here, code), {})
    assert "PerceivedLambda" in capsys.readouterr().out
    assert (tmp_path / "answers.parquet").stat().st_size > 0
