"""What telling the agent costs an application: nanoseconds an inference, with and without, in turn in one process.

    python tests/bench/serving_cost.py [--calls 30000] [--rounds 5]

Goal: a median of at most 2 µs. A real ONNX model, as small as they come (one product of 24 by 2), serves one window
again and again, by two objects that share the loaded release: where each had a session of its own, the places of their
memory would differ by more than what is measured. Chance says which is called next. A socket takes what is told, as the
daemon's does. The two without telemetry show the noise. In a loop of its own the meter costs a fifth: caches are warm.
"""

import argparse
import gc
import random
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import numpy as np  # noqa: E402  # after the path above
from support.served import OnnxMaker, activate, contract  # noqa: E402

from edge_agent import serving  # noqa: E402
from edge_agent.serving.loaded import Loaded  # noqa: E402
from edge_agent.serving.meter import Meter  # noqa: E402
from edge_agent.state.releases import Releases  # noqa: E402
from edge_agent.state.store import Store  # noqa: E402
from edge_agent.telemetry.usage import MOST_BYTES, SOCKET_NAME  # noqa: E402

SIZE, CHANNELS = 4, ["ax", "ay", "az", "gx", "gy", "gz"]
CLOCK = time.perf_counter_ns
RANDOM = random.Random(0)  # noqa: S311  # an order, and no secret


def interleaved(models: list[serving.Model], calls: int) -> list[float]:
    """Median nanoseconds of a call of each."""
    window = np.ones((SIZE, len(CHANNELS)), np.float32)
    times: list[list[int]] = [[] for _ in models]
    order = list(range(len(models)))
    for _ in range(calls):
        RANDOM.shuffle(order)
        for which in order:
            model = models[which]
            begun = CLOCK()
            model(window)
            times[which].append(CLOCK() - begun)
    return [statistics.median(some) for some in times]


def tell(meter: Meter, receiver: socket.socket, times: int) -> float:
    """Median nanoseconds of telling, with fifty buckets in use."""
    found = []
    for _ in range(times):
        for step in range(50):
            meter.answered(0, 20_000 + 7_000 * step)
        begun = CLOCK()
        meter.tell()
        found.append(CLOCK() - begun)
        receiver.recv(MOST_BYTES)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name) / "state")
        store.lock()
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(str(store.root / SOCKET_NAME))
        file = OnnxMaker().product(Path(name) / "m", np.ones((SIZE * len(CHANNELS), 2), np.float32))
        release = activate(store, 1, file, [contract(SIZE, CHANNELS)])
        models = [serving.load("har", state_dir=store.root, telemetry=telling) for telling in (False, False, True)]
        for model in models:
            model._loaded = models[0]._loaded
        gc.disable()
        interleaved(models, 1000)
        added = []
        for number in range(options.rounds):
            without, again, with_it = interleaved(models, options.calls)
            added.append(with_it - without)
            text = f"without {without:.0f} ns, again {again:.0f} ns, with {with_it:.0f} ns, added {added[-1]:.0f} ns"
            print(f"round {number + 1}: {text}")
        print(f"added to an inference, median of {options.rounds} rounds: {statistics.median(added):.0f} ns")
        meter = Meter(store.root, Loaded(Releases(store.models, "har").path(release.name)))
        receiver.setblocking(False)
        while True:
            try:
                receiver.recv(MOST_BYTES)
            except BlockingIOError:
                break
        print(f"telling, once in ten seconds: {tell(meter, receiver, 2000) / 1000:.0f} µs")


if __name__ == "__main__":
    main()
