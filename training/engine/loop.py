"""The training loop, top to bottom: SGD with Nesterov momentum on soft cross-entropy, warm-up then cosine or steps.

It knows nothing of experiments or the database: arrays in, weights and curves out, with callbacks for progress and
cancelling, and checkpoints in a folder if it is given one. Everything drawn at random comes from the plan of the seed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilmix.core.errors import DataError
from hilmix.core.files import sha256_json
from training.engine.batches import Batches, Material
from training.engine.checkpoints import Checkpoint, read_checkpoint, sha256_of, write_checkpoint
from training.engine.config import TrainConfig
from training.engine.data import TrainData
from training.engine.device import autocast, pick_device, resolved, settled
from training.engine.nets import Normalised, build_net
from training.engine.optimising import make_optimiser, moving_average
from training.engine.plan import WEIGHTS, Budget, Plan, make_plan
from training.engine.predict import predict
from training.engine.schedule import learning_rate
from training.evaluation import metrics


class TrainingDiverged(DataError):
    """The loss, what the net says of the validation images, or its weights are not finite any more."""


class TrainingStopped(Exception):
    """`should_stop` said yes. What was done is in the checkpoint, if there is a folder for one."""


@dataclass(frozen=True)
class EpochCurve:
    """One point of the learning curves.

    `train_loss` is the mean soft cross-entropy of the epoch's batches, augmentation on; `train_floor` the
    mean entropy of their targets, below which no loss can fall; `train_accuracy` the share of them whose most
    probable class is the one that their target holds most of, None where a part of the epoch was trained by a version
    that did not count. Validation loss is against hard labels; nothing is selected on it. `images` were trained on in
    the epoch, `seconds` are with validation.
    """

    epoch: int
    train_loss: float
    train_floor: float
    validation_loss: float
    validation_accuracy: float
    lr: float
    seconds: float
    train_accuracy: float | None = None
    images: int = 0


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
    """A trained model: `state_dict` on the processor (the moving average's, where there is one), `curves` one
    dictionary an epoch, and what was done to get there.
    """

    state_dict: dict[str, Tensor]
    curves: list[dict[str, Any]]
    n_steps: int
    plan_sha256: str
    precision: str
    threads: int
    seconds: float


def train(
    config: TrainConfig,
    data: TrainData,
    *,
    seed: int,
    budget: Budget | None = None,
    start: Mapping[str, Tensor] | None = None,
    checkpoints: Path | None = None,
    device: torch.device | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    on_epoch: Callable[[EpochCurve], None] = lambda curve: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train one net. Same arguments, same machine, fp32 on a processor: the same bits, interrupted or not.

    Args:
        budget: what all arms have between them; the data's own sizes without it.
        start: a state dict of the same net to start from, in place of the seed's first weights.
        checkpoints: a folder of this run alone. Each epoch a checkpoint is written there, and one when the training
            is stopped; the same call goes on from the last. The caller removes the folder once the run is kept.

    Raises `TrainingStopped` as soon as `should_stop()`, asked before every step, is true; `DataError` when
    images and configuration do not fit together, or when a checkpoint is of another training; `TrainingDiverged` when
    the loss, the validation logits or the weights are not finite.
    """
    device = device or pick_device()
    plan = make_plan(config, budget=budget or Budget(data.n_parents, data.n_mixed), seed=seed)
    identity = _identity(config, plan, data, start, device) if checkpoints else {}
    saved = read_checkpoint(checkpoints, identity=identity) if checkpoints else None
    settings = _settings(config, data, device, saved)
    devices = [device] if device.type == "cuda" else []
    with settled(settings.threads, deterministic=settings.deterministic), torch.random.fork_rng(devices):
        trainer = _Trainer(settings, plan, data, start, device, saved)

        def keep() -> None:
            if checkpoints:
                write_checkpoint(checkpoints, trainer.checkpoint(), identity=identity)

        while trainer.done < trainer.total:
            curve = trainer.epoch(on_step, should_stop, keep)
            keep()
            on_epoch(curve)
        weights = trainer.evaluated.state_dict()
    return TrainResult(
        state_dict={name: value.detach().to("cpu").contiguous() for name, value in weights.items()},
        curves=trainer.curves,
        n_steps=trainer.total,
        plan_sha256=plan.sha256,
        precision=settings.precision,
        threads=torch.get_num_threads() if settings.threads is None else settings.threads,
        seconds=trainer.seconds,
    )


def build_model(net: str, data: TrainData, *, seed: int) -> Normalised:
    """The untrained model of a seed, normalising by the plain training images: those that the arms of a budget share.
    Arms with other plain images have other statistics."""
    weights_seed = int(np.random.default_rng([seed, WEIGHTS]).integers(2**63))
    body = build_net(net, image_shape=_shape(data), n_classes=data.targets.shape[1], seed=weights_seed)
    return Normalised(body, *data.channel_statistics())


class _Trainer:
    """The state of one training, so that an epoch reads as its steps."""

    def __init__(
        self,
        config: TrainConfig,
        plan: Plan,
        data: TrainData,
        start: Mapping[str, Tensor] | None,
        device: torch.device,
        saved: Checkpoint | None,
    ) -> None:
        self.config, self.plan, self.data, self.device = config, plan, data, device
        model = build_model(config.net, data, seed=plan.seed)
        if start is not None:
            _start_from(model, start)
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.average = moving_average(self.model, config.ema, lambda: self.done) if config.ema else None
        self.material = Material(config, plan, data, device)
        self.optimiser = make_optimiser(self.model, config)
        self.done, self.total, self.lr = 0, plan.epochs * plan.steps, 0.0
        self.curves: list[dict[str, Any]] = []
        # Of the epoch so far, loss and floor, on the device: reading them at every step would make a GPU wait.
        self.sums = torch.zeros(2, device=device)
        self.right: Tensor | None = torch.zeros((), device=device)
        self.spent = self.spent_before_epoch = 0.0  # seconds, in this process and in those before it
        if saved:
            self._restore(saved)
        self.began, self.began_at = time.perf_counter() - self.spent, self.done

    @property
    def evaluated(self) -> nn.Module:
        """The model that is judged and kept: the moving average where there is one."""
        return self.average.module if self.average else self.model

    @property
    def seconds(self) -> float:
        """Seconds since the training began, without those between an interruption and going on."""
        return time.perf_counter() - self.began

    def epoch(
        self, on_step: Callable[[Step], None], should_stop: Callable[[], bool], keep: Callable[[], None]
    ) -> EpochCurve:
        """What is left of the present epoch, then a look at the validation images."""
        self.model.train()
        number, first = divmod(self.done, self.plan.steps)
        if not first:
            self.spent_before_epoch = self.seconds
            self.sums.zero_()
            self.right = torch.zeros((), device=self.device)
        batches = Batches(self.material, number)
        for step in range(first, self.plan.steps):
            if should_stop():
                keep()
                raise TrainingStopped
            # Noise, and whatever a net drops, follow from the seed and the step, not from what was drawn before.
            torch.manual_seed(self.plan.step_seed(self.done))
            self.step(*batches.make(step))
            on_step(self._progress(number))
        loss, floor = (self.sums.double() / self.plan.steps).tolist()
        if not math.isfinite(loss):
            raise _diverged(number, "its loss is not finite")
        validation_loss, accuracy = self._validate(number)
        seconds = self.seconds - self.spent_before_epoch
        images = self.plan.steps * self.plan.batch
        right = None if self.right is None else float(self.right) / images
        curve = EpochCurve(
            number + 1, loss, floor, validation_loss, accuracy, self.lr, seconds, right, images
        )
        self.curves.append(asdict(curve))
        return curve

    def step(self, pixels: Tensor, targets: Tensor) -> None:
        """One update by the mean soft cross-entropy of a batch."""
        self.lr = learning_rate(self.config, self.done, self.plan.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr
        with autocast(self.config.precision, self.device):
            logits = self.model(pixels)
        loss = F.cross_entropy(logits.float(), targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm, foreach=True)
        self.optimiser.step()
        if self.average:
            self.average.update_parameters(self.model)
        self.sums += torch.stack([loss.detach(), torch.special.entr(targets).sum(dim=1).mean()])
        if self.right is not None:
            self.right += (logits.detach().argmax(dim=1) == targets.argmax(dim=1)).sum()
        self.done += 1

    def checkpoint(self) -> Checkpoint:
        """All that a later process needs to go on from here."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        if self.average:
            tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            momentum = self.optimiser.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{name}"] = momentum
        tensors["sums"] = self.sums
        if self.right is not None:
            tensors["right"] = self.right
        record = {
            "precision": self.config.precision,
            "threads": self.config.threads,
            "lr": self.lr,
            "curves": self.curves,
            "seconds": self.seconds,
            "seconds_before_epoch": self.spent_before_epoch,
        }
        tensors = {name: tensor.detach().to("cpu") for name, tensor in tensors.items()}
        return Checkpoint(self.done, tensors, record)

    def _restore(self, saved: Checkpoint) -> None:
        self.model.load_state_dict(_under("model.", saved.tensors))
        if self.average:
            self.average.load_state_dict(_under("average.", saved.tensors))
        momenta = _under("momentum.", saved.tensors)
        for name, parameter in self.model.named_parameters():
            if name in momenta:
                # In the parameter's own order of memory, which safetensors does not keep.
                momentum = torch.empty_like(parameter).copy_(momenta[name])
                self.optimiser.state[parameter]["momentum_buffer"] = momentum.detach()
        self.sums.copy_(saved.tensors["sums"])
        # Checkpoints of 0.5 and before have no such count.
        self.right = saved.tensors["right"].to(self.device) if "right" in saved.tensors else None
        self.done, self.lr, self.curves = saved.done, saved.record["lr"], saved.record["curves"]
        self.spent, self.spent_before_epoch = saved.record["seconds"], saved.record["seconds_before_epoch"]

    def _progress(self, epoch: int) -> Step:
        a_step = (self.seconds - self.spent) / (self.done - self.began_at)
        return Step(self.done, self.total, epoch + 1, a_step * (self.total - self.done))

    def _validate(self, epoch: int) -> tuple[float, float]:
        images, labels = self.data.validation_images, self.data.validation_labels
        logits = predict(self.evaluated, images, device=self.device, precision=self.config.precision)
        if not np.isfinite(logits).all():  # the last step's update is in no loss of the epoch
            raise _diverged(epoch, "what the net says of the validation images is not finite")
        # Batch norm's averages can be infinite where all that the net says is finite: it divides by them.
        kept = self.evaluated.state_dict().values()
        if not bool(torch.stack([torch.isfinite(value).all() for value in kept]).all()):
            raise _diverged(epoch, "its weights are not finite")
        log_p = metrics.log_softmax(logits)
        return metrics.cross_entropy(log_p, labels), metrics.accuracy(np.exp(log_p), labels)


def _settings(
    config: TrainConfig, data: TrainData, device: torch.device, saved: Checkpoint | None
) -> TrainConfig:
    """The configuration with precision and threads decided; as they were when the run began, where it goes on."""
    if saved:
        return replace(config, precision=saved.record["precision"], threads=saved.record["threads"])
    return resolved(config, image_shape=_shape(data), n_classes=data.targets.shape[1], device=device)


def _identity(
    config: TrainConfig,
    plan: Plan,
    data: TrainData,
    start: Mapping[str, Tensor] | None,
    device: torch.device,
) -> dict[str, str]:
    """What makes a training this one and no other, each under the words that a refusal says."""
    told: list[Any] = [data.images, data.targets, data.validation_images, data.validation_labels]
    if data.perceived:
        told += data.perceived.arrays
    first = [part for name in sorted(start) for part in (name, start[name].cpu().numpy())] if start else []
    return {
        "configuration": sha256_json(asdict(config)),
        "plan": sha256_of(plan.sha256, data.slots_in(plan.budget), data.plain_for_mixed),
        "data": sha256_of(data.n_parents, *told),
        "first weights": sha256_of(*first),
        "kind of device": device.type,
    }


def _diverged(epoch: int, why: str) -> TrainingDiverged:
    return TrainingDiverged(f"the training diverged in epoch {epoch + 1}: {why}; lower lr")


def _start_from(model: nn.Module, start: Mapping[str, Tensor]) -> None:
    """Load the weights to start from. Raises DataError naming those that do not fit or are not finite."""
    own = model.state_dict()
    reshaped = {name for name in own.keys() & start.keys() if own[name].shape != start[name].shape}
    if wrong := sorted(reshaped | (own.keys() ^ start.keys())):
        raise DataError(f"the weights to start from are of another net: {', '.join(wrong[:5])} do not fit")
    if broken := sorted(name for name, value in start.items() if not bool(torch.isfinite(value).all())):
        raise DataError(f"the weights to start from are not all finite: {', '.join(broken[:5])}")
    model.load_state_dict(dict(start))


def _shape(data: TrainData) -> tuple[int, int, int]:
    height, width, channels = data.images.shape[1:]
    return height, width, channels


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
