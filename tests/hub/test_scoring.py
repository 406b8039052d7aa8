from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from elicitation.flow.simulation import simulate_participant
from elicitation.participants.models import Identity
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Source, Study
from elicitation.studies.protocol import Design
from hilmix.accounts.models import AuditEvent, Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person, set_membership
from hilmix.core.judgements import Answer, ClassMass, PerceivedLambda, Unit
from hilmix.core.label_scores import score_labels
from hilmix.core.observers import H_MIX
from hilmix.core.release import open_release
from hilmix.core.softlabels import Evidence, PerceptualMixup, conditions_of
from hilmix.errors import Conflict, Forbidden, Invalid, NotFound
from hilmix.hub.evidence import evidence_of
from hilmix.hub.management.commands import score_labels as command
from hilmix.hub.models import Analysis, Import, Simulation
from hilmix.hub.releases import freeze_release
from hilmix.hub.score_figures import figures_of
from hilmix.hub.score_tables import Judged, notes_of, tables_of
from hilmix.hub.scoring import JOB_KIND, prepare_scores, queue_scores, run_scores, true_labels
from hilmix.jobs.models import Job
from hilmix.jobs.progress import JobCancelled, Progress

ASKED = Factor("asked", "between", (Level("you", {"bonus": "A pound."}), Level("others", {"bonus": "Two."})))
LAMBDAS_E4 = (1000, 2500, 5000, 7500, 9000)
DESIGN = Design(
    n_mixed_images=36, lambdas_e4=LAMBDAS_E4, trials_per_person=18, repeats=0, answers_per_unit=8, seed=4
)


def answered(make_study: Callable[..., Study], slug: str = "blends", n: int = 12, **said) -> Study:
    """A study that `n` simulated people took part in."""
    study = make_study(slug, **{"design": DESIGN, **said})
    for seed in range(n):
        simulate_participant(study=study, seed=seed)
    return study


@pytest.fixture
def study(make_study: Callable[..., Study]) -> Study:
    return answered(make_study)


def scored(study: Study, **said) -> Analysis:
    return run_scores(
        analysis=prepare_scores(study=study, actor=OPERATOR, **{"repeats": 1, **said}),
        actor=OPERATOR,
        progress=Progress(),
    )


_CONTENT: dict[str, Any] = {}


@pytest.fixture
def finished(study: Study) -> Callable[[], Analysis]:
    """A scoring of `study` that is done. The study is the same in every test, so its labels are judged once."""

    def make() -> Analysis:
        if not _CONTENT:
            analysis = scored(study)
            _CONTENT.update(content=analysis.content, n_responses=analysis.n_responses)
            return analysis
        analysis = prepare_scores(study=study, actor=OPERATOR, repeats=1)
        analysis.content, analysis.n_responses = _CONTENT["content"], _CONTENT["n_responses"]
        analysis.finished_at = timezone.now()
        analysis.save()
        return analysis

    return make


def overall(analysis: Analysis, unseen: str = "people") -> dict[str, dict]:
    (condition,) = analysis.content["conditions"]
    return {one["label"]: one for one in condition["scores"] if one["unseen"] == unseen}


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def member(study: Study, part: str, name: str = "rita") -> User:
    person = add_person(username=name, kind=User.Kind.RESEARCHER, actor=OPERATOR)
    set_membership(person=person, study=study, part=part, actor=OPERATOR)
    return person


# --- what comes out ---


def test_simulated_answers_recover_what_their_observers_see(make_study):
    study = answered(make_study, n=24, design=replace(DESIGN, answers_per_unit=12))
    analysis = scored(study, repeats=2, population=H_MIX)
    scores = overall(analysis)
    true = scores.pop("true observer")
    assert all(true["cross_entropy"] < one["cross_entropy"] for one in scores.values())
    assert scores["human_lambda_shrunk"]["bits"] > scores["population_curve"]["bits"]
    assert true["part_of_the_way"] == pytest.approx(1, abs=0.4)
    assert scores["human_lambda_shrunk"]["part_of_the_way"] > 0.05  # of 36 images and 24 people
    assert any("true observer" in note for note in analysis.content["notes"])


