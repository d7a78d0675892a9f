"""Removes what somebody else has left: folders that nobody may enter, and folders so deep that a stack would end.

No link is followed. A folder inside is moved up before it is emptied, so the depth never grows, and neither do the
descriptors and the stack that removing takes.
"""

import contextlib
import os
import stat
from itertools import count
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all that is in it; nothing there is fine.

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
    """The same; what cannot be removed stays, for the next time."""
    with contextlib.suppress(OSError):
        remove(path)


def _remove_folder(name: str, above: int) -> None:
    """Remove a folder; those inside it come up into it, and are emptied one after the other."""
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
    """Unlink what is in a folder; returns the names in ``top`` of the folders that were in it.

    A folder may change under who lists it, so it is listed until nothing new is found. There may be a million names.
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
                    _let_in(entry.name, folder)  # one that may not be written could not be moved
                    os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=top)
                found[name] = None
    return list(found)


def _free_name(folder: int, numbers: "count[int]") -> str:
    """A name that nothing in a folder has: to rename onto an empty folder would be allowed."""
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
    """Let ourselves into a folder of ours, whatever its mode; links are not followed, as ``O_PATH`` stands for it."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        if os.fstat(place).st_mode & 0o700 != 0o700:  # noqa: PLR2004  # a confined process may not change it
            os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101  # the only way to one that cannot be opened
    finally:
        os.close(place)
