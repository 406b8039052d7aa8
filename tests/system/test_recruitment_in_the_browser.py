"""People from Prolific in a real browser: how a way ends that ends early, and the code that leads back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.system.steps import DESKTOP, PHONE, check, expect_accessible, practise, read_instructions

pytestmark = pytest.mark.browser

PID, SESSION, OTHER = "5f0c1d2e3a4b5c6d7e8f9a0b", "aa0c1d2e3a4b5c6d7e8f9a0b", "60ffe5c8371090c7041d43f8"
STUDY = """
import json
from elicitation.images.models import ImageSet
from elicitation.recruiters.services import recruitment_of, set_recruitment
from elicitation.studies.opening import open_study
from elicitation.studies.protocol import Design, Flow
from elicitation.studies.services import StudyPlan, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.roles import OPERATOR
plan = StudyPlan(
    slug="digits", title="Blends", image_set=ImageSet.objects.get(), information=demonstration_information(),
    design=Design(n_mixed_images=6, lambdas_e4=(2500, 7500), trials_per_person=6, repeats=0, answers_per_unit=9),
    flow=Flow(min_width_px=700, max_comprehension_rounds=1),
)
study = create_study(plan=plan, actor=OPERATOR)
open_study(study=study, actor=OPERATOR)
set_recruitment(study=study, recruiter="prolific", options={}, actor=OPERATOR)
print(json.dumps(recruitment_of(study).options["codes"]))
"""


@pytest.fixture(scope="module")
def recruited(start_instance) -> tuple[Any, dict[str, str]]:
    """An instance with one study whose people come from Prolific, and its codes by outcome."""
    codes: dict[str, str] = {}

    def prepare(instance: Any) -> None:
        instance.manage("import_images", "digits", "--name", "digits")
        codes.update(json.loads(instance.python(STUDY)))

    return start_instance(prepare), codes


def expect_way_back(page: Page, code: str) -> None:
    """The code stands there, and the button takes it along."""
    expect(page.locator("#completion-code")).to_have_text(code)
    back = page.get_by_role("link", name="Back to Prolific")
    expect(back).to_have_attribute("href", f"https://app.prolific.com/submissions/complete?cc={code}")
    expect_accessible(page)


def take_part(page: Page) -> None:
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("button", name="I want to take part").click()


def test_a_window_that_is_too_narrow_leads_back_and_a_wider_one_goes_on(recruited, open_window):
    instance, codes = recruited
    page = open_window(PHONE)
    page.goto(f"{instance.url}/s/digits/?PROLIFIC_PID={{{{%PROLIFIC_PID%}}}}&SESSION_ID={SESSION}")
    page.get_by_label("Your Prolific id").fill("me")
    take_part(page)
    expect(page.get_by_text("A Prolific id has 24 characters")).to_be_visible()
    expect_accessible(page)
    page.get_by_label("Your Prolific id").fill(PID)
    page.get_by_role("button", name="I want to take part").click()
    expect(page.get_by_role("heading", name="A wider window is needed")).to_be_visible()
    expect_accessible(page)
    page.set_viewport_size(DESKTOP)
    page.get_by_role("link", name="Try again").click()
    expect(page.locator("#jspsych-instructions-next")).to_be_visible()
    page.set_viewport_size(PHONE)
    page.reload()
    page.get_by_role("button", name="Leave the study").click()
    expect(page.get_by_text("does not fit this device")).to_be_visible()
    expect_way_back(page, codes["wrong_device"])
    page.reload()
    expect_way_back(page, codes["wrong_device"])


def test_a_failed_check_leads_back_with_its_code(recruited, open_window):
    instance, codes = recruited
    page = open_window(DESKTOP)
    page.goto(f"{instance.url}/s/digits/?PROLIFIC_PID={OTHER}&SESSION_ID={OTHER}")
    take_part(page)
    read_instructions(page)
    practise(page)
    check(page, rightly=False)
    expect(page.get_by_role("heading", name="This is where it ends")).to_be_visible()
    expect_accessible(page)
    assert not [code for code in codes.values() if code in page.content()]
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="You cannot go on here")).to_be_visible()
    expect_way_back(page, codes["failed_check"])
