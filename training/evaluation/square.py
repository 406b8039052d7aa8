"""The search of the Square attack: Andriushchenko et al. (ECCV 2020), Algorithms 1 and 2, for ℓ∞ balls.

It sees the model's margins and no gradient. `training.evaluation.attacks.square` is what to call.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

# Of the picture, covered by the first square: the paper's p. It takes 0.05 to 0.8; of 0.05, 0.3 and 0.8 the last broke
# most images of a resnet20 in 300 queries.
_SHARE = 0.8
# Of 10,000 iterations: there the square's area halves.
_HALVINGS = (10, 50, 200, 1000, 2000, 4000, 6000, 8000)


def random_search(
    margin_of: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    epsilon: float,
    queries: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """The pictures that the search ends with [N, C, H, W], and how often it asked about each, int64 [N].

    `x` float32 [N, C, H, W] in [0, 1], `y` int64 [N]; `margin_of(x, y)` asks the model: f_y − max_{k≠y} f_k, [N], not
    positive where it is fooled. The look at the pictures as they are is not counted among the `queries`.
    """
    n, channels, height, width = x.shape
    best = x.clone()
    asked = torch.zeros(n, dtype=torch.int64, device=x.device)
    lowest = margin_of(x, y)
    for number in range(queries):
        # Drawn for every image, active or not, so that one image's fate changes no other's numbers.
        if number == 0:
            change = _signs(rng, (n, channels, 1, width), x.device).expand(x.shape)
            inside = torch.ones(n, 1, 1, 1, dtype=torch.bool, device=x.device)
        else:
            side = _side(number, queries, height, width)
            change = _signs(rng, (n, channels, 1, 1), x.device)
            inside = _squares(rng, n, side, height, width, x.device)
        active = (lowest > 0).nonzero().squeeze(1)
        if not len(active):
            break
        tried = torch.where(inside[active], (x[active] + epsilon * change[active]).clamp(0, 1), best[active])
        margin = margin_of(tried, y[active])
        asked[active] += 1
        # The stripes are where the search starts from, better or not.
        kept = (margin < lowest[active]) | (number == 0)
        best[active[kept]] = tried[kept]
        lowest[active[kept]] = margin[kept]
    return best, asked


def _side(number: int, queries: int, height: int, width: int) -> int:
    """Side of the square of query `number`: √(p·H·W), p halved along the schedule rescaled to `queries`."""
    halved = sum(number * 10_000 > at * queries for at in _HALVINGS)
    return max(1, min(round((_SHARE / 2**halved * height * width) ** 0.5), height - 1, width - 1))


def _squares(
    rng: np.random.Generator, n: int, side: int, height: int, width: int, device: torch.device
) -> Tensor:
    """Bool [n, 1, H, W]: one square of `side` anywhere in each picture."""
    top = torch.from_numpy(rng.integers(0, height - side + 1, n)).to(device)[:, None]
    left = torch.from_numpy(rng.integers(0, width - side + 1, n)).to(device)[:, None]
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    tall = (rows >= top) & (rows < top + side)
    wide = (columns >= left) & (columns < left + side)
    return (tall[:, :, None] & wide[:, None, :])[:, None]


def _signs(rng: np.random.Generator, shape: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.from_numpy(rng.integers(0, 2, shape).astype(np.float32) * 2 - 1).to(device)
