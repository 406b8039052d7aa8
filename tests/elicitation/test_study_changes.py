"""A study's protocol is changed, and studies are copied: what may change when, and what becomes of the words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest
from django.db import connection

from elicitation.flow.services import join_study
from elicitation.images.services import import_images
from elicitation.studies import services
from elicitation.studies.factors import Factor, Level
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Mode, Slot, Source, Study
from elicitation.studies.opening import close_study, open_study, pause_study
from elicitation.studies.payment import Payment, Stop
from elicitation.studies.protocol import Design, Display, Flow, content_sha256, settings_of
from elicitation.studies.rules import default_rules
from elicitation.studies.services import (
    StudyPlan,
    change_protocol,
    change_texts,
    copy_study,
    create_study,
    plan_of_study,
)
from elicitation.studies.texts import demonstration_information, texts_of
from hilmix.accounts.models import AuditEvent, Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Conflict, Forbidden, Invalid, NotFound
from tests.elicitation.test_studies import BOXES, V1

FULL = {
    "title": "Everything",
    "interface": "infer",
    "options": {"randomize_question_order": True},
    "perspective": "100 others",
    "bonus": "One pound for agreeing with others.",
    "timing_reason": "Because.",
    "display": Display(enlargement=4, pixels="device", resampling="bicubic", exposure_ms=500),
    "flow": Flow(max_comprehension_rounds=2, break_every=0, withdraw_days=7, withdrawal="anonymise"),
    "factors": (
        Factor(
            "size",
            "between",
            (Level("small", {"display": {"enlargement": 2}}), Level("free", {"display": {"enlargement": None}})),
        ),
    ),
    "rules": tuple(replace(rule, excludes=rule.flag == "failed_checks") for rule in default_rules()),
    "hypotheses": (
        Hypothesis("h1", "Larger pictures are judged otherwise.", "difference", factor="size",
                   levels=("small", "free"), lambdas_e4=(2500,), effect=0.05, primary=True),
    ),
    "payment": Payment("EUR", 250, 12, "agreement", 100),
    "stop": Stop("interval", 0.25),
}  # fmt: skip


@pytest.fixture
def researcher(db):
    return User.objects.create_user("rosa", kind=User.Kind.RESEARCHER)


@pytest.fixture
def other_set(image_set):
    """Another 60 images of three other classes."""
    rng = np.random.default_rng(1)
    return import_images(
        name="other", kind="npz", images=rng.integers(0, 256, (60, 4, 4, 1), dtype=np.uint8),
        labels=np.arange(60) % 3, classes=["elk", "fox", "gnu"], splits={"train": np.arange(60)}, actor=OPERATOR,
    )  # fmt: skip


def changed(study, based_on=None, actor=OPERATOR, **said):
    """`change_protocol` with fields of the plan, or of its design."""
    plan = plan_of_study(study)
    design = {name: said.pop(name) for name in list(said) if name in Design.__dataclass_fields__}
    plan = replace(plan, design=replace(plan.design, **design), **said)
    return change_protocol(study=study, plan=plan, actor=actor, based_on=based_on or study.protocol.sha256)


# -- the plan of a study


@pytest.mark.parametrize("said", [{}, FULL, {"interface": "construct", "language": "he"}])
def test_a_study_made_of_a_studys_plan_says_the_same(make_study, said):
    study = make_study("first", opened=False, **said)
    plan = plan_of_study(study)
    again = create_study(plan=replace(plan, slug="second", title="Another"), actor=OPERATOR)
    assert again.protocol.content == study.protocol.content
    assert again.protocol.sha256 == study.protocol.sha256


def test_a_plan_that_is_not_changed_changes_nothing(make_study):
    study = make_study(opened=False, **FULL)
    done = changed(study)
    assert (done.changed, done.kept, done.protocol.version) == (False, (), 1)
    assert not AuditEvent.objects.filter(action="study.protocol_changed").exists()


# -- a draft


def test_everything_of_a_draft_may_change_and_its_version_is_written_anew(make_study, other_set):
    study = make_study(opened=False)
    before = study.protocol
    done = changed(
        study, slug="else", **FULL, image_set=other_set, n_mixed_images=10, lambdas_e4=(0, 5000, 2500)
    )
    study.refresh_from_db()
    after = settings_of(study.protocol.content)
    assert (study.slug, study.title, study.image_set) == ("else", "Everything", other_set)
    assert study.protocols.get() == before == done.protocol
    assert study.protocol.sha256 == content_sha256(study.protocol.content) != before.sha256
    assert study.protocol.content["image_set"] == {"name": "other", "sha256": other_set.sha256}
    assert after.options["randomize_question_order"] is True
    for name in FULL.keys() - {"title", "options"}:
        assert getattr(after, name) == FULL[name], name
    assert (after.design.n_mixed_images, after.design.lambdas_e4) == (10, (0, 5000, 2500))
    event = AuditEvent.objects.get(action="study.protocol_changed")
    assert "Perspective" in event.detail["changed"]
    open_study(study=study, actor=OPERATOR)


def test_examples_are_drawn_again_from_another_image_set(make_study, other_set):
    study = make_study(opened=False)
    changed(study, image_set=other_set, n_mixed_images=6, trials_per_person=6)
    examples = settings_of(study.protocol.content).design.example_images
    assert all(index < 60 for index in examples)
    labels = other_set.open().labels
    assert labels[examples[0]] != labels[examples[1]]


def test_the_images_of_a_study_that_people_tried_out_stay(make_study, other_set):
    study = make_study()
    join_study(study=study, source=Source.PERSON, boxes=BOXES)
    study.participations.update(mode=Mode.PILOT)
    Study.objects.filter(pk=study.pk).update(state=Study.State.DRAFT)
    study.refresh_from_db()
    with pytest.raises(Invalid) as refused:
        changed(study, image_set=other_set, n_mixed_images=6, trials_per_person=6)
    assert "image_set" in refused.value.fields
    assert study.protocol.version == 1


def test_a_draft_in_which_somebody_takes_part_gets_another_version(make_study):
    study = make_study()
    person, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    Study.objects.filter(pk=study.pk).update(state=Study.State.DRAFT)
    study.refresh_from_db()
    before = person.protocol.content
    assert changed(study, bonus="A bonus.").protocol.version == 2
    person.protocol.refresh_from_db()
    assert person.protocol.content == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "taken"}, "slug"),
        ({"slug": "a b"}, "slug"),
        ({"title": ""}, "title"),
        ({"title": "x" * 121}, "title"),
        ({"interface": "guess"}, "interface"),
        ({"seed": -1}, "seed"),
        ({"example_images": (0, 1)}, "example_images"),
        ({"example_images": (0, 1, 2, 119)}, "example_images"),
        ({"payment": Payment("pounds")}, "currency"),
        ({"interface": "select_shuffled", "lambdas_e4": (2500, 7500)}, "lambdas"),
        ({"factors": (Factor("f", "between", (Level("a"),)),)}, "factors"),
    ],
)
def test_a_change_that_cannot_be_carried_out_is_refused_beside_its_field_and_changes_nothing(
    make_study, change, field
):
    make_study("taken", opened=False)
    study = make_study(opened=False)
    before = study.protocol
    with pytest.raises(Invalid) as refused:
        changed(study, **change)
    assert field in refused.value.fields
    study.refresh_from_db()
    assert (study.slug, study.title) == ("small", "Study small")
    assert study.protocol.sha256 == before.sha256


# -- the words


def test_words_that_nobody_wrote_follow_the_settings(make_study):
    study = make_study(opened=False)
    done = changed(study, perspective="100 others", interface="construct", title="Blends")
    twin = make_study("twin", opened=False, perspective="100 others", interface="construct", title="Blends")
    assert done.kept == ()
    assert texts_of(study.protocol.content) == texts_of(twin.protocol.content)


def test_words_that_somebody_wrote_stay_and_are_named(make_study):
    study = make_study(opened=False)
    texts = study.protocol.content["texts"]
    own = {
        **texts,
        "thanks": "Bye.",
        "instructions": ["Set both sliders."],
        "wording": {
            **texts["wording"],
            "confidence_question": "Certain?",
            "perspective": "Say what you see.",
        },
    }
    change_texts(study=study, texts=own, actor=OPERATOR)
    done = changed(study, interface="construct", perspective="100 others")
    after = texts_of(study.protocol.content)
    assert set(done.kept) == {
        "Instructions", "Said at each trial: confidence_question", "Said at each trial: perspective"
    }  # fmt: skip
    assert after.instructions == ("Set both sliders.",)
    assert after.wording["perspective"] == "Say what you see."
    assert after.thanks == "Bye."  # the thanks of either way of asking are the same: nothing to look after
    assert after.short_instructions != texts["short_instructions"]


def test_another_language_brings_its_words_and_leaves_what_was_told_of_the_study(make_study):
    study = make_study(opened=False)
    texts = study.protocol.content["texts"]
    boxes = [*texts["boxes"], {"name": "film", "text": "I may be filmed.", "required": False}]
    change_texts(study=study, texts={**texts, "boxes": boxes}, actor=OPERATOR)
    done = changed(study, language="he")
    after = texts_of(study.protocol.content)
    assert done.kept == ()
    assert after.consent != texts["consent"]
    assert after.boxes[0].text != boxes[0]["text"]
    assert after.boxes[-1].text == "I may be filmed."
    assert after.information["controller"] == demonstration_information()["controller"]
    assert after.information["data"] != texts["information"]["data"]


def test_the_words_that_a_level_brings_follow_the_settings_and_those_of_its_own_stay(make_study):
    own = {"wording": {"perspective": "Say what a crowd would see."}}
    levels = (
        Level("me"),
        Level("others", {"perspective": "100 others"}),
        Level("crowd", {"perspective": "100 others", **own}),
        Level("groups", {"interface": "distribution"}),
    )
    study = make_study(opened=False, factors=(Factor("view", "between", levels),))
    changed(study, language="he")
    twin = make_study("twin", opened=False, factors=(Factor("view", "between", levels),), language="he")
    (after,), (wanted,) = (settings_of(one.protocol.content).factors for one in (study, twin))
    assert after == wanted
    assert after.level("crowd").set["wording"] == own["wording"]
    assert not after.level("groups").set["short_instructions"].isascii()


# -- an opened study


def test_an_opened_study_changes_by_a_new_version_for_those_who_join_from_then_on(study):
    first, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    done = changed(
        study, perspective="100 others", bonus="One pound.", payment=Payment("GBP", 300, 10, "flat", 100)
    )
    second, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    assert (first.protocol.version, second.protocol.version) == (1, 2)
    assert done.protocol == second.protocol
    assert done.protocol.frozen_at is None
    first.protocol.refresh_from_db()
    assert settings_of(first.protocol.content).perspective == "you"
    assert study.conditions.count() == 2


def test_a_version_that_somebody_may_be_reading_is_not_rewritten(study):
    assert changed(study, bonus="One pound.").protocol.version == 2
    assert study.protocols.count() == 2


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (Study.State.PILOT, "End the pilot"),
        (Study.State.OPEN, "Copy the study"),
        (Study.State.PAUSED, "Copy the study"),
    ],
)
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "else"}, "slug"),
        ({"interface": "distribution"}, "interface"),
        ({"n_mixed_images": 14}, "n_mixed_images"),
        ({"lambdas_e4": (2500, 5000)}, "lambdas"),
        ({"trials_per_person": 5}, "trials_per_person"),
        ({"seed": 6}, "seed"),
        ({"same_class": True}, "same_class"),
        ({"checks": 2, "check_images": (0, 1), "trials_per_person": 12}, "checks"),
        ({"example_images": (0, 1, 2, 3)}, "example_images"),
        ({"factors": (Factor("f", "between", (Level("a"), Level("b", {"bonus": "One."}))),)}, "factors"),
    ],
)
def test_what_made_the_places_of_a_study_is_fixed(study, state, why, change, field):
    Study.objects.filter(pk=study.pk).update(state=state)
    study.refresh_from_db()
    with pytest.raises(Invalid) as refused:
        changed(study, **change)
    assert why in refused.value.fields[field][0]
    assert study.protocols.count() == 1


def test_the_images_of_an_opened_study_are_fixed(study, other_set):
    with pytest.raises(Invalid) as refused:
        changed(study, image_set=other_set, n_mixed_images=6)
    assert "image_set" in refused.value.fields


def test_the_words_of_a_level_may_change_in_an_opened_study_and_what_it_does_may_not(make_study):
    def factors(**said):
        return (Factor("f", "between", (Level("a"), Level("b", {"bonus": "One.", **said}))),)

    study = make_study(factors=factors())
    assert changed(study, factors=factors(wording={"question": "How much is there?"})).protocol.version == 2
    with pytest.raises(Invalid):
        changed(study, factors=factors(perspective="100 others"))


def test_more_answers_a_unit_make_places_and_fewer_take_the_free_ones(make_study):
    study = make_study(answers_per_unit=2)
    joined, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    changed(study, answers_per_unit=4)
    assert [batch.slots.count() for batch in study.batches.all()] == [4, 4]
    changed(study, answers_per_unit=1)
    slots = Slot.objects.filter(batch__study=study)
    assert slots.filter(state=Slot.State.HELD).get() == joined.slot
    assert slots.count() == 2


def test_an_opened_study_keeps_telling_people_what_they_must_be_told(study):
    texts = {**study.protocol.content["texts"], "information": {}}
    with pytest.raises(Invalid) as refused:
        changed(study, texts=texts)
    assert "controller" in refused.value.fields


def test_a_title_may_change_and_is_no_version(study):
    texts = {**study.protocol.content["texts"], "consent": "Take part."}
    change_texts(study=study, texts=texts, actor=OPERATOR)
    done = changed(study, title="A better title")
    study.refresh_from_db()
    assert study.title == "A better title"
    assert (done.changed, done.protocol.version) == (True, 2)


def test_of_two_who_change_the_same_content_one_is_told(make_study):
    study = make_study(opened=False)
    read = study.protocol.sha256
    changed(study, read, bonus="A bonus.")
    with pytest.raises(Conflict, match="Somebody else changed this study"):
        changed(study, read, perspective="100 others")
    with pytest.raises(Conflict, match="Somebody else changed this study"):
        change_texts(study=study, texts=study.protocol.content["texts"], actor=OPERATOR, based_on=read)
    assert settings_of(study.protocol.content).perspective == "you"


@pytest.mark.parametrize("paused", [True, False])
def test_of_a_closed_study_rules_and_hypotheses_may_change_and_nothing_else(study, paused):
    if paused:
        pause_study(study=study, actor=OPERATOR)
    close_study(study=study, actor=OPERATOR)
    rules = tuple(replace(rule, excludes=rule.flag == "too_fast") for rule in default_rules())
    hypothesis = Hypothesis("h1", "Seen is not mixed.", "deviation")
    done = changed(study, rules=rules, hypotheses=(hypothesis,))
    assert done.protocol.version == 2
    assert settings_of(study.protocol.content).rules == rules
    for change in ({"bonus": "More."}, {"title": "T"}, {"answers_per_unit": 9}, {"texts": {"thanks": "x"}}):
        with pytest.raises(Conflict, match="rules and hypotheses may change"):
            changed(study, **change)
    with pytest.raises(Invalid):
        changed(study, rules=(replace(rules[0], flag="unheard"),))
    assert study.protocol.version == 2


def test_a_study_of_the_first_version_can_be_changed_and_copied(make_study):
    study = make_study()
    texts = {**V1["texts"], "boxes": [["adult", "I am 18."], ["agree", "I take part."]],
             "information": [["Who is responsible", "Ada"]]}  # fmt: skip
    v1 = {**V1, "texts": texts, "design": {**V1["design"], "repeats": 0},
          "image_set": study.protocol.content["image_set"]}  # fmt: skip
    study.protocols.update(content=v1, sha256=content_sha256(v1))
    copy = copy_study(study=study, slug="copy", title="Copy", actor=OPERATOR)
    assert texts_of(copy.protocol.content).consent == "c"
    assert texts_of(copy.protocol.content).information == {"controller": "Ada"}
    assert [box.name for box in texts_of(copy.protocol.content).boxes] == [
        "adult",
        "agree",
        "publish",
        "contact",
    ]
    assert settings_of(copy.protocol.content).rules == default_rules()
    Study.objects.filter(pk=study.pk).update(state=Study.State.DRAFT)
    study.refresh_from_db()
    assert changed(study, perspective="100 others").changed


# -- who may


def test_only_editors_change_a_protocol(study, researcher):
    with pytest.raises(NotFound):
        changed(study, actor=researcher, bonus="A bonus.")
    membership = Membership.objects.create(user=researcher, study=study, part=Membership.Part.VIEWER)
    with pytest.raises(Forbidden):
        changed(study, actor=researcher, bonus="A bonus.")
    membership.part = Membership.Part.EDITOR
    membership.save()
    assert changed(study, actor=researcher, bonus="A bonus.").changed


# -- copies


def test_a_copy_asks_the_same_and_belongs_to_whoever_made_it(make_study, researcher):
    study = make_study(**FULL)
    change_texts(study=study, texts={**study.protocol.content["texts"], "thanks": "Bye."}, actor=OPERATOR)
    Membership.objects.create(user=researcher, study=study, part=Membership.Part.VIEWER)
    copy = copy_study(study=study, slug="copy", title="Everything", actor=researcher)
    assert (copy.state, copy.source, copy.copied_from) == (Study.State.DRAFT, Source.PERSON, study)
    assert copy.protocol.content == study.protocol.content
    assert (copy.protocol.version, study.protocol.version) == (1, 2)
    assert Membership.objects.get(study=copy).user == researcher
    assert not copy.batches.exists()
    assert (
        AuditEvent.objects.get(action="study.created", object_id=copy.pk).detail["copied_from"] == study.slug
    )


def test_a_copy_under_another_title_invites_to_that_title(make_study):
    study = make_study(title="Blends")
    copy = copy_study(study=study, slug="copy", title="Mixtures", actor=OPERATOR)
    assert "**Mixtures**" in texts_of(copy.protocol.content).consent
    assert "**Blends**" in texts_of(study.protocol.content).consent


def test_a_copy_for_simulated_participants_leaves_the_study_as_it_was(study):
    before = study.protocol.content
    copy = copy_study(study=study, slug="copy", title="Copy", actor=OPERATOR, source=Source.SIMULATED)
    open_study(study=copy, actor=OPERATOR)
    assert copy.watermark
    study.refresh_from_db()
    assert (study.state, study.source, study.protocol.content) == (Study.State.OPEN, Source.PERSON, before)

    def material(one):
        return list(one.batches.order_by("ordinal").values_list("units__pair", "units__mixed_image"))

    assert material(copy) == material(study)


def test_a_study_is_copied_by_who_may_see_it_and_make_studies(study, researcher):
    with pytest.raises(NotFound):
        copy_study(study=study, slug="copy", title="Copy", actor=researcher)
    with pytest.raises(Invalid) as refused:
        copy_study(study=study, slug=study.slug, title="Copy", actor=OPERATOR)
    assert "slug" in refused.value.fields
    assert Study.objects.count() == 1


def test_imported_answers_are_copied_as_a_study_that_people_may_be_asked(image_set):
    plan = StudyPlan(
        "theirs", "Theirs", image_set, design=Design(12, (2500, 5000), 6, 0), texts={"origin": "Elsewhere."}
    )
    study = create_study(plan=plan, source=Source.IMPORTED, actor=OPERATOR)
    copy = copy_study(study=study, slug="ours", title="Ours", actor=OPERATOR)
    assert copy.source == Source.PERSON
    assert "**Ours**" in texts_of(copy.protocol.content).consent
    assert changed(study, rules=()).protocol.content["texts"] == {"origin": "Elsewhere."}
    with pytest.raises(Conflict):
        changed(study, bonus="More.")


# -- at the same moment


@pytest.mark.django_db(transaction=True)
def test_of_two_who_save_at_the_very_same_moment_exactly_one_is_told(make_study):
    study = make_study(opened=False)
    read, plan, start = study.protocol.sha256, plan_of_study(study), Barrier(2)

    def save(bonus):
        start.wait()
        try:
            return change_protocol(
                study=Study.objects.get(pk=study.pk),
                plan=replace(plan, bonus=bonus),
                actor=OPERATOR,
                based_on=read,
            ).changed
        except Conflict:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        saved = dict(zip(("One.", "Two."), threads.map(save, ("One.", "Two.")), strict=True))
    assert sorted(saved.values()) == [False, True]
    (kept,) = [bonus for bonus, won in saved.items() if won]
    assert settings_of(study.protocol.content).bonus == kept
    assert study.protocols.count() == 1


@pytest.mark.parametrize(
    "happening",
    [
        lambda study: changed(study, bonus="A bonus.", title="Else", answers_per_unit=4),
        lambda study: copy_study(study=study, slug="copy", title="Copy", actor=OPERATOR),
    ],
    ids=["change", "copy"],
)
def test_what_cannot_be_written_down_in_the_audit_trail_does_not_happen(make_study, monkeypatch, happening):
    study = make_study()
    before = study.protocol

    def full(*_given, **_said):
        raise OSError("the disk is full")

    monkeypatch.setattr(services.audit, "record", full)
    with pytest.raises(OSError, match="the disk is full"):
        happening(study)
    assert Study.objects.get().title == "Study small"
    assert study.protocols.get().sha256 == before.sha256
    assert Slot.objects.count() == 4
