"""What a diagnosis is made from: the figures of one run, or of an arm, as far as there are any. What they mean is in
`symptoms`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilmix.core.errors import DataError
from training.evaluation.leakage import Leakage
from training.evaluation.near_duplicates import NearDuplicates

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curves:
    """Mean losses in nats after each epoch, float64 [E], against the targets that were trained on and validated
    against; `train_entropy` and `validation_entropy` are the mean H(q) of those targets (0 for hard labels), a number
    or one an epoch where mixing is on the fly. `validation_accuracy`
    [E] is the share right after each epoch, None where that was not kept."""

    train_loss: Floats
    validation_loss: Floats
    train_entropy: float | Floats = 0.0
    validation_entropy: float | Floats = 0.0
    validation_accuracy: Floats | None = None

    def __post_init__(self) -> None:
        losses = np.stack([self.train_loss, self.validation_loss]) if self._alike() else np.empty(0)
        if not len(losses) or not np.isfinite(losses).all():
            raise DataError(
                "the two loss curves need one finite value for each epoch, as many of one as of the other"
            )
        if self.validation_accuracy is not None and self.validation_accuracy.shape != self.train_loss.shape:
            raise DataError("validation accuracy needs one value for each epoch of the loss curves")

    def _alike(self) -> bool:
        return self.train_loss.ndim == 1 and self.train_loss.shape == self.validation_loss.shape

    @property
    def train(self) -> Floats:
        """KL(q‖p̂) in training: what of the loss could be learnt away."""
        return np.asarray(self.train_loss - self.train_entropy)

    @property
    def validation(self) -> Floats:
        """KL(q‖p̂) in validation."""
        return np.asarray(self.validation_loss - self.validation_entropy)


@dataclass(frozen=True, eq=False)
class HeldOutMixes:
    """Predictions on mixed images that were held out: `probabilities` [M, K], the classes of both parents and the share
    of the first, in ten-thousandths, int64 [M]; `human` [M, K] labels from answers, if any, NaN where nobody
    answered."""

    probabilities: Floats
    first_class: Ints
    second_class: Ints
    lambda_e4: Ints
    human: Floats | None = None

    def __post_init__(self) -> None:
        columns = self.probabilities, self.first_class, self.second_class, self.lambda_e4
        if len({len(column) for column in columns}) > 1:
            raise DataError(
                "held-out mixed images need predictions, both classes and a share for each of them"
            )
        if self.human is not None and self.human.shape != self.probabilities.shape:
            raise DataError(
                "labels from answers must be of the same mixed images and classes as the predictions"
            )


@dataclass(frozen=True)
class Calibrated:
    """ECE with the interval of the true error, which chance does not raise (`calibration`), mean confidence and
    accuracy, and T* with the ECE after it where a validation set allowed to fit one."""

    ece: float
    interval: tuple[float, float]
    confidence: float
    accuracy: float
    temperature: float | None = None
    ece_after: float | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a run (or an arm); None is "not assessed". `confusion` int64 [K, K], rows actual, columns
    predicted. `train_accuracy` is of training images as they are, unmixed."""

    curves: Curves | None = None
    confusion: Ints | None = None
    leakage: Leakage | None = None
    near_duplicates: NearDuplicates | None = None
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    corruptions: bool = False
    attacks: bool = False
    mixes: HeldOutMixes | None = None
    calibration: Calibrated | None = None
