"""The participant's calls as a browser makes them: who may, what comes back, what never does."""

from __future__ import annotations

import io
import json
import uuid
from datetime import timedelta

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from elicitation.flow import services
from elicitation.flow.access import token_for
from elicitation.flow.api import ParticipationThrottle
from elicitation.flow.config import page_config
from elicitation.flow.withdrawal import withdraw
from elicitation.interfaces import INTERFACES
from elicitation.mixes.services import pixels_of
from elicitation.participants.models import Participation
from elicitation.participants.services import link_of
from elicitation.studies.models import Slot
from elicitation.studies.protocol import Display
from elicitation.studies.texts import texts_of
from elicitation.trials.models import Response, Trial, TrialImage
from tests.elicitation.answers import destination

BOXES = {"adult": True, "agree": True, "publish": True}
ANSWER = {
    "cannot_tell": False,
    "mixing_percent": 30,
    "confidence_percent": 70,
    "touched": {"mixing": True, "confidence": True},
}
N_TRIALS = 6  # of the study of conftest
TELLING = (
    *("λ", "lambda", "0.25", "0.75", "2500", "7500", "first_", "second_", "sha256"),
    *("repeat", "check", "main"),
)


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

    def plan(self):
        return self.get("participation_plan").json()

    def pixels(self, address):
        reply = self.client.get(address, headers=self.headers)
        assert (reply.status_code, reply["Content-Type"]) == (200, "image/png")
        return np.asarray(Image.open(io.BytesIO(reply.content)))

    def save(self, *answers):
        body = {"epoch": self.participation.epoch, "responses": list(answers)}
        return self.post("participation_responses", body)

    def tell(self, kind, **data):
        sent = {"id": str(uuid.uuid4()), "kind": kind, "t_ms": 10, "data": data}
        return self.post("participation_events", {"events": [sent]})

    def config(self):
        return page_config(self.participation, link_of(self.participation))


def answer(position, *, ended_at=None, **change):
    return {
        "id": str(uuid.uuid4()),
        "position": position,
        "payload": {**ANSWER, **change},
        "rt_ms": 900,
        "trial_index": position,
        "time_elapsed_ms": 5000 * (position + 1),
        "ended_at": ended_at,
    }


def sit_down(study):
    participation, _new = services.join_study(study=study, source=study.source, boxes=BOXES)
    return Browser(participation)


@pytest.fixture
def browser(study):
    return sit_down(study)


# --- The plan ---------------------------------------------------------------------------------------------------


def test_the_plan_lists_unanswered_trials_in_order_with_class_names(browser):
    browser.save(answer(0))
    plan = browser.plan()
    assert (plan["answered"], plan["total"]) == (1, N_TRIALS)
    assert [trial["position"] for trial in plan["trials"]] == [1, 2, 3, 4, 5]
    assert all(set(trial) == {"position", "images", "params", "way", "attempt"} for trial in plan["trials"])
    names = {trial["params"]["left_class"] for trial in plan["trials"]}
    assert names <= {"ant", "bee", "cat", "dog"}


@pytest.mark.parametrize("interface", sorted(INTERFACES))
def test_nothing_that_a_browser_is_given_tells_the_share_or_the_kind_of_a_trial(make_study, interface):
    checked = INTERFACES[interface].CHECKS
    labels = {"checks": 2, "check_images": (0, 1, 2, 3), "trials_per_person": 12} if checked else {}
    browser = sit_down(make_study(interface, interface=interface, **labels))
    assert Trial.objects.filter(kind="check").count() == (2 if checked else 0)
    plan = browser.plan()
    plan["examples"] = [example["params"] for example in plan["examples"]]
    for trial in plan["trials"]:
        assert all(address.startswith("/api/v1/participation/images/") for address in trial.pop("images"))
    config = browser.config()
    for other in ("token", "next_url", "participation", "messages", "texts"):
        config.pop(other)  # signed or random, or words that are scanned elsewhere
    for way in config["ways"]:
        for words in ("wording", "instructions", "short_instructions"):
            way.pop(words)
    text = json.dumps([plan, config]).lower()
    assert not [telling for telling in TELLING if telling in text]


