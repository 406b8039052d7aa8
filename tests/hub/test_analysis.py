"""What an analysis finds in a study's answers, what it says it cannot, and who may see it."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from elicitation.flow.simulation import simulate_participant
from elicitation.flow.validity import mark_invalid
from elicitation.studies.factors import Factor, Level
from elicitation.studies.models import Protocol, Study
from elicitation.studies.protocol import Design
from elicitation.trials.models import Response
from hilmix.accounts.models import AuditEvent, Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import add_person, set_membership
from hilmix.core.observers import H_MIX
from hilmix.errors import Conflict, Forbidden, NotFound
from hilmix.hub.analysed import read
from hilmix.hub.analysing import JOB_KIND, prepare_analysis, queue_analysis, run_analysis
from hilmix.hub.answer_figures import SECTIONS, shares
from hilmix.hub.models import Analysis
from hilmix.jobs.models import Job
from hilmix.jobs.progress import JobCancelled, Progress

DESIGN = Design(
    n_mixed_images=20,
    lambdas_e4=(2500, 5000, 7500),
    trials_per_person=20,
    repeats=2,
    answers_per_unit=6,
    seed=3,
)
HEADS = {
    "infer": ["perceived", "by-pair", "confidence", "confidence-deviation", "halves", "model-share"],
    "construct": ["midpoints", "model-midpoint"],
    "select_shuffled": ["midpoints", "model-midpoint"],
    "categorical": ["entropy", "outside"],
    "distribution": ["entropy", "outside"],
}
OF_PEOPLE = ["retest", "agreement", "times", "coverage"]


@pytest.fixture
def make(make_study):
    """`make(n, **fields of StudyPlan)`: a study in which `n` simulated people answered everything."""

    def make(n: int = 6, population=H_MIX, **said) -> Study:
        study = make_study(**{"design": DESIGN, **said})
        for seed in range(n):
            simulate_participant(study=study, seed=seed, population=population)
        return study

    return make


def analysed(study: Study) -> Analysis:
    return run_analysis(
        analysis=prepare_analysis(study=study, actor=OPERATOR), actor=OPERATOR, progress=Progress()
    )


def finished(study: Study, stored: dict) -> Analysis:
    return Analysis.objects.create(study=study, kind=Analysis.Kind.ANSWERS, options={"seed": 1}, **stored)


def figure(analysis: Analysis, key: str) -> dict:
    (found,) = [one for one in analysis.content["figures"] if one["key"] == key]
    return found


def column(figure: dict, name: str) -> list:
    return [row[figure["table"]["columns"].index(name)] for row in figure["table"]["rows"]]


# --- what is found ---


@pytest.mark.parametrize("interface", HEADS)
def test_every_way_of_asking_has_its_figures_and_says_what_could_not_be_assessed(make, interface):
    analysis = analysed(make(interface=interface, design=replace(DESIGN, lambdas_e4=(0, 2500, 5000, 7500, 10_000))
                             if interface in ("construct", "select_shuffled") else DESIGN))  # fmt: skip
    figures = analysis.content["figures"]
    assert [one["key"] for one in figures] == [*HEADS[interface], *OF_PEOPLE]
    notes = " ".join(analysis.content["notes"])
    assert notes.count("not assessed, because") == len(SECTIONS) - len(figures)
    protocol = analysis.study.protocol.sha256[:12]
    for one in figures:
        assert one["definition"]
        assert one["reading"], one["key"]
        assert one["table"]["rows"], one["key"]
        assert protocol in one["source"]
        assert f"{analysis.n_responses} answers" in one["source"]
        assert all(len(row) == len(one["table"]["columns"]) for row in one["table"]["rows"])
    (table,) = analysis.content["tables"]
    assert table["rows"]
    assert analysis.code_version
    assert analysis.n_responses == Response.objects.count() == 6 * 22


def test_people_who_see_what_is_there_are_found_to(make):
    exact = replace(
        H_MIX,
        shown=(0.0, 1.0),
        seen=(0.0, 1.0),
        person_bias_sd=0.0,
        image_effect_sd=0.0,
        noise_sd=0.0,
        lapse=0.0,
    )
    analysis = analysed(make(population=exact))
    perceived = figure(analysis, "perceived")
    assert column(perceived, "mean") == pytest.approx([0.25, 0.5, 0.75], abs=0.006)  # whole percents
    assert column(perceived, "low") == pytest.approx(column(perceived, "high"), abs=0.011)
    assert column(figure(analysis, "retest"), "median") == [0]


def test_of_very_many_class_pairs_those_with_most_answers_are_drawn_and_all_are_in_the_table(
    make, monkeypatch
):
    monkeypatch.setattr(shares, "MOST_PAIRS", 2)
    heat = figure(analysed(make()), "by-pair")
    assert set(column(heat, "class pair")) == {"airplane / bird", "airplane / cat", "bird / cat"}
    assert len(heat["y_categories"]) == 2
    assert {row for _, row, *_ in heat["series"][0]["points"]} == {0, 1}
    assert "The 2 pairs with most answers are drawn." in heat["definition"]


def test_figures_say_whom_their_intervals_are_of_and_which_answers_they_hold(make):
    analysis = analysed(make())
    assert "Intervals: of other images with these people." in figure(analysis, "agreement")["definition"]
    times = figure(analysis, "times")
    assert sum(column(times, "n")) == analysis.n_responses == 6 * 22  # two of each person's are repeats
    assert "repeats included" in times["definition"]
    model = figure(analysis, "model-share")["definition"]
    assert " answers by 6 people" in model
    assert "first answers" not in model


def test_conditions_are_never_pooled(make):
    asked = Factor(
        "asked",
        "between",
        (Level("you", {"perspective": "you"}), Level("others", {"perspective": "100 others"})),
    )
    study = make(12, factors=(asked,))
    analysis = analysed(study)
    perceived = figure(analysis, "perceived")
    assert perceived["table"]["columns"][0] == "asked"
    assert set(column(perceived, "asked")) == {"asked: you", "asked: others"}
    assert {series["group"] for series in perceived["series"]} == {0, 1}
    by_condition = {one.name: one.answers.main.told.value for one in read(study).asked}
    assert sum(column(perceived, "n")) == sum(map(len, by_condition.values())) > 200
    keys = [one["key"] for one in analysis.content["figures"]]
    assert {"by-pair", "by-pair-2"} < set(keys)
    assert len(keys) == len(set(keys))
    assert re.match(
        r"Told from 0: |No effect can be told from 0\.$", figure(analysis, "model-share")["reading"]
    )
    terms = column(figure(analysis, "model-share"), "term")
    assert [term for term in terms if "against asked:" in term]
    for name, values in by_condition.items():
        rows = [row for row in perceived["table"]["rows"] if row[0] == name]
        weighted = sum(row[2] * row[4] for row in rows) / sum(row[2] for row in rows)
        assert weighted == pytest.approx(values.mean())


def test_whom_rules_leave_out_is_left_out_of_figures_and_shown_in_the_sensitivity_table(make):
    study = make()
    whole = analysed(study)
    slow = {"flag": "too_fast", "params": {"floor_ms": 3_600_000.0}, "excludes": True, "reason": ""}
    protocol = study.protocol
    protocol.content["rules"] = [
        slow if rule["flag"] == "too_fast" else rule for rule in protocol.content["rules"]
    ]
    Protocol.objects.filter(pk=protocol.pk).update(content=protocol.content)
    analysis = analysed(Study.objects.get(pk=study.pk))
    (coverage,) = analysis.content["figures"]
    assert coverage["reading"] == "0 answers to 20 images or pairs, 0 to 0 each."
    assert analysis.content["notes"][0].startswith("Figures are without 6 of 6 people")
    (table,), (before,) = analysis.content["tables"], whole.content["tables"]
    assert [row[:2] for row in table["rows"]] == [
        row[:2] for row in before["rows"]
    ]  # as if there were no rule
    assert [name for name in table["columns"] if "(−6)" in name]


def test_who_is_marked_as_invalid_is_in_nothing(make):
    study = make()
    mark_invalid(participation=study.participations.first(), reason="a bot", actor=OPERATOR)
    analysis = analysed(study)
    assert analysis.n_responses == 5 * 22
    assert set(column(figure(analysis, "coverage"), "answers")) == {5}
    assert "of 5 valid people" in analysis.content["tables"][0]["caption"]


def test_the_same_answers_and_seed_give_the_same_figures(make):
    study = make()
    assert analysed(study).content == analysed(study).content


def test_the_number_of_queries_does_not_depend_on_how_many_answered(make):
    study, counts = make(2), []
    for seed in (10, 11):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            read(study)
        counts.append(len(queries))
        simulate_participant(study=study, seed=seed)
    assert counts[0] == counts[1]


# --- the job ---


def test_an_analysis_is_a_job_that_can_be_stopped_and_is_not_done_twice(make):
    study = make()
    boss = add_person(username="boss", kind=User.Kind.ADMIN, actor=OPERATOR)
    job = queue_analysis(study=study, actor=boss)
    assert (job.kind, job.queue) == (JOB_KIND, "data")
    analysis = Analysis.objects.get(pk=job.object_id)

    class Stopped(Progress):
        cancelled = True

    with pytest.raises(JobCancelled):
        run_analysis(analysis=analysis, actor=boss, progress=Stopped())
    analysis.refresh_from_db()
    assert (analysis.finished_at, analysis.content) == (None, {})
    run_analysis(analysis=analysis, actor=boss, progress=Progress())
    done = analysis.finished_at
    assert run_analysis(analysis=analysis, actor=boss, progress=Stopped()).finished_at == done
    assert AuditEvent.objects.filter(action="study.analysed", object_id=str(study.pk)).exists()


def test_a_study_without_answers_is_not_analysed(make):
    study = make(0)
    with pytest.raises(Conflict, match="no answers yet"):
        prepare_analysis(study=study, actor=OPERATOR)
    assert not Analysis.objects.exists()


def test_viewers_look_and_only_editors_start_one(make):
    study = make(4)
    viewer, stranger = (
        add_person(username=name, kind="researcher", actor=OPERATOR) for name in ("vera", "sam")
    )
    set_membership(person=viewer, study=study, part=Membership.Part.VIEWER, actor=OPERATOR)
    with pytest.raises(Forbidden):
        queue_analysis(study=study, actor=viewer)
    with pytest.raises(NotFound):
        queue_analysis(study=study, actor=stranger)


# --- pages and files ---


@pytest.fixture(scope="module")
def stored() -> dict:
    """What the first analysis of this module's study came to, for those who only look at it."""
    return {}


