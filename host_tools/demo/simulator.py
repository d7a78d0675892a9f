"""A simulated serial IMU: a child process that replays the bundled recording on a pseudo-terminal.

    with SerialImu(directory / "imu", pace="max") as imu:
        ...                       # [sources.imu] kind = "serial", port = str(imu.port)
        print(imu.progress().times_real_time)

``simulator_child.py`` describes the data and the faults. The child ends with this process.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_agent.errors import SourceError

RECORDING = Path(__file__).with_name("data") / "imu_recording.npz"
BAUD_115200 = "11520"
"""The pace of a line at 115,200 baud: eight data bits, one start and one stop bit."""

_CHILD = Path(__file__).with_name("simulator_child.py")
_START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Progress:
    """The amount that the sensor has sent.

    Attributes:
        samples: samples sent so far, dropped ones included.
        dropped: samples lost because nobody read in time (none at pace ``max``).
        seconds: time spent sending, without the time in which nobody read.
        times_real_time: the rate as a multiple of the recording's own.
    """

    samples: int
    dropped: int
    seconds: float
    times_real_time: float


class SerialImu:
    """The sensor, for as long as its ``with`` block.

    Args:
        port: the path to give to the agent; a link to the present terminal.
        pace: ``max``, ``real``, or bytes a second.
        faults: as ``simulator_child.py --fault`` takes them, e.g. ``["stuck:az@1000"]``.
        rewind: start the recording over for each reader, at pace ``max``.
    """

    def __init__(
        self,
        port: Path,
        *,
        pace: str = "max",
        faults: Sequence[str] = (),
        recording: Path = RECORDING,
        rewind: bool = False,
    ) -> None:
        self.port = port
        self._argv = [sys.executable, "-P", str(_CHILD), "--link", str(port), "--recording", str(recording)]
        self._argv += ["--pace", pace, "--end-with-stdin", *(["--rewind"] if rewind else [])]
        self._argv += [part for fault in faults for part in ("--fault", fault)]
        self._status = port.with_name(port.name + ".json")
        self._log = port.with_name(port.name + ".log")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The child's process id; 0 if it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start the child and wait for its terminal; raises ``SourceError`` with the child's last line of output."""
        self._status.unlink(missing_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._status.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                output = self._log.read_text(encoding="utf-8", errors="replace").strip()
                last = output.splitlines()[-1] if output else "it printed nothing"
                raise SourceError("source_unavailable", f"the simulated sensor did not start: {last}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the child and remove the link. A reader sees a pulled cable."""
        if self._process is None:
            return
        self._process.kill()  # it has nothing to clean up, and a stopped process would not get SIGTERM
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None
        self.port.unlink(missing_ok=True)

    def progress(self) -> Progress:
        """The present amount, updated a few times a second."""
        state = json.loads(self._status.read_text(encoding="utf-8"))
        seconds = state["seconds"]
        times = state["samples"] / state["rate_hz"] / seconds if seconds else 0.0
        return Progress(state["samples"], state["dropped"], seconds, times)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
