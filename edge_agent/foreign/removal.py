"""Removes files of an outsider, including folders without permissions and folders too deep for recursion.

It follows no link. A nested folder is moved up before it is emptied, so neither depth, descriptors nor stack grow.
"""

import contextlib
import os
import stat
from itertools import count
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with its contents; a missing path is not an error.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        is_folder = stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_folder:
        path.unlink(missing_ok=True)
        return
    above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove_folder(path.name, above)
    finally:
        os.close(above)


def remove_quietly(path: Path) -> None:
    """Remove ``path``; anything that cannot be removed stays for the next attempt."""
    with contextlib.suppress(OSError):
        remove(path)


def _remove_folder(name: str, above: int) -> None:
    """Remove a folder. Nested folders are moved up into it, and emptied one after the other."""
    top = _open_folder(name, above)
    try:
        numbers, waiting = count(), [""]
        while waiting:
            inner = waiting.pop()
            folder = _open_folder(inner, top) if inner else os.dup(top)
            try:
                waiting += _empty(folder, top, numbers, is_top=not inner)
            finally:
                os.close(folder)
            if inner:
                os.rmdir(inner, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=above)


def _empty(folder: int, top: int, numbers: "count[int]", *, is_top: bool) -> list[str]:
    """Empty a folder, and return the names in ``top`` of the folders that were in it.

    A folder may change while it is listed, so it is listed until nothing new is found. There may be a million names.
    """
    found: dict[str, None] = {}
    again = True
    while again:
        again = False
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name in found:
                    continue
                again = True
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.name, dir_fd=folder)
                    continue
                name = entry.name if is_top else _free_name(top, numbers)
                if not is_top:
                    _let_in(entry.name, folder)  # a folder without write permission could not be moved
                    os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=top)
                found[name] = None
    return list(found)


def _free_name(folder: int, numbers: "count[int]") -> str:
    """Return an unused name in a folder, since a rename onto an empty folder would succeed."""
    while True:
        name = f".removed-{next(numbers)}"
        try:
            os.lstat(name, dir_fd=folder)
        except FileNotFoundError:
            return name


def _open_folder(name: str, above: int) -> int:
    _let_in(name, above)
    return os.open(name, _FOLDER, dir_fd=above)


def _let_in(name: str, above: int) -> None:
    """Give ourselves access to our own folder, whatever its mode; the ``O_PATH`` descriptor follows no link."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        if os.fstat(place).st_mode & 0o700 != 0o700:  # noqa: PLR2004  # a confined process may not change the mode
            os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101  # no descriptor to use fchmod on
    finally:
        os.close(place)
