"""What every page says to a browser: the policy in its headers, and nothing in its source that breaks it."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from elicitation.studies.texts import rendered
from tests.security.replies import Source, assert_guarded, assert_plain, body
from tests.security.routes import PARTICIPANT_PAGES, ROUTES, VERBS, Open
from tests.security.test_every_url import ask
from tests.security.world import HOSTILE, PASSWORD, World

STYLED = ("participation",)  # the jsPsych page (design rule 16)
PAGES = [name for name, route in ROUTES.items() if "GET" in route.verbs]
STEERING = (
    *("study_monitor", "study_participations", "study_problems", "study_simulations", "study_recruitment"),
    *("study_submissions", "study_bonuses", "study_versions"),
)
IMAGES = (
    *("parent_image", "study_mixed_image", "study_participation_picture"),
    *("participation_image", "participation_example"),
)
FILES = ("release_file", "api_release_file")


def pages_of(world: World, name: str) -> list[HttpResponse]:
    """What those who may are shown at the address of `name`."""
    callers = [world[who] for who in ("public", "owner", "admin", "holder")]
    return [c.client().get(world.address(name)) for c in callers if ROUTES[name].allows(c)]


@pytest.mark.parametrize("name", PAGES)
def test_every_answer_carries_the_policy_and_every_page_keeps_it(world, name):
    replies = pages_of(world, name)
    assert replies
    for reply in replies:
        assert_guarded(reply, styled=name in STYLED)
        # A file to be kept is shown by whatever opens it, under the policy that it carries itself.
        attached = reply.get("Content-Disposition", "").startswith("attachment")
        if reply["Content-Type"].startswith("text/html") and not attached:
            assert_plain(reply, styled=name in STYLED)


def test_pages_in_their_other_states_keep_the_policy_too(world):
    admin = world["admin"].client()
    addresses = [
        world.unreported.get_absolute_url(),
        reverse("new_experiment") + "?release=<b>",
        reverse("sign_in") + f"?next={HOSTILE}",
    ]
    for address in addresses:
        reply = admin.get(address)
        assert_guarded(reply)
        assert_plain(reply)
    refused = admin.post(reverse("new_study"), {"title": HOSTILE, "slug": HOSTILE, "lambdas": HOSTILE})
    assert refused.status_code == 400
    assert_plain(refused)
    decline = ROUTES["study_entry"].body(world) | {"decision": "decline"}
    declined = Client().post(world.address("study_entry"), decline)
    assert_guarded(declined)
    assert_plain(declined)


def test_pages_of_running_a_study_keep_the_policy_in_their_other_states_too(world):
    owner = world["owner"].client()
    simulations = world.study.simulations.order_by("pk")
    shown = [
        (world.address("study_monitor"), {"mode": "pilot", "levels": "1"}),
        (world.address("study_participations"), {"mode": "all", "flag": HOSTILE, "name": HOSTILE}),
        (world.address("study_replay"), {"at": "page-1"}),
        (world.address("simulation", simulation_id=simulations[1].pk), {}),
        (reverse("study", args=[world.elsewhere.slug]), {}),
        *((reverse(name, args=[world.elsewhere.slug]), {}) for name in STEERING),
        *(
            (world.address("study_participation", public_id=person.public_id), {})
            for person in world.study.participations.all()
        ),
    ]
    replies = [owner.get(address, asked) for address, asked in shown]
    replies.append(ask(world["owner"], "POST", "study_submissions", world))
    replies.append(ask(world["owner"], "POST", "study_planner", world))
    for reply in replies:
        assert reply.status_code == 200
        assert_guarded(reply)
        assert_plain(reply)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("study_recruitment", {"recruiter": HOSTILE, "study_id": HOSTILE, "code_full": HOSTILE}),
        ("study_recruitment", {"code_full": HOSTILE}),
        ("study_protocol", {"title": HOSTILE, "lambdas": HOSTILE, "currency": HOSTILE, "based_on": HOSTILE}),
        ("study_submissions", {"export": HOSTILE}),
        ("copy_study", {"slug": HOSTILE}),
        ("import_study", {"slug": HOSTILE}),
        ("judge_participation", {"reason": ""}),
        ("judge_participation", {"reason": HOSTILE * 100}),
        ("simulate_study", {"answers": HOSTILE, "seed": HOSTILE, "repetitions": HOSTILE}),
        ("simulate_study", {"release": HOSTILE}),
    ],
)
def test_a_form_that_is_refused_keeps_the_policy_and_repeats_what_was_sent_as_text(
    world, writes, name, wrong
):
    with writes() as changes:
        reply = world["owner"].client().post(world.address(name), ROUTES[name].body(world) | wrong)
    assert (reply.status_code, changes) == (400, [])
    assert_guarded(reply)
    assert_plain(reply)


@pytest.mark.parametrize(
    ("who", "address", "status"),
    [
        ("public", "/nowhere/", 404),
        ("public", "/s/nothing/", 404),
        ("public", "/p/cut/", 404),
        ("stranger", "/audit/", 403),
        ("stranger", f"/studies/{'x' * 40}/", 404),
    ],
)
def test_pages_of_refusal_keep_the_policy_too(world, who, address, status):
    reply = world[who].client().get(address)
    assert reply.status_code == status
    assert_guarded(reply)
    assert_plain(reply)


@pytest.mark.parametrize(
    "name", ["study", "studies", "image_set", "experiment", "jobs", "job", "account", "home"]
)
def test_names_that_people_chose_are_shown_as_text(world, name):
    assert escape(HOSTILE) in world["owner"].client().get(world.address(name)).content.decode()


def test_only_the_two_named_pages_may_set_styles(world):
    relaxed = {
        name
        for name in PAGES
        for reply in pages_of(world, name)
        if "unsafe" in reply["Content-Security-Policy"]
    }
    assert relaxed == set(STYLED)


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_made_from_pixels_and_carry_nothing_else(world, name):
    for reply in pages_of(world, name):
        assert reply["Content-Type"] == "image/png"
        assert chunks(body(reply)) == {b"IHDR", b"IDAT", b"IEND"}


def chunks(png: bytes) -> set[bytes]:
    """The kinds of chunk that a PNG consists of."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    found, at = set(), 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        found.add(kind)
        at += length + 12
    return found


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("path", ["README.md", "csv/responses.csv", "manifest.json"])
def test_files_of_a_release_are_downloads_that_no_browser_opens(world, name, path):
    reply = world["owner"].client().get(world.address(name, path=path))
    assert reply.status_code == 200
    assert reply["Content-Type"] == "application/octet-stream"
    assert reply["Content-Disposition"].startswith("attachment; filename=")


