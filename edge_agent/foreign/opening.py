"""Opens a file that somebody else has put there: no link is followed, nothing waits, and only a file is a file.

A link would lead to what its maker may not read; a FIFO keeps who opens it waiting for ever; a device never ends.
What it raises is an ``OSError`` whose ``strerror`` is a clause for a sentence, as the system's own are.
"""

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 1 << 20
"""Of a file that is read into memory."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOREIGN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE_BYTES = 64 << 10


def open_file(folder: Path, *names: str, flags: int = os.O_RDONLY) -> int:
    """The descriptor of a regular file.

    Args:
        folder: ours; it may be reached through links.
        names: the way from there, a name each; the last one is the file. None of them may be a link.
        flags: how to open it, as in ``os.open``.

    Raises:
        OSError: it is not there, or is no regular file.
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
    """The bytes of a file as :func:`open_file` opens it.

    Raises:
        OSError: as there; or it has more than ``most_bytes``.
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
            raise OSError(errno.ELOOP, "it is a link, which is not followed", str(path)) from None
        if error.errno == errno.ENXIO:  # a socket, or a FIFO that nobody reads
            raise _no_file(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_file(path)
    return descriptor


def _no_file(path: Path) -> OSError:
    return OSError(errno.EINVAL, "it is no regular file", str(path))
