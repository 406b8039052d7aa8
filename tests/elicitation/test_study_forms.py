"""A study's form as a browser sends it: what stands in it comes back as it was, and what is changed is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from elicitation.recruiters.models import Recruitment
from elicitation.recruiters.services import set_recruitment
from elicitation.studies import opening
from elicitation.studies.factors import Factor, Level
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Protocol, Source, Study
from elicitation.studies.payment import Payment, Stop
from elicitation.studies.plans import plan_of_study
from elicitation.studies.protocol import Display, Flow, settings_of
from elicitation.studies.rules import default_rules
from elicitation.studies.services import change_protocol, create_study
from elicitation.studies.texts import demonstration_information
from elicitation.studies.toml_writing import study_file
from elicitation.studies.whole_form import WholeStudyForm, fixed_fields
from hilmix.accounts.models import Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import set_membership
from hilmix.core.mixing import METHODS
from hilmix.jobs.models import Job

PERSPECTIVES = Factor(
    "perspective", "between", (Level("you"), Level("others", {"perspective": "100 others"}))
)
SIDES = Factor(
    "side",
    "within",
    (
        Level("first", {"options": {"left": "first"}, "display": {"exposure_ms": 500, "pixels": "device"}}),
        Level("second", {"options": {"left": "second"}, "bonus": "", "display": {"exposure_ms": None}}),
    ),
    order="mixed",
)
EXPECTED = Hypothesis(
    "differs", "They differ.", "difference", factor="perspective", levels=("you", "others"),
    lambdas_e4=(2500, 7500), alternative="greater", alpha=0.01, effect=0.1, primary=True,
)  # fmt: skip
RULES = tuple(
    replace(rule, excludes=rule.flag == "failed_checks", reason="They did not look.")
    for rule in default_rules()
    if rule.flag != "one_key"
)
RICH = {
    "interface": "infer",
    "bonus": "The five best get 10 pounds.",
    "factors": (PERSPECTIVES, SIDES),
    "hypotheses": (EXPECTED,),
    "rules": RULES,
    "payment": Payment("EUR", 225, 12, "flat", 50),
    "stop": Stop("interval", 0.25),
    "display": Display(enlargement=8, pixels="device", exposure_ms=900),
    "flow": Flow(min_width_px=700, break_every=0),
    "class_pairs": ((0, 1), (2, 2), (3, 1)),
    "trials_per_person": 6,
}


@pytest.fixture
def owner(db):
    return User.objects.create(username="rosa", kind=User.Kind.RESEARCHER)


@pytest.fixture
def client(owner):
    client = Client()
    client.force_login(owner, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def mine(make_study, owner):
    """`mine(slug, **fields of the plan)`: a study that the client's person owns."""

    def make(slug="mine", **said):
        study = make_study(slug, **said)
        Membership.objects.create(user=owner, study=study, part=Membership.Part.OWNER)
        return study

    return make


def as_sent(form: WholeStudyForm) -> dict:
    """What a browser sends of the form as it stands: nothing of what is disabled, and of boxes the ticked ones."""
    sent = fields_of(form.settings) | {"rules-sent": "1"}
    formsets = [form.factors.formset, form.hypotheses.formset, *(row.levels for row in form.factors.rows)]
    for formset in formsets:
        sent |= {f"{formset.prefix}-{name}": value for name, value in formset.management_form.initial.items()}
    for formset in formsets:
        for row in formset.forms:
            sent |= fields_of(row)
    for row in form.rules.rows:
        sent |= fields_of(row)
    return sent


def fields_of(form) -> dict:
    values = {
        form.add_prefix(name): form[name].value() for name in form.fields if not form.fields[name].disabled
    }
    return {name: value for name, value in values.items() if value is not None and value is not False}


def form_of(study: Study) -> WholeStudyForm:
    return WholeStudyForm(
        base=plan_of_study(study), fixed=fixed_fields(study), only_analysed=study.is_only_analysed
    )


def change(client: Client, study: Study, **said):
    """Send the form of the study's settings with some of it changed."""
    sent = as_sent(form_of(study)) | {"based_on": study.protocol.sha256} | said
    return client.post(reverse("study_protocol", args=[study.slug]), sent)


