from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from django.core import serializers
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from elicitation.flow.simulation import simulate_participant
from elicitation.images.models import ImageSet
from elicitation.participants.models import Participation
from elicitation.studies.factors import Factor, Level
from elicitation.studies.hypotheses import Hypothesis
from elicitation.studies.models import Batch, Protocol, Slot, Source, Study, Unit
from elicitation.studies.opening import open_study
from elicitation.studies.plans import plan_of_study
from elicitation.studies.protocol import Design
from elicitation.studies.services import StudyPlan, change_protocol, create_study
from elicitation.studies.texts import demonstration_information
from hilmix.accounts.models import AuditEvent, Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person, set_membership
from hilmix.core.observers import H_MIX
from hilmix.core.planning import reliability
from hilmix.errors import Conflict, Forbidden, Invalid, NotFound
from hilmix.hub.hypotheses import answers_of, test_hypothesis
from hilmix.hub.models import Release, Simulation
from hilmix.hub.power import wilson
from hilmix.hub.rehearsing import Rehearsal, design_of
from hilmix.hub.releases import freeze_release
from hilmix.hub.simulating import JOB_KIND, prepare_simulation, queue_simulation, run_simulation
from hilmix.jobs.models import Job
from hilmix.jobs.progress import JobCancelled, Progress

DESIGN = Design(
    n_mixed_images=12, lambdas_e4=(2500, 7500), trials_per_person=12, repeats=0, answers_per_unit=3, seed=4
)
HYPOTHESES = (
    Hypothesis("seen", "More is seen than is there.", "deviation", effect=0.2, alternative="greater"),
    Hypothesis(
        "wording", "Wording matters.", "difference", factor="asked", levels=("you", "others"), effect=0.3
    ),
    Hypothesis("labels", "Labels predict.", "better_label"),
)
ASKED = Factor(
    "asked", "between", (Level("you", {"bonus": "A pound."}), Level("others", {"bonus": "Two pounds."}))
)


@pytest.fixture
def release(larger_image_set: ImageSet) -> Release:
    """Answers of 12 simulated people to 18 mixed images."""
    design = Design(
        n_mixed_images=18, lambdas_e4=(2500, 7500), trials_per_person=18, repeats=0, answers_per_unit=12
    )
    plan = StudyPlan(slug="before", title="Before", image_set=larger_image_set, design=design)
    study = create_study(plan=plan, source=Source.SIMULATED, actor=OPERATOR)
    open_study(study=study, actor=OPERATOR)
    for seed in range(12):
        simulate_participant(study=study, seed=seed)
    return freeze_release(study=study, actor=OPERATOR, progress=Progress())


def planned(image_set: ImageSet, slug: str = "next", **said) -> Study:
    plan = {
        "title": "Next",
        "image_set": image_set,
        "design": DESIGN,
        "information": demonstration_information(),
        "hypotheses": HYPOTHESES,
        "factors": (ASKED,),
        **said,
    }
    return create_study(plan=StudyPlan(slug=slug, **plan), actor=OPERATOR)


@pytest.fixture
def study(larger_image_set: ImageSet) -> Study:
    return planned(larger_image_set)


def simulate(study: Study, release: Release, **options) -> Simulation:
    simulation = prepare_simulation(
        study=study, release=release, actor=OPERATOR, **{"repetitions": 20, "answers": (2, 5), **options}
    )
    return run_simulation(simulation=simulation, actor=OPERATOR, progress=Progress())


def rows_of(study: Study) -> str:
    """Everything that is stored of a study."""
    kinds = (
        Study.objects.filter(pk=study.pk),
        Protocol.objects.filter(study=study),
        Batch.objects.filter(study=study),
        Unit.objects.filter(batch__study=study),
        Slot.objects.filter(batch__study=study),
        Participation.objects.filter(study=study),
        Membership.objects.filter(study=study),
    )
    return "".join(serializers.serialize("json", kind.order_by("pk")) for kind in kinds)