def test_where_no_question_is_asked_an_answer_shows_that_somebody_is_past_the_instructions(make_study):
    texts = texts_of(make_study(opened=False).protocol.content).as_content()
    browser = sit_down(make_study("unasked", texts={**texts, "comprehension": []}))
    assert not browser.plan()["comprehension_passed"]
    browser.save(answer(0))
    assert browser.plan()["comprehension_passed"]


def test_pictures_do_not_take_the_room_of_answers(browser, monkeypatch):
    rates = {"participation": "3/min", "pictures": "1000/min"}
    monkeypatch.setattr(ParticipationThrottle, "THROTTLE_RATES", rates)
    (picture,) = browser.plan()["trials"][0]["images"]
    for _ in range(10):
        browser.pixels(picture)
    assert browser.save(answer(0)).status_code == 200
    assert browser.save(answer(1)).status_code == 200
    assert browser.save(answer(2)).status_code == 429


def test_the_plan_says_where_trial_index_and_elapsed_time_go_on(browser):
    assert (browser.plan()["next_index"], browser.plan()["elapsed_ms"]) == (0, 0)
    browser.save(answer(0), answer(4))
    assert (browser.plan()["next_index"], browser.plan()["elapsed_ms"]) == (5, 25_000)


def test_without_times_the_order_goes_on_all_the_same(make_study):
    browser = sit_down(make_study(timing_reason=""))
    browser.save(answer(2))
    assert (browser.plan()["next_index"], browser.plan()["elapsed_ms"]) == (3, 0)


def test_a_trial_that_was_left_open_is_shown_as_another_attempt(browser):
    assert {trial["attempt"] for trial in browser.plan()["trials"]} == {1}
    browser.tell("resume", position=2)
    browser.tell("resume", position={"of": "another kind"})
    attempts = {trial["position"]: trial["attempt"] for trial in browser.plan()["trials"]}
    assert attempts == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1, 5: 1}


@pytest.mark.parametrize(("minutes", "long"), [(29, False), (31, True)])
def test_somebody_away_for_long_is_told_from_somebody_who_was_not(browser, minutes, long):
    browser.save(answer(0))
    Response.objects.update(received_at=timezone.now() - timedelta(minutes=minutes))
    assert browser.plan()["long_gap"] is long


def test_an_answer_that_waited_in_a_closed_browser_was_given_before_it_came(browser):
    browser.save(answer(0, ended_at=(timezone.now() - timedelta(hours=9)).isoformat()))
    assert browser.plan()["long_gap"] is True


def test_somebody_who_passed_the_check_and_came_back_for_the_first_trial_was_away_too(browser):
    assert browser.plan()["long_gap"] is False  # the lessons are still to come
    Participation.objects.update(comprehension_passed_at=timezone.now() - timedelta(hours=2))
    assert browser.plan()["long_gap"] is True


def test_the_check_is_passed_on_the_server_and_a_reload_knows_it(browser, study):
    right = [question.correct for question in texts_of(study.protocol.content).comprehension]
    browser.tell("comprehension", answers=[], passed=True)
    plan = browser.plan()
    assert (plan["comprehension_passed"], plan["comprehension_rounds"]) == (False, 1)
    browser.tell("comprehension", answers=right)
    plan = browser.plan()
    assert (plan["comprehension_passed"], plan["comprehension_rounds"]) == (True, 2)


def test_whoever_has_withdrawn_is_given_no_plan(browser):
    withdraw(participation=browser.participation)
    assert browser.get("participation_plan").status_code == 409
    assert browser.save(answer(0)).json()["results"][0]["status"] == "closed"
    assert browser.tell("hidden").json()["results"][0]["status"] == "closed"
    assert browser.post("participation_complete", {"count": 0}).status_code == 409


# --- Images -----------------------------------------------------------------------------------------------------


def test_images_are_native_size_pngs_of_the_right_pixels(browser):
    (address,) = browser.plan()["trials"][0]["images"]
    stored = TrialImage.objects.get(trial__participation=browser.participation, trial__position=0)
    assert np.array_equal(browser.pixels(address), pixels_of(stored.mixed_image)[..., 0])