@pytest.mark.parametrize("name", [name for name in ROUTES if name.endswith("_json") or name == "job_state"])
def test_data_is_sent_as_data(world, name):
    for reply in pages_of(world, name):
        assert reply["Content-Type"] == "application/json"


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(world):
    client = Client()
    client.get(reverse("sign_in"))
    client.post(reverse("sign_in"), {"username": "owner", "password": PASSWORD})
    session, csrf = (
        client.cookies[name] for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)
    )
    assert session["httponly"]
    assert session["samesite"] == csrf["samesite"] == "Lax"


@pytest.mark.parametrize("verb", VERBS)
def test_a_request_under_another_name_of_the_host_is_refused(db, verb):
    reply = Client().generic(verb, reverse("healthz"), headers={"Host": "evil.example"})
    assert reply.status_code == 400


# --- Texts that researchers write ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "Hello <img src=x onerror=alert(1)> there",
        "<svg/onload=alert(1)>",
        "[click](javascript:alert(1))",
        "[click](JaVaScRiPt:alert(1))",
        "[click](&#106;avascript:alert(1))",
        "[click](java\nscript:alert(1))",
        "[click](vbscript:msgbox)",
        "[click](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](data:image/svg+xml;base64,PHN2Zz4=)",
        "<javascript:alert(1)>",
        '[x](/ok "\\" onmouseover=alert(1) x=\\"")',
        "```html\n<script>alert(1)</script>\n```",
        "`<script>`",
        "<!-- --><iframe src=//evil.example></iframe>",
        "[a]: javascript:alert(1)\n\n[a]",
    ],
)
def test_no_html_and_no_script_link_gets_through_a_study_text(text):
    source = Source(HttpResponse(rendered(text)))
    assert set(source.tags) <= {"p", "a", "code", "pre", "em", "strong", "img"}
    assert source.handlers == source.inline_scripts == source.inline_styles == []
    for address in source.addresses:
        assert re.match(r"(/|https?:)", address), address


