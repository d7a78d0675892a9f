"""What the service manager is told."""

import os
import socket
from pathlib import Path

import pytest

from edge_agent.daemon.sd_notify import Notifier


def test_notifier_speaks_sd_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")

        notifier = Notifier()
        notifier.ready("up")
        notifier._last = -1e9
        notifier.alive()
        notifier.alive()
        notifier.stopping()

        said = [manager.recv(100) for _ in range(3)]
    assert said == [b"READY=1\nSTATUS=up", b"WATCHDOG=1", b"STOPPING=1"]
    assert notifier.interval_s == 10
    assert "NOTIFY_SOCKET" not in os.environ, "a child must not speak for the daemon"


def test_notifier_outside_systemd_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()

    notifier.ready("x")
    notifier.alive()
