"""Ctrl-C ends a dashboard at once, whatever it waits for."""

import contextlib
import re
import signal
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from support.brokers import MosquittoBroker
from support.dashboard_process import dashboard
from support.fleets import running

from host_tools.demo.broker import free_ports

AT_MOST_S = 20.0
"""Of a loaded machine, where a tenth of it is usual. The broker is waited for three times as long."""


def test_without_a_broker(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with running("dashboard", "--listen", "127.0.0.1:0", "--broker", f"mqtt://127.0.0.1:{port}") as command:
        assert re.search(r"http://[\d.:]+", command.said("the dashboard of", 60))
        command.process.send_signal(signal.SIGINT)
        assert command.process.wait(AT_MOST_S) == 0


@pytest.mark.mosquitto
def test_while_a_page_waits_for_a_broker_that_hangs(mosquitto: MosquittoBroker, namespace: str, tmp_path: Path) -> None:
    with dashboard(
        mosquitto, namespace, tmp_path, "--allow-commands", "--unsigned", "--broker-timeout", "60"
    ) as served:
        mosquitto.pause()
        address = f"{served.url}/orders/new?action=push&group=all"
        asking = threading.Thread(target=lambda: _ask(address), daemon=True)
        asking.start()
        time.sleep(1)  # it has asked by then, or it has not: both are to end
        served.process.send_signal(signal.SIGTERM)
        try:
            assert served.process.wait(AT_MOST_S) == 0
        finally:
            mosquitto.resume()


def _ask(address: str) -> None:
    with contextlib.suppress(OSError):
        urllib.request.urlopen(address, timeout=60)  # noqa: S310  # our own server