def test_a_trial_about_a_pair_shows_it_at_every_share_in_the_stored_order(make_study):
    browser = sit_down(make_study("pairs", interface="construct"))
    for trial in browser.plan()["trials"]:
        rows = TrialImage.objects.filter(
            trial__participation=browser.participation, trial__position=trial["position"]
        )
        stored = [row.mixed_image for row in rows.order_by("order").select_related("mixed_image__pair")]
        shares = [image.lambda_e4 for image in stored]
        assert sorted(shares) == [2500, 5000, 7500]
        names = ["ant", "bee", "cat", "dog"]
        left_is_first = trial["params"]["left_class"] == names[stored[0].pair.first_class]
        assert shares == sorted(shares, reverse=left_is_first)
        for address, image in zip(trial["images"], stored, strict=True):
            assert np.array_equal(browser.pixels(address), pixels_of(image)[..., 0])


def test_somebody_elses_image_is_not_there(browser, study):
    theirs = TrialImage.objects.filter(trial__participation=sit_down(study).participation).first()
    assert browser.get("participation_image", theirs.pk).status_code == 404


@pytest.mark.parametrize(("interface", "n"), [("infer", 1), ("construct", 3)])
def test_examples_have_their_pictures_and_no_more(make_study, interface, n):
    browser = sit_down(make_study("examples", interface=interface))
    examples = browser.plan()["examples"]
    assert [len(example["images"]) for example in examples] == [n, n]
    assert all(browser.pixels(address).shape == (4, 4) for e in examples for address in e["images"])
    assert browser.get("participation_example", 0, 0, n).status_code == 404
    assert browser.get("participation_example", 0, 2, 0).status_code == 404
    assert browser.get("participation_example", 1, 0, 0).status_code == 404


# --- Saving -----------------------------------------------------------------------------------------------------


def test_a_reply_lost_after_commit_is_not_saved_twice(browser):
    one = answer(0)
    first, retry = browser.save(one).json(), browser.save(one).json()
    assert [r["status"] for r in first["results"] + retry["results"]] == ["created", "exists"]
    assert (retry["answered"], retry["total"]) == (1, N_TRIALS)


def test_an_answer_costs_four_statements(browser, django_assert_num_queries):
    browser.save(answer(0))  # reads the protocol, once a process
    now = timezone.now()
    for position, ago in enumerate((timedelta(0), timedelta(minutes=2), timedelta(minutes=59)), 1):
        Participation.objects.update(last_seen_at=now - ago)
        Slot.objects.filter(state=Slot.State.HELD).update(lease_expires_at=now - ago + timedelta(minutes=30))
        with django_assert_num_queries(4 + 2):  # and those that begin and end the transaction
            reply = browser.save(answer(position))
        assert reply.json()["results"][0]["status"] == "created"


def test_an_older_window_is_told_and_its_answer_is_kept(browser):
    older = Browser(browser.participation)
    services.resume(participation=browser.participation)
    reply = older.save(answer(3)).json()
    assert reply["stale_epoch"] is True
    assert reply["results"][0]["status"] == "created"


def test_an_answer_need_not_say_how_long_it_took(browser):
    sent = {"id": str(uuid.uuid4()), "position": 0, "payload": ANSWER, "rt_ms": None}
    assert browser.save(sent).json()["results"][0]["status"] == "created"
    assert Response.objects.get().rt_ms is None