def test_of_people_no_truth_is_known(make_study):
    study = answered(make_study, n=4)
    Study.objects.filter(pk=study.pk).update(source=Source.IMPORTED)
    study.participations.update(source=Source.IMPORTED)
    study.refresh_from_db()
    assert "true observer" not in overall(scored(study))


def test_of_simulated_people_no_truth_is_known_while_nobody_says_who_they_are(study, make_study):
    """A simulation says whom it drew when it is finished; one that was stopped has a copy and no population."""
    release = freeze_release(study=study, actor=OPERATOR, progress=Progress())
    simulation = Simulation.objects.create(
        study=make_study("plan"), release=release, copy=study, options={}, result={"protocol": {}}
    )
    evidence = evidence_of(study, OPERATOR)
    analysis = prepare_scores(study=study, actor=OPERATOR)
    assert [true_labels(analysis, one) for one in evidence.values()] == [{}]
    simulation.result |= {"population": asdict(replace(H_MIX, image_effect_sd=0.0))}
    simulation.finished_at = timezone.now()
    simulation.save()
    ((_, one),) = evidence.items()
    (labels,) = true_labels(analysis, one).values()
    shares = {
        (unit.lambda_e4, unit.first_class): label for unit, label in zip(one.units, labels, strict=True)
    }
    assert len({round(float(label.max()), 9) for label in shares.values()}) == 3  # one for λ and 1 − λ


def test_what_is_stored_is_all_that_a_page_needs(study, finished):
    analysis = finished()
    analysis.refresh_from_db()
    assert analysis.finished_at is not None
    assert analysis.n_responses == sum(one["n"] for one in overall(analysis)["mixup"]["by_lambda"])
    people, parents = analysis.content["tables"]
    assert list(people["columns"]) == ["label", "bits over mixup", "squared error", "spared of it", "n"]
    assert [row[0] for row in people["further"]["rows"]] == [row[0] for row in people["rows"]]
    assert people["further"]["columns"][-1] == "its number"
    assert "say what mixup says" in parents["caption"]
    assert "human_lambda" not in [row[0] for row in parents["rows"]]
    assert "predicts others best" in analysis.content["figures"][0]["reading"]
    assert "Exploratory" in analysis.content["figures"][2]["definition"]
    assert "unseen people" in people["caption"]
    assert "unseen parents" in parents["caption"]
    assert [figure["kind"] for figure in analysis.content["figures"]] == ["forest", "curve", "heat"]
    for figure in analysis.content["figures"]:
        assert figure["reading"]
        assert "blends" in figure["source"]
        assert f"{analysis.n_responses} answers" in figure["source"]
        assert figure["table"]["rows"]


def test_each_condition_is_judged_by_itself(make_study):
    study = answered(make_study, factors=(ASKED,))
    content = scored(study).content
    assert len(content["conditions"]) == 2
    assert sum(one["n_people"] for one in content["conditions"]) == 12
    keys = [figure["key"] for figure in content["figures"]]
    assert len(set(keys)) == len(keys) == 6


@pytest.mark.parametrize(
    ("interface", "label"),
    [("construct", "perceived_midpoint"), ("categorical", "t2_clamp"), ("distribution", "distribution")],
)
def test_answers_of_every_interface_judge_the_labels_made_of_them(make_study, interface, label):
    lambdas = tuple(range(0, 10_001, 1000)) if interface == "construct" else LAMBDAS_E4
    design = Design(n_mixed_images=24, lambdas_e4=lambdas, trials_per_person=8, repeats=0, answers_per_unit=3)
    study = answered(make_study, n=6, interface=interface, design=design)
    scores = overall(scored(study))
    assert set(scores) >= {"mixup", label}
    assert "human_lambda" not in scores


def test_evidence_holds_parents_and_features_of_every_unit(study):
    ((_, evidence),) = evidence_of(study, OPERATOR).items()
    assert all(unit.parents for unit in evidence.units)
    assert evidence.features is not None
    assert evidence.features.shape == (len(evidence.units), 2, 4)
    assert np.isfinite(evidence.features).all()