def test_every_place_of_a_copy_is_taken_through_the_services_and_the_study_is_not_touched(study, release):
    before, sha256 = rows_of(study), study.protocol.sha256
    simulation = simulate(study, release)
    assert rows_of(study) == before
    assert study.protocol.sha256 == sha256
    copy = simulation.copy
    assert (copy.source, copy.state, copy.copied_from) == (Source.SIMULATED, Study.State.CLOSED, study)
    places = Slot.objects.filter(batch__study=copy)
    assert places.count() == 6  # three answers in each of two cells
    assert set(places.values_list("state", flat=True)) == {"filled"}
    assert set(copy.participations.values_list("state", flat=True)) == {"completed"}
    assert sorted(one.levels["asked"] for one in copy.participations.all()) == ["others"] * 3 + ["you"] * 3
    assert simulation.result["copy"]["participants"] == 6
    assert simulation.result["copy"]["responses"] == 72
    assert AuditEvent.objects.filter(action="study.simulated", object_id=str(study.pk)).exists()


def test_power_grows_with_the_answers_and_false_positives_do_not(study, release):
    result = simulate(study, release, repetitions=60, answers=(2, 12)).result
    rows = {(row["hypothesis"], row["k"]): row for row in result["power"]}
    assert rows["seen", 12]["people"] == 24
    assert rows["wording", 12]["power"] > rows["wording", 2]["power"]
    assert rows["wording", 12]["power"] > 0.9
    assert rows["seen", 12]["power"] > 0.9
    for row in result["power"]:
        low, high = row["false_positive_interval"]
        assert low <= row["false_positive"] <= high
        assert low <= 0.075, row
    assert rows["seen", 12]["effect"] == pytest.approx(0.2, abs=0.03)
    assert rows["labels", 2]["effect_of"] == "release"
    assert result["reliability"]["12"] > result["reliability"]["2"]


