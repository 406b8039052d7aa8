"""How a model is trained, as data: everything that is equal in all arms and seeds of an experiment.

No torch here, so that the web process can check a form with it; the nets themselves are in `nets.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

PRECISIONS = ("auto", "fp32", "bf16")

# Name of each net and the smallest side it takes, in pixels; `nets.BUILDERS` has the same keys.
NETS = {"resnet20": 8, "preact_resnet18": 8}


@dataclass(frozen=True)
class TrainConfig:
    """One training recipe: SGD with Nesterov momentum, linear warm-up, then a cosine down to zero.

    `epochs` counts passes over the parent images; `warmup_epochs` may be a fraction. `mixed_share` is the
    share of mixed images in every batch (0–1, exclusive), None for their natural share. `crop` is the
    padding, in pixels, of the random crop; `flip` mirrors left and right at random. `threads` None keeps what
    torch chose.
    """

    net: str = "resnet20"
    epochs: int = 15
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: float = 1.0
    crop: int = 4
    flip: bool = True
    mixed_share: float | None = None
    precision: str = "auto"
    threads: int | None = None