def told(reply) -> list[str]:
    return [str(message) for message in get_messages(reply.wsgi_request)]


def beside(reply, field: str) -> str:
    return reply.content.decode().partition(f'id="id_{field}_error"')[2].partition("</ul>")[0]


def in_section(reply, key: str) -> str:
    return reply.content.decode().partition(f'id="{key}"')[2].partition('<fieldset class="card group"')[0]


def test_a_form_that_is_sent_as_it_stands_changes_nothing(client, mine):
    for number, said in enumerate([{}, RICH, {"interface": "construct", "options": {"controls": "keys"}}]):
        study = mine(f"s{number}", opened=False, **said)
        before = study.protocol
        reply = change(client, study)
        assert reply.status_code == 302, reply.content.decode()
        assert told(reply)[-1] == "Nothing was changed."
        assert list(study.protocols.values_list("version", "sha256")) == [(1, before.sha256)]


def test_the_form_of_an_opened_study_sent_as_it_stands_changes_nothing_either(client, mine):
    study = mine(**RICH)
    reply = change(client, study)
    assert reply.status_code == 302, reply.content.decode()
    assert told(reply) == ["Nothing was changed."]


def test_every_part_of_a_plan_can_be_written_in_the_browser(client, mine, image_set):
    rich = mine("rich", opened=False, **RICH)
    sent = as_sent(WholeStudyForm(base=plan_of_study(rich)))
    # Of a new form every row is a new one, and the words of levels are ours to give.
    sent |= {name: 0 for name in sent if name.endswith("-INITIAL_FORMS")}
    sent |= {name: "" for name in sent if name.rpartition("-")[2] in ("wording", "DELETE")}
    reply = client.post(
        reverse("new_study"), sent | demonstration_information() | {"slug": "again", "title": rich.title}
    )
    assert reply.status_code == 302, reply.content.decode()
    again = settings_of(Study.objects.get(slug="again").protocol.content)
    assert again == settings_of(rich.protocol.content)


def test_a_factor_is_added_renamed_and_taken_away(client, mine):
    study = mine(opened=False, factors=(PERSPECTIVES,))
    added = {
        "factors-1-name": "side", "factors-1-varies": "within", "factors-1-order": "mixed",
        "factors-1-levels-0-name": "first", "factors-1-levels-0-options": "left = first",
        "factors-1-levels-1-name": "second", "factors-1-levels-1-options": "left = second",
        "factors-0-levels-1-name": "hundred",
    }  # fmt: skip
    assert change(client, study, **added).status_code == 302
    first, second = settings_of(study.protocol.content).factors
    assert [level.name for level in first.levels] == ["you", "hundred"]
    assert second == Factor(
        "side",
        "within",
        (Level("first", {"options": {"left": "first"}}), Level("second", {"options": {"left": "second"}})),
        "mixed",
    )
    assert change(client, study, **{"factors-0-DELETE": "on"}).status_code == 302
    assert [factor.name for factor in settings_of(study.protocol.content).factors] == ["side"]


def test_default_words_go_with_the_interface_of_a_level_and_own_words_stay(client, mine):
    levels = (Level("one"), Level("two", {"interface": "categorical"}))
    study = mine(opened=False, factors=(Factor("way", "between", levels),))
    words = settings_of(study.protocol.content).factors[0].levels[1].set["instructions"]
    said = {"factors-0-levels-1-interface": "distribution", "factors-0-levels-1-short_instructions": "Mine."}
    reply = change(client, study, **said)
    assert reply.status_code == 302, in_section(reply, "factors")
    after = settings_of(study.protocol.content).factors[0].levels[1].set
    assert (after["interface"], after["short_instructions"]) == ("distribution", "Mine.")
    assert after["instructions"] != words


