"""What int8 gains from a reservoir: ranges from it, from the last windows, and from a uniform sample of the same size.

    python tests/bench/reservoir.py [--seeds N] [--hours H] [--places N] [--common EXERCISE] [--rare SHARE]

The demo's recording has seven exercises; each is a regime. A stream is made of four of its six recordings of each: one
exercise nearly all the time, the others in bouts of two minutes, in an order and from places that a seed draws. All is
judged on the other two recordings of each exercise, all exercises alike. ``equal`` is what nobody has who does not know
the regimes: as many windows of each. Prints tables, asserts nothing.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.demo import MANIFEST, MODEL, read_recording  # noqa: E402  # after the path above

from edge_agent.backends import Backend, CandidateSpec, load  # noqa: E402
from edge_agent.calibration.observer import Observer  # noqa: E402
from edge_agent.preprocess import Preprocess  # noqa: E402
from edge_agent.quant.metrics import ErrorMetrics  # noqa: E402
from edge_agent.reservoir.cutting import Cutter  # noqa: E402
from edge_agent.reservoir.sampler import Sampler  # noqa: E402
from edge_agent.reservoir.segment_format import SegmentFormat  # noqa: E402
from edge_agent.reservoir.slot_format import Head  # noqa: E402
from edge_agent.reservoir.uniform import Uniform  # noqa: E402
from host_tools.push.manifest_file import read_manifest_file  # noqa: E402

Samples = NDArray[np.float32]
Regimes = list[list[Samples]]
EXERCISES = ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
SIZE, HOP, RATE_HZ, BOUT_S = 100, 50, 50, 120
FOR_THE_STREAM = 4
METHODS = ("minmax", "percentile", "mse")
START_S = 1.7e9


@dataclass(frozen=True)
class Score:
    """How good ranges are: agreement with float over all windows, the worst regime's, its SQNR, and coverage."""

    agreement: float
    worst: float
    sqnr_db: float
    covered: float

    HEADINGS = ("agreement", "worst regime", "its SQNR", "worst covered")


