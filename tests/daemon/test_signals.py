"""Signals to the daemon's process: which end it, and what it says to the one that does not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

Daemon = subprocess.Popen[bytes]


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    """Whoever runs the tests by nohup ignores it, and with it every child."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def start(folder: Path, stdin: int) -> Daemon:
    """A daemon whose broker is away, once it runs."""
    config, log = folder / "config.toml", folder / "log"
    config.write_text(
        f'device_id = "pi"\nstate_dir = "{folder}/state"\n[mqtt]\nurl = "mqtt://127.0.0.1:9"\n'
        "[trust]\nallow_unsigned = true\n",
        encoding="utf-8",
    )
    with log.open("wb") as file:
        argv = [sys.executable, "-m", "edge_agent", "run", "--config", str(config)]
        daemon = subprocess.Popen(argv, stdin=stdin, stdout=file, stderr=file)
    wait_for(daemon, log, "device pi, broker")
    return daemon


def wait_for(daemon: Daemon, log: Path, words: str) -> None:
    deadline = time.monotonic() + 60
    while words not in log.read_text(encoding="utf-8"):
        assert daemon.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.05)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Daemon]:
    """As systemd starts it: without a terminal."""
    daemon = start(tmp_path, subprocess.DEVNULL)
    yield daemon
    daemon.kill()
    daemon.wait()


def test_a_hangup_is_answered_by_a_word_and_changes_nothing(service: Daemon, tmp_path: Path) -> None:
    service.send_signal(signal.SIGHUP)

    wait_for(service, tmp_path / "log", "SIGHUP: the configuration is read at start only; restart edge-agent")
    service.send_signal(signal.SIGTERM)
    assert service.wait(60) == 0


def test_a_daemon_at_a_terminal_ends_with_it(tmp_path: Path) -> None:
    master, slave = os.openpty()
    daemon = start(tmp_path, slave)

    daemon.send_signal(signal.SIGHUP)

    assert daemon.wait(60) == 0
    assert "SIGHUP: stopping" in (tmp_path / "log").read_text(encoding="utf-8")
    os.close(master)
    os.close(slave)
