"""Attacks on pixels: FGSM, PGD and the Square attack, each bounded by ε in the largest change of a pixel value.

The model takes pixels in [0, 1] and normalises inside itself (`training.engine.nets.Normalised`), so ε is in pixels
and not in normalised units. FGSM: Goodfellow et al. (ICLR 2015); PGD: Madry et al. (ICLR 2018); Square: Andriushchenko
et al. (ECCV 2020), which asks for no gradient, and so finds what hides behind one (Athalye et al., ICML 2018). The
model is afterwards as it was: modes, gradients and buffers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.stats import binom
from torch import Tensor, nn

from hilmix.core.errors import DataError
from training.engine.data import to_pixels
from training.evaluation.square import random_search

EPSILON, STEPS = 4 / 255, 10
QUERIES, SQUARE_IMAGES = 300, 500
_CHUNK = {"cuda": 500, "cpu": 64}


@dataclass(frozen=True)
class Attacked:
    """What an attack made of N images.

    `pixels` float32 [N, H, W, C] in [0, 1]; `logits` float64 [N, K] of them; `loss` float64 [N], cross-entropy in nats
    against the targets; `correct` bool [N], the most probable class is the label. `trajectory` is the mean loss before
    each step of PGD; `zero_gradients` the share of images whose first gradient is zero throughout (None where no
    gradient is asked for); `queries` int64 [N], how often Square asked the model.
    """

    name: str
    epsilon: float
    pixels: NDArray[np.float32]
    logits: NDArray[np.float64]
    loss: NDArray[np.float64]
    correct: NDArray[np.bool_]
    trajectory: tuple[float, ...] = ()
    zero_gradients: float | None = None
    queries: NDArray[np.int64] | None = None

    @property
    def accuracy(self) -> float:
        """Share of the attacked images that are still classified correctly, 0–1."""
        return float(self.correct.mean())

    @property
    def mean_loss(self) -> float:
        """Mean cross-entropy after the attack, nats an image."""
        return float(self.loss.mean())


def fgsm(
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    device: torch.device,
    targets: NDArray[np.float64] | None = None,
    epsilon: float = EPSILON,
) -> Attacked:
    """x′ = clip(x + ε·sign ∇ₓ CE(f(x), q), 0, 1), in one step.

    `images` uint8 [N, H, W, C]; `labels` int64 [N] decide what is correct; `targets` float64 [N, K] are the q of the
    loss where they are not one-hot. fp32, whatever the model was trained in.
    """

    def one_step(x: Tensor, q: Tensor, part: slice) -> tuple[Tensor, list[Tensor], Tensor]:
        _, gradient = _loss_and_gradient(model, x, q)
        return (x + epsilon * gradient.sign()).clamp(0, 1), [], _is_zero(gradient)

    return _by_gradient("fgsm", model, images, labels, targets, epsilon, device, one_step)


def pgd(
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    device: torch.device,
    targets: NDArray[np.float64] | None = None,
    epsilon: float = EPSILON,
    step: float | None = None,
    steps: int = STEPS,
    seed: int = 0,
) -> Attacked:
    """`steps` steps x ← clip(Π_ε(x + `step`·sign ∇ₓ CE)), from a start drawn uniformly in the ε-ball.

    Π_ε brings each value back to within ε of the image. Without a `step` it is ε/2: 2/255 at 4/255. Arguments as in
    `fgsm`; `trajectory[t]` is the mean loss before step t. The start of image i depends on `seed` and i, not on the
    batch or the device.
    """
    shape = (len(images), images.shape[3], *images.shape[1:3])
    step = epsilon / 2 if step is None else step
    start = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * (2 * epsilon) - epsilon

    def many_steps(x: Tensor, q: Tensor, part: slice) -> tuple[Tensor, list[Tensor], Tensor]:
        low, high = (x - epsilon).clamp(min=0), (x + epsilon).clamp(max=1)
        moved, losses, zero = (
            (x + start[part].to(device)).clamp(0, 1),
            [],
            torch.zeros(len(x), dtype=torch.bool),
        )
        for number in range(steps):
            loss, gradient = _loss_and_gradient(model, moved, q)
            losses.append(loss)
            zero = _is_zero(gradient) if number == 0 else zero
            moved = torch.minimum(torch.maximum(moved + step * gradient.sign(), low), high)
        return moved, losses, zero

    return _by_gradient("pgd", model, images, labels, targets, epsilon, device, many_steps)


def square(
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    device: torch.device,
    targets: NDArray[np.float64] | None = None,
    epsilon: float = EPSILON,
    queries: int = QUERIES,
    seed: int = 0,
) -> Attacked:
    """Random search over squares set to x ± ε, kept when the margin f_y − max_{k≠y} f_k falls; no gradient.

    Algorithms 1 and 2 of the paper: it begins with vertical stripes ± ε, one pixel wide; the square's area falls by
    the paper's schedule, rescaled to `queries` an image, the stripes' query among them. An image that is no longer
    classified correctly is left alone. Arguments as in `fgsm`; `targets` change the reported loss only.
    """
    _check(images, labels, targets, epsilon)
    if queries < 1:
        raise DataError("the Square attack needs at least one query an image")
    with _attacked(model):
        x = to_pixels(torch.from_numpy(np.ascontiguousarray(images)).to(device))
        y = torch.from_numpy(labels).to(device)
        best, asked = random_search(
            lambda some, label: _margin(model, some, label),
            x,
            y,
            epsilon,
            queries,
            np.random.default_rng(seed),
        )
        return _judged("square", model, best, labels, targets, epsilon, queries=asked.cpu().numpy())


@dataclass(frozen=True)
class MaskedGradients:
    """Whether gradients hide the model's weakness, and the sentences that say why."""

    masked: bool
    reasons: tuple[str, ...]


