"""The way from an image set to a report and back: what is on it, for whom, and what is said of withdrawn data."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from elicitation.flow.withdrawal import withdraw
from elicitation.participants.models import Participation
from elicitation.studies.models import Source, Study
from elicitation.trials.models import Response, Trial
from hilmix.accounts.models import Membership, User
from hilmix.errors import NotFound
from hilmix.hub.lineage import Level, Trace, trace
from hilmix.hub.models import Release
from tests.hub.conftest import DESIGN
from tests.hub.test_withdrawn import agreed, freeze, report_on
from training.models import Arm, Experiment, Run

KINDS = ["image_set", "study", "mixed_image", "trial", "response", "release", "experiment", "run", "report"]
N_ANSWERS = 6  # of each person in these studies
OF_PAIRS = replace(DESIGN, lambdas_e4=(2500, 5000, 7500))


@pytest.fixture
def make_study(make_study):
    return partial(make_study, source=Source.PERSON)


@pytest.fixture
def admin(db) -> User:
    return User.objects.create_user("admin", kind=User.Kind.ADMIN)


@pytest.fixture
def stranger(db) -> User:
    return User.objects.create_user("stranger")


def trained_on(release: Release) -> Run:
    """A run of an experiment on the release, and the experiment's report."""
    experiment = report_on(release)
    Experiment.objects.filter(pk=experiment.pk).update(config_sha256=f"{release.pk:064}")
    arm = Arm.objects.create(experiment=experiment, ordinal=0, name="mixup", policy="mixup", params={})
    at = experiment.report.created_at
    return Run.objects.create(arm=arm, seed=3, plan_sha256="a" * 64, finished_at=at)


def objects_of(study: Study, run: Run) -> dict[str, object]:
    """One object of each kind; mixed image, trial and answer belong together."""
    response = (
        Response.objects.filter(trial__participation__study=study).select_related("trial__unit").first()
    )
    experiment = run.arm.experiment
    return {
        "image_set": study.image_set,
        "study": study,
        "mixed_image": response.trial.unit.mixed_image,
        "trial": response.trial,
        "response": response,
        "release": experiment.release,
        "experiment": experiment,
        "run": run,
        "report": experiment.report,
    }


def numbers(levels: list[Level]) -> dict[str, int]:
    return {level.kind: level.n for level in levels}


def way(person: User, kind: str, found: object) -> Trace:
    return trace(person, kind, str(found.pk))


@pytest.fixture
def made(make_study) -> dict[str, object]:
    """Two people answered, and a model was trained on the release of what they said."""
    study = make_study()
    agreed(study)
    agreed(study)
    return objects_of(study, trained_on(freeze(study)))


@pytest.mark.parametrize("kind", KINDS)
def test_from_every_object_the_way_leads_up_to_the_image_set_and_down_to_the_report(made, admin, kind):
    found = way(admin, kind, made[kind])
    at = KINDS.index(kind)
    assert list(numbers(found.above)) == KINDS[:at]
    assert list(numbers(found.below)) == KINDS[at + 1 :]
    nodes = [found.node, *(node for level in [*found.above, *found.below] for node in level.nodes)]
    assert all(len(node.sha256) == 64 and node.hash_of for node in nodes)
    for level in [*found.above, *found.below]:
        assert level.n_more or str(made[level.kind].pk) in {node.key for node in level.nodes}


def test_what_is_on_the_way_is_counted_and_the_first_of_it_named(made, admin):
    below = way(admin, "study", made["study"]).below
    assert numbers(below) == {
        "mixed_image": 6, "trial": 2 * N_ANSWERS, "response": 2 * N_ANSWERS, "release": 1, "experiment": 1, "run": 1,
        "report": 1,
    }  # fmt: skip
    trials = below[1]
    assert (len(trials.nodes), trials.n_more) == (5, 2 * N_ANSWERS - 5)
    of_one = way(admin, "mixed_image", made["mixed_image"])
    assert numbers(of_one.below) == {
        "trial": 2, "response": 2, "release": 1, "experiment": 1, "run": 1, "report": 1
    }  # fmt: skip
    above = numbers(way(admin, "release", made["release"]).above)
    assert above == {"image_set": 1, "study": 1, "mixed_image": 6, "trial": 12, "response": 12}
    assert numbers(way(admin, "response", made["response"]).above) == dict.fromkeys(KINDS[:4], 1)


@pytest.mark.parametrize("finished", [False, True])
def test_a_report_is_made_of_no_run_that_was_finished_after_it(made, admin, finished):
    report = made["report"]
    at = report.created_at + timedelta(hours=1) if finished else None
    added = Run.objects.create(arm=made["run"].arm, seed=9, plan_sha256="b" * 64, finished_at=at)
    assert numbers(way(admin, "run", added).below) == {"report": 0}
    assert numbers(way(admin, "run", made["run"]).below) == {"report": 1}
    [runs] = [level for level in way(admin, "report", report).above if level.kind == "run"]
    assert [node.key for node in runs.nodes] == [str(made["run"].pk)]
    assert numbers(way(admin, "release", made["release"]).below) == {"experiment": 1, "run": 2, "report": 1}


