"""The participant's calls as a browser makes them: who may, what comes back, what never does."""

from __future__ import annotations

import io
import json
import uuid

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from elicitation.flow import services
from elicitation.flow.access import token_for
from elicitation.mixes.services import pixels_of
from elicitation.participants.services import link_of
from elicitation.studies.models import Source
from elicitation.studies.services import close_study, pause_study
from elicitation.trials.models import TrialImage
from hilmix.accounts.roles import OPERATOR

BOXES = {"adult": True, "read": True, "agree": True}
ANSWER = {
    "cannot_tell": False,
    "mixing_percent": 30,
    "confidence_percent": 70,
    "touched": {"mixing": True, "confidence": True},
}


class Browser:
    """A participant's browser: a token, and JSON calls with it."""

    def __init__(self, participation):
        self.participation = services.resume(participation=participation)
        self.headers = {"Authorization": f"Participation {token_for(self.participation)}"}
        self.client = Client()

    def get(self, name, *args):
        return self.client.get(reverse(name, args=args), headers=self.headers)

    def post(self, name, body):
        return self.client.post(
            reverse(name), json.dumps(body), content_type="application/json", headers=self.headers
        )

    def save(self, *answers):
        body = {"epoch": self.participation.epoch, "responses": list(answers)}
        return self.post("participation_responses", body)


def answer(position, **change):
    return {"id": str(uuid.uuid4()), "position": position, "payload": {**ANSWER, **change}, "rt_ms": 900}


@pytest.fixture
def browser(study):
    participation, _new = services.join_study(study=study, source=Source.PERSON, boxes=BOXES)
    return Browser(participation)


def test_the_plan_lists_unanswered_trials_in_order_with_class_names_and_no_lambda(browser, study):
    browser.save(answer(0))
    plan = browser.get("participation_plan").json()
    assert (plan["answered"], plan["total"]) == (1, 7)
    assert [trial["position"] for trial in plan["trials"]] == [1, 2, 3, 4, 5, 6]
    assert {len(trial["params"]) for trial in plan["trials"]} == {2}
    text = json.dumps(plan).lower()
    for telling in ("lambda", "λ", "2500", "0.25", "7500", "first", "index", study.image_set.sha256):
        assert telling not in text


def test_images_are_native_size_pngs_of_the_right_pixels(browser):
    shown = browser.get("participation_plan").json()["trials"][0]
    reply = browser.client.get(shown["image"], headers=browser.headers)
    assert reply["Content-Type"] == "image/png"
    pixels = np.asarray(Image.open(io.BytesIO(reply.content)))
    stored = TrialImage.objects.get(trial__participation=browser.participation, trial__position=0)
    assert np.array_equal(pixels, pixels_of(stored.mixed_image)[..., 0])


def test_somebody_elses_image_is_not_there(browser, study):
    other, _new = services.join_study(study=study, source=Source.PERSON, boxes=BOXES)
    theirs = TrialImage.objects.filter(trial__participation=other).first()
    assert browser.get("participation_image", theirs.pk).status_code == 404


def test_examples_show_no_parent_of_a_trial(browser, study):
    from elicitation.flow.examples import _recipes
    from elicitation.studies.models import Unit

    units = Unit.objects.filter(batch__study=study).values_list("pair__first_index", "pair__second_index")
    shown = {index for pair in units for index in pair}
    used = {index for recipe in _recipes(study) for index in (recipe.first_index, recipe.second_index)}
    assert not used & shown
    example = browser.get("participation_plan").json()["examples"][0]
    assert browser.client.get(example["url"], headers=browser.headers).status_code == 200
    assert browser.get("participation_example", 99).status_code == 404


def test_a_reply_lost_after_commit_is_not_saved_twice(browser):
    one = answer(0)
    first, retry = browser.save(one).json(), browser.save(one).json()
    assert [r["status"] for r in first["results"] + retry["results"]] == ["created", "exists"]
    assert (retry["answered"], retry["total"]) == (1, 7)


def test_an_older_window_is_told_and_its_answer_is_kept(browser):
    older = Browser(browser.participation)
    services.resume(participation=browser.participation)
    reply = older.save(answer(3)).json()
    assert reply["stale_epoch"] is True
    assert reply["results"][0]["status"] == "created"


