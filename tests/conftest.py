"""Fixtures for every test: a real broker of each kind, and a namespace that no other test uses."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything imports onnxruntime, here or in a child

import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.brokers import MOSQUITTO, Broker, IotcoreBroker, MosquittoBroker

pytest_plugins = ["support.skips"]
signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell that starts the tests in the background has them ignore it, and with them the programs that they start."""


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """Mosquitto alone, for what only it does; the test carries the mark ``mosquitto``."""
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto: sudo apt install mosquitto")
    broker = MosquittoBroker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(params=["iotcore", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Each kind of broker in turn, started."""
    if request.param == "mosquitto":
        yield request.getfixturevalue("mosquitto")
        return
    with IotcoreBroker(tmp_path) as iotcore:
        yield iotcore


@pytest.fixture
def namespace() -> str:
    """A namespace of this test's own."""
    return f"t/{secrets.token_hex(6)}"