def test_the_same_seed_gives_the_same_numbers(larger_image_set, release):
    """Also of levels within people: which images begin with which level is drawn from the seed, and often."""
    within = replace(ASKED, varies="within", order="mixed")
    study = planned(larger_image_set, "within", factors=(within,), hypotheses=HYPOTHESES[:2])
    first, second, other = (
        simulate(study, release, answers=(1, 3), seed=seed).result["power"] for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_levels_within_people_are_dealt_to_images_anew_in_memory(larger_image_set):
    within = replace(ASKED, varies="within", order="mixed")
    study = planned(larger_image_set, factors=(within,), hypotheses=())
    deals = [list(rehearsed(study, k=1, seed=(1, deal))._table.levels["asked"]) for deal in (0, 0, 1)]
    assert deals[0] == deals[1] != deals[2]


def test_a_label_gets_its_share_of_the_answers_where_levels_vary_within_people(larger_image_set, release):
    within = replace(ASKED, varies="within", order="mixed")
    study = planned(larger_image_set, factors=(within,), hypotheses=())
    result = simulate(study, release, answers=(2, 4)).result
    assert result["reliability"]["2"] == pytest.approx(result["rho"])
    assert result["reliability"]["4"] == pytest.approx(reliability(result["rho"], 2))


def test_the_page_tells_what_was_simulated_whatever_the_draft_says_by_now(larger_image_set, release, client):
    # Small effects can be put in whoever the release's people are; large ones not, where these answer at random.
    small = tuple(replace(one, effect=0.05 if one.effect else 0.0) for one in HYPOTHESES)
    study = planned(larger_image_set, hypotheses=small)
    simulation = simulate(study, release)
    sha256 = study.protocol.sha256
    otherwise = (replace(small[0], name="renamed", effect=0.4), *small[1:])
    plan = replace(plan_of_study(study), hypotheses=otherwise)
    change_protocol(study=study, plan=plan, actor=OPERATOR, based_on=None)
    assert study.protocol.sha256 != sha256
    client.force_login(add_person(username="ada", kind=User.Kind.ADMIN, actor=OPERATOR))
    page = client.get(reverse("simulation", args=["next", simulation.pk])).content.decode()
    assert sha256 in page
    assert "renamed" not in page
    assert "could be put in" not in page
    assert "rules and attention checks leave nobody out" in page
    assert "version 1" in client.get(reverse("study_simulations", args=["next"])).content.decode()


def test_a_study_without_hypotheses_is_carried_out_all_the_same(larger_image_set, release):
    study = planned(larger_image_set, "plain", hypotheses=(), factors=())
    result = simulate(study, release).result
    assert (result["power"], result["copy"]["tests"], result["copy"]["participants"]) == ([], [], 3)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"repetitions": 19}, "repetitions"),
        ({"repetitions": 2001}, "repetitions"),
        ({"answers": (0, 2)}, "answers"),
        ({"answers": (201,)}, "answers"),
        ({"answers": tuple(range(1, 10))}, "answers"),
        ({"seed": -1}, "seed"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(study, release, options, field):
    with pytest.raises(Invalid) as refused:
        prepare_simulation(study=study, release=release, actor=OPERATOR, **options)
    assert list(refused.value.fields) == [field]
    assert not Simulation.objects.exists()


def test_whoever_may_not_edit_the_study_or_see_the_release_simulates_nothing(study, release):
    person = add_person(username="ann", kind=User.Kind.RESEARCHER, actor=OPERATOR)
    with pytest.raises(NotFound):
        prepare_simulation(study=study, release=release, actor=person)
    set_membership(person=person, study=study, part=Membership.Part.VIEWER, actor=OPERATOR)
    with pytest.raises(Forbidden):
        prepare_simulation(study=study, release=release, actor=person)
    set_membership(person=person, study=study, part=Membership.Part.EDITOR, actor=OPERATOR)
    with pytest.raises(NotFound):
        prepare_simulation(study=study, release=release, actor=person)
    set_membership(person=person, study=release.study, part=Membership.Part.VIEWER, actor=OPERATOR)
    simulation = prepare_simulation(study=study, release=release, actor=person, repetitions=20, answers=(2,))
    run_simulation(simulation=simulation, actor=person, progress=Progress())
    assert simulation.copy.memberships.get().user == person


def test_imported_answers_have_no_design_to_carry_out(study, release):
    study.source = Source.IMPORTED
    with pytest.raises(Conflict, match="imported"):
        prepare_simulation(study=study, release=release, actor=OPERATOR)


class StopsAt(Progress):
    """Somebody cancels after so many steps."""

    def __init__(self, at: int) -> None:
        self.at, self.done = at, []

    def update(self, done, total, text=""):
        assert 0 <= done <= total
        self.done.append(done)

    @property
    def cancelled(self):
        return len(self.done) >= self.at


@pytest.mark.parametrize("at", [0, 2, 30])
def test_a_cancelled_simulation_goes_on_where_it_was(study, release, at):
    simulation = prepare_simulation(
        study=study, release=release, actor=OPERATOR, repetitions=20, answers=(2,)
    )
    with pytest.raises(JobCancelled):
        run_simulation(simulation=simulation, actor=OPERATOR, progress=StopsAt(at))
    simulation = Simulation.objects.get(pk=simulation.pk)
    assert (simulation.finished_at, list(simulation.result)) == (None, ["protocol"])
    assert simulation.copy.state == ("closed" if at > 6 else "open" if at else "draft")
    # The first step was that of the copy's images.
    assert simulation.copy.participations.filter(state="completed").count() == min(max(at - 1, 0), 6)
    run_simulation(simulation=simulation, actor=OPERATOR, progress=Progress())
    assert simulation.copy.participations.count() == 6
    assert Study.objects.filter(source=Source.SIMULATED).count() == 2  # the copy, and whose release it is
    again = Simulation.objects.get(pk=simulation.pk)
    assert again.finished_at is not None
    assert run_simulation(simulation=again, actor=OPERATOR, progress=StopsAt(0)).result == again.result


def test_images_of_the_copy_are_made_outside_of_its_transaction(study, release):
    """Nobody else could write while they are made, which takes long for many."""

    class Depth(Progress):
        of_images = None

        def update(self, done, total, text=""):
            if text == "mixed images":
                self.of_images = len(connection.savepoint_ids)

    simulation = prepare_simulation(
        study=study, release=release, actor=OPERATOR, repetitions=20, answers=(2,)
    )
    progress, depth = Depth(), len(connection.savepoint_ids)
    run_simulation(simulation=simulation, actor=OPERATOR, progress=progress)
    assert progress.of_images == depth


def test_progress_counts_up_to_its_total(study, release):
    simulation = prepare_simulation(
        study=study, release=release, actor=OPERATOR, repetitions=20, answers=(2,)
    )
    progress = StopsAt(10**9)
    run_simulation(simulation=simulation, actor=OPERATOR, progress=progress)
    assert progress.done == sorted(progress.done)
    assert progress.done[-1] == 6 + 3 * 2 * 20


# --- the design in memory ---------------------------------------------------------------------------------------


def rehearsed(study: Study, k: int = 3, seed: Sequence[int] = (0,)) -> Rehearsal:
    if study.state == Study.State.DRAFT:
        open_study(study=study, actor=OPERATOR)
    return Rehearsal(design_of(study), k, H_MIX, seed)


def test_the_design_in_memory_is_the_one_that_was_opened(larger_image_set, release):
    within = Factor(
        "wording",
        "within",
        (Level("a", {"display": {"enlargement": 2}}), Level("b", {"display": {"enlargement": 3}})),
        order="mixed",
    )
    study = planned(larger_image_set, factors=(ASKED, within), hypotheses=())
    copy = simulate(study, release).copy
    real = answers_of(copy)
    made = rehearsed(copy).carry_out(rehearsed(copy).as_fitted(), np.random.default_rng(0))
    design = design_of(copy)
    assert len(design.cells) == 2
    assert len(set(made.person)) == len(set(real.person)) == 6
    for unit in range(12):
        here = made.unit == unit
        assert sorted(made.levels["asked"][here]).count("you") <= 3
        assert (
            abs(list(made.levels["wording"][here]).count("a") - list(made.levels["wording"][here]).count("b"))
            <= 2
        )
    assert len(set(made.condition)) == len(set(real.condition)) == 4


def test_a_pair_is_answered_with_a_midpoint(larger_image_set):
    study = planned(
        larger_image_set,
        interface="construct",
        design=replace(DESIGN, lambdas_e4=(2500, 5000, 7500)),
        hypotheses=(),
        factors=(),
    )
    rehearsal = rehearsed(study, k=20)
    said = rehearsal.carry_out(rehearsal.as_fitted(), np.random.default_rng(0))
    assert set(np.round(said.perceived, 4)) == {0.25, 0.5, 0.75}
    assert said.pair.all()
    assert set(said.lambda_e4) == {5000}
    assert np.isnan(said.confidence).all()


def test_answers_about_classes_have_a_share_and_no_confidence(larger_image_set):
    rehearsal = rehearsed(
        planned(larger_image_set, interface="distribution", hypotheses=(), factors=()), k=20
    )
    said = rehearsal.carry_out(rehearsal.as_fitted(), np.random.default_rng(0))
    assert np.isnan(said.confidence).all()
    assert not np.isnan(said.perceived).any()
    assert len(said.person) == 20 * 12


@pytest.mark.parametrize("interface", ["infer", "distribution"])
@pytest.mark.parametrize("effect", [0.0, 0.1, -0.15])
def test_an_effect_is_in_the_answers_as_large_as_it_was_expected(larger_image_set, interface, effect):
    rehearsal = rehearsed(planned(larger_image_set, interface=interface), k=400)
    deviation, difference, _labels = HYPOTHESES
    world = rehearsal.with_effect(deviation, effect)
    said = rehearsal.carry_out(world, np.random.default_rng(1))
    assert test_hypothesis(deviation, said).estimate == pytest.approx(effect, abs=0.012)
    assert world.effect == pytest.approx(effect, abs=0.012)
    said = rehearsal.carry_out(rehearsal.with_effect(difference, effect), np.random.default_rng(1))
    assert test_hypothesis(difference, said).estimate == pytest.approx(effect, abs=0.015)


def test_an_effect_on_confidence_is_in_the_confidences(larger_image_set):
    rehearsal = rehearsed(planned(larger_image_set), k=400)
    confident = Hypothesis(
        "sure", "They are surer.", "difference", "confidence", "asked", ("you", "others"), effect=0.1
    )
    said = rehearsal.carry_out(rehearsal.with_effect(confident, 0.1), np.random.default_rng(1))
    assert test_hypothesis(confident, said).estimate == pytest.approx(0.1, abs=0.02)


def test_an_effect_that_lapses_do_not_allow_is_said_to_be_smaller(larger_image_set):
    world = rehearsed(planned(larger_image_set), k=2).with_effect(HYPOTHESES[0], 0.6)
    assert 0.4 < world.effect < 0.5  # of λ = .25 and .75 the second can rise by less than a quarter


def test_a_label_saves_as_much_as_was_expected_where_everybody_answers(larger_image_set):
    rehearsal = rehearsed(planned(larger_image_set, factors=(), hypotheses=()), k=300)
    labels = HYPOTHESES[2]
    said = rehearsal.carry_out(rehearsal.with_effect(labels, -0.02), np.random.default_rng(1))
    assert test_hypothesis(labels, said).estimate == pytest.approx(-0.02, abs=0.003)
    nothing = rehearsal.carry_out(rehearsal.with_effect(labels, 0.0), np.random.default_rng(1))
    assert test_hypothesis(labels, nothing).estimate == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize(("found", "n"), [(0, 20), (20, 20), (7, 200)])
def test_the_interval_of_a_share_holds_it_and_stays_within_0_and_1(found, n):
    low, high = wilson(found, n)
    assert 0 <= low <= found / n <= high <= 1
    assert high - low > 0.05
    assert wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)  # published values


