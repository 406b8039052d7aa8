"""The words of a study: defaults that can be shown, texts that cannot, old ones, hashes, and the page to write them."""

from __future__ import annotations

import copy
import json
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.urls import reverse

from elicitation.flow import services
from elicitation.interfaces import INTERFACES
from elicitation.studies import text_pages
from elicitation.studies.models import Source, Study
from elicitation.studies.opening import close_study, open_study
from elicitation.studies.services import change_texts
from elicitation.studies.text_checks import check_texts
from elicitation.studies.texts import (
    INFORMATION,
    REQUIRED_INFORMATION,
    default_texts,
    demonstration_information,
    information_rows,
    missing_information,
    read_texts,
    rendered,
    text_hashes,
    texts_of,
)
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Invalid

V1 = {
    "interface": {"name": "infer", "version": 1},
    "design": {"n_mixed_images": 60, "lambdas_e4": [1000, 9000]},
    "perspective": "you",
    "display": {"enlargement": None},
    "max_comprehension_rounds": 5,
    "texts": {
        "consent": "Take part.",
        "information": [["How long", "ten minutes"], ["Our own label", "our own text"]],
        "boxes": [["adult", "I am 18."], ["agree", "I want to."]],
        "instructions": ["First.", "Second."],
        "comprehension": [{"prompt": "Which end?", "options": ["left", "right"], "correct": 1}],
        "question": "How much?",
        "confidence_question": "How sure?",
        "thanks": "Thanks.",
    },
}


@pytest.fixture(params=sorted(INTERFACES))
def interface(request):
    return INTERFACES[request.param]


@pytest.fixture
def infer():
    return INTERFACES["infer"]


def defaults(interface, **said):
    return default_texts(
        **{"title": "A title", "interface": interface, "perspective": "you", "language": "en-gb", **said}
    )


def test_the_defaults_of_every_interface_can_be_shown_and_survive_json(interface):
    texts = defaults(interface)
    check_texts(texts, interface)
    assert json.loads(json.dumps(texts)) == texts
    assert texts_of({"texts": texts}).as_content() == texts
    assert set(interface.texts()["wording"]) | {"perspective"} == set(texts["wording"])


def test_default_texts_reward_no_guessing_and_name_no_share(interface):
    for perspective in ("you", "100 others"):
        said = json.dumps(list(strings(defaults(interface, perspective=perspective)))).lower()
        for telling in ("λ", "lambda", "reward", "bonus", "correct"):
            assert telling not in said


def strings(value):
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, str):
        yield value
    elif not isinstance(value, int | float):
        for item in value:
            yield from strings(item)


def test_the_perspective_is_a_sentence_that_every_trial_says(interface):
    told = {p: defaults(interface, perspective=p)["wording"]["perspective"] for p in ("you", "100 others")}
    assert told["you"] != told["100 others"]
    assert "100 other people" in told["100 others"]


def test_required_information_is_missed_by_name_until_it_is_there(infer):
    texts = read_texts(defaults(infer))
    assert missing_information(texts) == list(REQUIRED_INFORMATION)
    told = demonstration_information()
    assert missing_information(read_texts(defaults(infer, information=told))) == []
    told["contact"] = "  "
    assert missing_information(read_texts(defaults(infer, information=told))) == ["contact"]


def test_information_is_shown_by_label_and_what_is_empty_is_left_out(infer):
    texts = read_texts(defaults(infer, information={"duration": "ten minutes", "purpose": " "}))
    assert [label for label, _text in information_rows(texts)] == ["How long it takes", "What is stored"]


# --- Texts of hilmix 0.1 ------------------------------------------------------------------------------------


def test_texts_of_the_first_version_are_read_as_they_were_meant():
    texts = texts_of(V1)
    assert [(box.name, box.required) for box in texts.boxes] == [("adult", True), ("agree", True)]
    assert information_rows(texts) == [
        ("How long it takes", "ten minutes"),
        ("Our own label", "our own text"),
    ]
    assert texts.wording == {"question": "How much?", "confidence_question": "How sure?"}
    assert [item.name for item in texts.survey] == ["comments"]
    assert texts.comprehension[0].correct == 1
    assert texts.instructions == ("First.", "Second.")
    assert texts.thanks == "Thanks."