@pytest.fixture
def seen(make, client, stored):
    """A study with an analysis, and an admin who looks at it."""
    study = make()
    if not stored:
        done = analysed(study)
        stored |= {name: getattr(done, name) for name in ("content", "n_responses", "finished_at")}
    analysis = finished(study, stored)
    client.force_login(add_person(username="boss", kind=User.Kind.ADMIN, actor=OPERATOR))
    return study, analysis


def test_the_page_shows_every_figure_with_its_table_its_files_and_the_watermark(client, seen):
    study, analysis = seen
    reply = client.get(reverse("study_analysis", args=[study.slug]))
    page = reply.content.decode()
    for one in analysis.content["figures"]:
        assert f'data-figure="{one["key"]}"' in page
        for extension in ("csv", "png", "pdf"):
            assert reverse("analysis_figure", args=[analysis.pk, one["key"], extension]) in page
    assert "simulated participants" in page
    assert "Sensitivity to rules of exclusion" in page
    assert "not assessed, because" in page
    assert "There are" not in page


def test_the_page_says_when_answers_came_since_and_how_far_a_running_one_is(client, seen, monkeypatch):
    study, analysis = seen
    Analysis.objects.filter(pk=analysis.pk).update(n_responses=3)
    address = reverse("study_analysis", args=[study.slug])
    assert "There are 132 answers now." in client.get(address).content.decode()
    reply = client.post(reverse("analyse_study", args=[study.slug]))
    job = Job.objects.get(kind=JOB_KIND)
    assert (reply.status_code, reply["Location"]) == (302, job.get_absolute_url())
    page = client.get(address).content.decode()
    assert job.get_absolute_url() in page
    assert 'data-figure="perceived"' in page  # the one before stays until then


