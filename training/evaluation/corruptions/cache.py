"""Corrupted test images on disk: made once for a test set, then mapped into memory.

A file is complete or absent, and ends in the sha256 of its array, so that one that was damaged later is made again. Its
name holds what it depends on: the images, the seed, the code of this package, and
the libraries that draw, filter and compress; whatever changes one of them makes a new file.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import tokenize
from pathlib import Path

import numpy as np
import PIL
import scipy
from numpy.typing import NDArray

from hilmix.core.files import canonical_json, sha256_json
from training.evaluation.corruptions.apply import corrupted

_DIGEST = hashlib.sha256().digest_size


class CorruptedSet:
    """The corruptions of `images` uint8 [N, H, W, C] under `directory`, each made when it is first asked for.

    `images` here are a copy: what is written to the caller's array later changes neither them nor what is made of them.
    """

    def __init__(self, directory: Path, images: NDArray[np.uint8], seed: int = 0) -> None:
        self.images = np.array(images, order="C")
        self.seed = seed
        digest = hashlib.sha256(canonical_json([str(images.dtype), list(images.shape)]))
        digest.update(self.images.data)
        self._directory = directory / digest.hexdigest()[:32]

    def path(self, name: str, severity: int) -> Path:
        """Where the images of (`name`, `severity`) are, or would be."""
        key = sha256_json([self.seed, name, severity, code_version()])
        return self._directory / f"{name}-{severity}-{key[:16]}.npy"

    def get(self, name: str, severity: int) -> NDArray[np.uint8]:
        """uint8 [N, H, W, C], mapped from disk; made and stored first where it is not there.

        Writing to it changes no file (torch refuses arrays that cannot be written to).
        """
        if not len(self.images):
            return corrupted(self.images, name, severity, self.seed)  # no file of no bytes can be mapped
        path = self.path(name, severity)
        found = self._mapped(path)
        if found is None:
            self._store(path, np.ascontiguousarray(corrupted(self.images, name, severity, self.seed)))
            found = self._mapped(path)
            assert found is not None
        return found

    def _mapped(self, path: Path) -> NDArray[np.uint8] | None:
        """The stored array; None where there is none, or it is not what was stored."""
        try:
            array: NDArray[np.uint8] = np.lib.format.open_memmap(path, mode="c")
            with path.open("rb") as file:
                file.seek(-_DIGEST, os.SEEK_END)
                digest = file.read()
        except (
            OSError,
            ValueError,
            EOFError,
            SyntaxError,
            tokenize.TokenError,
        ):  # what numpy makes of a bad header
            return None
        if array.shape != self.images.shape or array.dtype != np.uint8 or not array.flags.c_contiguous:
            return None
        return array if hashlib.sha256(array.data).digest() == digest else None

    def _store(self, path: Path, array: NDArray[np.uint8]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".npy")
        try:
            with os.fdopen(descriptor, "wb") as file:
                np.save(file, array, allow_pickle=False)
                file.write(hashlib.sha256(array.data).digest())
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)


@functools.cache
def code_version() -> str:
    """sha256 over this package's files and the versions of the libraries that its results depend on."""
    here = Path(__file__).parent
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(here.glob("*.py"))}
    libraries = {"numpy": np.__version__, "scipy": scipy.__version__, "pillow": PIL.__version__}
    return sha256_json([files, libraries])
