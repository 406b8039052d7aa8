"""What people said about parent images, as shares and as counts: what is taken, what is found, what refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hilmix.core import humanlabels
from hilmix.core.errors import DataError, Refused
from hilmix.core.humanlabels import (
    HumanLabels,
    VoteRange,
    add_human_labels,
    add_human_votes,
    find_votes,
    read_human_labels,
)
from hilmix.core.imageset import ImageSet, open_image_set, write_image_set

HALVES = np.full((6, 2), 0.5)
COUNTS = np.array([[3, 1], [0, 5], [2, 2], [1, 0], [7, 2], [4, 4]])


@pytest.fixture
def pets(tmp_path: Path) -> ImageSet:
    """Six images of two classes, without human labels."""
    write_image_set(
        tmp_path / "pets",
        name="pets",
        images=np.arange(6 * 2 * 2, dtype=np.uint8).reshape(6, 2, 2, 1),
        labels=[0, 1, 0, 1, 0, 1],
        classes=["cat", "dog"],
        splits={"train": [4, 0, 1], "test": [5, 2]},
    )
    return open_image_set(tmp_path / "pets")


def manifest(pets: ImageSet) -> dict:
    return dict(json.loads((pets.directory / "manifest.json").read_text("utf-8")))


def refused_rows(pets: ImageSet, array, votes: VoteRange | None = None) -> list[int]:
    with pytest.raises(Refused) as caught:
        read_human_labels(pets, array, votes)
    return [one["row"] for one in caught.value.errors]


def test_human_labels_are_added_later_without_renaming_the_set(pets):
    add_human_labels(pets.directory, read_human_labels(pets, HALVES))
    add_human_labels(pets.directory, read_human_labels(pets, HALVES), meaning="second thoughts")
    opened = open_image_set(pets.directory, verify=True)
    assert np.array_equal(opened.human_labels, HALVES)
    assert opened.human_votes is None
    assert opened.human is opened.human_labels
    assert opened.sha256 == pets.sha256
    assert manifest(pets)["human_labels"]["meaning"] == "second thoughts"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((5, 2), 0.5), r"shape \[5, 2\]; 6 images × 2 classes are needed"),
        (np.full((6, 2), 0.6), "human labels, row 0: no distribution"),
        (np.vstack([np.full((3, 2), 0.5), [[1.5, -0.5]], np.full((2, 2), 0.5)]), "row 3: .*1.5, -0.5"),
        (np.full((6, 2), np.nan), "row 0"),
        ([["a", "b"]] * 6, "are not numbers"),
        ([[1], [1, 2]], "are no array"),
        (np.full((6, 2), "2026-01-01", "datetime64[D]"), "are not numbers but datetime64"),
    ],
)
def test_human_labels_that_are_no_distributions_are_refused(pets, labels, message):
    with pytest.raises(DataError, match=message):
        read_human_labels(pets, labels)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float32])
def test_whole_numbers_with_a_row_of_several_are_counts_of_votes_whatever_their_type(pets, kind):
    read = read_human_labels(pets, COUNTS.astype(kind))
    assert read.votes.dtype == np.int64
    assert np.array_equal(read.votes, COUNTS)
    assert read.shares[:2].tolist() == [[0.75, 0.25], [0.0, 1.0]]
    add_human_labels(pets.directory, read)
    opened = open_image_set(pets.directory, verify=True)
    assert np.array_equal(opened.human_votes, COUNTS)
    assert opened.human is opened.human_votes
    assert opened.votes_meaning == "votes as they were counted"
    assert opened.sha256 == pets.sha256


def test_one_vote_for_each_image_may_as_well_be_a_share(pets):
    read = read_human_labels(pets, np.eye(2, dtype=np.int64)[[0, 1, 0, 1, 0, 1]])
    assert read.votes is None


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        (1, [0, 0]),
        (4, [3, -1]),
        (5, [10**9, 0]),
        (2, [1.5, 2]),
        (0, [np.nan, 2]),
        (3, [np.inf, 2]),
    ],
)
def test_counts_that_are_none_are_refused_by_their_row(pets, row, wrong):
    counts = COUNTS + np.ones(2)
    counts[row] = wrong
    assert refused_rows(pets, counts) == [row]


def test_one_wrong_row_of_shares_does_not_make_counts_of_the_others(pets):
    shares = np.eye(2)[[0, 1, 0, 1, 0, 1]]
    shares[2] = 0.5
    shares[4] = [1, 1]
    assert refused_rows(pets, shares) == [4]


def test_votes_that_were_changed_are_seen_when_the_set_is_verified(pets):
    add_human_labels(pets.directory, read_human_labels(pets, COUNTS))
    path = pets.directory / "human_votes.npy"
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"human_votes\.npy was changed"):
        open_image_set(pets.directory, verify=True)
    path.unlink()
    with pytest.raises(DataError, match=r"human_votes\.npy is missing"):
        open_image_set(pets.directory)


def test_every_row_gets_the_least_number_that_makes_its_shares_whole():
    shares = np.array([[31 / 50, 19 / 50], [0.5, 0.5], [13 / 53, 40 / 53], [1 / 3, 2 / 3]])
    votes, how = find_votes(shares, VoteRange(47, 63))
    assert votes.tolist() == [[31, 19], [24, 24], [13, 40], [16, 32]]
    assert "the least number from 47 to 63" in how
    assert "median" not in how


def test_counts_come_back_from_their_shares_wherever_only_one_number_fits():
    rng = np.random.default_rng(0)
    numbers = rng.integers(47, 64, 2000)
    counts = np.stack(
        [rng.multinomial(n, q) for n, q in zip(numbers, rng.dirichlet([0.3] * 10, 2000), strict=True)]
    )
    shares = counts / numbers[:, None]
    votes, _ = find_votes(shares, VoteRange(47, 63))
    assert np.allclose(votes / votes.sum(axis=1, keepdims=True), shares)
    assert (votes.sum(axis=1) <= numbers)[counts.max(axis=1) < numbers].all()
    # A prime number of votes on several classes fits no other number of the range.
    prime = np.isin(numbers, (47, 53, 59, 61)) & (counts.max(axis=1) < numbers)
    assert prime.sum() > 300
    assert np.array_equal(votes[prime], counts[prime])


def test_rows_of_one_class_take_the_median_of_the_others():
    shares = np.array([[1.0, 0.0], [1 / 47, 46 / 47], [10 / 53, 43 / 53], [30 / 61, 31 / 61], [0.0, 1.0]])
    votes, how = find_votes(shares, VoteRange(47, 63))
    assert votes.sum(axis=1).tolist() == [53, 47, 53, 61, 53]
    assert votes[[0, 4]].tolist() == [[53, 0], [0, 53]]
    assert "53 for the 2 images that all gave one class" in how


def test_rounding_to_a_ten_thousandth_of_a_vote_is_forgiven_and_more_is_not(pets):
    exact = np.tile([17 / 50, 33 / 50], (6, 1))
    near, far = exact.copy(), exact.copy()
    near[1] += [1e-6, -1e-6]
    far[1] += [4e-6, -4e-6]
    assert read_human_labels(pets, near, VoteRange(50, 50)).votes.tolist() == [[17, 33]] * 6
    assert refused_rows(pets, far, VoteRange(50, 50)) == [1]


def test_rows_that_no_number_of_votes_fits_are_named_with_what_they_hold(pets):
    shares = np.tile([0.25, 0.75], (6, 1))
    shares[[2, 5]] = [0.123, 0.877]
    with pytest.raises(
        Refused, match=r"row 2: no number of votes from 47 to 63 .*\[0.123, 0.877\]"
    ) as caught:
        read_human_labels(pets, shares, VoteRange(47, 63))
    assert [one["row"] for one in caught.value.errors] == [2, 5]


def test_where_all_say_the_same_about_everything_one_number_must_be_given(pets):
    shares = np.eye(2)[[0, 1, 0, 1, 0, 1]]
    with pytest.raises(DataError, match="give one number of votes, such as 50"):
        read_human_labels(pets, shares, VoteRange(47, 63))
    assert read_human_labels(pets, shares, VoteRange.parse("50")).votes.max() == 50


def test_counts_need_no_range(pets):
    with pytest.raises(DataError, match="counts of votes already"):
        read_human_labels(pets, COUNTS, VoteRange(1, 9))


@pytest.mark.parametrize("whole", [100, 1_000, 10_000])
def test_whole_numbers_that_may_be_percents_are_votes_only_where_that_is_said(pets, whole):
    tenths = np.array([[10, 0], [9, 1], [0, 10], [5, 5], [7, 3], [1, 9]]) * (whole // 10)
    with pytest.raises(DataError, match=rf"sums to {whole:,}.*--votes {whole}\).*divide them by {whole:,}"):
        read_human_labels(pets, tenths)
    read = read_human_labels(pets, tenths, VoteRange(whole, whole))
    assert np.array_equal(read.votes, tenths)
    assert read.how == "votes as they were counted"
    assert read_human_labels(pets, tenths / whole).votes is None
    with pytest.raises(DataError, match="counts of votes already"):
        read_human_labels(pets, tenths, VoteRange(47, whole))
    assert read_human_labels(pets, tenths + np.eye(6, 2, dtype=int)).votes is not None, "rows differ"
    assert read_human_labels(pets, tenths // (whole // 10)).votes.sum() == 60


def test_a_range_is_read_as_people_write_it():
    assert VoteRange.parse(" 47-63 ") == VoteRange.parse("47 – 63") == VoteRange(47, 63)
    assert VoteRange.parse("50") == VoteRange(50, 50)
    assert (str(VoteRange(47, 63)), str(VoteRange(50, 50))) == ("47 to 63", "50")
    for wrong in ("", "many", "47-", "-3", "63-47", "0-3", "5-10001", "4.5", "1-2-3", "٤٧"):
        with pytest.raises(DataError):
            VoteRange.parse(wrong)


def test_counts_are_added_to_their_shares_and_nothing_else_changes(pets):
    shares = COUNTS / COUNTS.sum(axis=1, keepdims=True)
    near = shares + np.outer(np.arange(6) * 1e-7, [1, -1])
    near[[1, 3]] = shares[[1, 3]]
    sha256 = add_human_labels(pets.directory, HumanLabels(near), meaning="as published")
    labelled = open_image_set(pets.directory)
    add_human_votes(pets.directory, read_human_labels(labelled, COUNTS))
    opened = open_image_set(pets.directory, verify=True)
    assert np.array_equal(opened.human_labels, near)
    assert np.array_equal(opened.human_votes, COUNTS)
    listed = manifest(pets)
    assert (listed["human_labels"]["sha256"], listed["human_labels"]["meaning"]) == (sha256, "as published")
    assert opened.sha256 == pets.sha256


def test_counts_of_other_labels_second_counts_and_labels_alone_are_not_added(pets):
    with pytest.raises(DataError, match="no human labels that counts could belong to"):
        add_human_votes(pets.directory, read_human_labels(pets, COUNTS))
    add_human_labels(pets.directory, read_human_labels(pets, COUNTS / COUNTS.sum(axis=1, keepdims=True)))
    other = COUNTS.copy()
    other[4] += [0, 1]
    before = (pets.directory / "manifest.json").read_bytes()
    for wrong, message in (
        (other, r"never replaced, and these are others: row 4 differs by 0\.0778 \(1 rows differ\)"),
        (COUNTS / COUNTS.sum(axis=1, keepdims=True), "already. Counts of their votes may still be added"),
    ):
        with pytest.raises(DataError, match=message):
            add_human_votes(pets.directory, read_human_labels(pets, wrong))
    assert (pets.directory / "manifest.json").read_bytes() == before
    assert not (pets.directory / "human_votes.npy").exists()
    add_human_votes(pets.directory, read_human_labels(pets, COUNTS))
    with pytest.raises(DataError, match="already, and counts of their votes"):
        add_human_votes(pets.directory, read_human_labels(pets, COUNTS))
    with pytest.raises(DataError, match="already, and counts of their votes"):
        add_human_votes(pets.directory, read_human_labels(pets, COUNTS * 2))


@pytest.mark.parametrize("cut_off_at", ["human_labels.npy", "human_votes.npy", "manifest.json"])
def test_an_import_that_is_cut_off_leaves_a_set_that_opens_and_takes_the_next(pets, monkeypatch, cut_off_at):
    replace = humanlabels.replace_file

    def cut(path: Path, data: bytes) -> None:
        if path.name == cut_off_at:
            path.with_name(f".{path.name}.partial").write_bytes(data[:10])
            raise KeyboardInterrupt
        replace(path, data)

    monkeypatch.setattr(humanlabels, "replace_file", cut)
    with pytest.raises(KeyboardInterrupt):
        add_human_labels(pets.directory, read_human_labels(pets, COUNTS))
    opened = open_image_set(pets.directory, verify=True)
    assert opened.human is None
    monkeypatch.undo()
    add_human_labels(pets.directory, read_human_labels(opened, COUNTS))
    assert np.array_equal(open_image_set(pets.directory, verify=True).human_votes, COUNTS)


def test_labels_without_votes_in_place_of_labels_with_votes_leave_none(pets):
    add_human_labels(pets.directory, read_human_labels(pets, COUNTS))
    add_human_labels(pets.directory, read_human_labels(pets, HALVES))
    assert open_image_set(pets.directory, verify=True).human_votes is None
    assert "human_votes" not in manifest(pets)
    assert not (pets.directory / "human_votes.npy").exists()
