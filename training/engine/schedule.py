"""The learning rate of every step."""

from __future__ import annotations

import math

from training.engine.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps_an_epoch: int) -> float:
    """Rate of step 0, 1, …: rises linearly over the warm-up; then falls to zero along half a cosine, or is
    multiplied by `factor` at each milestone that is passed.

    The default warm-up of one epoch takes the first half of a training that has only one.
    """
    total = config.epochs * steps_an_epoch
    epochs = config.warmup_epochs if config.warmup_epochs < config.epochs else config.epochs / 2
    warmup = epochs * steps_an_epoch
    if step < warmup:
        return config.lr * (step + 1) / math.ceil(warmup)
    if config.schedule == "steps":
        # ceil of almost a whole number: 0.7 · 10 is a little above 7 in floats.
        passed = sum(step >= math.ceil(round(milestone * total, 6)) for milestone in config.milestones)
        return float(config.lr * config.factor**passed)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