# --- from the command line and as a job -------------------------------------------------------------------------


def test_the_command_prints_power_and_leaves_a_page(study, release):
    out, owner = StringIO(), User.objects.create_user("rosa")
    options = ("--repetitions", "20", "--answers", "2,4", "--owner", "rosa")
    call_command("simulate", "next", "--release", "before", *options, stdout=out)
    said = out.getvalue()
    assert "6 simulated participants answered a copy of next" in said
    for text in ("seen", "wording", "labels", "Power", "False positives"):
        assert text in said
    simulation = Simulation.objects.get()
    assert simulation.options == {"repetitions": 20, "answers": [2, 4], "seed": 1}
    assert simulation.finished_at is not None
    assert list(Study.objects.visible_to(owner)) == [simulation.copy]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["other", "--release", "before"], "There is no study 'other'. Studies here: .*next"),
        (["next", "--release", "before", "--owner", "other"], "There is no person 'other'"),
        (["next", "--release", "other"], "There is no release called 'other'"),
        (["next", "--release", "before", "--answers", "two"], "whole numbers with commas"),
        (["next", "--release", "before", "--repetitions", "1"], "Between 20 and 2,000"),
    ],
)
def test_the_command_says_what_is_wrong(study, release, arguments, message):
    with pytest.raises(CommandError, match=message):
        call_command("simulate", *arguments)


