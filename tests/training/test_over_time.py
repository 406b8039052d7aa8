"""One configuration over the releases of a study: trained anew, compared, shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from elicitation.trials.models import Response
from hilmix.accounts.roles import OPERATOR
from hilmix.errors import Conflict, Invalid
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.progress import Progress
from hilmix.jobs.registry import KINDS
from tests.training.over_releases import N_MIXED, finish, grown, made
from tests.training.reported import judged
from training.choices.models import Choice
from training.choices.services import has_seen
from training.experiments.models import Experiment
from training.models import Report, Run
from training.trends.comparing import ArmOnRelease, Labels, OnRelease, moved, over_time
from training.trends.series import later_releases, series_of, to_retrain_on
from training.trends.services import COMPARE_KIND, compare_releases, retrain, write_over_time

ARMS = ("mixup", "human_lambda_shrunk")


@pytest.fixture
def releases(digits):
    """`small@1.0.0` with two people's answers to five mixed images, and the release after it with four's."""
    return grown(digits, 2, 4)


@pytest.fixture
def first(releases):
    return made(releases[0])


@pytest.fixture
def both(first, releases):
    """Reported on both releases, and compared."""
    finish(first)
    second = retrain(experiment=first, release=releases[1], actor=OPERATOR)
    finish(second, better=1.0)
    assert write_over_time(experiment=first) == 2
    return Experiment.objects.get(pk=first.pk), Experiment.objects.get(pk=second.pk)


def page_of(experiment):
    return reverse("experiment_over_time", args=[experiment.pk])


# --- training anew


def test_the_same_configuration_is_trained_on_the_new_release(first, releases):
    second = retrain(experiment=first, release=releases[1], actor=OPERATOR)
    assert second.origin == first
    assert second.release == releases[1]
    assert second.recipe_sha256 == first.recipe_sha256
    assert second.config_sha256 != first.config_sha256
    assert [run.seed for run in Run.objects.filter(arm__experiment=second)] == [0, 1, 0, 1]
    assert retrain(experiment=first, release=releases[1], actor=OPERATOR) == second
    assert [one.pk for one in series_of(second)] == [first.pk, second.pk]
    assert later_releases(first) == []


def test_an_earlier_release_is_no_new_one(releases):
    with pytest.raises(Invalid, match="no later release"):
        retrain(experiment=made(releases[1]), release=releases[0], actor=OPERATOR)


def test_the_button_stands_on_the_page_of_the_experiment_and_on_that_of_the_release(
    client, admin, first, releases
):
    client.force_login(admin)
    button = f"Retrain on the new release {releases[1].name}"
    assert button in client.get(first.get_absolute_url()).text
    page = client.get(releases[1].get_absolute_url()).text
    assert f"Retrain {first.name} on this release" in page
    assert "Retrain on this release" not in client.get(releases[0].get_absolute_url()).text
    reply = client.post(reverse("experiment_retrain", args=[first.pk]), {"release": releases[1].name})
    second = Experiment.objects.latest("pk")
    assert reply["Location"] == second.get_absolute_url()
    assert Job.objects.get().state == JobState.QUEUED
    assert button not in client.get(first.get_absolute_url()).text
    assert "Retrain on this release" not in client.get(releases[1].get_absolute_url()).text


def test_what_does_not_fit_the_new_release_leads_to_the_form(client, admin, releases, monkeypatch):
    experiment = made(releases[0])
    client.force_login(admin)

    def refuse(**given):
        raise Invalid("arms: nothing fits")

    monkeypatch.setattr("training.trends.services.create_experiment", refuse)
    reply = client.post(
        reverse("experiment_retrain", args=[experiment.pk]), {"release": releases[1].name}, follow=True
    )
    assert "arms: nothing fits" in reply.text
    assert reply.context["form"].origin == experiment
    assert reply.context["release"] == releases[1]


@pytest.mark.parametrize("named", ["", "small", "small@9.9.9", "other@1.0.0"])
def test_a_release_that_is_not_there_is_refused(client, admin, first, named):
    client.force_login(admin)
    assert client.post(reverse("experiment_retrain", args=[first.pk]), {"release": named}).status_code == 404


def test_a_researcher_reads_and_trains_nothing(client, both, researcher_of):
    client.force_login(researcher_of)
    first, second = both
    assert client.get(page_of(first)).status_code == 200
    for name in ("experiment_retrain", "compare_releases"):
        assert client.post(reverse(name, args=[first.pk]), {"release": "small@1.1.0"}).status_code == 403
    Report.objects.filter(experiment=second).delete()
    assert "Train again with changes" not in client.get(second.get_absolute_url()).text


@pytest.fixture
def researcher_of(releases):
    from hilmix.accounts.models import Membership, User

    person = User.objects.create_user("researcher", kind=User.Kind.RESEARCHER)
    Membership.objects.create(user=person, study=releases[0].study, part=Membership.Part.VIEWER)
    return person


# --- compared


def test_differences_are_paired_and_labels_that_moved_are_told(both):
    first, second = both
    content = second.report.content["over_time"]
    assert "over_time" not in first.report.content
    assert [one["answers"] for one in content["releases"]] == [2 * N_MIXED, 4 * N_MIXED]
    (step,) = content["steps"]
    assert (step["came"], step["gone"]) == (0, 0)
    mixup, human = (step["arms"][name] for name in ARMS)
    assert mixup["differences"]["log_loss"]["value"] == 0
    assert mixup["labels"]["n_moved"] == 0
    assert human["differences"]["log_loss"]["value"] < 0
    assert human["differences"]["log_loss"]["interval"][1] < 0
    assert human["labels"]["n"] == N_MIXED
    assert 0 < human["labels"]["mean"] <= human["labels"]["most"] <= 1
    values = [one["arms"]["human_lambda_shrunk"]["log_loss"]["value"] for one in content["releases"]]
    assert human["differences"]["log_loss"]["value"] == pytest.approx(values[1] - values[0])
    assert all(figure["reading"] for figure in content["figures"])
    assert [figure["key"] for figure in content["figures"]] == ["over_time", "release_steps", "labels_moved"]
    assert content["watermark"] == "simulated participants"


def test_a_report_that_is_written_anew_is_compared_anew(both):
    first, second = both
    Report.objects.filter(experiment=second).update(content={**second.report.content, "over_time": None})
    KINDS["report_experiment"].handler(Progress(), str(first.pk))
    assert Report.objects.get(experiment=second).content["over_time"]["releases"]


def test_one_release_is_not_compared(first):
    finish(first)
    assert write_over_time(experiment=first) == 0
    with pytest.raises(Conflict, match="Fewer than two"):
        compare_releases(experiment=first, actor=OPERATOR)


def test_the_job_is_queued_once(both):
    first, _ = both
    compare_releases(experiment=first, actor=OPERATOR)
    with pytest.raises(Conflict, match="already"):
        compare_releases(experiment=first, actor=OPERATOR)
    KINDS[COMPARE_KIND].handler(Progress(), str(first.pk))


def test_a_release_that_cannot_be_read_any_more_is_left_out_and_said(both, releases, settings):
    releases[0].directory.rename(releases[0].directory.with_name("gone"))
    second = both[1]
    assert write_over_time(experiment=second) == 1
    content = Report.objects.get(experiment=second).content["over_time"]
    assert content["notes"][0].startswith("small@1.0.0 is left out: ")
    assert len(content["releases"]) == 1


# --- the page


def test_the_page_shows_what_is_stored_and_says_what_is_withdrawn(client, admin, both, releases):
    first, second = both
    client.force_login(admin)
    client.get(page_of(first))  # caches
    with CaptureQueriesContext(connection) as queries:
        page = client.get(page_of(first)).text
    assert len(queries) < 10
    said = ("small@1.0.0 → ", 'class="watermark"', "Compare them anew", "repeats that on small@1.0.0")
    for words in said:
        assert words in page
    assert len(page) < 200_000
    assert "style=" not in page
    gone = releases[0].study.participations.first()
    Response.objects.filter(trial__participation=gone).delete()
    releases[0].study.participations.filter(pk=gone.pk).update(state="withdrawn", withdrawn_at=timezone.now())
    assert "withdrawn" in client.get(page_of(second)).text


def test_the_page_without_anything_to_compare_says_what_it_takes(client, admin, first, both_unreported):
    client.force_login(admin)
    page = client.get(page_of(first)).text
    assert "Nothing to compare yet" in page
    assert "no report yet" in page


@pytest.fixture
def both_unreported(first, releases):
    return retrain(experiment=first, release=releases[1], actor=OPERATOR)


def test_a_report_written_since_is_said(client, admin, both):
    first, _ = both
    Report.objects.filter(experiment=first).update(created_at=timezone.now())
    client.force_login(admin)
    page = client.get(page_of(first)).text
    assert "a report was written anew" in page
    client.post(reverse("compare_releases", args=[first.pk]))
    page = client.get(page_of(first)).text
    assert "being compared" in page


def test_figures_are_files_too(client, admin, both):
    client.force_login(admin)
    for extension, kind in (("csv", "text/csv"), ("png", "image/png")):
        reply = client.get(page_of(both[0]), {"figure": f"release_steps.{extension}"})
        assert reply["Content-Type"].startswith(kind)
    assert client.get(page_of(both[0]), {"figure": "nothing.csv"}).status_code == 404


def test_test_figures_are_folded_until_an_arm_is_chosen(client, admin, both):
    first, _ = both
    content = {**first.report.content, "choice": {"arm": "mixup", "sentence": "x"}}
    Report.objects.filter(experiment=first).update(content=content)
    client.force_login(admin)
    folded = client.get(page_of(first)).text
    assert 'id="folded"' in folded
    assert 'data-figure="over_time"' not in folded
    assert 'data-figure="labels_moved"' in folded
    shown = client.get(page_of(first), {"test": "shown"}).text
    assert 'data-figure="over_time"' in shown
    again = client.get(page_of(first)).text
    assert 'data-figure="over_time"' in again, "as on the other pages, once is enough"
    assert "You have done so" in again


def test_who_unfolds_sees_the_test_images_of_each_experiment_compared(client, admin, both):
    """An arm of the first is chosen, so its own figures are open; those of the second are not."""
    first, second = both
    for one in both:
        content = {**one.report.content, "choice": {"arm": "mixup", "sentence": "x"}}
        Report.objects.filter(experiment=one).update(content=content)
    Choice.objects.create(experiment=first, arm=first.arms.get(name="mixup"), reason="x", seen_test=False)
    client.force_login(admin)
    folded = client.get(page_of(first)).text
    assert 'data-figure="over_time"' not in folded
    assert f"Of the experiment on {second.release.name} no arm is chosen yet" in folded
    assert not has_seen(second, admin)
    file = client.get(page_of(first), {"figure": "over_time.csv"})
    assert "had before an arm was chosen" in file.text
    assert has_seen(second, admin)
    assert not has_seen(first, admin), "whose figures are open"
    again = client.get(page_of(first)).text
    assert 'data-figure="over_time"' in again
    assert "no arm is chosen yet" in again


def test_what_is_made_of_one_configuration_twice_on_a_release_stands_in(client, admin, both, releases):
    other = made(releases[0], name="another name")
    assert other.recipe_sha256 == both[0].recipe_sha256
    client.force_login(admin)
    assert "another experiment of the same configuration" in client.get(page_of(other)).text


def test_test_figures_of_what_stands_in_are_folded_too(client, admin, both, releases):
    """The page of an experiment without a report shows those of another on its release, of which no arm is chosen."""
    first, second = both
    for one in both:
        content = {**one.report.content, "choice": {"arm": "mixup", "sentence": "x"}}
        Report.objects.filter(experiment=one).update(content=content)
    Choice.objects.create(experiment=second, arm=second.arms.get(name="mixup"), reason="x", seen_test=False)
    other = made(releases[0], name="another name")
    client.force_login(admin)
    assert 'data-figure="over_time"' not in client.get(page_of(other)).text
    assert 'data-figure="over_time"' in client.get(page_of(other), {"test": "shown"}).text
    assert has_seen(first, admin)
    assert not has_seen(second, admin), "whose figures are open"


def test_experiments_to_retrain_are_those_whose_configuration_is_not_there_yet(releases):
    one, two = made(releases[0]), made(releases[0], seeds=[7])
    assert to_retrain_on(releases[1], OPERATOR) == [two, one]
    retrain(experiment=one, release=releases[1], actor=OPERATOR)
    assert to_retrain_on(releases[1], OPERATOR) == [two]
    assert to_retrain_on(releases[0], OPERATOR) == []


# --- pure


def on(number, answers, strength, **more):
    test = tuple(judged(seed, strength) for seed in range(5))
    arm = ArmOnRelease(
        tuple(range(5)), test, (10,) * 5, Labels(("a", "b"), np.array([[0.5, 0.5], [1.0, 0.0]]))
    )
    rows = np.arange(240)
    facts = {"experiment": number, "release": f"s@1.{number}.0", "number": number, "answers": answers}
    return OnRelease(
        **{"facts": facts, "arms": {"human": arm}, "keys": frozenset("ab"), "tested": rows, "base": rows,
           "validation": rows[:0], **more}
    )  # fmt: skip


def compared(*found):
    return over_time(found, primary="human_cross_entropy", source="x", watermark="")


def test_five_seeds_have_intervals_for_other_seeds_and_nothing_is_a_verdict():
    content = compared(on(0, 100, 2.0), on(1, 300, 2.5))
    one = content["steps"][0]["arms"]["human"]["differences"]["human_cross_entropy"]
    assert one["n_seeds"] == 5
    assert not one["these_models"]
    assert one["value"] < 0
    course, steps, labels = content["figures"]
    assert "on the same 240 test images" in course["definition"]
    for said in (course["definition"], steps["table"]["caption"]):
        assert "for other images and other seeds" in said
    assert "From s@1.0.0 (100 answers) to s@1.1.0 (300)" in course["reading"]
    assert "exploratory" in steps["reading"]
    assert labels["reading"] == "No label of a mixed image that two releases share moved."


def test_other_test_images_are_said_and_not_compared():
    content = compared(on(0, 100, 2.0), on(1, 300, 2.5, tested=np.arange(5, 245)))
    (step,) = content["steps"]
    assert step["arms"]["human"]["differences"] == {}
    assert "test images are not the same (240 and 240, 235 in both)" in step["notes"][0]
    assert "on the test images of each, of one configuration" in content["figures"][0]["definition"]


def test_below_five_seeds_figures_say_that_it_is_about_these_models():
    few, many = on(0, 100, 2.0), on(1, 300, 2.5)
    arm = many.arms["human"]
    fewer = replace(arm, seeds=arm.seeds[:2], test=arm.test[:2], n_steps=arm.n_steps[:2])
    course, steps, _ = compared(few, replace(many, arms={"human": fewer}))["figures"]
    assert (
        "for other images and other seeds; below 5 seeds for other images with these" in course["definition"]
    )
    assert (
        "intervals for other images with these trained models, as there are fewer"
        in steps["table"]["caption"]
    )


def test_what_else_differs_is_said():
    later = on(
        1, 300, 2.5, validation=np.arange(10), base=np.arange(10, 240), trained_with="cuda", other_people=True
    )
    content = compared(on(0, 100, 2.0, trained_with="cpu"), later)
    notes = " ".join(content["steps"][0]["notes"])
    assert "Of the validation images, 10 are others than before and 0 are there no more" in notes
    assert "Trained with cpu, then with cuda" in notes
    assert "human labels of the image set changed" in content["notes"][0]


def test_labels_are_compared_over_the_mixed_images_of_both():
    before = Labels(("a", "b"), np.array([[0.5, 0.5], [1.0, 0.0]]))
    after = Labels(("b", "c", "a"), np.array([[0.8, 0.2], [0.0, 1.0], [0.5, 0.5]]))
    found = moved(before, after)
    assert (found["n"], found["n_moved"]) == (2, 1)
    assert found["mean"] == pytest.approx(0.1)
    assert found["most"] == pytest.approx(0.2)
    assert moved(None, after) is None
    assert moved(before, Labels(("z",), np.array([[1.0, 0.0]])))["n"] == 0
