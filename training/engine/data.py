"""Training images on the device: whole, as uint8, padded once; a batch is cropped and mirrored by one gather.

No data loader and no worker process: for images of this size indexing is faster than copying (as in
airbench). The gather gives [B, H, W, C], which seen as [B, C, H, W] is already in channels_last memory order.
`ReleaseDataset` is for training loops of other people, who may want a data loader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from hilmix.core.errors import DataError
from hilmix.core.imageset import ImageSet
from hilmix.core.release import Release, open_release
from hilmix.core.softlabels import DEFAULT_POLICY


@dataclass(frozen=True)
class TrainData:
    """What one arm is trained on and watched with.

    `images` uint8 [N, H, W, C]: the `n_parents` plain images first, then the mixed ones; `targets` float64
    [N, K] one distribution an image; `validation_images` uint8 [M, H, W, C] and `validation_labels` int64 [M]
    give the curves.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float64]
    n_parents: int
    validation_images: NDArray[np.uint8]
    validation_labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                f"training images must be uint8 [N, H, W, C]; got {self.images.dtype} {self.images.shape}"
            )
        if len(self.images) != len(self.targets):
            raise DataError(f"{len(self.images)} training images have {len(self.targets)} targets")
        if (
            self.targets.ndim != 2
            or np.abs(self.targets.sum(axis=1) - 1).max() > 1e-6
            or self.targets.min() < 0
        ):
            raise DataError("each training target must be a distribution over the classes")
        if self.validation_images.shape[1:] != self.images.shape[1:]:
            raise DataError(
                f"validation images are {self.validation_images.shape[1:]}, "
                f"training images {self.images.shape[1:]}"
            )

    @property
    def n_mixed(self) -> int:
        return len(self.images) - self.n_parents

    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel over the plain training images, in [0, 1]; no std below
        1/255.
        """
        plain = self.images[: self.n_parents] if self.n_parents else self.images
        pixels = plain.reshape(-1, plain.shape[-1])
        mean = pixels.mean(axis=0, dtype=np.float64) / 255
        std = np.maximum(pixels.std(axis=0, dtype=np.float64) / 255, 1 / 255)
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
        """Pixels float32 [B, C, H, W] in [0, 1], channels_last.

        `indices` int64 [B]; `shifts` int64 [B, 2] within 0..2·crop; `flips` bool [B] mirrors left and right.
        """
        columns = torch.where(flips[:, None], self.columns.flip(0), self.columns)
        rows = shifts[:, 0, None] + self.rows
        columns = shifts[:, 1, None] + columns
        pixels = self.padded[indices[:, None, None], rows[:, :, None], columns[:, None, :]]
        return to_pixels(pixels)


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
