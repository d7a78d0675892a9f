"""The service's rights on this device, from its unit: its user, and the devices that it may open.

``edge-agent doctor`` needs root to see everything, and root may do more than the service.
"""

import os
import pwd
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from edge_agent.cli.installation.host import UNIT, below

_PSEUDO = {"mem", "pts"}
"""Drivers of the devices that ``DevicePolicy=closed`` permits: ``/dev/null`` and the like, and pseudo-terminals."""
_OF_KIND = {"audio": "alsa", "camera": "video4linux", "iio": "iio"}
"""The driver of a kind's devices, for options without a path."""

_YES, _CONTROLLERS = ("yes", "true", "on", "1"), ("memory", "pids")
"""The words for all controllers in ``Delegate=``, and the controllers that limit workers."""


@dataclass(frozen=True, slots=True)
class ServiceRights:
    """The service's rights.

    Attributes:
        user: the user's name.
        uid: the user's number.
        groups: numbers of the user's groups, its own first.
        devices: the devices in ``DeviceAllow=``, without the rights; None: every device.
        delegated: the controllers that ``Delegate=`` permits for its workers.
    """

    user: str
    uid: int
    groups: tuple[int, ...]
    devices: tuple[str, ...] | None = None
    delegated: tuple[str, ...] = ()

    def may(self, test: str, path: str | Path) -> bool:
        """Whether the service has the right ``-r``, ``-w`` or ``-x`` of ``test`` (1) on a file."""
        argv = ["test", test, os.path.abspath(path)]  # noqa: PTH100  # links stay what they are
        own, *more = self.groups
        return not subprocess.run(argv, user=self.uid, group=own, extra_groups=more, cwd="/", check=False).returncode

    def unreadable(self, path: str | Path) -> str:
        """A sentence on a file that the service may not read; empty if it may, or there is no such file."""
        if not os.path.exists(path) or self.may("-r", path):  # noqa: PTH110  # any path
            return ""
        return f"{path}: the service's user {self.user} may not read it"

    def how_to_read(self, path: str | Path) -> str:
        """The command that gives the service read access to a file."""
        return f"sudo chgrp {self.user} {path} && sudo chmod g+rX {path}, and let it through the folders above"

    def shut_out(self, table: Mapping[str, Any]) -> str:
        """The line that the unit lacks for a source's device; empty if it lacks none."""
        if self.devices is None:
            return ""
        path = place(table)
        kind = "" if Path(path).is_file() or table.get("mode") == "poll" else table["kind"]
        drivers = _drivers(path) or [_OF_KIND[name] for name in (kind,) if name in _OF_KIND]
        wanted = [name[5:] for name in self.devices if name.startswith("char-")]
        allowed = path in self.devices or any(fnmatchcase(driver, name) for driver in drivers for name in wanted)
        return "" if not drivers or allowed or _PSEUDO & set(drivers) else f"DeviceAllow=char-{drivers[-1]} rw"


def place(table: Mapping[str, Any]) -> str:
    """The path or address of the sensor in a source's table."""
    return str(table.get("port") or table.get("path") or table.get("device") or "")


def rights_as_installed(root: Path = Path("/")) -> ServiceRights | None:
    """The service's rights if this process is root and the unit below ``root`` names an existing user; else None."""
    unit = below(root, UNIT)
    if os.geteuid() != 0 or not unit.exists():
        return None
    drop_ins = sorted(unit.parent.glob(f"{unit.name}.d/*.conf"))
    return rights_of("\n".join(path.read_text(encoding="utf-8") for path in (unit, *drop_ins)))


def rights_of(text: str) -> ServiceRights | None:
    """The rights by the text of a unit and its drop-ins; None if the service runs as root."""
    keys: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, is_key, value = line.partition("=")
        if is_key and not line.startswith(("#", ";")):
            if not value.strip():
                keys[key.strip()] = []  # as systemd has it
            keys.setdefault(key.strip(), []).append(value.strip())
    try:
        user = pwd.getpwnam(keys.get("User", [""])[-1])
    except KeyError:
        return None
    allowed = [value.split()[0] for value in keys.get("DeviceAllow", ()) if value]
    closed = keys.get("DevicePolicy", ["auto"])[-1] in ("closed", "strict") or bool(allowed)
    groups = [*os.getgrouplist(user.pw_name, user.pw_gid), *_numbers(keys.get("SupplementaryGroups", []))]
    own_first = dict.fromkeys([user.pw_gid, *groups])
    devices = tuple(allowed) if closed else None
    return ServiceRights(user.pw_name, user.pw_uid, tuple(own_first), devices, _delegated(keys.get("Delegate", [])))


def _delegated(lines: list[str]) -> tuple[str, ...]:
    said = " ".join(lines).split()
    return _CONTROLLERS if any(word.lower() in _YES for word in said) else tuple(said)


def _numbers(lines: list[str]) -> list[int]:
    import grp  # noqa: PLC0415  # only some units name groups

    known = {entry.gr_name: entry.gr_gid for entry in grp.getgrall()}
    return [known[name] for line in lines for name in line.split() if name in known]


def _drivers(path: str) -> list[str]:
    """The names of a character device in ``/proc/devices``, which may have several; empty for anything else."""
    try:
        found = os.stat(path)  # noqa: PTH116  # any string
    except OSError:
        return []
    if not stat.S_ISCHR(found.st_mode):
        return []
    characters = Path("/proc/devices").read_text(encoding="utf-8").partition("Block devices:")[0]
    numbered = (line.split() for line in characters.splitlines() if line[:4].strip().isdigit())
    return [name for number, name in numbered if int(number) == os.major(found.st_rdev)]
