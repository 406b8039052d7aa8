"""Class activation maps: which part of an image spoke for a class.

Grad-CAM (Selvaraju et al., ICCV 2017): ReLU(Σ_k w_k A^k), where A^k are the maps of one layer and w_k is the mean
over the map of ∂y/∂A^k. Grad-CAM++ (Chattopadhyay et al., WACV 2018, equations 10 and 19): w_k = Σ_ij α_ij ·
max(g_ij, 0) with g = ∂y/∂A^k and α = g² / (2g² + ΣA^k · g³ + 10⁻⁶). y is the logit of the class: behind a softmax a
class could gain by what speaks against the others, and a sure model would have no gradient left. The layer is
chosen by `training.engine.net_table.cam_layer`, so that its map is not a single cell. torchcam does the hooking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchcam.methods import GradCAM, GradCAMpp

from hilmix.core.errors import DataError
from training.engine.net_table import NET_TABLE, CamLayer, cam_layer
from training.engine.nets import Normalised, build_net, head_of
from training.evaluation.explain.drawing import chunks, drawn_larger, evaluating
from training.evaluation.explain.manifest import HeatMaps, Manifest, libraries, scaled


class _GradCAMpp(GradCAMpp):
    """torchcam's, with α divided: version 0.5.0 divides a copy of it, so that its α is g² alone."""

    def _get_weights(
        self, class_idx: int | list[int], scores: Tensor, eps: float = 1e-6, **kwargs: Any
    ) -> list[Tensor]:
        self._backprop(scores, class_idx, **kwargs)
        weights = []
        for maps, gradients in zip(self.hook_a, self.hook_g, strict=True):
            assert maps is not None
            assert gradients is not None
            g = gradients.double()
            total = maps.double().sum(dim=(2, 3), keepdim=True)
            alpha = torch.where(g != 0, g**2 / (2 * g**2 + total * g**3 + eps), 0.0)
            weights.append((alpha * g.clamp(min=0)).sum(dim=(2, 3)))
        return weights


_METHODS: dict[str, tuple[type[GradCAM | GradCAMpp], str, str]] = {
    "grad_cam": (
        GradCAM,
        "ReLU(Σ_k w_k A^k), w_k the mean over the map of ∂(logit)/∂A^k",
        "Selvaraju et al., ICCV 2017",
    ),
    "grad_cam_plus_plus": (
        _GradCAMpp,
        "ReLU(Σ_k w_k A^k), w_k = Σ α max(g, 0), α = g² / (2g² + ΣA^k g³ + 1e-6), g = ∂(logit)/∂A^k",
        "Chattopadhyay et al., WACV 2018, equation 19",
    ),
}


@dataclass(frozen=True)
class ClassMaps(HeatMaps):
    """Heat maps of classes: `classes` int64 [N, M] says of which, `logits` float64 [N, M] what the model gave them."""

    classes: NDArray[np.int64]
    logits: NDArray[np.float64]


@dataclass(frozen=True)
class MixedMaps:
    """Mixed images with the maps of both classes, beside both parents.

    `mixed` uint8 [N, H, W, C]; `parents` uint8 [N, 2, H, W, C], the first parent first; `maps` has the maps of the
    first parent's class and of the second's on the mixed image (M = 2): which part pulled the model to which end.
    """

    mixed: NDArray[np.uint8]
    parents: NDArray[np.uint8]
    maps: ClassMaps


def class_maps(
    model: Normalised,
    net: str,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    *,
    device: torch.device,
    method: str = "grad_cam",
) -> ClassMaps:
    """Where in each image the model sees each of some classes.

    Args:
        model: on `device`; its weights, gradients and modes are afterwards as before.
        net: its name in the table of nets.
        images: uint8 [N, H, W, C].
        classes: whole numbers [N, M], or [N] for one class an image.
        method: `grad_cam` or `grad_cam_plus_plus`.

    Raises `DataError` for a net without convolutional maps or of another name, and where images and classes do not
    fit.
    """
    if method not in _METHODS:
        raise DataError(f"there is no method {method!r} for class maps; choose one of {', '.join(_METHODS)}")
    if net not in NET_TABLE:
        raise DataError(f"there is no net {net!r}; choose one of {', '.join(NET_TABLE)}")
    wanted = np.asarray(classes)
    wanted = wanted[:, None] if wanted.ndim == 1 else wanted
    if wanted.dtype.kind not in "iu" or wanted.ndim != 2 or len(wanted) != len(images) or not wanted.shape[1]:
        raise DataError(
            f"{len(images)} images need classes as whole numbers [N] or [N, M]; got {wanted.shape}"
        )
    _check_images(model, images)
    layer = cam_layer(NET_TABLE[net], height=images.shape[1], width=images.shape[2])
    _check_net(model, net, images)
    raw, logits = _raw_maps(model, layer, images, wanted.astype(np.int64), device=device, method=method)
    cells, maximum = scaled(raw)
    return ClassMaps(
        values=drawn_larger(cells, *images.shape[1:3]),
        raw_maximum=maximum,
        cells=(raw.shape[2], raw.shape[3]),
        manifest=_manifest(net, layer, raw.shape[2:], method),
        classes=wanted.astype(np.int64),
        logits=logits,
    )


