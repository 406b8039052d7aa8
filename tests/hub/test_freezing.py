"""What is chosen for a release, the version that follows from what changed, and the pages that show both."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from elicitation.flow.saving import Incoming, save_responses
from elicitation.flow.services import join_study
from elicitation.flow.simulation import simulate_participant
from elicitation.studies.models import Protocol, Source
from elicitation.studies.protocol import content_sha256
from elicitation.studies.reading import reading_of
from elicitation.studies.texts import PUBLISH, texts_of
from elicitation.trials.asking import asked_of
from elicitation.trials.models import Trial
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.judgements import PerceivedLambda
from hilmix.core.release import open_release
from hilmix.errors import Conflict, Invalid
from hilmix.hub.importers.hmix import import_hmix
from hilmix.hub.models import Freeze, Release
from hilmix.hub.pages import _why_in_words
from hilmix.hub.release_options import proposed_options
from hilmix.hub.releases import Unchanged, freeze_release, queue_freeze
from hilmix.hub.start_api import release_made
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import KINDS
from tests.hub.conftest import DESIGN
from tests.hub.test_quality_in_releases import take_part

FORM = {
    "images": "recipe-only",
    "licence": "CC-BY-SA-4.0",
    "creators": "Ann Other\r\n\r\nBea Nobody\r\n",
    "description": "Two people looked at blends.",
}


@pytest.fixture
def study(make_study):
    study = make_study()
    for seed in (1, 2):
        simulate_participant(study=study, seed=seed)
    return study


@pytest.fixture
def owner(client, study) -> User:
    owner = User.objects.create_user("owner", kind=User.Kind.RESEARCHER, first_name="Olga", last_name="Owner")
    Membership.objects.create(user=owner, study=study, part=Membership.Part.OWNER)
    client.force_login(owner)
    return owner


def freeze(study, **changed) -> Release:
    options = replace(proposed_options(study), **changed)
    return freeze_release(study=study, actor=OPERATOR, progress=Progress(), options=options)


# --- what is chosen


def test_the_first_release_is_proposed_with_pictures_a_common_licence_and_its_owners(study, owner):
    proposed = proposed_options(study)
    assert (proposed.images, proposed.licence, proposed.creators) == ("included", "CC-BY-4.0", ["Olga Owner"])
    assert "simulated" in proposed.description


def test_the_next_release_is_proposed_as_the_last_one_was_made(study):
    freeze(study, images="recipe-only", licence="CC0-1.0", creators=["Ann", "Bea"], description="Blends.")
    proposed = proposed_options(study)
    assert (proposed.images, proposed.licence) == ("recipe-only", "CC0-1.0")
    assert (proposed.creators, proposed.description) == (["Ann", "Bea"], "Blends.")


def test_a_release_without_pictures_has_recipes_only(study):
    opened = open_release(freeze(study, images="recipe-only").directory)
    assert (opened.manifest["images"], opened.has_images) == ("recipe-only", False)
    assert opened.images(image_set=study.image_set.open()).shape == (6, 4, 4, 3)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"images": "some"}, "images"),
        ({"licence": "WTFPL"}, "licence"),
        ({"creators": []}, "creators"),
        ({"creators": ["Ann", " "]}, "creators"),
        ({"creators": ["Ann\nBea"]}, "creators"),
        ({"description": " "}, "description"),
    ],
)
def test_what_cannot_be_chosen_is_refused_by_its_name(study, wrong, field):
    with pytest.raises(Invalid) as error:
        freeze(study, **wrong)
    assert set(error.value.fields) == {field}
    assert not Release.objects.exists()


def test_a_licence_that_the_images_forbid_blocks_pictures_but_not_recipes(study):
    study.image_set.licence = "CC-BY-ND-4.0"
    study.image_set.save()
    with pytest.raises(Conflict, match=r"does not let changed copies be passed on\. Freeze the recipes only"):
        freeze(study)
    assert freeze(study, images="recipe-only").images == Release.Images.RECIPE_ONLY


def test_an_imported_study_keeps_the_licence_it_came_with(image_set, tmp_path):
    from tests.hub.test_import_hmix import published_rows, write

    imported = import_hmix(
        directory=write(tmp_path, published_rows()), image_set=image_set, actor=OPERATOR
    ).study
    assert proposed_options(imported).licence == "unstated"
    imported.imported_by.licence = "CC-BY-SA-4.0"
    imported.imported_by.save()
    assert proposed_options(imported).licence == "CC-BY-SA-4.0"
    with pytest.raises(Conflict, match="asks that what is made of them has the same licence"):
        freeze(imported, licence="CC-BY-4.0")
    assert freeze(imported).opened.manifest["licences"]["imported"] == "CC-BY-SA-4.0"


def test_the_manifest_says_when_and_with_whose_consent_was_answered(study):
    manifest = open_release(freeze(study).directory).manifest
    today = timezone.now().date().isoformat()
    assert manifest["collected"] == {"from": today, "to": today}
    assert manifest["consent"] == ["Nobody was asked: the answers are simulated."]
    assert {one["measure"] for one in manifest["agreement"]} <= {
        "ICC(1) of perceived λ",
        "ICC(1) of perceived λ − g(λ)",
    }


def test_consent_is_told_in_the_words_that_people_met(make_study):
    size = {"n_mixed_images": 12, "trials_per_person": 12, "answers_per_unit": 6}
    design = replace(DESIGN, **size, checks=2, check_images=(0, 1, 2, 3))
    study = make_study("people", source=Source.PERSON, design=design)
    first = {box.name: box.text for box in texts_of(study.protocol.content).boxes}
    agree_and_answer(study)
    agree_and_answer(study, publish=False)
    agree_and_answer(study, kinds=(Trial.Kind.CHECK,))
    texts = study.protocol.content["texts"]
    asked = [box for box in texts["boxes"] if box["name"] != PUBLISH]
    asked[0] = {**asked[0], "text": "I am grown up."}
    content = {**study.protocol.content, "texts": {**texts, "boxes": asked}}  # as hilmix 0.1 let one write it
    Protocol.objects.create(study=study, version=2, content=content, sha256=content_sha256(content))
    agree_and_answer(study)
    agree_and_answer(study)
    assert open_release(freeze(study).directory).manifest["consent"] == [
        "Of 4 participants who answered, this release holds the answers of 3, under pseudonyms, and of no others.",
        f"1 of them agreed to publication by choosing “{first[PUBLISH]}”",
        "No separate question about publication was asked of 2 of them.",
        f"To take part, 1 of them agreed: “{first['adult']}”",
        f"To take part, 3 of them agreed: “{first['agree']}”",
        "To take part, 2 of them agreed: “I am grown up.”",
    ]


def agree_and_answer(study, *, publish: bool = True, kinds: Sequence[str] = tuple(Trial.Kind)) -> None:
    """Somebody who ticks the boxes and answers the trials of these kinds."""
    boxes = {"adult": True, "agree": True, "publish": publish}
    participation, _new = join_study(study=study, source=study.source, boxes=boxes)
    reading, rng = reading_of(participation.protocol), np.random.default_rng(0)
    answers = []
    for trial in participation.trials.filter(kind__in=kinds).select_related("pair"):
        asked = asked_of(trial, reading.settings, reading.classes, participation.drawn)
        payload = reading.interface.payload_for(PerceivedLambda(0.3, 0.5), asked, rng)
        answers.append(Incoming(uuid.uuid4(), trial.position, payload, rt_ms=900))
    save_responses(participation=participation, epoch=0, answers=answers)


# --- versions


def test_another_package_of_the_same_records_is_a_patch(study):
    first = freeze(study)
    second = freeze(study, creators=["Somebody Else"])
    assert (second.version, second.previous, second.change["level"]) == ("1.0.1", first, "patch")
    assert open_release(second.directory).manifest["previous"]["version"] == "1.0.0"
    with pytest.raises(Unchanged):
        freeze(study)


def test_a_record_that_is_gone_is_a_major_change(study):
    freeze(study)
    gone = study.participations.earliest("pk")
    for trial in gone.trials.all():
        trial.response.delete()
    release = freeze(study)
    assert (release.version, release.change["level"]) == ("2.0.0", "major")
    assert release.change["tables"]["responses"]["gone"] == gone.trials.count()
    assert release.change["tables"]["participants"]["gone"] == 0  # who was asked, and now says nothing


def test_somebody_who_no_longer_counts_is_told_among_the_reasons(study):
    freeze(study)
    study.participations.filter(pk=study.participations.earliest("pk").pk).update(invalid_at=timezone.now())
    release = freeze(study)
    assert release.change["left_out"]["invalid"] in ([0, 6], (0, 6))
    assert release.change["level"] == "major"  # a record of the participant and of every answer changed


# --- pages


def test_the_form_shows_what_is_proposed_and_queues_what_was_chosen(study, owner, client):
    address = reverse("freeze_release", args=["blends"])
    page = client.get(address).text
    assert "Olga Owner" in page
    assert "CC-BY-4.0" in page
    reply = client.post(address, FORM)
    job = Job.objects.get()
    assert reply.url == reverse("job", args=[job.pk])
    wish = Freeze.objects.get()
    assert (job.object_id, wish.options["creators"]) == (str(wish.pk), ["Ann Other", "Bea Nobody"])
    KINDS[job.kind].handler(Progress(), job.object_id)
    wish.refresh_from_db()
    manifest = wish.release.opened.manifest
    assert (manifest["images"], manifest["licences"]["answers"]) == ("recipe-only", "CC-BY-SA-4.0")
    KINDS[job.kind].handler(Progress(), job.object_id)  # a retried job makes no second one
    assert Release.objects.count() == 1
    assert "recipe-only" in client.get(address).text  # which is proposed next


def test_what_the_form_refuses_is_said_beside_the_field(study, owner, client):
    reply = client.post(
        reverse("freeze_release", args=["blends"]), {**FORM, "creators": " \n ", "description": ""}
    )
    assert reply.status_code == 400
    assert reply.text.count("errorlist") == 2
    assert not Job.objects.exists()


def test_a_licence_conflict_is_said_on_the_form(study, owner, client):
    study.image_set.licence = "CC-BY-NC-4.0"
    study.image_set.save()
    sent = {**FORM, "images": "included", "licence": "CC-BY-4.0"}
    reply = client.post(reverse("freeze_release", args=["blends"]), sent)
    assert reply.status_code == 400
    assert "forbids commercial use" in reply.text


def test_an_editor_may_not_open_the_form(study, client):
    editor = User.objects.create_user("editor", kind=User.Kind.RESEARCHER)
    Membership.objects.create(user=editor, study=study, part=Membership.Part.EDITOR)
    client.force_login(editor)
    assert client.get(reverse("freeze_release", args=["blends"])).status_code == 403


def test_the_form_says_beforehand_how_much_may_be_published(make_study, client):
    study = make_study("asked", source=Source.PERSON)
    person = take_part(study)
    client.force_login(User.objects.create_user("admin", kind=User.Kind.ADMIN))
    address = reverse("freeze_release", args=["asked"])
    exports = reverse("study_exports", args=["asked"])
    for page in (client.get(address).text, client.get(exports).text):
        assert "Answers of 0 of 1 participants may be published." in page
        assert 'class="button button-primary"' not in page
    refused = client.post(exports, {"format": "csv"})
    assert (refused.status_code, Job.objects.count()) == (409, 0)
    assert f"Nobody who answered “{study.title}” agreed" in refused.text
    assert "Export answers" in refused.text
    person.consent.publish = True
    person.consent.save()
    assert "Answers of 1 of 1 participants may be published." in client.get(address).text


def test_nothing_new_to_freeze_is_no_failure(study, owner, client):
    release = freeze(study)
    job = queue_freeze(study=study, actor=owner)
    logged = Logged()
    KINDS[job.kind].handler(logged, job.object_id)
    assert "Nothing has changed since release blends@1.0.0; it stands for the same content." in logged.lines
    assert Release.objects.count() == 1
    Job.objects.update(state=JobState.DONE)
    assert reverse("release", args=[release.pk]) in client.get(reverse("job", args=[job.pk])).text
    assert release_made(job.object_id) == reverse("api_release", args=[release.pk])


class Logged(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, text: str) -> None:
        self.lines.append(text)


def test_why_answers_are_in_no_label_is_said_in_words():
    assert _why_in_words("excluded: too_fast, other") == (
        "participation left out by a rule: answered faster than one can look, other"
    )
    assert _why_in_words("invalid") == "participation marked as not to count"
    assert _why_in_words("repeat") == "repeat"


def test_the_page_of_changes_says_what_differs(study, owner, client):
    first = freeze(study)
    simulate_participant(study=study, seed=3)
    second = freeze(study)
    page = client.get(reverse("release_changes", args=[second.pk])).text
    assert "A minor change, so version 1.1.0" in page
    assert first.name in page
    assert "human_lambda_shrunk" in page  # how far its labels moved
    assert f"infer, you ({study.conditions.get().key})" in page
    assert "mixed_images" not in page
    assert "compared with none" in client.get(reverse("release_changes", args=[first.pk])).text
    assert (
        reverse("release_changes", args=[second.pk]) in client.get(reverse("release", args=[second.pk])).text
    )


def test_the_command_takes_what_is_to_be_chosen(study):
    call_command("freeze_release", "blends", images="recipe-only", licence="CC0-1.0", creators=["Ann", "Bea"])
    manifest = Release.objects.get().opened.manifest
    assert (manifest["images"], manifest["creators"]) == ("recipe-only", ["Ann", "Bea"])
    with pytest.raises(CommandError, match="There is no licence 'mine'"):
        call_command("freeze_release", "blends", licence="mine")


def test_queueing_refuses_at_once_what_could_not_be_made(study, owner):
    with pytest.raises(Invalid):
        queue_freeze(study=study, actor=owner, options=replace(proposed_options(study), licence="mine"))
    assert not Freeze.objects.exists()
    assert study.source == Source.SIMULATED
