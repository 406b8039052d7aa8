"""The explanation of a run: its job, its pages and files, and who may ask for it; galleries and maps as data."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hilmix.accounts.roles import OPERATOR
from hilmix.accounts.services import create_token
from hilmix.core.mixing import from_png
from hilmix.errors import Conflict, Forbidden, Invalid
from hilmix.jobs.models import Job, JobState
from hilmix.jobs.progress import Progress
from tests.training.conftest import quick
from tests.training.explained import CLASSES, MIXED, PLAIN, SIDE, explained, heat, map_content, mixed, pixels
from training.experiments.config import parse_config
from training.experiments.services import create_experiment
from training.explanations import galleries, maps
from training.explanations.services import EXPLAIN_KIND, explain_run, why_not
from training.models import Explanation, Run
from training.runs.keeping import PREDICTIONS, WEIGHTS, read_arrays, write_arrays

NAMES = ["ant", "bee", "cat"]


def finished(net: str = "resnet20", n: int = 60, **change) -> Run:
    """A run of the small release with the weights of an untrained net, and its predictions of `n` test images."""
    import torch

    from training.engine.nets import Normalised, build_net, head_of
    from training.engine.predict import predict, save_weights
    from training.experiments.material import material_of

    settings = quick(**change)
    settings["train"] = {**settings["train"], "net": net}
    experiment = create_experiment(config=parse_config(settings), actor=OPERATOR)
    run = Run.objects.filter(arm__experiment=experiment).first()
    body = build_net(net, image_shape=(8, 8, 1), n_classes=10, seed=0)
    torch.nn.init.normal_(head_of(body)[1].weight, std=0.1, generator=torch.Generator().manual_seed(0))
    model = Normalised(body, torch.tensor([0.5]), torch.tensor([0.25]))
    run.directory.mkdir(parents=True, exist_ok=True)
    save_weights(model.state_dict(), run.directory / WEIGHTS)
    material = material_of(experiment)
    arrays = {}
    for name, rows in (("", material.evaluation[:n]), ("validation_", material.validation)):
        if len(rows):
            logits = predict(model, np.asarray(material.images.images[rows]), device=torch.device("cpu"))
            arrays |= {f"{name}indices": rows, f"{name}logits": logits}
    write_arrays(run, PREDICTIONS, arrays | {"labels": material.images.labels[material.evaluation[:n]]})
    run.finished_at = timezone.now()
    run.save()
    return run


@pytest.fixture
def run(release):
    return finished(validation=60)


@pytest.fixture
def of_somebody(release):
    """A finished run with a made-up explanation."""
    create_experiment(config=parse_config(quick()), actor=OPERATOR)
    run = Run.objects.first()
    run.finished_at = timezone.now()
    run.save()
    explained(run, NAMES)
    return run


@pytest.mark.usefixtures("one_thread")
def test_the_job_keeps_galleries_of_two_methods_mistakes_and_a_map(run):
    from training.explanations.work import explain

    explain(Progress(), run.pk)
    content = Explanation.objects.get(run=run).content
    keys = [figure["key"] for figure in content["figures"]]
    assert keys == ["mixed_grad_cam", "mixed_grad_cam_plus_plus", "mistakes_grad_cam"]
    assert all(figure["reading"] for figure in content["figures"])
    item = content["figures"][0]["items"][0]
    assert [image["words"].split(":")[0].split(",")[0][:12] for image in item["images"][:3]] == [
        "mixed image", "first parent", "second paren",
    ]  # fmt: skip
    assert len(item["images"]) == 5
    assert re.search(r"\. ReLU.*\. Each map is divided", content["figures"][0]["definition"])
    assert re.search(r"Maxima: .+ for .+, .+ for .+\.", item["caption"])
    assert (
        content["map"]["which"] == "validation"
    )  # nobody has to look at test images before an arm is chosen
    n = len(content["map"]["points"]["kind"])
    pictures = np.load(run.directory / "explain" / "map.npy")
    assert len(pictures) == n
    assert {one["key"] for one in content["map"]["planes"]} >= {"pca", "tsne"}
    from training.experiments.material import material_of

    material = material_of(run.arm.experiment)
    last = content["map"]["points"]["row"][-1]
    assert (pictures[-1] == material.mixed_images[last]).all()
    assert content["watermark"] == "simulated participants"
    first = content["map"]["points"]
    explain(Progress(), run.pk)
    assert Explanation.objects.get(run=run).content["map"]["points"] == first


@pytest.mark.usefixtures("one_thread")
def test_a_transformers_attention_is_rolled_out_and_test_images_are_looked_at_where_none_were_set_apart(
    release,
):
    from training.explanations.work import explain

    run = finished("vit_small_p4", n=20)
    explain(Progress(), run.pk)
    content = Explanation.objects.get(run=run).content
    keys = [figure["key"] for figure in content["figures"]]
    assert keys == ["mixed_attention_rollout", "mistakes_attention_rollout"]
    assert "spread evenly" in content["figures"][0]["reading"]
    assert content["map"]["which"] == "test"


@pytest.mark.usefixtures("one_thread")
def test_a_fold_too_is_looked_at_with_validation_images_where_there_are_any(release):
    """It is judged on test images alone, so what it says of validation images is predicted anew."""
    from training.explanations.work import explain

    run = finished(n=20, validation=60, holdout_mixes=0.5)
    run.arm.runs.exclude(pk=run.pk).delete()
    run.fold = 1
    run.save()
    kept = read_arrays(run, PREDICTIONS)
    write_arrays(run, PREDICTIONS, {key: kept[key] for key in ("indices", "labels", "logits")})
    explain(Progress(), run.pk)
    found = Explanation.objects.get(run=run).content
    assert found["map"]["which"] == "validation"
    rows = found["map"]["points"]["row"][:60]
    assert rows == kept["validation_indices"].tolist()
    assert found["map"]["points"]["said"][:60] == kept["validation_logits"].argmax(axis=1).tolist()


def test_only_an_admin_asks_and_only_once_at_a_time(run, admin, researcher):
    with pytest.raises(Forbidden):
        explain_run(run=run, actor=researcher)
    job = explain_run(run=run, actor=admin)
    assert (job.kind, job.object_id) == (EXPLAIN_KIND, str(run.pk))
    with pytest.raises(Conflict, match="already"):
        explain_run(run=run, actor=admin)
    Job.objects.filter(pk=job.pk).update(state=JobState.FAILED)
    assert explain_run(run=run, actor=admin).pk != job.pk


def test_what_cannot_be_explained_is_refused_with_its_reason(run):
    from training.explanations.work import explain

    assert why_not(run) == ""
    (run.directory / WEIGHTS).unlink()
    assert "weights" in why_not(run)
    with pytest.raises(Conflict, match="weights"):
        explain_run(run=run, actor=OPERATOR)
    with pytest.raises(Invalid, match="weights"):
        explain(Progress(), run.pk)
    run.evaluations = {"excluded": {"rule": "diverged", "why": "its loss is not finite"}}
    assert "its loss is not finite" in why_not(run)
    run.finished_at = None
    assert "not finished" in why_not(run)
    run.arm.is_external = True
    assert "elsewhere" in why_not(run)


def test_the_page_says_in_which_state_it_is(client, run, admin, researcher):
    page = reverse("run_explanations", args=[run.pk])
    client.force_login(researcher)
    assert b"an admin can" in client.get(page).content
    assert client.post(reverse("explain_run", args=[run.pk])).status_code == 403
    client.force_login(admin)
    assert b"Make heat maps" in client.get(page).content
    reply = client.post(reverse("explain_run", args=[run.pk]), follow=True)
    assert b"No worker is running" in reply.content
    assert b"Make heat maps" not in reply.content
    job = Explanation.objects.get(run=run).job
    Job.objects.filter(pk=job.pk).update(state=JobState.FAILED, error="The disk is full.")
    failed = client.get(page).content.decode()
    assert "The disk is full." in failed
    assert "Try again" in failed


def test_a_stored_explanation_is_shown_with_few_queries_and_its_files(
    client, of_somebody, admin, django_assert_max_num_queries
):
    client.force_login(admin)
    page = reverse("run_explanations", args=[of_somebody.pk])
    with django_assert_max_num_queries(10):
        reply = client.get(page)
    said = reply.content.decode()
    assert "simulated participants" in said
    assert "mixed_grad_cam.png" in said
    assert 'id="feature-map"' in said
    experiment = of_somebody.arm.experiment
    assert client.get(reverse("experiment_explanations", args=[experiment.pk])).url == page
    png = client.get(reverse("run_explanation_picture", args=[of_somebody.pk, "map", 3]))
    assert (from_png(png.content) == np.load(of_somebody.directory / "explain" / "map.npy")[3]).all()
    for album, place in (("map", PLAIN + MIXED), ("weights", 0), ("gallery", 10_000)):
        assert (
            client.get(reverse("run_explanation_picture", args=[of_somebody.pk, album, place])).status_code
            == 404
        )
    told = client.get(
        reverse("run_explanation_figure", args=[of_somebody.pk, "map_tsne", "csv"])
    ).content.decode()
    rows = list(csv.reader(line for line in io.StringIO(told) if not line.startswith("#")))
    assert len(rows) == 1 + PLAIN + MIXED
    for key in ("map_pca", "mixed_grad_cam"):
        drawn = client.get(reverse("run_explanation_figure", args=[of_somebody.pk, key, "png"]))
        assert drawn.content.startswith(b"\x89PNG")
    for wrong in ("map_none", "nothing"):
        assert (
            client.get(reverse("run_explanation_figure", args=[of_somebody.pk, wrong, "csv"])).status_code
            == 404
        )
    token = create_token(person=admin, name="a program", scope="read")
    program = Client(headers={"Authorization": f"Token {token}"})
    assert (
        program.get(reverse("api_run_explanation", args=[of_somebody.pk])).json()["map"]["which"]
        == "validation"
    )


def test_a_gallery_draws_some_at_random_and_then_those_furthest_from_people():
    images = mixed(40)
    places, n = galleries.pick(images)
    assert n == galleries.DRAWN
    assert len(places) == len(set(places.tolist())) == galleries.DRAWN + galleries.FURTHEST
    rest = np.setdiff1d(np.flatnonzero(np.isfinite(images.apart)), places)
    assert images.apart[places[n:]].min() >= images.apart[rest].max()
    again, _ = galleries.pick(mixed(40))
    assert (again == places).all()
    both = images.p[0, images.classes[0]]
    assert images.apart[0] == pytest.approx(abs(both[0] / both.sum() - images.people[0]))


def test_heat_lightens_what_it_lies_on_whatever_the_colours():
    grey = np.full((4, 4, 1), 100, dtype=np.uint8)
    levels = [
        galleries.overlay(grey, np.full((4, 4), value, np.float32)) for value in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    light = [float((level @ np.array([0.299, 0.587, 0.114])).mean()) for level in levels]
    assert light == sorted(light)
    assert len(set(light)) == 5


def test_attention_held_by_few_patches_reads_so():
    found = heat(2, 1, "attention_rollout")
    found.values[:] = 0
    found.values[:, :, 0, :4] = 1
    assert galleries._held(found).startswith(f"Half of the attention lies on {100 * 1 / SIDE**2:.0f}%")


def test_the_points_of_a_map_say_what_is_known_of_each_image():
    content = map_content(NAMES)
    points = content["points"]
    assert {len(column) for column in points.values()} == {PLAIN + MIXED}
    assert points["kind"] == [0] * PLAIN + [1] * MIXED
    assert points["lambda"][:PLAIN] == [None] * PLAIN
    assert points["entropy"][PLAIN:] == [None] * MIXED  # people said nothing of these
    assert all(0 <= value <= np.log(CLASSES) for value in points["entropy"][:PLAIN])
    assert sum(row[1] for row in content["table"]["rows"]) == PLAIN
    assert maps.entropies(np.array([[1.0, 0, 0], [1 / 3] * 3, [np.nan] * 3])) == pytest.approx(
        [0, np.log(3), np.nan], nan_ok=True
    )
    figure = maps.plane_figure(content, "pca")
    assert figure is not None
    assert sum(len(series.points) for series in figure.series) == PLAIN
    assert maps.plane_figure(content, "umap") is None


def test_neighbours_of_one_class_and_of_another_are_counted():
    features = np.concatenate([np.zeros((11, 2)), np.full((11, 2), 9.0)]) + np.random.default_rng(0).normal(
        size=(22, 2)
    )
    points = {"right": [1] * 22, "entropy": [None] * 22}
    table, reading = maps._kept_apart(features, np.repeat([0, 1], 11), points, NAMES, "test")
    assert "100% have its class" in reading
    assert [row[3] for row in table.rows] == [1, 1]


def test_large_pictures_are_kept_small():
    assert maps.small(np.zeros((2, 200, 150, 3), np.uint8)).shape == (2, 67, 50, 3)
    assert maps.small(pixels(1)).shape == (1, SIDE, SIDE, 3)