def test_a_study_text_with_a_script_reaches_no_page(world):
    protocol = world.study.protocol
    evil = f"<script>alert(1)</script> {HOSTILE} [x](javascript:alert(1))"
    texts = protocol.content["texts"]
    for name in ("consent", "declined", "short_instructions", "break", "debrief", "thanks", "withdrawal"):
        texts[name] = evil
    texts |= {"instructions": [evil], "information": {evil: evil, "purpose": evil}}
    texts["wording"] = dict.fromkeys(texts["wording"], evil)
    texts["boxes"] = [{**box, "text": evil} for box in texts["boxes"]]
    texts["survey"] = [{**item, "prompt": evil, "low": evil, "high": evil} for item in texts["survey"]]
    texts["comprehension"] = [{"prompt": evil, "options": [evil, evil + "!"], "correct": 0, "explain": evil}]
    protocol.content["bonus"] = protocol.content["timing_reason"] = evil
    protocol.save()
    declined = ROUTES["study_entry"].body(world) | {"decision": "decline"}
    pages = {name: Client().get(world.address(name)) for name in PARTICIPANT_PAGES}
    pages["declined"] = Client().post(world.address("study_entry"), declined)
    Client().post(world.address("participation_survey"), ROUTES["participation_survey"].body(world))
    pages["thanks"] = Client().get(world.address("participation_survey"), follow=True)
    pages["study_texts"] = world["owner"].client().get(world.address("study_texts"))
    pages["study"] = world["owner"].client().get(world.address("study"))
    for name, reply in pages.items():
        assert reply.status_code == 200
        assert_plain(reply, styled=name in STYLED)
        assert b"<script>alert" not in reply.content
        assert b'href="javascript' not in reply.content


# --- What the source must not hold --------------------------------------------------------------------------

ROOT = Path(settings.BASE_DIR)
SOURCES = {
    "template": [*ROOT.glob("templates/**/*.html")],
    "python": [p for app in ("hilmix", "elicitation", "training") for p in (ROOT / app).rglob("*.py")],
    "script": [*(ROOT / "static").rglob("*.js")],
}


@pytest.mark.parametrize(
    ("kind", "banned", "excepted"),
    [
        ("template", r"\|\s*safe|autoescape\s+off|{%\s*debug", ()),
        # The report as a file: it has a policy of its own, and is only sent as an attachment.
        ("template", r"<style|\sstyle=|\son[a-z]+=|javascript:", ("templates/training/paper_report.html",)),
        (
            "python",
            r"mark_safe|SafeString\(|format_html|csrf_exempt|xframe_options",
            ("elicitation/studies/texts.py", "elicitation/flow/visits.py"),
        ),
        (
            "python",
            r"(import|from) pickle|(?<!\.)\b(eval|exec)\(|shell=True|yaml\.load|os\.system|\.extra\(",
            (),
        ),
        # One statement without anything of a request in it; its study is a parameter.
        ("python", r"\.raw\((?!NEWEST, \[study\.pk\]\))|RawSQL", ()),
        ("python", r"torch\.load\((?!.*weights_only=True)|allow_pickle=True", ()),
        ("python", r"unsafe-|UNSAFE_", ("hilmix/security.py",)),
        (
            "script",
            r"innerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|http://|https://",
            (),
        ),
    ],
)
def test_the_source_uses_nothing_that_escapes_the_escaping(kind, banned, excepted):
    assert SOURCES[kind]
    found = {
        str(path.relative_to(ROOT)): match[0]
        for path in SOURCES[kind]
        if (match := re.search(banned, path.read_text(encoding="utf-8")))
    }
    assert set(found) - {*excepted} == set()


def test_every_address_that_a_page_may_relax_is_named_in_the_table():
    assert set(STYLED) <= set(ROUTES)
    assert ROUTES["api_docs"].needs is Open.PUBLIC