def test_the_page_of_a_study_without_answers_offers_nothing(client, make):
    study = make(0)
    client.force_login(add_person(username="boss", kind=User.Kind.ADMIN, actor=OPERATOR))
    page = client.get(reverse("study_analysis", args=[study.slug])).content.decode()
    assert "There is no answer to analyse." in page
    assert reverse("analyse_study", args=[study.slug]) not in page


def test_the_page_asks_the_database_no_more_for_more_analyses(client, seen, stored):
    study, _ = seen
    address = reverse("study_analysis", args=[study.slug])
    client.get(address)
    with CaptureQueriesContext(connection) as before:
        client.get(address)
    for _ in range(3):
        finished(study, stored)
    with CaptureQueriesContext(connection) as after:
        client.get(address)
    assert len(before) == len(after)


def test_a_figure_is_a_file_with_its_numbers_its_source_and_the_watermark(client, seen):
    study, analysis = seen
    reply = client.get(reverse("analysis_figure", args=[analysis.pk, "perceived", "csv"]))
    assert reply["Content-Type"] == "text/csv; charset=utf-8"
    assert (
        reply["Content-Disposition"] == f'attachment; filename="blends-answers-{analysis.pk}-perceived.csv"'
    )
    text = reply.content.decode()
    assert study.watermark in text
    rows = list(csv.reader(line for line in StringIO(text) if not line.startswith("#")))
    assert rows[0] == list(figure(analysis, "perceived")["table"]["columns"])
    assert [float(row[3]) for row in rows[1:]] == column(figure(analysis, "perceived"), "mean")
    for one in {figure["kind"]: figure for figure in analysis.content["figures"]}.values():
        drawn = client.get(reverse("analysis_figure", args=[analysis.pk, one["key"], "png"]))
        assert Image.open(BytesIO(drawn.content)).format == "PNG", one["key"]
    pdf = client.get(reverse("analysis_figure", args=[analysis.pk, "perceived", "pdf"]))
    assert pdf.content.startswith(b"%PDF")


