"""A stand-in for systemd below a test's root: as ``systemctl`` it starts one unit of Type=notify for real.

    python service_manager.py ROOT daemon-reload
    python service_manager.py ROOT start|stop|restart|show|is-active edge-agent

The daemon is a child of a keeper process, which holds the notify socket, waits for READY=1, writes the service's state
and reaps it. As with systemd, a changed unit counts after daemon-reload only, start waits for READY=1, and a start that
fails ends with 1. A dead daemon is not started again.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0


class Manager:
    """The one service below ``root``; what is known of it lies in ``root/run/manager``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "run/manager"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.unit = root / "etc/systemd/system/edge-agent.service"
        self.loaded = self.folder / "loaded.service"

    def reload(self) -> int:
        """Read the unit."""
        self.loaded.unlink(missing_ok=True)
        if self.unit.exists():
            shutil.copy(self.unit, self.loaded)
        return 0

    def state(self) -> tuple[str, int]:
        """ActiveState and MainPID."""
        active, _, pid = self._read("state", "inactive 0").partition(" ")
        return active, int(pid)

    def start(self) -> int:
        """Start the service; returns when it is ready, or has ended."""
        if not self.loaded.exists():
            self.reload()
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        self._note("activating")
        keeper = [sys.executable, __file__, str(self.root), "keep"]
        with (self.folder / "log").open("ab") as log:
            subprocess.Popen(keeper, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while self.state()[0] == "activating" and time.monotonic() < deadline:
            time.sleep(0.05)
        return 0 if ready.exists() else 1  # it may have ended since

    def stop(self) -> int:
        """End the service, as KillMode=mixed does, and wait for its end."""
        _, pid = self.state()
        keeper = int(self._read("keeper", "0"))
        if pid:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while keeper and Path(f"/proc/{keeper}/cmdline").exists() and time.monotonic() < deadline:
            if not Path(f"/proc/{keeper}/cmdline").read_bytes():  # it has ended, and nobody has reaped it
                break
            time.sleep(0.05)
        (self.folder / "keeper").unlink(missing_ok=True)
        self._note("inactive")
        return 0

    def keep(self) -> int:
        """Be the daemon's parent until it ends."""
        (self.folder / "keeper").write_text(str(os.getpid()), encoding="utf-8")
        address = f"@edge-agent-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind("\0" + address[1:])
            notify.settimeout(0.1)
            try:
                daemon = subprocess.Popen(self._argv(), env={**os.environ, "NOTIFY_SOCKET": address}, cwd="/")
            except OSError:
                self._note("failed")
                raise
            self._note("activating", daemon.pid)
            while daemon.poll() is None:
                with suppress(TimeoutError):
                    self._hear(notify.recv(4096), daemon.pid)
            notify.setblocking(False)  # what it said before it ended may lie there still
            with suppress(BlockingIOError):
                while True:
                    self._hear(notify.recv(4096), daemon.pid)
        self._note("failed" if daemon.returncode else "inactive")
        return 0

    def _hear(self, said: bytes, pid: int) -> None:
        if b"READY=1" in said:
            (self.folder / "ready").touch()
            self._note("active", pid)

    def _argv(self) -> list[str]:
        """ExecStart=, with every path that is below the root taken there."""
        lines = self.loaded.read_text(encoding="utf-8").splitlines()
        words = next(line.partition("=")[2] for line in lines if line.startswith("ExecStart=")).split()
        return [str(self.root / word[1:]) if word.startswith("/") else word for word in words]

    def _note(self, active: str, pid: int = 0) -> None:
        temporary = self.folder / f".state-{os.getpid()}"
        temporary.write_text(f"{active} {pid}", encoding="utf-8")
        temporary.replace(self.folder / "state")

    def _read(self, name: str, default: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return default


def put_first_in_path(root: Path, folder: Path) -> str:
    """Make a ``systemctl`` for ``root`` in ``folder``; returns a PATH that has it first."""
    folder.mkdir()
    program = folder / "systemctl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {root} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def main(root: str, verb: str, *_options: str) -> int:
    """One call of ``systemctl``, or the keeper."""
    manager = Manager(Path(root))
    match verb:
        case "daemon-reload":
            return manager.reload()
        case "start":
            return manager.start()
        case "stop":
            return manager.stop()
        case "restart":
            manager.stop()
            return manager.start()
        case "keep":
            return manager.keep()
        case "show" | "is-active":
            active, pid = manager.state()
            sys.stdout.write(f"{active}\n" if verb == "is-active" else f"ActiveState={active}\nMainPID={pid}\n")
            return 0 if verb == "show" or active == "active" else 3
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
