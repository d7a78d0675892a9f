"""Root works on a state directory as its owner: the owner of a folder can put links there, and root would follow them.

So ``sudo edge-agent rollback`` writes nothing that the service could not write, and the operator's hook runs as the
service's user, as it does under the daemon. Every command does so, except those that :mod:`edge_agent.cli` lists. Files
outside the state directory, such as the configuration, are read before.
"""

import os
import stat
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from edge_agent.errors import StoreError

_MOST_LINKS = 40
"""The most links that the kernel follows."""
_NEEDED_LATER = ("difflib", "encodings.cp437", "getpass", "grp", "pwd")
_FOR_TABLES = ("rich.console", "rich.table", "rich.text")
_WHO_TYPED = ("LOGNAME", "USER", "LNAME", "USERNAME")


@dataclass(frozen=True, slots=True)
class Owner:
    """A user's number, and the numbers of its groups, its own first."""

    uid: int
    groups: tuple[int, ...]


def owner_of(folder: Path) -> Owner | None:
    """The user who could have put links at ``folder``, by its owner and those of the path to it; None: only root.

    For a folder that does not exist yet, the existing part of its path counts.
    """
    foreign = [place for place in _path(folder) if place.st_uid]
    if not foreign:
        return None
    last = foreign[-1]
    return Owner(last.st_uid, _groups(last.st_uid, last.st_gid))


def become_owner(folder: Path, *, starts_python: bool = False) -> None:
    """Become the owner of a state directory for good. Only root changes its user.

    Raises:
        StoreError: ``permission_denied``: this root may not change its user, or the owner cannot reach its Python, or
            the folder is root's own.
    """
    if os.geteuid() != 0 or (owner := owner_of(folder)) is None:
        return
    if starts_python:
        _check_owned(folder, owner)
    try:
        become(owner.uid, owner.groups)
    except PermissionError:
        raise _forbidden(folder) from None
    if starts_python and not os.access(sys.executable, os.X_OK):
        text = f"{sys.executable} cannot be run by the owner of {folder}; run the edge-agent of edge-agent install"
        raise StoreError("permission_denied", text)


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Open files and sockets as the owner of a state directory inside the block. Only root changes its user.

    For commands that continue as root. No program may be started inside: it could become root again.

    Raises:
        StoreError: ``permission_denied``: this root may not change its user.
    """
    owner = owner_of(folder) if os.geteuid() == 0 else None
    if owner is None:
        yield
        return
    _import_what_is_needed_later()
    groups, gid = os.getgroups(), os.getegid()
    try:
        os.setgroups(owner.groups)
        os.setegid(owner.groups[0])
        os.seteuid(owner.uid)
    except PermissionError:
        raise _forbidden(folder) from None
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def become(uid: int, groups: Sequence[int]) -> None:
    """Become another user for good; ``groups`` begin with the user's own."""
    _import_what_is_needed_later()
    os.setgroups(groups)
    os.setresgid(groups[0], groups[0], groups[0])
    os.setresuid(uid, uid, uid)
    for name in _WHO_TYPED:
        os.environ.pop(name, None)


def _import_what_is_needed_later() -> None:
    """Import modules that messages and tables need later, as the other user may not be able to read them."""
    for module in (*_NEEDED_LATER, *(_FOR_TABLES if sys.stdout.isatty() else ())):
        import_module(module)


def _path(folder: Path) -> Iterator[os.stat_result]:
    """Every folder and link on the path to ``folder``, itself last."""
    place, left, links = Path("/"), deque(Path(os.path.abspath(folder)).parts[1:]), 0  # noqa: PTH100  # links stay
    while left:
        part = left.popleft()
        if part == "..":
            place = place.parent
            continue
        place = place / part
        try:
            found = place.lstat()
            target = place.readlink() if stat.S_ISLNK(found.st_mode) else None
        except OSError:  # not there yet, or not readable for root either
            return
        yield found
        if target is not None:
            links += 1
            if links > _MOST_LINKS:
                return
            place = Path("/") if target.is_absolute() else place.parent
            left.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))


def _groups(uid: int, gid: int) -> tuple[int, ...]:
    """The groups of a user; for a user without a name, the group of its folder."""
    import pwd  # noqa: PLC0415  # only root asks

    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return (gid,)
    return tuple(dict.fromkeys([user.pw_gid, *os.getgrouplist(user.pw_name, user.pw_gid)]))


def _check_owned(folder: Path, owner: Owner) -> None:
    """Raise if an earlier version ran as root here, and left files that the owner cannot write to."""
    for place in (folder, folder / "lock"):
        with suppress(OSError):
            if place.stat().st_uid == 0:
                text = f"{place} is root's, and edge-agent runs as the owner of the folders around it"
                to_do = f"sudo chown -R {owner.uid} {folder}"
                raise StoreError("permission_denied", f"{text}; give it to that user: {to_do}")


def _forbidden(folder: Path) -> StoreError:
    text = f"{folder} belongs to another user, and this root may not become that user; run the command as its owner"
    return StoreError("permission_denied", text)
