"""Studies as TOML files: what is written comes back to the hash, and what cannot be read is refused with its place."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import replace

import pytest
import tomli_w
from django.core.management import CommandError, call_command
from django.db import transaction
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elicitation.flow.withdrawal import withdraw
from elicitation.monitoring.study_files import export_study, import_study
from elicitation.participants.models import Participation
from elicitation.recruiters.services import recruitment_of, set_recruitment
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Mode, Slot, Source, Study
from elicitation.studies.opening import open_study
from elicitation.studies.payment import Payment
from elicitation.studies.protocol import settings_of
from elicitation.studies.rules import default_rules
from elicitation.studies.services import change_texts, create_study, plan_of_study
from elicitation.studies.texts import texts_of
from elicitation.studies.toml import read_study
from elicitation.studies.toml_writing import study_file
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Invalid, NotFound
from tests.elicitation.test_study_changes import FULL

MIXED = {
    "interface": "infer",
    "lambdas_e4": (0, 1, 2500, 5000, 10_000),
    "class_pairs": ((0, 1), (2, 3)),
    "factors": (
        Factor("view", "within", (Level("me"), Level("others", {"perspective": "100 others"})), "mixed"),
        Factor("way", "between", (Level("slider"), Level("bars", {"interface": "distribution"}))),
    ),
    "rules": (),
}
FACTORS_AND_MORE = {**FULL, "factors": MIXED["factors"], "hypotheses": (), "payment": Payment("EUR", 250, 12)}


def file_of(study):
    return export_study(study=study, actor=OPERATOR)


def again(study, slug="again"):
    return import_study(text=file_of(study), actor=OPERATOR, slug=slug).study


@pytest.mark.parametrize(
    "said", [{}, FULL, MIXED, {"interface": "construct", "language": "he"}, {"source": "simulated"}]
)
def test_a_study_that_is_written_and_read_in_has_the_same_protocol_to_the_hash(make_study, said):
    study = make_study(opened=False, **said)
    twin = again(study)
    assert twin.protocol.content == study.protocol.content
    assert twin.protocol.sha256 == study.protocol.sha256
    assert (twin.title, twin.source, twin.state) == (study.title, study.source, Study.State.DRAFT)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60
    ).filter(str.strip)
)
def test_whatever_somebody_writes_comes_back_as_it_was(make_study, text):
    study = Study.objects.filter(slug="small").first() or make_study(opened=False)
    plan = plan_of_study(study)
    texts = {**plan.texts, "consent": text, "debrief": f"{text}\n{text}", "instructions": [text, "\n" + text]}
    written = replace(plan, title="T", bonus=text, texts=texts)
    assert read_study(study_file(written)).plan == written


@pytest.mark.parametrize(
    "text",
    [
        '"""',
        "\\",
        "a\r\nb",
        "\r",
        "[\n    1,\n    2,\n]",
        "x = [\n    'a',\n]",
        "\n[design]\n",
        "tab\there",
        "\x7f",
    ],
)
def test_text_that_looks_like_toml_stays_text(make_study, text):
    study = make_study(opened=False)
    texts = {**study.protocol.content["texts"], "debrief": f"{text}\nand more", "thanks": f"thanks {text}"}
    change_texts(study=study, texts=texts, actor=OPERATOR)
    assert again(study).protocol.sha256 == study.protocol.sha256


def test_a_file_is_readable(make_study):
    study = make_study(**{**FULL, "class_pairs": ((0, 1),), "lambdas_e4": (2500, 5000)})
    text = file_of(study)
    assert "lambdas = [0.25, 0.5]" in text
    assert 'class_pairs = [["ant", "bee"]]' in text.replace("\n", "").replace("    ", "").replace(",]", "]")
    assert "reward = 2.50" in text
    assert "\n\nTaking part is voluntary." in text  # over several lines
    assert 'enlargement = "none"' in text
    assert study.image_set.sha256 in text


