"""The people who may log in: a file with a line for each, ``NAME ROLE HASH``, readable by its owner only.

    anna operator scrypt:16384:8:5:…
    shop viewer scrypt:16384:8:5:…

The file is read once, at the start. Lines that begin with ``#`` are comments, and are kept.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_agent.errors import ConfigError, WireError
from edge_agent.strict import did_you_mean
from edge_agent.wire.topics import check_name
from host_tools.dashboard.access import passwords
from host_tools.dashboard.access.viewer import ROLES, Role, Viewer

_HEADER = "# Who may log in to host-tools dashboard: name, role, scrypt hash. host-tools dashboard-user adds a line."
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Users:
    """All people who may log in.

    Args:
        known: name → role and hash of the password.
        notes: lines of the file that begin with ``#``.
    """

    def __init__(self, known: Mapping[str, tuple[Role, str]], notes: Sequence[str] = (_HEADER,)) -> None:
        self._known = dict(known)
        self._notes = tuple(notes)

    def __len__(self) -> int:
        return len(self._known)

    def check(self, name: str, password: str) -> Viewer | None:
        """The person with this name and password, or None. Takes a tenth of a second or more."""
        role, stored = self._known.get(name, ("viewer", passwords.NOBODYS))
        right = passwords.matches(password, stored)
        return Viewer(name, role) if right and name in self._known else None

    def lines(self) -> str:
        """The file's text: the notes, then all people."""
        people = (f"{name} {role} {stored}" for name, (role, stored) in sorted(self._known.items()))
        return "".join(f"{line}\n" for line in (*self._notes, *people))

    def with_one(self, name: str, role: Role, password: str) -> "Users":
        """The same people with one added, or with a new role or password for that one.

        Raises:
            ConfigError: ``usage``: an invalid name, or a password that is too short or too long.
        """
        try:
            check_name(name, "user")
        except WireError as error:
            raise ConfigError("usage", error.message) from None
        if not passwords.SHORTEST <= len(password) <= passwords.LONGEST:
            raise ConfigError("usage", f"a password has {passwords.SHORTEST} characters or more; choose a longer one")
        return Users({**self._known, name: (role, passwords.hashed(password))}, self._notes)


def read_users(path: Path) -> Users:
    """The people in a file.

    Raises:
        ConfigError: ``usage``: the file is unreadable, readable by others, has an invalid line, or a name twice.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read()
    except OSError as error:
        raise ConfigError("usage", f"{path}: {error.strerror}; make it with host-tools dashboard-user") from None
    except UnicodeDecodeError:
        raise ConfigError("usage", f"{path} is no text; make it with host-tools dashboard-user") from None
    if mode & _FOR_OTHERS:
        raise ConfigError("usage", f"{path} can be read by others (mode {mode:o}); run chmod 600 {path}")
    known: dict[str, tuple[Role, str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            name, role, stored = _person(line, f"{path}: line {number}")
            if name in known:
                raise ConfigError("usage", f"{path}: line {number}: {name} is listed twice; remove one of the two")
            known[name] = (role, stored)
    return Users(known, [line for line in text.splitlines() if line.startswith("#")])


def write_users(path: Path, users: Users) -> None:
    """Write the file, readable by its owner only; raises ``ConfigError`` (usage)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(users.lines())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError("usage", f"{path}: {error.strerror}") from None


def role_of(word: str, where: str) -> Role:
    """The role named by a word; raises ``ConfigError`` (usage) with its place ``where``."""
    for role in ROLES:
        if role == word:
            return role
    raise ConfigError("usage", f"{where}: {word!r} is no role{did_you_mean(word, ROLES)}")


def _person(line: str, where: str) -> tuple[str, Role, str]:
    words = line.split()
    if len(words) != 3:  # noqa: PLR2004  # name, role, hash
        raise ConfigError("usage", f"{where}: must be NAME ROLE HASH; add people with host-tools dashboard-user")
    name, word, stored = words
    role = role_of(word, where)
    if not passwords.is_hash(stored):
        raise ConfigError("usage", f"{where}: no hash of a password; set it with host-tools dashboard-user {name}")
    return name, role, stored
