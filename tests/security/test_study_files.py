"""Studies read in from a file that anybody may have written: read, or refused beside the field, and never half."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.urls import reverse

from elicitation.images.models import ImageSet
from elicitation.monitoring.upload_pages import LARGEST_FILE
from elicitation.studies.models import Study
from elicitation.studies.plans import plan_of_study
from elicitation.studies.toml_writing import study_file
from tests.security.replies import assert_guarded, assert_plain
from tests.security.routes import ROUTES
from tests.security.world import HOSTILE, World


def read_in(world: World, text: str | bytes, slug: str = "read-in", who: str = "owner") -> HttpResponse:
    data = text if isinstance(text, bytes) else text.encode()
    # A name that would matter if anything were kept under it.
    sent = {"file": SimpleUploadedFile(f"../../{HOSTILE}.toml", data), "slug": slug}
    return world[who].client().post(reverse("import_study"), sent)


@pytest.fixture
def file(world) -> str:
    """The file of the world's study, whose names are hostile already."""
    return study_file(plan_of_study(world.study))


def assert_refused(world: World, reply: HttpResponse, changes: list[str]) -> None:
    assert (reply.status_code, changes) == (400, [])
    assert_guarded(reply)
    assert_plain(reply)
    assert not Study.objects.filter(slug="read-in").exists()


def instead(before: str, after: str) -> Callable[[str], str]:
    """The file with one line changed."""

    def change(text: str) -> str:
        assert text.count(before) >= 1, before
        return text.replace(before, after, 1)

    return change


def within(table: str, line: str) -> Callable[[str], str]:
    """The file with a line more in a table."""
    return instead(f"\n[{table}]\n", f"\n[{table}]\n{line}\n")


