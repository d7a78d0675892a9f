"""Real brokers for tests: mosquitto and rumqttd, on unused ports of 127.0.0.1, to be killed and started again."""

import getpass
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Protocol

from host_tools.demo.broker import EmbeddedBroker, wait_for_port
from support.ports import unused_ports

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Broker(Protocol):
    """A broker under test."""

    kind: str
    url: str
    keeps_retained: bool
    """Whether retained messages survive ``restart()`` after a clean ``stop()``."""

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def stop(self) -> None: ...
    def restart(self) -> None: ...


class IotcoreBroker(EmbeddedBroker):
    """rumqttd: MQTT 3.1.1 on ``url``, all in memory."""

    kind = "iotcore"
    keeps_retained = False

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._port, self._port_v5 = unused_ports(2)
        self.url, self.url_v5 = (f"mqtt://127.0.0.1:{port}" for port in (self._port, self._port_v5))

    def restart(self) -> None:
        self.kill()
        self.start()


class MosquittoBroker:
    """mosquitto with its defaults for queues and in-flight messages, and persistence under ``directory``."""

    kind = "mosquitto"
    keeps_retained = True

    def __init__(self, directory: Path, *extra: str) -> None:
        (self.port,) = unused_ports(1)
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.log = directory / "mosquitto.log"
        self._config = directory / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            # As root it would drop to a user who cannot enter a test's 0700 directory.
            f"user {getpass.getuser()}",
            "persistence true",
            f"persistence_location {directory}/",
            *extra,
        ]
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        assert MOSQUITTO is not None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log)
        wait_for_port(self.port, self._process, self.log)

    def kill(self) -> None:
        """As a power cut: whatever autosave had not written is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """A clean stop, which writes the persistence file."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Leave the port open and answer nobody: a broker that hangs."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after ``pause()``."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.send_signal(signal.SIGCONT)
        self._process.wait()
        self._process = None
