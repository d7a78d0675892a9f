"""Copies a file that an outsider may have written, and returns the SHA-256 and the size of the copy.

The hash covers exactly the bytes that are written, so nothing can change in between. On a file system that shares
blocks (btrfs, XFS) the copy allocates none of its own and writes no data.
"""

import errno
import fcntl
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

_FICLONE = 0x4004_9409
"""``ioctl(destination, FICLONE, source)``: linux/fs.h; the same on x86 and ARM."""
_PIECE_BYTES = 1 << 20
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Copied:
    """SHA-256 and size of a file; ``shared``: the copy shares its blocks with the original."""

    sha256: str
    size: int
    shared: bool = False


def hash_file(source: int) -> Copied:
    """Return the SHA-256 and the size of the file behind a descriptor; raise ``OSError``."""
    return _pass_on(source, None)


def copy_file(source: int, target: Path, *, most_bytes: int) -> Copied:
    """Copy the file behind a descriptor, from its beginning, to ``target``, which must not exist.

    Raises:
        OSError: it has more than ``most_bytes``; ``target`` exists, or cannot be written. A partial target is removed.
    """
    size = os.fstat(source).st_size
    if size > most_bytes:
        raise OSError(errno.EFBIG, f"it has {size} bytes, more than {most_bytes}", str(target))
    descriptor = os.open(target, _NEW, 0o600)
    try:
        if _share(source, descriptor):
            found = hash_file(descriptor)
            return Copied(found.sha256, found.size, shared=True)
        return _pass_on(source, descriptor, most_bytes)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _share(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _pass_on(source: int, target: int | None, most_bytes: int | None = None) -> Copied:
    """Hash the file behind ``source``, and write the same bytes to ``target``."""
    digest, size, piece = hashlib.sha256(), 0, memoryview(bytearray(_PIECE_BYTES))
    while read := os.preadv(source, [piece], size):
        digest.update(piece[:read])
        size += read
        if most_bytes is not None and size > most_bytes:
            raise OSError(errno.EFBIG, f"it grew to more than {most_bytes} bytes while it was copied")
        left = piece[:read]
        while target is not None and left:
            left = left[os.write(target, left) :]
    return Copied(digest.hexdigest(), size)
