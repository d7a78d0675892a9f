"""What to tell a user who may not open a file: whose it is, and how to get at it."""

import os
import stat
from pathlib import Path


def not_permitted(path: str | os.PathLike[str], group: str = "") -> str:
    """A sentence on ``path``, which this user may not open.

    Args:
        path: the file, folder or device.
        group: whose members may usually open such a thing, for where the file does not tell; empty: nobody's.
    """
    found = _nearest(Path(path))
    if found is None:
        return f"{os.fspath(path)}: permission denied; use sudo"
    members = _group(found.st_gid) if found.st_gid and found.st_mode & stat.S_IRGRP else group
    join = f", or join the group {members}: sudo usermod -aG {members} {_me()}, and log in again" if members else ""
    return f"{os.fspath(path)}: permission denied, it is the user {_user(found.st_uid)}'s; use sudo{join}"


def _nearest(path: Path) -> os.stat_result | None:
    """Of the file, or of the folder that hides it."""
    for place in (path, *path.parents):
        try:
            return place.stat()
        except OSError:
            continue
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


def _me() -> str:
    import getpass  # noqa: PLC0415  # only a message pays for it

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
