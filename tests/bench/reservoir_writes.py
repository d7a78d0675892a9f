"""What a reservoir writes a day, and what it costs the processor, on a real disk: two simulated days of each sensor.

    python tests/bench/reservoir_writes.py [--folder FOLDER] [--stretches N] [--budget MB]

Regimes change every few minutes (their strength by orders of magnitude, at random), so strata come and merge.
``counted`` is what the reservoir says it wrote, ``kernel`` what /proc/self/io says this process had written, ``device``
what the disk got, the file system's journal included (all that anybody wrote: give a disk of its own). The journal is
written every few seconds of real time, so two days in two minutes show less of it than two real ones: RESULTS.md.
``refused``: by the budget, of the judging and of the calibration part. Prints a table, asserts nothing.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT)]

from edge_agent.reservoir.reservoir import WRITE_BUDGET_MB_PER_DAY, Reservoir  # noqa: E402  # after the path above
from edge_agent.reservoir.segment_format import SegmentFormat  # noqa: E402
from edge_agent.reservoir.slots import FILE  # noqa: E402

START_S, DAY_S, BATCH_S = 1.7e9, 86_400, 60.0


@dataclass(frozen=True)
class Case:
    """A sensor."""

    name: str
    shape: SegmentFormat


AXES = ("ax", "ay", "az", "gx", "gy", "gz")
CASES = (
    Case("6 axes, 50 Hz, stretches of 2 s", SegmentFormat(channels=AXES, rate_hz=50, samples=100)),
    Case("6 axes, 1 kHz, stretches of 1 s", SegmentFormat(channels=AXES, rate_hz=1000, samples=1000)),
    Case("sound, 16 kHz, stretches of 1 s", SegmentFormat(channels=("left",), rate_hz=16_000, samples=16_000)),
    Case(
        "pictures, 320 x 240, 1 a second",
        SegmentFormat(channels=("r", "g", "b"), rate_hz=1, samples=1, frame_shape=(240, 320), dtype="uint8"),
    ),
)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--stretches", type=int, default=750)
    parser.add_argument("--budget", type=float, default=WRITE_BUDGET_MB_PER_DAY)
    asked = parser.parse_args()
    print("| sensor | file | day 1: counted | kernel | device | day 2 | kernel | device | offered | refused | CPU |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        folder = Path(tempfile.mkdtemp(dir=asked.folder))
        try:
            print(f"| {case.name} | {run(case, folder, asked.stretches, asked.budget)} |", flush=True)
        finally:
            shutil.rmtree(folder)
    return 0


def run(case: Case, folder: Path, stretches: int, budget: float) -> str:
    """Two days."""
    random, now = np.random.default_rng(0), [START_S]
    shape = case.shape
    options = {"stretches": stretches, "write_budget_mb_per_day": budget}
    reservoir = Reservoir(folder, shape, **options, seed=1, clock=lambda: now[0], timer=lambda: now[0])  # type: ignore[arg-type]
    count = round(BATCH_S * shape.rate_hz)
    noise = random.standard_normal((count, *shape.frame_shape, len(shape.channels)), np.float32)
    regimes = [noise * np.float32(10.0**power) for power in (-3, -2.5, -2, -1, -0.5, 0)]
    if shape.dtype == "uint8":
        regimes = [np.clip(one * 60 + 100, 0, 255).astype(np.uint8) for one in regimes]
    regime, started, cells = 0, time.process_time(), list[str]()
    for _ in range(2):
        counted, kernel, disk = reservoir.counts.written_bytes, written(), on_device(folder)
        until = now[0] + DAY_S
        while now[0] < until:
            if random.random() < 1 / 5:
                regime = int(random.integers(len(regimes)))
            reservoir.add(regimes[regime], now[0], gap=False)
            now[0] += BATCH_S
        done = reservoir.counts.written_bytes - counted, written() - kernel, on_device(folder) - disk
        cells += map(megabytes, done)
    took = time.process_time() - started
    counts = reservoir.counts
    offered = 1 - counts.thinned / (counts.seen / 2)
    size = (folder / FILE).stat().st_size
    reservoir.close()
    each = f"{took / counts.seen * 1e6:.0f} µs"
    return " | ".join([megabytes(size), *cells, f"{offered:.0%}", f"{counts.over_budget}, {counts.deferred}", each])


def written() -> int:
    """Bytes that the kernel has counted as written by this process."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def on_device(folder: Path) -> int:
    """Bytes that the disk under ``folder`` was ever given to write."""
    os.sync()
    device = folder.stat().st_dev
    numbers = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text(encoding="ascii").split()
    return int(numbers[6]) * 512


def megabytes(size: int) -> str:
    """In millions of bytes."""
    return f"{size / 1e6:.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
