"""Opens a file that an outsider created: follows no link, never blocks, and accepts only regular files.

A link could lead to a file that its creator may not read, a FIFO would block its opener for ever, and a device never
ends. Every error is an ``OSError`` whose ``strerror`` is a clause of a sentence, like those of the system.
"""

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 1 << 20
"""Size limit of a file that is read into memory."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOREIGN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE_BYTES = 64 << 10


def open_file(folder: Path, *names: str, flags: int = os.O_RDONLY) -> int:
    """Open a regular file and return its descriptor.

    Args:
        folder: our own folder; its path may contain links.
        names: the path below it, one name each; the last one is the file. None of them may be a link.
        flags: as for ``os.open``.

    Raises:
        OSError: it does not exist, or is no regular file.
    """
    *folders, name = names
    here = os.open(folder, _FOLDER)
    try:
        for inner in folders:
            there = os.open(inner, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = there
        return _open_regular(name, flags, here, folder.joinpath(*names))
    finally:
        os.close(here)


def read_file(folder: Path, *names: str, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a file that :func:`open_file` opens.

    Raises:
        OSError: as in :func:`open_file`; or it has more than ``most_bytes``.
    """
    descriptor = open_file(folder, *names)
    try:
        size = os.fstat(descriptor).st_size
        data = bytearray()
        while size <= most_bytes and (piece := os.read(descriptor, _PIECE_BYTES)):
            data += piece
            size = max(size, len(data))
    finally:
        os.close(descriptor)
    if size > most_bytes:
        raise OSError(errno.EFBIG, f"it has {size} bytes, more than {most_bytes}", str(folder.joinpath(*names)))
    return bytes(data)


def _open_regular(name: str, flags: int, folder: int, path: Path) -> int:
    try:
        descriptor = os.open(name, flags | _FOREIGN, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link; links are not followed", str(path)) from None
        if error.errno == errno.ENXIO:  # a socket, or a FIFO without a reader
            raise _no_file(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(path)
    return descriptor


def _no_file(path: Path) -> OSError:
    return OSError(errno.EINVAL, "it is not a regular file", str(path))
