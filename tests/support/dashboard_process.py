"""``host-tools dashboard`` as a person starts it: a child process on a free port."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.brokers import Broker

_MAIN = "import sys; from host_tools.cli.app import main; sys.argv[0] = 'host-tools'; main()"
_WHERE = re.compile(r"is on (https?://\S+)/;")
_START_S = 60.0


@dataclass
class Dashboard:
    """One that answers."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(encoding="utf-8")

    def stop(self) -> float:
        """End it as systemd would; returns the seconds that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.said
        return time.monotonic() - began


@contextmanager
def dashboard(broker: Broker, namespace: str, folder: Path, *options: str | Path) -> Iterator[Dashboard]:
    """A dashboard of this namespace, with further options."""
    log = folder / "dashboard.log"
    listen = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
    argv = ["dashboard", "--broker", broker.url, "--namespace", namespace, *listen, *map(str, options)]
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", _MAIN, *argv], stdout=output, stderr=output)
    try:
        yield Dashboard(_address(log, process), log, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + _START_S
    while not (found := _WHERE.search(log.read_text(encoding="utf-8"))):
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.05)
    return found[1]
