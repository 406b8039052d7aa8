from __future__ import annotations

import numpy as np
import pytest
import torch

from hilmix.core.errors import DataError
from hilmix.core.features import FEATURES
from hilmix.core.mixing import mix
from hilmix.core.softlabels import PerceptualMixup
from training.engine.mixing import mixed_batch

WARP = PerceptualMixup.of(
    {"a1": 0.6, "a2": -1.5, "features": {name: {"b": 0.3, "scale": 1.0} for name in FEATURES}}
)
LAMBDAS_E4 = np.array([0, 2500, 5000, 10_000])
CLASSES = np.array([0, 1, 2, 3]), np.array([4, 3, 2, 0])


def images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, 6, 6, 3)).astype(np.uint8)


def test_a_batch_is_mixed_as_stored_images_are_and_labelled_by_the_warp():
    first, second = images(1), images(2)
    pixels, labels = mixed_batch(WARP, LAMBDAS_E4, first, second, *CLASSES, 5)
    assert (pixels.dtype, pixels.shape) == (torch.float32, (4, 3, 6, 6))
    for place, lambda_e4 in enumerate(LAMBDAS_E4.tolist()):
        stored = mix(first[place], second[place], lambda_e4)
        assert torch.equal(
            (pixels[place] * 255).round().to(torch.uint8), torch.from_numpy(stored).permute(2, 0, 1)
        )
    expected = WARP.label(LAMBDAS_E4 / 10_000, first, second, *CLASSES, 5)
    assert labels.numpy() == pytest.approx(expected, abs=1e-7)
    share = WARP.share(LAMBDAS_E4 / 10_000, first, second)
    assert labels[[0, 1, 3], CLASSES[0][[0, 1, 3]]].numpy() == pytest.approx(share[[0, 1, 3]], abs=1e-7)
    assert labels[2, 2] == pytest.approx(1)  # both are of class 2
    assert labels[0].tolist() == [0, 0, 0, 0, 1]


def test_batches_of_other_shapes_and_shares_that_are_none_are_refused():
    with pytest.raises(DataError, match=r"must be uint8 \[B, H, W, C\]"):
        mixed_batch(WARP, LAMBDAS_E4, images(1), images(2)[:, :4], *CLASSES, 5)
    with pytest.raises(DataError, match="whole ten-thousandths"):
        mixed_batch(WARP, np.array([0, 1, 2, 10_001]), images(1), images(2), *CLASSES, 5)