def test_reading_old_texts_does_not_change_them():
    before = copy.deepcopy(V1)
    texts_of(V1)
    text_hashes(V1)
    assert before == V1


# --- Hashes -------------------------------------------------------------------------------------------------


def test_the_hash_of_consent_covers_all_that_the_consent_page_says(study):
    content = study.protocol.content
    before = text_hashes(content)
    changes = [
        lambda c: c["texts"].update(consent="Another text."),
        lambda c: c["texts"]["information"].update(retention="for ever"),
        lambda c: c["texts"]["boxes"][0].update(text="I am 21."),
        lambda c: c.update(timing_reason=""),
        lambda c: c["flow"].update(withdraw_days=1),
        lambda c: c["flow"].update(withdrawal="anonymise"),
    ]
    seen = {before["consent"]}
    for change in changes:
        changed = copy.deepcopy(content)
        change(changed)
        after = text_hashes(changed)
        seen.add(after["consent"])
        assert {name for name in after if after[name] != before[name]} == {"consent"}
    assert len(seen) == len(changes) + 1


def test_each_text_has_a_hash_of_its_own(study):
    changed = copy.deepcopy(study.protocol.content)
    changed["texts"]["debrief"] = "Another."
    before, after = text_hashes(study.protocol.content), text_hashes(changed)
    assert {name for name in after if after[name] != before[name]} == {"debrief"}
    assert {"consent", "instructions", "comprehension", "wording", "survey", "break"} <= set(after)


# --- What cannot be shown -----------------------------------------------------------------------------------


def without(name):
    return lambda texts: texts.pop(name)


def with_(name, value):
    return lambda texts: texts.update({name: value})


