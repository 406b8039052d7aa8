"""An image under a change, made anew: it comes out the same, as what is drawn depends on the image's own pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilmix.errors import NotFound
from training.experiments.models import Experiment

AS_IT_IS = "none"  # the change that leaves an image as it is


def pixels_of(experiment: Experiment, number: int, change: str, severity: int) -> NDArray[np.uint8]:
    """An image of the experiment's image set as models were given it. Raises `NotFound` for what there is not."""
    if number >= experiment.image_set.n_images:
        raise NotFound(f"Image set {experiment.image_set.name!r} has no image {number}.")
    image = np.asarray(experiment.image_set.open().images[number])
    if change == AS_IT_IS:
        return image
    # Loads scipy, which the web process starts without.
    from training.evaluation.corruptions import TRANSFORMS, corrupted

    if change not in TRANSFORMS or not 1 <= severity <= len(TRANSFORMS[change].severities):
        raise NotFound(f"There is no change {change!r} of severity {severity}.")
    found: NDArray[np.uint8] = corrupted(image[None], change, severity)[0]
    return found