def mixed_maps(
    model: Normalised,
    net: str,
    mixed: NDArray[np.uint8],
    parents: NDArray[np.uint8],
    classes: NDArray[np.int64],
    *,
    device: torch.device,
    method: str = "grad_cam",
) -> MixedMaps:
    """The maps of both classes on each mixed image, and both parents beside it.

    Args:
        model, net, device, method: as in `class_maps`.
        mixed: uint8 [N, H, W, C].
        parents: uint8 [N, 2, H, W, C], the first parent first.
        classes: whole numbers [N, 2], the classes of those parents.

    Raises `DataError` where these do not fit together.
    """
    if np.shape(classes) != (len(mixed), 2):
        raise DataError(f"{len(mixed)} mixed images need classes [N, 2]; got {np.shape(classes)}")
    if parents.dtype != np.uint8 or parents.shape != (len(mixed), 2, *mixed.shape[1:]):
        raise DataError(
            f"mixed images {mixed.shape} need parents uint8 [N, 2, H, W, C] of their size; "
            f"got {parents.dtype} {parents.shape}"
        )
    return MixedMaps(mixed, parents, class_maps(model, net, mixed, classes, device=device, method=method))


def _check_images(model: Normalised, images: NDArray[np.uint8]) -> None:
    channels = model.mean.shape[1]
    if images.ndim != 4 or images.shape[3] != channels:
        raise DataError(f"the model takes images [N, H, W, {channels}]; got {images.shape}")


def _check_net(model: Normalised, net: str, images: NDArray[np.uint8]) -> None:
    """Refuse a model whose weights have not the names and shapes of those of the net named."""
    height, width, channels = images.shape[1:]
    classes = head_of(model.net)[1].out_features
    with torch.device("meta"):  # shapes alone, no weights
        named = build_net(net, image_shape=(height, width, channels), n_classes=classes, seed=0)
    wanted, own = ({key: one.shape for key, one in each.named_parameters()} for each in (named, model.net))
    if own != wanted:
        first = next(key for key in {**wanted, **own} if own.get(key) != wanted.get(key))
        shapes = [f"are {list(each[first])}" if first in each else "do not exist" for each in (own, wanted)]
        raise DataError(
            f"the model is no {net}: its weights {first!r} {shapes[0]}, those of {net} {shapes[1]}; give the name of "
            "the net that it was trained as"
        )


def _raw_maps(
    model: Normalised,
    layer: CamLayer,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    *,
    device: torch.device,
    method: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unscaled maps [N, M, h, w] and logits [N, M]: one forward pass an image, one backward pass a map."""
    maps, logits = [], []
    extractor = _METHODS[method][0]
    with evaluating(model), torch.enable_grad(), extractor(model, f"net.{layer.module}") as cam:
        for part, pixels in chunks(images, device):
            scores = model(pixels.requires_grad_())
            named = classes[part]
            if named.min() < 0 or named.max() >= scores.shape[1]:
                raise DataError(
                    f"the model has classes 0 to {scores.shape[1] - 1}; asked for {named.min()} to {named.max()}"
                )
            of_each = [
                cam(column.tolist(), scores, normalized=False, retain_graph=True)[0] for column in named.T
            ]
            maps.append(torch.stack(of_each, dim=1).double().cpu().numpy())
            logits.append(np.take_along_axis(scores.detach().double().cpu().numpy(), named, axis=1))
    return np.concatenate(maps), np.concatenate(logits)


def _manifest(net: str, layer: CamLayer, cells: tuple[int, ...], method: str) -> Manifest:
    _, definition, source = _METHODS[method]
    cautions = []
    if method == "grad_cam_plus_plus" and not layer.rectified:
        cautions.append(
            f"Grad-CAM++ assumes activations that are never negative; those of {layer.module} of {net} can be: "
            "prefer Grad-CAM here"
        )
    if min(cells) < 4:
        cautions.append(f"the map has only {cells[0]}×{cells[1]} cells: it hardly says where")
    return Manifest(
        method=method,
        definition=definition,
        source=source,
        settings={"net": net, "layer": layer.module, "cells": f"{cells[0]}×{cells[1]}", "of": "logit"},
        cautions=tuple(cautions),
        libraries=libraries("torch", "torchcam"),
    )
