"""Files of releases: those that the manifest lists, to those who may, safe in a spreadsheet, and nothing beside."""

from __future__ import annotations

import csv
import io
import json
from urllib.parse import quote

import pytest
from django.conf import settings
from django.urls import reverse

from elicitation.images.services import import_images
from elicitation.participants.models import Participation
from elicitation.studies.models import Source, Study
from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import DataError
from hilmix.core.release import open_release
from hilmix.errors import Invalid
from hilmix.hub.releases import freeze_release
from hilmix.jobs.progress import Progress
from tests.security.replies import body

SECRET = "the key of this instance"
FILES = ("release_file", "api_release_file")


@pytest.fixture
def beside(world):
    """A secret beside the releases, and links to it within this one."""
    secret = settings.VAR / "keys" / "secret_key"
    secret.parent.mkdir(exist_ok=True)
    secret.write_text(SECRET)
    link = world.release.directory / "link"
    folder = world.release.directory / "folder"
    link.symlink_to(secret)
    folder.symlink_to(secret.parent)
    yield secret
    link.unlink()
    folder.unlink()


def address(world, name: str, path: str) -> str:
    """The address with `path` in it as it is, not as `reverse` would quote it."""
    return world.address(name, path="README.md").removesuffix("README.md") + path


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "path",
    [
        "../../keys/secret_key",
        "..%2f..%2fkeys%2fsecret_key",
        "%2e%2e/%2e%2e/keys/secret_key",
        "%252e%252e/%252e%252e/keys/secret_key",
        "..\\..\\keys\\secret_key",
        "....//....//keys/secret_key",
        "images/../../../keys/secret_key",
        "csv/../README.md",
        "./README.md",
        "csv//responses.csv",
        "csv/",
        "link",
        "folder/secret_key",
        "README.md%00",
        "README.md%0a",
        "%00",
        "%ff",
        "~/.ssh/id_rsa",
        "file:///etc/passwd",
        "manifest.json/",
        "x" * 5000,
    ],
)
def test_a_name_that_the_manifest_does_not_list_is_not_found(world, beside, name, path):
    reply = world["admin"].client().get(address(world, name, path))
    assert reply.status_code == 404
    assert SECRET.encode() not in reply.content


@pytest.mark.parametrize("name", FILES)
def test_an_absolute_name_is_not_found(world, beside, name):
    for path in (str(beside), "/etc/passwd", quote(str(beside), safe="")):
        reply = world["admin"].client().get(address(world, name, path))
        assert reply.status_code == 404
        assert SECRET.encode() not in reply.content


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_the_manifest_lists_is_sent_as_it_is(world, name):
    directory = world.release.directory
    listed = json.loads((directory / "manifest.json").read_text())["files"]
    assert len(listed) > 10
    for path in [*listed, "manifest.json"]:
        reply = world["viewer"].client().get(world.address(name, path=path))
        assert body(reply) == (directory / path).read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/releases/{sha256}/manifest.json",
        "/var/releases/{sha256}/manifest.json",
        "/media/releases/{sha256}/manifest.json",
        "/static/../releases/{sha256}/manifest.json",
        "/static/%2e%2e/releases/{sha256}/manifest.json",
        "/static/../hilmix.sqlite3",
        "/static/%2e%2e/keys/secret_key",
        "/static/..%2f..%2fhilmix/settings.py",
        "/hilmix.sqlite3",
        "/.git/config",
        "/manage.py",
    ],
)
def test_no_file_lies_open_for_whoever_guesses_its_address(world, beside, path):
    for caller in (world["public"], world["admin"]):
        reply = caller.client().get(path.format(sha256=world.release.sha256))
        assert reply.status_code == 404
        assert SECRET.encode() not in reply.content


def test_a_changed_release_is_not_opened(world, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for source in world.release.directory.rglob("*"):
        target = copy / source.relative_to(world.release.directory)
        target.mkdir(exist_ok=True) if source.is_dir() else target.write_bytes(source.read_bytes())
    open_release(copy)
    (copy / "link").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="link"):
        open_release(copy)


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a\r=1", '=HYPERLINK("//evil")']
)
def test_no_cell_of_a_csv_file_is_a_formula(world, formula):
    """A published participant name is the one text of a stranger that stands in a table as it is."""
    Study.objects.filter(pk=world.study.pk).update(source=Source.IMPORTED)
    Participation.objects.filter(study=world.study).update(source=Source.IMPORTED)
    Participation.objects.filter(pk=world["holder"].participation.pk).update(public_id=formula[:15])
    release = freeze_release(study=Study.objects.get(pk=world.study.pk), actor=OPERATOR, progress=Progress())
    client, cells = world["owner"].client(), []
    for table in ("participants", "responses", "mixed_images", "labels"):
        reply = client.get(reverse("release_file", args=[release.pk, f"csv/{table}.csv"]))
        text = body(reply).decode()
        cells += [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))]
    assert not [cell for cell in cells if cell.startswith("-") and not is_number(cell)]
    kept = open_release(release.directory).table("participants").column("participant").to_pylist()
    assert formula[:15] in kept


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/x", "a/b", ".", "..", "", "A", "a b", "a\0", "-x", "<b>", "x" * 81]
)
def test_an_image_set_cannot_be_named_out_of_its_folder(world, name):
    opened = world.image_set.open()
    with pytest.raises(Invalid, match="cannot name an image set"):
        import_images(
            name=name,
            kind="npz",
            images=opened.images,
            labels=opened.labels,
            classes=["a", "b", "c"],
            splits={"train": opened.splits["train"]},
            actor=OPERATOR,
        )