@pytest.mark.parametrize(
    ("said", "field", "problem"),
    [
        ({"class_pairs": "ant / bee\ncat / horse"}, "class_pairs", "“cat / horse” is no pair"),
        ({"class_pairs": "ant / bee\nbee / ant"}, "class_pairs", "there twice"),
        ({"class_pairs": "ant / bee", "same_class": "on"}, "same_class", "among them"),
        ({"reward_e2": "lots"}, "reward_e2", "number"),
        ({"reward_e2": "2.255"}, "reward_e2", "2 decimal places"),
        ({"currency": "eu"}, "currency", "Three capital letters"),
        ({"bonus_kind": "agreement", "bonus": "x"}, "bonus_kind", "100 others"),
        ({"stop_width": "2"}, "stop_width", "Between 0.01 and 1."),
        ({"min_width_px": "9000"}, "min_width_px", "4,000"),
        ({"rules-too_fast-limit_floor_ms": ""}, "rules-too_fast-limit_floor_ms", "Say a limit"),
        ({"hypotheses-0-name": "h"}, "hypotheses-0-statement", "required"),
        ({"factors-0-levels-0-name": "one"}, "factors-0-name", "required"),
        ({"factors-0-name": "f", "factors-0-levels-0-exposure_ms": "1"}, "factors-0-levels-0-name", "required"),
        (
            {"factors-0-name": "f", "factors-0-levels-0-name": "a", "factors-0-levels-0-comprehension": "Why?\nyes"},
            "factors-0-levels-0-comprehension",
            "each line is an answer",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_beside_its_field_and_in_the_contents(client, mine, said, field, problem):
    study = mine(opened=False)
    reply = change(client, study, **said)
    assert reply.status_code == 400
    assert problem in beside(reply, field).replace("&#x27;", "'")
    assert "look here" in reply.content.decode()
    assert study.protocols.get().sha256 == study.protocol.sha256


@pytest.mark.parametrize(
    ("said", "section", "problem"),
    [
        ({"factors-0-name": "f", "factors-0-levels-0-name": "a"}, "factors", "at least two levels"),
        ({"rules-disagreement-excludes": "on"}, "rules", "say why it may leave somebody out"),
        (
            {"hypotheses-0-name": "h", "hypotheses-0-statement": "S.", "hypotheses-0-alpha": "3"},
            "hypotheses",
            "alpha is between 0 and 0.5.",
        ),
        (
            {
                "hypotheses-0-name": "h",
                "hypotheses-0-statement": "S.",
                "hypotheses-0-test": "better_label",
                "hypotheses-0-alternative": "greater",
            },
            "hypotheses",
            "the alternative is less, or two-sided.",
        ),
    ],
)
def test_what_a_service_refuses_of_rows_stands_above_them(client, mine, said, section, problem):
    reply = change(client, mine(opened=False), **said)
    assert reply.status_code == 400
    assert problem in in_section(reply, section).replace("&#x27;", "'")


def test_what_opening_fixed_keeps_its_value_whatever_is_sent(client, mine):
    study = mine(factors=(PERSPECTIVES,))
    sent = {
        "seed": "99", "interface": "construct", "slug": "other", "class_pairs": "ant / bee",
        "factors-0-varies": "within", "factors-0-levels-0-name": "me", "factors-INITIAL_FORMS": "1",
        "withdraw_days": "90", "factors-0-levels-1-wording": "perspective = Say what others see.",
    }  # fmt: skip
    page = client.get(reverse("study_protocol", args=[study.slug])).content.decode()
    assert "What decided the places when they were made is fixed" in page
    reply = change(client, study, **sent)
    assert reply.status_code == 302, reply.content.decode()
    before, after = (settings_of(one.content) for one in study.protocols.order_by("version"))
    assert after.flow.withdraw_days == 90
    assert (after.design, after.interface) == (before.design, before.interface)
    assert [level.name for level in after.factors[0].levels] == ["you", "others"]
    assert after.factors[0].varies == "between"
    assert after.factors[0].levels[1].set["wording"]["perspective"] == "Say what others see."
    assert Study.objects.get().slug == "mine"


@pytest.mark.parametrize("source", [Source.PERSON, Source.IMPORTED])
def test_of_a_study_that_asks_nobody_any_more_rules_and_hypotheses_can_change(client, mine, source):
    study = mine(source=source, opened=source == Source.PERSON)
    if source == Source.PERSON:
        opening.close_study(study=study, actor=OPERATOR)
    said = {"rules-untouched-excludes": "on", "rules-untouched-limit_share": "0.4", "withdraw_days": "3"}
    reply = change(client, study, **said)
    assert reply.status_code == 302, reply.content.decode()
    settings = settings_of(study.protocol.content)
    assert settings.flow.withdraw_days == 30
    rule = next(rule for rule in settings.rules if rule.flag == "untouched")
    assert (rule.excludes, rule.params) == (True, {"share": 0.4})


def test_two_who_change_a_study_at_once_do_not_lose_each_others_words(client, mine):
    study = mine(opened=False)
    read = study.protocol.sha256
    other = replace(plan_of_study(study), bonus="Everybody gets a pound.")
    change_protocol(study=study, plan=other, actor=OPERATOR, based_on=read)
    reply = change(client, study, based_on=read, withdraw_days="90")
    assert reply.status_code == 400
    assert reply.content.decode().count("Somebody else changed this study meanwhile.") == 1
    assert settings_of(study.protocol.content).bonus == "Everybody gets a pound."
    assert settings_of(study.protocol.content).flow.withdraw_days == 30


def test_words_that_somebody_wrote_are_named_when_the_settings_under_them_change(client, mine):
    study = mine(opened=False)
    plan = plan_of_study(study)
    rewritten = replace(plan, texts={**plan.texts, "short_instructions": "Slide."})
    change_protocol(study=study, plan=rewritten, actor=OPERATOR, based_on=None)
    reply = change(client, study, interface="categorical")
    assert reply.status_code == 302, reply.content.decode()
    assert any("Short instructions" in text for text in told(reply))
    assert settings_of(study.protocol.content).interface == "categorical"


def test_a_version_shows_what_differs_and_all_that_it_says(client, mine):
    study = mine(**RICH)
    change(client, study, withdraw_days="90", **{"rules-untouched-on": ""})
    page = client.get(reverse("study_version", args=[study.slug, 2])).content.decode()
    assert "<del>30</del>" in page
    assert "<ins>90</ins>" in page
    assert "The five best get 10 pounds." in page
    assert "perspective = others, side = first" in page
    assert study.protocol.sha256 in page
    first = client.get(reverse("study_version", args=[study.slug, 1])).content.decode()
    assert "<del>" not in first
    assert client.get(reverse("study_version", args=[study.slug, 3])).status_code == 404


def test_the_hint_says_at_which_lambdas_each_test_is_made_where_none_is_named(client, mine):
    page = client.get(reverse("study_protocol", args=[mine().slug])).content.decode()
    assert "Empty: all; for shares other than λ, all but one half." in page


def test_a_version_tells_class_pairs_by_the_names_of_their_classes(client, mine):
    study = mine(**RICH, opened=False)
    content = {
        **study.protocol.content,
        "design": {**study.protocol.content["design"], "class_pairs": [[0, 1]]},
    }
    Protocol.objects.create(study=study, version=2, content=content, sha256="0" * 64)
    page = client.get(reverse("study_version", args=[study.slug, 2])).content.decode()
    assert "<ins>ant–bee</ins>" in page


def test_the_list_of_versions_costs_as_many_queries_for_twenty_as_for_one(client, mine):
    study = mine()
    address = reverse("study_versions", args=[study.slug])
    client.get(address)
    with CaptureQueriesContext(connection) as for_one:
        client.get(address)
    Protocol.objects.bulk_create(
        Protocol(study=study, version=version, content=study.protocol.content, sha256=f"{version:064}")
        for version in range(2, 21)
    )
    with CaptureQueriesContext(connection) as for_twenty:
        page = client.get(address).content.decode()
    assert "Version 20" in page
    assert len(for_one) == len(for_twenty)


def test_a_study_is_copied_under_a_free_link(client, mine):
    study = mine(**RICH)
    address = reverse("copy_study", args=[study.slug])
    assert 'value="mine-2"' in client.get(address).content.decode()
    reply = client.post(address, {"title": "Once more", "slug": study.slug})
    assert "There is a study at /s/mine/ already." in beside(reply, "slug")
    assert client.post(address, {"title": "Once more", "slug": "mine-2"}).status_code == 302
    copy = Study.objects.get(slug="mine-2")
    assert (copy.state, copy.copied_from, copy.title) == ("draft", study, "Once more")
    assert settings_of(copy.protocol.content) == settings_of(study.protocol.content)
    assert 'value="mine-3"' in client.get(address).content.decode()


def test_a_copy_excludes_whom_its_study_excludes_and_has_codes_of_its_own(client, mine, make_study, owner):
    study, before, hidden = mine(), make_study("before"), make_study("hidden")
    set_membership(person=owner, study=before, part="viewer", actor=OPERATOR)
    set_recruitment(study=study, recruiter="prolific", options={}, excludes=[before, hidden], actor=OPERATOR)
    address = reverse("copy_study", args=[study.slug])
    assert "Its recruiter comes along" in client.get(address).content.decode()
    client.post(address, {"title": "Once more", "slug": "mine-2"})
    copy = Recruitment.objects.get(study__slug="mine-2")
    assert (copy.recruiter, list(copy.excludes.all())) == ("prolific", [before])
    assert copy.options != study.recruitment.options


def test_a_file_is_read_in_and_gives_the_same_protocol(client, mine):
    study = mine(opened=False, **RICH)
    file = SimpleUploadedFile("study.toml", study_file(plan_of_study(study)).encode())
    reply = client.post(reverse("import_study"), {"file": file, "slug": "read-in"})
    assert reply.status_code == 302, reply.content.decode()
    assert Study.objects.get(slug="read-in").protocol.sha256 == study.protocol.sha256


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "no text in UTF-8"),
        (b"x" * 1_000_001, "larger than a megabyte"),
        (b"title = ", "TOML"),
        (b'title = "A"\ncolour = "blue"', "colour"),
        (b"", "empty"),
    ],
)
def test_a_file_that_is_no_study_is_refused_saying_why(client, image_set, content, said):
    reply = client.post(reverse("import_study"), {"file": SimpleUploadedFile("s.toml", content)})
    assert reply.status_code == 400
    assert said in reply.content.decode()
    assert not Study.objects.exists()


