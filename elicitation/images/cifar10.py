"""CIFAR-10 by download through torchvision: train and test in one set, with their published split.

Imports torchvision only when called, so that the web process never does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from urllib.error import URLError

import numpy as np

from hilmix.core.errors import DataError
from hilmix.core.loaders import Loaded


def read_cifar10(say: Callable[[str], object]) -> Loaded:
    """Download (170 MB) and read the 60,000 images; torchvision shows how far it is.

    Raises:
        DataError: torchvision is not installed, or the download failed; the message says what to do instead.
    """
    try:
        from torchvision.datasets import CIFAR10
    except ImportError:
        raise DataError("Downloading CIFAR-10 needs torchvision: pip install 'hilmix[train]'.") from None
    say("Downloading CIFAR-10 (170 MB) …")
    with tempfile.TemporaryDirectory() as folder:
        try:
            parts = [CIFAR10(folder, train=train, download=True) for train in (True, False)]
        except (URLError, OSError, RuntimeError) as error:
            raise DataError(
                f"CIFAR-10 could not be downloaded ({error}). Without network, bring the images as a file with arrays"
                " images, labels and classes, and use: import_images npz FILE.npz --name NAME."
            ) from None
        images = np.concatenate([part.data for part in parts])
        labels = np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in parts])
        n_train = len(parts[0].data)
        splits = {"train": np.arange(n_train), "test": np.arange(n_train, len(images))}
        return images, labels, list(parts[0].classes), splits
