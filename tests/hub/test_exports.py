"""Exports: a study's answers as one file, complete or not at all, for nobody who may not see the study."""

from __future__ import annotations

import csv
import json
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from elicitation.flow.simulation import simulate_participant
from elicitation.flow.withdrawal import withdraw
from elicitation.studies.models import Source
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.release import open_release
from hilmix.errors import Conflict, Invalid, NotFound
from hilmix.hub import exporting
from hilmix.hub.exporting import KEPT, file_of_export, queue_export, write_responses
from hilmix.hub.models import Export
from hilmix.hub.releases import freeze_release
from hilmix.jobs.models import Job
from hilmix.jobs.progress import JobCancelled, Progress
from hilmix.jobs.registry import KINDS
from tests.hub.test_quality_in_releases import take_part


@pytest.fixture
def study(make_study):
    study = make_study()
    for seed in (1, 2):
        simulate_participant(study=study, seed=seed)
    return study


@pytest.fixture
def viewer(client, study) -> User:
    viewer = User.objects.create_user("viewer", kind=User.Kind.RESEARCHER)
    Membership.objects.create(user=viewer, study=study, part=Membership.Part.VIEWER)
    client.force_login(viewer)
    return viewer


def exported(study, format: str, actor: User) -> Export:
    job = queue_export(study=study, format=format, actor=actor)
    KINDS[job.kind].handler(Progress(), job.object_id)
    return Export.objects.get(pk=job.object_id)


def test_both_formats_hold_what_a_release_would(study, tmp_path):
    for format in ("csv", "parquet"):
        file = tmp_path / f"answers.{format}"
        assert write_responses(study, format, file, Progress(), named_for="both") == 12
    table = pq.read_table(tmp_path / "answers.parquet").to_pylist()
    release = open_release(freeze_release(study=study, actor=OPERATOR, progress=Progress()).directory)
    released = release.table("responses").to_pylist()
    assert not {row["participant"] for row in table} & {row["participant"] for row in released}
    unnamed = [
        sorted(json.dumps({**row, "participant": ""}) for row in answers) for answers in (table, released)
    ]
    assert unnamed[0] == unnamed[1]
    with (tmp_path / "answers.csv").open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert list(cells[0]) == release.table("responses").column_names
    assert [json.loads(row["payload"]) for row in cells] == [json.loads(row["payload"]) for row in table]
    assert [row["counted"] == "true" for row in cells] == [row["counted"] for row in table]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "answers.csv",
        "answers.parquet",
    ]


def test_many_small_batches_make_the_same_file(study, tmp_path, monkeypatch):
    from hilmix.hub import rows

    write_responses(study, "parquet", tmp_path / "once.parquet", Progress(), named_for="both")
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 5)
    monkeypatch.setattr(rows, "BATCH_ROWS", 10)
    often = tmp_path / "often.parquet"
    assert write_responses(study, "parquet", often, Progress(), named_for="both") == 12
    once, often = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("once", "often"))
    assert once.equals(often)


def test_only_who_agreed_to_publication_is_in_it(make_study, tmp_path):
    study = make_study(source=Source.PERSON)
    for publish in (True, False):
        participation = take_part(study)
        participation.consent.publish = publish
        participation.consent.save()
    assert write_responses(study, "csv", tmp_path / "answers.csv", Progress()) == 6


def test_cancelling_leaves_no_file(study, tmp_path):
    class Impatient(Progress):
        def check(self) -> None:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        write_responses(study, "csv", tmp_path / "answers.csv", Impatient())
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_a_study_without_answers_has_nothing_to_export(make_study, viewer):
    empty = make_study("empty")
    Membership.objects.create(user=viewer, study=empty, part=Membership.Part.VIEWER)
    with pytest.raises(Conflict, match="Nobody has answered"):
        queue_export(study=empty, format="csv", actor=viewer)
    assert not Export.objects.exists()


def test_another_format_is_refused(study, viewer):
    with pytest.raises(Invalid, match="csv or parquet, not 'xlsx'"):
        queue_export(study=study, format="xlsx", actor=viewer)


def test_who_may_not_see_the_study_exports_nothing(study, client):
    stranger = User.objects.create_user("stranger", kind=User.Kind.RESEARCHER)
    with pytest.raises(NotFound):
        queue_export(study=study, format="csv", actor=stranger)


def test_the_page_queues_an_export_and_gives_it_out(study, viewer, client):
    address = reverse("study_exports", args=[study.slug])
    assert "None yet." in client.get(address).text
    reply = client.post(address, {"format": "csv"})
    job = Job.objects.get()
    assert reply.url == reverse("job", args=[job.pk])
    assert "not finished" in client.get(address).text
    KINDS[job.kind].handler(Progress(), job.object_id)
    export = Export.objects.get()
    download = reverse("export_file", args=[export.pk])
    assert download in client.get(address).text
    sent = client.get(download)
    assert sent["Content-Disposition"] == 'attachment; filename="simulated-blends-responses.csv"'
    content = b"".join(sent.streaming_content)
    assert (len(content), content.count(b"\r\n") or content.count(b"\n")) == (export.n_bytes, 13)
    assert client.post(address, {"format": "xlsx"}).status_code == 400


def test_an_export_is_not_given_to_who_may_not_see_the_study(study, viewer, client):
    export = exported(study, "csv", viewer)
    client.force_login(User.objects.create_user("stranger", kind=User.Kind.RESEARCHER))
    assert client.get(reverse("export_file", args=[export.pk])).status_code == 404


def test_after_somebody_withdrew_no_earlier_export_is_given_out(make_study, client):
    study = make_study(source=Source.PERSON)
    admin = User.objects.create_user("admin", kind=User.Kind.ADMIN)
    client.force_login(admin)
    goes, _stays = take_part(study), take_part(study)
    study.participations.get(pk=goes.pk).consent.save()
    for one in study.participations.all():
        one.consent.publish = True
        one.consent.save()
    export = exported(study, "parquet", admin)
    assert file_of_export(export).status_code == 200
    withdraw(participation=goes)
    with pytest.raises(Conflict, match="Somebody withdrew since"):
        file_of_export(export)
    assert "export again" in client.get(reverse("study_exports", args=[study.slug])).text
    again = exported(study, "parquet", admin)
    assert again.n_rows == 6
    assert file_of_export(again).status_code == 200


def test_the_newest_exports_are_kept(study, viewer, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        made = [exported(study, "csv", viewer) for _ in range(KEPT + 2)]
    assert set(Export.objects.all()) == set(made[2:])
    assert [one.path.is_file() for one in made] == [False] * 2 + [True] * KEPT


def test_an_export_still_being_written_makes_no_room(study, viewer):
    writing = queue_export(study=study, format="csv", actor=viewer)
    for _ in range(KEPT + 1):
        exported(study, "csv", viewer)
    KINDS[writing.kind].handler(Progress(), writing.object_id)
    assert file_of_export(Export.objects.get(pk=writing.object_id)).status_code == 200
    queued = Export.objects.create(study=study, format="csv")
    Export.objects.filter(pk=queued.pk).update(created_at=timezone.now() - timedelta(days=2))
    queue_export(study=study, format="csv", actor=viewer)
    assert not Export.objects.filter(pk=queued.pk).exists()  # its job was killed


def test_files_go_only_with_what_says_that_they_went(study, viewer, monkeypatch):
    made = [exported(study, "csv", viewer) for _ in range(KEPT)]
    with monkeypatch.context() as patch:
        patch.setattr(exporting, "queue_job", lambda **_said: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            queue_export(study=study, format="csv", actor=viewer)
    assert [one.path.is_file() for one in Export.objects.all()] == [True] * len(made)


def test_after_a_withdrawal_outdated_files_are_deleted(study, viewer, django_capture_on_commit_callbacks):
    asked_for, other = (exported(study, "csv", viewer) for _ in range(2))
    withdraw(participation=study.participations.first())
    with pytest.raises(Conflict, match="Somebody withdrew since"):
        file_of_export(asked_for)
    assert [one.path.is_file() for one in (asked_for, other)] == [False, True]
    with django_capture_on_commit_callbacks(execute=True):
        queue_export(study=study, format="csv", actor=viewer)
    assert not other.path.is_file()


def test_the_command_writes_a_new_file(study, tmp_path, capsys):
    call_command("export_responses", "blends", format="parquet", out=tmp_path / "answers.parquet")
    assert "12 answers in" in capsys.readouterr().out
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_responses", "blends", out=tmp_path / "answers.parquet")
    with pytest.raises(CommandError, match="no study 'blurs'"):
        call_command("export_responses", "blurs", out=tmp_path / "other.csv")
