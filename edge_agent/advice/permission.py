"""What to tell a user who may not open a file: whose it is, and how to get at it."""

import os
import stat
from pathlib import Path
from typing import NamedTuple


def not_permitted(path: str | os.PathLike[str], group: str = "", *, mode: int = os.R_OK, owner: bool = False) -> str:
    """A sentence on ``path``, which this user may not open.

    Args:
        path: the file, folder or device.
        group: whose members may usually open such a thing, for where the file does not tell; empty: nobody's.
        mode: what is wanted of it, as ``os.access`` has it; of a folder ``R_OK`` lists it, ``W_OK`` makes files in it.
        owner: only its owner may do what is wanted, so no group helps.
    """
    found = _nearest(Path(path), mode)
    if found is None:
        return f"{os.fspath(path)}: permission denied; use sudo"
    helps = found.status.st_gid and found.status.st_mode & found.bits == found.bits
    members = "" if owner else _group(found.status.st_gid) if helps else group
    if members in _mine():
        members = ""
    join = f", or join the group {members}: sudo usermod -aG {members} {_me()}, and log in again" if members else ""
    return f"{os.fspath(path)}: permission denied, it is the user {_user(found.status.st_uid)}'s; use sudo{join}"


class _Found(NamedTuple):
    """What shuts a user out, and what its group must be allowed so that joining it helps."""

    status: os.stat_result
    bits: int


def _nearest(path: Path, mode: int) -> _Found | None:
    """The file; or the folder that hides it, which must let through; or the one in which it would have to be made."""
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
    """The groups that this process is of already."""
    return [_group(number) for number in {os.getegid(), *os.getgroups()}]


def _me() -> str:
    import getpass  # noqa: PLC0415  # only a message pays for it

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
