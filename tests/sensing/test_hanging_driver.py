"""What a sensor's process says of a driver that hangs: one of the test's own, as no real one does so at will."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_agent.acquisition.arrivals import Arrivals
from edge_agent.sensing import process as process_module
from edge_agent.sensing.process import Process
from edge_agent.sensing.subscribe import subscribe
from edge_agent.settings.sharing import Keeping, SensorProcessConfig, SourceState
from edge_agent.sources import Source


class Hanging:
    """Sends at 100 Hz, and does not come back while it hangs."""

    live, window_size, length, repeats = True, 0, 0, False
    channels, frame_shape, rate_hz, silence_s = ("x",), (), 100.0, 0.1
    gaps = malformed = 0
    trouble = ""

    def __init__(self) -> None:
        self.arrivals = Arrivals(self.rate_hz)
        self.free = threading.Event()
        self.free.set()

    def read(self, timeout_s: float) -> np.ndarray:
        time.sleep(min(0.05, timeout_s))
        self.free.wait()
        self.arrivals.hear(5, time.monotonic())
        return np.zeros((5, 1), np.float32)

    def close(self) -> None:
        """There is nothing to close."""


def until(holds: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_driver_that_hangs_is_silence_until_it_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "_HUNG_SLACK_S", 0.1)
    source, said = Hanging(), list[SourceState]()
    config = SensorProcessConfig(name="imu", folder=str(tmp_path), table={}, keeping=Keeping(share=True))

    def opener(_name: str, _table: object) -> Source:
        return source

    process = Process(config, said.append, opener)
    thread = threading.Thread(target=process.run)
    thread.start()
    until(lambda: bool(said) and said[-1].state == "open")
    reader = subscribe("imu", tmp_path)
    source.free.clear()
    until(lambda: said[-1].state == "silent")
    assert "its driver hangs" in said[-1].message
    while reader.read(0.2) is not None:
        pass
    assert "its driver hangs" in reader.trouble
    source.free.set()
    until(lambda: said[-1].state == "open")
    assert reader.read(60) is not None
    assert reader.trouble == ""

    assert [state.state for state in said] == ["open", "silent", "open"]
    reader.close()
    process.end()
    thread.join()
