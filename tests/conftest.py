"""Fixtures for every test: real brokers, and a namespace that no other test uses."""

import ctypes
import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything imports onnxruntime, here or in a child

import copy
import logging
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.brokers import MOSQUITTO, Broker, IotcoreBroker, MosquittoBroker
from support.messages import watched

from edge_agent.daemon.log_limit import LogLimit

pytest_plugins = ["support.skips"]
signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell that starts the tests in the background has them ignore it, and with them the programs that they start."""

for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(name, None)  # a user's shell sets neither, and a child that forgets to flush is to be found here

_PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
"""Orphans become children of this process, which never reaps them, as in a container whose PID 1 does not."""


# A red build is the doing of a change, not of chance. The same examples again and again find nothing new, so there are
# few; `--hypothesis-profile default` looks further. How long one takes says how busy the machine is.
settings.register_profile(
    "same", derandomize=True, max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def same_numbers_in_any_order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module's ``RANDOM`` begins afresh for each test, whichever ran before it in this process."""
    if hasattr(request.module, "RANDOM"):
        monkeypatch.setattr(request.module, "RANDOM", copy.deepcopy(request.module.RANDOM))


@pytest.fixture(autouse=True)
def a_daemon_in_this_process_limits_its_own_log() -> Iterator[None]:
    """And not that of the tests after it, whose handlers are the same."""
    yield
    for handler in logging.getLogger().handlers:
        handler.filters = [one for one in handler.filters if not isinstance(one, LogLimit)]


@pytest.fixture(autouse=True)
def messages_are_sound() -> Iterator[None]:
    """Whatever is said while a test runs is said as a message must be (:mod:`support.messages`)."""
    with watched() as found:
        yield
    assert not found


@pytest.fixture(autouse=True)
def children_coverage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start what a test starts without coverage, where its mark ``children`` says so.

    A job starts some thirty processes of half a second, and coverage would be a third of each. One job of each kind is
    enough to count what they run.
    """
    mark = request.node.get_closest_marker("children")
    if mark is not None and not mark.kwargs["covered"]:
        for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
            monkeypatch.delenv(name, raising=False)


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
def one_broker(tmp_path: Path) -> Iterator[Broker]:
    """Some broker, for what has nothing to do with its kind: mosquitto, or rumqttd where that is not installed."""
    if MOSQUITTO is None:
        with IotcoreBroker(tmp_path) as iotcore:
            yield iotcore
        return
    mosquitto = MosquittoBroker(tmp_path)
    mosquitto.start()
    yield mosquitto
    mosquitto.kill()


@pytest.fixture
def namespace() -> str:
    """A namespace of this test's own."""
    return f"t/{secrets.token_hex(6)}"
