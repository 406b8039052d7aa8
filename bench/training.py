"""Retraining and evaluation: images a second and memory of the engine, on whatever device it picks."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench.baselines import common_recipe, least_memory, one_by_one, plain_forward, plain_loop
from bench.measure import Figure, at_most, say, speed
from training.engine.config import TrainConfig
from training.engine.data import TrainData, to_pixels
from training.engine.device import pick_device, resolved
from training.engine.loop import TrainingStopped, build_model, train
from training.engine.predict import predict

# The recipe of examples/hmix.toml for one epoch; fp32, because what `auto` takes depends on the machine.
# One thread: two on a shared machine wait for each other more than they work.
CONFIG = TrainConfig(net="resnet20", epochs=1, batch_size=128, warmup_epochs=0, precision="fp32", threads=1)
N_CLASSES = 10
# What is fastest for plain forward passes, by trying: images at once, and the order of their memory.
TUNED = {"cpu": (32, torch.channels_last), "cuda": (1000, torch.channels_last)}


def figures() -> Iterator[Figure]:
    device = pick_device()
    torch.set_num_threads(CONFIG.threads)
    n = 50_000 if device.type == "cuda" else 1024  # a few seconds
    yield _training(_data(n // CONFIG.batch_size * CONFIG.batch_size), device)
    yield _against_the_common_recipe(_data(n), device)
    yield _evaluation(_data(n), device)
    yield _against_one_by_one(_data(n // 4), device)
    if device.type == "cpu":
        yield _memory()
    # Imported here: it loads Django, which the processes whose memory is measured shall not hold.
    from bench import robustness

    yield from robustness.figures()


def _data(n: int) -> TrainData:
    # Not of `bench.material`: that loads Django, which the processes whose memory is measured shall not hold.
    images = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(n) % N_CLASSES
    return TrainData(images, np.eye(N_CLASSES)[labels], n, images[:1], labels[:1])


def _training(data: TrainData, device: torch.device) -> Figure:
    return speed(
        "training.train",
        lambda: train(CONFIG, data, seed=0, device=device),
        lambda: plain_loop.train(CONFIG, data.images, data.targets, device),
        goal=0.95,
        unit="× speed of the fastest plain loop",
        work=len(data.images),
    )


def _against_the_common_recipe(data: TrainData, device: torch.device) -> Figure:
    """With the precision that `auto` takes here. bf16 is fast with AMX, and on a GPU; elsewhere it gains less."""
    config = _settled(device)
    matrices = device.type == "cuda" or torch.cpu._is_amx_tile_supported()
    pictures = common_recipe.Pictures(data.images, data.targets.argmax(axis=1), config.augment.crop)
    say(
        f"training.recipe: ours in {config.precision}, {'with' if matrices else 'without'} units for matrices"
    )
    return speed(
        "training.recipe",
        lambda: train(config, data, seed=0, device=device),
        lambda: common_recipe.train(config, pictures, N_CLASSES, device),
        goal=2.5 if matrices else 1.5,
        unit="× speed of the common recipe (DataLoader, PIL, fp32, batch 32)",
        work=len(data.images),
    )


def _settled(device: torch.device) -> TrainConfig:
    """The recipe with the precision that `auto` takes here."""
    automatic = replace(CONFIG, precision="auto")
    return resolved(automatic, image_shape=(32, 32, 3), n_classes=N_CLASSES, device=device)


def _evaluation(data: TrainData, device: torch.device) -> Figure:
    model = build_model(CONFIG.net, data, seed=0).to(device, memory_format=torch.channels_last)
    chunk, memory_format = TUNED[device.type]
    pixels = (to_pixels(torch.from_numpy(data.images).to(device)) - model.mean) / model.std
    chunks = list(pixels.contiguous(memory_format=memory_format).split(chunk))
    net = deepcopy(model.net).to(memory_format=memory_format)
    return speed(
        "training.predict",
        lambda: predict(model, data.images, device=device),
        lambda: plain_forward.forward(net, chunks),
        goal=0.8,
        unit="× speed of the forward passes alone",
        work=len(data.images),
    )


def _against_one_by_one(data: TrainData, device: torch.device) -> Figure:
    """As judging does it: in fp32, whatever a run was trained in, and on all cores; the baseline has them too."""
    model = build_model(CONFIG.net, data, seed=0).to(device, memory_format=torch.channels_last)
    pixels = (to_pixels(torch.from_numpy(data.images).to(device)) - model.mean) / model.std
    net = deepcopy(model.net).to(memory_format=torch.channels_last)
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        return speed(
            "training.evaluate",
            lambda: predict(model, data.images, device=device),
            lambda: one_by_one.forward(net, pixels.contiguous(memory_format=torch.channels_last)),
            goal=8,
            unit="× speed of batch 1",
            work=len(data.images),
        )
    finally:
        torch.set_num_threads(CONFIG.threads or 1)


def _memory() -> Figure:
    """Of a process of its own, because a process never forgets the most that it held.

    What torch's kernels need while they work is not in the baseline: seven bare steps on a ready batch take 1.5 of it.
    """
    command = [sys.executable, "-c", "from bench.training import measure_memory; measure_memory()"]
    ratios = []
    for _ in range(3):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        taken, least = json.loads(done.stdout)
        ratios.append(taken / least)
    say(f"training.memory: {taken / 1e6:.0f} MB for {least / 1e6:.0f} MB of data, weights and activations")
    return at_most("training.memory", ratios, 2, "× data, weights and activations")


def measure_memory() -> None:
    """Print what a training of the size of H-Mix takes beyond the process before it, and the least it could."""
    torch.set_num_threads(CONFIG.threads)
    data, few = _data(9070), _data(2 * CONFIG.batch_size)
    # Small, so that all libraries and kernels are loaded before the baseline is taken.
    train(replace(CONFIG, batch_size=8), _data(16), seed=0, device=torch.device("cpu"))
    # The most since now; a process that was started by a large one has that one's most as its own in `getrusage`.
    Path("/proc/self/clear_refs").write_text("5")
    before, steps = _most_bytes(), iter(range(8))
    with contextlib.suppress(TrainingStopped):  # after eight steps it takes no more
        train(CONFIG, data, seed=0, device=torch.device("cpu"), should_stop=lambda: next(steps, None) is None)
    taken = _most_bytes() - before
    pixels = to_pixels(torch.from_numpy(few.images[: CONFIG.batch_size]))
    targets = torch.from_numpy(few.targets[: CONFIG.batch_size]).to(torch.float32)
    model = build_model(CONFIG.net, few, seed=0).to(memory_format=torch.channels_last)
    print(json.dumps([taken, least_memory.bytes_of(model, pixels, targets, len(data.images))]))


def _most_bytes() -> int:
    """The most memory that this process held at once."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024
