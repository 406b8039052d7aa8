"""The demonstration as `make demo` builds it: once, for real, through the same services as everything else."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

TABLES = (
    "elicitation_study",
    "elicitation_participation",
    "elicitation_response",
    "hub_release",
    "hub_analysis",
    "hub_simulation",
    "training_run",
    "training_report",
    "jobs_job",
)


def counts(instance):
    return {table: instance.rows(f"select count(*) n from {table}")[0]["n"] for table in TABLES}


@pytest.fixture(scope="module")
def demonstration(start_instance):
    return start_instance(lambda instance: instance.manage("demo"))


def test_everything_the_issue_names_is_there(demonstration):
    studies = {row["slug"]: row for row in demonstration.rows("select * from elicitation_study")}
    assert (studies["demo-simulated"]["source"], studies["demo-simulated"]["state"]) == (
        "simulated",
        "closed",
    )
    assert (studies["demo"]["source"], studies["demo"]["state"]) == ("person", "open")
    people = demonstration.rows("select source, state from elicitation_participation")
    assert people == [{"source": "simulated", "state": "completed"}] * (
        24 + 24
    )  # and of the power simulation
    mixed = (
        "select count(distinct mixed_image_id) n from elicitation_unit u"
        " join elicitation_batch b on b.id = batch_id"
    )
    for slug in ("demo-simulated", "demo"):
        where = f"{mixed} where study_id = {studies[slug]['id']}"
        assert demonstration.rows(where)[0]["n"] == 60
    others = ("select", "construct", "categorical", "distribution", "groups", "paid")
    assert {studies[f"demo-{slug}"]["state"] for slug in others} == {"open"}
    arms = demonstration.rows("select name, seed from training_run r join training_arm a on a.id = r.arm_id")
    assert len(arms) == 4
    assert {row["name"] for row in arms} == {"mixup", "human_lambda_shrunk"}
    report = json.loads(demonstration.rows("select content from training_report")[0]["content"])
    assert "simulated" in json.dumps(report).lower()


def test_it_shows_groups_rules_payment_flags_and_power(demonstration):
    def content(slug):
        (row,) = demonstration.rows(
            "select content from elicitation_protocol p join elicitation_study s on s.id = p.study_id where slug = ?",
            slug,
        )
        return json.loads(row["content"])

    groups = content("demo-groups")
    assert [(factor["varies"], len(factor["levels"])) for factor in groups["factors"]] == [("between", 2)]
    assert {rule["flag"] for rule in groups["rules"] if rule["excludes"]} == {"failed_checks", "one_key"}
    (recruited,) = demonstration.rows(
        "select r.* from elicitation_recruitment r join elicitation_study s on s.id = study_id where slug = 'demo-paid'"
    )
    codes = json.loads(recruited["options"])["codes"].values()
    assert recruited["recruiter"] == "prolific"
    assert all(code.startswith("DEMO-") for code in codes), "nobody may take them for real ones"
    assert content("demo-paid")["payment"]["reward_e2"] > 0
    (release,) = demonstration.rows("select * from hub_release")
    (responses,) = (demonstration.var / "releases").glob("*/csv/responses.csv")
    with responses.open() as lines:
        left_out = {
            row["participant"] for row in csv.DictReader(lines) if row["not_counted"].startswith("excluded")
        }
    assert len(left_out) == 2
    (simulation,) = demonstration.rows("select * from hub_simulation")
    assert simulation["release_id"] == release["id"]
    found = {(row["hypothesis"], row["k"]): row["power"] for row in json.loads(simulation["result"])["power"]}
    assert found["others-differ", 2] < found["others-differ", 6] > 0.5


def test_it_shows_what_its_answers_say_and_which_labels_predict_them(demonstration):
    found = {
        row["kind"]: json.loads(row["content"])
        for row in demonstration.rows("select kind, content from hub_analysis where finished_at is not null")
    }
    assert {kind: len(content["figures"]) > 2 for kind, content in found.items()} == {
        "answers": True,
        "labels": True,
    }
    (condition,) = found["labels"]["conditions"]
    spared = {row["label"]: row["bits"] for row in condition["scores"] if row["unseen"] == "people"}
    assert spared["human_lambda_shrunk"] > spared["human_lambda"] > 0
    best = max(spared, key=lambda label: spared[label])
    assert best == "true observer", "what made the answers predicts them best"


def test_its_pictures_have_a_licence_that_its_release_carries_on(demonstration):
    (pictures,) = demonstration.rows("select licence, origin from elicitation_imageset")
    (path,) = (demonstration.var / "releases").glob("*/manifest.json")
    manifest = json.loads(path.read_text())
    assert manifest["licences"]["image_set"] == pictures["licence"] == "CC-BY-4.0"
    assert "UCI" in pictures["origin"]
    assert pictures["origin"] in (path.parent / "README.md").read_text()


def test_a_second_call_repeats_no_finished_work(demonstration):
    before = counts(demonstration)
    demonstration.manage("demo")
    assert counts(demonstration) == before


def test_the_three_links_lead_where_they_say(demonstration):
    lines = demonstration.manage("demo", "--links").splitlines()
    take_part, researcher, admin = (line.split("  ")[-2 if "once" in line else -1].strip() for line in lines)
    status, page = demonstration.get(urllib.parse.urlsplit(take_part).path)
    assert status == 200
    assert "taking part" in page
    for link in (researcher, admin):
        status, page = demonstration.get(urllib.parse.urlsplit(link).path)
        assert status == 200
        assert "Sign in with this link" in page
    assert researcher.endswith("?next=/studies/demo-simulated/")


def test_no_account_has_a_password(demonstration):
    demonstration.manage("demo", "--links")
    accounts = demonstration.rows("select username, password from accounts_user")
    assert {row["username"] for row in accounts} >= {"admin", "researcher"}
    assert all(row["password"].startswith("!") for row in accounts)


def test_the_bare_wheel_opens_its_release(demonstration, tmp_path):
    """What a researcher installs: no Django, no torch, only the release directory."""
    root = Path(__file__).resolve().parents[2]
    run = [sys.executable, "-m"]
    source = tmp_path / "source"  # building leaves a folder behind, which is not to be the checkout's
    for package in ("hilmix", "elicitation", "training"):
        shutil.copytree(root / package, source / package)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(root / file, source)
    wheel = [*run, "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), "."]
    subprocess.run(wheel, check=True, cwd=source)
    subprocess.run([*run, "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    built = next(tmp_path.glob("*.whl"))
    install = [python, "-m", "pip", "install", "--quiet", "-c", str(root / "constraints.txt"), str(built)]
    subprocess.run(install, check=True)
    release = next((demonstration.var / "releases").iterdir())
    code = f"""
import sys
from hilmix.core.release import open_release
from hilmix.core.softlabels import PerceptualMixup

release = open_release({str(release)!r})
images, labels = release.images(), release.labels("human_lambda_shrunk")
control = release.labels("random(seed=3)")  # made of the answers: the release does not hold it
warp = PerceptualMixup.from_release(release)
on_the_fly = warp.label([0.5], images[:1], images[1:2], [0], [1], len(release.classes))
asked = release.table("trials").num_rows
assert not {{"django", "torch", "celery", "scipy", "pandas"}} & set(sys.modules)
print(images.shape, labels.shape, control.shape, on_the_fly.shape, asked, release.source)
"""
    done = subprocess.run([python, "-c", code], check=True, text=True, capture_output=True, cwd=tmp_path)
    assert done.stdout.strip() == "(60, 8, 8, 1) (60, 10) (60, 10) (1, 10) 768 simulated"