def masked_gradients(fgsm: Attacked, pgd: Attacked, square: Attacked) -> MaskedGradients:
    """The signs of Athalye et al. (2018, section 3.1) on one set of images, attacked in all three ways.

    Masked where Square, which sees no gradient, breaks images that PGD does not (exact one-sided McNemar test, 5 %),
    where one step does better than ten (likewise), or where more than 5 % of the images have no gradient at all.
    """
    if not len(fgsm.correct) == len(pgd.correct) == len(square.correct):
        raise DataError("a verdict on masked gradients needs the same images under all three attacks")
    reasons = []
    for better, name in ((square, "Square, which uses no gradient,"), (fgsm, "FGSM, a single step,")):
        alone = int((pgd.correct & ~better.correct).sum())
        other = int((better.correct & ~pgd.correct).sum())
        if _sign_test(alone, other) < 0.05:
            reasons.append(
                f"{name} breaks {alone} images that PGD does not, and PGD {other} that it does not."
            )
    if pgd.zero_gradients is not None and pgd.zero_gradients > 0.05:
        reasons.append(f"The gradient is zero throughout on {pgd.zero_gradients:.0%} of the images.")
    return MaskedGradients(bool(reasons), tuple(reasons))


def _by_gradient(
    name: str,
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    targets: NDArray[np.float64] | None,
    epsilon: float,
    device: torch.device,
    attack: Callable[[Tensor, Tensor, slice], tuple[Tensor, list[Tensor], Tensor]],
) -> Attacked:
    """Run `attack(pixels, targets, part)`, which gives moved pixels, losses before each step, and zero gradients."""
    _check(images, labels, targets, epsilon)
    q = torch.from_numpy(labels if targets is None else np.asarray(targets, dtype=np.float64))
    moved, losses, zeros = [], [], []
    size = _CHUNK.get(device.type, 500)
    with _attacked(model):
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            x = to_pixels(torch.from_numpy(np.ascontiguousarray(images[part])).to(device))
            one, before, zero = attack(x, q[part].to(device), part)
            moved.append(one)
            losses.append(torch.stack(before) if before else torch.empty(0, len(x)))
            zeros.append(zero.cpu())
        trajectory = torch.cat(losses, dim=1).double().mean(dim=1).tolist()
        return _judged(
            name,
            model,
            torch.cat(moved),
            labels,
            targets,
            epsilon,
            trajectory=tuple(trajectory),
            zero_gradients=float(torch.cat(zeros).double().mean()),
        )


