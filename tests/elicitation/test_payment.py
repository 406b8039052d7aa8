"""Bonuses: whom the rule rewards and how much, and that the true λ plays no part in it."""

from __future__ import annotations

import uuid

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from elicitation.flow import saving, services
from elicitation.mixes.models import MixedImage
from elicitation.monitoring.payment import agreement_of, bonus_list, bonuses_of
from elicitation.monitoring.payment_pages import money
from elicitation.monitoring.recruitment_pages import rate_of
from elicitation.participants.models import Participation
from elicitation.participants.services import Arrival
from elicitation.recruiters.models import Submission
from elicitation.recruiters.services import RECRUITERS
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Source
from elicitation.studies.payment import Payment
from elicitation.studies.rules import Rule, default_rules
from hilmix.accounts.models import AuditEvent, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import set_membership
from hilmix.errors import Forbidden
from tests.elicitation.answers import WINDOW

BOXES = {"adult": True, "agree": True, "publish": True}
AGREEMENT = {
    "perspective": "100 others",
    "bonus": "Up to 1.00 for agreeing with the others.",
    "payment": Payment(reward_e2=300, minutes=20, bonus="agreement", bonus_e2=100),
    "rules": (),
    "n_mixed_images": 6,
    "answers_per_unit": 4,
}


def pid(n: int) -> str:
    return f"{n:024x}"


def takes_part(study, n: int, share_percent: int | None, positions=None, *, finish=True) -> Participation:
    """Somebody gives `share_percent` to the first class of every picture; None: cannot tell."""
    person, _new = services.join_study(
        study=study, source=Source.PERSON, boxes=BOXES, arrival=Arrival(pid=pid(n))
    )
    answers = []
    for trial in person.trials.all():
        if positions is not None and trial.position not in positions:
            continue
        cannot_tell = share_percent is None
        # The slider runs from the left name to the right one.
        right = 50 if cannot_tell else share_percent
        percent = right if trial.params.get("left") == "second" else 100 - right
        touched = not cannot_tell
        payload = {
            "cannot_tell": cannot_tell,
            "touched": {"mixing": touched, "confidence": touched},
            "n_moves": {"mixing": 1, "confidence": 1},
            **WINDOW,
        }
        if not cannot_tell:
            payload |= {"mixing_percent": percent, "confidence_percent": 80}
        answers.append(saving.Incoming(id=uuid.uuid4(), position=trial.position, payload=payload, rt_ms=5000))
    receipts = saving.save_responses(participation=person, epoch=1, answers=answers)
    assert {receipt.status for receipt in receipts} <= {"created"}, receipts
    if finish:
        services.complete(participation=person)
        services.finish(participation=person, survey={})
    person.refresh_from_db()
    return person


def amounts(study) -> dict[str, int]:
    return {bonus.public_id: bonus.amount_e2 for bonus in bonuses_of(study)}


@pytest.fixture
def rewarding(make_study):
    return make_study("rewarding", **AGREEMENT)


def test_agreement_is_with_the_mean_of_the_others_and_not_with_oneself(rewarding):
    people = [takes_part(rewarding, n, share) for n, share in enumerate([20, 40, 90])]
    # Others' means are 65, 55 and 30, so the differences are 45, 15 and 60.
    assert [amounts(rewarding)[person.public_id] for person in people] == [55, 85, 40]
    assert agreement_of(rewarding) == pytest.approx(
        {p.pk: a for p, a in zip(people, [0.55, 0.85, 0.4], strict=True)}
    )


def test_the_true_lambda_never_enters(make_study):
    """Also not by the rule that compares answers with λ, which leaves people out of labels."""
    study = make_study("blind", **AGREEMENT | {"rules": default_rules()})
    for n, share in enumerate([20, 40, 90]):
        takes_part(study, n, share)
    before = amounts(study)
    assert len(set(before.values())) == 3
    MixedImage.objects.update(lambda_e4=10_000 - F("lambda_e4"))
    assert amounts(study) == before
    for number, image in enumerate(MixedImage.objects.order_by("pk")):
        MixedImage.objects.filter(pk=image.pk).update(lambda_e4=9000 + number)
    assert amounts(study) == before


def test_the_true_lambda_never_enters_by_the_rule_for_disagreement_either(make_study):
    """Whom that compares with depends on who is left out before, and the rule `reversed` leaves out by λ."""
    rules = (
        Rule("reversed", excludes=True, params={"share": 0.5}),
        Rule("disagreement", excludes=True, params={"deviation": 0.5}, reason="Unlike."),
    )
    study = make_study(
        "blinder", **AGREEMENT | {"rules": rules, "answers_per_unit": 8, "lambdas_e4": (2000,)}
    )
    for n, share in enumerate([10, 15, 40, 85, 90]):
        takes_part(study, n, share)
    before = amounts(study)
    MixedImage.objects.update(lambda_e4=10_000 - F("lambda_e4"))
    Participation.objects.update(measures={})  # measured again, by the other λ
    assert amounts(study) == before


