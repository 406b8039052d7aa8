"""Retraining and evaluation: images a second of the engine, on whatever device it picks."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import torch

from bench.baselines import plain_forward, plain_loop
from bench.material import CLASSES, pictures
from bench.measure import Figure, speed
from training.engine.config import TrainConfig
from training.engine.data import TrainData, to_pixels
from training.engine.device import pick_device
from training.engine.loop import build_model, train
from training.engine.predict import predict

# The recipe of examples/hmix.toml for one epoch; fp32, because what `auto` takes depends on the machine.
# One thread: two on a shared machine wait for each other more than they work.
CONFIG = TrainConfig(net="resnet20", epochs=1, batch_size=128, warmup_epochs=0, precision="fp32", threads=1)
# What is fastest for plain forward passes, by trying: images at once, and the order of their memory.
TUNED = {"cpu": (64, torch.contiguous_format), "cuda": (1000, torch.channels_last)}


def figures() -> Iterator[Figure]:
    device = pick_device()
    torch.set_num_threads(CONFIG.threads)
    n = 50_000 if device.type == "cuda" else 1024  # a few seconds
    yield _training(_data(n // CONFIG.batch_size * CONFIG.batch_size), device)
    yield _evaluation(_data(n), device)


def _data(n: int) -> TrainData:
    images, labels = pictures(n), np.arange(n) % len(CLASSES)
    return TrainData(images, np.eye(len(CLASSES))[labels], n, images[:1], labels[:1])


def _training(data: TrainData, device: torch.device) -> Figure:
    return speed(
        "training.train",
        lambda: train(CONFIG, data, seed=0, device=device),
        lambda: plain_loop.train(CONFIG, data.images, data.targets, device),
        goal=0.95,
        unit="× speed of the fastest plain loop",
        work=len(data.images),
    )


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
