"""What serving tells the agent of its inferences, on a real model: all of it, and never at the application's cost."""

import gc
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.served import OnnxMaker, activate, contract

from edge_agent import serving
from edge_agent.daemon.usage_socket import UsageSocket
from edge_agent.errors import ContractError
from edge_agent.serving import meter
from edge_agent.state.store import Store
from edge_agent.telemetry.usage import MOST_BYTES, SOCKET_NAME, Usage, decode_usage

SIZE, CHANNELS = 4, ["x", "y", "z"]
WINDOW = np.ones((SIZE, len(CHANNELS)), np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    store.lock()
    put(store, 1)
    yield store
    store.unlock()


@pytest.fixture
def agent(store: Store) -> Iterator[UsageSocket]:
    agent = UsageSocket(store.root)
    agent.open()
    yield agent
    agent.close()


def put(store: Store, version: int, **fields: str) -> None:
    path = OnnxMaker().product(store.root / f"v{version}", np.ones((SIZE * len(CHANNELS), 2), np.float32))
    activate(store, version, path, [contract(SIZE, CHANNELS)], **fields)


def load(store: Store, **options: bool) -> serving.Model:
    return serving.load("har", state_dir=store.root, follow_s=0, **options)


def told(agent: UsageSocket) -> list[Usage]:
    return [usage for usage, _ in agent.read()]


def inferences(usage: Usage) -> int:
    return sum(count for _, count in usage.latencies)


def drained(receiver: socket.socket) -> list[Usage]:
    heard = []
    while True:
        try:
            usage = decode_usage(receiver.recv(MOST_BYTES, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return heard
        assert usage is not None
        heard.append(usage)


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interval is over at every inference."""
    monkeypatch.setattr(meter, "EVERY_S", 0)


def test_every_way_of_asking_counts(store: Store, agent: UsageSocket) -> None:
    model = load(store)
    for _ in range(300):
        model(WINDOW)
    model.run(WINDOW)
    stream = model.stream()
    assert len(stream(np.concatenate([WINDOW, WINDOW]))) == 2
    with pytest.raises(ContractError):
        model(WINDOW[:2])
    with pytest.raises(ContractError):
        model(WINDOW * np.nan)

    assert told(agent) == [], "the interval is not over"
    del model, stream
    gc.collect()
    (usage,) = told(agent)

    assert (inferences(usage), usage.errors) == (303, 2)
    assert (usage.model, usage.version, usage.stale) == ("har", 1, False)
    assert usage.runtime.startswith("onnxruntime 1.")
    assert usage.rss_bytes is not None
    assert 20e6 < usage.rss_bytes < 2e9


def test_it_is_told_by_the_way_when_the_interval_is_over(
    store: Store, agent: UsageSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(monkeypatch)
    model = load(store)
    for _ in range(3):
        model(WINDOW)
    with pytest.raises(ContractError):
        model(WINDOW[:2])

    assert [(inferences(usage), usage.errors) for usage in told(agent)] == [(1, 0), (1, 0), (1, 0), (0, 1)]


def test_the_latency_is_the_runtimes_part(store: Store, agent: UsageSocket) -> None:
    model = load(store)
    begun = time.perf_counter_ns()
    for _ in range(50):
        model(WINDOW)
    took_ns = time.perf_counter_ns() - begun
    del model
    gc.collect()

    (usage,) = told(agent)
    least_ns = sum(count * 10_000 * 2 ** (bucket / 8) for bucket, count in usage.latencies if bucket)
    assert 0 < least_ns < took_ns


def test_another_release_is_told_apart(store: Store, agent: UsageSocket) -> None:
    model = load(store)
    model(WINDOW)
    put(store, 2, runtime_version="0.1")
    for _ in range(2):
        model(WINDOW)
    assert model.release.version == 2
    del model
    gc.collect()

    assert [(usage.version, inferences(usage), usage.stale) for usage in told(agent)] == [(1, 1, False), (2, 2, True)]


def test_it_can_be_switched_off(store: Store, agent: UsageSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once(monkeypatch)
    model = load(store, telemetry=False)
    model(WINDOW)
    del model
    gc.collect()

    assert told(agent) == []


def test_without_an_agent_everything_works_and_nothing_is_told_late(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with an agent of an earlier version, which makes no such socket, and with one that has died."""
    at_once(monkeypatch)
    model = load(store)
    model(WINDOW)
    agent = UsageSocket(store.root)
    agent.open()
    model(WINDOW)
    assert [inferences(usage) for usage in told(agent)] == [1]

    agent.close()
    (store.root / SOCKET_NAME).touch()
    model(WINDOW)
    (store.root / SOCKET_NAME).unlink()
    agent.open()
    model(WINDOW)
    assert [inferences(usage) for usage in told(agent)] == [1], "what was counted meanwhile is no news"
    agent.close()


def test_an_agent_without_room_is_told_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel keeps ``net.unix.max_dgram_qlen`` datagrams, 10 or 512 on most machines."""
    at_once(monkeypatch)
    model, calls = load(store), 1000
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as busy:
        busy.bind(str(store.root / SOCKET_NAME))
        begun = time.monotonic()
        for _ in range(calls):
            model(WINDOW)
        assert time.monotonic() - begun < 5, "nobody waits"
        heard = drained(busy)
        assert 0 < len(heard) < calls
        model(WINDOW)

        assert sum(map(inferences, heard + drained(busy))) == calls + 1


def test_a_fork_tells_nothing_of_its_parents(store: Store, agent: UsageSocket) -> None:
    """In a process of its own, as forking one that has threads is a warning."""
    code = (
        "import os, sys, numpy as np, edge_agent.serving as s\n"
        f"m = s.load('har', state_dir={str(store.root)!r})\n"
        f"w = np.ones(({SIZE}, {len(CHANNELS)}), np.float32)\n"
        "m(w); m(w)\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)

    found = list(agent.read())
    assert [inferences(usage) for usage, _ in found] == [2], "told once, when the program ended"
    assert found[0][1] not in (0, os.getpid())