def test_a_job_simulates_for_whoever_asked(study, release, client):
    admin = add_person(username="ada", kind=User.Kind.ADMIN, actor=OPERATOR)
    client.force_login(admin)
    page = client.get(reverse("study_simulations", args=["next"])).content.decode()
    assert "before@1.0.0" in page
    sent = {"release": release.pk, "repetitions": 20, "answers": "2 3", "seed": 1}
    reply = client.post(reverse("simulate_study", args=["next"]), sent)
    simulation, job = Simulation.objects.get(), Job.objects.get()
    assert (job.kind, job.object_id) == (JOB_KIND, str(simulation.pk))
    address = reverse("simulation", args=["next", simulation.pk])
    assert (reply.status_code, reply["Location"]) == (302, address)
    assert str(job.pk) in client.get(address).content.decode()
    run_simulation(simulation=simulation, actor=admin, progress=Progress())
    page = client.get(address).content.decode()
    assert "simulated participants" in page  # the watermark
    for text in ("wording", "next-simulated", "before@1.0.0"):
        assert text in page
    figure = json.loads(page.split('id="figures" type="application/json">')[1].split("</script>")[0])[0]
    assert [point[0] for point in figure["series"][0]["points"]] == [2.0, 3.0]
    assert "Next" in client.get(reverse("study_simulations", args=["next"])).content.decode()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"release": "", "repetitions": 20}, "required"),
        ({"repetitions": 5}, "Between 20 and 2,000"),
        ({"answers": "two"}, "Whole numbers"),
        ({"answers": "999"}, "between 1 and 200"),
    ],
)
def test_the_form_says_what_is_wrong_beside_the_field(study, release, client, sent, message):
    client.force_login(add_person(username="ada", kind=User.Kind.ADMIN, actor=OPERATOR))
    good = {"release": release.pk, "repetitions": 20, "answers": "2", "seed": 1}
    reply = client.post(reverse("simulate_study", args=["next"]), {**good, **sent})
    assert reply.status_code == 400
    assert message in reply.content.decode()
    assert not Simulation.objects.exists()