def test_midpoints_of_a_study_imported_together_count_in_for_whoever_may_see_it(make_study):
    design = replace(DESIGN, trials_per_person=8, n_mixed_images=24)
    shares = answered(make_study, n=2, design=design)
    lambdas = tuple(range(0, 10_001, 1000))
    midpoints = answered(
        make_study, "middles", n=2, interface="construct", design=replace(design, lambdas_e4=lambdas)
    )
    ((_, apart),) = evidence_of(shares, OPERATOR).items()
    assert not apart.pairs
    together = uuid.uuid4()
    for study in (shares, midpoints):
        Import.objects.create(study=study, kind="hmix", together=together)
    ((_, joined),) = evidence_of(shares, OPERATOR).items()
    assert sum(len(pair.answers) for pair in joined.pairs) == 16
    ((_, seen),) = evidence_of(shares, member(shares, Membership.Part.OWNER)).items()
    assert not seen.pairs


def test_who_took_part_in_two_studies_imported_together_is_one_person(make_study):
    design = replace(DESIGN, trials_per_person=8, n_mixed_images=24)
    studies = answered(make_study, n=2, design=design), answered(make_study, "more", n=2, design=design)
    together = uuid.uuid4()
    for study in studies:
        Import.objects.create(study=study, kind="hmix", together=together)
        first = study.participations.earliest("pk")
        Identity.objects.create(participation=first, study=study, pid_hmac="same", pid_ciphertext="")
    names = [
        {answer.participant for unit in one.units for answer in unit.answers}
        for study in studies
        for one in evidence_of(study, OPERATOR).values()
    ]
    assert [len(some) for some in names] == [2, 2]
    assert names[0] & names[1] == {"same"}


def test_pairs_are_labelled_from_their_own_way_of_asking_and_mixed_images_from_every_one(make_study):
    lambdas = tuple(range(0, 10_001, 1000))
    design = replace(DESIGN, trials_per_person=8, n_mixed_images=24)
    shares = answered(make_study, n=2, design=design)
    asked = {"interface": "construct", "design": replace(design, lambdas_e4=lambdas)}
    middles = [answered(make_study, slug, n=2, **asked) for slug in ("middles", "again")]
    together = uuid.uuid4()
    for study in (shares, *middles):
        Import.objects.create(study=study, kind="hmix", together=together)
    ((_, mixed),) = evidence_of(shares, OPERATOR).items()
    assert {name.split()[0] for name in conditions_of(mixed.pairs)} == {"middles", "again"}
    ((condition, pairs),) = evidence_of(middles[0], OPERATOR).items()
    assert conditions_of(pairs.pairs) == conditions_of(pairs.units) == (condition,)


def test_whom_a_rule_leaves_out_judges_nothing(study):
    person = study.participations.first()
    assert person is not None
    person.invalid_at = timezone.now()
    person.save(update_fields=["invalid_at"])
    (condition,) = scored(study).content["conditions"]
    assert condition["n_people"] == 11


def test_what_can_be_reached_is_told_over_the_lambdas_where_somebody_shares_an_image():
    def unit(key: str, lambda_e4: int, *values: float) -> Unit:
        answers = tuple(Answer(f"p{i}", PerceivedLambda(value)) for i, value in enumerate(values))
        return Unit(key, lambda_e4, 0, 1, answers, (len(key), 9 + len(key)))

    units = [unit("a", 5000, 0.2, 0.4), unit("bb", 5000, 0.6, 0.9), unit("ccc", 9000, 0.1)]
    judged = Judged("", "", score_labels(Evidence(units, 2), repeats=1))
    best = judged.scores.ceiling.overall.squared_error
    of_mixup = (0.3**2 + 0.1**2 + 0.1**2 + 0.4**2) / 4  # at λ = ½; what was seen of .9 has no ceiling
    assert judged.reachable == pytest.approx(of_mixup - best)


