"""A sensor's own process as a child of the test, and a sensor that sends numbered samples."""

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from edge_agent.reservoir.reservoir import Reservoir
from edge_agent.reservoir.segment_format import SegmentFormat
from edge_agent.sensing.frames import Batch, Hello
from edge_agent.sensing.server import Server
from edge_agent.sensing.subscribe import Subscription, subscribe
from edge_agent.settings.sharing import KEPT_FOLDER, Keeping, SensorProcessConfig, SourceState
from support.captures import Terminal

ROOT = Path(__file__).parents[2]
CHANNELS = ["n", "y"]
_FILLED_UNTIL_S = 1_790_000_000.0
"""Which stretches are kept depends on the blocks of the wall clock, and a test must not."""


class SourceProcess:
    """``python -m edge_agent.sensing`` and what it says."""

    def __init__(self, folder: Path, table: dict[str, Any], **keeping: Any) -> None:
        self.folder = folder
        self._config = msgspec.json.encode(
            SensorProcessConfig(
                name="imu", folder=str(folder), table=table, keeping=Keeping(**(keeping or {"share": True}))
            )
        )
        self._said: queue.SimpleQueue[SourceState] = queue.SimpleQueue()
        self.process: subprocess.Popen[bytes] | None = None
        self._listener: threading.Thread | None = None

    def start(self) -> None:
        """Start it."""
        self._close()
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = process = subprocess.Popen(
            [sys.executable, "-m", "edge_agent.sensing"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(self._config)
        process.stdin.close()
        self._listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
        self._listener.start()

    def _close(self) -> None:
        """After its end: what it has said is all there."""
        if self.process is not None and self.process.stdout is not None and self._listener is not None:
            self._listener.join(60)
            self.process.stdout.close()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._said.put(msgspec.json.decode(line, type=SourceState))

    def expect(self, where: Callable[[SourceState], bool], timeout_s: float = 60) -> SourceState:
        """The first state from now on for which ``where`` holds."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                state = self._said.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError("it said no such thing") from None
            if where(state):
                return state

    def states(self) -> list[SourceState]:
        """What it has said and nobody has looked at."""
        found = []
        while not self._said.empty():
            found.append(self._said.get())
        return found

    def subscribe(self) -> Subscription:
        """Read along."""
        return subscribe("imu", self.folder)

    def kill(self) -> None:
        """End it without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(60)

    def stop(self) -> int:
        """End it as the daemon would; returns its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self._close()


class NumberedSensor:
    """csv lines on a pseudo-terminal at ``rate_hz``: a number that counts up, and a wave."""

    def __init__(self, folder: Path, rate_hz: float = 200) -> None:
        self.rate_hz = rate_hz
        self.port = folder / "port"
        self.table: dict[str, Any] = {
            "kind": "serial", "port": str(self.port), "channels": CHANNELS, "rate_hz": rate_hz
        }  # fmt: skip
        self.sent = 0
        self._terminal = Terminal(self.port)
        self._there = threading.Event()
        self._there.set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def _send(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += 0.02
            with self._lock:
                if not self._there.is_set():
                    continue
                lines = b""
                for _ in range(max(1, round(0.02 * self.rate_hz))):
                    lines += b"%d,%.3f\n" % (self.sent % 100_000, np.sin(self.sent / 7))
                    self.sent += 1
                self._terminal.write(lines)

    def say(self, line: bytes) -> None:
        """Print something between two samples."""
        with self._lock:
            self._terminal.write(line)

    def unplug(self) -> None:
        """Pull the cable."""
        with self._lock:
            self._there.clear()
            self._terminal.unplug()

    def plug(self) -> None:
        """Put it back."""
        with self._lock:
            self._terminal.plug()
            self._there.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()


class Served:
    """A server in a thread of its own, fed by the test."""

    def __init__(self, path: Path, hello: Hello) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.server = Server(path)
        self.server.greet(hello)
        self._todo: list[Batch] = []
        self._lock = threading.Lock()
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop:
            with self._lock:
                todo, self._todo = self._todo, []
            for batch in todo:
                self.server.give(batch)
            self.server.step(1)

    def give(self, batch: Batch) -> None:
        with self._lock:
            self._todo.append(batch)
        self.server.wake()

    def close(self) -> None:
        self._stop = True
        self.server.wake()
        self._thread.join()
        self.server.close()


def read_for(source: Subscription, seconds: float, *, until: float = float("inf")) -> np.ndarray:
    """The numbers that come within ``seconds``, or until there are so many."""
    parts = [np.empty(0)]
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and sum(map(len, parts)) < until:
        if (arrived := source.read(min(0.2, left))) is not None:
            parts.append(arrived[:, 0].astype(np.float64))
    return np.concatenate(parts)


def status(pid: int, key: str) -> int:
    """A number of ``/proc/PID/status``, such as VmRSS in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


def fill(
    folder: Path,
    samples: np.ndarray,
    *,
    rate_hz: float,
    stretches: int,
    channels: Sequence[str],
    hours: float = 6,
    seconds: float = 5,
) -> None:
    """A reservoir as a source process would have left it, after so many hours of ``samples`` again and again."""
    shape = SegmentFormat(channels=tuple(channels), rate_hz=float(rate_hz), samples=round(seconds * rate_hz))
    began = _FILLED_UNTIL_S - hours * 3600
    now = [began]
    reservoir = Reservoir(
        folder / KEPT_FOLDER, shape, stretches=stretches, seed=1, clock=lambda: now[0], timer=lambda: now[0]
    )
    piece = round(60 * rate_hz)
    place = 0
    while now[0] < began + hours * 3600:
        taken = np.take(samples, np.arange(place, place + piece), axis=0, mode="wrap")
        reservoir.add(taken, now[0], gap=False)
        place = (place + piece) % len(samples)
        now[0] += piece / rate_hz
    reservoir.close()
