"""Files that survive a power cut: temporary file, fsync, rename, fsync of the folder. Standard library only."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def fsync_dir(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace the file at ``path`` by ``data``, as :func:`writing_durably` does."""
    with writing_durably(path, mode=mode) as file:
        file.write(data)


@contextmanager
def writing_durably(path: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Replace the file at ``path`` by what is written: after a crash it holds all of the old bytes or all of the new.

    A symlink at ``path`` is replaced, never followed.

    Args:
        path: the file.
        mode: permissions of the new file; None: the umask decides.

    Raises:
        OSError: for example on a full disk; no temporary file is left.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        with open(temporary, "xb") as file:  # noqa: PTH123  # O_EXCL, so that no link is followed
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            temporary.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def publish_dir(temporary: Path, final: Path) -> None:
    """Fsync every file of a finished folder, then rename it to ``final``, which it replaces."""
    for path in temporary.rglob("*"):
        if path.is_file() and not path.is_symlink():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        elif path.is_dir():
            fsync_dir(path)
    fsync_dir(temporary)
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    fsync_dir(final.parent)


def link_durably(target: str, link: Path) -> None:
    """Point the symlink ``link`` at ``target`` in one step: readers see the old release or the new one."""
    temporary = link.with_name(f".{link.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    fsync_dir(link.parent)
