"""On what, and with which numbers, a model is trained: device, precision, determinism, and a record of them.

Precision and number of threads are decided once, and stored with the experiment, because they change results; every
run of the experiment then uses what was decided.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from training.engine.config import TrainConfig
from training.engine.nets import build_net

# bfloat16 must save at least this much time on a processor to be worth its coarser numbers.
_WORTHWHILE = 1.25
_TIMED_STEPS = 4


def pick_device() -> torch.device:
    """The first CUDA device if there is one, else the processor."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def resolved(
    config: TrainConfig, *, image_shape: tuple[int, int, int], n_classes: int, device: torch.device
) -> TrainConfig:
    """The configuration with `precision` and `threads` decided for this machine: what every run should use."""
    precision = resolve_precision(config, image_shape=image_shape, n_classes=n_classes, device=device)
    return replace(config, precision=precision, threads=config.threads or torch.get_num_threads())


def resolve_precision(
    config: TrainConfig, *, image_shape: tuple[int, int, int], n_classes: int, device: torch.device
) -> str:
    """The precision asked for, `fp32` or `bf16`; for `auto` the one that suits `device`.

    A deterministic training computes in fp32. On CUDA bf16 where the device computes in it. On a processor both
    are timed on random images, and bf16 is taken only when it is at least a quarter faster.
    """
    if config.precision != "auto":
        return config.precision
    if config.deterministic:
        return "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    with _threads(config.threads):
        seconds = {
            precision: _seconds_a_step(config, image_shape, n_classes, precision)
            for precision in ("fp32", "bf16")
        }
    return "bf16" if seconds["fp32"] > _WORTHWHILE * seconds["bf16"] else "fp32"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context in which a forward pass runs in `precision`."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@contextlib.contextmanager
def settled(threads: int | None, *, deterministic: bool = True) -> Iterator[None]:
    """A fixed number of threads inside, and with `deterministic` kernels that give the same bits again, in true fp32;
    whatever was set before again afterwards. Without it a GPU tries out which kernels are fastest.
    """
    backends: Any = torch.backends
    cudnn, mkldnn = backends.cudnn, backends.mkldnn
    before = (cudnn.deterministic, cudnn.benchmark)
    # Each may compute fp32 in tf32, or in bf16 on a processor, where somebody allowed it for speed.
    coarse = (backends.cuda.matmul, cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv)
    precisions = [kind.fp32_precision for kind in coarse]
    strict = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    cudnn.deterministic, cudnn.benchmark = deterministic, not deterministic
    if deterministic:
        for kind in coarse:
            kind.fp32_precision = "ieee"
        # cuBLAS reads it when it is first used; without it, it refuses to be deterministic.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        with _threads(threads):
            yield
    finally:
        torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])
        cudnn.deterministic, cudnn.benchmark = before
        for kind, precision in zip(coarse, precisions, strict=True):
            kind.fp32_precision = precision


def describe(device: torch.device) -> dict[str, str | int]:
    """What a result was computed on: device, threads and the versions of the libraries."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    record: dict[str, str | int] = {
        "device": f"{device.type} ({name})",
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
    if device.type == "cpu":
        record["instructions"] = torch.backends.cpu.get_cpu_capability()
    return record


@contextlib.contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds_a_step(
    config: TrainConfig, image_shape: tuple[int, int, int], n_classes: int, precision: str
) -> float:
    """Seconds of the fastest of a few training steps on one random batch."""
    height, width, channels = image_shape
    net = build_net(config.net, image_shape=image_shape, n_classes=n_classes, seed=0)
    net = net.to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand((config.batch_size, channels, height, width), generator=generator)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    targets = torch.zeros(config.batch_size, dtype=torch.int64)
    fastest = float("inf")
    for _ in range(_TIMED_STEPS):
        start = time.perf_counter()
        with autocast(precision, torch.device("cpu")):
            logits = net(pixels)
        F.cross_entropy(logits.float(), targets).backward()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest
