"""False and true alarms of the data's quality, and whether the number of windows that is said to be enough is.

    python tests/bench/quality.py [RECORDING.npz...] [--captures N]

On the demo's recording of wrist movement, and on each ``RECORDING.npz`` (array ``samples`` [n, channels]). Captures
begin at random places. First what is said of them as they are, by the default plan and by a third of it; then each
fault is put into as many captures of the smaller plan, and into what the simulated sensor sends over a
pseudo-terminal. Then the same stretches as rows of an ``.npz``. Prints tables, asserts nothing.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.captures import context, model_info  # noqa: E402  # after the path above

from edge_agent.acquisition.stream_findings import rate_finding  # noqa: E402
from edge_agent.errors import EdgeAgentError  # noqa: E402
from edge_agent.jobs.task import Task  # noqa: E402
from edge_agent.wire.manifest import InputContract, Recipe, Window  # noqa: E402
from edge_agent.worker.capture import from_sensor  # noqa: E402
from edge_agent.worker.data.split import SPLITS, Block, plan_blocks, samples_needed, split_rows  # noqa: E402
from edge_agent.worker.quality.capture_monitor import CaptureMonitor  # noqa: E402
from edge_agent.worker.quality.rows import Rows  # noqa: E402
from host_tools.demo.simulator import RECORDING, SerialImu  # noqa: E402

Samples = NDArray[np.float32]
SIZE, HOP = 100, 50
DEFAULT, THIRD = (300, 150, 300), (100, 50, 100)
RANDOM = np.random.default_rng(0)


@dataclass(frozen=True)
class Fault:
    """Something that is wrong: the code it must have, and how it is put into the samples of a capture."""

    name: str
    code: str
    inject: Callable[[Samples, list[Block]], None]


def somewhere(samples: Samples) -> int:
    """A random place in the first half."""
    return int(RANDOM.integers(len(samples) // 10, len(samples) // 2))


def starts(blocks: list[Block]) -> Iterator[tuple[Block, int]]:
    """Each block with its first sample."""
    start = 0
    for block in blocks:
        yield block, start
        start += block.samples + block.size


def not_a_number(samples: Samples, blocks: list[Block]) -> None:
    """One NaN in the middle of a block."""
    block, start = list(starts(blocks))[len(blocks) // 2]
    samples[start + block.samples // 2, 0] = np.nan


def stuck(samples: Samples, _: list[Block]) -> None:
    """A channel that stays as it is."""
    place = somewhere(samples)
    samples[place:, 1] = samples[place, 1]


def constant(samples: Samples, _: list[Block]) -> None:
    """A channel that never was."""
    samples[:, 1] = 0.5


def clipped(samples: Samples, _: list[Block]) -> None:
    """A range that is too small for one value in six."""
    samples[:, 0] = np.minimum(samples[:, 0], np.quantile(samples[:, 0], 5 / 6))


def duplicates(samples: Samples, _: list[Block]) -> None:
    """The first half of the samples comes again, shifted by whole windows."""
    half = len(samples) // 2 // SIZE * SIZE
    samples[half : 2 * half] = samples[:half]


def drift(samples: Samples, blocks: list[Block]) -> None:
    """A level that moves by six standard deviations in the time of the plan."""
    samples[:, 2] += 6 * samples[:, 2].std() * ramp(samples, blocks)


def ramp(samples: Samples, blocks: list[Block]) -> Samples:
    """From 0 at the beginning of a plan to 1 at its end, and on."""
    return np.arange(len(samples), dtype=np.float32) / samples_needed(blocks)


def growing(samples: Samples, blocks: list[Block]) -> None:
    """A gain that grows tenfold in the time of the plan."""
    samples[:, 3] *= 10 ** ramp(samples, blocks)


def burst(samples: Samples, blocks: list[Block]) -> None:
    """A channel that rests, but in one block."""
    block, start = list(starts(blocks))[int(RANDOM.integers(len(blocks)))]
    kept = samples[start : start + block.samples, 4].copy()
    samples[:, 4] = RANDOM.normal(0, 0.004, len(samples))
    samples[start : start + block.samples, 4] = kept


def scaled(factor: float) -> Callable[[Samples, list[Block]], None]:
    """The held-out set has another scale."""

    def inject(samples: Samples, blocks: list[Block]) -> None:
        for block, start in starts(blocks):
            if block.split == "heldout":
                samples[start : start + block.samples, 4] *= factor

    return inject


FAULTS = (
    Fault("one NaN", "non_finite", not_a_number),
    Fault("a channel gets stuck", "stuck_channel", stuck),
    Fault("a channel is constant", "constant_channel", constant),
    Fault("1 of 6 samples clipped", "clipped_channel", clipped),
    Fault("half of it comes twice", "duplicate_windows", duplicates),
    Fault("level drifts by 6 sd", "drift", drift),
    Fault("gain grows tenfold", "drift", growing),
    Fault("one burst", "same_burst", burst),
    Fault("held-out set x 5", "sets_unlike", scaled(5)),
    Fault("held-out set x 0.1", "sets_unlike", scaled(0.1)),
)


def main() -> int:
    """Run everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recordings", nargs="*", type=Path)
    parser.add_argument("--captures", type=int, default=20)
    args = parser.parse_args()
    for path in (RECORDING, *args.recordings):
        with np.load(path) as file:
            samples = (file["samples"] * float(file.get("scale", 1.0))).astype(np.float32)
        print(f"\n{path.name}: {len(samples)} samples of {samples.shape[1]} channels")
        for plan in (DEFAULT, THIRD):
            false_alarms(samples, plan, args.captures)
        if path == RECORDING:
            true_alarms(samples, args.captures)
            through_a_terminal(samples)
        as_rows(samples, args.captures)
        enough(samples, args.captures)
    return 0


def false_alarms(samples: Samples, plan: tuple[int, int, int], captures: int) -> None:
    """What is said of data that are as they are."""
    blocks = blocks_of(plan)
    if samples_needed(blocks) > len(samples):
        print(f"  {plan}: the recording is too short")
        return
    said: Counter[str] = Counter()
    for _ in range(captures):
        found = judge(cut(samples, blocks), blocks)
        said.update({f"{code} ({'refused' if refuse else 'warned'})" for code, refuse in found})
    print(f"  {plan} as it is, of {captures} captures: {dict(said) or 'nothing said'}")


def true_alarms(samples: Samples, captures: int) -> None:
    """Whether each fault is found, and what else is said because of it."""
    blocks = blocks_of(THIRD)
    for fault in FAULTS:
        found: Counter[str] = Counter()
        for _ in range(captures):
            broken = cut(samples, blocks)
            fault.inject(broken, blocks)
            found.update({code for code, _ in judge(broken, blocks)})
        print(f"  {fault.name:<24} {fault.code:<18} found in {found[fault.code]} of {captures}")
    for factor in (0.5, 0.79, 0.81, 1.24, 1.26):
        finding = rate_finding(50 * factor, 50)
        said = "-" if finding is None else "refused" if finding.refuse else "warned"
        print(f"  rate x {factor:<17} wrong_rate         {said}")


def through_a_terminal(samples: Samples) -> None:
    """The same faults in what a serial sensor sends; and what only a stream can have."""
    blocks = blocks_of(THIRD)
    cases: list[tuple[str, str, Samples, list[str]]] = [
        ("nothing", "", cut(samples, blocks, extra=1.0), []) for _ in range(3)
    ]
    for fault in FAULTS:
        broken = cut(samples, blocks, extra=1.0)
        fault.inject(broken, blocks)
        cases.append((fault.name, fault.code, broken, []))
    whole = cut(samples, blocks, extra=1.0)
    cases += [
        ("stuck by the simulator", "stuck_channel", whole, ["stuck:az@3000"]),
        ("nan by the simulator", "non_finite", whole, ["nan:gx@4000+1"]),
        ("noise on the line", "malformed_samples", whole, ["noise"]),
        ("silent for 2.5 s", "stream_gaps", whole, ["silence@5000+2.5"]),
        ("unplugged for 0.5 s", "stream_gaps", whole, ["unplug@5000+0.5"]),
        ("silent for ever", "source_lost", whole, ["silence@5000"]),
    ]
    for name, code, sent, faults in cases:
        with sensor(sent, faults) as port:
            print(f"  pty: {name:<24} {code:<18} said: {captured(port)}", flush=True)


def as_rows(samples: Samples, captures: int) -> None:
    """How often ``sets_unlike`` is said of an operator's 240 rows, as they are and with another held-out set."""
    for how in ("shuffled", "by groups"):
        for factor in (1, 0.1, 1.5, 2, 5):
            said = sum(unlike_rows(samples, factor, grouped=how == "by groups") for _ in range(captures))
            print(f"  rows {how:<10} held-out set x {factor:<4} sets_unlike        said of {said} of {captures}")


def unlike_rows(samples: Samples, factor: float, *, grouped: bool) -> bool:
    """Of 240 windows from a random place on, in twelve recordings or as if they had nothing to do with each other."""
    start = int(RANDOM.integers(0, max(1, len(samples) - 240 * SIZE)))
    rows = samples[start : start + 240 * SIZE].reshape(-1, SIZE, samples.shape[1]).copy()
    groups = np.arange(len(rows)) * 12 // len(rows) if grouped else None
    parts = split_rows(len(rows), seed=int(RANDOM.integers(1 << 31)), heldout_apart=False, groups=groups)
    rows[parts["heldout"]] *= factor
    watch = Rows({split: len(parts[split]) for split in SPLITS})
    for split in SPLITS:
        for index in parts[split]:
            watch.add(split, {"x": rows[index]})
    return "sets_unlike" in [finding.code for finding in watch.findings()]


@contextmanager
def sensor(samples: Samples, faults: list[str]) -> Iterator[Path]:
    """A simulated serial IMU that sends ``samples``."""
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "r.npz"
        channels = np.array(["ax", "ay", "az", "gx", "gy", "gz"])
        np.savez(recording, samples=samples, scale=1.0, channels=channels, rate_hz=50)
        with SerialImu(Path(folder) / "imu", faults=faults, recording=recording) as imu:
            yield imu.port


def captured(port: Path) -> str:
    """The codes of a capture from ``port``, the one that ended it first."""
    channels = ["ax", "ay", "az", "gx", "gy", "gz"]
    table = {"kind": "serial", "port": str(port), "channels": channels, "rate_hz": 50, "silence_s": 5}
    recipe = Recipe(calibration_windows=THIRD[0], search_windows=THIRD[1], heldout_windows=THIRD[2])
    contract = InputContract(source="imu", channels=channels, window=Window(SIZE, HOP))
    task = Task(
        job="j", name="m", version=1, format="onnx", model="m", inputs=[contract], recipe=recipe, sources={"imu": table}
    )
    folder = Path(tempfile.mkdtemp())
    try:
        _, said = from_sensor.capture_source(
            context(folder, task), model_info({"x": ("float32", (1, SIZE, len(channels)))})
        )
    except EdgeAgentError as error:
        return f"{error.code} (ended)"
    finally:
        shutil.rmtree(folder)
    return ", ".join(finding.code for finding in said.findings) or "-"


def enough(samples: Samples, captures: int) -> None:
    """How often a second set's range lies within what the first one promises, and how many windows it asks for."""
    for windows in (100, 150, 200, 300):
        blocks = blocks_of((windows, windows // 2, windows))
        if samples_needed(blocks) > len(samples):
            continue
        held, asked, spreads = [], [], []
        for _ in range(captures):
            taken = cut(samples, blocks)
            monitor = CaptureMonitor([str(channel) for channel in range(samples.shape[1])], SIZE)
            sets: dict[str, list[Samples]] = {"calibration": [], "search": [], "heldout": []}
            for block, start in starts(blocks):
                part = taken[start : start + block.samples]
                sets[block.split].append(part)
                monitor.add(block, part)
            said = monitor.summary(windows)
            if said["spread"] is None:
                continue
            first, second = (width(np.concatenate(sets[split])) for split in ("calibration", "heldout"))
            held.append(bool((np.abs(second / first - 1) <= np.sqrt(2) * said["spread"]).all()))
            asked.append(said["enough"])
            spreads.append(said["spread"])
        if held:
            print(
                f"  {windows} windows: sure to {np.median(spreads):.0%} (median); all channels of a second set within "
                f"that in {sum(held)} of {len(held)}; asked for {np.median(asked):.0f} windows (median)"
            )


def width(samples: Samples) -> NDArray[np.float64]:
    """From the 0.1st to the 99.9th percentile of each channel."""
    low, high = np.quantile(samples, [0.001, 0.999], axis=0)
    wide: NDArray[np.float64] = high - low
    return wide


def blocks_of(plan: tuple[int, int, int]) -> list[Block]:
    """The blocks of a plan."""
    calibration, search, heldout = plan
    return plan_blocks({"calibration": calibration, "search": search, "heldout": heldout}, size=SIZE, hop=HOP)


def cut(samples: Samples, blocks: list[Block], extra: float = 0.0) -> Samples:
    """What a capture takes, from a random place on; ``extra``: so many times more after it."""
    needed = int(samples_needed(blocks) * (1 + extra))
    start = int(RANDOM.integers(0, max(1, len(samples) - needed)))
    return samples[start : start + needed].copy()


def judge(samples: Samples, blocks: list[Block]) -> list[tuple[str, bool]]:
    """Code and decision of all findings."""
    monitor = CaptureMonitor([str(channel) for channel in range(samples.shape[1])], SIZE)
    for block, start in starts(blocks):
        if condemned := monitor.add(block, samples[start : start + block.samples]):
            return [(finding.code, finding.refuse) for finding in condemned]
    return [(finding.code, finding.refuse) for finding in monitor.findings()]


if __name__ == "__main__":
    sys.exit(main())
