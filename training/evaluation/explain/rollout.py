"""Attention rollout: which patches a vision transformer's class token took from, through all layers.

Abnar & Zuidema, Quantifying attention flow in transformers (ACL 2020), equation 1: R = Ã_L · … · Ã_1 with
Ã_l = ½(Ā_l + I), Ā_l the mean over the heads, every row brought to sum 1. The map is the class token's row over the
patches. It is the same for all classes: it shows what was mixed in, not what spoke for a class.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilmix.core.errors import DataError
from training.engine.net_table import NET_TABLE
from training.engine.nets import Normalised
from training.evaluation.explain.drawing import chunks, drawn_larger, evaluating
from training.evaluation.explain.manifest import HeatMaps, Manifest, libraries, scaled


def rollout_maps(model: Normalised, net: str, images: NDArray[np.uint8], *, device: torch.device) -> HeatMaps:
    """One map an image (M = 1), of how much of each patch reached the class token.

    `model` is on `device` and is afterwards as before; `images` uint8 [N, H, W, C]. Before scaling, a map and what
    the token kept of itself sum to 1. Raises `DataError` for a net without attention.
    """
    if net not in NET_TABLE or not NET_TABLE[net].rollout:
        raise DataError(f"{net} has no attention to roll out; Grad-CAM maps are for convolutional nets")
    grid = images.shape[1] // (NET_TABLE[net].patch or 1)
    rows = [roll_out(part)[:, 0, 1:] for part in attentions(model, images, device=device)]
    raw = np.concatenate(rows).reshape(len(images), 1, grid, -1)
    cells, maximum = scaled(raw)
    return HeatMaps(
        values=drawn_larger(cells, *images.shape[1:3]),
        raw_maximum=maximum,
        cells=(raw.shape[2], raw.shape[3]),
        manifest=Manifest(
            method="attention_rollout",
            definition="the class token's row of Π_l rownorm(½(mean over heads of A_l + I)), over the patches",
            source="Abnar & Zuidema, ACL 2020, equation 1",
            settings={"net": net, "cells": f"{raw.shape[2]}×{raw.shape[3]}"},
            cautions=("the map is the same for every class",),
            libraries=libraries("torch", "torchvision"),
        ),
    )


def roll_out(attention: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """R [N, T, T] of attention [N, L, heads, T, T], the first layer first; each row of R sums to 1.

    Every row is divided by its own sum. (Divided by sums along the wrong axis, as in a well-known implementation,
    the rows no longer sum to 1 once some attention has been taken away.)
    """
    if attention.ndim != 5 or attention.shape[3] != attention.shape[4]:
        raise DataError(f"attention must be [N, layers, heads, tokens, tokens]; got {attention.shape}")
    n, _, _, tokens, _ = attention.shape
    rolled = np.broadcast_to(np.eye(tokens), (n, tokens, tokens)).copy()
    mean = attention.astype(np.float64).mean(axis=2)
    for layer in range(attention.shape[1]):
        kept = (mean[:, layer] + np.eye(tokens)) / 2
        rolled = kept / kept.sum(axis=2, keepdims=True) @ rolled
    return rolled


def attentions(
    model: nn.Module, images: NDArray[np.uint8], *, device: torch.device
) -> Iterator[NDArray[np.float32]]:
    """The attention [B, L, heads, T, T] of every layer, the first first, for a hundred images at a time.

    Fused attention never has these numbers: every attention layer is asked for its weights, which switches
    fusing off for these passes alone. Raises `DataError` for a model without such layers.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.MultiheadAttention)]
    if not layers:
        raise DataError("the model has no attention layers to roll out")
    for _, pixels in chunks(images, device):
        with evaluating(model), torch.inference_mode(), _watched(layers) as seen:
            model(pixels)
        assert len(seen) == len(layers)  # each layer once, in order
        yield torch.stack(seen, dim=1).float().cpu().numpy()


@contextmanager
def _watched(layers: list[nn.MultiheadAttention]) -> Iterator[list[Tensor]]:
    """The weights [B, heads, T, T] that the layers compute inside, as they come."""
    seen: list[Tensor] = []

    def ask(_module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**kwargs, "need_weights": True, "average_attn_weights": False}

    def keep(_module: nn.Module, _args: Any, output: tuple[Tensor, Tensor]) -> None:
        seen.append(output[1])

    hooks = [layer.register_forward_pre_hook(ask, with_kwargs=True) for layer in layers]
    hooks += [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
