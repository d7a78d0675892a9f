"""What the jobs of the fixtures in ``tests/fixtures`` are about, and a device that is booted on what they left."""

import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from edge_agent.execution.launcher import Launcher
from edge_agent.jobs.job import Job
from edge_agent.reservoir.segment_format import SegmentFormat
from edge_agent.reservoir.snapshot import ReservoirSnapshot
from edge_agent.wire.manifest import Gates, InputContract, Recipe, Window
from support.agents import LocalAgent
from support.onnx_models import model, value, weights

FIXTURES = Path(__file__).parent.parent / "fixtures"
CHANNELS = ["ax", "ay", "az", "gx", "gy", "gz"]
CHUNKS_THERE = {0, 2}
"""Of the large model's three, when the power failed in ``receive``."""
CONTRACT = InputContract(source="imu", channels=CHANNELS, window=Window(8, 8), steps=[{"op": "reshape", "shape": [-1]}])
RECIPE = Recipe(
    method="static", calibration="minmax", calibration_windows=40, search_windows=30, heldout_windows=60,
    search_budget_s=1,
)  # fmt: skip
GATES = Gates(max_latency_ratio=0, max_size_ratio=0, min_agreement=0.5)


BEGAN_S = 1_790_000_000.0
MOVED = SegmentFormat(channels=("a", "b"), rate_hz=50.0, samples=100)
"""Of the reservoir that holds movement."""


def moved(first: int, count: int) -> NDArray[np.float32]:
    """Samples ``first`` and on of a sensor that moves slowly for ten minutes, then fast for five; in steps of 1/16."""
    number = np.arange(first, first + count)
    fast = number // (50 * 60) % 15 >= 10
    phase = np.where(fast, number * 0.9, number * 0.11)
    noise = (number * 2_654_435_761 % 4096) / 4096 - 0.5
    waves = [np.where(fast, 3, 1) * np.sin(phase + shift) + 0.3 * noise for shift in (0, 1.3)]
    return (np.round(np.stack(waves, axis=1) * 16) / 16).astype(np.float32)


def described(kept: ReservoirSnapshot) -> list[dict[str, Any]]:
    """What is said of each stretch, and the CRC-32 of its samples."""
    found = []
    for stretch in kept.segments:
        samples = kept.load(stretch)
        assert samples is not None
        found.append({**asdict(stretch), "crc": zlib.crc32(samples.tobytes())})
    return found


def net(hidden: int) -> Any:
    """``x`` [1, 48] → gemm, relu, gemm, relu, gemm → ``logits`` [1, 4].

    A wide one has the same 16 columns again and again, so that what many megabytes of state hold fits a small archive.
    """
    again = hidden // 16
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h1"], "first"),
        helper.make_node("Relu", ["h1"], ["r1"], "relu1"),
        helper.make_node("Gemm", ["r1", "w2"], ["h2"], "second"),
        helper.make_node("Relu", ["h2"], ["r2"], "relu2"),
        helper.make_node("Gemm", ["r2", "w3", "b3"], ["logits"], "third"),
    ]
    constants = {
        "w1": np.tile(weights(48, 16, scale=0.3), (1, again)),
        "b1": np.tile(weights(16, scale=0.3), again),
        "w2": np.tile(weights(16, 32, scale=0.4), (again, 1)) / np.float32(again),
        "w3": weights(32, 4, scale=0.4),
        "b3": weights(4, scale=0.1),
    }
    return model(nodes, [value("x", [1, 48])], [value("logits", [1, 4])], constants)


class Upgraded(LocalAgent):
    """The agent of today on a state directory that another version left, with its real workers and no broker."""

    def __init__(self, state: Path, port: Path, **tables: dict[str, Any]) -> None:
        imu = {"kind": "serial", "port": str(port), "channels": CHANNELS, "rate_hz": 50}
        super().__init__(state, sources={"imu": imu}, **tables)
        self.stages = Launcher(self.config)  # type: ignore[assignment]  # which start processes

    def until(self, where: Callable[[Job], bool], version: int, within_s: float = 120) -> Job:
        """Handle events until the job of a version of ``har`` is so; returns the job as it is then."""
        deadline = time.monotonic() + within_s
        while True:
            job = next(job for job in self.agent.jobs.values() if (job.model, job.version) == ("har", version))
            if where(job):
                return job
            assert not job.ended, job
            assert time.monotonic() < deadline, job
            self.step()

    def end_of(self, version: int) -> Job:
        """The job of a version of ``har`` when it has ended."""
        return self.until(lambda job: job.ended, version)

    def off(self) -> None:
        """A clean stop: no worker is left behind."""
        self.agent.stop()
        super().off()


def unpack(archive: Path, folder: Path) -> Path:
    """What is in ``archive``, modes and links as they were; returns ``folder``."""
    with tarfile.open(archive) as packed:
        if hasattr(tarfile, "tar_filter"):  # Python 3.11.4; Debian 12 has 3.11.2
            packed.extraction_filter = tarfile.tar_filter
        packed.extractall(folder)  # noqa: S202  # our own archive
    return folder


def tree(folder: Path) -> dict[str, tuple[int, str | bytes]]:
    """What is in a folder: the mode of each path, and its bytes or where it points."""
    found: dict[str, tuple[int, str | bytes]] = {}
    for path in sorted(folder.rglob("*")):
        content: str | bytes = ""
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, content)
    return found


def lost(then: Any, now: Any, at: str = "") -> Iterator[str]:
    """Where ``now`` lacks what ``then`` says, or says another thing; it may say more."""
    match then, now:
        case dict(), dict():
            for key, value in then.items():
                yield from lost(value, now.get(key, "nothing"), f"{at}/{key}")
        case list(), list() if len(then) == len(now):
            for number, (one, other) in enumerate(zip(then, now, strict=True)):
                yield from lost(one, other, f"{at}/{number}")
        case _ if then != now:
            yield f"{at}: {then!r} became {now!r}"