@pytest.mark.parametrize(
    ("key", "extension"), [("perceived", "svg"), ("nothing", "csv"), ("perceived", "csv.exe")]
)
def test_a_figure_or_a_kind_of_file_that_is_not_there_is_not_found(client, seen, key, extension):
    _, analysis = seen
    assert client.get(reverse("analysis_figure", args=[analysis.pk, key, extension])).status_code == 404


def test_figures_of_an_analysis_that_is_not_finished_are_not_found(client, seen):
    study, _ = seen
    waiting = Analysis.objects.create(study=study, kind="answers")
    assert client.get(reverse("analysis_figure", args=[waiting.pk, "perceived", "csv"])).status_code == 404


def test_a_stranger_learns_nothing_of_an_analysis(client, seen):
    study, analysis = seen
    client.force_login(add_person(username="sam", kind=User.Kind.RESEARCHER, actor=OPERATOR))
    for name, args in (
        ("study_analysis", [study.slug]),
        ("analysis_figure", [analysis.pk, "perceived", "csv"]),
        ("analysis_figure", [analysis.pk, "nothing", "csv"]),
    ):
        assert client.get(reverse(name, args=args)).status_code == 404


def test_the_documentation_names_every_section():
    page = (Path(__file__).resolve().parents[2] / "docs" / "analysis.md").read_text("utf-8")
    rows = [line.strip("|").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    start = next(i for i, row in enumerate(rows) if row[0].strip() == "section")
    assert [row[0].strip() for row in rows[start + 2 :][: len(SECTIONS)]] == [
        title for title, _make in SECTIONS
    ]