class Bench:
    """The demo's float model, and int8 ones of it."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self._backend, self._out, self._prepared = backend, folder / "int8.onnx", folder / "prepared.onnx"
        backend.prepare(MODEL, self._prepared)
        self._float = backend.open(MODEL)
        self._tap = backend.tap(self._prepared)
        self._scheme = backend.schemes("static")[0]
        self._rows = Preprocess(read_manifest_file(MANIFEST).inputs[0])

    def feeds(self, window: Samples) -> dict[str, Samples]:
        return {"imu": self._rows(window)[None]}

    def scores(self, calibration: list[Samples], regimes: Regimes) -> dict[str, Score]:
        """By range method: int8 from these calibration windows, judged on windows by regime."""
        observer = Observer(self._tap.names)
        for window in calibration:
            for name, value in self._tap.run(self.feeds(window)):
                observer.add(name, value)
        ranges = observer.ranges(observer.histograms, METHODS, symmetric=False)
        low, high = (end(np.stack(calibration), axis=(0, 1)) for end in (np.min, np.max))
        inside = [((w := np.concatenate(windows)) >= low) & (w <= high) for windows in regimes]
        covered = min(float(one.mean(axis=0).min()) for one in inside)
        found = {}
        for method in METHODS:
            types, per_channel = self._scheme
            spec = CandidateSpec("static", method, types=types, per_channel=per_channel)
            self._backend.rewrite(self._prepared, ranges[method], spec, self._out)
            session = self._backend.open(self._out)
            same, errors = [], []
            for windows in regimes:
                metrics, agrees = ErrorMetrics(), []
                for window in windows:
                    wanted, got = (one.run(self.feeds(window))[0] for one in (self._float, session))
                    metrics.add(wanted, got)
                    agrees.append(bool(wanted.argmax() == got.argmax()))
                same.append(mean(agrees))
                errors.append(metrics.sqnr_db or 0.0)
            found[method] = Score(mean(same), min(same), min(errors), covered)
        return found


def stream(regimes: Regimes, common: int, rare: float, hours: float, random: Random) -> Iterator[tuple[int, Samples]]:
    """Pieces of recordings: the common regime, and bouts of the others, which take ``rare`` of the time each."""
    others = [index for index in range(len(regimes)) if index != common]
    bouts = max(1, round(rare * hours * 3600 / BOUT_S)) * len(others)
    order = [others[index % len(others)] for index in range(bouts)]
    random.shuffle(order)
    starts = sorted(random.uniform(0, hours * 3600) for _ in order)
    now = 0.0
    for start, regime in zip([*starts, hours * 3600], [*order, None], strict=True):
        while now < start:
            piece = some(regimes[common], random, start - now)
            now += len(piece) / RATE_HZ
            yield common, piece
        until = now + BOUT_S
        while regime is not None and now < until:
            piece = some(regimes[regime], random, until - now)
            now += len(piece) / RATE_HZ
            yield regime, piece


def some(recordings: list[Samples], random: Random, seconds: float) -> Samples:
    """A recording from a random place on, no longer than so many seconds, but a window at least."""
    recording = random.choice(recordings)
    start = random.randrange(len(recording) - SIZE)
    return recording[start : start + max(SIZE, round(seconds * RATE_HZ))]


def sets(regimes: Regimes, pieces: Iterator[tuple[int, Samples]], places: int, seed: int) -> dict[str, list[Samples]]:
    """Calibration windows by way, ``places`` each."""
    shape = SegmentFormat(channels=tuple("abcdef"), rate_hz=RATE_HZ, samples=SIZE)
    head = Head(shape=shape, places={"calibration": places, "judging": 1}, slots=places + 1, seed=seed, since_s=START_S)
    sampler, cutter = Sampler(head, bytes_a_day=1e12, horizon_days=7, now_s=START_S), Cutter(shape)
    random, plain = Random(seed), Uniform(places, float("inf"))  # noqa: S311  # a seeded draw, no secret
    kept: dict[str, dict[int, Samples]] = {"reservoir": {}, "uniform": {}}
    last: list[Samples] = []
    now = START_S
    for _, piece in pieces:
        for stretch in cutter.add(piece, now, gap=True):
            window = stretch.samples.copy()
            label = sampler.decide(stretch, stretch.time_s)
            if label is not None and label.part == "calibration":
                kept["reservoir"][label.place] = window
            if (place := plain.choose(random)) is not None:
                plain.occupy(place)
                kept["uniform"][place] = window
            last = [*last[-places + 1 :], window]
        now += len(piece) / RATE_HZ
    equal = [some(random.choice(regimes), random, 2)[:SIZE] for _ in range(places)]
    return {"last": last, **{name: list(windows.values()) for name, windows in kept.items()}, "equal": equal}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--places", type=int, default=300)
    parser.add_argument("--common", default="ROW", help="the exercise that is done nearly all the time")
    parser.add_argument("--rare", type=float, default=0.005, help="the share of the time that each other one has")
    asked = parser.parse_args()
    recording = read_recording()
    results: dict[tuple[str, str], list[Score]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), load("onnx"))
        for seed in range(asked.seeds):
            random = Random(seed)  # noqa: S311  # a seeded draw, no secret
            known, judged = divide(recording.parts, len(EXERCISES), random)
            pieces = stream(known, EXERCISES.index(asked.common), asked.rare, asked.hours, random)
            for way, windows in sets(known, pieces, asked.places, seed).items():
                for method, score in bench.scores(windows, judged).items():
                    results.setdefault((method, way), []).append(score)
            worst = ", ".join(f"{way} {scores[-1].worst:.3f}" for (how, way), scores in results.items() if how == "mse")
            print(f"seed {seed}: worst regime's agreement, least error: {worst}", file=sys.stderr, flush=True)
    print_table(results)
    return 0


def divide(parts: list[tuple[Samples, int]], count: int, random: Random) -> tuple[Regimes, Regimes]:
    """Recordings by exercise for the stream, and windows by exercise to judge on."""
    known: Regimes = []
    judged: Regimes = []
    for exercise in range(count):
        own = [samples for samples, label in parts if label == exercise]
        random.shuffle(own)
        known.append(own[:FOR_THE_STREAM])
        rest = own[FOR_THE_STREAM:]
        judged.append([one[start : start + SIZE] for one in rest for start in range(0, len(one) - SIZE + 1, HOP)])
    return known, judged


def print_table(results: dict[tuple[str, str], list[Score]]) -> None:
    """Means over seeds with their standard deviation; and how often the reservoir is better than the last windows."""
    print("| ranges | windows | " + " | ".join(Score.HEADINGS) + " |\n|---|---|" + "---|" * len(Score.HEADINGS))
    for (method, way), scores in results.items():
        columns = list(zip(*((s.agreement, s.worst, s.sqnr_db, s.covered) for s in scores), strict=True))
        spread = [stdev(column) if len(column) > 1 else 0.0 for column in columns]
        cells = [f"{mean(column):.4g} ± {wide:.2g}" for column, wide in zip(columns, spread, strict=True)]
        print(f"| {method} | {way} | " + " | ".join(cells) + " |")
    for method in METHODS:
        for other in ("last", "uniform", "equal"):
            pairs = list(zip(results[method, "reservoir"], results[method, other], strict=True))
            wins = [
                f"{sum(getattr(a, f) > getattr(b, f) for a, b in pairs)}"
                f":{sum(getattr(a, f) < getattr(b, f) for a, b in pairs)}"
                for f in ("agreement", "worst", "sqnr_db", "covered")
            ]
            print(f"{method}: reservoir better : worse than {other}: " + ", ".join(wins))


if __name__ == "__main__":
    sys.exit(main())