BAD: dict[str, Callable[[str], str | bytes]] = {
    "empty": lambda text: "",
    "a picture": lambda text: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff\xfe",
    "utf-16": lambda text: text.encode("utf-16"),
    "a program": lambda text: "#!/bin/sh\nrm -rf /\n",
    "yaml": lambda text: "title: !!python/object/apply:os.system ['true']\n",
    "too large": lambda text: text + "#" * LARGEST_FILE,
    "deep lists": lambda text: "x = " + "[" * 50_000,
    "deep closed lists": lambda text: "x = " + "[" * 5_000 + "]" * 5_000 + "\n" + text,
    "deep tables": lambda text: "x = " + "{x = " * 5_000 + "1" + "}" * 5_000 + "\n" + text,
    "deep keys": lambda text: ".".join(["x"] * 50_000) + " = 1\n" + text,
    "deep options": within("interface", f"options.{'.'.join(['x'] * 20_000)} = 1"),
    "deep options of quoted keys": within("interface", "options" + '. "\\"" ' * 20_000 + " = 1"),
    "deep options of keys in single quotes": within("interface", "options" + "\t.\t'x.'" * 20_000 + " = 1"),
    "a deep header": lambda text: text + f"\n[{'.'.join(['x'] * 20_000)}]\n",
    "many unknown keys": lambda text: "".join(f"k{n} = 1\n" for n in range(20_000)) + text,
    "an unknown key with markup": lambda text: f'"{HOSTILE}" = "{HOSTILE}"\n' + text,
    "no title": instead("title = ", "titel = "),
    "a title that is a list": instead("title = ", "title = [1] #"),
    "a title that is a date": instead("title = ", "title = 1979-05-27T07:32:00Z #"),
    "a title that is not": instead("title = ", "title = nan #"),
    "a title that is too long": instead("title = ", f'title = "{"x" * 10_000}" #'),
    "NUL in the title": instead("title = ", 'title = "a\\u0000b" #'),
    "NUL in a text": instead("[texts]\n", '[texts]\nconsent = "a\\u0000b"\n'),
    "NUL in an option": within("interface", 'options.left = "a\\u0000b"'),
    "NUL in a key": lambda text: '"a\\u0000b" = 1\n' + text,
    "half a character": instead("title = ", 'title = "\\ud800" #'),
    "a huge whole number": within("design", f"pairs = {'9' * 5000}"),
    "a huge hexadecimal number": instead("seed = ", f"seed = 0x{'f' * 20_000} #"),
    "a huge number as an option": within("interface", f"options.left = 0x{'f' * 20_000}"),
    "a huge version": instead("version = ", f"version = 0x{'f' * 20_000} #"),
    "a huge decimal": instead("lambdas = ", "lambdas = [1e999999999] #"),
    "a tiny decimal": instead("lambdas = ", "lambdas = [1e-999999999] #"),
    "an endless decimal": instead("lambdas = ", f"lambdas = [0.{'3' * 5000}] #"),
    "no number": instead("lambdas = ", "lambdas = [nan, inf] #"),
    "a reward that is no number": instead("reward = ", "reward = inf #"),
    "truth for a number": instead("seed = ", "seed = true #"),
    "a factor that is a text": lambda text: 'factors = "x"\n' + text.replace("[[factors", "[[no_factors"),
    "a slug that climbs out": instead("slug = ", 'slug = "../../etc" #'),
    "another image set": instead("[image_set]\n", '[image_set]\nname = "nothing" #'),
    "an interface that there is not": instead('name = "infer"', 'name = "os.system"'),
    "a recruiter that there is not": lambda text: text + '\n[recruitment]\nrecruiter = "mturk"\n',
    "a recruitment with codes": lambda text: text + '\n[recruitment]\nrecruiter = "prolific"\ncodes = {}\n',
    "imported answers": lambda text: 'source = "imported"\n' + text,
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_is_no_study_is_refused_and_nothing_is_kept(world, writes, file, what):
    slug = "" if "slug" in what else "read-in"
    before = time.monotonic()
    with writes() as changes:
        reply = read_in(world, BAD[what](file), slug)
    assert_refused(world, reply, changes)
    assert time.monotonic() - before < 5


def test_the_file_that_the_others_were_made_of_is_read(world, file):
    """Otherwise the test above would refuse anything."""
    assert read_in(world, file).status_code == 302
    assert Study.objects.get(slug="read-in").title == world.study.title


@pytest.mark.parametrize("depth", [5, 50, *range(60, 1000, 60)])
def test_no_depth_of_a_table_is_an_error_of_ours(world, file, depth):
    for key in ("options", "x"):
        dotted = f"{key}.{'.'.join(['x'] * depth)} = 1"
        listed = f"{key} = {'[' * depth}{']' * depth}"
        tables = f"{key} = {'{x = ' * depth}1{'}' * depth}"
        for deep in (dotted, listed, tables, f"{key}.left = {'[' * depth}{']' * depth}"):
            assert read_in(world, within("interface", deep)(file)).status_code == 400


def test_a_file_about_other_pictures_of_the_same_name_is_refused(world, writes, file):
    sha256 = world.image_set.sha256
    with writes() as changes:
        reply = read_in(world, file.replace(sha256, "0" * 64))
    assert_refused(world, reply, changes)
    assert "another one" in reply.content.decode()


def test_names_of_a_file_are_shown_as_text(world, writes, file):
    """In a refusal, which repeats them, and on the pages of the study that is made."""
    hostile = file.replace('"zzplain"', f'"{HOSTILE}"').replace('"zzgroup"', f"'{HOSTILE}'")
    with writes() as changes:
        reply = read_in(world, hostile)
    assert_refused(world, reply, changes)
    assert "&lt;b onclick" in reply.content.decode()
    assert read_in(world, file).status_code == 302
    client = world["owner"].client()
    for name in ("study", "study_protocol", "study_texts", "study_versions", "study_simulations"):
        reply = client.get(reverse(name, args=["read-in"]))
        assert reply.status_code == 200
        assert_plain(reply)


def test_a_file_does_not_read_another_and_names_no_path(world, file):
    """No key of it is an address or a name of a file that would be opened."""
    ImageSet.objects.create(
        name="etc", kind="npz", n_images=1, height=1, width=1, channels=1, classes=[], splits={}, sha256="x"
    )
    for name in ("/etc/passwd", "../../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/"):
        reply = read_in(world, instead('name = "noise"', f'name = "{name}"')(file))
        assert reply.status_code == 400
        assert "root:" not in reply.content.decode()


def test_whoever_reads_a_file_in_owns_the_study_and_nobody_elses_is_touched(world, file):
    before = Study.objects.get(pk=world.study.pk)
    reply = read_in(world, file, "", who="stranger")  # the link is taken by a study that they cannot see
    assert reply.status_code == 400
    assert read_in(world, file, who="stranger").status_code == 302
    made = Study.objects.get(slug="read-in")
    assert [str(one.user) for one in made.memberships.all()] == ["stranger"]
    assert made.created_by == world["stranger"].user
    after = Study.objects.get(pk=world.study.pk)
    assert (after.title, after.state, after.protocol.pk) == (before.title, before.state, before.protocol.pk)
    assert not made.participations.exists()


@pytest.mark.parametrize("slug", ["new", "New", "a/b", "..", "a b", "<b>", "x" * 61, "é", "-", "%2e%2e"])
def test_a_link_that_would_be_another_address_is_refused(world, writes, file, slug):
    """By the page's field, by the file, and in the forms that make a study."""
    plan = replace(plan_of_study(world.study), slug=slug)
    copied = {"title": "A copy", "slug": slug}
    made = ROUTES["new_study"].body(world) | {"slug": slug}
    owner = world["owner"].client()
    if slug not in ("New", "-"):  # odd, and no other address
        with writes() as changes:
            replies = [
                read_in(world, file, slug),
                read_in(world, study_file(plan), ""),
                owner.post(world.address("copy_study"), copied),
                owner.post(reverse("new_study"), made),
            ]
        assert ([reply.status_code for reply in replies], changes) == ([400] * 4, [])
