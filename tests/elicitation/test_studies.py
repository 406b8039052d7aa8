"""Studies from draft to closed, and what cannot be a study."""

from __future__ import annotations

from dataclasses import replace

import pytest

from elicitation.studies.models import Slot, Study, Unit
from elicitation.studies.services import (
    Design,
    StudyPlan,
    close_study,
    create_study,
    open_study,
    pause_study,
    protocol_sha256,
)
from hilmix.accounts.models import AuditEvent, Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Conflict, Forbidden, Invalid, NotFound


@pytest.fixture
def researcher(db):
    return User.objects.create_user("rosa", kind=User.Kind.RESEARCHER)


def test_a_draft_belongs_to_whoever_made_it(image_set, researcher):
    study = create_study(plan=StudyPlan("mine", "Mine", image_set), actor=researcher)
    assert study.state == Study.State.DRAFT
    assert Membership.objects.get(study=study).part == Membership.Part.OWNER
    assert AuditEvent.objects.filter(action="study.created", actor=researcher).exists()


def test_opening_draws_the_design_makes_slots_and_freezes_the_protocol(make_study):
    study = make_study(n_mixed_images=12, trials_per_person=6, answers_per_unit=3)
    assert study.state == Study.State.OPEN
    assert study.batches.count() == 2
    assert Slot.objects.filter(batch__study=study).count() == 6
    assert Unit.objects.filter(batch__study=study).values("mixed_image").distinct().count() == 12
    assert study.protocol.frozen_at is not None
    assert study.protocol.sha256 == protocol_sha256(study.protocol.content)


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
        ({"enlargement": 0}, "enlargement"),
        ({"design": Design(n_mixed_images=0)}, "n_mixed_images"),
        ({"design": Design(trials_per_person=61)}, "trials_per_person"),
        ({"design": Design(repeats=16)}, "repeats"),
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


def test_two_studies_cannot_share_a_link(make_study):
    make_study("same")
    with pytest.raises(Invalid) as refused:
        make_study("same")
    assert "/s/same/" in refused.value.fields["slug"][0]
