"""Every table that is given out opens in a spreadsheet without running anything, and its numbers stay numbers."""

from __future__ import annotations

import csv
import io

import pyarrow.parquet as pq
import pytest
from django.urls import reverse
from django.utils import timezone

from elicitation.participants.models import Participation
from elicitation.studies.models import Source, Study
from hilmix.hub.exporting import queue_export, run_export
from hilmix.hub.models import Analysis, Export
from hilmix.jobs.progress import Progress
from tests.security.replies import assert_guarded, body
from tests.security.routes import ROUTES
from tests.security.test_downloads import is_number
from tests.security.world import ANSWER, PID, SESSION, World

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=HYPERLINK(1)")
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
FILES = {
    "study_participations_csv": ("text/csv; charset=utf-8", ".csv"),
    "analysis_figure": ("text/csv; charset=utf-8", ".csv"),
    "experiment_figure": ("text/csv; charset=utf-8", ".csv"),
    "export_file": ("application/octet-stream", ".csv"),
    "api_export_file": ("application/octet-stream", ".csv"),
    "release_file": ("application/octet-stream", ".csv"),
    "api_release_file": ("application/octet-stream", ".csv"),
}


def cells_of(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


def risky(cells: list[str]) -> list[str]:
    return [cell for cell in cells if cell.startswith(STARTS) and not is_number(cell)]


def figure(world: World, text: str) -> Analysis:
    """An analysis of which every text was written by somebody who means harm, and a negative number."""
    table = {"caption": text, "columns": [text, "n"], "rows": [[text, -0.25], [None, -1]]}
    told = {
        "key": "perceived", "kind": "curve", "title": f"Seen, {text}", "definition": f'What; "{text}', "x": text,
        "y": text, "source": f"study “{text}”,{text}, {text}", "series": [], "table": table,
    }  # fmt: skip
    return Analysis.objects.create(
        study=world.study, kind="answers", content={"figures": [told]}, finished_at=timezone.now()
    )


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_of_a_figure_is_a_formula_also_of_what_it_says_of_itself(world, formula):
    analysis = figure(world, formula)
    reply = world["viewer"].client().get(world.address("analysis_figure", analysis_id=analysis.pk))
    text = body(reply).decode()
    cells = cells_of(text)
    for separated_by in (",", ";"):
        lines = [line.split(separated_by) for line in text.splitlines() if line.startswith("#")]
        assert not [
            cell for line in lines for cell in line if cell.strip(' "').startswith(("=", "+", "-", "@"))
        ]
    assert not risky(cells)
    assert "'" + formula.replace("\r", "\n") in cells
    assert {"-0.25", "-1"} <= set(cells)


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_of_exported_answers_is_a_formula_and_numbers_stay_numbers(world, formula):
    Study.objects.filter(pk=world.study.pk).update(source=Source.IMPORTED)
    Participation.objects.filter(study=world.study).update(source=Source.IMPORTED)
    Participation.objects.filter(pk=world["holder"].participation.pk).update(public_id=formula[:15])
    owner = world["owner"].user
    study = Study.objects.get(pk=world.study.pk)
    job = queue_export(study=study, format="csv", actor=owner)
    run_export(export=Export.objects.get(pk=job.object_id), actor=owner, progress=Progress())
    cells = cells_of(body(world["owner"].client().get(reverse("export_file", args=[job.object_id]))).decode())
    assert f"'{formula[:15]}" in cells
    assert not risky(cells)
    assert "0.31" in cells


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_no_export_says_who_somebody_is_or_what_they_wrote_in_their_own_words(world, format):
    holder, owner = world["holder"].participation, world["owner"].user
    Participation.objects.filter(pk=holder.pk).update(survey={"comments": "I live at 7 Elm Road"})
    job = queue_export(study=world.study, format=format, actor=owner)
    export = Export.objects.get(pk=job.object_id)
    run_export(export=export, actor=owner, progress=Progress())
    told = export.path.read_text() if format == "csv" else str(pq.read_table(export.path).to_pylist())
    assert str(ANSWER["mixing_percent"] / 100) in told
    identity = holder.identity
    for secret in (PID, SESSION, identity.pid_hmac, identity.pid_ciphertext, holder.public_id, "Elm Road"):
        assert secret not in told


@pytest.mark.parametrize("name", FILES)
def test_a_table_is_a_download_of_one_fixed_kind_under_a_name_of_ours(world, name):
    kind, suffix = FILES[name]
    reply = world["owner"].client().get(world.address(name))
    assert reply.status_code == 200
    assert_guarded(reply)
    assert reply["Content-Type"] == kind
    disposition = reply["Content-Disposition"]
    assert disposition.startswith("attachment; filename=")
    assert disposition.rstrip('"').endswith(suffix)
    assert not set("\r\n<>/\\") & set(disposition)


def test_every_address_that_gives_a_file_gives_it_as_one_of_few_kinds(world):
    """A browser opens none of them as a page of ours but pages."""
    kinds = {}
    for name, route in ROUTES.items():
        if "GET" in route.verbs.split():
            for who in ("admin", "owner", "holder"):
                reply = world[who].client().get(world.address(name))
                if reply.status_code == 200:
                    kinds[name] = reply["Content-Type"]
                    if "attachment" not in reply.get("Content-Disposition", ""):
                        assert reply["Content-Type"].split(";")[0] in (
                            *("text/html", "text/plain", "application/json", "application/problem+json"),
                            *("image/png", "application/vnd.oai.openapi", "text/markdown"),
                        ), (name, reply["Content-Type"])
    assert len(kinds) > 60


@pytest.mark.parametrize(("extension", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_a_figure_is_drawn_of_hostile_text_as_text(world, extension, start):
    address = world.address("analysis_figure", extension=extension)
    reply = world["viewer"].client().get(address)
    assert reply["Content-Disposition"].startswith("attachment; filename=")
    assert body(reply).startswith(start)


@pytest.mark.parametrize("extension", ["svg", "html", "CSV", "exe", "csv.html"])
def test_a_figure_is_offered_in_no_other_form(world, extension):
    reply = world["owner"].client().get(world.address("analysis_figure", extension=extension))
    assert reply.status_code == 404


@pytest.mark.parametrize(
    "name", [name for name, route in ROUTES.items() if name.startswith(("api_", "study_"))]
)
def test_what_a_stranger_may_not_see_is_not_there(world, name):
    """An object of somebody else's study is not found, rather than forbidden: nobody learns that it exists."""
    allows = ROUTES[name].allows
    if allows(world["stranger"]) or not allows(world["viewer"]):
        return
    verb = ROUTES[name].verbs.split()[0]
    reply = world["stranger"].client().generic(verb, world.address(name), "{}", "application/json")
    assert reply.status_code == 404