def test_labels_of_classes_are_ranked_by_squared_error_and_it_is_said_which_turn_in_bits():
    def said(first: float, person: int) -> Answer:
        return Answer(f"p{person}", ClassMass(((0, first), (1, round(1 - first, 2))), frozenset()))

    units = [
        Unit(f"u{i}", 5000, 0, 1, (said(0.9, i % 7), said(0.7, (i + 3) % 7)), (2 * i, 2 * i + 1))
        for i in range(20)
    ]
    judged = Judged("", "", score_labels(Evidence(units, 10), repeats=1))
    (people, _) = tables_of(judged)
    assert "the best by squared error first" in people["caption"]
    squared = [float(row[2]) for row in people["rows"]]
    assert squared == sorted(squared)
    figure = figures_of(judged, [str(i) for i in range(10)], "")[0]
    assert figure.x_label == "squared error an answer"
    lead = judged.scores.leads["people"]
    assert lead.best in figure.reading
    assert ("not told apart" in figure.reading) == bool(lead.tied)
    assert any("ranked by squared error" in note for note in notes_of([judged]))


# --- the services ---


def test_two_people_must_have_answered(make_study):
    study = answered(make_study, n=1)
    with pytest.raises(Conflict, match="at least two must have answered"):
        prepare_scores(study=study, actor=OPERATOR)
    assert not Analysis.objects.exists()


@pytest.mark.parametrize("repeats", [0, 101])
def test_repeats_out_of_range_are_refused(study, repeats):
    with pytest.raises(Invalid) as refused:
        prepare_scores(study=study, actor=OPERATOR, repeats=repeats)
    assert refused.value.fields == {"repeats": ["Between 1 and 100."]}


def test_who_may_score_and_what_is_written_down(study):
    with pytest.raises(Forbidden):
        queue_scores(study=study, actor=member(study, Membership.Part.VIEWER))
    with pytest.raises(NotFound):
        queue_scores(study=study, actor=add_person(username="ray", kind=User.Kind.RESEARCHER, actor=OPERATOR))
    job = queue_scores(study=study, actor=member(study, Membership.Part.EDITOR, "ed"), repeats=3)
    analysis = Analysis.objects.get(pk=job.object_id)
    assert (job.kind, analysis.kind, analysis.options) == (JOB_KIND, "labels", {"repeats": 3, "seed": 0})
    assert AuditEvent.objects.filter(action="study.labels_scored").count() == 1


def test_what_is_done_is_not_done_again_and_what_is_stopped_leaves_nothing(study):
    analysis = prepare_scores(study=study, actor=OPERATOR, repeats=1)

    class Stopped(Progress):
        cancelled = True

    with pytest.raises(JobCancelled):
        run_scores(analysis=analysis, actor=OPERATOR, progress=Stopped())
    analysis.refresh_from_db()
    assert (analysis.content, analysis.finished_at) == ({}, None)
    done = run_scores(analysis=analysis, actor=OPERATOR, progress=Progress())
    at = done.finished_at
    assert run_scores(analysis=done, actor=OPERATOR, progress=Progress()).finished_at == at


# --- the command ---


def test_the_command_prints_both_tables_and_marks_simulated_answers(study, finished, monkeypatch):
    monkeypatch.setattr(command, "prepare_scores", lambda **said: finished())
    out = StringIO()
    call_command("score_labels", "blends", repeats=1, stdout=out)
    said = out.getvalue()
    assert said.startswith("blends: simulated participants")
    assert "How well labels predict unseen people" in said
    assert "How well labels predict unseen parents" in said
    assert "| human_lambda_shrunk " in said


def test_the_command_gives_every_number_as_json(study):
    out = StringIO()
    call_command("score_labels", "blends", "--json", repeats=1, stdout=out)
    said = json.loads(out.getvalue())
    assert (said["study"], said["source"], said["repeats"]) == ("blends", "simulated", 1)
    (condition,) = said["conditions"]
    assert {one["label"] for one in condition["scores"]} >= {"mixup", "perceptual_warp", "human_lambda"}
    assert condition["ceiling"]["squared_error"] > 0
    assert len(condition["scores"][0]["by_lambda"]) == len(LAMBDAS_E4)