def test_only_answers_about_the_same_picture_are_compared(make_study):
    study = make_study("two", **AGREEMENT | {"n_mixed_images": 12, "answers_per_unit": 2})
    first, second = takes_part(study, 1, 10), takes_part(study, 2, 90)
    assert first.slot.batch_id != second.slot.batch_id
    assert agreement_of(study) == {}
    third, fourth = takes_part(study, 3, 20), takes_part(study, 4, 30)
    with_first = third if third.slot.batch_id == first.slot.batch_id else fourth
    assert agreement_of(study)[first.pk] == pytest.approx(0.9 if with_first == third else 0.8)


def test_whoever_is_asked_what_they_see_themselves_is_not_paid_for_agreement(make_study):
    levels = (
        Level("own", {"perspective": "you", "bonus": ""}),
        Level("others", {"perspective": "100 others"}),
    )
    asked = Factor("view", "between", levels)
    study = make_study("views", **AGREEMENT | {"factors": (asked,), "answers_per_unit": 2})
    people = [takes_part(study, n, 40 + n) for n in range(4)]
    found = agreement_of(study)
    assert {person.pk for person in people if person.levels == {"view": "others"}} == set(found)
    assert len(found) == 2
    # They were promised nothing, so they are not among those of whom too little can be compared.
    assert not [bonus for bonus in bonuses_of(study) if bonus.too_few]
    assert sorted(bonus.amount_e2 > 0 for bonus in bonuses_of(study)) == [False, False, True, True]


@pytest.mark.parametrize("reason", ["invalid", "pilot", "withdrawn"])
def test_others_whose_answers_do_not_count_are_not_compared_with(rewarding, reason):
    first, second, third = (takes_part(rewarding, n, share) for n, share in enumerate([20, 40, 90]))
    changed = {
        "invalid": {"invalid_at": timezone.now()},
        "pilot": {"mode": "pilot"},
        "withdrawn": {"state": "withdrawn"},
    }[reason]
    Participation.objects.filter(pk=third.pk).update(**changed)
    assert agreement_of(rewarding)[first.pk] == pytest.approx(0.8)
    assert agreement_of(rewarding)[second.pk] == pytest.approx(0.8)
    # Whoever was marked as invalid is still told what they have earned; who pays decides.
    assert (third.pk in agreement_of(rewarding)) == (reason == "invalid")


def test_people_with_too_few_answers_to_compare_are_named_and_get_nothing_by_the_rule(rewarding):
    first = takes_part(rewarding, 1, 40)
    (alone,) = bonuses_of(rewarding)
    assert (alone.too_few, alone.agreement, alone.amount_e2) == (True, None, 0)
    unsure = takes_part(rewarding, 2, None)
    found = {bonus.public_id: bonus for bonus in bonuses_of(rewarding)}
    assert found[first.public_id].too_few
    assert found[unsure.public_id].too_few


def test_only_who_finished_gets_a_bonus_but_everybodys_answers_are_compared_with(rewarding):
    first = takes_part(rewarding, 1, 40)
    takes_part(rewarding, 2, 60, finish=False)
    assert amounts(rewarding) == {first.public_id: 80}


def test_a_flat_bonus_is_the_same_for_everybody(make_study):
    study = make_study(
        "flat", bonus="Everybody gets 0.50.", payment=Payment(bonus="flat", bonus_e2=50), rules=()
    )
    for n, share in enumerate([10, None]):
        takes_part(study, n, share)
    takes_part(study, 3, 50, positions=[0], finish=False)
    assert sorted(amounts(study).values()) == [50, 50]


def test_without_a_rule_there_is_no_bonus(study):
    takes_part(study, 1, 40)
    assert list(amounts(study).values()) == [0]


def test_the_number_of_queries_does_not_grow_with_the_people(rewarding, django_assert_max_num_queries):
    takes_part(rewarding, 1, 40)
    with django_assert_max_num_queries(20) as few:
        bonuses_of(rewarding)
    for n in range(2, 5):
        takes_part(rewarding, n, 40 + n)
    with django_assert_max_num_queries(len(few)):
        bonuses_of(rewarding)


# --- The list -----------------------------------------------------------------------------------------------


