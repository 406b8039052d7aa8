"""From a trained model to logits, and weights to and from disk as safetensors (never pickle)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hilmix.core.errors import DataError
from training.engine.data import to_pixels
from training.engine.device import autocast
from training.engine.net_table import ImageShape
from training.engine.nets import Normalised, build_net, head_of

_CHUNK = {"cuda": 1000, "cpu": 32}  # images at once: a processor is fastest while they fit its caches
_SAID = 10  # misfits that a refusal names


def predict(
    model: nn.Module, images: NDArray[np.uint8], *, device: torch.device, precision: str = "fp32"
) -> NDArray[np.float64]:
    """Logits float64 [N, K] of uint8 images [N, H, W, C]: one view each, no augmentation."""
    model.eval()
    parts, size = [], _CHUNK.get(device.type, 1000)
    with torch.inference_mode(), autocast(precision, device):
        for start in range(0, len(images), size):
            chunk = torch.from_numpy(np.ascontiguousarray(images[start : start + size])).to(device)
            parts.append(model(to_pixels(chunk)).double().cpu())
    return np.asarray(torch.cat(parts).numpy())


def save_weights(state_dict: dict[str, Tensor], path: Path) -> None:
    """Write weights to `path`."""
    save_file(state_dict, path)


def load_weights(path: Path, model: Normalised, *, new_head: bool = False) -> tuple[str, ...]:
    """Put the weights of a safetensors file into `model`; returns the names of those that it kept instead.

    The file has the names of a `Normalised` model (as `save_weights` writes them) or those of its net alone; then
    the model keeps its own normalisation. With `new_head` the last linear layer keeps what it was drawn with, as
    is wanted where the classes are others; nothing else may be missing.

    Raises `DataError`, naming every tensor that is missing, too much, of another shape or not finite; the model
    is as before then.
    """
    found, own = _read(path), model.state_dict()
    names = set(own)
    if not any(name.startswith("net.") for name in found):
        found = {f"net.{name}": value for name, value in found.items()}
        names -= {"mean", "std"}
    if new_head:
        head = f"net.{head_of(model.net)[0]}."
        found = {name: value for name, value in found.items() if not name.startswith(head)}
        names = {name for name in names if not name.startswith(head)}
    problems = [f"{name} is not in the file" for name in sorted(names - set(found))]
    problems += [f"{name} is not in the net" for name in sorted(set(found) - names)]
    for name in sorted(names & set(found)):
        if found[name].shape != own[name].shape:
            problems.append(
                f"{name} is {tuple(found[name].shape)} in the file, {tuple(own[name].shape)} in the net"
            )
        elif not bool(torch.isfinite(found[name]).all()):
            problems.append(f"{name} has values that are not finite")
    if problems:
        raise DataError(f"{path.name} does not fit: {_listed(problems)}")
    model.load_state_dict({**own, **found})
    return tuple(name for name in own if name not in found)


def load_model(path: Path, *, net: str, image_shape: ImageShape, n_classes: int) -> Normalised:
    """The model whose weights `save_weights` wrote, ready to predict; normalisation comes with the
    weights.
    """
    body = build_net(net, image_shape=image_shape, n_classes=n_classes, seed=0)
    channels = image_shape[2]
    model = Normalised(body, mean=torch.zeros(channels), std=torch.ones(channels))
    load_weights(path, model)
    return model.eval().to(memory_format=torch.channels_last)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise DataError(f"{path.name} is not a whole safetensors file: {error}") from error


def _listed(problems: list[str]) -> str:
    more = f" (and {len(problems) - _SAID} more)" if len(problems) > _SAID else ""
    return "; ".join(problems[:_SAID]) + more
