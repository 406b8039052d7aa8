"""What a stranger packed is unpacked into one folder, or refused by the name of what is wrong with it."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from hilmix.core.archives import unpack
from hilmix.core.errors import DataError


def packed(path: Path, entries: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def folder(tmp_path):
    (made := tmp_path / "unpacked").mkdir()
    return made


def test_files_keep_their_names_within_the_folder(tmp_path, folder):
    archive = packed(
        tmp_path / "a.zip", {"set/cat/1.png": b"x", "set/dog/2.png": b"y", "__MACOSX/set/._1": b"z"}
    )
    assert [str(name) for name in unpack(archive, folder)] == ["set/cat/1.png", "set/dog/2.png"]
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png")) == [
        "set/cat/1.png",
        "set/dog/2.png",
    ]


@pytest.mark.parametrize(
    "name", ["../out.png", "cat/../../out.png", "/etc/out.png", "cat\\..\\out.png", "C:/out.png"]
)
def test_no_name_leads_out_of_the_folder(tmp_path, folder, name):
    with pytest.raises(DataError, match="leads out of it"):
        unpack(packed(tmp_path / "a.zip", {"cat/1.png": b"x", name: b"y"}), folder)
    assert not list(folder.iterdir())
    assert not (tmp_path / "out.png").exists()


def test_a_link_is_refused(tmp_path, folder):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("cat/secret.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        unpack(path, folder)


def test_a_bomb_stops_at_what_was_allowed_whatever_its_header_says(tmp_path, folder):
    path = packed(tmp_path / "a.zip", {"cat/1.png": bytes(3_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="larger than 1 MB"):
        unpack(path, folder, largest=1_000_000)
    lying = path.read_bytes().replace((3_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(lying)
    with pytest.raises(DataError):
        unpack(path, folder, largest=1_000_000)
    assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) <= 1_000_000


def test_many_files_an_archive_inside_and_names_that_differ_in_capitals_alone_are_refused(tmp_path, folder):
    with pytest.raises(DataError, match="more than 3 files"):
        unpack(packed(tmp_path / "a.zip", {f"cat/{i}.png": b"x" for i in range(4)}), folder, most_files=3)
    with pytest.raises(DataError, match="is an archive itself"):
        unpack(packed(tmp_path / "b.zip", {"cat/more.ZIP": b"x"}), folder)
    with pytest.raises(DataError, match="twice"):
        unpack(packed(tmp_path / "c.zip", {"cat/a.png": b"x", "cat/A.png": b"y"}), folder)


def test_what_is_no_archive_or_two_files_in_one_is_refused(tmp_path, folder):
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("cat/1.png", b"x")
    for content in (b"", b"text", b"GIF89a" + inside.getvalue()):
        (path := tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(DataError, match="no zip archive"):
            unpack(path, folder)
    path.write_bytes(inside.getvalue()[:40])
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(path, folder)
    with pytest.raises(DataError, match="is empty"):
        unpack(packed(tmp_path / "b.zip", {"cat/": b""}), folder)


@pytest.mark.parametrize("name", ["", "."])
def test_a_file_without_a_name_is_refused(tmp_path, folder, name):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        (entry := zipfile.ZipInfo("x")).filename = name
        archive.writestr(entry, b"x")
    with pytest.raises(DataError, match="has no name"):
        unpack(path, folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.replace("é".encode(), b"\xff\xff"),
        lambda content: content[:40] + bytes(255 - byte for byte in content[40:60]) + content[60:],
    ],
    ids=["a name in no alphabet", "packed data that are damaged"],
)
def test_what_cannot_be_unpacked_is_refused_whatever_the_reader_raises(tmp_path, folder, damage):
    path = packed(tmp_path / "a.zip", {"é.png": bytes(range(200)) * 50}, compression=zipfile.ZIP_DEFLATED)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(path, folder)
