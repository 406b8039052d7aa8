"""Human labels of an image set: what people said about each parent image, as shares and, where known, as counts.

Shares, float64 [N, K] with rows summing to 1, are what is learnt from and judged by. Counts of votes, int64 [N, K], say
besides how many people each row stands for. Both lie beside the images, neither is covered by the image set's name.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hilmix.core.errors import DataError, Refused, RowError
from hilmix.core.files import MANIFEST, describe_file, read_manifest, replace_file
from hilmix.core.imageset import FORMAT, HUMAN_LABELS, HUMAN_VOTES, Floats, ImageSet, open_image_set
from hilmix.core.loaders import Ints

MOST_VOTES = 1_000_000_000  # on one image: numpy splits no more into halves
MOST_SOUGHT = 10_000  # the largest number of votes that shares are tried with
NEAR = 1e-4  # of a vote: what rounding may have done to a share
ROUND = (100, 1_000, 10_000)  # what shares written as whole numbers sum to
SAME = 1e-6  # between shares that are the same
AS_GIVEN = "votes as they were counted"


@dataclass(frozen=True)
class VoteRange:
    """How many people said something about an image: at least and at most. Raises DataError for a range of none."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most <= MOST_SOUGHT:
            raise DataError(
                f"{self.least}-{self.most} is no range of votes an image: from 1 to {MOST_SOUGHT:,}, the least first."
            )

    @classmethod
    def parse(cls, text: str) -> VoteRange:
        """`47-63`, or `50` where every image has as many."""
        found = re.fullmatch(r"\s*([0-9]{1,9})\s*(?:[-–]\s*([0-9]{1,9})\s*)?", text)
        if not found:
            raise DataError(
                f"{text!r} does not say how many votes an image has; write 47-63, or 50 for every image."
            )
        return cls(int(found[1]), int(found[2] or found[1]))

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


@dataclass(frozen=True, eq=False)
class HumanLabels:
    """What was read: `shares` float64 [N, K], `votes` int64 [N, K] or None, and `how` these counts are known."""

    shares: Floats
    votes: Ints | None = None
    how: str = ""


def read_human_labels(
    image_set: ImageSet, array: npt.ArrayLike, votes: VoteRange | None = None
) -> HumanLabels:
    """The human labels of an image set, from shares or from counts of votes [N, K].

    Whole numbers of which a row sums to more than 1 are counts, with at least one vote an image. With `votes`, `array`
    are shares that came from so many votes an image, and the counts are found (`find_votes`). Whole numbers whose rows
    all sum to 100, to 1,000 and so on may as well be percents: they are counts where `votes` is that one number.

    Raises DataError for another shape, for what may be percents, or for counts with other `votes`, and `Refused` naming
    every row that is wrong.
    """
    try:
        values = np.asarray(array)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"The human labels are no array ({error}).") from None
    if values.dtype.kind not in "biuf":
        raise DataError(f"The human labels are not numbers but {values.dtype}.")
    labels = values.astype(np.float64)
    shape = (len(image_set), len(image_set.classes))
    if labels.shape != shape:
        wanted = f"{shape[0]} images × {shape[1]} classes"
        raise DataError(f"The human labels have shape {list(labels.shape)}; {wanted} are needed.")
    if _are_counts(labels):
        counts = _checked_counts(labels)
        _check_meant(counts, votes)
        return HumanLabels(counts / counts.sum(axis=1, keepdims=True), counts, AS_GIVEN)
    # "not (… >= 0)" also catches NaN.
    wrong = ~(labels >= 0).all(axis=1) | ~(np.abs(labels.sum(axis=1) - 1) < 1e-6)
    _refuse(labels, wrong, "no distribution (≥ 0, sum 1)")
    return HumanLabels(labels, *find_votes(labels, votes)) if votes else HumanLabels(labels)


def _are_counts(labels: Floats) -> bool:
    """Whether these are votes: all whole with a row of more than one, or most rows so, and the others wrong."""
    whole = (labels == np.rint(labels)).all(axis=1)
    several = whole & (labels.sum(axis=1) > 1)
    return bool((whole.all() and several.any()) or several.mean() > 0.5)


def _check_meant(counts: Ints, votes: VoteRange | None) -> None:
    """Raise DataError where whole numbers may be percents, unless `votes` says how many votes each row is of."""
    sums = counts.sum(axis=1)
    each = int(sums[0])
    if (sums != each).any() or each not in ROUND:
        each = 0
    if votes is not None and votes != (VoteRange(each, each) if each else None):
        raise DataError("The human labels are counts of votes already; leave out how many votes they have.")
    if each and votes is None:
        raise DataError(
            f"Every row of the human labels sums to {each:,}, so these are votes, or shares in parts of {each:,} "
            f"(percents are parts of 100). If {each:,} people answered each image, say so (--votes {each}); if "
            f"these are shares, divide them by {each:,}."
        )