def test_opening_and_piloting_are_jobs_that_the_page_shows(client, mine):
    study = mine(opened=False)
    page = reverse("study", args=[study.slug])
    client.post(reverse("move_study", args=[study.slug, "pilot"]), {"places": "0"})
    assert "Between 1 and 1,000 places." in client.get(page).content.decode()
    client.post(reverse("move_study", args=[study.slug, "open"]))
    job = Job.objects.get()
    assert (job.kind, job.object_id) == (opening.OPEN_KIND, str(study.pk))
    assert job.get_absolute_url() in client.get(page).content.decode()
    client.post(reverse("move_study", args=[study.slug, "pilot"]), {"places": "3"})
    assert "are being made already" in client.get(page).content.decode()
    assert Job.objects.count() == 1
    assert client.post(reverse("move_study", args=[study.slug, "explode"])).status_code == 404


@pytest.mark.parametrize(
    ("part", "offered"),
    [
        ("viewer", {"Copy"}),
        ("editor", {"Copy", "Settings", "Texts", "Preview as a participant"}),
        ("owner", {"Copy", "Settings", "Texts", "Preview as a participant", "Start a pilot", "Open"}),
    ],
)
def test_a_page_offers_what_its_reader_may_do(client, owner, make_study, part, offered):
    study = make_study(opened=False)
    Membership.objects.create(user=owner, study=study, part=part)
    page = client.get(reverse("study", args=[study.slug])).content.decode()
    every = {"Copy", "Settings", "Texts", "Preview as a participant", "Start a pilot", "Open"}
    assert {name for name in every if f">{name}</" in page} == offered


