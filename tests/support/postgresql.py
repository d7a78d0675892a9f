"""A real PostgreSQL of a test's own, where Debian's is installed: on an unused port, without root, to be stopped."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from host_tools.demo.broker import wait_for_port
from support.ports import unused_ports
from support.unprivileged import NOBODY, open_folder

NO_POSTGRESQL = "needs PostgreSQL: sudo apt install postgresql"


def _program(name: str) -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(versions[-1]) if versions else None)
    if found is None:
        pytest.skip(NO_POSTGRESQL)
    return found


class PostgreSQL:
    """One cluster with the database ``history``; anybody on this machine may do anything there."""

    def __init__(self, folder: Path, *, fsync: bool) -> None:
        self._fsync = fsync
        self._data = folder / "data"
        self._log = folder / "postgresql.log"
        (self._port,) = unused_ports(1)
        self.url = f"postgresql://tests@127.0.0.1:{self._port}/history"
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            self._data.mkdir()
            os.chown(self._data, NOBODY, NOBODY)
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self._run(_program("initdb"), "-A", "trust", "-U", "tests", "--no-sync", "-E", "UTF8", "-D", str(self._data))

    def start(self) -> None:
        argv = [_program("postgres"), "-D", str(self._data), "-h", "127.0.0.1", "-p", str(self._port), "-k", ""]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, "-c", f"fsync={'on' if self._fsync else 'off'}"],
                stdout=log,
                stderr=log,
                cwd=self._data.parent,
                **self._as,
            )
        wait_for_port(self._port, self._process, self._log)
        deadline = time.monotonic() + 30
        while subprocess.run(
            [*self._client("psql"), "-d", "postgres", "-c", ""], capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.1)

    def make(self) -> None:
        """Make the database."""
        self._run(*self._client("createdb"), "history")

    def stop(self) -> None:
        """As the machine that goes away: every connection breaks."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def _client(self, name: str) -> list[str]:
        return [_program(name), "-h", "127.0.0.1", "-p", str(self._port), "-U", "tests"]

    def _run(self, *argv: str) -> None:
        done = subprocess.run(argv, capture_output=True, text=True, cwd=self._data.parent, check=False, **self._as)
        assert done.returncode == 0, done.stderr


@contextmanager
def postgresql(*, fsync: bool = False) -> Iterator[PostgreSQL]:
    """A cluster that runs; without ``fsync`` it is faster, and survives everything but a power cut."""
    with open_folder() as folder:
        server = PostgreSQL(folder, fsync=fsync)
        server.start()
        try:
            server.make()
            yield server
        finally:
            server.stop()