def _checked_counts(labels: Floats) -> Ints:
    sums = labels.sum(axis=1)
    whole = (labels == np.rint(labels)).all(axis=1)
    wrong = ~whole | ~(labels >= 0).all(axis=1) | ~((sums >= 1) & (sums < MOST_VOTES))
    _refuse(labels, wrong, f"no counts of votes (whole, ≥ 0, 1 to {MOST_VOTES - 1:,} votes in all)")
    return labels.astype(np.int64)


def find_votes(shares: Floats, votes: VoteRange) -> tuple[Ints, str]:
    """The counts [N, K] that shares [N, K] came from, and how they were found.

    For each row the least number of votes in the range that makes every share a whole number of votes, within `NEAR`
    of one. A row of one class fits any number and takes the median of the others.

    Raises `Refused` naming every row that no number fits; DataError where all rows are of one class and the range has
    several numbers.
    """
    numbers = np.zeros(len(shares), np.int64)
    one_class = (1 - shares.max(axis=1)) * votes.most <= NEAR
    left = np.flatnonzero(~one_class)
    for n in range(votes.least, votes.most + 1):
        sought = shares[left] * n
        whole = np.rint(sought)
        fits = (np.abs(sought - whole).max(axis=1, initial=0) <= NEAR) & (whole.sum(axis=1) == n)
        numbers[left[fits]] = n
        left = left[~fits]
    _refuse(shares, (numbers == 0) & ~one_class, f"no number of votes from {votes} makes every share whole")
    how = (
        f"votes found from the shares: the least number from {votes} that makes every share of an image whole"
    )
    if one_class.any():
        if one_class.all() and votes.least < votes.most:
            raise DataError(
                "All said the same about every image, so shares do not tell how many they were; give one number "
                "of votes, such as 50."
            )
        usual = votes.least if one_class.all() else round(float(np.median(numbers[~one_class])))
        numbers[one_class] = usual
        how += f"; {usual} for the {one_class.sum():,} images that all gave one class, which any number fits"
    return np.rint(shares * numbers[:, None]).astype(np.int64), how


def _refuse(labels: Floats, wrong: npt.NDArray[np.bool_], problem: str) -> None:
    """Name every wrong row."""
    errors: list[RowError] = [
        {
            "table": "human labels",
            "row": int(row),
            "column": "",
            "problem": f"{problem}: {labels[row].tolist()}.",
        }
        for row in np.flatnonzero(wrong)
    ]
    if errors:
        raise Refused(errors)


def add_human_labels(directory: Path | str, given: HumanLabels, meaning: str = "human soft labels") -> str:
    """Add what `read_human_labels` read, in place of what there was, and return the sha256 of the shares.

    The image set keeps its sha256.
    """
    directory = Path(directory)
    entries: dict[str, Any] = {
        "human_labels": {**_write(directory / HUMAN_LABELS, given.shares), "meaning": meaning},
        "human_votes": None,
    }
    if given.votes is not None:
        entries["human_votes"] = {**_write(directory / HUMAN_VOTES, given.votes), "meaning": given.how}
    _list(directory, entries)
    if given.votes is None:
        (directory / HUMAN_VOTES).unlink(missing_ok=True)
    return str(entries["human_labels"]["sha256"])


def add_human_votes(directory: Path | str, given: HumanLabels) -> None:
    """Add counts to the human labels that an image set has; these stay as they are. Raises as `check_only_votes`."""
    image_set = open_image_set(directory)
    check_only_votes(image_set, given)
    assert given.votes is not None
    entry = {**_write(image_set.directory / HUMAN_VOTES, given.votes), "meaning": given.how}
    _list(image_set.directory, {"human_votes": entry})


def check_only_votes(image_set: ImageSet, given: HumanLabels) -> None:
    """Raise DataError unless `given` is the image set's human labels, within `SAME`, with the counts they lack."""
    if image_set.human_labels is None:
        raise DataError(f"Image set {image_set.name!r} has no human labels that counts could belong to.")
    off = np.abs(given.shares - image_set.human_labels).max(axis=1)
    if len(other := np.flatnonzero(off > SAME)):
        raise DataError(
            f"Image set {image_set.name!r} has human labels already; they are never replaced, and these are others: "
            f"row {other[0]} differs by {off[other[0]]:.3g} ({len(other):,} rows differ)."
        )
    if given.votes is None:
        raise DataError(
            f"Image set {image_set.name!r} has these human labels already. Counts of their votes may still be added: "
            "give those, or say how many votes an image has."
        )
    if image_set.human_votes is not None:
        raise DataError(
            f"Image set {image_set.name!r} has these human labels already, and counts of their votes; they are never "
            "replaced."
        )


def _write(path: Path, array: npt.NDArray[Any]) -> dict[str, Any]:
    """Write an array and return its entry in the manifest."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    replace_file(path, buffer.getvalue())
    return describe_file(path)


def _list(directory: Path, entries: dict[str, Any]) -> None:
    """Change entries of the manifest; None takes one out."""
    manifest = read_manifest(directory, (FORMAT,), "an image set") | entries
    kept = {key: value for key, value in manifest.items() if value is not None}
    text = json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    replace_file(directory / MANIFEST, text.encode())
