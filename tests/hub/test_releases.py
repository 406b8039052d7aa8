from __future__ import annotations

import json
import os
import re
import time
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from elicitation.flow.simulation import simulate_participant
from elicitation.flow.withdrawal import withdraw
from elicitation.images.models import ImageSet
from elicitation.studies.models import Source, Study
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, create_study
from elicitation.trials.models import Response
from hilmix.accounts.models import AuditEvent, Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.release import open_release
from hilmix.errors import Conflict, Forbidden, NotFound
from hilmix.hub import releases
from hilmix.hub.models import Freeze, Release
from hilmix.hub.release_options import proposed_options
from hilmix.hub.releases import Unchanged, carry_out, freeze_release, queue_freeze
from hilmix.jobs.models import Job
from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.jobs.registry import KINDS

DESIGN = Design(
    n_mixed_images=18, lambdas_e4=(2500, 7500), trials_per_person=18, repeats=1, answers_per_unit=3
)


@pytest.fixture
def study(larger_image_set: ImageSet) -> Study:
    """An open study that two simulated participants answered; a third may come."""
    plan = StudyPlan(slug="blends", title="Blends", image_set=larger_image_set, design=DESIGN)
    study = create_study(plan=plan, source=Source.SIMULATED, actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    for seed in (1, 2):
        simulate_participant(study=study, seed=seed)
    return study


def freeze(study: Study) -> Release:
    return freeze_release(study=study, actor=OPERATOR, progress=Progress())


def left_in_the_releases_folder(settings) -> list[Path]:
    folder = Path(settings.VAR) / "releases"
    return list(folder.iterdir()) if folder.is_dir() else []


def test_a_release_holds_what_was_answered_and_opens_without_the_database(study):
    release = freeze(study)
    opened = open_release(release.directory)
    assert (release.name, release.number, release.sha256) == ("blends@1.0.0", 1, opened.sha256)
    assert (opened.name, opened.version, opened.source) == ("blends", "1.0.0", "simulated")
    assert (
        release.counts
        == opened.manifest["counts"]
        == {"participants": 2, "responses": 38, "mixed_images": 18}
    )
    assert {"human_lambda", "human_lambda_shrunk", "population_curve", "mixup"} <= set(opened.policies)
    assert not {"hmix_weighted", "random"} & set(opened.policies)  # published recipes and controls
    assert opened.images().shape == (18, 4, 4, 3)
    assert opened.labels("mixup").max(axis=1).tolist() == [0.75] * 18
    assert opened.image_set_sha256 == study.image_set.sha256
    assert opened.manifest["protocol_sha256"] == study.protocol.sha256
    assert AuditEvent.objects.filter(action="release.frozen", object_id=str(release.pk)).exists()


def test_every_answer_is_in_the_table_as_it_was_given(study):
    rows = open_release(freeze(study).directory).table("responses").to_pylist()
    stored = Response.objects.select_related("trial").order_by("trial__position")
    said = {row["participant"]: [] for row in rows}  # in the order of the pseudonyms, by position
    for row in rows:
        said[row["participant"]].append(json.loads(row["payload"]))
    assert list(said) == sorted(said)
    given = {response.trial.participation_id: [] for response in stored}
    for response in stored:
        given[response.trial.participation_id].append(response.payload)
    assert all(payloads in given.values() for payloads in said.values())
    assert len(said) == len(given)
    for row in rows:
        assert row["counted"] == (not row["repeat"] and not row["cannot_tell"])
        if row["perceived_lambda"] is not None:
            percent = json.loads(row["payload"])["mixing_percent"]
            expected = 1 - percent / 100 if row["left"] == "first" else percent / 100
            assert row["perceived_lambda"] == pytest.approx(expected)


def test_nobody_in_a_release_can_be_led_back(study):
    directory = freeze(study).directory
    public_ids = list(study.participations.values_list("public_id", flat=True))
    for path in directory.rglob("*"):
        if path.suffix in {".csv", ".json", ".md"}:
            assert not any(public_id in path.read_text("utf-8") for public_id in public_ids)
    names = open_release(directory).table("participants")["participant"].to_pylist()
    assert all(re.fullmatch(r"p[0-9a-f]{14}", name) for name in names)


def test_the_raw_mean_label_is_the_mean_of_the_counted_answers(study):
    opened = open_release(freeze(study).directory)
    rows = opened.table("responses").to_pylist()
    for row in opened.table("labels").to_pylist():
        if row["policy"] == "human_lambda" and row["n"]:
            said = [r["perceived_lambda"] for r in rows if r["key"] == row["key"] and r["counted"]]
            assert (len(said), np.mean(said)) == (row["n"], pytest.approx(row["lambda"]))


def test_a_second_release_without_a_change_is_refused_and_leaves_nothing(study, settings):
    release = freeze(study)
    with pytest.raises(Unchanged, match=r"Nothing has changed since release blends@1\.0\.0"):
        freeze(study)
    assert Release.objects.get() == release
    assert left_in_the_releases_folder(settings) == [release.directory]


def test_new_answers_make_a_new_release_and_leave_the_old_one_alone(study):
    first = freeze(study)
    simulate_participant(study=study, seed=3)
    second = freeze(study)
    assert (second.name, second.counts["participants"]) == ("blends@1.1.0", 3)
    assert open_release(first.directory).manifest["counts"]["participants"] == 2
    assert Release.objects.resolve("blends") == second
    assert Release.objects.resolve("blends@1.0.0") == first


def test_a_study_without_answers_has_nothing_to_release(larger_image_set, settings):
    study = create_study(
        plan=StudyPlan(slug="newer", title="Newer", image_set=larger_image_set, design=DESIGN), actor=OPERATOR
    )
    with pytest.raises(Conflict, match="Nobody has answered “Newer” yet"):
        freeze(study)
    assert left_in_the_releases_folder(settings) == []


def test_cancelling_in_the_middle_leaves_nothing(study, settings):
    class Impatient(Progress):
        def check(self) -> None:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        freeze_release(study=study, actor=OPERATOR, progress=Impatient())
    assert not Release.objects.exists()
    assert left_in_the_releases_folder(settings) == []


def test_a_directory_whose_row_was_never_written_is_made_again(study, monkeypatch):
    def killed(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(releases.audit, "record", killed)
        with pytest.raises(KeyboardInterrupt):
            freeze(study)
    assert not Release.objects.exists()
    assert open_release(freeze(study).directory).n == 18


def test_a_job_killed_after_the_release_was_made_makes_no_second_one(study):
    class Killed(Progress):
        def log(self, text: str) -> None:
            if text.startswith("Release "):
                raise KeyboardInterrupt

    wish = Freeze.objects.create(study=study, options=proposed_options(study).as_json())
    with pytest.raises(KeyboardInterrupt):
        carry_out(wish=wish, actor=OPERATOR, progress=Killed())
    wish.refresh_from_db()
    assert wish.release == Release.objects.get()
    assert carry_out(wish=wish, actor=OPERATOR, progress=Progress()) == wish.release


def test_what_killed_calls_left_is_removed_after_a_day(study, settings):
    kept = freeze(study).directory
    old = [kept.with_name(".making-old"), kept.with_name("0" * 64)]
    young = [kept.with_name(".making-young"), kept.with_name("1" * 64)]
    for directory in (*old, *young):
        (directory / "data").mkdir(parents=True)
    two_days_ago = time.time() - 2 * 24 * 60 * 60
    for directory in (kept, *old):
        os.utime(directory, (two_days_ago, two_days_ago))
    with pytest.raises(Unchanged):
        freeze(study)
    assert set(left_in_the_releases_folder(settings)) == {kept, *young}


@pytest.mark.parametrize("when", ["labels", "mixed images"])
@pytest.mark.parametrize("of", ["somebody", "everybody"])
def test_whoever_withdraws_while_a_release_is_made_is_not_in_it(study, settings, when, of):
    class Withdrawing(Progress):
        def update(self, done: int, total: int, text: str = "") -> None:
            if text == when:
                for one in study.participations.all()[: 1 if of == "somebody" else None]:
                    withdraw(participation=one)

    with pytest.raises(Conflict, match="Somebody withdrew while the release was made"):
        freeze_release(study=study, actor=OPERATOR, progress=Withdrawing())
    assert not Release.objects.exists()
    assert left_in_the_releases_folder(settings) == []
    if of == "somebody":
        assert freeze(study).counts["participants"] == 1


def test_only_an_owner_or_admin_freezes_a_release(study):
    viewer = User.objects.create_user("viewer", kind=User.Kind.RESEARCHER)
    with pytest.raises(NotFound):
        queue_freeze(study=study, actor=viewer)
    Membership.objects.create(user=viewer, study=study, part=Membership.Part.VIEWER)
    with pytest.raises(Forbidden):
        queue_freeze(study=study, actor=viewer)
    assert not Job.objects.exists()


def test_the_job_that_the_button_queues_makes_the_release(study):
    owner = User.objects.create_user("owner", kind=User.Kind.RESEARCHER)
    Membership.objects.create(user=owner, study=study, part=Membership.Part.OWNER)
    job = queue_freeze(study=study, actor=owner)
    KINDS[job.kind].handler(Progress(), job.object_id)
    assert Release.objects.resolve("blends").counts["responses"] == 38


def test_the_command_copies_the_release_to_a_new_or_empty_folder(study, tmp_path):
    out = StringIO()
    (tmp_path / "empty").mkdir()
    call_command("freeze_release", "blends", out=tmp_path / "empty", stdout=out)
    assert "Release blends@1.0.0" in out.getvalue()
    assert open_release(tmp_path / "empty").sha256 == Release.objects.get().sha256
    # Asked again, somebody who wants the files gets them; nothing new is frozen.
    call_command("freeze_release", "blends", out=tmp_path / "again", stdout=out, stderr=StringIO())
    assert open_release(tmp_path / "again").version == "1.0.0"
    assert Release.objects.count() == 1
    with pytest.raises(CommandError, match="already exists"):
        call_command("freeze_release", "blends", out=tmp_path / "again", stdout=out, stderr=StringIO())
    with pytest.raises(CommandError, match="Nothing has changed"):
        call_command("freeze_release", "blends")
    with pytest.raises(CommandError, match=r"no study 'blurs'\. Studies here: blends"):
        call_command("freeze_release", "blurs")
