"""The researcher's pages of studies: a new one with every setting, and what one study's page tells."""

from __future__ import annotations

import pytest
from django.urls import reverse

from elicitation.flow import services
from elicitation.flow.simulation import simulate_participant
from elicitation.flow.withdrawal import withdraw
from elicitation.interfaces import INTERFACES
from elicitation.participants.services import Arrival, report_problem
from elicitation.studies.forms import StudyForm
from elicitation.studies.models import Source, Study
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import settings_of
from elicitation.studies.texts import demonstration_information
from elicitation.trials.models import Response, Trial
from hilmix.accounts.roles import OPERATOR

NEW = "/studies/new/"
BOXES = {"adult": True, "agree": True}


@pytest.fixture
def form(image_set):
    """What a browser sends of the form for a new study when only what must be filled in was."""
    fields = StudyForm().fields
    sent = {name: field.initial for name, field in fields.items() if field.initial is not None}
    sent |= {
        name: next(iter(field.choices))[0] for name, field in fields.items() if hasattr(field, "choices")
    }
    return sent | {
        "title": "Mine", "slug": "mine", "image_set": image_set.pk, "n_mixed_images": 12, "trials_per_person": 6,
        "repeats": 0, "lambdas": "0.25 0.5 0.75",
    }  # fmt: skip


def page_of(study: Study) -> str:
    return reverse("study", args=[study.slug])


@pytest.mark.parametrize("name", sorted(INTERFACES))
def test_a_study_of_every_interface_is_made_by_the_form_and_its_page_opens(admin, form, name):
    reply = admin.post(NEW, form | demonstration_information() | {"interface": name})
    assert reply.status_code == 302, reply.content.decode()
    study = Study.objects.get(slug="mine")
    open_study(study=study, actor=OPERATOR)
    page = admin.get(page_of(study)).content.decode()
    assert f"{name}@{INTERFACES[name].VERSION}" in page
    shown = {address.partition('"')[0] for address in page.split('src="') if address.startswith("/studies/")}
    assert shown
    assert {admin.get(address).status_code for address in shown} == {200}


