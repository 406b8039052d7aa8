"""What programs are told of each thing, that it agrees with what is stored, and that nobody is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from elicitation.studies.models import Protocol
from hilmix.core.mixing import from_png, pixel_sha256
from hilmix.core.release_changes import Change, Moved, Records
from hilmix.hub.models import Export, Release, Upload
from hilmix.jobs.models import Job, JobLine, JobState
from tests.security.replies import body
from tests.security.routes import ROUTES
from tests.security.world import CODES, PID, SESSION, STUDY_THERE, World

READ = [name for name, route in ROUTES.items() if name.startswith("api_") and "GET" in route.verbs]


def get(world: World, name: str, who: str = "owner", **address: object) -> Any:
    reply = world[who].client().get(world.address(name, **address))
    assert reply.status_code == 200, reply.content
    return reply.json()


def post(world: World, name: str, sent: Any, who: str = "owner") -> Any:
    return world[who].client().post(world.address(name), json.dumps(sent), "application/json")


@pytest.mark.parametrize("name", READ)
def test_no_call_tells_who_anybody_is_or_what_only_the_recruiter_may_know(world, name):
    if name == "api_docs":
        return
    told = body(world["admin"].client().get(world.address(name))).decode(errors="replace")
    for secret in (
        PID,
        SESSION,
        STUDY_THERE,
        *CODES.values(),
        world["holder"].participation.identity.pid_hmac,
    ):
        assert secret not in told


def test_a_mixed_image_is_told_with_its_parents_and_pixels(world):
    (image, *_others) = get(world, "api_mixed_images")["results"]
    client = world["owner"].client()
    png = client.get(world.address("api_mixed_image_picture", mixed_image_id=image["id"])).content
    assert pixel_sha256(from_png(png)) == image["sha256"]
    classes = get(world, "api_image_set")["classes"]
    for parent in (image["first"], image["second"]):
        assert classes[parent["class_index"]] == parent["class_name"]
    first, second = image["first"]["index"], image["second"]["index"]
    assert image["key"] == f"{first}-{second}-{image['lambda_e4'] / 10_000:g}-mixup@1"


def test_a_mixed_image_has_mixups_label_beside_peoples_and_those_of_the_newest_release(world):
    key = next(row["key"] for row in get(world, "api_responses")["results"] if not row["not_counted"])
    image = next(one for one in get(world, "api_mixed_images")["results"] if one["key"] == key)
    told = get(world, "api_mixed_image", mixed_image_id=image["id"])
    by_name = {label["name"]: label for label in told["labels"]}
    assert by_name["mixup"]["share"] == image["lambda_e4"] / 10_000
    assert {"people, on average", "human_lambda_shrunk"} <= by_name.keys()
    about = [row for row in get(world, "api_responses")["results"] if row["key"] == key]
    assert told["n_answers"] == len(about)


def test_an_answer_is_told_as_it_is_stored_with_what_it_says(world):
    rows = {row["id"]: row for row in get(world, "api_responses")["results"]}
    holder = world["holder"].participation
    for trial in holder.trials.exclude(response=None).select_related("response", "condition"):
        row = rows[str(trial.response.pk)]
        assert row["payload"] == trial.response.payload
        assert row["says"]["kind"] == "PerceivedLambda"
        assert (row["participation"], row["position"]) == (holder.public_id, trial.position)
        assert (row["condition"], row["levels"]) == (trial.condition.key, trial.levels)
    assert {row["not_counted"] for row in rows.values()} > {""}


def test_a_participation_is_told_with_why_it_does_not_count(world):
    rows = get(world, "api_participations")["results"]
    assert {row["mode"] for row in rows} == {"live"}
    assert [row["invalid_reason"] for row in rows if row["invalid_at"]] == [
        world.study.participations.get(invalid_at__isnull=False).invalid_reason
    ]
    one = get(world, "api_participation")
    assert one == next(row for row in rows if row["id"] == one["id"])
    assert "comments" not in one


def test_an_analysis_is_told_with_its_figures_as_data(world):
    told = get(world, "api_analysis")
    assert told["content"] == world.study.analyses.earliest("pk").content
    assert told["content"]["figures"][0]["key"] == "perceived"
    assert "content" not in get(world, "api_analyses")["results"][0]


def test_a_release_is_told_with_its_label_sets_and_every_file(world):
    told = get(world, "api_release")
    manifest = world.release.opened.manifest
    assert told["files"] == manifest["files"]
    assert told["label_sets"] == world.release.opened.label_sets
    assert {"mixup", "human_lambda_shrunk"} <= {one["policy"] for one in told["label_sets"]}


def test_a_release_tells_what_differs_from_the_one_before(world):
    first = get(world, "api_release_changes")
    assert (first["previous"], first["level"], first["reasons"]) == (None, "", [])
    change = Change(
        "minor",
        ["There are 2 more answers."],
        {"responses": Records(3, 2, 0, 0)},
        [Moved("human_lambda", None, 3, 1, 0.1, 0.2, 0.3)],
        {"too_fast": (0, 1)},
    ).as_json()
    second = Release.objects.create(
        study=world.study, number=2, version="1.1.0", source="person", sha256="0" * 64, counts={},
        previous=world.release, change=change,
    )  # fmt: skip
    told = get(world, "api_release_changes", pk=second.pk)
    assert told == json.loads(json.dumps({**change, "previous": world.release.pk}))


def test_a_version_of_a_protocol_tells_what_it_says_otherwise_than_the_one_before(world):
    first = world.study.protocol
    assert get(world, "api_protocol")["differences"] == []
    content = {**first.content, "bonus": "Nothing."}
    Protocol.objects.create(study=world.study, version=first.version + 1, content=content, sha256="0" * 64)
    told = get(world, "api_protocol", version=first.version + 1)
    assert (told["content"], told["n_live"]) == (content, 0)
    (changed,) = told["differences"]
    assert (changed["before"], changed["after"]) == (first.content["bonus"], "Nothing.")
    n_live = world.study.participations.filter(mode="live").count()
    assert [row["n_live"] for row in get(world, "api_protocols")["results"]] == [0, n_live]


@pytest.mark.parametrize("mode", ["live", "pilot"])
def test_the_monitor_tells_what_its_page_shows(world, mode):
    page = world["owner"].client().get(world.address("study_monitor"), {"mode": mode})
    shown, board = page.context["monitor"], page.context["board"]
    told = world["owner"].client().get(world.address("api_monitor"), {"mode": mode}).json()
    assert told["mode"] == mode
    for name in ("n_over_quota", "n_invalid", "n_left_out", "n_problems", "is_quiet"):
        assert told[name] == getattr(shown, name)
    assert {place["name"]: place["counts"] for place in told["people"]} == {
        place.name: place.counts for place in shown.people
    }
    assert told["slots"] == {**vars(shown.slots), "total": shown.slots.total}
    coverage = told["coverage"]
    assert (coverage["n_answers"], coverage["missing"]) == (shown.coverage.n_answers, shown.coverage.missing)
    cells = [cell for row in board.rows for cell in row.cells if cell]
    assert [cell["n_full"] for cell in coverage["cells"]] == [cell.n_full for cell in cells]
    assert sum(cell["mean"] * cell["n_units"] for cell in coverage["cells"]) == coverage["n_answers"] > 0


def test_the_monitor_tells_the_cells_of_one_combination_of_levels(world):
    client, address = world["owner"].client(), world.address("api_monitor")
    whole = client.get(address).json()["coverage"]
    parts = [
        client.get(address, {"levels": at}).json()["coverage"] for at in range(len(whole["combinations"]))
    ]
    assert len(parts) == 4
    answers = [sum(cell["mean"] * cell["n_units"] for cell in part["cells"]) for part in parts]
    assert sum(answers) == whole["n_answers"]
    for wrong in ({"levels": 4}, {"levels": "all"}, {"mode": "preview"}):
        reply = client.get(address, wrong)
        assert (reply.status_code, list(reply.json()["fields"])) == (400, list(wrong))


def test_who_works_on_a_study_is_told_to_its_owners(world):
    told = get(world, "api_members")["results"]
    assert {(row["username"], row["part"]) for row in told} == {
        (part, part) for part in ("owner", "editor", "viewer")
    }


def test_a_file_that_was_brought_is_told_with_its_report(world):
    (row,) = get(world, "api_imports", who="admin")["results"]
    told = get(world, "api_import", who="admin")
    upload = Upload.objects.get()
    assert told == {**row, "report": upload.report}
    assert (told["filename"], told["dry_run"], told["options"]) == ("release.zip", True, upload.options)
    job = Job.objects.get(kind="import_upload")
    Job.objects.filter(pk=job.pk).update(state=JobState.DONE)
    asked = get(world, "api_job", who="admin", job_id=job.pk)
    assert asked["result"].endswith(world.address("api_import"))


def test_the_lineage_of_a_release_leads_to_its_study_and_its_experiments(world):
    told = get(world, "api_lineage")
    assert told["node"]["sha256"] == world.release.sha256
    assert "study" in [level["kind"] for level in told["above"] if level["n"]]
    assert "experiment" in [level["kind"] for level in told["below"] if level["n"]]
    assert world["owner"].client().get(world.address("api_lineage", kind="nothing")).status_code == 404


# --- Long work ----------------------------------------------------------------------------------------------

STARTS = {
    "api_freeze": ("freeze_release", {"images": "recipe-only", "creators": ["Rosa"]}),
    "api_start_export": ("export_responses", {"format": "parquet"}),
    "api_analyse": ("analyse_study", {}),
    "api_score_labels": ("score_labels", {"repeats": 1}),
}


@pytest.mark.parametrize("name", STARTS)
def test_long_work_is_answered_at_once_with_where_to_ask_how_far_it_is(world, name):
    kind, sent = STARTS[name]
    reply = post(world, name, sent)
    assert reply.status_code == 202, reply.content
    job = Job.objects.get(pk=reply.json()["id"])
    assert (job.kind, job.state, job.created_by) == (kind, JobState.QUEUED, world["owner"].user)
    asked = world["owner"].client().get(reply["Location"]).json()
    assert (asked["is_over"], asked["result"], asked["lines"]) == (False, None, [])
    JobLine.objects.create(job=job, text="half-way")
    Job.objects.filter(pk=job.pk).update(state=JobState.DONE, finished_at=timezone.now())
    asked = world["owner"].client().get(reply["Location"]).json()
    assert (asked["is_over"], [line["text"] for line in asked["lines"]]) == (True, ["half-way"])
    if name != "api_freeze":  # nothing was frozen: the job was only said to be done
        assert world["owner"].client().get(asked["result"]).status_code == 200


def test_what_is_chosen_for_a_release_is_kept_and_the_rest_is_as_is_proposed(world):
    job = post(world, "api_freeze", {"images": "recipe-only", "creators": ["Rosa"]}).json()
    options = world.study.freezes.get(pk=Job.objects.get(pk=job["id"]).object_id).options
    assert (options["images"], options["creators"]) == ("recipe-only", ["Rosa"])
    assert options["licence"]
    assert options["description"]


@pytest.mark.parametrize(
    ("name", "sent", "field"),
    [
        ("api_freeze", {"images": "none"}, "images"),
        ("api_freeze", {"licence": "mine"}, "licence"),
        ("api_freeze", {"creators": []}, "creators"),
        ("api_start_export", {"format": "xls"}, "format"),
        ("api_start_export", {}, "format"),
        ("api_score_labels", {"repeats": 10**9}, "repeats"),
        ("api_simulate", {"release": "mine"}, "release"),
        ("api_freeze", [1], "non_field_errors"),
    ],
)
def test_what_cannot_be_chosen_is_refused_by_field_and_queues_nothing(world, name, sent, field):
    before = Job.objects.count()
    reply = post(world, name, sent)
    assert (reply.status_code, field in reply.json()["fields"], Job.objects.count()) == (400, True, before)


def test_nobody_is_simulated_after_a_release_that_one_may_not_see(world):
    assert post(world, "api_simulate", {"release": 10**6}).status_code == 404


def test_a_job_can_be_asked_to_stop(world):
    reply = post(world, "api_job_cancel", {})
    assert (reply.status_code, reply.json()["state"]) == (202, "cancelled")
    again = post(world, "api_job_cancel", {})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_an_export_that_is_not_finished_has_no_file_yet(world):
    Export.objects.filter(study=world.study).update(finished_at=None)
    reply = Client(headers=world["owner"].headers).get(world.address("api_export_file"))
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
