"""The training loop, top to bottom: SGD with Nesterov momentum on soft cross-entropy, warm-up then cosine.

It knows nothing of experiments, files or the database: arrays in, weights and curves out, with callbacks for
progress and cancelling. Arms differ in `TrainData.targets` only; everything drawn at random comes from the
plan of the seed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilmix.core.errors import DataError
from training.engine.config import TrainConfig
from training.engine.data import DeviceImages, TrainData
from training.engine.device import autocast, pick_device, resolve_precision, settled
from training.engine.nets import Normalised, build_net
from training.engine.plan import WEIGHTS, Plan, make_plan
from training.engine.predict import predict
from training.evaluation import metrics


class TrainingStopped(Exception):
    """`should_stop` said yes; nothing of the run is kept."""


@dataclass(frozen=True)
class EpochCurve:
    """One point of the learning curves.

    `train_loss` is the mean soft cross-entropy of the epoch's batches, augmentation on; `train_floor` the
    mean entropy of their targets, below which no loss can fall. Validation loss is against hard labels;
    nothing is selected on it.
    """

    epoch: int
    train_loss: float
    train_floor: float
    validation_loss: float
    validation_accuracy: float
    lr: float
    seconds: float


@dataclass(frozen=True)
class Step:
    """How far a training is: `done` of `total` steps, in epoch `epoch` (from 1), `seconds_left` at the
    present speed.
    """

    done: int
    total: int
    epoch: int
    seconds_left: float


@dataclass(frozen=True)
class TrainResult:
    """A trained model: `state_dict` on the processor, `curves` one dictionary an epoch, and what was done to
    get there.
    """

    state_dict: dict[str, Tensor]
    curves: list[dict[str, float]]
    n_steps: int
    plan_sha256: str
    precision: str
    seconds: float


def train(
    config: TrainConfig,
    data: TrainData,
    *,
    seed: int,
    device: torch.device | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    on_epoch: Callable[[EpochCurve], None] = lambda curve: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train one net from scratch. Same arguments, same machine, fp32 on a processor: the same bits.

    Raises `TrainingStopped` as soon as `should_stop()`, asked before every step, is true; `DataError` when
    images and configuration do not fit together, or when the training diverges.
    """
    device = device or pick_device()
    height, width, channels = data.images.shape[1:]
    shape, n_classes = (height, width, channels), data.targets.shape[1]
    precision = resolve_precision(config, image_shape=shape, n_classes=n_classes, device=device)
    plan = make_plan(config, n_parents=data.n_parents, n_mixed=data.n_mixed, seed=seed)
    with settled(config.threads):
        model = build_model(config.net, data, seed=seed).to(device).to(memory_format=torch.channels_last)
        trainer = _Trainer(config, plan, data, model, precision, device)
        start = time.perf_counter()
        curves = []
        for epoch in range(plan.epochs):
            curves.append(trainer.epoch(epoch, start, on_step, should_stop))
            on_epoch(curves[-1])
    weights = {name: value.detach().to("cpu").contiguous() for name, value in model.state_dict().items()}
    return TrainResult(
        state_dict=weights,
        curves=[asdict(curve) for curve in curves],
        n_steps=plan.epochs * plan.steps,
        plan_sha256=plan.sha256,
        precision=precision,
        seconds=time.perf_counter() - start,
    )


def build_model(net: str, data: TrainData, *, seed: int) -> Normalised:
    """The untrained model of a seed, normalising by the plain training images."""
    height, width, channels = data.images.shape[1:]
    weights_seed = int(np.random.default_rng([seed, WEIGHTS]).integers(2**63))
    body = build_net(
        net, image_shape=(height, width, channels), n_classes=data.targets.shape[1], seed=weights_seed
    )
    return Normalised(body, *data.channel_statistics())


def learning_rate(config: TrainConfig, step: int, steps_an_epoch: int) -> float:
    """Rate of step 0, 1, …: rises linearly over the warm-up, then falls to zero along half a cosine."""
    total = config.epochs * steps_an_epoch
    warmup = min(config.warmup_epochs * steps_an_epoch, total)
    if step < warmup:
        return config.lr * (step + 1) / math.ceil(warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


class _Trainer:
    """The state of one training, so that an epoch reads as its steps."""

    def __init__(
        self,
        config: TrainConfig,
        plan: Plan,
        data: TrainData,
        model: nn.Module,
        precision: str,
        device: torch.device,
    ) -> None:
        self.config, self.plan, self.data, self.model = config, plan, data, model
        self.precision, self.device = precision, device
        self.images = DeviceImages(data.images, crop=config.crop, device=device)
        self.targets = torch.from_numpy(data.targets).to(device, torch.float32)
        self.entropies = metrics.entropies(data.targets)
        self.optimiser = _optimiser(model, config)
        self.lr = 0.0

    def epoch(
        self, number: int, start: float, on_step: Callable[[Step], None], should_stop: Callable[[], bool]
    ) -> EpochCurve:
        """All steps of epoch `number` (from 0), then a look at the validation images."""
        self.model.train()
        indices = torch.from_numpy(self.plan.indices[number]).to(self.device)
        shifts = torch.from_numpy(self.plan.shifts[number]).to(self.device, torch.int64)
        flips = torch.from_numpy(self.plan.flips[number]).to(self.device)
        # Summed on the device: reading the loss at every step would make a GPU wait.
        loss_sum = torch.zeros((), device=self.device)
        began = time.perf_counter()
        for step in range(self.plan.steps):
            if should_stop():
                raise TrainingStopped
            done = number * self.plan.steps + step
            loss_sum += self.step(done, indices[step], shifts[step], flips[step])
            on_step(self._progress(done + 1, number, start))
        train_loss = float(loss_sum) / self.plan.steps
        if not math.isfinite(train_loss):
            raise DataError(f"the training diverged in epoch {number + 1}: its loss is not finite; lower lr")
        loss, accuracy = self._validate()
        return EpochCurve(
            epoch=number + 1,
            train_loss=train_loss,
            train_floor=float(self.entropies[self.plan.indices[number]].mean()),
            validation_loss=loss,
            validation_accuracy=accuracy,
            lr=self.lr,
            seconds=time.perf_counter() - began,
        )

    def step(self, done: int, indices: Tensor, shifts: Tensor, flips: Tensor) -> Tensor:
        """One update; the batch's mean soft cross-entropy, still on the device."""
        self.lr = learning_rate(self.config, done, self.plan.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr
        with autocast(self.precision, self.device):
            logits = self.model(self.images.batch(indices, shifts, flips))
        loss = F.cross_entropy(logits.float(), self.targets[indices])
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def _progress(self, done: int, epoch: int, start: float) -> Step:
        total = self.plan.epochs * self.plan.steps
        return Step(done, total, epoch + 1, (time.perf_counter() - start) / done * (total - done))

    def _validate(self) -> tuple[float, float]:
        logits = predict(
            self.model, self.data.validation_images, device=self.device, precision=self.precision
        )
        log_p = metrics.log_softmax(logits)
        labels = self.data.validation_labels
        return metrics.cross_entropy(log_p, labels), metrics.accuracy(np.exp(log_p), labels)


def _optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """SGD with weight decay on filters and matrices only; gains and biases are left free."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0, fused=True
    )
