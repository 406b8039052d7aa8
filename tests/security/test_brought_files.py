"""Files that somebody brings to be imported: whatever is in one, it is refused in words, and nothing of it stays."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from elicitation.images.models import ImageSet
from elicitation.studies.models import Study
from hilmix.accounts.roles import OPERATOR
from hilmix.core import loaders
from hilmix.core import parquet as core_parquet
from hilmix.core.files import MANIFEST, describe_file, sha256_json
from hilmix.core.release_manifest import content_sha256
from hilmix.hub.importers.registry import IMPORTERS
from hilmix.hub.models import Import, SourceRow, Upload
from hilmix.hub.uploads import run_upload
from hilmix.jobs.progress import Progress
from tests.security.replies import assert_guarded, assert_plain, body
from tests.security.test_pages import chunks
from tests.security.world import HOSTILE, World

SCRIPT = b"<script>alert(1)</script>"
STORED = (ImageSet, Study, Import, SourceRow)
ASKED = {
    "name": "brought", "slug": "brought", "test_percent": 50, "licence": "", "origin": HOSTILE, "meaning": HOSTILE,
}  # fmt: skip


def bring(world: World, kind: str, content: bytes, filename: str = "", who: str = "admin") -> Upload:
    """The file as the form sends it, tried by the job."""
    name = filename or f"file{IMPORTERS[kind].suffix}"
    sent = ASKED | {"image_set": world.image_set.name, "file": SimpleUploadedFile(name, content)}
    reply = world[who].client().post(reverse("upload_new", args=[kind]), sent)
    assert reply.status_code == 302, reply.content.decode()
    upload = Upload.objects.latest("created_at")
    run_upload(upload=upload, actor=OPERATOR, progress=Progress())
    return upload


def files_of(folder: str) -> set[Path]:
    return {path for path in (Path(settings.VAR) / folder).rglob("*") if path.is_file()}


def everything() -> tuple[object, ...]:
    """What an import could leave behind."""
    return *(model.objects.count() for model in STORED), files_of("imagesets"), files_of("releases")


def zipped(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def picture(value: int, format: str = "PNG", side: int = 6) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(file, format)
    return file.getvalue()


def saved(save: Callable[..., None], *values: object, **named: object) -> bytes:
    file = io.BytesIO()
    save(file, *values, **named)
    return file.getvalue()


def table(**columns: object) -> bytes:
    return saved(lambda file: pq.write_table(pa.table(columns), file))


def one_text_often(n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), ["x" * 2 * 10**6])


def deep(opening: str, closing: str) -> bytes:
    return (opening * 100_000 + closing * 100_000).encode()


def changed_release(world: World, change: Callable[[Path], None]) -> bytes:
    """The world's release with something changed, and its manifest made to agree."""
    directory = world.release.directory
    files = {p.relative_to(directory).as_posix(): p for p in directory.rglob("*") if p.is_file()}
    folder = Path(settings.VAR) / "changed"
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(path.read_bytes())
    change(folder)
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    del manifest["manifest_sha256"]
    manifest["files"] = {name: describe_file(folder / name) for name in manifest["files"]}
    manifest["sha256"] = content_sha256(manifest, manifest["files"])
    manifest["manifest_sha256"] = sha256_json(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    return zipped({name: (folder / name).read_bytes() for name in files})


PNG = picture(7)
HOSTILE_FILES: dict[str, tuple[str, bytes, str]] = {
    "a way out": ("images_zip", zipped({"../../evil.png": PNG}), "leads out of it"),
    "an absolute way": ("images_zip", zipped({"/etc/cron.d/evil": PNG}), "leads out of it"),
    "an archive in an archive": ("images_zip", zipped({"cat/more.zip": b"PK"}), "archive itself"),
    "html as a picture": ("images_zip", zipped({"set/cat/a.png": SCRIPT}), "not an image"),
    "html before an archive": ("images_zip", SCRIPT + zipped({"set/cat/a.png": PNG}), "no zip archive"),
    "a picture before an archive": ("images_zip", PNG + zipped({"set/cat/a.png": PNG}), "no zip archive"),
    "svg": ("images_zip", zipped({"set/cat/a.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}), "not an image"),
    "svg by another name": ("images_zip", zipped({"set/cat/a.png": b"<?xml version='1.0'?><svg/>"}), "not an image"),
    "eps": ("images_zip", zipped({"set/cat/a.png": b"%!PS-Adobe-3.0 EPSF-3.0\n"}), "not an image"),
    "a pdf": ("images_zip", zipped({"set/cat/a.png": b"%PDF-1.7\n"}), "not an image"),
    "many pixels": ("images_zip", zipped({"set/cat/a.png": picture(0, side=5000)}), "too large"),
    "a picture that is cut": ("images_zip", zipped({"set/cat/a.png": PNG[:40]}), "cat/a.png"),
    "an executable": ("images_zip", b"\x7fELF" + bytes(200), "no zip archive"),
    "a pickle": ("images_npz", saved(np.savez, images=np.array([{}]), labels=[0], classes=["a"]), "not a readable"),
    "an array with a script": ("images_npz", b"\x93NUMPY" + SCRIPT, "not a readable"),
    "a pickle of labels": ("human_labels", saved(np.save, np.array([{}], object)), "no .npy array"),
    "an archive of labels": ("human_labels", saved(np.savez, a=np.zeros(3)), "not one .npy array"),
    "a table of addresses": ("images_parquet", table(image=["file:///etc/passwd"], label=[0]), "not the bytes"),
    "a table of other paths": (
        "images_parquet",
        table(image=[{"bytes": None, "path": "/etc/passwd"}, {"bytes": PNG, "path": ""}], label=[0, 0]),
        "not an image file",
    ),
    "a class of a large number": ("images_parquet", table(image=[PNG], label=[10**12]), "classes"),
    "a list without an end": ("cifar10s", deep("[", "]"), "not readable as JSON"),
    "an object without an end": ("cifar10s", deep('{"a":', "}"), "not readable as JSON"),
    "no number": ("cifar10s", b'{"0": {"elicited": [{"x": NaN}]}}', ""),
    "binary tables": ("hmix", zipped({"hmix_select.csv": bytes(range(256)) * 9}), ""),
    "a manifest of nothing": ("release", zipped({MANIFEST: b"null"}), "format"),
    "a manifest without an end": ("release", zipped({MANIFEST: deep("[", "]")}), ""),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_FILES)
def test_a_hostile_file_is_refused_in_words_and_nothing_of_it_stays(world, what):
    kind, content, said = HOSTILE_FILES[what]
    before = everything()
    upload = bring(world, kind, content)
    problems = " ".join(error["problem"] for error in upload.report["errors"])
    assert problems
    assert said in problems
    assert everything() == before
    page = world["admin"].client().get(reverse("upload", args=[upload.pk]))
    assert_guarded(page)
    assert_plain(page)
    assert SCRIPT.decode() not in page.content.decode()
    assert "Import it" not in page.content.decode()
    assert world["admin"].client().post(reverse("upload_import", args=[upload.pk])).status_code == 409


def bomb(folder: Path) -> None:
    path = folder / "data" / "mixed_images.parquet"
    pq.write_table(
        pq.read_table(path).append_column("more", [one_text_often(pq.read_metadata(path).num_rows)]), path
    )


def other_columns(folder: Path) -> None:
    pq.write_table(pa.table({"participant": ["x"]}), folder / "data" / "participants.parquet")


def odd_answers(folder: Path) -> None:
    """JSON that is none where an answer should be, in a table that is as it should be otherwise."""
    path = folder / "data" / "responses.parquet"
    read = pq.read_table(path)
    at = read.schema.get_field_index("payload")
    pq.write_table(read.set_column(at, read.schema.field(at), [["[" * 100_000] * len(read)]), path)


@pytest.mark.parametrize(
    ("change", "said"),
    [(bomb, "the tables hold more than"), (other_columns, "other columns"), (odd_answers, "no JSON object")],
)
def test_a_release_that_was_made_to_do_harm_is_refused_and_nothing_of_it_stays(
    world, monkeypatch, change, said
):
    monkeypatch.setattr(core_parquet.check_expanded, "__kwdefaults__", {"largest": 10**7, "most_rows": 10**6})
    content = changed_release(world, change)
    before = everything()
    upload = bring(world, "release", content)
    assert said in upload.report["errors"][0]["problem"]
    assert upload.finished_at
    assert everything() == before


def test_of_a_picture_that_is_something_else_as_well_only_the_pixels_are_kept_and_sent(world):
    """PNG and script, PNG and archive, a comment with a script, a second picture."""
    noted = io.BytesIO()
    Image.fromarray(np.full((6, 6, 3), 9, np.uint8)).save(noted, "JPEG", comment=SCRIPT)
    both = {
        "cat/a.png": PNG + SCRIPT,
        "cat/b.png": PNG + zipped({"evil.html": SCRIPT}),
        "dog/c.jpg": noted.getvalue(),
        "dog/d.gif": picture(3, "GIF") + SCRIPT,
    }
    upload = bring(world, "images_zip", zipped(both))
    assert "errors" not in upload.report
    assert world["admin"].client().post(reverse("upload_import", args=[upload.pk])).status_code == 302
    upload.refresh_from_db()
    run_upload(upload=upload, actor=OPERATOR, progress=Progress())
    image_set = ImageSet.objects.get(name="brought")
    assert not [
        path for path in image_set.directory.rglob("*") if path.is_file() and SCRIPT in path.read_bytes()
    ]
    for index in range(4):
        reply = world["admin"].client().get(reverse("parent_image", args=["brought", index]))
        assert reply["Content-Type"] == "image/png"
        assert chunks(body(reply)) == {b"IHDR", b"IDAT", b"IEND"}


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd.zip", "..\\..\\evil.zip", f"{HOSTILE}.zip", "a\0b.zip", "x" * 5000 + ".zip",
        "\r\nSet-Cookie: a=b.zip", "=HYPERLINK(1).zip", ".zip", "a.ZIP", "/.zip",
    ],
)  # fmt: skip
def test_the_name_of_a_file_is_shown_as_text_and_names_nothing_here(world, name):
    before = files_of(".")
    try:
        upload = bring(world, "images_zip", zipped({"cat/a.png": PNG}), name)
    except (
        AssertionError
    ):  # the name does not end as it should once it is made harmless: refused beside the field
        assert files_of(".") == before
        return
    assert files_of(".") - before == {upload.path}
    assert upload.path == Path(settings.VAR) / "uploads" / str(upload.pk)
    for address in (reverse("uploads"), reverse("upload", args=[upload.pk]), reverse("jobs")):
        assert_plain(world["admin"].client().get(address))
    upload.path.unlink()


@pytest.mark.parametrize("stated", [True, False])
def test_a_body_that_is_too_large_is_refused_whatever_its_length_is_said_to_be(world, settings, stated):
    """To somebody who may import, to somebody who may not, and to a stranger, of whom less is taken."""
    settings.LARGEST_UPLOAD, settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 300_000, 1000
    before, sign_in = (files_of("."), Upload.objects.count()), reverse("sign_in")
    address = reverse("upload_new", args=["images_zip"])
    for who, n_bytes, to in (
        ("admin", 450_000, address),
        ("owner", 450_000, address),
        ("public", 150_000, sign_in),
    ):
        client, file = world[who].client(), SimpleUploadedFile("a.zip", bytes(n_bytes))
        length = {} if stated else {"CONTENT_LENGTH": "20000"}
        reply = client.post(to, ASKED | {"file": file}, **length)
        assert reply.status_code in (400, 403), who
    assert (files_of("."), Upload.objects.count()) == before


def test_a_program_cannot_send_more_json_than_anybody_may(world, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    sent = json.dumps({"format": "csv", "more": "x" * 2000})
    reply = world["owner"].client().post(world.address("api_start_export"), sent, "application/json")
    assert reply.status_code == 413
    assert reply["Content-Type"] == "application/problem+json"
    assert reply.json()["code"] == "too_large"


@pytest.mark.parametrize("depth", [500, 5000, 90_000])
def test_no_depth_of_what_a_program_sends_is_an_error_of_ours(world, depth):
    for sent in ("[" * depth, "[" * depth + "]" * depth, '{"format":' * (depth // 2)):
        reply = world["owner"].client().post(world.address("api_start_export"), sent, "application/json")
        assert reply.status_code == 400


def test_only_who_may_import_sees_what_was_brought(world):
    upload = bring(world, "images_zip", zipped({"cat/a.png": PNG}), "of-the-admin.zip")
    for who in ("owner", "editor", "viewer", "stranger", "public"):
        client: Client = world[who].client()
        for address in (reverse("uploads"), reverse("upload", args=[upload.pk])):
            reply = client.get(address)
            assert reply.status_code in (302, 403)
            assert b"of-the-admin" not in reply.content


def test_a_file_of_which_the_classes_would_fill_the_memory_is_refused_before_they_do(world, monkeypatch):
    monkeypatch.setattr(loaders, "MAX_CLASSES", 3)
    images, labels = np.zeros((8, 4, 4, 3), np.uint8), np.arange(8) % 4
    arrays = saved(np.savez, images=images, labels=labels, classes=["a", "b", "c", "d"])
    before = everything()
    upload = bring(world, "images_npz", arrays)
    assert "more than 3 classes" in upload.report["errors"][0]["problem"]
    assert everything() == before
