"""Everything that a participant can read stands in Hebrew too, with the same holes; everybody else's pages are English.

The sentences are collected anew from the code and the templates, so one that `make messages` has not seen fails here.
"""

from __future__ import annotations

import ast
import re
from gettext import GNUTranslations
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.translation.template import templatize

from elicitation.flow.leaving import left_token
from elicitation.flow.modes import address
from elicitation.flow.wording import WORDING
from elicitation.interfaces import INTERFACES
from elicitation.recruiters.base import Outcome
from elicitation.recruiters.services import recruitment_of, set_recruitment
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Mode
from elicitation.studies.opening import pause_study
from elicitation.studies.protocol import DEFAULT_TIMING_REASON, PERSPECTIVES, settings_of
from elicitation.studies.texts import INFORMATION, default_texts, demonstration_information
from hilmix.accounts.models import User
from hilmix.accounts.roles import OPERATOR

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "locale/he/LC_MESSAGES"
RESEARCHERS = {"findings.py", "panel.py"}  # what flow says to them
CODE = [
    *(path for path in ROOT.glob("elicitation/flow/*.py") if path.name not in RESEARCHERS),
    *ROOT.glob("elicitation/interfaces/*.py"),
    ROOT / "elicitation/participants/services.py",
    ROOT / "elicitation/recruiters/prolific.py",
    ROOT / "elicitation/studies/protocol.py",
    ROOT / "elicitation/studies/texts.py",
]
TEMPLATES = [
    ROOT / "templates/participant.html",
    *ROOT.glob("templates/elicitation/participant/*.html"),
]
HOLE = re.compile(r"\{\w*\}|%\(\w+\)[sd]|%[sd]")
MARKED = re.compile(r"(?:\b_|gettext)\((.*?)\) ", re.DOTALL)
PART = re.compile(r'^(msg[a-z_]+)(?:\[\d\])? ((?:".*"\n?)+)', re.MULTILINE)
NAMES = {"name", "kind"}
CALLS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext"}


# -- what there is to translate


def in_code(path: Path) -> set[str]:
    """First arguments of calls of gettext in a module."""
    calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id in CALLS
        and isinstance(call.args[0], ast.Constant)
    }


def in_template(path: Path) -> set[str]:
    """What `{% translate %}` and `{% blocktranslate %}` mark in a template."""
    return {ast.literal_eval(marked) for marked in MARKED.findall(templatize(path.read_text("utf-8")))}


SENTENCES = sorted(set().union(*map(in_code, CODE), *map(in_template, TEMPLATES)))


def strings(value) -> list[str]:
    """All text in a JSON content, but for what names a box or question."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for name, item in value.items() if name not in NAMES for text in strings(item)]
    return [text for item in value for text in strings(item)] if isinstance(value, list | tuple) else []


def has_words(text: str) -> bool:
    """Numbers and holes alone are the same in every language."""
    return re.search(r"[A-Za-z]{2}", HOLE.sub("", text)) is not None


def is_hebrew(text: str) -> bool:
    return re.search(r"[\u05d0-\u05ea]", text) is not None


# -- the catalogue


def entries() -> dict[str, list[str]]:
    """Original → its translations, one a plural form; the header's original is empty."""
    found = {}
    for block in (CATALOGUE / "django.po").read_text("utf-8").split("\n\n"):
        parts = [
            (name, "".join(map(ast.literal_eval, text.splitlines()))) for name, text in PART.findall(block)
        ]
        found[dict(parts)["msgid"]] = [text for name, text in parts if name == "msgstr"]
    return found


def test_every_sentence_has_a_hebrew_one_with_the_same_holes():
    known = entries()
    assert len(SENTENCES) > 300
    for sentence in SENTENCES:
        assert sentence in known, f"run `make messages`, then translate: {sentence!r}"
        for text in known[sentence]:
            assert is_hebrew(text) or not has_words(sentence), f"not translated: {sentence!r}"
        holes = sorted(HOLE.findall(sentence))
        # "One day" and "two days" need no number.
        few = [] if len(known[sentence]) > 1 else holes
        assert all(sorted(HOLE.findall(text)) in (holes, few) for text in known[sentence]), sentence


def test_the_catalogue_holds_no_other_sentences_and_no_guesses():
    assert set(entries()) - {""} <= set(SENTENCES)
    assert "fuzzy" not in (CATALOGUE / "django.po").read_text("utf-8")


def test_what_is_compiled_is_what_is_written():
    with (CATALOGUE / "django.mo").open("rb") as file:
        compiled = GNUTranslations(file)._catalog
    written = {}
    for sentence, texts in entries().items():
        keys = [sentence] if len(texts) == 1 else [(sentence, form) for form in range(len(texts))]
        written |= dict(zip(keys, texts, strict=True))
    del compiled[""], written[""]  # the header: a compiled one leaves dates out
    assert compiled == written, "run `make messages`"


# -- what people are given


