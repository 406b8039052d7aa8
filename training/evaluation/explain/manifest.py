"""How an explanation was made, and the scaling that all heat maps share. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Manifest:
    """What a reader needs beside the arrays: method, definition, source, settings, cautions, library versions."""

    method: str
    definition: str
    source: str
    settings: dict[str, str | int | float]
    cautions: tuple[str, ...] = ()
    libraries: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The manifest as JSON takes it."""
        return {**asdict(self), "cautions": list(self.cautions)}


@dataclass(frozen=True)
class HeatMaps:
    """Heat maps of N images, M an image.

    `values` float32 [N, M, H, W] in [0, 1] at the size of the images: each map divided by its own maximum over
    the cells, then drawn larger (bilinear). `raw_maximum` float64 [N, M] is that maximum: two maps that look
    alike may stand for much evidence and for none, and a map of maximum 0 is empty. `cells` is the height and width
    of the maps as computed.
    """

    values: NDArray[np.float32]
    raw_maximum: NDArray[np.float64]
    cells: tuple[int, int]
    manifest: Manifest


def scaled(raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Maps [..., h, w] ≥ 0 divided by their maxima, and the maxima [...].

    Nothing is subtracted and an empty map stays empty: scaled from minimum to maximum, as is widely done, a map
    without evidence looks as strong as any other.
    """
    maximum = raw.max(axis=(-2, -1))
    safe = np.where(maximum > 0, maximum, 1.0)
    return raw / safe[..., None, None], maximum


def libraries(*names: str) -> dict[str, str]:
    """The installed versions of the named packages."""
    return {name: version(name) for name in names}
