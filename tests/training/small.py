"""Small trainings for tests of the engine: digits of scikit-learn, and one that a test may kill.

Run as a program it trains `RICH` and says every step: `python -m tests.training.small CHECKPOINTS WEIGHTS`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from training.engine import loop
from training.engine.config import Augment, OnTheFly, TrainConfig
from training.engine.data import TrainData
from training.engine.loop import TrainResult, train
from training.engine.predict import save_weights

CPU = torch.device("cpu")
QUICK = TrainConfig(epochs=2, batch_size=64, lr=0.1, augment=Augment(crop=1), precision="fp32", threads=1)
# Everything that has a state, or could have one: momentum, moving average, noise, mixtures.
RICH = TrainConfig(
    epochs=4,
    batch_size=32,
    warmup_epochs=0.5,
    ema=0.9,
    clip_norm=1.0,
    deterministic=True,
    threads=1,
    augment=Augment(crop=1, rotation=10, noise=0.1),
    on_the_fly=OnTheFly(share=0.5),
)


def digits(n: int = 320, n_mixed: int = 32, lam: float = 0.5) -> TrainData:
    """`n` digits, `n_mixed` half-and-half mixtures of them labelled with λ = `lam`, 200 validation digits."""
    loaded = load_digits()
    images = (loaded.images / 16 * 255).round().astype(np.uint8)[..., None]
    labels = loaded.target.astype(np.int64)
    mixed = ((images[:n_mixed].astype(int) + images[n_mixed : 2 * n_mixed]) // 2).astype(np.uint8)
    hard = np.eye(10)[labels]
    soft = lam * hard[:n_mixed] + (1 - lam) * hard[n_mixed : 2 * n_mixed]
    return TrainData(
        images=np.concatenate([images[:n], mixed]),
        targets=np.concatenate([hard[:n], soft]),
        n_parents=n,
        validation_images=images[-200:],
        validation_labels=labels[-200:],
    )


def recorded(config: TrainConfig, data: TrainData) -> tuple[TrainResult, list[dict[str, torch.Tensor]]]:
    """What a training of seed 0 ends in, and the weights and buffers of its model after each step."""
    seen = []
    taken = loop._Trainer.step

    def step(self: loop._Trainer, pixels: torch.Tensor, targets: torch.Tensor) -> None:
        taken(self, pixels, targets)
        seen.append({name: value.detach().clone() for name, value in self.model.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Trainer, "step", step)
        return train(config, data, seed=0, device=CPU), seen


def main(checkpoints: str, weights: str) -> None:
    result = train(
        RICH,
        digits(128),
        seed=7,
        device=CPU,
        checkpoints=Path(checkpoints),
        on_step=lambda step: print(step.done, flush=True),
    )
    save_weights(result.state_dict, Path(weights))


if __name__ == "__main__":
    main(*sys.argv[1:])
