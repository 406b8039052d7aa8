"""What an experiment will take, from a few real steps: time, memory and disk, and a refusal where it cannot fit."""

from __future__ import annotations

import contextlib
import gc
import resource
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from training.engine.config import TrainConfig
from training.engine.data import TrainData, to_pixels
from training.engine.device import pick_device, settled
from training.engine.loop import TrainingStopped, build_model, train
from training.engine.plan import Budget, make_plan
from training.engine.predict import predict

_WARM_UP = 3  # steps that are slower than those to come: kernels are chosen, memory is asked for
_JUDGED = 256  # validation images of which the time of all is told
_ATTACKED = 64  # and of which that of gradients is
_SPARE = 0.05  # of what is free must stay so
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Probe:
    """What one run takes, measured: `seconds_a_step`, and `seconds_judging` the validation images after each epoch;
    `memory` bytes at most, of the whole process on a processor and of the device on a GPU; on disk `kept` bytes of
    weights for good and `checkpoint` bytes while it trains. Judging it afterwards, in fp32, takes `seconds_forward` for
    an image that goes through the net, `seconds_and_back` for one whose gradient is asked for."""

    epochs: int
    steps_an_epoch: int
    seconds_a_step: float
    seconds_judging: float
    memory: int
    kept: int
    checkpoint: int
    seconds_forward: float = 0.0
    seconds_and_back: float = 0.0

    @property
    def seconds(self) -> float:
        """Of training one run; judging it is apart."""
        return self.epochs * (self.steps_an_epoch * self.seconds_a_step + self.seconds_judging)


@dataclass(frozen=True)
class Forecast:
    """What several runs will take, `at_once` of them side by side: seconds, bytes of memory and of disk; what is free
    of both (None where this system does not tell); and the sentences that refuse it, none where it fits."""

    seconds: float
    memory: int
    memory_free: int | None
    disk: int
    disk_free: int
    refusals: tuple[str, ...]


def probe(
    config: TrainConfig,
    data: TrainData,
    *,
    budget: Budget | None = None,
    device: torch.device | None = None,
    steps: int = 20,
) -> Probe:
    """Train `steps` steps on the real material, and judge some validation images. Nothing is kept.

    `precision` should be decided (`device.resolved`), or deciding it is done here again. On a processor the memory is
    the most that this process ever took, so it should be one that did nothing larger before.
    """
    device = device or pick_device()
    plan = make_plan(config, budget=budget or Budget(data.n_parents, data.n_mixed), seed=0)
    began: list[float] = []
    a_step: list[float] = []

    def should_stop() -> bool:  # asked right before every step
        began.append(time.perf_counter())
        return len(a_step) >= steps

    def on_step(_: object) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        a_step.append(time.perf_counter() - began[-1])

    if device.type == "cuda":
        _let_go()
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(TrainingStopped):
        train(
            config,
            data,
            seed=0,
            budget=budget,
            device=device,
            on_step=on_step,
            should_stop=should_stop,
        )
    weights = build_model(config.net, data, seed=0)
    forward = {
        precision: _seconds_forward(weights, config, data, device, precision)
        for precision in _judged_in(config)
    }
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights.state_dict().values())
    copies = 1 + (config.momentum > 0) + (config.ema is not None)
    return Probe(
        epochs=plan.epochs,
        steps_an_epoch=plan.steps,
        seconds_a_step=median(a_step[_WARM_UP:] or a_step[-1:] or [0.0]),
        seconds_judging=len(data.validation_images) * forward[_judged_in(config)[0]],
        memory=_peak_memory(device),
        kept=size,
        checkpoint=copies * size,
        seconds_forward=forward["fp32"],
        seconds_and_back=_seconds_and_back(weights, config, data, device),
    )


def forecast(
    one: Probe,
    *,
    n_runs: int,
    directory: Path,
    judged: int = 0,
    at_once: int = 1,
    device: torch.device | None = None,
) -> Forecast:
    """What `n_runs` runs like the one probed will take, `at_once` of them side by side, writing under `directory`;
    judging all of them keeps `judged` bytes."""
    device = device or pick_device()
    # Each run that is under way has its last checkpoint while the next is written.
    at_once = max(1, min(at_once, n_runs))
    disk = n_runs * one.kept + judged + 2 * min(at_once, n_runs) * one.checkpoint
    memory, memory_free = at_once * one.memory, free_memory(device)
    disk_free = shutil.disk_usage(_existing(directory)).free
    refusals = []
    if memory_free is not None and memory > (1 - _SPARE) * memory_free:
        refusals.append(
            f"{at_once} runs at once need {_size(memory)} of memory; {_size(memory_free)} are free. Take a smaller "
            "batch_size or net, or fewer runs at once."
        )
    if disk > (1 - _SPARE) * disk_free:
        refusals.append(
            f"{n_runs} runs need {_size(disk)} of disk under {directory}, {_size(judged)} of it for what judging "
            f"keeps; {_size(disk_free)} are free. Make room, or take fewer seeds, a smaller net or less robustness."
        )
    seconds = -(-n_runs // at_once) * one.seconds
    return Forecast(seconds, memory, memory_free, disk, disk_free, tuple(refusals))


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free: of a GPU; else of this machine or its container, with what this process holds itself."""
    if device.type == "cuda":
        _let_go()
        return int(torch.cuda.mem_get_info(device)[0])
    told = [free for free in (_free_of_machine(), _free_of_container()) if free is not None]
    return min(told) + _held() if told else None


def _judged_in(config: TrainConfig) -> tuple[str, ...]:
    """The precisions that images are judged in: after each epoch that of the training, at the end fp32."""
    return ("bf16", "fp32") if config.precision == "bf16" else ("fp32",)


def _seconds_forward(
    model: torch.nn.Module, config: TrainConfig, data: TrainData, device: torch.device, precision: str
) -> float:
    """Seconds that an image takes through the net."""
    images = data.validation_images[:_JUDGED]
    model = model.to(device).to(memory_format=torch.channels_last)
    with settled(config.threads, deterministic=config.deterministic):
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            predict(model, images, device=device, precision=precision)
            seconds.append(time.perf_counter() - start)
    return min(seconds) / max(len(images), 1)


def _seconds_and_back(
    model: torch.nn.Module, config: TrainConfig, data: TrainData, device: torch.device
) -> float:
    """Seconds that an image takes through the net and back to its pixels, as attacks by gradient send it."""
    images = torch.from_numpy(np.ascontiguousarray(data.validation_images[:_ATTACKED])).to(device)
    model = model.to(device).to(memory_format=torch.channels_last).eval()
    with settled(config.threads, deterministic=config.deterministic):
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            x = to_pixels(images).requires_grad_()
            (gradient,) = torch.autograd.grad(model(x).sum(), x)
            gradient.sum().item()  # where a GPU is still at it, waits
            seconds.append(time.perf_counter() - start)
    return min(seconds) / max(len(images), 1)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _free_of_machine() -> int | None:
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None


def _free_of_container() -> int | None:
    """Of a container with a limit of its own (control groups, version 2)."""
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if not limit.exists() or not used.exists() or (most := limit.read_text().strip()) == "max":
        return None
    return max(int(most) - int(used.read_text()), 0)


def _held() -> int:
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0


def _let_go() -> None:
    """Of a GPU's memory that this process holds and does not use: an earlier probe's, say."""
    gc.collect()
    torch.cuda.empty_cache()


def _existing(directory: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(folder for folder in (directory.resolve(), *directory.resolve().parents) if folder.exists())


def _size(n: float) -> str:
    """ "1.5 GB"."""
    for unit in ("bytes", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"
