"""Files that are brought: tried first, refused by row with nothing left behind, imported only when somebody says so."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from elicitation.images.models import ImageSet
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person
from hilmix.errors import Conflict
from hilmix.hub.models import Upload
from hilmix.hub.uploads import JOB_KIND, import_upload, run_upload
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress

OPTIONS = {"name": "pets", "test_percent": 50, "licence": "CC-BY-4.0", "origin": "A. Nother"}


@pytest.fixture
def admin(db, client) -> User:
    person = add_person(username="ada", kind=User.Kind.ADMIN, actor=OPERATOR)
    client.force_login(person, "django.contrib.auth.backends.ModelBackend")
    return person


def picture(value: int, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(file, format)
    return file.getvalue()


def archive(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
    return file.getvalue()


PETS = {f"pets/{name}/{i}.png": picture(40 * i + len(name)) for name in ("cat", "hare") for i in range(4)}


def bring(client, kind: str, filename: str, content: bytes, **options):
    data = {"file": SimpleUploadedFile(filename, content), **options}
    return client.post(reverse("upload_new", args=[kind]), data)


def brought(client, kind: str, filename: str, content: bytes, **options) -> Upload:
    """The upload, tried."""
    reply = bring(client, kind, filename, content, **options)
    assert reply.status_code == 302, reply.content.decode()
    upload = Upload.objects.latest("created_at")
    run_upload(upload=upload, actor=OPERATOR, progress=Progress())
    return upload


def left_behind() -> list[str]:
    """The files of image sets, by path."""
    folder = Path(settings.VAR) / "imagesets"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def test_the_list_of_image_sets_leads_whoever_may_import_to_the_imports(admin, client):
    shown = client.get(reverse("image_sets")).text.partition("<h1>")[2]
    assert reverse("uploads") in shown
    client.force_login(User.objects.create_user("ray", kind=User.Kind.RESEARCHER))
    shown = client.get(reverse("image_sets")).text.partition("<h1>")[2]
    assert reverse("uploads") not in shown
    assert "An admin can add one under Imports" in shown


def test_images_in_a_zip_are_tried_and_then_imported(admin, client):
    upload = brought(client, "images_zip", "my pets.zip", archive(PETS), **OPTIONS)
    page = client.get(reverse("upload", args=[upload.pk])).content.decode()
    assert "8 images of 8 × 8 pixels, 3 channels, 2 classes." in page
    assert "Import it" in page
    assert "<dt>Percent of images kept for evaluation</dt>" in page
    assert "test_percent" not in page
    assert ">Images in a zip archive</td>" in client.get(reverse("uploads")).text
    assert not ImageSet.objects.exists()
    assert not left_behind()
    assert client.post(reverse("upload_import", args=[upload.pk])).status_code == 302
    upload.refresh_from_db()
    assert [job.label for job in Job.objects.filter(kind=JOB_KIND)] == [
        "Import “my pets.zip”",
        "Try the import of “my pets.zip”",
    ]
    run_upload(upload=upload, actor=OPERATOR, progress=Progress())
    image_set = ImageSet.objects.get()
    assert (image_set.name, image_set.classes, image_set.splits) == (
        "pets",
        ["cat", "hare"],
        {"train": 4, "test": 4},
    )
    assert (image_set.licence, image_set.origin) == ("CC-BY-4.0", "A. Nother")
    assert not upload.path.exists()


def test_every_picture_that_is_none_is_named_and_nothing_is_stored(admin, client):
    bad = PETS | {"pets/cat/8.png": b"<svg/>", "pets/hare/9.png": picture(5)[:50]}
    upload = brought(client, "images_zip", "pets.zip", archive(bad), **OPTIONS)
    assert [error["problem"][:10] for error in upload.report["errors"]] == ["cat/8.png ", "hare/9.png"]
    page = client.get(reverse("upload", args=[upload.pk])).content.decode()
    assert "2 things are wrong with it" in page
    assert "Import it" not in page
    with pytest.raises(Conflict, match="nothing to refuse"):
        import_upload(upload=upload, actor=OPERATOR)
    assert not ImageSet.objects.exists()
    assert not left_behind()


def test_what_went_wrong_between_the_trial_and_the_import_fails_the_job_and_stores_nothing(admin, client):
    first = brought(client, "images_zip", "pets.zip", archive(PETS), **OPTIONS)
    second = brought(client, "images_zip", "pets.zip", archive(PETS), **OPTIONS)
    for upload in (first, second):
        import_upload(upload=upload, actor=OPERATOR)
    run_upload(upload=first, actor=OPERATOR, progress=Progress())
    with pytest.raises(Conflict, match="already"):
        run_upload(upload=second, actor=OPERATOR, progress=Progress())
    assert "already" in second.report["errors"][0]["problem"]
    assert ImageSet.objects.count() == 1
    with pytest.raises(Conflict, match="nothing to refuse"):
        import_upload(upload=second, actor=OPERATOR)


def test_of_two_who_import_a_file_at_once_one_does(admin, client):
    upload = brought(client, "images_zip", "pets.zip", archive(PETS), **OPTIONS)
    same = Upload.objects.get(pk=upload.pk)
    import_upload(upload=upload, actor=OPERATOR)
    with pytest.raises(Conflict, match="imported already, or is just being"):
        import_upload(upload=same, actor=OPERATOR)
    assert Job.objects.filter(kind=JOB_KIND, label__startswith="Import").count() == 1


def test_a_trial_leaves_alone_what_another_import_of_that_name_is_writing(admin, client):
    half = Path(settings.VAR) / "imagesets" / "pets"
    half.mkdir(parents=True)
    (half / "images.npy").write_bytes(b"half")
    brought(client, "images_zip", "pets.zip", archive(PETS), **OPTIONS)
    assert (half / "images.npy").read_bytes() == b"half"


def test_how_many_rows_are_wrong_is_told_also_where_not_all_are_named(admin, client, image_set, monkeypatch):
    monkeypatch.setattr("hilmix.core.errors.MOST_ERRORS", 3)
    labels = io.BytesIO()
    np.save(labels, np.full((image_set.n_images, 3), 0.5))
    upload = brought(
        client, "human_labels", "l.npy", labels.getvalue(), image_set=image_set.name, meaning="share"
    )
    assert "The first 3 of 12." in client.get(reverse("upload", args=[upload.pk])).content.decode()
    report = client.get(reverse("upload_report", args=[upload.pk]))
    assert report["Content-Disposition"].startswith("attachment")
    assert (len(report.json()["errors"]), report.json()["n_errors"]) == (3, 12)


def test_how_many_votes_an_image_has_is_asked_for_and_checked_beside_its_field(admin, client, image_set):
    labels = io.BytesIO()
    np.save(labels, np.full((image_set.n_images, 3), 1 / 3))
    chosen = {"image_set": image_set.name, "meaning": "share"}
    refused = bring(client, "human_labels", "l.npy", labels.getvalue(), votes="fifty", **chosen)
    assert "does not say how many votes an image has" in refused.content.decode().replace("&#x27;", "'")
    upload = brought(client, "human_labels", "l.npy", labels.getvalue(), votes="47-63", **chosen)
    assert "576 votes, 48 to 48 an image" in upload.report["notes"][0]


@pytest.mark.parametrize("kind", ["images_zip", "hmix", "release"])
def test_an_archive_that_reaches_out_is_refused(admin, client, kind, image_set):
    options = {"image_set": image_set.name, "slug": "brought", **OPTIONS}
    upload = brought(client, kind, "a.zip", archive({"../../keys/secret_key": b"mine"}), **options)
    assert "leads out of it" in upload.report["errors"][0]["problem"]
    assert not (Path(settings.VAR) / "keys").exists()


def test_arrays_and_tables_are_tried_as_well(admin, client, image_set):
    arrays = io.BytesIO()
    np.savez(arrays, images=np.zeros((6, 4, 4, 3), np.uint8), labels=np.arange(6) % 2, classes=["cat", "dog"])
    upload = brought(client, "images_npz", "a.npz", arrays.getvalue(), **OPTIONS)
    assert upload.report["notes"][0] == "6 images of 4 × 4 pixels, 3 channels, 2 classes."
    upload = brought(client, "images_parquet", "a.parquet", b"PAR1", **OPTIONS)
    assert "no readable Parquet table" in upload.report["errors"][0]["problem"]
    labels = io.BytesIO()
    np.save(labels, np.full((image_set.n_images, 3), 0.5))
    upload = brought(
        client, "human_labels", "l.npy", labels.getvalue(), image_set=image_set.name, meaning="share"
    )
    assert len(upload.report["errors"]) == image_set.n_images
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    upload = brought(
        client, "human_labels", "l.npy", pickled.getvalue(), image_set=image_set.name, meaning="share"
    )
    assert upload.report["errors"][0]["problem"] == "The file is no .npy array."


def test_a_file_of_another_kind_an_empty_one_and_one_that_is_too_large_are_refused_beside_the_field(
    admin, client, settings
):
    assert "must end in .zip" in bring(client, "images_zip", "pets.exe", b"x", **OPTIONS).content.decode()
    assert "empty" in bring(client, "images_zip", "pets.zip", b"", **OPTIONS).content.decode()
    settings.LARGEST_UPLOAD = 1000
    assert bring(client, "images_zip", "pets.zip", bytes(2000), **OPTIONS).status_code == 400
    reply = bring(client, "images_zip", "pets.zip", b"PK", **OPTIONS | {"name": "../pets"})
    assert reply.status_code == 400
    assert client.get(reverse("upload_new", args=["pickle"])).status_code == 404
    assert not Upload.objects.exists()
    assert not list((Path(settings.VAR) / "uploads").glob("*"))


def test_a_stranger_cannot_fill_the_disk_with_a_large_body(client, db, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    body = {"file": SimpleUploadedFile("a.zip", bytes(200_000))}
    assert client.post(reverse("sign_in"), body).status_code == 400


def test_a_name_that_is_a_path_is_only_shown(admin, client):
    upload = brought(client, "images_zip", "../../etc/pets.zip", archive(PETS), **OPTIONS)
    assert upload.filename == "pets.zip"
    assert upload.path.parent == Path(settings.VAR) / "uploads"


def test_researchers_do_not_import(client, db):
    client.force_login(
        add_person(username="rita", kind=User.Kind.RESEARCHER, actor=OPERATOR),
        "django.contrib.auth.backends.ModelBackend",
    )
    assert client.get(reverse("uploads")).status_code == 403
    assert bring(client, "images_zip", "pets.zip", archive(PETS), **OPTIONS).status_code == 403


def test_the_list_takes_as_many_queries_for_many_files_as_for_few(admin, client, django_assert_num_queries):
    for name in "ab":
        bring(client, "images_zip", f"{name}.zip", archive(PETS), **OPTIONS)
    with CaptureQueriesContext(connection) as few:
        client.get(reverse("uploads"))
    n_queries = len(few)
    for name in "cdef":
        bring(client, "images_zip", f"{name}.zip", archive(PETS), **OPTIONS)
    with django_assert_num_queries(n_queries):
        client.get(reverse("uploads"))