def _margin(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """f_y − max_{k≠y} f_k, float64 [N]; not positive where the label is not the single most probable class."""
    logits = _logits(model, x)
    own = logits.gather(1, y[:, None]).squeeze(1)
    return own - logits.scatter(1, y[:, None], -torch.inf).amax(dim=1)


def _logits(model: nn.Module, x: Tensor) -> Tensor:
    """float64 [N, K], in pieces, without a gradient."""
    size = _CHUNK.get(x.device.type, 500)
    with torch.no_grad():
        return torch.cat([model(part).double() for part in x.split(size)])


def _loss_and_gradient(model: nn.Module, x: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy float64 [N] against `q`, and for each image its gradient by the pixels, up to a positive factor."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        logits = model(x)
    wide = logits.detach().double()
    (gradient,) = torch.autograd.grad(logits, x, _direction(wide, q).to(logits.dtype))
    return F.cross_entropy(wide, q, reduction="none").cpu(), gradient


def _direction(logits: Tensor, q: Tensor) -> Tensor:
    """∂CE/∂z = softmax(z) − q, each row scaled to a largest entry of about 1: [N, K].

    The attacks look at signs alone. Unscaled, the gradient of a very certain model is less than float32 can hold, and
    would be taken for zero.
    """
    if q.ndim == 1:  # divided by 1 − p_y: the softmax over the other classes, and −1 at the label
        others = logits.scatter(1, q[:, None], -torch.inf).softmax(dim=1)
        return others.scatter(1, q[:, None], -1.0)
    gap = logits.softmax(dim=1) - q
    return gap / gap.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(gap.dtype).tiny)


def _is_zero(gradient: Tensor) -> Tensor:
    return (gradient == 0).flatten(1).all(dim=1)


def _judged(
    name: str,
    model: nn.Module,
    x: Tensor,
    labels: NDArray[np.int64],
    targets: NDArray[np.float64] | None,
    epsilon: float,
    *,
    trajectory: tuple[float, ...] = (),
    zero_gradients: float | None = None,
    queries: NDArray[np.int64] | None = None,
) -> Attacked:
    logits = _logits(model, x).cpu()
    q = torch.from_numpy(labels if targets is None else np.asarray(targets, dtype=np.float64))
    return Attacked(
        name=name,
        epsilon=epsilon,
        pixels=x.permute(0, 2, 3, 1).cpu().numpy(),
        logits=logits.numpy(),
        loss=F.cross_entropy(logits, q, reduction="none").numpy(),
        correct=logits.numpy().argmax(axis=1) == labels,
        trajectory=trajectory,
        zero_gradients=zero_gradients,
        queries=queries,
    )


@contextlib.contextmanager
def _attacked(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, no gradient for its weights, deterministic full-precision convolutions on CUDA;
    all of it as before afterwards.
    """
    modes = [(part, part.training) for part in model.modules()]
    asking = [weight for weight in model.parameters() if weight.requires_grad]
    model.eval()
    for weight in asking:
        weight.requires_grad_(False)
    cudnn: Any = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    # Not `cudnn.flags`: torch refuses its allow_tf32 where somebody set the precision of one kind of kernel alone.
    precisions = [(kind, kind.fp32_precision) for kind in (cudnn.conv, cudnn.rnn)]
    cudnn.deterministic, cudnn.benchmark = True, False
    for kind, _ in precisions:
        kind.fp32_precision = "ieee"
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
        for kind, precision in precisions:
            kind.fp32_precision = precision
        for weight in asking:
            weight.requires_grad_(True)
        for part, mode in modes:
            part.training = mode


def _check(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    targets: NDArray[np.float64] | None,
    epsilon: float,
) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise DataError(
            f"an attack needs uint8 images [N, H, W, C], at least one; got {images.dtype} {list(images.shape)}"
        )
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"there must be one class number for each of the {len(images)} images that are attacked"
        )
    if targets is not None and (targets.ndim != 2 or len(targets) != len(images)):
        raise DataError(
            f"there must be one distribution for each of the {len(images)} images that are attacked"
        )
    if not 0 <= epsilon <= 1:
        raise DataError(f"ε is a share of the range of a pixel, 0 to 1; got {epsilon:g}")


def _sign_test(wins: int, losses: int) -> float:
    """P(at least `wins` heads in wins + losses fair throws)."""
    n = wins + losses
    return float(binom.sf(wins - 1, n, 0.5)) if n else 1.0