@pytest.mark.parametrize("perspective", PERSPECTIVES)
@pytest.mark.parametrize("interface", sorted(INTERFACES))
def test_a_study_starts_with_words_in_its_language(interface, perspective):
    given = {"title": "?", "interface": INTERFACES[interface], "perspective": perspective}
    with translation.override("he"):
        information = demonstration_information()
    hebrew = default_texts(**given, language="he", information=information)
    english = default_texts(**given, language="en-gb", information=demonstration_information())
    for part in hebrew:
        pairs = list(zip(strings(hebrew[part]), strings(english[part]), strict=True))
        assert pairs
        for text, original in pairs:
            assert is_hebrew(text) or not has_words(original), f"{part}: {text!r}"
            assert HOLE.findall(text) == HOLE.findall(original), f"{part}: {text!r}"


def test_all_that_the_trials_page_says_is_in_the_language():
    worded = [(name, text) for name, text in WORDING.items() if has_words(str(text))]
    with translation.override("he"):
        assert [name for name, text in worded if not is_hebrew(str(text))] == []
        assert all(is_hebrew(str(label)) for label in INFORMATION.values())


def test_the_reason_for_times_is_said_in_the_language_unless_it_is_the_studys_own(make_study):
    said = settings_of(make_study("ours", language="he").protocol.content).timing_reason
    assert is_hebrew(said)
    assert said != DEFAULT_TIMING_REASON
    own = make_study("own", language="he", timing_reason="Because.")
    assert settings_of(own.protocol.content).timing_reason == "Because."
    assert settings_of(make_study("english").protocol.content).timing_reason == DEFAULT_TIMING_REASON


@pytest.fixture
def hebrew(make_study):
    """A study in Hebrew whose people a recruiter sends."""
    with translation.override("he"):
        study = make_study(
            "hebrew", title="מה רואים?", language="he", information=demonstration_information()
        )
    set_recruitment(study=study, recruiter="prolific", options={}, actor=OPERATOR)
    return study


def expect_hebrew(address: str) -> str:
    """What the page says, which is no sentence of ours in English."""
    page = Client().get(address).content.decode()
    assert '<html lang="he" dir="rtl">' in page
    assert [sentence for sentence in SENTENCES if len(sentence) > 8 and sentence in page] == []
    return page


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.PREVIEW])
def test_an_entry_page_in_hebrew_has_no_english_sentence(hebrew, mode):
    page = expect_hebrew(address(hebrew, mode))
    assert ("תצוגה מקדימה" in page) == (mode == Mode.PREVIEW)
    assert ("המזהה שלך ב-Prolific" in page) == (mode == Mode.LIVE)


@pytest.mark.parametrize("outcome", [Outcome.EXCLUDED, Outcome.WRONG_DEVICE])
def test_whoever_has_to_leave_reads_in_hebrew_how(hebrew, outcome):
    page = expect_hebrew(f"{address(hebrew, Mode.LIVE)}?left={left_token(hebrew, outcome)}")
    assert recruitment_of(hebrew).code(outcome) in page


def test_whoever_comes_too_late_reads_so_in_hebrew(hebrew):
    pause_study(study=hebrew, actor=OPERATOR)
    page = expect_hebrew(address(hebrew, Mode.LIVE))
    assert "המחקר הזה לא פתוח כרגע" in page
    assert recruitment_of(hebrew).code(Outcome.FULL) in page


def test_every_way_of_a_study_in_hebrew_is_said_in_hebrew(make_study):
    others = sorted(set(INTERFACES) - {"infer"})
    ways = [Level("own")]
    ways += [Level(name, {"interface": name, "perspective": "100 others"}) for name in others]
    study = make_study(language="he", opened=False, checks=0, factors=(Factor("way", "within", tuple(ways)),))
    (factor,) = settings_of(study.protocol.content).factors
    assert [level.name for level in factor.levels] == ["own", *others]
    for level in factor.levels[1:]:
        said = strings([level.set[name] for name in ("instructions", "short_instructions", "comprehension")])
        assert all(is_hebrew(text) for text in [*said, *level.set["wording"].values()] if has_words(text))
        assert len(said) > 5


# -- and who is not


def test_a_link_without_a_study_is_refused_in_the_browsers_language(db):
    for unknown in (
        reverse("study_entry", args=["nowhere"]),
        reverse("participation", args=["cut:link"]),
    ):
        page = Client().get(unknown, headers={"Accept-Language": "he"})
        assert page.status_code == 404
        assert '<html lang="he" dir="rtl">' in page.content.decode()
        assert "אין כאן דבר" in page.content.decode()
        assert '<html lang="en-gb" dir="ltr">' in Client().get(unknown).content.decode()


def test_pages_for_researchers_stay_english_whatever_the_browser_asks_for(make_study):
    study = make_study(language="he")
    browser = Client(headers={"Accept-Language": "he"})
    browser.force_login(User.objects.create(username="rosa", kind=User.Kind.ADMIN))
    browser.get(reverse("study_entry", args=[study.slug]))
    of_study = ("study", "study_protocol", "study_versions", "study_monitor", "study_recruitment")
    for name in ("home", "studies", "new_study", *of_study):
        args = [study.slug] if name in of_study else []
        page = browser.get(reverse(name, args=args)).content.decode()
        assert '<html lang="en-gb">' in page
        assert "Skip to the content" in page
    assert translation.get_language() == "en-gb"