def test_a_file_says_only_what_differs_from_the_defaults_if_one_writes_it_so(image_set):
    text = """
slug = "short"
title = "Short"
[image_set]
name = "noise"
[design]
n_mixed_images = 12
trials_per_person = 6
repeats = 0
lambdas = [0, 0.5, 1]
[texts]
thanks = "Bye."
[texts.information]
controller = "Ada"
"""
    study = import_study(text=text, actor=OPERATOR).study
    said, texts = settings_of(study.protocol.content), texts_of(study.protocol.content)
    assert said.design.lambdas_e4 == (0, 5000, 10_000)
    assert said.rules == default_rules()
    assert (said.interface, said.flow.break_every) == ("infer", 20)
    assert (texts.thanks, texts.information["controller"]) == ("Bye.", "Ada")
    assert "**Short**" in texts.consent
    assert texts.information["data"]


# -- what is refused


def refused(text):
    with pytest.raises(Invalid) as error:
        import_study(text=text, actor=OPERATOR, slug="again")
    assert not Study.objects.filter(slug="again").exists()
    return error.value.fields["file"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("slug =", "slgu =", "slgu: nothing is called so here."),
        ("n_mixed_images", "n_mixed_imgs", "design.n_mixed_imgs: nothing is called so here."),
        ("[display]", "[displays]", "displays: nothing is called so here."),
        ('pixels = "css"', "pixels = 1", "display.pixels: this must be text in quotation marks."),
        ('enlargement = "none"', 'enlargement = "all"', "display.enlargement: this must be a whole number, or 'none'."),
        ("repeats = 0", "repeats = 0.0", "design.repeats: this must be a whole number."),
        ("repeats = 0", "repeats = true", "design.repeats: this must be a whole number."),
        ("same_class = false", "same_class = 0", "design.same_class: this must be true or false."),
        ("0.25, 0.5", "0.25, 0.50001", "design.lambdas: this must be a list of decimals"),
        ("0.25, 0.5", "0.25, nan", "design.lambdas: this must be a list of decimals"),
        ("0.25, 0.5", "0.25, 1e-400", "design.lambdas: this must be a list of decimals"),
        ("class_pairs = []", 'class_pairs = [["ant", "elk"]]', "the classes are ant, bee, cat, dog"),
        ("class_pairs = []", 'class_pairs = [["ant"]]', "design.class_pairs: this must be a list of pairs"),
        ("reward = 0.00", "reward = 0.001", "payment.reward: this must be an amount"),
        ("reward = 0.00", "reward = 1e999999", "payment.reward: this must be an amount"),
        ("reward = 0.00", "reward = inf", "payment.reward: this must be an amount"),
        ("width = 0.3", "width = nan", "stop.width: this must be a number."),
        ("width = 0.3", "width = 1979-05-27", "stop.width: this must be a number."),
        ('flag = "untouched"', 'flg = "untouched"', "rules[1].flag: this is missing."),
        ("share = 0.5", 'share = "0.5"', "rules[1].params: this must be numbers by name."),
        ("[[texts.boxes]]", "[[texts.boxen]]", "texts.boxen: nothing is called so here."),
        ("correct = 2", 'correct = "2"', "texts.comprehension[1].correct: this must be the position"),
        ('kind = "likert"', 'kind = "likert"\nmood = 3', "texts.survey[1].mood: nothing is called so here."),
        ('name = "infer"', 'name = "guess"', "interface.name: one of categorical, construct"),
        ('name = "noise"', 'name = "loud"', "there is no image set 'loud' here. Image sets here: noise."),
        ('source = "person"', 'source = "imported"', "source: answers come from 'person' or are 'simulated'."),
        ('excludes = []\n', "excludes = [1]\n", "recruitment: recruiter is a name"),
        ("[recruitment]", "[recruitment]\ncodes = {}", "recruitment.codes: nothing is called so here."),
    ],
)  # fmt: skip
def test_what_a_file_cannot_say_is_refused_with_its_place(make_study, before, after, said):
    text = file_of(make_study())
    assert before in text
    assert any(said in one for one in refused(text.replace(before, after, 1)))


def test_everything_that_is_wrong_is_said_at_once(make_study):
    text = file_of(make_study()).replace("repeats = 0", "repeats = []").replace("seed = 5", "seed = []")
    assert len(refused(text)) == 2


