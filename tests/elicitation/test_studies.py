"""Studies from draft to closed, and what cannot be a study."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest

from elicitation.flow.examples import example_image, examples
from elicitation.flow.services import join_study
from elicitation.images.services import import_images
from elicitation.interfaces import INTERFACES
from elicitation.studies.models import Slot, Source, Study, Unit
from elicitation.studies.opening import close_study, open_study, pause_study
from elicitation.studies.protocol import (
    Design,
    Display,
    Flow,
    condition_content,
    content_sha256,
    settings_of,
)
from elicitation.studies.services import StudyPlan, change_texts, create_study
from elicitation.studies.texts import demonstration_information, texts_of
from hilmix.accounts.models import AuditEvent, Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.mixing import lambda_text
from hilmix.errors import Conflict, Forbidden, Invalid, NotFound

BOXES = {"adult": True, "agree": True}


@pytest.fixture
def researcher(db):
    return User.objects.create_user("rosa", kind=User.Kind.RESEARCHER)


def test_a_draft_belongs_to_whoever_made_it(image_set, researcher):
    study = create_study(plan=StudyPlan("mine", "Mine", image_set), actor=researcher)
    assert study.state == Study.State.DRAFT
    assert Membership.objects.get(study=study).part == Membership.Part.OWNER
    assert AuditEvent.objects.filter(action="study.created", actor=researcher).exists()


def test_opening_draws_the_design_and_makes_slots_and_the_first_answer_freezes_the_protocol(make_study):
    study = make_study(n_mixed_images=12, trials_per_person=6, answers_per_unit=3)
    assert study.state == Study.State.OPEN
    assert study.batches.count() == 2
    assert Slot.objects.filter(batch__study=study).count() == 6
    assert Unit.objects.filter(batch__study=study).values("mixed_image").distinct().count() == 12
    assert study.protocol.frozen_at is None
    assert study.protocol.sha256 == content_sha256(study.protocol.content)


def test_a_last_batch_that_is_not_full_wraps_round(make_study):
    study = make_study(n_mixed_images=10, trials_per_person=6)
    assert [batch.units.count() for batch in study.batches.all()] == [6, 6]
    for batch in study.batches.all():
        assert batch.units.values("mixed_image").distinct().count() == 6


def test_parents_come_from_the_training_split_only(study):
    parents = Unit.objects.filter(batch__study=study).values_list("pair__first_index", "pair__second_index")
    assert all(index < 80 for pair in parents for index in pair)


def test_the_state_machine_refuses_what_it_does_not_know(study):
    with pytest.raises(Conflict, match="only a draft or paused"):
        open_study(study=study, actor=OPERATOR)
    pause_study(study=study, actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    close_study(study=study, actor=OPERATOR)
    for move in (open_study, pause_study, close_study):
        with pytest.raises(Conflict):
            move(study=study, actor=OPERATOR)


def test_of_two_who_open_at_once_one_is_told(make_study):
    study = make_study(opened=False)
    twin = Study.objects.get(pk=study.pk)
    open_study(study=study, actor=OPERATOR)
    with pytest.raises(Conflict):
        open_study(study=twin, actor=OPERATOR)
    assert Slot.objects.filter(batch__study=study).count() == 4


def test_only_members_may_and_strangers_do_not_learn_that_it_exists(make_study, researcher):
    study = make_study(opened=False)
    with pytest.raises(NotFound):
        open_study(study=study, actor=researcher)
    Membership.objects.create(user=researcher, study=study, part=Membership.Part.EDITOR)
    with pytest.raises(Forbidden):
        open_study(study=study, actor=researcher)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "has space"}, "slug"),
        ({"title": " "}, "title"),
        ({"perspective": "nobody"}, "perspective"),
        ({"language": "xx"}, "language"),
        ({"interface": "guess"}, "interface"),
        ({"options": {"speed": 1}}, "options"),
        ({"bonus": "x" * 2001}, "bonus"),
        ({"timing_reason": "x" * 2001}, "timing_reason"),
        ({"display": Display(enlargement=0)}, "enlargement"),
        ({"display": Display(enlargement=65)}, "enlargement"),
        ({"display": Display(pixels="points")}, "pixels"),
        ({"display": Display(resampling="lanczos")}, "resampling"),
        ({"display": Display(exposure_ms=19)}, "exposure_ms"),
        ({"display": Display(exposure_ms=60_001)}, "exposure_ms"),
        ({"display": Display(exposure_ms=500), "interface": "construct"}, "exposure_ms"),
        ({"flow": Flow(max_comprehension_rounds=0)}, "max_comprehension_rounds"),
        ({"flow": Flow(max_comprehension_rounds=21)}, "max_comprehension_rounds"),
        ({"flow": Flow(break_every=4)}, "break_every"),
        ({"flow": Flow(resume_gap_minutes=0)}, "resume_gap_minutes"),
        ({"flow": Flow(withdraw_days=3651)}, "withdraw_days"),
        ({"flow": Flow(withdrawal="keep")}, "withdrawal"),
        ({"interface": "select_shuffled", "design": Design(lambdas_e4=(2500, 7500))}, "lambdas"),
        ({"interface": "construct", "design": Design(checks=2, check_images=(0, 1))}, "checks"),
        ({"design": Design(n_mixed_images=0)}, "n_mixed_images"),
        ({"design": Design(trials_per_person=61)}, "trials_per_person"),
        ({"design": Design(repeats=16)}, "repeats"),
        ({"design": Design(trials_per_person=17, repeats=1)}, "repeats"),
        ({"design": Design(trials_per_person=30, repeats=8)}, "repeats"),
        ({"design": Design(checks=1, check_images=(0, 1))}, "checks"),
        ({"design": Design(checks=7, check_images=tuple(range(7)))}, "checks"),
        ({"design": Design(checks=2, check_images=(0,))}, "check_images"),
        ({"design": Design(checks=2, check_images=(0, 0))}, "check_images"),
        ({"design": Design(checks=2, check_images=(0, 80))}, "check_images"),
        ({"design": Design(checks=2)}, "check_images"),
        ({"design": Design(check_images=(0, 1))}, "check_images"),
        ({"design": Design(example_images=(0, 1))}, "example_images"),
        ({"design": Design(example_images=(0, 1, 2, 3, 5))}, "example_images"),
        ({"design": Design(example_images=(0, 1, 2, 100))}, "example_images"),
        ({"design": Design(example_images=(0, 1, 2, 6))}, "example_images"),
        ({"design": Design(example_images=(0, 1, 2, 3), checks=2, check_images=(3, 4))}, "example_images"),
        ({"design": Design(answers_per_unit=0)}, "answers_per_unit"),
        ({"design": Design(lambdas_e4=(2500, 2500))}, "lambdas"),
        ({"design": Design(lambdas_e4=(10_001,))}, "lambdas"),
        ({"design": Design(lease_minutes=1)}, "lease_minutes"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_beside_its_field(image_set, change, field):
    with pytest.raises(Invalid) as refused:
        create_study(plan=replace(StudyPlan("s", "S", image_set), **change), actor=OPERATOR)
    assert field in refused.value.fields
    assert not Study.objects.exists()


@pytest.mark.parametrize(
    "design",
    [
        Design(trials_per_person=18, repeats=1),
        Design(trials_per_person=30, repeats=7),
        Design(checks=6, check_images=tuple(range(6))),
        Design(checks=2, check_images=(0, 1), example_images=(2, 3, 4, 5, 6, 7)),
    ],
)
def test_a_plan_at_the_limits_is_accepted(image_set, design):
    study = create_study(plan=StudyPlan("s", "S", image_set, design=design), actor=OPERATOR)
    assert settings_of(study.protocol.content).design.repeats == design.repeats


def test_two_studies_cannot_share_a_link(make_study):
    make_study("same")
    with pytest.raises(Invalid) as refused:
        make_study("same")
    assert "/s/same/" in refused.value.fields["slug"][0]


def test_a_protocol_holds_the_whole_plan_and_is_read_back_as_it_was(make_study):
    said = {
        "options": {"randomize_question_order": True},
        "perspective": "100 others",
        "bonus": "One in ten gets a bonus, drawn by lot.",
        "timing_reason": "",
        "display": Display(enlargement=4, pixels="device", resampling="bicubic", exposure_ms=500),
        "flow": Flow(max_comprehension_rounds=2, break_every=0, withdraw_days=7, withdrawal="anonymise"),
    }
    study = make_study(opened=False, **said)
    study.refresh_from_db()
    settings = settings_of(study.protocol.content)
    assert settings.options["randomize_question_order"] is True
    for name in said.keys() - {"options"}:
        assert getattr(settings, name) == said[name]
    assert (settings.interface, settings.interface_version) == ("infer", INTERFACES["infer"].VERSION)
    assert study.protocol.content["image_set"]["sha256"] == study.image_set.sha256


@pytest.mark.parametrize(
    "change",
    [
        {"perspective": "100 others"},
        {"bonus": "One in ten gets a bonus."},
        {"display": Display(enlargement=2)},
        {"options": {"randomize_question_order": True}},
    ],
)
def test_another_way_of_asking_is_another_condition(make_study, change):
    def condition(study):
        content = study.protocol.content
        return content_sha256(condition_content(settings_of(content), texts_of(content).wording))

    assert condition(make_study("a", title="T")) == condition(make_study("b", title="T", seed=9))
    assert condition(make_study("c", title="T", **change)) != condition(make_study("d", title="T"))


V1 = {
    "interface": {"name": "infer", "version": 1},
    "image_set": {"name": "noise", "sha256": "ab"},
    "design": {"n_mixed_images": 12, "lambdas_e4": [2500, 5000, 7500], "trials_per_person": 6, "repeats": 1,
               "answers_per_unit": 2, "seed": 5, "same_class": False, "lease_minutes": 60},
    "perspective": "you",
    "display": {"enlargement": 4},
    "max_comprehension_rounds": 3,
    "texts": {"consent": "c", "information": [["How long", "ten minutes"]], "boxes": [["adult", "I am 18."]],
              "instructions": ["i"], "comprehension": [], "question": "How much?",
              "confidence_question": "How sure?", "thanks": "t"},
}  # fmt: skip


def test_a_protocol_of_the_first_version_is_read_with_what_it_stood_for():
    settings = settings_of(V1)
    assert settings.design.lambdas_e4 == (2500, 5000, 7500)
    assert settings.flow == Flow(max_comprehension_rounds=3, break_every=0)
    assert settings.display == Display(enlargement=4)
    assert settings.timing_reason


def test_who_joins_a_study_of_the_first_version_is_asked_under_the_condition_its_answers_were_given():
    migration = importlib.import_module("elicitation.migrations.0003_condition_of_every_trial")
    now = condition_content(settings_of(V1), texts_of(V1).wording)
    assert content_sha256(now) == content_sha256(migration.condition_of(V1))


def test_a_study_of_the_first_version_goes_on(make_study):
    study = make_study()
    texts = {**V1["texts"], "boxes": [["adult", "I am 18."], ["agree", "I take part."]]}
    content = {**V1, "texts": texts}
    study.protocols.update(content=content, sha256=content_sha256(content))
    participation, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    assert participation.trials.count() == 7
    settings = settings_of(study.protocol.content)
    shown = Unit.objects.filter(batch__study=study).values_list("pair__first_index", "pair__second_index")
    assert [example["images"] for example in examples(study, settings)] == [1, 1]
    assert example_image(study, settings, 0, 0).shape == (4, 4, 1)
    assert shown.exists()


# -- pairs as units


@pytest.mark.parametrize("interface", ["select_shuffled", "construct"])
def test_a_study_about_pairs_has_pairs_as_units_and_their_mixed_images_at_every_lambda(make_study, interface):
    study = make_study(interface=interface, lambdas_e4=(0, 2500, 5000, 7500, 10_000))
    units = Unit.objects.filter(batch__study=study)
    assert units.filter(mixed_image=None).count() == units.count() == 12
    assert units.values("pair").distinct().count() == 12
    for unit in units:
        assert sorted(unit.pair.mixed_images.values_list("lambda_e4", flat=True)) == [
            0,
            2500,
            5000,
            7500,
            10_000,
        ]


@pytest.mark.parametrize("interface", list(INTERFACES))
def test_no_two_units_of_a_batch_share_a_parent(make_study, interface):
    study = make_study(interface=interface, n_mixed_images=40, trials_per_person=16)
    for batch in study.batches.all():
        pairs = batch.units.values_list("pair__first_index", "pair__second_index")
        parents = [index for pair in pairs for index in pair]
        assert len(parents) == len(set(parents)) == 32


def test_an_image_set_that_is_too_small_for_a_batch_is_refused_and_the_study_stays_a_draft(make_study):
    study = make_study(opened=False, n_mixed_images=60, trials_per_person=60)
    with pytest.raises(Invalid, match="too few images for this design"):
        open_study(study=study, actor=OPERATOR)
    study.refresh_from_db()
    assert study.state == Study.State.DRAFT
    assert not Unit.objects.exists()


def test_a_draft_that_leaves_no_room_for_its_repeats_is_told_so_when_it_opens(make_study):
    """hilmix 0.1 took such a design."""
    study = make_study(opened=False)
    study.protocols.update(content={**study.protocol.content, "design": V1["design"]})
    with pytest.raises(Invalid, match="so 1 repeats need 18 trials a person"):
        open_study(study=study, actor=OPERATOR)


# -- examples


def parents_shown(study):
    units = Unit.objects.filter(batch__study=study)
    checks = study.check_images.values_list(
        "mixed_image__pair__first_index", "mixed_image__pair__second_index"
    )
    shown = [*units.values_list("pair__first_index", "pair__second_index"), *checks]
    return {index for pair in shown for index in pair}


@pytest.mark.parametrize("chosen", [(), (0, 1, 2, 3, 9, 14)])
def test_images_of_the_instructions_are_reserved_and_in_no_trial(make_study, chosen):
    study = make_study(n_mixed_images=30, trials_per_person=10, example_images=chosen, checks=2,
                       check_images=(4, 5, 6))  # fmt: skip
    reserved = study.protocol.content["design"]["example_images"]
    assert list(chosen or reserved) == list(reserved)
    assert len(reserved) == (len(chosen) or 4)
    assert parents_shown(study).isdisjoint(reserved)
    assert all(index < 80 for index in reserved)


def test_a_study_whose_instructions_show_a_picture_of_its_trials_cannot_open(db, settings, tmp_path):
    """Image 4 is the picture of image 0 once more, under another number."""
    settings.VAR = tmp_path / "var"
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), dtype=np.uint8)
    images[4] = images[0]
    twins = import_images(
        name="twins", kind="npz", images=images, labels=np.arange(20) % 2, classes=["ant", "bee"],
        splits={"train": np.arange(20)}, actor=OPERATOR,
    )  # fmt: skip
    design = Design(n_mixed_images=8, trials_per_person=8, repeats=0, example_images=(0, 1, 2, 3))
    plan = StudyPlan("s", "S", twins, design=design, information=demonstration_information())
    study = create_study(plan=plan, actor=OPERATOR)
    with pytest.raises(Conflict, match="the same picture: 0 and 4"):
        open_study(study=study, actor=OPERATOR)
    assert Study.objects.get().state == Study.State.DRAFT


@pytest.mark.parametrize("interface", list(INTERFACES))
def test_examples_are_shown_as_trials_are_and_say_no_lambda(make_study, interface):
    study = make_study(interface=interface, lambdas_e4=(1700, 3900, 6100, 8300))
    settings = settings_of(study.protocol.content)
    told = examples(study, settings)
    assert len(told) == 2
    for number, example in enumerate(told):
        assert example["images"] == (4 if INTERFACES[interface].UNIT == "pair" else 1)
        pictures = [example_image(study, settings, number, order) for order in range(example["images"])]
        assert len({picture.tobytes() for picture in pictures}) == example["images"]
        for value in settings.design.lambdas_e4:
            assert lambda_text(value) not in str(example)
            assert str(value) not in str(example)
    for number, order in ((2, 0), (0, told[0]["images"])):
        with pytest.raises(NotFound):
            example_image(study, settings, number, order)


def test_an_example_of_a_row_runs_from_what_is_named_on_the_left(make_study):
    study = make_study(interface="construct", lambdas_e4=(0, 5000, 10_000))
    settings, opened = settings_of(study.protocol.content), study.image_set.open()
    for number, example in enumerate(examples(study, settings)):
        pair = settings.design.example_images[2 * number : 2 * number + 2]
        named = {opened.classes[opened.labels[index]]: index for index in pair}
        for order, side in ((0, "left_class"), (2, "right_class")):
            shown = example_image(study, settings, number, order)
            assert np.array_equal(shown, opened.images[named[example["params"][side]]])


# -- what people are told


def test_a_study_for_people_opens_only_when_they_are_told_what_they_must_be(make_study):
    study = make_study(opened=False, information={"controller": "Ada's group"})
    with pytest.raises(Invalid, match="the consent page must say: purpose, legal basis") as refused:
        open_study(study=study, actor=OPERATOR)
    assert "contact" in refused.value.fields
    assert "controller" not in refused.value.fields
    texts = {**study.protocol.content["texts"], "information": demonstration_information()}
    change_texts(study=study, texts=texts, actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    assert study.protocol.version == 1


def test_a_study_for_simulated_participants_opens_without(make_study):
    assert make_study(source=Source.SIMULATED, information={}).state == Study.State.OPEN


def texts_with(study, **change):
    return {**study.protocol.content["texts"], **change}


def test_changed_texts_are_a_new_version_for_those_who_join_from_then_on(study):
    before, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    protocol = change_texts(study=study, texts=texts_with(study, thanks="Thanks a lot."), actor=OPERATOR)
    after, _new = join_study(study=study, source=Source.PERSON, boxes=BOXES)
    assert [before.protocol.version, after.protocol.version] == [1, 2]
    assert protocol.sha256 == content_sha256(protocol.content) != before.protocol.sha256
    assert protocol.frozen_at is None
    assert study.conditions.count() == 1  # the thanks are said after the last answer
    assert AuditEvent.objects.filter(action="study.texts_changed").count() == 1


def test_other_words_at_the_trials_are_another_condition(study):
    join_study(study=study, source=Source.PERSON, boxes=BOXES)
    wording = {**study.protocol.content["texts"]["wording"], "perspective": "Say what others would say."}
    change_texts(study=study, texts=texts_with(study, wording=wording), actor=OPERATOR)
    join_study(study=study, source=Source.PERSON, boxes=BOXES)
    assert study.conditions.count() == 2


def test_texts_that_are_the_same_change_nothing(study):
    protocol = change_texts(study=study, texts=texts_with(study), actor=OPERATOR)
    assert protocol.version == 1
    assert not AuditEvent.objects.filter(action="study.texts_changed").exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"consent": " "}, "consent"),
        ({"boxes": []}, "boxes"),
        ({"information": {}}, "controller"),
    ],
)
def test_an_open_study_refuses_texts_that_a_participant_could_not_be_shown(study, change, field):
    with pytest.raises(Invalid) as refused:
        change_texts(study=study, texts=texts_with(study, **change), actor=OPERATOR)
    assert field in refused.value.fields
    assert study.protocols.count() == 1


def test_texts_of_a_closed_study_stay_as_they_were(study):
    close_study(study=study, actor=OPERATOR)
    with pytest.raises(Conflict, match="is closed"):
        change_texts(study=study, texts=texts_with(study, thanks="Bye."), actor=OPERATOR)


def test_only_editors_change_texts(study, researcher):
    with pytest.raises(NotFound):
        change_texts(study=study, texts=texts_with(study, thanks="Bye."), actor=researcher)
    membership = Membership.objects.create(user=researcher, study=study, part=Membership.Part.VIEWER)
    with pytest.raises(Forbidden):
        change_texts(study=study, texts=texts_with(study, thanks="Bye."), actor=researcher)
    membership.part = Membership.Part.EDITOR
    membership.save()
    assert change_texts(study=study, texts=texts_with(study, thanks="Bye."), actor=researcher).version == 2
