"""Unpacks what a stranger packed: a zip archive becomes plain files under one folder, or nothing at all.

No name leads out of the folder, no link is made, and no more bytes are written than were allowed, whatever the
archive says about itself.
"""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from hilmix.core.errors import DataError

LARGEST = 2_000_000_000  # bytes of all files together, unpacked
MOST_FILES = 100_000
PIECE = 1 << 20
_START = b"PK\x03\x04"  # an archive with something before it is two files in one
# What reading a zip archive raises that is broken, or was made to be.
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, ValueError, RuntimeError),
)
_NOT_MEANT = ("__MACOSX/",)  # what a Mac adds


def unpack(
    archive: Path, folder: Path, *, largest: int = LARGEST, most_files: int = MOST_FILES
) -> list[PurePosixPath]:
    """Write the files of a zip `archive` into the empty `folder`; return their names within it, in order.

    Raises DataError naming the entry for a name that leads out of the folder or is there twice, a link, an encrypted
    entry, another archive inside, more files or bytes than allowed, and for what is no zip file.
    """
    try:
        with archive.open("rb") as file:
            if file.read(len(_START)) != _START:
                raise DataError("The file is no zip archive.")
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if _is_meant(entry)]
            names = _checked(entries, most_files, largest)
            left = largest
            for entry, name in zip(entries, names, strict=True):
                left = _write(opened, entry, folder / name, left)
    except DataError:
        raise
    except BROKEN as error:
        raise DataError(f"The zip archive cannot be unpacked: {error}.") from None
    return names


def _is_meant(entry: zipfile.ZipInfo) -> bool:
    return not entry.filename.endswith("/") and not entry.filename.startswith(_NOT_MEANT)


def _checked(entries: Iterable[zipfile.ZipInfo], most_files: int, largest: int) -> list[PurePosixPath]:
    names: dict[str, PurePosixPath] = {}
    stated = 0
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if not name.parts:
            raise DataError("A file in the archive has no name.")
        if name.is_absolute() or ".." in name.parts or "\\" in entry.filename or ":" in name.parts[0]:
            raise DataError(f"{entry.filename!r} in the archive leads out of it.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise DataError(f"{entry.filename!r} in the archive is a link; put the file itself there.")
        if entry.flag_bits & 0x1:
            raise DataError(f"{entry.filename!r} in the archive is encrypted.")
        if name.suffix.casefold() == ".zip":
            raise DataError(f"{entry.filename!r} in the archive is an archive itself.")
        if str(name).casefold() in names:
            raise DataError(f"{entry.filename!r} is in the archive twice.")
        names[str(name).casefold()] = name
        stated += entry.file_size
        if len(names) > most_files:
            raise DataError(f"The archive has more than {most_files:,} files.")
        if stated > largest:
            raise DataError(f"Unpacked, the archive would be larger than {_size(largest)}.")
    if not names:
        raise DataError("The archive is empty.")
    return list(names.values())


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, left: int) -> int:
    """Write one file, of at most `left` bytes; return how many are left for others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(entry) as source, path.open("xb") as target:
        while piece := source.read(PIECE):
            left -= len(piece)
            if left < 0:
                raise DataError(f"{entry.filename!r} makes the archive larger than it may be.")
            target.write(piece)
    return left


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:g} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:g} MB"