@pytest.mark.parametrize(
    "text", ["slug = ", "slug = 'a'\nslug = 'b'", "a = " + "[" * 5000, "a = " + "1" * 5000, "\x00"]
)
def test_a_file_that_is_no_toml_is_refused(image_set, text):
    assert "The file is no TOML" in refused(text)[0]


def test_the_line_that_is_no_toml_is_named(image_set):
    assert "line 3" in refused('slug = "a"\ntitle = "b"\nimage_set = = 1\n')[0]


def test_a_file_that_is_far_too_long_is_not_read(image_set):
    with pytest.raises(Invalid, match="too long"):
        import_study(text="#" * 2_000_001, actor=OPERATOR)


def test_a_file_about_other_pictures_of_the_same_name_is_refused(make_study):
    text = file_of(make_study())
    sha256 = tomllib.loads(text)["image_set"]["sha256"]
    (said,) = refused(text.replace(sha256, "0" * 64))
    assert said.startswith("image_set.sha256: the image set 'noise' of the file is another one")


@pytest.mark.parametrize(
    "said",
    [
        {"display": {"zoom": 3}}, {"options": []}, {"wording": {"question": 1}}, {"instructions": "one"},
        {"comprehension": [{"prompt": "p", "options": ["a", "b"], "correct": "a"}]}, {"interface": 1}, {"slides": 1},
    ],
)  # fmt: skip
def test_a_level_that_sets_what_nothing_reads_is_refused(make_study, said):
    study = make_study(opened=False)
    factors = (Factor("f", "between", (Level("a"), Level("b", said))),)
    text = study_file(replace(plan_of_study(study), factors=factors))
    assert "factors[1].levels[2].set" in refused(text)[0]


def test_a_plan_that_cannot_be_carried_out_is_refused_as_by_the_page(make_study):
    text = file_of(make_study()).replace("trials_per_person = 6", "trials_per_person = 600")
    with pytest.raises(Invalid) as error:
        import_study(text=text, actor=OPERATOR, slug="again")
    assert "trials_per_person" in error.value.fields


def test_a_file_of_an_earlier_version_of_an_interface_is_read_and_said(make_study):
    text = file_of(make_study()).replace("version = ", "version = 100", 1)
    assert "asks with infer@" in import_study(text=text, actor=OPERATOR, slug="again").notes[0]


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 10**30), st.floats(), st.text("aλ{}\"\n", max_size=5), st.just([]),
    st.just({}), st.just([{}]), st.just([[1]]), st.just({"name": 1}), st.just({"lambda": []}),
)  # fmt: skip