def test_an_answer_is_in_no_release_made_before_it_or_without_consent_to_publication(make_study, admin):
    study = make_study()
    agreed(study)
    first = freeze(study)
    late, silent = agreed(study), agreed(study)
    silent.consent.publish = False
    silent.consent.save()
    second = freeze(study)

    def releases_of(person: Participation) -> list[str]:
        answer = Response.objects.filter(trial__participation=person).first()
        return [node.title for node in way(admin, "response", answer).below[0].nodes]

    assert releases_of(late) == [second.name]
    assert releases_of(silent) == []
    assert numbers(way(admin, "release", first).above)["response"] == N_ANSWERS
    assert numbers(way(admin, "release", second).above)["response"] == 2 * N_ANSWERS


def test_withdrawn_data_are_marked_from_the_release_down_to_the_report(make_study, admin):
    study = make_study()
    goes, _stays = agreed(study), agreed(study)
    run = trained_on(freeze(study))

    def warned() -> dict[str, str]:
        below = way(admin, "study", study).below
        return {node.kind: node.warning for level in below for node in level.nodes if node.warning}

    assert warned() == {}
    withdraw(participation=goes)
    said = "contains withdrawn data of 1 participant"
    assert warned() == dict.fromkeys(["release", "experiment", "run", "report"], said)
    assert way(admin, "run", run).node.warning == said
    trial = Trial.objects.filter(participation=goes).first()
    below = way(admin, "trial", trial).below
    assert numbers(below) == {"response": 0, "release": 1, "experiment": 1, "run": 1, "report": 1}
    assert [level.nodes[0].warning for level in below[1:]] == [said] * 4
    freeze(study)
    assert numbers(way(admin, "trial", trial).below)["release"] == 1  # the new one does not hold it


def test_asked_about_a_pair_an_answer_leads_to_every_mixed_image_that_was_shown(make_study, admin):
    study = make_study(interface="select_shuffled", design=OF_PAIRS)
    agreed(study)
    freeze(study)
    response = Response.objects.filter(trial__participation__study=study).first()
    assert numbers(way(admin, "response", response).above)["mixed_image"] == 3
    below = numbers(way(admin, "mixed_image", response.trial.images.first().mixed_image).below)
    assert (below["trial"], below["response"], below["release"]) == (1, 1, 1)
    assert numbers(way(admin, "study", study).below)["mixed_image"] == 3 * OF_PAIRS.n_mixed_images


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("image_set", "mixed_image")])
def test_what_one_may_not_see_is_not_found(made, stranger, kind):
    with pytest.raises(NotFound):
        way(stranger, kind, made[kind])


def test_what_is_everybodys_leads_only_to_what_one_may_see(made, make_study, stranger):
    theirs = make_study("theirs")
    Membership.objects.create(user=stranger, study=theirs, part=Membership.Part.OWNER)
    agreed(theirs)
    below = numbers(way(stranger, "image_set", made["image_set"]).below)
    assert (below["study"], below["response"], below["release"], below["report"]) == (1, N_ANSWERS, 0, 0)
    # The same design draws the same mixed images: they are in a study of theirs now.
    shared = numbers(way(stranger, "mixed_image", made["mixed_image"]).below)
    assert (shared["response"], shared["release"]) == (1, 0)


def test_a_mixed_image_of_no_study_that_one_may_see_is_not_found(made, stranger):
    with pytest.raises(NotFound):
        way(stranger, "mixed_image", made["mixed_image"])


@pytest.mark.parametrize(
    "address", [("study", "x"), ("study", "9" * 30), ("response", "1"), ("pictures", "1")]
)
def test_an_address_of_nothing_is_answered_so(admin, address):
    with pytest.raises(NotFound):
        trace(admin, *address)


def test_the_number_of_queries_does_not_depend_on_what_there_is(made, make_study, admin):
    def queries(kind: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            way(admin, kind, made[kind])
        return len(captured)

    before = {kind: queries(kind) for kind in ("image_set", "study", "mixed_image", "release")}
    study = made["study"]
    for _ in range(2):
        agreed(study)
        trained_on(freeze(study))
    agreed(make_study("another"))
    assert {kind: queries(kind) for kind in before} == before


def test_the_page_carries_the_watermark_of_simulated_answers(make_study, admin, client):
    study = make_study("simulated", source=Source.SIMULATED)
    client.force_login(admin)
    page = client.get(reverse("lineage", args=["study", study.pk])).text
    assert '<p class="watermark" role="note">simulated participants</p>' in page
