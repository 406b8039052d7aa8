"""Choosing an arm: by validation figures, once, with a reason; what is folded until then; cards, predictions."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from PIL import Image
from rest_framework.test import APIClient

from hilmix.accounts.models import AuditEvent, Membership, User
from hilmix.accounts.roles import OPERATOR
from hilmix.core.errors import DataError
from hilmix.errors import Conflict, Forbidden, Invalid
from hilmix.jobs.models import Job
from hilmix.jobs.progress import Progress
from tests.training.conftest import quick
from tests.training.doing import do
from training.choices import predicting
from training.choices.asking import read_images
from training.choices.cards import as_markdown, card_of
from training.choices.models import Choice, Prediction
from training.choices.services import choose_arm, has_seen, n_seen, opened_to, see_test
from training.evaluation.leakage import Leakage
from training.evaluation.scores import score
from training.experiments.config import parse_config
from training.experiments.models import Experiment
from training.experiments.services import create_experiment
from training.models import Run
from training.reports.services import build_report
from training.runs import keeping

VALIDATION = {
    "arm": "human_lambda_shrunk",
    "order": ["human_lambda_shrunk", "mixup"],
    "values": {"mixup": 0.5, "human_lambda_shrunk": 0.4},
    "first_share": {"mixup": 0.002, "human_lambda_shrunk": 0.998},
    "draws": 1000,
    "metric": "log_loss",
    "n_seeds": 1,
    "unequal_budget": False,
    "sentence": "By log loss on validation images human_lambda_shrunk is to be taken.",
}


@pytest.fixture
def experiment(release):
    """A reported experiment whose validation figures speak for `human_lambda_shrunk`; nothing was trained."""
    made = create_experiment(config=parse_config(quick()), actor=OPERATOR)
    rng = np.random.default_rng(0)
    for run in Run.objects.filter(arm__experiment=made):
        run.metrics = score(rng.normal(0, 2, (20, 10)), np.arange(20) % 10)
        run.curves = [
            {"train_loss": 1.0, "train_floor": 0.1, "validation_loss": 0.5, "validation_accuracy": 0.9}
        ]
        run.environment, run.n_steps, run.plan_sha256 = {"device": "cpu", "torch": "2"}, 10, "plan"
        run.finished_at = timezone.now()
        run.save()
    report = build_report(experiment=made, leakage=Leakage(20, 8, 16, 0, 0, 0))
    report.content["choice"] = VALIDATION
    report.content["config"]["validation"] = 100
    report.save()
    return found(made)


@pytest.fixture
def run(experiment, one_thread):
    """A run of it with the weights of an untrained net."""
    import torch

    from training.engine.nets import Normalised, build_net
    from training.engine.predict import save_weights

    one = Run.objects.filter(arm__experiment=experiment).first()
    one.directory.mkdir(parents=True)
    net = build_net("resnet20", image_shape=(8, 8, 1), n_classes=10, seed=3)
    model = Normalised(net, torch.zeros(1), torch.ones(1))
    save_weights(dict(model.state_dict()), one.directory / "weights.safetensors")
    keeping.hash_weights(one)
    return one


@pytest.fixture
def owner(release):
    person = User.objects.create_user("owner", kind=User.Kind.RESEARCHER)
    Membership.objects.create(user=person, study=release.study, part=Membership.Part.OWNER)
    return person


@pytest.fixture
def picture(tmp_path):
    """A digit-sized picture in a file."""
    path = tmp_path / "seven.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(path)
    return path


def found(experiment) -> Experiment:
    return Experiment.objects.get(pk=experiment.pk)


def parts(experiment, key="metrics"):
    return reverse("report_part", args=[experiment.pk, key])


# -- the choice


def test_a_choice_is_recorded_once_with_what_was_known_then(experiment, owner):
    choice = choose_arm(experiment=experiment, arm="mixup", reason=" It costs nothing. ", actor=owner)
    assert (choice.arm.name, choice.reason, choice.chosen_by) == ("mixup", "It costs nothing.", owner)
    assert (choice.suggested, choice.metric, choice.seen_test) == ("human_lambda_shrunk", "log_loss", False)
    assert AuditEvent.objects.get(action="experiment.chosen").detail == {"arm": "mixup", "seen_test": False}
    with pytest.raises(Conflict, match="once"):
        choose_arm(experiment=experiment, arm="human_lambda_shrunk", reason="No, this.", actor=owner)


@pytest.mark.parametrize(
    ("arm", "reason", "field"),
    [("mixup", "  ", "reason"), ("mixup", "x" * 2001, "reason"), ("nobody", "It is good.", "arm")],
)
def test_a_choice_needs_an_arm_and_a_reason(experiment, owner, arm, reason, field):
    with pytest.raises(Invalid) as refusal:
        choose_arm(experiment=experiment, arm=arm, reason=reason, actor=owner)
    assert list(refusal.value.fields) == [field]
    assert not Choice.objects.exists()


def test_an_arm_is_chosen_by_who_owns_the_study_and_after_the_report(experiment, researcher, owner, release):
    with pytest.raises(Forbidden):
        choose_arm(experiment=experiment, arm="mixup", reason="It is mine.", actor=researcher)
    new = create_experiment(config=parse_config(quick(name="later", seeds=[4])), actor=OPERATOR)
    with pytest.raises(Conflict, match="no report"):
        choose_arm(experiment=new, arm="mixup", reason="Early.", actor=owner)


def test_figures_of_test_images_are_folded_until_then(experiment, owner, researcher):
    opening = opened_to(experiment, owner)
    assert not opening.opened
    assert "Until an arm is chosen" in opening.sentence
    see_test(experiment=experiment, actor=owner, by="a page")
    see_test(experiment=experiment, actor=owner, by="another")
    see_test(experiment=experiment, actor=researcher, by="a page")
    assert n_seen(experiment) == 2 == AuditEvent.objects.filter(action="experiment.test_seen").count()
    assert "You have done so" in opened_to(experiment, owner).sentence
    choice = choose_arm(experiment=experiment, arm="mixup", reason="It is cheap.", actor=owner)
    assert choice.seen_test
    assert opened_to(found(experiment), researcher).opened
    see_test(experiment=found(experiment), actor=OPERATOR, by="a page")
    assert n_seen(experiment) == 2


def test_without_validation_figures_nothing_is_folded_and_every_choice_has_seen_them(experiment, owner):
    experiment.report.content["choice"] = {"arm": None, "sentence": "No arm is chosen."}
    experiment.report.save()
    opening = opened_to(experiment, owner)
    assert opening.opened
    assert "no validation figures" in opening.sentence
    assert choose_arm(experiment=experiment, arm="mixup", reason="A guess.", actor=owner).seen_test


# -- what leaves by other ways


@pytest.mark.parametrize("name", ["experiment_report_json", "experiment_report_markdown"])
def test_a_downloaded_report_says_the_rule_and_is_written_down(client, researcher, owner, experiment, name):
    client.force_login(researcher)
    address = reverse(name, args=[experiment.pk])
    assert "No arm was chosen yet when this was downloaded" in client.get(address).content.decode()
    assert has_seen(experiment, researcher)
    choose_arm(experiment=experiment, arm="mixup", reason="It is cheap.", actor=owner)
    assert "No arm was chosen yet" not in client.get(address).content.decode()


def test_only_figures_of_test_images_count_as_seen(client, researcher, experiment):
    client.force_login(researcher)
    address = reverse("experiment_figure", args=[experiment.pk, "validation_loss", "csv"])
    assert "before an arm was chosen" not in client.get(address).content.decode()
    assert not has_seen(experiment, researcher)
    client.get(parts(experiment, "curves"))
    client.get(experiment.get_absolute_url())
    assert not has_seen(experiment, researcher)
    client.get(parts(experiment))
    assert has_seen(experiment, researcher)
    assert (
        "metrics" not in AuditEvent.objects.get(action="experiment.test_seen").detail
    )  # what it says is words
    assert "part" in AuditEvent.objects.get(action="experiment.test_seen").detail["by"]


def test_the_api_gives_the_report_with_the_rule(experiment, researcher):
    client = APIClient()
    client.force_authenticate(researcher)
    report = client.get(reverse("api_experiment", args=[experiment.pk])).json()["report"]
    assert any("No arm was chosen yet" in note for note in report["notes"])
    assert has_seen(experiment, researcher)
    told = client.get(reverse("api_choice", args=[experiment.pk])).json()
    assert told["choice"] is None
    assert told["validation"] == {**VALIDATION, "is_sure": True}
    assert (told["is_open"], told["has_seen"]) == (False, True)
    assert "You have done so" in told["rule"]


def test_the_api_gives_the_choice_as_data_and_what_was_known_when_it_was_made(experiment, researcher, owner):
    client = APIClient()
    client.force_authenticate(researcher)
    address = reverse("api_choice", args=[experiment.pk])
    experiment.report.content["choice"] |= {"first_share": {"mixup": 0.49, "human_lambda_shrunk": 0.51}}
    experiment.report.save()
    validation = client.get(address).json()["validation"]
    assert validation["is_sure"] is False
    assert "human_lambda_shrunk is first, but not surely" in validation["sentence"]
    choose_arm(experiment=experiment, arm="mixup", reason="It is *cheap*.", actor=owner)
    told = client.get(address).json()
    made = told["choice"].pop("created_at")
    assert datetime.fromisoformat(made) <= timezone.now()
    assert told["choice"] == {
        "arm": "mixup", "metric": "log_loss", "suggested": "human_lambda_shrunk", "reason": "It is *cheap*.",
        "seen_test": False, "chosen_by": "owner",
    }  # fmt: skip
    assert (told["is_open"], told["has_seen"]) == (True, False)
    experiment.report.content["choice"] = {"arm": None, "sentence": "No arm is chosen."}
    experiment.report.save()
    validation = client.get(address).json()["validation"]
    assert {name for name, value in validation.items() if value is not None} == {"sentence"}
    experiment.report.delete()
    assert client.get(address).json()["validation"] is None


# -- its page


def test_an_owner_chooses_on_the_page(client, owner, experiment):
    client.force_login(owner)
    address = reverse("experiment_choice", args=[experiment.pk])
    page = client.get(address).content.decode()
    assert VALIDATION["sentence"] in page
    assert "<\N{NO-BREAK SPACE}1" in page.replace("&lt;", "<")  # not: never
    assert 'value="human_lambda_shrunk" required checked' in page
    refused = client.post(reverse("choose_arm", args=[experiment.pk]), {"arm": "mixup", "reason": ""})
    assert refused.status_code == 400
    assert "Say why" in refused.content.decode()
    assert 'value="mixup" required checked' in refused.content.decode()
    sent = {"arm": "mixup", "reason": "<b>cheap</b>"}
    page = client.post(reverse("choose_arm", args=[experiment.pk]), sent, follow=True).content.decode()
    assert "Chosen: mixup" in page
    assert "another arm was taken" in page
    assert "&lt;b&gt;cheap" in page
    assert "Record the choice" not in page


def test_an_arm_that_is_not_surely_first_is_not_suggested_and_a_ceiling_is_marked(client, owner, experiment):
    experiment.report.content["choice"] |= {"first_share": {"mixup": 0.49, "human_lambda_shrunk": 0.51}}
    experiment.report.save()
    arm = experiment.arms.get(name="mixup")
    arm.settings = {**arm.settings, "base_labels": "human"}
    arm.save()
    client.force_login(owner)
    page = client.get(reverse("experiment_choice", args=[experiment.pk])).content.decode()
    assert '<span class="badge">first, but not surely</span>' in page
    assert "human_lambda_shrunk is first, but not surely." in page
    assert "suggested" not in page
    assert " checked" not in page
    assert page.count('<span class="badge">ceiling</span>') == 1
    assert 'id="ceilings"' in page


def test_a_viewer_reads_and_does_not_choose(client, researcher, experiment):
    client.force_login(researcher)
    assert "Record the choice" not in client.get(reverse("experiment_choice", args=[experiment.pk])).text
    assert client.post(reverse("choose_arm", args=[experiment.pk]), {"arm": "mixup"}).status_code == 403


@pytest.mark.parametrize("name", ["experiment", "experiment_choice", "model_card"])
def test_the_pages_take_few_queries(client, admin, experiment, run, name):
    client.force_login(admin)
    address = reverse(name, args=[experiment.pk, 0][: 2 if name == "model_card" else 1])
    client.get(address)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(address).status_code == 200
    assert len(queries) < 10, [one["sql"][:80] for one in queries]


# -- the model card


def test_a_card_says_what_the_model_is_and_keeps_test_figures_until_a_choice(experiment, run, owner):
    arm = run.arm
    card = card_of(arm, opened_to(experiment, owner))
    assert card["format"] == "hilmix-model-card/1"
    assert card["test"] == []
    assert "Until an arm is chosen" in card["test_note"]
    assert card["weights"][0]["file"] == f"run-{run.pk}.safetensors"
    assert len(card["weights"][0]["sha256"]) == 64
    assert card["validation"]["mean"] == 0.5
    assert "is stated when they are imported" in as_markdown(card)
    assert any("simulated" in said for said in card["limits"])
    choose_arm(experiment=experiment, arm=arm.name, reason="# cheap\n- and *good*", actor=owner)
    arm = found(experiment).arms.get(pk=arm.pk)
    card = card_of(arm, opened_to(found(experiment), owner))
    assert {one["metric"] for one in card["test"]} >= {"accuracy", "log_loss"}
    text = as_markdown(card)
    assert "\\# cheap - and \\*good\\*" in text
    assert "\n# cheap" not in text
    assert card["load"] in text
    json.dumps(card)


def test_a_card_is_had_as_page_and_files(client, researcher, experiment, run):
    client.force_login(researcher)
    card = client.get(reverse("model_card_file", args=[experiment.pk, 0, "json"]))
    assert card.json()["weights"][0]["run"] == run.pk
    assert client.get(reverse("model_card_file", args=[experiment.pk, 0, "md"])).text.startswith(
        "# quick: mixup"
    )
    assert client.get(reverse("model_card_file", args=[experiment.pk, 0, "exe"])).status_code == 404
    page = client.get(reverse("model_card", args=[experiment.pk, 0])).text
    assert card.json()["weights"][0]["sha256"] in page
    assert 'class="watermark"' in page
    assert client.get(reverse("model_card", args=[experiment.pk, 7])).status_code == 404


def test_the_five_lines_of_a_card_run_where_the_weights_were_downloaded(
    client, researcher, experiment, run, picture
):
    client.force_login(researcher)
    lines = client.get(reverse("model_card_file", args=[experiment.pk, 0, "json"])).json()["load"]
    assert len(lines.splitlines()) == 5
    weights = client.get(reverse("run_weights", args=[run.pk]))
    folder = picture.parent
    name = weights["Content-Disposition"].split('"')[1]
    (folder / name).write_bytes(b"".join(weights.streaming_content))
    picture.rename(folder / "image.png")
    done = subprocess.run(
        [sys.executable, "-c", lines],
        cwd=folder,
        env={"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1", "PATH": ""},
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    shares = np.array(
        json.loads(
            done.stdout.replace(".]", "]")
            .replace(". ", " ")
            .replace("\n", "")
            .replace(" ", ",")
            .replace(",,", ",")
            .replace("[,", "[")
        )
    )
    assert shares.shape == (1, 10)
    assert shares.sum() == pytest.approx(1, abs=0.01)


def test_a_page_hashes_no_weights_and_their_download_does_where_nobody_did(
    client, researcher, experiment, run
):
    client.force_login(researcher)
    (run.directory / "weights.sha256").unlink()
    page = reverse("model_card", args=[experiment.pk, 0])
    assert "once they are downloaded" in client.get(page).text
    card = reverse("model_card_file", args=[experiment.pk, 0, "md"])
    assert "sha256 once they are downloaded" in client.get(card).text
    assert not (run.directory / "weights.sha256").exists()
    weights = b"".join(client.get(reverse("run_weights", args=[run.pk])).streaming_content)
    assert hashlib.sha256(weights).hexdigest() in client.get(page).text


def test_a_run_without_weights_has_none_to_give(client, researcher, experiment):
    client.force_login(researcher)
    run = Run.objects.filter(arm__experiment=experiment).first()
    assert client.get(reverse("run_weights", args=[run.pk])).status_code == 409
    assert "Its weights are not here" in client.get(reverse("model_card", args=[experiment.pk, 0])).text


# -- asking a model


def test_the_command_says_what_a_run_says_of_images(run, picture, capsys):
    call_command("predict", str(run.pk), str(picture), "--json")
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["images"]] == [str(picture)]
    assert sum(told["images"][0]["probabilities"]) == pytest.approx(1, abs=1e-4)
    call_command("predict", str(run.pk), str(picture))
    assert capsys.readouterr().out.startswith("quick: mixup, seed 0 (simulated participants)")
    with pytest.raises(CommandError, match="no run 99999"):
        call_command("predict", "99999", str(picture))
    picture.write_text("no picture")
    with pytest.raises(CommandError, match=r"seven\.png is not an image"):
        call_command("predict", str(run.pk), str(picture))


def test_a_program_asks_by_a_job_and_the_images_are_not_kept(run, picture, owner):
    client = APIClient()
    client.force_authenticate(owner)
    address = reverse("api_ask_run", args=[run.pk])
    with picture.open("rb") as file:
        sent = client.post(address, {"images": file})
    content = base64.b64encode(picture.read_bytes()).decode()
    body = {"images": [{"name": "../../etc/seven\n.png", "content": content}]}
    also = client.post(address, body, format="json")
    assert (sent.status_code, also.status_code) == (202, 202)
    assert sorted(name for one in Prediction.objects.all() for name in one.names) == [
        "seven.png",
        "seven.png",
    ]
    for job in Job.objects.filter(kind="predict_images"):
        assert Prediction.objects.get(job=job).directory.is_dir()
        do(job, Progress())
        told = client.get(client.get(reverse("api_job", args=[job.pk])).json()["result"]).json()
        assert told["result"]["images"][0]["name"] == "seven.png"
        assert len(told["result"]["images"][0]["probabilities"]) == 10
        assert not Prediction.objects.get(job=job).directory.exists()
        do(job, Progress())  # again is once


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "at least one"),
        ([("a.png", b"")] * 101, "100 at once"),
        ([("a.png", b"x" * 10_000_001)], "a.png is too large"),
        ([("a.svg", b"<svg/>")], "a.svg is not an image"),
        ([("a.html", b"<script>alert(1)</script>")], "not an image"),
    ],
)
def test_what_is_no_picture_or_too_much_is_refused(run, owner, files, words):
    with pytest.raises(Invalid, match=words):
        predicting.ask(run=run, files=files, actor=owner)
    assert not Prediction.objects.exists()
    assert not list((run.directory.parents[1] / "predictions").glob("*"))


def test_pictures_that_unpack_to_too_much_are_refused_before(run, owner):
    file = io.BytesIO()
    Image.new("1", (9_000, 8_000)).save(file, "PNG")
    assert len(file.getvalue()) < 100_000
    with pytest.raises(Invalid, match="million pixels"):
        predicting.ask(run=run, files=[("bomb.png", file.getvalue())], actor=owner)


def test_a_viewer_asks_no_model_and_a_stranger_finds_none(run, researcher, picture, admin):
    client = APIClient()
    client.force_authenticate(researcher)
    with picture.open("rb") as file:
        assert client.post(reverse("api_ask_run", args=[run.pk]), {"images": file}).status_code == 403
    prediction = predicting.ask(run=run, files=[("a.png", picture.read_bytes())], actor=admin)
    client.force_authenticate(User.objects.create_user("stranger", kind=User.Kind.RESEARCHER))
    assert client.get(reverse("api_prediction", args=[prediction.pk])).status_code == 404
    assert client.get(reverse("api_run_weights", args=[run.pk])).status_code == 404


def test_images_are_made_to_fit_the_net(tmp_path):
    wide = tmp_path / "wide.png"
    Image.fromarray(np.full((10, 40, 3), (255, 0, 0), np.uint8)).save(wide)
    assert read_images([wide], (8, 8, 1)).shape == (1, 8, 8, 1)
    assert read_images([str(wide)], (6, 8, 3))[0, 0, 0].tolist() == [255, 0, 0]
    with pytest.raises(DataError, match="other name"):
        read_images([tmp_path / "none.png"], (8, 8, 1), names=["other name"])
