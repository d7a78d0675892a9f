"""The message for a user who may not open a file: its owner, and how to get access."""

import os
import stat
from pathlib import Path
from typing import NamedTuple


def not_permitted(path: str | os.PathLike[str], group: str = "", *, mode: int = os.R_OK, owner: bool = False) -> str:
    """Return a sentence on ``path``, which this user may not open.

    Args:
        path: the file, folder or device.
        group: the group that usually has access, for when the file's own group does not; empty: none.
        mode: the wanted access, as for ``os.access``; for a folder ``R_OK`` lists it, ``W_OK`` creates files in it.
        owner: whether only the owner may do it, so that no group helps.
    """
    found = _nearest(Path(path), mode)
    if found is None:
        return f"{os.fspath(path)}: permission denied; use sudo"
    helps = found.status.st_gid and found.status.st_mode & found.bits == found.bits
    members = "" if owner else _group(found.status.st_gid) if helps else group
    if members in _mine():
        members = ""
    join = f", or join the group {members}: sudo usermod -aG {members} {_me()}, and log in again" if members else ""
    return f"{os.fspath(path)}: permission denied, it belongs to user {_user(found.status.st_uid)}; use sudo{join}"


class _Found(NamedTuple):
    """The place that denies access, and the mode bits that its group needs for membership to help."""

    status: os.stat_result
    bits: int


def _nearest(path: Path, mode: int) -> _Found | None:
    """Find the place that denies access: the file, a folder above it, or the folder in which it would be created."""
    for place in (path, *path.parents):
        try:
            status = place.stat()
        except PermissionError:
            mode = os.X_OK
            continue
        except OSError:
            continue
        wanted = mode | os.X_OK if stat.S_ISDIR(status.st_mode) else mode
        return _Found(status, wanted << 3)
    return None


def _user(number: int) -> str:
    import pwd  # noqa: PLC0415  # only a message pays for it

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    import grp  # noqa: PLC0415  # only a message pays for it

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _mine() -> list[str]:
    """Return the names of this process's groups."""
    return [_group(number) for number in {os.getegid(), *os.getgroups()}]


def _me() -> str:
    import getpass  # noqa: PLC0415  # only a message pays for it

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
