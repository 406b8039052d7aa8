"""Training images on the device: whole, as uint8, padded once; a batch is cropped and mirrored by one gather.

No data loader and no worker process: for images of this size indexing is faster than copying (as in
airbench). The gather gives [B, H, W, C], which seen as [B, C, H, W] is already in channels_last memory order.
`ReleaseDataset` is for training loops of other people, who may want a data loader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from hilmix.core.errors import DataError
from hilmix.core.features import features_of
from hilmix.core.imageset import ImageSet
from hilmix.core.release import Release, open_release
from hilmix.core.softlabels import DEFAULT_POLICY, PerceptualMixup
from training.engine.plan import Budget

_BLOCK = 1024  # images


@dataclass(frozen=True, eq=False)
class Perceived:
    """What people see in mixtures that nobody was shown: a curve of λ alone (λ in ten-thousandths ascending,
    int64 [levels], and the share seen, float64 [levels]) and a warp of λ and both images. Either may be missing.
    """

    curve: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
    warp: PerceptualMixup | None = None

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """All its numbers, to be hashed."""
        warp = [] if self.warp is None else [self.warp.curve, self.warp.by_feature, self.warp.scale]
        return [*(self.curve or ()), *warp]

    @classmethod
    def of(cls, curve: Mapping[str, float] | None = None, warp: Mapping[str, Any] | None = None) -> Perceived:
        """From what a release's manifest says: the parameter `curve` of `population_curve` (λ in ten-thousandths to
        share), and the parameters of `perceptual_warp`."""
        levels = sorted((int(level), share) for level, share in (curve or {}).items())
        shown, shares = (np.array(column) for column in zip(*levels, strict=True)) if levels else (None, None)
        return cls(
            None if shown is None or shares is None else (shown, shares.astype(np.float64)),
            None if warp is None else PerceptualMixup.of(warp),
        )


@dataclass(frozen=True)
class TrainData:
    """What one arm is trained on and watched with.

    `images` uint8 [N, H, W, C]: the `n_parents` plain images first, then the mixed ones; `targets` float64
    [N, K] one distribution an image; `validation_images` uint8 [M, H, W, C] and `validation_labels` int64 [M]
    give the curves. `slots` int64 [N] says which image of the experiment's budget each one is (`plan.Budget`);
    None where the arm has as many as the budget, or lacks the last of its plain or mixed ones. At the places of mixed
    images that it lacks, others of its own stand in; plain ones with `plain_for_mixed`, so that it has fewer of them in
    a batch. `perceived` labels mixtures made on the fly.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float64]
    n_parents: int
    validation_images: NDArray[np.uint8]
    validation_labels: NDArray[np.int64]
    slots: NDArray[np.int64] | None = None
    perceived: Perceived | None = None
    plain_for_mixed: bool = False

    def __post_init__(self) -> None:
        _check_images("training", self.images)
        _check_images("validation", self.validation_images)
        if self.validation_images.shape[1:] != self.images.shape[1:]:
            raise DataError(
                f"validation images are {self.validation_images.shape[1:]}, "
                f"training images {self.images.shape[1:]}"
            )
        if not 0 <= self.n_parents <= len(self.images):
            raise DataError(f"{self.n_parents} of {len(self.images)} training images cannot be plain ones")
        self._check_targets()
        self._check_labels()

    def _check_targets(self) -> None:
        targets = self.targets
        if len(self.images) != len(targets):
            raise DataError(f"{len(self.images)} training images have {len(targets)} targets")
        # Asked so that NaN, of which no comparison is true, is refused too.
        if targets.ndim != 2 or not ((targets >= 0).all() and (abs(targets.sum(axis=1) - 1) <= 1e-6).all()):
            raise DataError("each training target must be a distribution over the classes, without NaN")

    def _check_labels(self) -> None:
        labels, n, n_classes = self.validation_labels, len(self.validation_images), self.targets.shape[1]
        if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (n,):
            raise DataError(
                f"the {n} validation images need {n} whole numbers as validation labels; "
                f"got {labels.dtype} {labels.shape}"
            )
        if labels.min() < 0 or labels.max() >= n_classes:
            raise DataError(
                f"validation labels are from {labels.min()} to {labels.max()}; with targets over {n_classes} classes "
                f"they must be from 0 to {n_classes - 1}"
            )

    @property
    def n_mixed(self) -> int:
        return len(self.images) - self.n_parents

    @cached_property
    def features(self) -> NDArray[np.float64]:
        """The pixel features of the plain images, float64 [n_parents, 4]: computed once, for the warp."""
        return features_of(self.images[: self.n_parents])

    def slots_in(self, budget: Budget) -> NDArray[np.int64]:
        """Which image of `budget` each training image is, int64 [N]. Raises DataError where that cannot be."""
        plain, mixed = np.arange(self.n_parents), budget.n_parents + np.arange(self.n_mixed)
        slots = np.concatenate([plain, mixed]) if self.slots is None else self.slots
        kinds = slots[: self.n_parents] < budget.n_parents, slots[self.n_parents :] >= budget.n_parents
        fits = len(slots) == len(self.images) and len(np.unique(slots)) == len(slots)
        inside = len(slots) > 0 and slots.min() >= 0 and slots.max() < budget.n
        if not (fits and inside and all(kind.all() for kind in kinds)):
            raise DataError(
                f"{self.n_parents} plain and {self.n_mixed} mixed training images do not fit in a budget of "
                f"{budget.n_parents} and {budget.n_mixed}: each must have a slot of its own, of its kind"
            )
        return slots

    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the plain training images, in [0, 1]; no std below
        1/255.

        Arms of one budget normalise alike where they have the same plain images, as those of an experiment do; one
        with fewer of them has statistics of its own.
        """
        plain = self.images[: self.n_parents] if self.n_parents else self.images
        # Counted by value, some images at a time: as floats they would take eight times their memory.
        counts = np.zeros((plain.shape[-1], 256))
        for start in range(0, len(plain), _BLOCK):
            for channel, pixels in enumerate(np.moveaxis(plain[start : start + _BLOCK], -1, 0)):
                counts[channel] += np.bincount(pixels.ravel(), minlength=256)
        shares, levels = counts / counts.sum(axis=1, keepdims=True), np.arange(256) / 255
        mean = shares @ levels
        std = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(axis=1))
        std = np.maximum(std, 1 / 255)
        return torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)


class DeviceImages:
    """Images resident on `device`, ready to be cropped: padded by `crop` reflected pixels on every side."""

    def __init__(self, images: NDArray[np.uint8], *, crop: int, device: torch.device) -> None:
        _, self.height, self.width, _ = images.shape
        if crop >= min(self.height, self.width):
            raise DataError(f"a crop of {crop} pixels is too much for images of {self.height}×{self.width}")
        border = ((0, 0), (crop, crop), (crop, crop), (0, 0))
        self.padded = torch.from_numpy(np.pad(images, border, mode="reflect")).to(device)
        self.rows = torch.arange(self.height, device=device)
        self.columns = torch.arange(self.width, device=device)

    def batch(self, indices: Tensor, shifts: Tensor, flips: Tensor) -> Tensor:
        """The pictures uint8 [B, H, W, C], cropped and mirrored.

        `indices` int64 [B]; `shifts` int64 [B, 2] within 0..2·crop; `flips` bool [B] mirrors left and right.
        """
        columns = torch.where(flips[:, None], self.columns.flip(0), self.columns)
        rows = shifts[:, 0, None] + self.rows
        columns = shifts[:, 1, None] + columns
        return self.padded[indices[:, None, None], rows[:, :, None], columns[:, None, :]]


def _check_images(which: str, images: NDArray[np.uint8]) -> None:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(f"{which} images must be uint8 [N, H, W, C]; got {images.dtype} {images.shape}")
    if not images.size:
        raise DataError(f"there are no {which} images; at least one is needed")


def to_pixels(images: Tensor) -> Tensor:
    """uint8 [B, H, W, C] as float32 [B, C, H, W] in [0, 1]; the memory stays in channels_last order."""
    return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last) / 255


class ReleaseDataset(Dataset[tuple[Tensor, Tensor]]):
    """The mixed images of a release with the soft labels of one policy, as a torch `Dataset`.

    An item is a picture, float32 [C, H, W] in [0, 1], and its label, float32 [K], which sums to 1 and which
    `torch.nn.functional.cross_entropy` takes as it is. Items are in the order of the table `mixed_images`.
    """

    def __init__(
        self,
        release: Release | Path | str,
        policy: str = DEFAULT_POLICY,
        condition: str | None = None,
        image_set: ImageSet | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Read all pictures, as uint8, and all labels.

        Args:
            release: open, or the folder that it is in.
            policy: a label policy, such as `human_lambda(statistic=median)`; labels that the release does not hold
                are made of its answers.
            condition: whose answers, where people were asked in several ways.
            image_set: what the parents are from; needed only by a release that holds recipes in place of pictures.
            transform: changes a picture each time it is taken.

        Raises DataError naming what is wrong with the release, or what it has in place of what was asked for.
        """
        self.release = release if isinstance(release, Release) else open_release(release)
        self.images = torch.from_numpy(self.release.images(image_set))
        self.labels = torch.from_numpy(self.release.labels(policy, condition)).to(torch.float32)
        self.transform = transform

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of a label's numbers."""
        return self.release.classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every picture, as `training.engine.nets.build_net` takes them."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture = to_pixels(self.images[index][None])[0]
        return picture if self.transform is None else self.transform(picture), self.labels[index]
