"""A sensor over the network that is away, or goes away: the message names the address and the next step."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge_agent.acquisition.monitored import MonitoredSource
from edge_agent.errors import SourceError
from edge_agent.sources import open_source

LINE, LINES, PAUSE_S = b"1,2\n", 100, 0.01
NEXT = "check that the sensor runs, and that it serves this address"


def options(port: int) -> dict[str, object]:
    url = f"socket://127.0.0.1:{port}"
    return {"kind": "serial", "port": url, "channels": ["a", "b"], "rate_hz": 100, "silence_s": 0.3}


@contextmanager
def sensor_that_ends() -> Iterator[int]:
    """A sensor that sends for a second to its first reader and is gone then; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            for _ in range(LINES):  # a reader throws away what was there before it came
                connection.sendall(LINE)
                time.sleep(PAUSE_S)
            connection.close()
            server.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def read_on(monitored: MonitoredSource) -> None:
    while True:
        monitored.read(0.1)
        monitored.check(10_000)


@pytest.mark.parametrize(
    ("port", "why"),
    [
        ("socket://127.0.0.1:9", "no sensor at socket://127.0.0.1:9: Connection refused"),
        ("rfc2217://127.0.0.1:9", "no sensor at rfc2217://127.0.0.1:9: Connection refused"),
        ("socket://nowhere.invalid:9", "no sensor at socket://nowhere.invalid:9: "),
    ],
)
def test_a_sensor_that_is_away_has_its_next_step(port: str, why: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source("imu", {**options(9), "port": port})

    assert caught.value.code == "source_unavailable"
    assert caught.value.message.startswith(why)
    assert caught.value.message.endswith(NEXT)
    assert "Errno" not in caught.value.message


def test_a_sensor_that_goes_away_has_its_next_step() -> None:
    with sensor_that_ends() as port:
        source = open_source("imu", options(port))
        monitored = MonitoredSource(source, "imu")
        monitored.allow(10_000)
        with pytest.raises(SourceError) as caught:
            read_on(monitored)
        source.close()

    assert caught.value.code == "source_lost"
    assert monitored.samples > 0
    assert caught.value.message.endswith(f"socket://127.0.0.1:{port} is gone; {NEXT}")


def test_a_broker_that_is_away_has_its_next_step() -> None:
    table = {"kind": "mqtt", "url": "mqtt://127.0.0.1:9", "topic": "t", "channels": ["a"], "rate_hz": 1}

    with pytest.raises(SourceError) as caught:
        open_source("pump", table)

    assert caught.value.message.endswith("Connection refused; check the source's url, and the broker there")
