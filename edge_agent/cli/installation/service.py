"""The systemd service: restarts it, and checks that the daemon stays up.

``systemctl restart`` returns when the daemon has sent READY (Type=notify), or has ended without it. A daemon may send
READY and die, so it is watched for a while. systemd restarts a dead one after RestartSec: until then the service is not
active, and afterwards it has another process.
"""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edge_agent.cli.installation.programs import call

UNIT_NAME = "edge-agent"
_BOOTED = Path("/run/systemd/system")
"""Exists if systemd is the running service manager (sd_booted(3)), not in a chroot or a container's build."""
_POLL_S = 0.5


class NotReadyError(Exception):
    """The daemon did not become ready, or did not stay up."""


class ServiceState(NamedTuple):
    """The service's state in systemd's words, and its process."""

    active: str
    pid: int


@dataclass(frozen=True, slots=True)
class Service:
    """The service of this machine.

    Attributes:
        ready_s: the longest restart. systemd allows 30 s to stop (the unit) and 90 s to start (its default).
        settled_s: the time that a daemon must live after READY. It connects to the broker within it.
    """

    ready_s: float = 180.0
    settled_s: float = 10.0

    def state(self) -> ServiceState:
        """The present state of the service."""
        argv = ["systemctl", "show", "--property=ActiveState", "--property=MainPID", UNIT_NAME]
        shown = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        return ServiceState(found.get("ActiveState", "unknown"), int(found.get("MainPID") or 0))

    @property
    def runs(self) -> bool:
        """Whether the service is started, also if systemd keeps restarting it."""
        return self.state().active in ("active", "reloading", "activating")

    def reload(self) -> None:
        """Let systemd read the unit again."""
        call("systemctl", "daemon-reload")

    def restart(self) -> int:
        """Restart the service; returns the daemon's process once it stays up.

        Raises:
            NotReadyError: it does not become ready, or does not stay up.
        """
        argv = ["systemctl", "restart", UNIT_NAME]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=self.ready_s)
        except subprocess.TimeoutExpired:
            raise NotReadyError(f"it was not ready within {self.ready_s:g} s") from None
        if done.returncode:
            raise NotReadyError(f"systemctl restart ended with {done.returncode}")
        first = self.state()
        until = time.monotonic() + self.settled_s
        while (now := self.state()) == first and first.active == "active":
            if time.monotonic() >= until:
                return first.pid
            time.sleep(_POLL_S)
        raise NotReadyError(f"it was ready and ended within {self.settled_s:g} s ({now.active})")


def service_of_this_machine() -> Service | None:
    """The service, or ``None`` if systemd does not run."""
    return Service() if _BOOTED.is_dir() else None
