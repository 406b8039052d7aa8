"""Robustness: a model put through the corruption suite from its cache, against its forward passes alone.

What building the cache of 3,000 test images costs is printed and has no goal: it is paid once for a test set.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch

from bench.baselines import plain_corrupted
from bench.material import CLASSES, pictures
from bench.measure import Figure, at_most, say, seconds_of
from bench.training import TUNED
from training.engine.data import TrainData, to_pixels
from training.engine.device import pick_device
from training.engine.loop import build_model
from training.engine.predict import predict
from training.evaluation.corruptions import CorruptedSet, corrupted, suite
from training.evaluation.robustness import assess

KEYS = suite()[::16]  # six of the suite, of different groups
TEST_SET = 3000
REPETITIONS = 7


def figures() -> Iterator[Figure]:
    device = pick_device()
    torch.set_num_threads(1)  # two on a shared machine wait for each other more than they work
    _building()
    yield _suite(device, n=TEST_SET if device.type == "cuda" else 384)


def _building() -> None:
    """Say what the whole suite costs to make, measured on a third of the test set."""
    images = pictures(TEST_SET // 3)
    seconds = seconds_of(lambda: [corrupted(images, *key) for key in suite()])
    say(
        f"building the corruption cache: {3 * seconds:.0f} s for {TEST_SET:,} images, {len(suite())} transforms"
    )


def _suite(device: torch.device, n: int) -> Figure:
    images, labels = pictures(n), np.arange(n) % len(CLASSES)
    data = TrainData(images, np.eye(len(CLASSES))[labels], n, images[:1], labels[:1])
    model = build_model("resnet20", data, seed=0).to(device, memory_format=torch.channels_last)
    chunk, memory_format = TUNED[device.type]
    net = deepcopy(model.net).to(memory_format=memory_format)
    with tempfile.TemporaryDirectory() as folder:
        stored = CorruptedSet(Path(folder), images)
        ready = []
        for changed in (images, *(stored.get(*key) for key in KEYS)):
            pixels = (to_pixels(torch.from_numpy(np.array(changed)).to(device)) - model.mean) / model.std
            ready.append(list(pixels.contiguous(memory_format=memory_format).split(chunk)))
        ratios = []
        for _ in range(REPETITIONS + 1):
            ours = seconds_of(
                lambda: assess(lambda some: predict(model, some, device=device), stored, labels, KEYS)
            )
            ratios.append(ours / seconds_of(lambda: plain_corrupted.forward(net, ready)))
    return at_most("robustness.assess", ratios[1:], 1.1, "× time of the forward passes alone")