def test_releases_of_others_cannot_be_chosen_and_other_peoples_simulations_not_be_seen(
    study, release, client
):
    person = add_person(username="ann", kind=User.Kind.RESEARCHER, actor=OPERATOR)
    client.force_login(person)
    assert client.get(reverse("study_simulations", args=["next"])).status_code == 404
    set_membership(person=person, study=study, part=Membership.Part.VIEWER, actor=OPERATOR)
    page = client.get(reverse("study_simulations", args=["next"])).content.decode()
    assert "before" not in page
    assert "<form" not in page.split("<main")[1]
    assert client.post(reverse("simulate_study", args=["next"]), {}).status_code == 403
    simulation = prepare_simulation(study=study, release=release, actor=OPERATOR)
    other = planned(study.image_set, "other", hypotheses=(), factors=())
    assert client.get(reverse("simulation", args=["next", simulation.pk])).status_code == 200
    set_membership(person=person, study=other, part=Membership.Part.VIEWER, actor=OPERATOR)
    assert client.get(reverse("simulation", args=["other", simulation.pk])).status_code == 404


def test_a_list_of_simulations_asks_as_often_for_many_as_for_one(
    study, release, client, django_assert_max_num_queries
):
    client.force_login(add_person(username="ada", kind=User.Kind.ADMIN, actor=OPERATOR))
    counts = []
    for n in (1, 7):
        while Simulation.objects.count() < n:
            prepare_simulation(study=study, release=release, actor=OPERATOR)
        with django_assert_max_num_queries(40) as captured:
            client.get(reverse("study_simulations", args=["next"]))
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_queueing_is_all_or_nothing(study, release, monkeypatch):
    def fails(**said):
        raise RuntimeError

    monkeypatch.setattr("hilmix.hub.simulating.queue_job", fails)
    with pytest.raises(RuntimeError):
        queue_simulation(
            study=study,
            release=release,
            actor=add_person(username="ada", kind=User.Kind.ADMIN, actor=OPERATOR),
        )
    assert not Simulation.objects.exists()