def test_a_new_study_is_checked_by_the_service_with_its_class_pairs(image_set, make_study):
    plan = plan_of_study(make_study(opened=False))
    outside = replace(plan, slug="x", design=replace(plan.design, class_pairs=((0, 9),)))
    with pytest.raises(Exception, match="no class 9"):
        create_study(plan=outside, actor=OPERATOR)


def test_chosen_class_pairs_are_all_that_a_study_mixes(make_study):
    study = make_study(class_pairs=((0, 2), (3, 3)), checks=0)
    pairs = {
        frozenset((unit.pair.first_class, unit.pair.second_class))
        for batch in study.batches.all()
        for unit in batch.units.select_related("pair")
    }
    assert pairs == {frozenset((0, 2)), frozenset((3,))}


NAMED = {"mixed_images": ((0, 13, 2500), (2, 15, 5000)), "n_mixed_images": 2, "trials_per_person": 2}


def test_named_mixed_images_and_their_method_stay_when_something_else_is_changed(client, mine):
    study = mine(opened=False, **NAMED, lambdas_e4=(2500, 5000), method="hmix@1")
    before = settings_of(study.protocol.content).design
    assert change(client, study, withdraw_days="90").status_code == 302
    assert settings_of(study.protocol.content).design == before
    assert "<dd>hmix@1</dd>" in client.get(study.get_absolute_url()).content.decode()