def test_every_setting_of_the_form_ends_in_the_protocol(admin, form):
    said = {
        "language": "en-gb", "interface": "construct", "options": "controls=keys\r\nmin_steps = 2",
        "perspective": "100 others", "bonus": "Ten pence for everybody.", "timing_reason": "",
        "n_mixed_images": "10", "lambdas": "0.2, 0.4 0.6", "trials_per_person": "5", "repeats": "0",
        "answers_per_unit": "3", "seed": "9", "lease_minutes": "30", "checks": "0", "check_images": "",
        "example_images": "1, 2 3 4", "enlargement": "8", "pixels": "device", "resampling": "bicubic",
        "exposure_ms": "", "max_comprehension_rounds": "3", "break_every": "0", "resume_gap_minutes": "10",
        "withdraw_days": "7", "withdrawal": "anonymise", "retention": "ten years",
    }  # fmt: skip
    assert admin.post(NEW, form | said).status_code == 302
    protocol = Study.objects.get(slug="mine").protocol
    settings = settings_of(protocol.content)
    assert settings.interface == "construct"
    assert (settings.options["controls"], settings.options["min_steps"]) == ("keys", 2)
    assert (settings.perspective, settings.bonus, settings.timing_reason) == (
        "100 others",
        "Ten pence for everybody.",
        "",
    )
    assert (settings.design.lambdas_e4, settings.design.example_images) == ((2000, 4000, 6000), (1, 2, 3, 4))
    assert (settings.design.seed, settings.design.lease_minutes) == (9, 30)
    assert (settings.display.enlargement, settings.display.pixels) == (8, "device")
    assert (settings.display.resampling, settings.display.exposure_ms) == ("bicubic", None)
    assert (settings.flow.max_comprehension_rounds, settings.flow.break_every) == (3, 0)
    assert (settings.flow.withdraw_days, settings.flow.withdrawal) == (7, "anonymise")
    assert protocol.content["texts"]["information"]["retention"] == "ten years"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("options", "randomize_question_order", "name=value"),
        ("options", "randomize_question_order=true\r\nrandomize_question_order=false", "name=value"),
        ("options", "colour=blue", "no option colour"),
        ("options", "randomize_question_order=perhaps", "true or false"),
        ("lambdas", "half", "half"),
        ("checks", "1", "at least 2"),
        ("check_images", "1 two", "Whole numbers with spaces between them."),
        ("example_images", "1 2 3", "At least four"),
        ("enlargement", "65", "From 1 to 64"),
        ("exposure_ms", "5", "20 to 60,000"),
        ("break_every", "2", "0 for no breaks"),
        ("withdraw_days", "-1", "Between 0 and 3,650"),
        ("max_comprehension_rounds", "0", "Between 1 and 20"),
        ("bonus", "x" * 2001, "2,000"),
        ("purpose", "x" * 1001, "1000"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_beside_its_field(admin, form, field, value, said):
    reply = admin.post(NEW, form | {field: value})
    page = reply.content.decode()
    assert reply.status_code == 400
    beside = page.partition(f'id="id_{field}_error"')[2].partition("</ul>")[0]
    assert said.lower().removeprefix("from ") in beside.lower()
    assert not Study.objects.exists()


def test_checks_are_refused_where_the_interface_has_none(admin, form):
    reply = admin.post(NEW, form | {"interface": "construct", "checks": "2", "trials_per_person": "12"})
    assert 'id="id_checks_error"' in reply.content.decode()


def test_the_page_counts_consents_and_withdrawals_and_shows_reports_without_saying_whose(admin, make_study):
    study = make_study(answers_per_unit=5)
    people = [
        services.join_study(
            study=study, source=Source.PERSON, boxes=BOXES | extra, arrival=Arrival(pid=f"pid-{n}")
        )[0]
        for n, extra in enumerate([{"publish": True}, {"publish": True, "contact": True}, {}])
    ]
    report_problem(study=study, participation=people[1], page="trials", text="Grey <b>picture</b>.")
    report_problem(study=study, participation=None, page="consent", text="No button.")
    withdraw(participation=people[2])
    page = admin.get(page_of(study)).content.decode()
    facts = {label: page.partition(f"<dt>{label}</dt><dd>")[2].partition("<")[0] for label in LABELS}
    assert facts == dict(zip(LABELS, ("3", "2", "1", "1"), strict=True))
    assert "Grey &lt;b&gt;picture&lt;/b&gt;." in page
    assert "No button." in page
    assert "Reported problems (2)" in page
    assert not [person for person in people if person.public_id in page]
    assert "pid-" not in page


LABELS = ("Consents", "May be published", "May be contacted", "Withdrawn")


def test_failed_checks_are_counted_and_people_stay_unnamed(admin, make_study):
    study = make_study(
        "checked", source=Source.SIMULATED, checks=2, check_images=(0, 1), trials_per_person=12
    )
    assert "Failed attention checks</dt><dd>nobody" in admin.get(page_of(study)).content.decode()
    person = simulate_participant(study=study, seed=1)
    for check in Trial.objects.filter(participation=person, kind=Trial.Kind.CHECK):
        payload = check.response.payload | {
            "cannot_tell": False,
            "confidence_percent": 90,
            "mixing_percent": 50,
        }
        Response.objects.filter(trial=check).update(payload=payload)
    assert "1 person failed 2" in admin.get(page_of(study)).content.decode()


def test_a_study_that_was_only_imported_has_no_panel_of_people(admin, make_study):
    study = make_study("imported", source=Source.IMPORTED, opened=False)
    page = admin.get(page_of(study)).content.decode()
    assert "Reported problems" not in page
    assert reverse("study_texts", args=[study.slug]) not in page
