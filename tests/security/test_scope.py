"""Whose objects an address, a form or a file may name: those of its own study, and of studies that one may see."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from elicitation.flow.access import token_for
from elicitation.participants.services import link_of
from elicitation.recruiters.services import recruitment_as_plan, set_recruitment
from elicitation.studies.models import Mode, Study
from elicitation.trials.models import TrialImage
from hilmix.accounts.roles import OPERATOR
from hilmix.hub.models import Release
from tests.security.replies import body
from tests.security.routes import ROUTES
from tests.security.test_every_url import ask, undone
from tests.security.world import World, parameters

HIDDEN = "of-somebody-else"


def theirs_elsewhere(world: World) -> dict[str, object]:
    """What belongs to the other study of the same people, by the name of its parameter."""
    study, ours = world.elsewhere, world.study.batches.values("units__mixed_image")
    person = study.participations.get()
    return {
        "mixed_image_id": study.batches.first().units.exclude(mixed_image__in=ours).first().mixed_image_id,
        "public_id": person.public_id,
        "image_id": TrialImage.objects.filter(trial__participation=person).first().pk,
        "report_id": study.problem_reports.get().pk,
        "simulation_id": study.simulations.get().pk,
        "version": study.protocol.version + 1,
    }


OBJECTS = ("mixed_image_id", "public_id", "image_id", "report_id", "simulation_id", "version")
CROSSED = [
    (name, named)
    for name in ROUTES
    if "slug" in parameters(name)
    for named in parameters(name)
    if named in OBJECTS
]


def test_every_address_within_a_study_that_names_an_object_is_tried():
    named = {one for name in ROUTES if "slug" in parameters(name) for one in parameters(name)}
    assert named == {"slug", "move", *OBJECTS}


@pytest.mark.parametrize(("name", "named"), CROSSED)
def test_an_object_of_another_study_is_not_found_through_this_one(world, writes, name, named):
    address = world.address(name, **{named: theirs_elsewhere(world)[named]})
    assert ask(world["owner"], ROUTES[name].verbs.split()[0], name, world).status_code < 400
    for who in ("owner", "admin"):
        for verb in ROUTES[name].verbs.split():
            with undone(), writes() as changes:
                client = world[who].client()
                sent = ROUTES[name].body(world)
                reply = client.post(address, sent) if verb == "POST" else client.generic(verb, address)
            assert (reply.status_code, changes) == (404, []), f"{verb} {address} by {who}"


def test_a_picture_of_somebody_else_is_not_found_through_this_participation(world):
    theirs = TrialImage.objects.filter(trial__participation=world["participant"].participation).first()
    address = world.address("study_participation_picture", image_id=theirs.pk)
    assert world["owner"].client().get(address).status_code == 404


# --- Studies and releases of others -------------------------------------------------------------------------


@pytest.fixture
def hidden(world) -> Release:
    """A release of a study in which nobody of this world is."""
    study = Study.objects.create(slug=HIDDEN, title=f"Title {HIDDEN}", image_set=world.image_set)
    return Release.objects.create(
        study=study, number=1, version="1.0.0", source="person", sha256="0" * 64, counts={}
    )


def planned(client: Client, **fields: object) -> str:
    reply = client.post(reverse("study_planner"), fields, headers={"X-Fragment": "planner"})
    assert reply.status_code == 200
    return reply.content.decode()


def test_the_planner_tells_nothing_of_releases_that_one_may_not_see(world, hidden):
    for who, name in (("stranger", world.release.name), ("owner", hidden.name)):
        client = world[who].client()
        assert name not in planned(client)
        told, of_nothing = (
            planned(client, planner_people=name),
            planned(client, planner_people="no-such@1.0.0"),
        )
        assert told.replace(name, "") == of_nothing.replace("no-such@1.0.0", "")
    assert world.release.name in planned(world["owner"].client())


def test_the_planner_tells_nothing_of_protocols_that_one_may_not_see(world):
    sha256 = world.study.protocol.sha256
    stranger, owner = world["stranger"].client(), world["owner"].client()
    assert planned(stranger, based_on=sha256) == planned(stranger, based_on="0" * 64)
    assert planned(owner, based_on=sha256) != planned(owner, based_on="0" * 64)


def test_nobody_is_simulated_after_a_release_that_one_may_not_see(world, hidden, writes):
    sent = ROUTES["simulate_study"].body(world) | {"release": hidden.pk}
    with writes() as changes:
        reply = world["owner"].client().post(world.address("simulate_study"), sent)
    assert (reply.status_code, changes) == (400, [])
    assert HIDDEN not in reply.content.decode()


def test_a_study_that_one_may_not_see_is_neither_offered_nor_taken_as_excluded(world, hidden, writes):
    owner, address = world["owner"].client(), world.address("study_recruitment")
    assert HIDDEN not in owner.get(address).content.decode()
    sent = ROUTES["study_recruitment"].body(world) | {"excludes": [hidden.study_id]}
    with writes() as changes:
        reply = owner.post(address, sent)
    assert (reply.status_code, changes) == (400, [])
    assert HIDDEN not in reply.content.decode()


def test_a_study_that_an_admin_excluded_is_kept_and_not_told_to_who_may_not_see_it(world, hidden):
    way = world.study.recruitment
    set_recruitment(
        study=world.study,
        recruiter=way.recruiter,
        options=way.options,
        excludes=[hidden.study],
        actor=world["admin"].user,
    )
    for who in ("owner", "editor", "viewer"):
        for name in ("study", "study_toml", "study_recruitment", "study_protocol", "study_versions"):
            reply = world[who].client().get(world.address(name))
            assert HIDDEN.encode() not in body(reply), f"{name} by {who}"
    assert HIDDEN in body(world["admin"].client().get(world.address("study_toml"))).decode()
    sent = ROUTES["study_recruitment"].body(world)
    assert world["owner"].client().post(world.address("study_recruitment"), sent).status_code == 302
    assert recruitment_as_plan(world.study, OPERATOR)["excludes"] == ["elsewhere", HIDDEN]


# --- Replays ------------------------------------------------------------------------------------------------


def test_a_replay_writes_nothing_and_holds_nothing_that_would_let_it(world, writes):
    viewer, seen = world["viewer"].client(), 0
    for person in world.study.participations.all():
        address = world.address("study_replay", public_id=person.public_id)
        secrets = (link_of(person), token_for(person).partition(":")[0], "/api/", "/p/", 'method="post"')
        steps = [step.at for step in viewer.get(address).context["steps"]]
        assert len(steps) > person.trials.count()
        for at in [*steps, "", "-1", "9" * 400, "ø\0", "page-99", "<b>"]:
            with writes() as changes:
                reply = viewer.get(address, {"at": at})
            assert (reply.status_code, changes) == (200, []), at
            assert not [secret for secret in secrets if secret in reply.content.decode()], at
            seen += 1
    assert {Mode.LIVE, Mode.PILOT, Mode.PREVIEW} == {
        *world.study.participations.values_list("mode", flat=True)
    }
    assert seen > 50