def places(value, path=()):
    """The paths of every value in a document, containers too."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield from places(one, (*path, name))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_file_says_it_is_read_or_refused(make_study, data):
    study = Study.objects.filter(slug="small").first() or make_study(opened=False, **FACTORS_AND_MORE)
    document = tomllib.loads(file_of(study))
    path = data.draw(st.sampled_from(list(places(document))))
    odd = data.draw(ODD)
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    if odd is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = odd
    with transaction.atomic():
        with suppress(Invalid):
            import_study(text=tomli_w.dumps(document), actor=OPERATOR, slug="again")
        transaction.set_rollback(True)


# -- recruitment


def test_a_file_says_who_recruits_and_no_codes(make_study):
    earlier, study = make_study("earlier"), make_study("later")
    set_recruitment(
        study=study, recruiter="prolific", options={"study_id": "5" * 24}, excludes=[earlier], actor=OPERATOR
    )
    codes = study.recruitment.options["codes"].values()
    text = file_of(study)
    assert not any(code in text for code in codes)
    assert "5" * 24 not in text
    twin = again(study)
    assert recruitment_of(twin).recruiter.NAME == "prolific"
    assert list(twin.recruitment.excludes.all()) == [earlier]
    assert not set(twin.recruitment.options["codes"].values()) & set(codes)


def test_a_study_that_was_excluded_and_is_not_here_is_named(make_study):
    text = file_of(make_study()).replace("excludes = []\n", 'excludes = ["gone"]\n', 1)
    assert "'gone'" in import_study(text=text, actor=OPERATOR, slug="again").notes[0]


def test_nobody_learns_by_a_file_of_studies_that_they_may_not_see(make_study):
    make_study("secret")
    text = file_of(make_study()).replace("excludes = []\n", 'excludes = ["secret"]\n', 1)
    imported = import_study(text=text, actor=User.objects.create_user("rosa"), slug="again")
    assert "'secret'" in imported.notes[0]
    assert not imported.study.recruitment.excludes.exists()


# -- the command and the page


def test_the_command_writes_a_file_and_reads_it_in(make_study, tmp_path, capsys):
    study, file = make_study(), tmp_path / "study.toml"
    call_command("study", "export", "small", "--to", str(file))
    assert study.protocol.sha256 in capsys.readouterr().out
    owner = User.objects.create_user("rosa")
    call_command("study", "import", str(file), "--slug", "twin", "--owner", "rosa")
    assert [study.slug for study in Study.objects.visible_to(owner)] == ["twin"]
    assert study.protocol.sha256 in capsys.readouterr().out
    assert Study.objects.get(slug="twin").protocol.content == study.protocol.content
    call_command("study", "export", "small")
    assert capsys.readouterr().out == file.read_text(encoding="utf-8")


def test_the_command_says_in_a_sentence_what_it_cannot_do(make_study, tmp_path):
    make_study()
    file = tmp_path / "study.toml"
    call_command("study", "export", "small", "--to", str(file))
    for arguments, said in (
        (["export", "nothing"], "There is no study 'nothing'. Studies here: small."),
        (["export", "small", "--to", str(file)], "is there already"),
        (["export", "small", "--to", str(tmp_path / "no" / "x.toml")], "cannot be written"),
        (["import", str(tmp_path / "no.toml")], "There is no file"),
        (["import", str(tmp_path)], "cannot be read"),
        (["import", str(file)], "There is a study at /s/small/ already."),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("study", *arguments)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match="cannot be read as UTF-8"):
        call_command("study", "import", str(file))


def test_simulated_participants_answer_a_study_that_is_for_them_by_a_command(make_study, capsys):
    simulated, people = make_study(source=Source.SIMULATED, opened=False), make_study("people")
    for slug in ("small", "people"):
        with pytest.raises(CommandError, match=r"open it first|not for simulated"):
            call_command("study", "answer", slug)
    open_study(study=simulated, actor=OPERATOR)
    call_command("study", "answer", "small")
    done = simulated.participations.filter(state=Participation.State.COMPLETED).count()
    assert done
    assert f"{done} simulated participants took part in 'small'." in capsys.readouterr().out
    assert Slot.objects.filter(batch__study=simulated, batch__mode=Mode.LIVE).count() == done
    call_command("study", "answer", "small")
    assert capsys.readouterr().out.startswith("0 simulated participants")
    withdraw(participation=simulated.participations.first())
    call_command("study", "answer", "small")
    assert capsys.readouterr().out.startswith("1 simulated participants"), "a place given back is nobody's"
    with pytest.raises(CommandError, match="not for simulated participants"):
        call_command("study", "answer", "people")
    assert not people.participations.exists()


def test_a_study_is_downloaded_by_who_may_see_it(client, make_study):
    study, rosa = make_study(), User.objects.create_user("rosa")
    client.force_login(rosa)
    address = reverse("study_toml", args=[study.slug])
    assert client.get(address).status_code == 404
    with pytest.raises(NotFound):
        export_study(study=study, actor=rosa)
    Membership.objects.create(user=rosa, study=study, part=Membership.Part.VIEWER)
    reply = client.get(address)
    assert reply["Content-Disposition"] == 'attachment; filename="small.toml"'
    assert reply.content.decode() == file_of(study)


def test_the_words_of_imported_answers_are_not_written_down_as_ours(image_set, make_study):
    plan = replace(plan_of_study(make_study()), slug="theirs", texts={"origin": "Elsewhere."})
    study = create_study(plan=plan, source=Source.IMPORTED, actor=OPERATOR)
    document = tomllib.loads(file_of(study))
    assert "texts" not in document
    assert again(study).source == Source.PERSON
