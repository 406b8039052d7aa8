"""How weights move: which of them decay, the optimiser, and the moving average."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from training.engine.config import TrainConfig

_Tensors = tuple[Tensor, ...] | list[Tensor]
_FILTERS = (nn.Conv2d, nn.Linear)  # their weights decay, and the projections of attention


def decaying(model: nn.Module) -> list[str]:
    """The names of the parameters that decay: weights of convolutions, of linear layers and of the projections of
    attention. Gains, biases, scales of layers, class tokens and embeddings of places are left free.
    """
    names = []
    for path, module in model.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            projection = isinstance(module, nn.MultiheadAttention) and name.endswith("proj_weight")
            if projection or (isinstance(module, _FILTERS) and name == "weight"):
                names.append(f"{path}.{name}" if path else name)
    return names


def make_optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weight decay on those that `decaying` names alone."""
    held, kinds = set(decaying(model)), dict(model.named_parameters())
    groups = [
        {"params": [one for name, one in kinds.items() if name in held], "weight_decay": config.weight_decay},
        {"params": [one for name, one in kinds.items() if name not in held], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0, fused=True
    )


def decay_at(ema: float, done: int) -> float:
    """The decay of the moving average at a step with `done` steps behind it: min(`ema`, (1 + done)/(10 + done)).

    A high decay alone would keep the first, untrained weights for the whole of a short training.
    """
    return min(ema, (1 + done) / (10 + done))


def moving_average(model: nn.Module, ema: float, done: Callable[[], int]) -> AveragedModel:
    """The moving average of a model's weights and buffers, with the decay of `decay_at` after `done()` steps; it
    begins as the weights after the first step. Counters of batches are not averaged: they are the last."""

    @torch.no_grad()
    def update(averaged: _Tensors, current: _Tensors, _: object) -> None:
        # torch hands over one kind of tensor at a time, and its own count, which a GPU would make us wait for.
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - decay_at(ema, done()))
        else:
            torch._foreach_copy_(averaged, current)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