def test_the_command_names_the_studies_there_are(study):
    with pytest.raises(CommandError, match=r"no study .blend.\. Studies here: blends"):
        call_command("score_labels", "blend")


# --- the page ---


def test_the_page_queues_a_scoring_and_then_shows_it_with_its_files(study):
    client = signed_in(member(study, Membership.Part.OWNER))
    page = reverse("study_label_scores", args=["blends"])
    assert "Nothing was scored yet" in client.get(page).content.decode()
    reply = client.post(reverse("score_study_labels", args=["blends"]), {"repeats": 1})
    assert (reply.status_code, reply.headers["Location"]) == (302, page)
    waiting = client.get(page).content.decode()
    assert "data-job=" in waiting
    job = Job.objects.get(kind=JOB_KIND)
    analysis = run_scores(
        analysis=Analysis.objects.get(pk=job.object_id), actor=OPERATOR, progress=Progress()
    )
    shown = client.get(page).content.decode()
    assert (
        'class="name">human_<wbr>lambda_<wbr>shrunk<wbr></th><td class="number" data-name="bits over mixup">'
        in shown
    )
    assert shown.count("<summary>More columns</summary>") == 2
    assert "simulated participants" in shown
    assert "data-job=" not in shown
    for key in ("overall", "by-lambda", "by-class-pair"):
        csv = client.get(reverse("analysis_figure", args=[analysis.pk, key, "csv"]))
        assert csv.status_code == 200
        assert "simulated participants" in csv.content.decode()


def test_a_newer_scoring_is_awaited_while_the_last_is_shown(study, finished):
    finished()
    owner = member(study, Membership.Part.OWNER)
    queue_scores(study=study, actor=owner, repeats=1)
    shown = signed_in(owner).get(reverse("study_label_scores", args=["blends"])).content.decode()
    assert "data-job=" in shown
    assert "How it was done" in shown


def test_the_page_refuses_what_it_cannot_do_in_words(make_study):
    study = answered(make_study, n=1)
    client = signed_in(member(study, Membership.Part.OWNER))
    url = reverse("score_study_labels", args=["blends"])
    assert "at least two must have answered" in client.post(url, {"repeats": 1}, follow=True).content.decode()
    reply = client.post(url, {"repeats": 1000})
    assert reply.status_code == 400
    assert not Analysis.objects.exists()


def test_a_viewer_sees_the_page_without_its_form(study, finished):
    finished()
    viewer = signed_in(member(study, Membership.Part.VIEWER))
    shown = viewer.get(reverse("study_label_scores", args=["blends"])).content.decode()
    assert "Score again" not in shown
    assert viewer.post(reverse("score_study_labels", args=["blends"]), {"repeats": 1}).status_code == 403


def test_the_page_asks_the_database_as_often_however_many_scorings_there_are(study, finished):
    client = signed_in(member(study, Membership.Part.OWNER))
    page = reverse("study_label_scores", args=["blends"])
    finished()
    with CaptureQueriesContext(connection) as one:
        client.get(page)
    for _ in range(3):
        finished()
    with CaptureQueriesContext(connection) as more:
        client.get(page)
    assert len(more) == len(one)


# --- the warp of a release ---


def test_the_warp_of_a_frozen_release_labels_its_own_images_as_the_release_does(study):
    release = freeze_release(study=study, actor=OPERATOR, progress=Progress())
    opened = open_release(release.directory)
    images = study.image_set.open().images
    first, second = (np.asarray(images[opened.parents()[:, side]]) for side in (0, 1))
    table = opened.table("mixed_images").to_pylist()
    classes = [[row[name] for row in table] for name in ("first_class", "second_class")]
    warp = PerceptualMixup.from_release(release.directory)
    labels = warp.label(opened.lambdas(), first, second, *classes, len(opened.classes))
    assert labels == pytest.approx(opened.labels("perceptual_warp"), abs=1e-12)