def test_completion_gives_no_code_and_says_what_is_missing(browser):
    browser.save(answer(0))
    refused = browser.post("participation_complete", {"count": 1})
    assert refused.status_code == 409
    assert refused.json()["missing_positions"] == [1, 2, 3, 4, 5]
    browser.save(*[answer(position) for position in range(1, N_TRIALS)])
    done = browser.post("participation_complete", {"count": N_TRIALS})
    assert set(done.json()) == {"next_url"}
    assert destination(done.json()["next_url"]) == ("participation_survey", browser.participation)
    assert browser.post("participation_complete", {"count": N_TRIALS}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"epoch": 1, "responses": []},
        {"epoch": 1, "responses": [{}]},
        {"epoch": 1, "responses": [{"id": "x", "position": 0, "payload": {}, "rt_ms": 1}]},
        {"epoch": 1, "responses": [answer(0) | {"trial_index": -1}]},
        {"epoch": 1, "responses": [answer(0) | {"time_elapsed_ms": "long"}]},
        {"epoch": 1, "responses": [answer(0) | {"rt_ms": 2**31}]},
        {"epoch": 1, "responses": [answer(0) | {"position": 2**63}]},
        {"epoch": -1, "responses": [answer(0)]},
        {"epoch": 1, "responses": [answer(p) for p in range(21)]},
        [],
    ],
)
def test_a_call_of_another_form_is_refused_as_problem_json(browser, body):
    reply = browser.post("participation_responses", body)
    assert reply.status_code == 400
    assert reply["Content-Type"] == "application/problem+json"
    assert services.missing_positions(browser.participation) == list(range(N_TRIALS))


def test_a_huge_call_is_refused(browser):
    body = {"epoch": 1, "responses": [answer(0, padding="x" * 1_100_000)]}
    assert browser.post("participation_responses", body).status_code == 413


@pytest.mark.parametrize("token", ["", "Participation x", "Participation a:b:c", "Token hilmix_x"])
def test_without_a_good_token_nothing_is_said(browser, token):
    headers = {"Authorization": token} if token else {}
    assert Client().get(reverse("participation_plan"), headers=headers).status_code == 401


def test_the_token_of_a_participation_that_is_no_more_is_no_good(browser):
    Participation.objects.update(public_id="another")
    assert browser.get("participation_plan").status_code == 401


# --- The page's configuration -----------------------------------------------------------------------------------


def test_the_page_is_told_how_to_ask_as_the_protocol_says(make_study):
    study = make_study(
        bonus="A **bonus** for everybody.",
        timing_reason="",
        display=Display(enlargement=4, pixels="device", resampling="bicubic", exposure_ms=500),
    )
    config = sit_down(study).config()
    (way,) = config["ways"]
    assert way["display"] == {
        "enlargement": 4,
        "pixels": "device",
        "resampling": "bicubic",
        "exposure_ms": 500,
    }
    assert config["timing"] is False
    assert config["direction"] == "ltr"
    assert way["plugin"] == "/static/elicitation/plugins/mixture-sliders.js"
    assert config["flow"] == {"max_comprehension_rounds": 5, "break_every": 20}
    assert way["bonus"] == "<p>A <strong>bonus</strong> for everybody.</p>\n"
    assert way["wording"]["perspective"]
    assert (way["lesson"], way["block"]) == (0, 0)
    assert config["epoch"] == 1
    assert json.loads(json.dumps(config)) == config


def test_the_page_holds_every_text_as_html_that_was_rendered_and_escaped(make_study):
    study = make_study(opened=False)
    evil = "<script>alert(1)</script> [x](javascript:alert(1))"
    texts = texts_of(study.protocol.content).as_content()
    texts |= {"instructions": [evil], "short_instructions": evil, "break": evil}
    config = sit_down(make_study("evil", texts=texts, bonus=evil)).config()
    (way,) = config["ways"]
    shown = (*way["instructions"], way["short_instructions"], way["bonus"], config["texts"]["break"])
    for html in shown:
        assert "&lt;script&gt;" in html
        assert "<script" not in html
        assert 'href="javascript' not in html


@pytest.mark.parametrize("interface", sorted(INTERFACES))
def test_every_interface_is_told_its_options_and_what_was_drawn_for_the_person(make_study, interface):
    config = sit_down(make_study(interface, interface=interface)).config()
    (way,) = config["ways"]
    assert set(way["options"]) == set(INTERFACES[interface].OPTIONS) - {"left", "start"}
    drawn = Participation.objects.get().drawn
    assert config["lists_classes"] == ("class_order" in drawn)
    assert way["person"] == INTERFACES[interface].shown_to_person(drawn, ["ant", "bee", "cat", "dog"])
