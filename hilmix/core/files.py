"""Directories that are complete or absent: hashes, canonical JSON, and writing beside the target.

Shared by image sets and releases, which are both directories with a `manifest.json`. What they
hold is not known here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hilmix.core.errors import DataError

MANIFEST = "manifest.json"
PIECE = 1 << 16  # bytes that are read at once


def canonical_json(value: Any) -> bytes:
    """Return `value` as the one JSON text that is hashed: sorted keys, no spaces, UTF-8, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def sha256_json(value: Any) -> str:
    """Return the hexadecimal sha256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hexadecimal sha256 of a file's bytes."""
    return str(describe_file(path)["sha256"])


def describe_file(path: Path | str) -> dict[str, Any]:
    """Return a file's manifest entry, `{"sha256", "bytes"}`."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (a release has thousands of small files)
        while piece := file.read(PIECE):
            digest.update(piece)
            size += len(piece)
    return {"sha256": digest.hexdigest(), "bytes": size}


def list_files(directory: Path) -> list[str]:
    """Return every file under `directory` except the manifest, as sorted paths relative to it."""
    return sorted(_entries(directory))


def _entries(directory: Path | str, above: str = "") -> dict[str, os.DirEntry[str]]:
    """What is in a folder and is no folder itself, by its path relative to it; the manifest is left out."""
    found: dict[str, os.DirEntry[str]] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found |= _entries(entry.path, f"{above}{entry.name}/")
            elif (name := above + entry.name) != MANIFEST:
                found[name] = entry
    return found


def write_json(path: Path, value: Any) -> None:
    """Write `value` for people to read: indented, sorted, with a final newline."""
    path.write_text(
        json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n", "utf-8"
    )


def read_manifest(directory: Path, formats: Sequence[str], what: str) -> dict[str, Any]:
    """Read `manifest.json` of a directory that should be `what` ("an image set", "a release"), in one of `formats`.

    Raises DataError when the folder or its manifest is absent, is no JSON, or is of another format.
    """
    path = directory / MANIFEST
    if not directory.is_dir():
        raise DataError(f"{directory} is not a folder, so it cannot be opened as {what}.")
    if not path.is_file():
        raise DataError(f"{directory} is not {what}, or an incomplete one: {MANIFEST} is missing.")
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not readable as JSON ({error}); the folder cannot be opened as {what}."
        ) from None
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found not in formats:
        known = " or ".join(map(repr, formats))
        raise DataError(
            f"{path} says format {found!r}; this version of hilmix opens {what} of format {known}."
        )
    return dict(manifest)


def check_files(
    directory: Path,
    expected: Mapping[str, Mapping[str, Any]],
    *,
    contents: bool = True,
    ignored: Collection[str] = (),
) -> None:
    """Compare a directory with the files its manifest lists; `ignored` may be there unlisted.

    Raises DataError naming the first file that is missing, not listed, of another size or (with `contents`)
    changed.
    """
    present = _entries(directory)
    for name in sorted(expected.keys() - present.keys()):
        raise DataError(
            f"{directory}: the file {name} is missing. Restore it, or copy the whole folder again."
        )
    for name in sorted(present.keys() - expected.keys() - set(ignored)):
        raise DataError(
            f"{directory}: the file {name} does not belong here (the manifest does not list it). Remove it."
        )
    for name, stated in expected.items():
        if not _is_as_stated(present[name], stated, contents):
            raise DataError(
                f"{directory}: the file {name} was changed after it was written. Restore the original."
            )


def _is_as_stated(entry: os.DirEntry[str], stated: Mapping[str, Any], contents: bool) -> bool:
    if not entry.is_file(follow_symlinks=False):
        return False
    if contents:
        return describe_file(entry.path) == {name: stated.get(name) for name in ("sha256", "bytes")}
    return bool(entry.stat().st_size == stated.get("bytes"))


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; on success rename it to `target`, else remove it.

    Folders above it are made as needed. Raises DataError when `target` is there already and no empty folder.
    """
    target = target.resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target} already exists. Choose another name; nothing that exists is written over.")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def partial_of(name: str) -> str:
    """What a file is called while `replace_file` writes it."""
    return f".{name}.partial"


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, never a part."""
    temporary = path.with_name(partial_of(path.name))
    temporary.write_bytes(data)
    temporary.replace(path)
