"""`ReleaseDataset`: the mixed images of a release and the labels of one policy, for anybody's training loop."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hilmix.core.errors import DataError
from hilmix.core.imageset import open_image_set, write_image_set
from hilmix.core.release import open_release, write_release
from tests.core.releases import LAMBDAS, OTHERS, YOU, asked_in_two_ways, pictures, release_input
from training.engine.data import ReleaseDataset


@pytest.fixture
def folder(tmp_path):
    write_release(tmp_path / "pets", **release_input())
    return tmp_path / "pets"


def mirrored(picture):
    return picture.flip(2)


def test_an_item_is_a_picture_between_0_and_1_and_its_soft_label(folder):
    data = ReleaseDataset(folder, policy="human_lambda")
    picture, label = data[2]
    assert (picture.dtype, picture.shape, label.dtype) == (torch.float32, (1, 4, 4), torch.float32)
    assert picture.numpy() == pytest.approx(np.moveaxis(pictures()[2], 2, 0) / 255)
    assert label.tolist() == pytest.approx([0.95, 0, 0.05])
    assert (len(data), data.image_shape, data.classes) == (3, (4, 4, 1), ("cat", "dog", "fox"))


def test_items_end_where_the_release_ends(folder):
    assert len(list(ReleaseDataset(folder, policy="mixup"))) == 3


def test_an_open_release_is_not_opened_again(folder):
    release = open_release(folder)
    assert ReleaseDataset(release, policy="mixup").release is release


@pytest.mark.parametrize(
    ("policy", "first"),
    [("random(seed=3)", None), ("human_lambda(statistic=median)", 0.25), ("uniform", 1 / 3)],
)
def test_labels_that_the_release_does_not_hold_are_made_of_its_answers(folder, policy, first):
    assert policy not in open_release(folder).policies
    labels = ReleaseDataset(folder, policy).labels
    assert labels.sum(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert first is None or labels[0, 0].item() == pytest.approx(first)


def test_the_labels_are_those_that_cross_entropy_takes(folder):
    batch, labels = next(iter(DataLoader(ReleaseDataset(folder, policy="mixup"), batch_size=3)))
    loss = torch.nn.functional.cross_entropy(batch.mean(dim=(1, 2, 3))[:, None] * torch.ones(3), labels)
    assert loss.item() == pytest.approx(np.log(3))


def test_other_processes_load_the_same_batches(folder):
    data = ReleaseDataset(folder, policy="human_lambda", transform=mirrored)
    loader = DataLoader(data, batch_size=2, num_workers=2)
    for (pictures_there, labels_there), first in zip(loader, (0, 2), strict=True):
        here = [data[index] for index in range(first, min(first + 2, 3))]
        assert torch.equal(pictures_there, torch.stack([picture for picture, _label in here]))
        assert torch.equal(labels_there, torch.stack([label for _picture, label in here]))


def test_it_can_be_handed_to_a_process_that_shares_nothing(folder):
    data = ReleaseDataset(folder, policy="mixup")
    there = pickle.loads(pickle.dumps(data))
    assert torch.equal(there[1][0], data[1][0])
    assert there.release == data.release


def test_a_transform_changes_the_picture_each_time_and_not_the_label(folder):
    plain, changed = (ReleaseDataset(folder, policy="mixup", transform=change) for change in (None, mirrored))
    assert torch.equal(changed[1][0], plain[1][0].flip(2))
    assert torch.equal(changed[1][1], plain[1][1])


def test_a_release_asked_in_two_ways_wants_to_know_whose_answers(tmp_path):
    write_release(tmp_path / "pets", **asked_in_two_ways())
    with pytest.raises(DataError, match=f"{YOU}, {OTHERS}.*Name one"):
        ReleaseDataset(tmp_path / "pets", policy="human_lambda")
    you, others = (
        ReleaseDataset(tmp_path / "pets", "human_lambda", said).labels[:, 0] for said in (YOU, OTHERS)
    )
    assert (others - you).tolist() == pytest.approx([0.02] * 3, rel=1e-5)


def test_a_recipe_is_mixed_again_from_the_image_set(tmp_path):
    parents = np.zeros((13, 4, 4, 1), np.uint8)
    parents[:3] = 200
    classes = ("cat", "dog", "fox")
    of_class = np.repeat([0, 1, 2], [10, 1, 2])
    write_image_set(
        tmp_path / "set",
        name="pets",
        images=parents,
        labels=of_class,
        classes=classes,
        splits={"all": range(13)},
    )
    images = open_image_set(tmp_path / "set")
    given = release_input()
    given["manifest"]["images"] = "recipe-only"
    given["manifest"]["image_set"]["sha256"] = images.sha256
    write_release(tmp_path / "pets", **given)
    with pytest.raises(DataError, match=f"recipes only.*{images.sha256}"):
        ReleaseDataset(tmp_path / "pets", policy="mixup")
    data = ReleaseDataset(tmp_path / "pets", policy="mixup", image_set=images)
    assert np.array_equal(data.images.numpy(), pictures())
    assert data.labels[:, 0].tolist() == pytest.approx([lambda_e4 / 10_000 for lambda_e4 in LAMBDAS])


@pytest.mark.parametrize(
    ("policy", "condition", "problem"),
    [
        ("human_lamda", None, "no labels 'human_lamda'.*human_lambda, mixup"),
        ("mixup", "elsewhere", "no condition 'elsewhere'"),
        ("perceived_midpoint", None, "no answers that the label policy 'perceived_midpoint' takes"),
        ("random(colour=3)", None, "colour"),
    ],
)
def test_what_it_cannot_do_is_said(folder, policy, condition, problem):
    with pytest.raises(DataError, match=problem):
        ReleaseDataset(folder, policy, condition)


def test_a_folder_that_holds_no_release_is_said(tmp_path):
    with pytest.raises(DataError, match="release"):
        ReleaseDataset(tmp_path)


def test_a_release_that_was_changed_is_refused(folder):
    with (folder / "data" / "labels.parquet").open("ab") as file:
        file.write(b"0")
    with pytest.raises(DataError, match=r"labels\.parquet"):
        ReleaseDataset(folder)
