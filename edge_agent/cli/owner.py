"""Root acts on a state directory as its owner: who owns a folder can put links there, and root would follow them.

So ``sudo edge-agent rollback`` writes nothing that the service could not, and the operator's hook runs as the service's
user, as it does when the daemon runs it. Every command does so, unless :mod:`edge_agent.cli` says otherwise. What is
not on the state directory's side, such as the configuration, is read before.
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
"""As many as the kernel follows."""
_NEEDED_LATER = ("difflib", "encodings.cp437", "getpass", "grp", "pwd")
_FOR_TABLES = ("rich.console", "rich.table", "rich.text")
_WHO_TYPED = ("LOGNAME", "USER", "LNAME", "USERNAME")


@dataclass(frozen=True, slots=True)
class Owner:
    """A user: its number, and those of its groups, its own first."""

    uid: int
    groups: tuple[int, ...]


def owner_of(folder: Path) -> Owner | None:
    """Who could have put links at ``folder``: its owner, else whose folder or link leads to it; None: only root.

    Of a folder that is not there yet, it is asked about the way as far as that goes.
    """
    way = list(_way(folder))
    foreign = [place for place in way if place.st_uid]
    if not foreign:
        return None
    last = foreign[-1]
    return Owner(last.st_uid, _groups(last.st_uid, last.st_gid))


def become_owner(folder: Path, *, starts_python: bool = False) -> None:
    """Be the owner of a state directory from now on, for good; only root changes.

    Raises:
        StoreError: ``permission_denied``: this root may not become others, or its Python is hidden from them, or what
            is there is root's own.
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
    """Open files and sockets as the owner of a state directory inside the block; only root changes.

    For what goes on as root afterwards. No program may be started inside: it could be root again.

    Raises:
        StoreError: ``permission_denied``: this root may not become others.
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
    """Be another user from now on, for good; ``groups`` begin with its own."""
    _import_what_is_needed_later()
    os.setgroups(groups)
    os.setresgid(groups[0], groups[0], groups[0])
    os.setresuid(uid, uid, uid)
    for name in _WHO_TYPED:
        os.environ.pop(name, None)


def _import_what_is_needed_later() -> None:
    """What messages and tables import when they are made may lie where the other user may not look."""
    for module in (*_NEEDED_LATER, *(_FOR_TABLES if sys.stdout.isatty() else ())):
        import_module(module)


def _way(folder: Path) -> Iterator[os.stat_result]:
    """Every folder and link that opening ``folder`` passes, itself last."""
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
        except OSError:  # not there yet, or not for us either
            return
        yield found
        if target is not None:
            links += 1
            if links > _MOST_LINKS:
                return
            place = Path("/") if target.is_absolute() else place.parent
            left.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))


def _groups(uid: int, gid: int) -> tuple[int, ...]:
    """The groups of a user; of one without a name, the one that it has given its folder."""
    import pwd  # noqa: PLC0415  # only root asks

    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return (gid,)
    return tuple(dict.fromkeys([user.pw_gid, *os.getgrouplist(user.pw_name, user.pw_gid)]))


def _check_owned(folder: Path, owner: Owner) -> None:
    """A version before ran as root here, and left what its owner cannot write to."""
    for place in (folder, folder / "lock"):
        with suppress(OSError):
            if place.stat().st_uid == 0:
                text = (
                    f"{place} is root's, and edge-agent runs as the owner of what lies around it; give it to that user"
                )
                raise StoreError("permission_denied", f"{text}: sudo chown -R {owner.uid} {folder}")


def _forbidden(folder: Path) -> StoreError:
    text = f"{folder} is another user's, and this root may not become that user; run the command as its owner"
    return StoreError("permission_denied", text)