BOX = {"name": "agree", "text": "I agree.", "required": True}
QUESTION = {"prompt": "Which?", "options": ["a", "b"], "correct": 0, "explain": ""}
ITEM = {"name": "easy", "kind": "likert", "prompt": "Was it easy?"}
PUBLISH = {"name": "publish", "text": "Publish them.", "required": False}
CONTACT = {"name": "contact", "text": "Write to me.", "required": False}
ASKED = [PUBLISH, CONTACT]
BAD = {
    "no consent": ("consent", with_("consent", "  ")),
    "no thanks": ("thanks", with_("thanks", "")),
    "no instructions": ("instructions", with_("instructions", [])),
    "an empty page": ("instructions", with_("instructions", ["One.", " "])),
    "too many pages": ("instructions", with_("instructions", ["One."] * 31)),
    "a text without end": ("debrief", with_("debrief", "x" * 20_001)),
    "unknown information": ("information", lambda t: t["information"].update(favourite="blue")),
    "too much information": ("purpose", lambda t: t["information"].update(purpose="x" * 1001)),
    "no consent to take part": ("boxes", with_("boxes", [{**BOX, "name": "adult"}, *ASKED])),
    "a consent to take part that is optional": (
        "boxes",
        with_("boxes", [{**BOX, "required": False}, *ASKED]),
    ),
    "publishing as a condition": ("boxes", with_("boxes", [BOX, {**BOX, "name": "publish"}, CONTACT])),
    "no consent of its own to publishing": ("boxes", with_("boxes", [BOX, CONTACT])),
    "no consent of its own to being contacted": ("boxes", with_("boxes", [BOX, PUBLISH])),
    "one box twice": ("boxes", with_("boxes", [BOX, BOX, *ASKED])),
    "a box without text": ("boxes", with_("boxes", [{**BOX, "text": " "}, *ASKED])),
    "a box with a name that is none": ("boxes", with_("boxes", [BOX, {**BOX, "name": "Not a name"}, *ASKED])),
    "a box named like the token": ("boxes", with_("boxes", [BOX, {**BOX, "name": "token"}, *ASKED])),
    "one answer only": ("comprehension", with_("comprehension", [{**QUESTION, "options": ["a"]}])),
    "the same answer twice": ("comprehension", with_("comprehension", [{**QUESTION, "options": ["a", "a"]}])),
    "an answer that is not there": ("comprehension", with_("comprehension", [{**QUESTION, "correct": 2}])),
    "an answer before the first": ("comprehension", with_("comprehension", [{**QUESTION, "correct": -1}])),
    "a question without text": ("comprehension", with_("comprehension", [{**QUESTION, "prompt": ""}])),
    "a wording that nothing says": ("wording", lambda t: t["wording"].update(greeting="Hello")),
    "a wording that is missing": ("wording", lambda t: t["wording"].pop("perspective")),
    "a wording that is empty": ("wording", lambda t: t["wording"].update(question="")),
    "a placeholder that nothing fills": ("wording", lambda t: t["wording"].update(question="Is λ {lambda}?")),
    "a survey question twice": ("survey", with_("survey", [ITEM, ITEM])),
    "a survey question of no kind": ("survey", with_("survey", [{**ITEM, "kind": "stars"}])),
    "a scale of one point": ("survey", with_("survey", [{**ITEM, "points": 1}])),
    "a scale without end": ("survey", with_("survey", [{**ITEM, "points": 12}])),
    "a survey question without text": ("survey", with_("survey", [{**ITEM, "prompt": ""}])),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_shown_is_refused_beside_the_text_that_is_meant(infer, what):
    name, spoil = BAD[what]
    texts = defaults(infer)
    spoil(texts)
    with pytest.raises(Invalid) as refused:
        check_texts(texts, infer)
    assert list(refused.value.fields) == [name]


@pytest.mark.parametrize(
    "spoil",
    [
        without("boxes"),
        without("wording"),
        with_("boxes", [{"title": "x"}]),
        with_("boxes", 3),
        with_("wording", []),
        with_("information", "x"),
        with_("consent", None),
        with_("surprise", "x"),
    ],
)
def test_texts_that_are_none_are_refused(infer, spoil):
    texts = defaults(infer)
    spoil(texts)
    with pytest.raises(Invalid):
        check_texts(texts, infer)


def test_a_text_shows_no_picture_from_elsewhere():
    assert "<img" not in rendered("![track me](https://elsewhere.example/x.png)")


# --- Opening ------------------------------------------------------------------------------------------------


def test_a_study_for_people_does_not_open_before_they_are_told_what_they_must_be(make_study):
    study = make_study("untold", opened=False, information={"purpose": "research"})
    with pytest.raises(Invalid, match="legal basis") as refused:
        open_study(study=study, actor=OPERATOR)
    assert list(refused.value.fields) == [name for name in REQUIRED_INFORMATION if name != "purpose"]
    study.refresh_from_db()
    assert study.state == Study.State.DRAFT


# --- The page -----------------------------------------------------------------------------------------------


class Filled(HTMLParser):
    """What a browser would send of the form on a page that was left as it is."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.form: dict[str, str] = {}
        self._area = self._select = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        ticks = told.get("type") in ("checkbox", "radio")
        if tag == "input" and (not ticks or "checked" in told):
            self.form[told["name"]] = told.get("value", "on" if ticks else "")
        elif tag == "textarea":
            self._area = told["name"]
            self.form[self._area] = ""
        elif tag == "select":
            self._select = told["name"]
        elif tag == "option" and ("selected" in told or self._select not in self.form):
            self.form[self._select] = told["value"]  # the first one, where none is selected

    def handle_data(self, text):
        if self._area:
            self.form[self._area] += text

    def handle_endtag(self, tag):
        if tag == "textarea":
            text = self.form[self._area].removeprefix("\n")  # the first line break after the tag is not text
            self.form[self._area] = text.replace("\n", "\r\n")
            self._area = ""


@pytest.fixture
def owner(study):
    user = User.objects.create(username="rosa", kind=User.Kind.ADMIN)
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def texts_page(study) -> str:
    return reverse("study_texts", args=[study.slug])


def filled(owner, study) -> dict[str, str]:
    return Filled(owner.get(texts_page(study)).content.decode()).form


def test_saving_what_is_there_changes_nothing(owner, study):
    before = study.protocol
    reply = owner.post(texts_page(study), {**filled(owner, study), "do": "save"}, follow=True)
    assert "Nothing was changed." in reply.content.decode()
    assert study.protocol == before


def test_a_changed_text_is_a_new_version_for_whoever_comes_from_then_on(owner, study):
    boxes = {"adult": True, "agree": True}
    first, _new = services.join_study(study=study, source=Source.PERSON, boxes=boxes)
    form = filled(owner, study) | {
        "debrief": "A new *debrief*.",
        "instructions": "One.\r\n\r\n---\r\n\r\nTwo.",
        "wording_perspective": "Say what you see.",
        "retention": "for a year",
        "boxes-4-name": "recording",
        "boxes-4-text": "I may be recorded.",
        "comprehension-0-options": "left\r\n* right",
        "survey-0-DELETE": "on",
        "do": "save",
    }
    assert owner.post(texts_page(study), form).status_code == 302
    texts = texts_of(study.protocol.content)
    assert study.protocol.version == 2
    assert texts.debrief == "A new *debrief*."
    assert texts.instructions == ("One.", "Two.")
    assert texts.wording["perspective"] == "Say what you see."
    assert texts.information["retention"] == "for a year"
    assert texts.boxes[4].name == "recording"
    assert not texts.boxes[4].required
    assert (texts.comprehension[0].options, texts.comprehension[0].correct) == (["left", "right"], 1)
    assert [item.name for item in texts.survey] == ["attention", "comments"]
    second, _new = services.join_study(study=study, source=Source.PERSON, boxes=boxes)
    assert (first.protocol.version, second.protocol.version) == (1, 2)
    assert AuditEvent.objects.filter(action="study.texts_changed").count() == 1
    page = owner.get(reverse("study_versions", args=[study.slug])).content.decode()
    assert first.protocol.sha256 in page
    assert second.protocol.sha256 in page


def test_a_preview_shows_the_text_as_participants_see_it_and_saves_nothing(owner, study):
    form = filled(owner, study) | {"debrief": "Very **bold**.<script>", "do": "preview"}
    page = owner.post(texts_page(study), form).content.decode()
    assert "<p>Very <strong>bold</strong>.&lt;script&gt;</p>" in page
    assert study.protocol.version == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"consent": ""}, "This text cannot be empty."),
        ({"comprehension-0-options": "left\r\nright"}, "Put * before exactly one answer."),
        ({"comprehension-0-options": "* left\r\n* right"}, "Put * before exactly one answer."),
        ({"boxes-1-name": "yes"}, "There must be a required box “agree”"),
        ({"boxes-0-name": "Not a name"}, "is no name"),
        ({"survey-0-points": "1"}, "greater than or equal to 2"),
        ({"wording_question": ""}, "This field is required."),
        ({"controller": ""}, "must be told"),
        ({"based_on": "7"}, "Somebody else changed this study meanwhile."),
        ({"boxes-TOTAL_FORMS": "x"}, "ManagementForm data is missing"),
    ],
)
def test_a_text_that_cannot_be_shown_comes_back_with_the_reason_and_what_was_typed(
    owner, study, changes, said
):
    form = filled(owner, study) | {"debrief": "Typed just now.", **changes, "do": "save"}
    reply = owner.post(texts_page(study), form)
    assert reply.status_code == 400
    assert said in reply.content.decode()
    assert "Typed just now." in reply.content.decode()
    assert study.protocol.version == 1


def test_of_two_who_save_at_the_same_moment_one_is_told_and_keeps_what_they_typed(owner, study, monkeypatch):
    texts = study.protocol.content["texts"] | {"thanks": "Thanks from somebody else."}

    def second(**given):
        change_texts(study=study, texts=texts, actor=OPERATOR)
        return change_texts(**given)

    monkeypatch.setattr(text_pages, "change_texts", second)
    form = filled(owner, study) | {"debrief": "Typed just now.", "do": "save"}
    reply = owner.post(texts_page(study), form)
    assert reply.status_code == 400
    assert reply.content.decode().count("Somebody else changed this study meanwhile.") == 1
    assert "Typed just now." in reply.content.decode()
    assert study.protocol.version == 2
    assert texts_of(study.protocol.content).thanks == "Thanks from somebody else."


def test_the_texts_of_a_closed_study_stay_as_they_were(owner, study):
    form = filled(owner, study) | {"debrief": "Too late.", "do": "save"}
    close_study(study=study, actor=OPERATOR)
    reply = owner.post(texts_page(study), form)
    assert reply.status_code == 400
    assert "stay as they were" in reply.content.decode()


def test_every_piece_of_information_has_a_field_on_the_page(owner, study):
    assert set(INFORMATION) <= set(filled(owner, study))