def test_mixed_images_are_named_and_mixed_as_the_form_says(client, mine):
    study = mine(opened=False)
    assert plan_of_study(study).design.method == "mixup@1"
    sent = {"n_mixed_images": "2", "trials_per_person": "2", "lambdas": "0.2 0.5", "method": "hmix@1"}
    sent |= {"mixed_images": " 0 13 .2\r\n\r\n2,15;\t0.5 \r\n"}
    refused = change(client, study, **sent, example_images="13 14 16 17")
    assert "examples or checks: 13. Empty those, and others are drawn." in beside(refused, "mixed_images")
    reply = change(client, study, **sent, example_images="")
    assert reply.status_code == 302, beside(reply, "mixed_images")
    design = settings_of(study.protocol.content).design
    assert design.mixed_images == ((0, 13, 2000), (2, 15, 5000))
    assert design.method == "hmix@1"
    form = form_of(study).settings
    assert form["mixed_images"].value() == "0 13 0.2\n2 15 0.5"
    assert {name for name, _words in form.fields["method"].choices} == set(METHODS)
    opening.open_study(study=study, actor=OPERATOR)
    assert {unit.mixed_image.method for unit in study.batches.get().units.all()} == {"hmix@1"}
    assert change(client, study, mixed_images="1 2 0.5", withdraw_days="3").status_code == 302
    assert settings_of(study.protocol.content).design == settings_of(study.protocols.first().content).design


@pytest.mark.parametrize(
    ("said", "field", "problem"),
    [
        ({"mixed_images": "0 13 0.25\n2 15"}, "mixed_images", "“2 15”: each line is the positions of two"),
        ({"mixed_images": "0 13 25\n2 15 0.5"}, "mixed_images", "“0 13 25”: each line"),
        ({"mixed_images": "ant bee 0.5"}, "mixed_images", "“ant bee 0.5”: each line"),
        ({"mixed_images": "0 13 0.4\n2 15 0.5"}, "mixed_images", "not among those of the study: 0.4."),
        ({"mixed_images": "0 13 0.5"}, "mixed_images", "1 are named, and the number of mixed images is 2."),
        ({"mixed_images": "0 13 0.5\n0 13 0.5"}, "mixed_images", "One is there twice."),
        ({"mixed_images": "0 13 0.5\n2 2 0.5"}, "mixed_images", "not mixed with itself"),
        ({"mixed_images": "0 13 0.5\n2 99 0.5"}, "mixed_images", "Not in the training split: image 99."),
        (
            {"mixed_images": "0 13 0.5\n2 15 0.5", "interface": "construct"},
            "mixed_images",
            "asks about pairs",
        ),
        ({"method": "paste@1"}, "method", "Select a valid choice"),
        ({"method": "hmix@1", "lambdas": "0.15"}, "lambdas", "not for 0.15"),
    ],
)
def test_mixed_images_that_cannot_be_are_refused_beside_their_field(client, mine, said, field, problem):
    study = mine(opened=False, n_mixed_images=2, trials_per_person=2)
    reply = change(client, study, **said)
    assert reply.status_code == 400
    assert problem in beside(reply, field).replace("&#x27;", "'")
    assert not settings_of(study.protocol.content).design.mixed_images