def test_completion_gives_no_code_and_says_what_is_missing(browser):
    browser.save(answer(0))
    refused = browser.post("participation_complete", {"count": 1})
    assert refused.status_code == 409
    assert refused.json()["missing_positions"] == [1, 2, 3, 4, 5, 6]
    browser.save(*[answer(position) for position in range(1, 7)])
    done = browser.post("participation_complete", {"count": 7})
    assert done.json() == {
        "next_url": reverse("participation_comments", args=[link_of(browser.participation)])
    }
    assert browser.post("participation_complete", {"count": 7}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"epoch": 1, "responses": []},
        {"epoch": 1, "responses": [{}]},
        {"epoch": 1, "responses": [{"id": "x", "position": 0, "payload": {}, "rt_ms": 1}]},
        {"epoch": -1, "responses": [answer(0)]},
        {"epoch": 1, "responses": [answer(p) for p in range(21)]},
        [],
    ],
)
def test_a_call_of_another_form_is_refused_as_problem_json(browser, body):
    reply = browser.post("participation_responses", body)
    assert reply.status_code == 400
    assert reply["Content-Type"] == "application/problem+json"
    assert services.missing_positions(browser.participation) == list(range(7))


def test_a_huge_call_is_refused(browser):
    body = {"epoch": 1, "responses": [answer(0, padding="x" * 1_100_000)]}
    assert browser.post("participation_responses", body).status_code == 413


@pytest.mark.parametrize("token", ["", "Participation x", "Participation a:b:c", "Token hilmix_x"])
def test_without_a_good_token_nothing_is_said(browser, token):
    headers = {"Authorization": token} if token else {}
    assert Client().get(reverse("participation_plan"), headers=headers).status_code == 401


# --- pages ------------------------------------------------------------------------------------------------------


def test_consent_leads_to_the_trials_page_and_a_missing_box_back_to_the_form(study):
    client = Client()
    url = reverse("study_entry", args=[study.slug])
    refused = client.post(url, {"decision": "consent", "adult": "on", "read": "on"})
    assert refused.status_code == 400
    assert "Please tick" in refused.text
    accepted = client.post(url, {"decision": "consent", "adult": "on", "read": "on", "agree": "on"})
    assert accepted.status_code == 302
    assert accepted["Location"].startswith("/p/")
    page = client.get(accepted["Location"])
    assert page.status_code == 200
    assert "completion" not in page.context["config"]


@pytest.mark.parametrize("end", [pause_study, close_study])
def test_somebody_the_recruiter_sends_again_comes_to_their_own_page_whatever_the_study_does(study, end):
    mine, _new = services.join_study(study=study, source=Source.PERSON, boxes=BOXES, pid="5f1e")
    end(study=study, actor=OPERATOR)
    entry = reverse("study_entry", args=[study.slug])
    assert Client().get(f"{entry}?pid=5f1e")["Location"] == reverse("participation", args=[link_of(mine)])
    assert "not open" in Client().get(f"{entry}?pid=other").text


def test_declining_keeps_nothing(study):
    page = Client().post(reverse("study_entry", args=[study.slug]), {"decision": "decline"})
    assert page.status_code == 200
    assert study.participations.count() == 0


def test_drafts_and_simulated_studies_have_no_entry(make_study):
    draft = make_study("draft", opened=False)
    robots = make_study("robots", source=Source.SIMULATED)
    for study in (draft, robots):
        assert Client().get(reverse("study_entry", args=[study.slug])).status_code == 404


def test_a_full_study_says_so_kindly(make_study):
    study = make_study(answers_per_unit=1, trials_per_person=12)
    services.join_study(study=study, source=Source.PERSON, boxes=BOXES)
    page = Client().post(reverse("study_entry", args=[study.slug]), dict.fromkeys(BOXES, "on"))
    assert "enough participants" in page.text


def test_the_link_shows_thanks_with_the_same_code_ever_after(browser):
    browser.save(*[answer(position) for position in range(7)])
    browser.post("participation_complete", {"count": 7})
    link = link_of(browser.participation)
    client = Client()
    assert client.get(reverse("participation", args=[link]))["Location"].endswith("/comments/")
    client.post(reverse("participation_comments", args=[link]), {"comments": "nice"})
    browser.participation.refresh_from_db()
    for _ in range(2):
        page = client.get(reverse("participation", args=[link]))
        assert browser.participation.completion_code in page.text


def test_a_cut_link_is_explained(client, db):
    page = client.get(reverse("participation", args=["abc"]))
    assert page.status_code == 404
    assert "not complete" in page.text