@pytest.fixture
def owner(rewarding):
    user = User.objects.create(username="rosa", kind=User.Kind.RESEARCHER)
    set_membership(person=user, study=rewarding, part="owner", actor=OPERATOR)
    browser = Client()
    browser.force_login(user)
    return browser


def test_the_list_is_what_prolifics_bonus_form_takes(rewarding, owner):
    for n, share in enumerate([20, 40, 90]):
        takes_part(rewarding, n, share)
    at = reverse("study_bonuses", args=[rewarding.slug])
    assert pid(1) not in owner.get(at).content.decode()
    assert not AuditEvent.objects.filter(action="study.bonuses_listed").exists()
    reply = owner.post(at)
    assert reply["Content-Type"].startswith("text/csv")
    assert reply.content.decode().splitlines() == [f"{pid(0)},0.55", f"{pid(1)},0.85", f"{pid(2)},0.40"]
    assert AuditEvent.objects.get(action="study.bonuses_listed").detail == {"n": 3}


def test_the_page_names_whom_the_list_cannot_hold(rewarding, owner):
    person = takes_part(rewarding, 1, 40)
    page = owner.get(reverse("study_bonuses", args=[rewarding.slug])).content.decode()
    assert "too few answers" in page
    other = takes_part(rewarding, 2, 60)
    other.identity.delete()
    page = owner.get(reverse("study_bonuses", args=[rewarding.slug])).content.decode()
    assert re_named(page, other.public_id)
    assert not re_named(page, person.public_id)
    assert owner.post(reverse("study_bonuses", args=[rewarding.slug])).content.decode().splitlines() == [
        f"{pid(1)},0.80"
    ]


def test_whoever_returned_or_was_rejected_is_named_and_not_in_the_list(rewarding, owner):
    people = [takes_part(rewarding, n, share) for n, share in enumerate([20, 40, 90])]
    stays = [(0, "RETURNED"), (0, "REJECTED"), (1, "RETURNED"), (1, "APPROVED"), (2, "AWAITING REVIEW")]
    for n, status in stays:
        stay = Submission.objects.filter(study=rewarding).count()
        Submission.objects.create(
            study=rewarding, participation=people[n], session_hmac=str(stay), status=status
        )
    at = reverse("study_bonuses", args=[rewarding.slug])
    assert owner.post(at).content.decode().splitlines() == [f"{pid(1)},0.85", f"{pid(2)},0.40"]
    page = owner.get(at).content.decode()
    assert f"{people[0].public_id} (REJECTED)" in page
    assert "close the study first" in page
    assert "typed id" not in page
    people[2].identity.typed = True
    people[2].identity.save()
    assert owner.get(at).content.decode().count("typed id") == 1


@pytest.mark.parametrize("trials", [4, 5])
def test_agreement_is_not_promised_where_nobody_could_earn_it(trials):
    said = AGREEMENT["payment"].problems(perspective="100 others", bonus_text="Told.", trials=trials)
    assert bool(said) == (trials < 5)


def re_named(page: str, public_id: str) -> bool:
    return public_id in page.partition("not known:")[2].partition("</p>")[0]


def test_an_editor_gets_no_list(rewarding):
    editor = User.objects.create(username="ed", kind=User.Kind.RESEARCHER)
    set_membership(person=editor, study=rewarding, part="editor", actor=OPERATOR)
    with pytest.raises(Forbidden):
        bonus_list(study=rewarding, actor=editor)


@pytest.mark.parametrize(
    ("hundredths", "said"), [(0, "0.00"), (5, "0.05"), (125, "1.25"), (100_000, "1000.00")]
)
def test_an_amount_is_written_with_two_digits(hundredths, said):
    assert money(hundredths) == said


# --- What an hour is paid -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "reward_e2", "minutes", "hourly_e2", "low"),
    [
        ("GBP", 200, 20, 600, False),
        ("GBP", 199, 20, 597, True),
        ("USD", 250, 20, 750, True),
        ("EUR", 1, 60, 1, False),
    ],
)
def test_the_hourly_rate_is_held_against_the_least_that_prolific_allows(
    currency, reward_e2, minutes, hourly_e2, low
):
    rate = rate_of(Payment(currency=currency, reward_e2=reward_e2, minutes=minutes), RECRUITERS["prolific"])
    assert (rate.hourly_e2, rate.is_low) == (hourly_e2, low)


def test_there_is_no_rate_where_nobody_said_how_long_it_takes():
    assert rate_of(Payment(reward_e2=300), RECRUITERS["prolific"]) is None
    assert not rate_of(Payment(reward_e2=1, minutes=60), RECRUITERS["direct"]).is_low
